use std::fs;
use std::sync::mpsc;

use groupfold_fold::entry::{Key, Source as _};

use super::*;
use crate::testing::{Folder, created, joined, put};

mod damage;
mod errors;

fn names(folder: &Folder) -> Vec<String> {
    let entry = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder.path()).unwrap().map(entry).collect();
    names.sort();
    names
}

fn aside(folder: &Folder) -> usize {
    names(folder).iter().filter(|name| name.starts_with("3.damaged-")).count()
}

fn subject(store: &Store) -> Option<String> {
    let view = store.view().unwrap();
    groupfold_fold::view::group(&view, "G").unwrap().and_then(|group| group.subject)
}

#[test]
fn a_store_opened_again_has_its_entries_and_its_position() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first"), joined("G", 2, "1")]);
    let before = partition.store.view().unwrap().progress();
    drop(partition);
    assert_eq!(fs::read(folder.path().join("3/closed")).unwrap(), b"2", "it was closed in order");
    let store = Store::open(folder.settings(3)).unwrap();
    assert_eq!(store.view().unwrap().progress(), before);
    assert_eq!((before.sequence, before.stream.as_str()), (2, "GROUPFOLD_EVENTS_3"));
    assert_eq!(subject(&store).as_deref(), Some("first"));
    assert_eq!(aside(&folder), 0);
}

#[test]
fn a_store_closed_once_is_not_read_and_can_be_opened_by_another() {
    let folder = Folder::new();
    let first = Store::open(folder.settings(3)).unwrap();
    assert!(matches!(Store::open(folder.settings(3)), Err(Error::Locked { .. })));
    first.close();
    assert!(matches!(first.view(), Err(Error::Closed { partition: 3 })));
    Store::open(folder.settings(3)).unwrap();
}

/// Holds what another one waits for until that would long have been refused, were it not to wait.
fn held_for_a_while<T: Send>(wait: impl FnOnce() -> T + Send, let_go: impl FnOnce()) -> T {
    std::thread::scope(|scope| {
        let waits = scope.spawn(wait);
        for _ in 0..10_000 {
            if waits.is_finished() {
                break;
            }
            std::thread::yield_now();
        }
        let_go();
        waits.join().unwrap()
    })
}

#[test]
fn what_a_dying_process_or_a_thread_still_holds_is_waited_for() {
    let folder = Folder::new();
    let dying = Store::open(folder.settings(3)).unwrap();
    let next = held_for_a_while(|| Store::open(folder.settings(3)), || dying.close()).unwrap();
    let db = next.inner.read().unwrap().as_ref().unwrap().db.clone();
    held_for_a_while(|| next.reopen(), || drop(db)).unwrap();
    assert_eq!(aside(&folder), 0);
}

#[test]
fn a_file_that_the_machine_refuses_is_neither_damaged_nor_in_use() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path().join("3/db")).unwrap();
    let refused = Store::open(folder.settings(3)).unwrap_err();
    assert!(matches!(refused, Error::Database { .. }), "{refused}");
    assert_eq!(aside(&folder), 0);
}

#[test]
fn a_half_written_snapshot_is_removed() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    drop(partition);
    let half = folder.path().join("3/snap.0000000000000001.generating");
    let other = folder.path().join("3/other.generating");
    fs::write(&half, b"half").unwrap();
    fs::write(&other, b"other").unwrap();
    let store = Store::open(folder.settings(3)).unwrap();
    assert!(!half.exists() && other.exists());
    assert_eq!((subject(&store).as_deref(), aside(&folder)), (Some("first"), 0));
}

#[test]
fn another_version_and_another_shape_are_refused() {
    let folder = Folder::new();
    assert_eq!(marker(folder.path()).unwrap(), None);
    Store::check_format(folder.path(), 8).unwrap();
    Store::check_format(folder.path(), 8).unwrap();
    let kept = Marker { version: VERSION.to_owned(), partitions: Some(8) };
    assert_eq!(marker(folder.path()).unwrap(), Some(kept));
    assert_eq!(names(&folder), ["FORMAT"]);
    let other = Store::check_format(folder.path(), 4).unwrap_err();
    assert!(matches!(other, Error::OtherPartitions { expected: 4, found: 8, .. }), "{other}");
    let format = folder.path().join("FORMAT");
    fs::write(&format, "version = 1\npartitions = 8\n").unwrap();
    let unknown = Store::check_format(folder.path(), 8).unwrap_err();
    assert!(unknown.to_string().contains("says version \"1\", this build reads version 2"), "{unknown}");
    fs::write(&format, "version = 2\npartitions = x\n").unwrap();
    let unknown = Store::check_format(folder.path(), 8).unwrap_err();
    assert!(matches!(unknown, Error::UnknownVersion { .. }), "{unknown}");
    assert_eq!(marker(folder.path()).unwrap().unwrap().partitions, None);

    // A marker that is there and cannot be read is not one that is missing.
    fs::remove_file(&format).unwrap();
    fs::create_dir(&format).unwrap();
    assert!(matches!(Store::check_format(folder.path(), 8), Err(Error::Io { doing: "read", .. })));
    assert!(marker(folder.path()).is_err() && format.is_dir());
}

#[test]
fn nobody_reads_a_batch_before_it_is_on_the_device() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);

    // A reader with a view keeps the writer out: what it derives belongs to one position.
    let view = partition.store.view().unwrap();
    let (tell, told) = mpsc::channel();
    let writer = std::thread::spawn({
        let partition = partition.clone();
        move || {
            put(&partition, &[joined("G", 2, "1")]);
            tell.send(()).unwrap();
        }
    });
    let window = Key::Head { group: "G".to_owned() };
    for _ in 0..1000 {
        assert_eq!(view.sequence(), 1);
        assert!(view.get(&window).unwrap().is_some());
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));
    }
    drop(view);
    writer.join().unwrap();
    assert_eq!(partition.store.view().unwrap().sequence(), 2);
}

