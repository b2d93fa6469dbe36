use std::collections::BTreeMap;

use groupfold_fold::apply::{Changes, Digest};
use groupfold_fold::entry::{Key, Prefix};
use groupfold_fold::identity::Alias;

use super::super::shadow::tests::Dice;
use super::super::{Outbox, Store, digest_of};
use super::*;
use crate::testing::Folder;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn receipt_key(message: &str, member: u64) -> Vec<u8> {
    let alias = Alias::decode(&format!("w:{member:04}")).unwrap();
    Key::Receipt { message: message.to_owned(), alias }.encode()
}

/// Some entries: receipts of few messages, and what stands on either side of them.
fn some(dice: &mut Dice, members: u64) -> Entries {
    let entry = |dice: &mut Dice| {
        // One name is the beginning of another, and one has zero bytes.
        let message = ["m", "m.1", "m\0", "m\0\u{1}"][usize::try_from(dice.below(4)).unwrap()];
        let key = match dice.below(12) {
            0 => Key::Message { message: message.to_owned() }.encode(),
            1 => Key::View { message: message.to_owned(), user: "u".to_owned(), group: "g".to_owned() }
                .encode(),
            _ => receipt_key(message, dice.below(members)),
        };
        let bytes = [0, 30, 90, 3_000][usize::try_from(dice.below(4)).unwrap()];
        (key, vec![u8::try_from(dice.below(256)).unwrap(); bytes])
    };
    (0..1 + dice.below(20)).map(|_| entry(dice)).collect()
}

fn commit(store: &Store, puts: Entries, digest: Digest, sequence: u64) {
    let changes = Changes { puts, digest, groups: BTreeMap::new() };
    let progress = v1::Progress { sequence, digest: digest.to_bytes().to_vec().into(), ..Default::default() };
    store.commit_with(&changes, &[], &Outbox::default(), progress).unwrap();
}

fn digest(entries: &Entries) -> Digest {
    entries.iter().fold(Digest::default(), |sum, (key, value)| sum.plus(Digest::of(key, value)))
}

fn all(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let view = store.view().unwrap();
    let entries = view.entries().unwrap().map(Result::unwrap);
    entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Keys and lengths of the database's pages.
fn pages(store: &Store) -> Vec<(Vec<u8>, usize, usize)> {
    let inner = store.inner.read().unwrap();
    let found = inner.as_ref().unwrap().db.iter().map(Result::unwrap);
    let receipts = found.filter(|(key, _)| receipt_of(key).is_some());
    receipts
        .map(|(key, value)| {
            let page = Page::read(3, &key, value).unwrap();
            let bytes = page.entries.iter().map(|entry| entry.rest.len() + entry.value.len()).sum();
            (key.to_vec(), page.entries.len(), bytes)
        })
        .collect()
}

#[test]
fn whatever_is_put_is_found_by_key_and_in_order_of_keys() {
    for seed in 0..40 {
        let folder = Folder::new();
        let partition = folder.open(3);
        let store = &partition.store;
        let mut dice = Dice(seed);
        let mut expected = Entries::new();
        for sequence in 1..20 {
            let puts = some(&mut dice, 1 + seed * 4);
            expected.extend(puts.clone());
            commit(store, puts, digest(&expected), sequence);
        }
        let entries: Vec<_> = expected.clone().into_iter().collect();
        assert_eq!(all(store), entries, "seed {seed}");
        store.verify().unwrap();
        let view = store.view().unwrap();
        for member in 0..=1 + seed * 4 {
            for message in ["m", "m.1", "m\0", "m\0\u{1}", "none"] {
                let key = receipt_key(message, member);
                assert_eq!(view.bytes(&key).unwrap().as_ref(), expected.get(&key), "seed {seed}");
            }
        }
        for message in ["m", "m.1", "m\0", "m\0\u{1}", "none"] {
            let prefix = Prefix::Receipts { message: message.to_owned() }.encode();
            let under = view.walk_under(prefix.clone(), None).unwrap().map(|entry| entry.unwrap().0.to_vec());
            let expected = expected.keys().filter(|key| key.starts_with(&prefix)).cloned();
            assert_eq!(under.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "seed {seed}, {message:?}");
        }
    }
}

#[test]
fn a_page_is_cut_when_it_grows_too_long_and_what_eight_members_did_has_room_in_one() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let puts = |members: std::ops::Range<u64>| members.map(|n| (receipt_key("m", n), vec![7; 150])).collect();
    let mut there: Entries = puts(0..8);
    commit(&partition.store, there.clone(), digest(&there), 1);
    assert_eq!(pages(&partition.store).len(), 1);
    // At once, and one by one.
    let more: Entries = puts(8..500);
    there.extend(more.clone());
    commit(&partition.store, more, digest(&there), 2);
    for (sequence, member) in (3..).zip([1_000, 700, 900, 800, 701]) {
        let more: Entries = puts(member..member + 1);
        there.extend(more.clone());
        commit(&partition.store, more, digest(&there), sequence);
    }
    let pages = pages(&partition.store);
    assert!(pages.iter().all(|(_, _, bytes)| *bytes <= PAGE_BYTES + 200), "{pages:?}");
    assert!(pages.len() < 80, "{} pages", pages.len());
    assert_eq!(all(&partition.store), there.into_iter().collect::<Vec<_>>());
}

