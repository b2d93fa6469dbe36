use std::collections::BTreeMap;

use super::*;
use crate::testing::{Folder, created, joined, put};

/// A live store and one beside it of the same log, told apart by what is still to be published.
fn two(folder: &Folder, side: Side) -> (Settings, String) {
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first"), joined("G", 2, "1")]);
    let beside = crate::partition::Partition::new(live.store.open_beside(side, 16 << 20).unwrap()).unwrap();
    put(&beside, &[created("G", 1, "other")]);
    (folder.settings(3), "other".to_owned())
}

fn subject(settings: &Settings) -> Option<String> {
    shown(&Store::open(settings.clone()).unwrap())
}

fn shown(store: &Store) -> Option<String> {
    let view = store.view().unwrap();
    groupfold_fold::view::group(&view, "G").unwrap().and_then(|group| group.subject)
}

/// A swap, cut short after so many renames.
fn cut(settings: &Settings, side: Side, steps: u32) {
    let previous = settings.beside(Side::Previous);
    let steps_all: [&dyn Fn() -> Result<(), Error>; 5] = [
        &|| rename(&settings.folder(), &settings.out(side)),
        &|| rename(&settings.beside(side).folder(), &settings.folder()),
        &|| match previous.root.exists() {
            true => rename(&previous.root, &settings.discarded()),
            false => Ok(()),
        },
        &|| fs::create_dir_all(&previous.root).map_err(|source| io("create", &previous.root, source)),
        &|| rename(&settings.out(side), &previous.folder()),
    ];
    steps_all.iter().take(steps as usize).for_each(|step| step().unwrap());
}

#[test]
fn a_swap_cut_short_anywhere_is_finished_or_was_not_begun() {
    for side in [Side::Rebuild, Side::Previous] {
        for steps in 0..=5 {
            let folder = Folder::new();
            let (settings, other) = two(&folder, side);
            cut(&settings, side, steps);
            let found = subject(&settings);
            let expected = if steps == 0 { "first" } else { other.as_str() };
            assert_eq!(found.as_deref(), Some(expected), "{side:?} after {steps}");
            assert!(!settings.out(side).exists() && !settings.discarded().exists(), "{side:?} after {steps}");
            if steps > 0 {
                let previous = subject(&settings.beside(Side::Previous));
                assert_eq!(previous.as_deref(), Some("first"), "{side:?} after {steps}");
            }
        }
    }
}

/// An empty store was opened in the place of both, and the next start put the good one away for it.
#[test]
fn a_swap_that_failed_half_way_is_finished_by_the_process_that_goes_on() {
    for side in [Side::Rebuild, Side::Previous] {
        for steps in 1..=5 {
            let folder = Folder::new();
            let (settings, other) = two(&folder, side);
            let store = Store::open(settings.clone()).unwrap();
            store.rest();
            cut(&settings, side, steps);
            store.reopen().unwrap();
            assert!(!settings.out(side).exists(), "{side:?} after {steps}");
            drop(store);
            assert_eq!(subject(&settings), Some(other), "{side:?} after {steps}");
            let previous = subject(&settings.beside(Side::Previous));
            assert_eq!(previous.as_deref(), Some("first"), "{side:?} after {steps}");
        }
    }
}

#[test]
fn a_swap_that_fails_leaves_a_store_that_serves_again() {
    let folder = Folder::new();
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first")]);
    let beside =
        crate::partition::Partition::new(live.store.open_beside(Side::Rebuild, 16 << 20).unwrap()).unwrap();
    put(&beside, &[created("G", 1, "other")]);
    let settings = &live.store.settings;
    let (there, away) = (settings.beside(Side::Rebuild).folder(), settings.root.join("away"));
    std::fs::rename(&there, &away).unwrap();
    live.store.swap(Side::Rebuild, &beside.store, true).unwrap_err();
    assert_eq!(shown(&live.store).as_deref(), Some("first"));
    assert!(!settings.out(Side::Rebuild).exists());
}

