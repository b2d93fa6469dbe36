use std::fs;
use std::sync::mpsc;

use groupfold_fold::entry::{Key, Source as _};

use super::*;
use crate::testing::{Folder, created, joined, put};

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

#[test]
fn a_half_written_snapshot_is_removed() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    drop(partition);
    let half = folder.path().join("3/snap.0000000000000001.generating");
    fs::write(&half, b"half").unwrap();
    let store = Store::open(folder.settings(3)).unwrap();
    assert!(!half.exists());
    assert_eq!((subject(&store).as_deref(), aside(&folder)), (Some("first"), 0));
}

#[test]
fn a_damaged_mark_of_closing_keeps_no_store_from_opening() {
    for mark in [b"".as_slice(), b"\xb1", b"x", b"1\xff"] {
        let folder = Folder::new();
        let partition = folder.open(3);
        put(&partition, &[created("G", 1, "first")]);
        partition.store.close();
        drop(partition);
        let closed = folder.path().join("3/closed");
        assert_eq!(fs::read(&closed).unwrap(), b"1");
        fs::write(&closed, mark).unwrap();
        let store = Store::open(folder.settings(3)).unwrap();
        assert_eq!((subject(&store).as_deref(), aside(&folder)), (Some("first"), 0), "{mark:?}");
    }
}

/// Opens what a damage left, and tells sequence and number of stores set aside. Whatever position comes
/// up, the entries must be those of the records up to it.
fn opened_after(records: &[v1::Record], damage: impl Fn(&mut Vec<u8>)) -> (usize, usize) {
    let folder = Folder::new();
    let partition = folder.open(3);
    for record in records {
        put(&partition, std::slice::from_ref(record));
    }
    drop(partition);
    let db = folder.path().join("3/db");
    let mut bytes = fs::read(&db).unwrap();
    damage(&mut bytes);
    fs::write(&db, bytes).unwrap();

    let partition = folder.open(3);
    let view = partition.store.view().unwrap();
    let sequence = usize::try_from(view.sequence()).unwrap();
    let mut memory = Memory::default();
    memory.apply(&records[..sequence]).unwrap();
    let keys: Vec<Vec<u8>> = memory.0.keys().cloned().collect();
    drop(view);
    assert_eq!(partition.store.load(&keys).unwrap(), memory);
    (sequence, aside(&folder))
}

#[test]
fn damage_anywhere_leaves_a_state_that_once_was_or_an_empty_one() {
    let records: Vec<v1::Record> = (0..40).map(|n| joined("G", n, &n.to_string())).collect();
    let used = |bytes: &[u8]| bytes.iter().rposition(|&b| b != 0).unwrap();
    let mut outcomes = Vec::new();
    for part in 0..16 {
        outcomes.push(opened_after(&records, |bytes| {
            let at = used(bytes) * part / 16;
            bytes[at] ^= 0x10;
        }));
        outcomes.push(opened_after(&records, |bytes| bytes.truncate(used(bytes) * part / 16)));
    }
    assert!(outcomes.iter().any(|(sequence, _)| *sequence < 40), "{outcomes:?}");
}

#[test]
fn a_position_that_cannot_be_read_is_damage() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    db.insert(PROGRESS_KEY, b"x").unwrap();
    db.flush().unwrap();
    drop((db, partition));
    let store = Store::open(folder.settings(3)).unwrap();
    assert_eq!((store.view().unwrap().sequence(), aside(&folder)), (0, 1));
    drop(store);
    // The store that took its place works.
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "again")]);
    assert_eq!(subject(&partition.store).as_deref(), Some("again"));
}

#[test]
fn an_entry_that_the_digest_does_not_know_is_damage() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let key = Key::Head { group: "other".to_owned() }.encode();
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    partition.store.verify().unwrap();
    db.insert(key, b"x").unwrap();
    db.flush().unwrap();
    assert!(partition.store.verify().unwrap_err().is_damage());
    drop((db, partition));
    let store = Store::open(folder.settings(3)).unwrap();
    assert_eq!((store.view().unwrap().sequence(), aside(&folder)), (0, 1));
}