#[test]
fn how_entries_came_is_not_told() {
    let folders = [Folder::new(), Folder::new()];
    let stores = folders.each_ref().map(|folder| folder.open(3));
    let entries: Entries = (0..100).map(|n| (receipt_key("m", n), vec![1; 100])).collect();
    commit(&stores[0].store, entries.clone(), digest(&entries), 100);
    let mut so_far = Digest::default();
    for (sequence, (key, value)) in (1..).zip(entries.iter().rev()) {
        so_far = so_far.plus(Digest::of(key, value));
        commit(&stores[1].store, [(key.clone(), value.clone())].into(), so_far, sequence);
    }
    let [once, one_by_one] = stores.each_ref().map(|partition| &partition.store);
    assert_ne!(pages(once), pages(one_by_one), "they were cut elsewhere");
    assert_eq!(all(once), all(one_by_one));
    let kept = [once, one_by_one].map(|store| digest_of(&store.view().unwrap().progress()).unwrap());
    assert_eq!(kept[0], kept[1]);
    stores.iter().for_each(|partition| partition.store.verify().unwrap());
}

#[test]
fn a_page_that_is_out_of_order_or_has_what_is_anothers_is_damage() {
    let rest = |n| receipt_of(&receipt_key("m", n)).unwrap().1.to_vec();
    let entry = |n| v1::PageEntry { rest: rest(n).into(), value: vec![1].into() };
    let common = receipt_of(&receipt_key("m", 0)).unwrap().0.to_vec();
    let read = |begin: &[u8], end: Option<u64>, members: &[u64]| {
        let end = end.map(|end| rest(end).into());
        let page = v1::Page { end, entries: members.iter().map(|n| entry(*n)).collect() };
        Page::read(3, &[&common, begin].concat(), frame::encode(&page).into())
    };
    assert_eq!(read(&[], Some(9), &[1, 2, 8]).unwrap().entries.len(), 3);
    assert_eq!(read(&rest(1), None, &[1, 2]).unwrap().entries.len(), 2);
    for damaged in [
        read(&[], None, &[2, 1]),
        read(&[], None, &[1, 1]),
        read(&[], Some(2), &[1, 2]),
        read(&rest(2), None, &[1, 2]),
        Page::read(3, &common, IVec::from(b"page")),
        Page::read(3, b"r", frame::encode(&v1::Page::default()).into()),
    ] {
        assert!(damaged.unwrap_err().is_damage());
    }
}

#[test]
fn a_page_that_is_missing_is_damage_and_not_an_entry_that_never_was() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let entries: Entries = (0..100).map(|n| (receipt_key("m", n), vec![1; 100])).collect();
    commit(&partition.store, entries.clone(), digest(&entries), 1);
    let pages = pages(&partition.store);
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    let view = partition.store.view().unwrap();
    let last = pages.len() - 1;
    // By key what is in the first page cannot be told from what never was.
    for (missing, is_noticed) in [(0, false), (2, true), (last, true)] {
        let (key, members, _) = &pages[missing];
        let page = db.remove(key).unwrap().unwrap();
        let found = entries.keys().map(|key| view.bytes(key));
        let (there, gone): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
        let expected = if is_noticed { *members } else { 0 };
        assert_eq!((there.len(), gone.len()), (100 - expected, expected), "{missing}");
        assert!(gone.into_iter().all(|gone| gone.unwrap_err().is_damage()), "{missing}");
        let (there, gone): (Vec<_>, Vec<_>) = view.entries().unwrap().partition(Result::is_ok);
        assert_eq!((there.len(), gone.len()), (100 - members, 1), "{missing}");
        assert!(gone.into_iter().all(|gone| gone.unwrap_err().is_damage()), "{missing}");
        db.insert(key, page).unwrap();
        assert_eq!(all(&partition.store).len(), 100, "{missing}");
    }
}
