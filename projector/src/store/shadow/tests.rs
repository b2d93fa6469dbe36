use std::ops::RangeBounds as _;
use std::sync::atomic::{AtomicBool, Ordering};

use groupfold_fold::apply::{Changes, Contributions, Digest, Working};
use groupfold_fold::entry::{Key, Memory, Prefix, Source as _};
use groupfold_schemas::change::Mark;
use groupfold_schemas::v1;

use super::super::commit::writes;
use super::super::{Error, Outbox, Store, Writes, digest_of};
use super::*;
use crate::testing::{Folder, created, joined, put, receipt};

/// Chance that prints its seed with what it broke.
pub(in crate::store) struct Dice(pub(in crate::store) u64);

impl Dice {
    pub(in crate::store) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn records(dice: &mut Dice) -> Vec<v1::Record> {
    let group = |dice: &mut Dice| ["a", "b", "c", "d"][usize::try_from(dice.below(4)).unwrap()];
    let second = |dice: &mut Dice| i64::try_from(dice.below(40)).unwrap();
    let read = |group: &str, second, who: &str| {
        receipt(group, second, &format!("m.{group}"), v1::ReceiptStatus::Read, Some(who))
    };
    let record = |dice: &mut Dice| {
        let (group, second, who) = (group(dice), second(dice), dice.below(6).to_string());
        match dice.below(3) {
            0 => created(group, second, &who),
            1 => joined(group, second, &who),
            _ => read(group, second, &who),
        }
    };
    let mut records: Vec<_> = (0..1 + dice.below(6)).map(|_| record(dice)).collect();
    if dice.below(3) == 0 {
        // Many read one message: its page is cut, and those that it was cut into before.
        let (group, second) = (group(dice), second(dice));
        records.extend((0..40).map(|_| read(group, second, &dice.below(300).to_string())));
    }
    records
}

fn mark(sequence: u64) -> Mark {
    Mark { sequence, index: 0 }
}

/// All that a view can be asked, as text.
pub(in crate::store) fn told(store: &Store, keys: &[Vec<u8>]) -> String {
    let view = store.view().unwrap();
    let entries: Vec<_> = view.entries().unwrap().map(Result::unwrap).collect();
    let heads = |after| view.heads_after(after).unwrap().map(|head| head.unwrap().0).collect::<Vec<_>>();
    let messages = |after| view.messages_after(after).unwrap().map(|m| m.unwrap().0).collect::<Vec<_>>();
    let bytes: Vec<_> = keys.iter().map(|key| view.bytes(key).unwrap()).collect();
    let outbox = [0, 3, 9].map(|after| view.outbox_after(mark(after), 100).unwrap());
    let parcels = [4, 1_000].map(|last| view.outbox_up_to(mark(last)).unwrap());
    let unreadable = [0, 5].map(|after| view.unreadable_after(after, 10).unwrap());
    let commands = [None, Some("c.5")].map(|before| view.commands_before(before, 3).unwrap());
    let digests = ["a", "b", "c", "d"].map(|group| view.group_digest(group).unwrap());
    let under = view.scan(&Prefix::Receipts { message: "m.a".to_owned() }).unwrap();
    format!(
        "{entries:?} {:?} {:?} {:?} {:?} {bytes:?} {outbox:?} {parcels:?} {unreadable:?} {commands:?} {digests:?} {under:?} {:?}",
        heads(None),
        heads(Some("b")),
        messages(None),
        messages(Some("m.b")),
        view.progress()
    )
}

/// Where a commit leads to that leaves out what the outbox says, or has left it out before.
pub(in crate::store) fn leading_to(sequence: u64, store: &Store, outbox: &Outbox) -> v1::Progress {
    let left_out = outbox.left_out(&store.view().unwrap().progress());
    let (published_sequence, published_index) = (left_out.sequence, left_out.index);
    v1::Progress { sequence, published_sequence, published_index, ..v1::Progress::default() }
}

/// The changes that records make, with a few commands, over what the store has.
pub(in crate::store) fn changes(store: &Store, dice: &mut Dice) -> Changes {
    let contributions = Contributions::of(&records(dice));
    let keys: Vec<Vec<u8>> = contributions.keys().cloned().collect();
    let mut working = Working::over(store.load(&keys).unwrap());
    working.apply(contributions).unwrap();
    let mut changes = working.finish();
    let command = Key::Command { command: format!("c.{}", dice.below(9)) };
    let state = groupfold_fold::entry::Value::Command(Box::default());
    changes.puts.insert(command.encode(), state.encode());
    changes
}

#[test]
fn whatever_is_asked_the_answer_is_that_of_before_until_all_is_written() {
    for seed in 0..40 {
        let folder = Folder::new();
        let partition = folder.open(3);
        let store = &partition.store;
        let mut dice = Dice(seed);
        let mut parcels: Vec<Mark> = Vec::new();
        for sequence in 1..12 {
            let changes = changes(store, &mut dice);
            let mut outbox = Outbox::default();
            let change = v1::Change { sequence, group_id: "a".into(), ..v1::Change::default() };
            outbox.put(change);
            if !parcels.is_empty() && dice.below(2) == 0 {
                outbox.leave_out(parcels.remove(0));
            }
            parcels.push(mark(sequence));
            let unreadable = [v1::Unreadable { sequence, reason: "r".into() }];
            let progress = leading_to(sequence, store, &outbox);
            let keys: Vec<Vec<u8>> = changes.puts.keys().cloned().collect();

            let before = told(store, &keys);
            let mut writes = writes(&unreadable, &outbox, &progress);
            let shadow = store.noted(&mut writes, &changes).unwrap();
            let hidden = store.hide(shadow).unwrap();
            assert_eq!(told(store, &keys), before, "seed {seed}, {sequence}: nothing is written yet");
            store.write(writes).unwrap();
            assert_eq!(told(store, &keys), before, "seed {seed}, {sequence}: all is written");
            hidden.show(progress).unwrap();
            let after = told(store, &keys);
            assert_ne!(after, before, "seed {seed}, {sequence}");
            let there: Memory = store.load(&keys).unwrap();
            assert_eq!(there.0, changes.puts, "seed {seed}, {sequence}");
        }
    }
}

#[test]
fn readers_beside_a_writer_see_entries_that_add_up_to_the_digest_of_their_position() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let look = || {
            let (mut looks, mut last) = (0_u32, 0);
            while !over.load(Ordering::Relaxed) || looks == 0 {
                let view = partition.store.view().unwrap();
                let entries = view.entries().unwrap().map(Result::unwrap);
                let sum =
                    entries.fold(Digest::default(), |sum, (key, value)| sum.plus(Digest::of(&key, &value)));
                let progress = view.progress();
                assert_eq!(sum, digest_of(&progress).unwrap(), "at {}", progress.sequence);
                assert!(progress.sequence >= last, "never back");
                (looks, last) = (looks + 1, progress.sequence);
            }
            looks
        };
        let readers = [scope.spawn(look), scope.spawn(look)];
        let mut dice = Dice(7);
        for _ in 0..150 {
            put(&partition, &records(&mut dice));
        }
        over.store(true, Ordering::Relaxed);
        readers.map(|reader| reader.join().unwrap())
    });
    assert!(looks.iter().all(|looks| *looks > 0), "{looks:?}");
}