/// An older store could take the place of one that had gone on, or what a commit had read of one be written into the other.
#[test]
fn a_store_that_is_not_as_far_as_the_live_one_or_is_further_is_not_swapped_in() {
    let records = [created("G", 1, "other"), joined("G", 2, "1"), joined("G", 3, "2")];
    for other in [1, 3] {
        let folder = Folder::new();
        let live = folder.open(3);
        put(&live, &[created("G", 1, "first"), joined("G", 2, "1")]);
        let beside = live.store.open_beside(Side::Rebuild, 16 << 20).unwrap();
        let beside = crate::partition::Partition::new(beside).unwrap();
        put(&beside, &records[..other]);
        let refused = live.store.swap(Side::Rebuild, &beside.store, true).unwrap_err();
        let found = other as u64;
        assert!(matches!(refused, Error::Apart { live: 2, other, .. } if other == found), "{refused}");
        assert_eq!(shown(&live.store).as_deref(), Some("first"));
        assert_eq!(shown(&beside.store).as_deref(), Some("other"), "it can be gone on with");
        assert!(live.store.has_beside(Side::Rebuild) && !live.store.has_beside(Side::Previous));
    }
}

/// It was told as failed, and finished later by whoever opened the store: who tried again took it back.
#[test]
fn a_swap_is_done_once_the_new_store_stands_and_another_one_waits_until_the_old_one_is_put_away() {
    let folder = Folder::new();
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first")]);
    let settings = &live.store.settings;
    std::fs::write(settings.discarded(), b"no folder").unwrap();
    for (name, expected) in [("second", Ok(())), ("third", Err("move out of the way"))] {
        let beside =
            crate::partition::Partition::new(live.store.open_beside(Side::Rebuild, 16 << 20).unwrap())
                .unwrap();
        put(&beside, &[created("G", 1, name)]);
        let swapped = live.store.swap(Side::Rebuild, &beside.store, true);
        let refused = swapped.map_err(|error| match error {
            Error::Io { doing, .. } => doing,
            error => panic!("{error}"),
        });
        assert_eq!(refused, expected, "{name}");
        assert_eq!(shown(&live.store).as_deref(), Some("second"), "{name}");
    }
    std::fs::remove_file(settings.discarded()).unwrap();
    live.store.reopen().unwrap();
    assert!(!settings.out(Side::Rebuild).exists());
    assert_eq!(subject(&settings.beside(Side::Previous)).as_deref(), Some("first"));
}

/// The store that is compared meanwhile has nothing to do with it.
#[test]
fn a_store_opened_anew_leaves_the_one_that_is_compared_with_it() {
    let folder = Folder::new();
    let (settings, _) = two(&folder, Side::Verify);
    let store = Store::open(settings).unwrap();
    let _beside = store.open_beside(Side::Verify, 16 << 20).unwrap();
    store.reopen().unwrap();
    assert!(store.has_beside(Side::Verify));
}

#[test]
fn what_a_swap_cannot_put_away_keeps_no_store_shut() {
    let folder = Folder::new();
    let (settings, other) = two(&folder, Side::Rebuild);
    let store = Store::open(settings.clone()).unwrap();
    store.rest();
    cut(&settings, Side::Rebuild, 2);
    std::fs::write(settings.discarded(), b"no folder").unwrap();
    store.reopen().unwrap();
    let view = store.view().unwrap();
    let group = groupfold_fold::view::group(&view, "G").unwrap();
    assert_eq!(group.and_then(|group| group.subject), Some(other));
}

#[test]
fn a_live_store_renamed_away_comes_back_where_nothing_can_take_its_place() {
    let folder = Folder::new();
    let (settings, _) = two(&folder, Side::Rebuild);
    cut(&settings, Side::Rebuild, 1);
    remove(&settings.beside(Side::Rebuild).folder()).unwrap();
    assert_eq!(subject(&settings).as_deref(), Some("first"));
}