#[test]
fn damaged_stores_do_not_pile_up() {
    let folder = Folder::new();
    let store = Store::open(folder.settings(3)).unwrap();
    for number in 0..5 {
        // Names are milliseconds: the next one must differ.
        while folder.path().join(open::name_of_aside(3, jiff::Timestamp::now())).exists() {
            std::hint::spin_loop();
        }
        store.start_over(&Error::Closed { partition: number }).unwrap();
    }
    assert_eq!(aside(&folder), 3);
    assert_eq!(store.view().unwrap().sequence(), 0);
}

#[test]
fn the_name_of_a_damaged_store_can_be_read_in_a_log_and_sorts_by_time() {
    let at = |time: &str| open::name_of_aside(3, time.parse().unwrap());
    let name = at("2026-11-28T21:17:52.095Z");
    assert_eq!(name, "3.damaged-20261128T211752095Z");
    assert!(name < at("2026-11-28T21:17:52.1Z") && name.as_str() > "3.damaged-1795900672095");
}

#[test]
fn another_version_and_another_shape_are_refused() {
    let folder = Folder::new();
    Store::check_format(folder.path(), 8).unwrap();
    Store::check_format(folder.path(), 8).unwrap();
    let other = Store::check_format(folder.path(), 4).unwrap_err();
    assert!(matches!(other, Error::OtherPartitions { expected: 4, found: 8, .. }), "{other}");
    fs::write(folder.path().join("FORMAT"), "version = 2\npartitions = 8\n").unwrap();
    let unknown = Store::check_format(folder.path(), 8).unwrap_err();
    assert!(unknown.to_string().contains("says version \"2\", this build reads version 1"), "{unknown}");
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
    drop(partition);
    assert_eq!(Store::open(folder.settings(3)).unwrap().view().unwrap().sequence(), 1);
}

#[test]
fn a_failing_device_is_no_damage_but_garbage_is() {
    let full = sled::Error::Io(std::io::Error::from_raw_os_error(28));
    assert!(!database(3, full).is_damage());
    let cut = sled::Error::Io(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
    assert!(database(3, cut).is_damage());
    assert!(database(3, sled::Error::Corruption { at: None, bt: () }).is_damage());
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
fn digests_of_groups_are_written_where_an_earlier_build_kept_none_and_damage_where_they_do_not_add_up() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first"), joined("G", 2, "1"), created("H", 1, "other")]);
    let before = group_digests(&partition.store, &["G", "H"]);
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    for key in db.scan_prefix(b"D").keys() {
        db.remove(key.unwrap()).unwrap();
    }
    db.flush().unwrap();
    drop((db, partition));
    let store = Store::open(folder.settings(3)).unwrap();
    assert_eq!((group_digests(&store, &["G", "H"]), aside(&folder)), (before, 0));

    let db = store.inner.read().unwrap().as_ref().unwrap().db.clone();
    db.insert(b"DG", &[7; 16]).unwrap();
    db.flush().unwrap();
    assert!(store.verify().unwrap_err().is_damage());
}

/// A store whose disk is full is sound, and must not be set aside.
#[test]
fn a_full_disk_is_no_damage() {
    use std::io::{Error as Io, ErrorKind};
    let told_again =
        || sled::Error::Io(Io::new(ErrorKind::StorageFull, "Os { code: 28, kind: StorageFull }"));
    for error in [told_again(), sled::Error::Io(Io::from_raw_os_error(28))] {
        let error = database(0, error);
        assert!(error.may_pass() && error.is_full() && !error.is_damage(), "{error:?}");
    }
    let panic = panicked(0, "called unwrap on an Err: No space left on device".into());
    assert!(panic.may_pass() && panic.is_full() && !panic.is_damage());
    let failing = database(0, sled::Error::Io(Io::from_raw_os_error(5)));
    assert!(failing.may_pass() && !failing.is_full(), "{failing:?}");
    assert!(panicked(0, "index out of bounds".into()).is_damage());
    assert!(database(0, sled::Error::Io(Io::new(ErrorKind::InvalidData, "x"))).is_damage());
}
