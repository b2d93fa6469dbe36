use groupfold_fold::entry::receipt_of;
use groupfold_schemas::change::Mark;
use groupfold_schemas::v1;

use super::super::Outbox;
use super::super::commit::writes;
use super::super::shadow::tests::{Dice, changes, leading_to, told};
use super::*;
use crate::testing::{Folder, created, put as put_records};

#[test]
fn a_commit_cut_short_at_any_write_comes_up_as_what_was_before_it() {
    let mut pages_cut = 0;
    for seed in 0..30 {
        let folder = Folder::new();
        let partition = folder.open(3);
        let store = &partition.store;
        let mut dice = Dice(seed);
        for sequence in 1..8 {
            let changes = changes(store, &mut dice);
            let mut outbox = Outbox::default();
            outbox.put(v1::Change { sequence, group_id: "a".into(), ..v1::Change::default() });
            if dice.below(2) == 0 {
                outbox.leave_out(Mark { sequence: sequence / 2, index: 0 });
            }
            let progress = leading_to(sequence, store, &outbox);
            let keys: Vec<Vec<u8>> = changes.puts.keys().cloned().collect();
            let before = told(store, &keys);
            let mut writes = writes(&[], &outbox, &progress);
            let shadow = store.noted(&mut writes, &changes).unwrap();
            let cut = usize::try_from(dice.below(writes.noted.len() as u64 + 1)).unwrap();
            {
                let inner = store.inner.read().unwrap();
                let open = inner.as_ref().unwrap();
                // Of a message that has a page already one more is made: what was in the one goes into two.
                let makes_page = |key: &Vec<u8>| {
                    let (common, begin) = receipt_of(key)?;
                    let is_new = !begin.is_empty() && open.db.get(key).unwrap().is_none();
                    (is_new && open.db.get(common).unwrap().is_some()).then_some(())
                };
                pages_cut += usize::from(cut > 0 && writes.noted.keys().find_map(makes_page).is_some());
                open.undo.begin(&shadow).unwrap();
                writes.noted = writes.noted.into_iter().take(cut).collect();
                writes.write(3, &open.db).unwrap();
            }
            store.rest();
            store.wake().unwrap();
            assert_eq!(told(store, &keys), before, "seed {seed}, {sequence}: cut after {cut} writes");

            store.commit_with(&changes, &[], &outbox, progress).unwrap();
            let after = told(store, &keys);
            assert_ne!(after, before, "seed {seed}, {sequence}");
            store.rest();
            store.wake().unwrap();
            assert_eq!(told(store, &keys), after, "seed {seed}, {sequence}: it came to its end");
        }
    }
    assert!(pages_cut > 20, "pages were cut in {pages_cut} commits that were taken back");
}

fn undo(folder: &Folder) -> (sled::Db, Undo) {
    let db = sled::open(folder.path().join("db")).unwrap();
    let undo = Undo::of(3, &db).unwrap();
    (db, undo)
}

/// Long values, so that they take several parts.
fn long(values: u8) -> Shadow {
    (0..values).map(|n| (vec![n], Some(vec![n; VALUE_BYTES_MAX - 100].into()))).collect()
}

#[test]
fn what_was_not_noted_to_the_end_is_of_a_commit_that_wrote_nothing() {
    let folder = Folder::new();
    let (db, undo) = undo(&folder);
    assert!(!undo.take_back(&db).unwrap());
    assert_eq!(undo.begin(&long(5)).unwrap(), 1);
    assert!(undo.get(&4_u32.to_be_bytes()).unwrap().is_some(), "five parts");
    let last = undo.tree.remove(4_u32.to_be_bytes()).unwrap().unwrap();
    assert!(!undo.take_back(&db).unwrap());
    assert!(db.is_empty());
    undo.tree.insert(4_u32.to_be_bytes(), last).unwrap();
    assert!(undo.take_back(&db).unwrap());
    assert_eq!(db.len(), 5);
    assert!(!undo.take_back(&db).unwrap(), "once");
}

#[test]
fn parts_of_a_longer_commit_before_do_not_count() {
    let folder = Folder::new();
    let (db, undo) = undo(&folder);
    let commit = undo.begin(&long(5)).unwrap();
    undo.end(commit).unwrap();
    assert!(!undo.take_back(&db).unwrap(), "it came to its end");
    assert_eq!(undo.begin(&Shadow::from([(b"k".to_vec(), None)])).unwrap(), 2);
    db.insert(b"k", b"new").unwrap();
    assert!(undo.take_back(&db).unwrap());
    assert!(db.is_empty(), "nothing was there before");
}

#[test]
fn damage_in_what_would_be_taken_back_is_found_when_it_opens() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put_records(&partition, &[created("G", 1, "first")]);
    {
        let inner = partition.store.inner.read().unwrap();
        let open = inner.as_ref().unwrap();
        open.undo.begin(&Shadow::default()).unwrap();
        open.undo.tree.insert(0_u32.to_be_bytes(), b"garbage").unwrap();
    }
    partition.store.rest();
    assert!(partition.store.wake().is_err_and(|error| error.is_damage()));
    assert_eq!(partition.store.reopen().unwrap().sequence, 0, "set aside, an empty one in its place");
}
