//! A stderr that fails each write costs the lines that would stand there, and no work. One that takes its time, as a full pipe
//! whose reader sleeps, is waited for, and promised nothing here.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use groupfold_tests::{Groupfold, Options, Scratch, groupfold_binary};
use serde_json::json;

use crate::hook::{created, lifecycle, participants};

const T: i64 = 1_767_225_600;

/// The program with its stderr led elsewhere first, by a line of shell in which `$0` is a path of its own.
fn with_stderr(scratch: &Scratch, led: &str) -> PathBuf {
    let script = scratch.path().join("groupfold");
    let text = format!("#!/bin/sh\n{led}\nexec '{}' \"$@\"\n", groupfold_binary().display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    script
}

/// Each logged line was a panic of whoever logged it: partitions stopped, webhooks were dropped, and `up` ended with 101.
async fn works_on(led: &str) {
    let scratch = Scratch::new("unlogged");
    let binary = Some(with_stderr(&scratch, led));
    let mut groupfold = Groupfold::up(Options { binary, ..Options::default() }).await;
    let bad = json!({ "timestamp": T.to_string(), "group_id": "G1", "type": "group_something_new" });
    let answer = groupfold.post(&participants(&[bad])).await;
    assert!(answer.status == 200 && answer.json["failed"] == 1, "{answer}");
    assert_eq!(groupfold.post(&lifecycle(&[created("G1", "Tea", T)])).await.status, 200);
    let shown = groupfold.get("/v1/groups/G1").await;
    assert!(shown.status == 200 && shown.json["subject"] == "Tea", "{shown}");
    let metrics = groupfold.get("/metrics").await.text;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("groupfold_log_lines_lost_total "));
    assert!(lost.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
    assert_eq!(groupfold.terminate().await, 0);
}

#[tokio::test]
async fn on_a_full_disk_for_its_log_it_works_and_ends_as_ever() {
    works_on("exec 2>/dev/full").await;
}

#[tokio::test]
async fn with_nobody_left_to_read_its_log_it_works_and_ends_as_ever() {
    works_on("mkfifo \"$0.pipe\"; exec 3<>\"$0.pipe\" 2>\"$0.pipe\"; exec 3<&-").await;
}
