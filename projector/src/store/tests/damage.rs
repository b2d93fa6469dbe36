//! What comes up damaged is noticed and set aside.

use super::*;

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

#[test]
fn a_store_that_comes_up_before_where_it_was_closed_is_damaged() {
    for (mark, sound) in [("0", true), ("2", true), ("3", false)] {
        let folder = Folder::new();
        let partition = folder.open(3);
        put(&partition, &[created("G", 1, "first"), joined("G", 2, "1")]);
        drop(partition);
        let closed = folder.path().join("3/closed");
        fs::write(&closed, mark).unwrap();
        let store = Store::open(folder.settings(3)).unwrap();
        let found = (store.view().unwrap().sequence(), aside(&folder));
        assert_eq!(found, if sound { (2, 0) } else { (0, 1) }, "{mark}");
        assert!(!closed.exists(), "it counts until the store is open again");
        drop(store);
        // A mark that cannot be read may say anything.
        fs::remove_file(&closed).unwrap();
        fs::create_dir(&closed).unwrap();
        let refused = Store::open(folder.settings(3)).unwrap_err();
        assert!(matches!(refused, Error::Io { doing: "read", .. }), "{refused}");
    }
}

/// Opens what a damage left of a closed store, and tells sequence and number of stores set aside. Whatever position comes
/// up, the entries must be those of the records up to it.
fn opened_after(closed: &Folder, records: &[v1::Record], damage: impl Fn(&mut Vec<u8>)) -> (usize, usize) {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("3")).unwrap();
    for entry in fs::read_dir(closed.path().join("3")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), folder.path().join("3").join(entry.file_name())).unwrap();
        }
    }
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
    let closed = Folder::new();
    let partition = closed.open(3);
    records.iter().for_each(|record| put(&partition, std::slice::from_ref(record)));
    drop(partition);
    let used = |bytes: &[u8]| bytes.iter().rposition(|&b| b != 0).unwrap();
    let mut outcomes = Vec::new();
    for part in 0..16 {
        outcomes.push(opened_after(&closed, &records, |bytes| {
            let at = used(bytes) * part / 16;
            bytes[at] ^= 0x10;
        }));
        outcomes.push(opened_after(&closed, &records, |bytes| bytes.truncate(used(bytes) * part / 16)));
    }
    assert_eq!(opened_after(&closed, &records, |_| ()), (40, 0));
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
fn entries_without_a_position_are_damage() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    db.remove(PROGRESS_KEY).unwrap();
    db.flush().unwrap();
    drop((db, partition));
    fs::remove_file(folder.path().join("3/closed")).unwrap();
    assert!(Store::open_as_is(folder.settings(3)).unwrap_err().is_damage());
    let store = Store::open(folder.settings(3)).unwrap();
    assert_eq!((store.view().unwrap().sequence(), aside(&folder)), (0, 1));
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

/// Nobody reads it any more.
#[test]
fn a_published_parcel_that_cannot_be_read_sets_no_store_aside() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let progress =
        v1::Progress { sequence: 9, published_sequence: 8, published_index: 7, ..Default::default() };
    partition.store.commit(&Default::default(), &[], progress).unwrap();
    let db = partition.store.inner.read().unwrap().as_ref().unwrap().db.clone();
    let key = |index: u8| [b"O".as_slice(), &8_u64.to_be_bytes(), &[0, 0, 0, index]].concat();
    db.insert(key(7), b"x").unwrap();
    partition.store.verify().unwrap();
    db.insert(key(8), b"x").unwrap();
    assert!(partition.store.verify().unwrap_err().is_damage(), "that one waits");
    db.remove(key(8)).unwrap();
    db.flush().unwrap();
    drop((db, partition));
    let store = Store::open(folder.settings(3)).unwrap();
    assert_eq!((store.view().unwrap().sequence(), aside(&folder)), (9, 0));
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
fn a_store_that_is_gone_can_be_started_over() {
    let folder = Folder::new();
    let store = Store::at_rest(folder.settings(3)).unwrap();
    store.start_over(&Error::Closed { partition: 3 }).unwrap();
    assert_eq!((store.view().unwrap().sequence(), aside(&folder)), (0, 0));
}

#[test]
fn the_name_of_a_damaged_store_can_be_read_in_a_log_and_sorts_by_time() {
    let at = |time: &str| open::name_of_aside(3, time.parse().unwrap());
    let name = at("2026-11-28T21:17:52.095Z");
    assert_eq!(name, "3.damaged-20261128T211752095Z");
    assert!(name < at("2026-11-28T21:17:52.1Z") && name.as_str() > "3.damaged-1795900672095");
}
