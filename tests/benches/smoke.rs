//! The harness measures every part once. What it finds on a busy machine and a debug build says nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

use std::collections::BTreeSet;
use std::process::Command;

use groupfold_tests::{groupfold_binary, nats_server_binary};
use serde_json::Value;

#[test]
fn the_harness_has_a_figure_for_each_aim_and_no_door_acknowledges_what_is_not_in_the_log() {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_groupfold-bench"));
    harness.env("GROUPFOLD_NATS_SERVER", nats_server_binary());
    harness.args(["--smoke", "--output", "json", "--groupfold"]).arg(groupfold_binary());
    let output = harness.output().expect("the harness can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");

    let aims = report["aims"].as_array().expect("aims").iter().filter_map(|aim| aim["aim"].as_u64());
    assert_eq!(aims.collect::<BTreeSet<_>>(), (1..=8).collect(), "{report:#}");
    let rows = report["measurements"].as_array().expect("measurements");
    let doors: Vec<&Value> = rows.iter().filter(|row| row["part"] == "door").collect();
    assert_eq!(doors.len(), 9, "{report:#}");
    for row in doors {
        assert!(row["void"].is_null() && row["landed"].as_u64() >= Some(1), "{row:#}");
        assert_eq!(row["landed"], row["acknowledged"], "{row:#}");
    }
}