#[test]
fn what_a_killed_comparison_left_is_removed_when_the_live_store_opens() {
    let folder = Folder::new();
    let (settings, _) = two(&folder, Side::Verify);
    assert!(settings.side(Side::Verify).is_dir());
    assert_eq!(subject(&settings).as_deref(), Some("first"));
    assert!(!settings.side(Side::Verify).exists());
}

#[test]
fn what_cannot_be_removed_is_told() {
    let folder = Folder::new();
    std::fs::write(folder.settings(3).discarded(), b"no folder").unwrap();
    let refused = Store::open(folder.settings(3)).unwrap_err();
    assert!(matches!(refused, Error::Io { doing: "remove", .. }), "{refused}");
}

#[test]
fn a_swap_keeps_the_old_store_and_reads_the_new_one() {
    let folder = Folder::new();
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first")]);
    for round in ["second", "third"] {
        let beside =
            crate::partition::Partition::new(live.store.open_beside(Side::Rebuild, 16 << 20).unwrap())
                .unwrap();
        put(&beside, &[created("G", 1, round)]);
        live.store.swap(Side::Rebuild, &beside.store, true).unwrap();
        let view = live.store.view().unwrap();
        let group = groupfold_fold::view::group(&view, "G").unwrap().unwrap();
        assert_eq!(group.subject.as_deref(), Some(round));
    }
    let previous = live.store.settings.beside(Side::Previous);
    assert_eq!(subject(&previous).as_deref(), Some("second"));
    assert!(!live.store.has_beside(Side::Rebuild));
}

#[test]
fn what_is_still_to_be_published_is_carried_over_and_what_the_other_one_had_is_not() {
    let folder = Folder::new();
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first"), joined("G", 2, "1")]);
    let outbox = |store: &Store| store.view().unwrap().outbox_after(Default::default(), 100).unwrap();
    let expected = outbox(&live.store);
    let beside =
        crate::partition::Partition::new(live.store.open_beside(Side::Rebuild, 16 << 20).unwrap()).unwrap();
    put(&beside, &[created("H", 1, "other"), joined("H", 2, "1")]);
    assert_ne!(outbox(&beside.store), expected);
    live.store.swap(Side::Rebuild, &beside.store, false).unwrap();
    assert!(matches!(live.store.view(), Err(Error::Closed { .. })), "at rest");
    live.store.wake().unwrap();
    assert_eq!(outbox(&live.store), expected);
    assert!(!live.store.has_beside(Side::Rebuild) && live.store.has_beside(Side::Previous));
    live.store.remove_beside(Side::Rebuild).unwrap();
    live.store.remove_beside(Side::Previous).unwrap();
    assert!(!live.store.has_beside(Side::Previous));
    assert_eq!(outbox(&live.store), expected);
}

#[test]
fn what_is_published_is_not_carried_over() {
    let folder = Folder::new();
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first"), joined("G", 2, "1")]);
    let outbox = |store: &Store| store.view().unwrap().outbox_after(Default::default(), 100).unwrap();
    let last = outbox(&live.store).last().map(groupfold_fold::change::mark_of).unwrap();
    live.feed.advanced(last, 0);
    put(&live, &[joined("G", 3, "2")]);
    let expected = outbox(&live.store);
    assert_eq!(live.store.parcels(), 2, "the published one is there still");
    let beside =
        crate::partition::Partition::new(live.store.open_beside(Side::Rebuild, 16 << 20).unwrap()).unwrap();
    put(&beside, &[created("G", 1, "first"), joined("G", 2, "1"), joined("G", 3, "2")]);
    live.store.swap(Side::Rebuild, &beside.store, true).unwrap();
    assert_eq!((live.store.parcels(), outbox(&live.store)), (1, expected));
}

