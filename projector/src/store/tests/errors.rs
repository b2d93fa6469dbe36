//! What an error means for a store: damage, a machine that refuses, or neither.

use groupfold_fold::apply::Changes;

use super::*;

#[test]
fn a_failing_device_is_no_damage_but_garbage_is() {
    let full = sled::Error::Io(std::io::Error::from_raw_os_error(28));
    assert!(!database(3, full).is_damage());
    let cut = sled::Error::Io(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
    assert!(database(3, cut).is_damage());
    assert!(database(3, sled::Error::Corruption { at: None, bt: () }).is_damage());
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

#[test]
fn whose_store_it_is_is_told_where_it_is_known_and_what_may_pass_is_neither_damage_nor_a_lock() {
    let path = std::path::PathBuf::from("x");
    let source = || -> Cause { "x".into() };
    let io = Error::Io { doing: "sync", path: path.clone(), source: std::io::ErrorKind::Other.into() };
    let of_a_folder = [
        Error::Locked { path: path.clone() },
        Error::UnknownVersion { path: path.clone(), found: "2".into() },
        Error::OtherPartitions { path, expected: 8, found: 4 },
    ];
    let lasting =
        [Error::Damaged { partition: 3, source: source() }, Error::Apart { partition: 3, live: 2, other: 1 }];
    for error in of_a_folder.iter().chain(&lasting) {
        assert!(!error.may_pass() && !error.is_full(), "{error}");
    }
    let passing = [Error::Database { partition: 3, source: source() }, Error::Closed { partition: 3 }];
    for error in passing.iter().chain([&io]) {
        assert!(error.may_pass() && !error.is_damage(), "{error}");
    }
    for error in passing.iter().chain(&lasting) {
        assert_eq!(error.partition(), Some(3), "{error}");
    }
    for error in of_a_folder.iter().chain([&io]) {
        assert_eq!(error.partition(), None, "{error}");
    }
}

#[test]
fn an_entry_that_is_too_long_is_refused_by_every_way_of_writing() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let store = &partition.store;
    let entry = |len| Changes { puts: [(b"hG".to_vec(), vec![0; len])].into(), ..Changes::default() };
    let (at, long) = (|sequence| v1::Progress { sequence, ..Default::default() }, entry(VALUE_BYTES_MAX + 1));
    for refused in
        [store.commit(&long, &[], at(1)), store.write_portion(entry(VALUE_BYTES_MAX + 1), &[], at(1))]
    {
        let refused = refused.unwrap_err();
        assert!(refused.is_damage() && chain(&refused).contains("32769 bytes"), "{refused:?}");
    }
    store.commit(&entry(VALUE_BYTES_MAX), &[], at(1)).unwrap();
    assert_eq!(store.view().unwrap().sequence(), 1);
}