#[test]
fn a_commit_that_failed_half_way_closes_the_store() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    // What a failed sync leaves behind: memory ahead of the device.
    partition.store.inner.write().unwrap().as_mut().unwrap().standing = Standing::Ahead;
    assert!(matches!(partition.store.view(), Err(Error::Closed { .. })));
    let more = partition.store.commit(&Default::default(), &[], v1::Progress::default());
    assert!(matches!(more, Err(Error::Closed { .. })));
    // Opened anew it is where it was, and takes writes.
    assert_eq!(partition.store.reopen().unwrap().sequence, 1);
    put(&partition, &[joined("G", 2, "1")]);
    assert_eq!(partition.store.view().unwrap().sequence(), 2);

    partition.store.inner.write().unwrap().as_mut().unwrap().standing = Standing::Ahead;
    drop(partition);
    assert!(!folder.path().join("3/closed").exists(), "where it was is not known");
    assert_eq!(Store::open(folder.settings(3)).unwrap().view().unwrap().sequence(), 2);
}

#[test]
fn a_store_keeps_the_version_of_the_fold_that_it_was_begun_with() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    assert_eq!(partition.store.fold_version().unwrap(), groupfold_fold::VERSION);
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    db.insert(FOLD_KEY, &7_u32.to_be_bytes()).unwrap();
    put(&partition, &[joined("G", 2, "1")]);
    assert_eq!(partition.store.fold_version().unwrap(), 7, "what is there already was folded so");
}

#[test]
fn groups_are_read_by_id_from_any_place() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &["b", "a", "c", "a\u{0}"].map(|group| created(group, 1, "x")));
    let view = partition.store.view().unwrap();
    let ids = |after| view.heads_after(after).unwrap().map(|head| head.unwrap().0).collect::<Vec<_>>();
    assert_eq!(ids(None), ["a", "a\u{0}", "b", "c"]);
    assert_eq!(ids(Some("a")), ["a\u{0}", "b", "c"]);
    assert_eq!(ids(Some("bb")), ["c"]);
}

#[test]
fn all_groups_are_visited_with_the_account_they_are_of() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &["b", "a"].map(|group| created(group, 1, "x")));
    let mut visited = Vec::new();
    let view = partition.store.view().unwrap();
    view.groups(&mut |group, account| visited.push((group, account.to_owned()))).unwrap();
    assert_eq!(visited, ["a", "b"].map(|group| (group.to_owned(), "WABA".to_owned())));
}

#[test]
fn commands_are_read_from_any_place_back() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let mut changes = groupfold_fold::apply::Changes::default();
    for command in ["c1", "c2", "c3"] {
        let state = v1::CommandState {
            message_id: Some(v1::TextRegister { value: Some(command.to_owned()), stamp: None }),
            ..Default::default()
        };
        let value = groupfold_fold::entry::Value::Command(Box::new(state));
        changes.puts.insert(Key::Command { command: command.to_owned() }.encode(), value.encode());
    }
    partition.store.commit(&changes, &[], v1::Progress::default()).unwrap();
    let view = partition.store.view().unwrap();
    let read = |before: Option<&str>, most| {
        let found = view.commands_before(before, most).unwrap();
        let id = |(id, state): (String, v1::CommandState)| {
            assert_eq!(state.message_id.unwrap().value.unwrap(), id);
            id
        };
        found.into_iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(read(None, 2), ["c3", "c2"]);
    assert_eq!(read(Some("c3"), 9), ["c2", "c1"]);
    assert_eq!(read(Some("c1"), 9), [""; 0]);
}

fn group_digests(store: &Store, groups: &[&str]) -> Vec<Digest> {
    let view = store.view().unwrap();
    groups.iter().map(|group| view.group_digest(group).unwrap()).collect()
}

#[test]
fn the_digest_of_a_group_is_that_of_its_events_in_any_order_and_any_batches() {
    let groups = ["G", "H", "I"];
    let of = |n: i64| groups[usize::try_from(n % 3).unwrap()];
    let mut records: Vec<v1::Record> = (0..60).map(|n| joined(of(n), n % 7, &(n % 11).to_string())).collect();
    records.push(created("H", 3, "subject"));
    let mut expected = Vec::new();
    for (cut, turn) in [(1, 0), (7, 13), (100, 31)] {
        let folder = Folder::new();
        let partition = folder.open(3);
        records.rotate_left(turn);
        let mut twice = records.clone();
        twice.extend(records.iter().rev().cloned());
        twice.chunks(cut).for_each(|batch| put(&partition, batch));
        let found = group_digests(&partition.store, &groups);
        assert!(found.iter().all(|digest| *digest != Digest::default()) && found[0] != found[1]);
        expected.push(found);
    }
    assert!(expected.windows(2).all(|pair| pair[0] == pair[1]), "{expected:?}");
}

#[test]
fn digests_of_groups_that_do_not_add_up_are_damage() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first"), joined("G", 2, "1"), created("H", 1, "other")]);
    let store = &partition.store;
    let db = store.inner.read().unwrap().as_ref().unwrap().db.clone();
    store.verify().unwrap();
    // What is still to be published is no part of the state, but must be readable.
    db.insert(b"O\x01", b"x").unwrap();
    assert!(store.verify().unwrap_err().is_damage());
    db.remove(b"O\x01").unwrap();
    store.verify().unwrap();
    db.insert(b"DG", &[7; 16]).unwrap();
    assert!(store.verify().unwrap_err().is_damage());
}
