//! Exports and replays that meet another process, or another log.

use std::fs::File;

use super::{World, said};

/// Two wrote over each other's files, and one of them called that complete.
#[tokio::test]
async fn two_exports_to_one_path_do_not_run_at_the_same_time() {
    let world = World::with_events("60").await;
    let lock = world.scratch.path().join(".events.lock");
    let other = File::create(&lock).unwrap();
    other.lock().unwrap();
    let path = world.path("events");
    let args = ["--format", "parquet", "--resume", "--out", path.to_str().unwrap()];
    let refused = world.run(&["events", "export"], &args);
    assert_eq!(refused.status.code(), Some(75), "{}", said(&refused));
    assert!(!path.exists());
    drop(other);
    world.export("events", &["--format", "parquet", "--resume"]);
    assert!(!lock.exists(), "nothing is left beside the export");
}

/// What was before the watermark in the new log was left out without a word.
#[tokio::test]
async fn what_was_read_of_another_log_is_not_gone_on_with() {
    let (first, second) = (World::with_events("60").await, World::with_events("400").await);
    let path = first.path("events");
    let args = ["--format", "jsonl", "--resume", "--out", path.to_str().unwrap()];
    assert!(first.run(&["events", "export"], &args).status.success());
    let before = std::fs::read(&path).unwrap();
    let refused = second.run(&["events", "export"], &args);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("was created at"), "{}", said(&refused));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let watermark = first.path("watermark");
    std::fs::write(&watermark, "0:100000\n").unwrap();
    let args = ["--to", "nats:somebody.else", "--watermark", watermark.to_str().unwrap()];
    let refused = first.run(&["replay"], &args);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("0:100000 was read before"), "{}", said(&refused));
}

/// A log that was made anew and has grown past the watermark was gone on with in its middle.
#[tokio::test]
async fn a_replay_does_not_go_on_in_another_log() {
    let (first, second) = (World::with_events("60").await, World::with_events("400").await);
    let watermark = first.path("watermark");
    let args = ["--to", "nats:somebody.else", "--watermark", watermark.to_str().unwrap()];
    assert!(first.run(&["replay"], &args).status.success());
    let noted = std::fs::read_to_string(&watermark).unwrap();
    let refused = second.run(&["replay"], &args);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("choose another --watermark"), "{}", said(&refused));
    assert_eq!(std::fs::read_to_string(&watermark).unwrap(), noted);
    assert!(first.run(&["replay"], &args).status.success(), "of its own log it goes on");

    let position = noted.lines().next().unwrap();
    std::fs::write(&watermark, format!("{position}\n")).unwrap();
    let older = first.run(&["replay"], &args);
    assert!(older.status.success(), "a position alone was noted before: {}", said(&older));
    assert_eq!(std::fs::read_to_string(&watermark).unwrap(), noted);
}