#[test]
fn a_batch_that_is_not_shown_closes_the_store() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("a", 1, "first")]);
    drop(partition.store.hide(Shadow::default()).unwrap());
    assert!(matches!(partition.store.view(), Err(Error::Closed { .. })));
}

#[test]
fn between_any_two_bounds_both_ways_stands_what_was() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    let before: BTreeMap<Vec<u8>, IVec> = ["a", "c", "e"].map(|key| (key.into(), "old".into())).into();
    for (key, value) in &before {
        db.insert(key, value).unwrap();
    }
    // One is changed, one goes, one is new, one is written and stays as it was.
    let mut writes = Writes::default();
    writes.put(b"a", "new");
    writes.remove(b"c");
    writes.put(b"d", "new");
    writes.put(b"e", "old");
    let shadow = writes.shadow(3, &db).unwrap();
    writes.write(3, &db).unwrap();
    let keys = ["`", "a", "b", "c", "d", "e", "f"].map(|key| key.as_bytes().to_vec());
    let mut bounds = vec![Bound::Unbounded];
    bounds.extend(keys.iter().flat_map(|key| [Bound::Included(key.clone()), Bound::Excluded(key.clone())]));
    for between in bounds.iter().flat_map(|from| bounds.iter().map(|to| (from.clone(), to.clone()))) {
        let within = before.iter().filter(|(key, _)| between.contains(*key));
        let mut expected: Vec<_> = within.map(|(key, value)| (IVec::from(&key[..]), value.clone())).collect();
        let found: Vec<_> = walk(&db, &shadow, between.clone()).map(Result::unwrap).collect();
        assert_eq!(found, expected, "{between:?}");
        expected.reverse();
        let found: Vec<_> = walk_back(&db, &shadow, between.clone()).map(Result::unwrap).collect();
        assert_eq!(found, expected, "{between:?} backwards");
    }
}