#[test]
fn a_store_written_in_portions_has_no_digest_before_it_is_sealed() {
    let folder = Folder::new();
    let live = folder.open(3);
    put(&live, &[created("G", 1, "first"), joined("G", 2, "1")]);
    let (progress, entries) = {
        let view = live.store.view().unwrap();
        let entries = view.entries().unwrap().map(Result::unwrap);
        let entries: BTreeMap<_, _> = entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        (view.progress(), entries)
    };
    let digest = |store: &Store| store.view().unwrap().group_digest("G").unwrap();
    let whole = crate::store::digest_of(&progress).unwrap();
    // Sealed by what is known of an attempt that nothing cut short, or by what its entries add up to.
    for known in [Some(whole), None] {
        let beside = live.store.open_beside(Side::Rebuild, 16 << 20).unwrap();
        let unsealed = v1::Progress { digest: Default::default(), ..progress.clone() };
        let groups = [("G".to_owned(), digest(&live.store))].into();
        let changes = Changes { puts: entries.clone(), digest: whole, groups };
        beside.write_portion(changes, &[], unsealed).unwrap();
        assert!(beside.verify().unwrap_err().is_damage());
        beside.seal(known).unwrap();
        assert_eq!(beside.view().unwrap().progress(), progress);
        beside.verify().unwrap();
        assert_eq!(digest(&beside), digest(&live.store));
        drop(beside);
        live.store.remove_beside(Side::Rebuild).unwrap();
    }
}

/// A batch that ended between two pages of a message, and a crash after it: the rebuild could never be resumed.
#[test]
fn a_portion_cut_short_after_any_batch_has_of_each_message_all_pages_or_none() {
    use groupfold_fold::entry::Key;
    use groupfold_fold::identity::Alias;

    let receipt = |member: usize| {
        let alias = Alias::decode(&format!("w:{member:04}")).unwrap();
        Key::Receipt { message: "m".to_owned(), alias }.encode()
    };
    let message = |n: usize| Key::Message { message: format!("m{n:04}") }.encode();
    // Every second member was there before; the others come in a portion whose first batch is full at the first page.
    let before: BTreeMap<_, _> = (0..60).step_by(2).map(|member| (receipt(member), vec![1; 150])).collect();
    let heads = (0..BATCH_MAX - 1).map(|n| (message(n), vec![1]));
    let puts: BTreeMap<_, _> = heads.chain((0..60).map(|member| (receipt(member), vec![2; 150]))).collect();
    let portion = Changes { puts, ..Changes::default() };
    let mut cuts = 0;
    for batches in 0.. {
        let folder = Folder::new();
        let partition = folder.open(3);
        let store = &partition.store;
        let first = Changes { puts: before.clone(), ..Changes::default() };
        store.write_portion(first, &[], v1::Progress { sequence: 1, ..Default::default() }).unwrap();
        let db = store.inner.read().unwrap().as_ref().unwrap().db.clone();
        let mut left = batches;
        let cut = write_in_batches(3, &db, portion.puts.clone(), |batch| {
            left -= 1;
            if left < 0 {
                return Err(Error::Closed { partition: 3 });
            }
            db.apply_batch(batch).unwrap();
            Ok(())
        });
        let view = store.view().unwrap();
        let entries: BTreeMap<_, _> = view.entries().unwrap().map(Result::unwrap).collect();
        for key in portion.puts.keys() {
            let found = view.bytes(key).unwrap();
            assert_eq!(found.as_deref(), entries.get(&**key).map(|value| &**value), "{batches} batches");
        }
        drop(view);
        // Gone on with, it is all there.
        let progress = v1::Progress { sequence: 2, ..Default::default() };
        store
            .write_portion(Changes { puts: portion.puts.clone(), ..Changes::default() }, &[], progress)
            .unwrap();
        let view = store.view().unwrap();
        assert!(portion.puts.iter().all(|(key, value)| view.bytes(key).unwrap().as_ref() == Some(value)));
        if cut.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 2, "{cuts} batches");
}
