//! The last message of a stream that its files do not give back: the broker counts it, delivers nothing and says nothing.
//! Whoever reads the log to its end says what is missing.

mod accepted;
mod group;

use std::path::PathBuf;
use std::time::Duration;

use groupfold_projector::scan::{Error, From, Scan, Stretch};
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Scratch, http, wait_until};
use serde_json::json;

use crate::hook::{joined, participants};

const T: i64 = 1_767_225_600;
const GROUP: &str = "G1";
const MEMBERS: u64 = 3;
/// More than the silence after which a message that does not come is asked for.
const BOUND: Duration = Duration::from_secs(60);
/// What stands behind a message in its file: its checksum, by which the broker would know at its start.
const CHECKSUM_BYTES: usize = 8;

fn stream() -> String {
    log::stream(log::partition_of(GROUP, 8))
}

/// A pipeline with a group's members in the log and in the state; the message of the last one is damaged.
async fn last_one_lost() -> (NatsServer, Groupfold) {
    let mut nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    for member in 0..MEMBERS {
        let body = participants(&[joined(GROUP, &format!("1555000{member:04}"), T)]);
        assert_eq!(groupfold.post(&body).await.status, 200);
    }
    groupfold.caught_up().await;
    nats.stop().await;
    let file = block(nats.store_dir());
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - CHECKSUM_BYTES - 1;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    nats.restart().await;
    (nats, groupfold)
}

/// The one file of the group's stream that holds messages.
fn block(folder: PathBuf) -> PathBuf {
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_block = path.extension().is_some_and(|extension| extension == "blk");
            if path.is_dir() {
                folders.push(path);
            } else if is_block && path.iter().any(|part| *part == *stream()) {
                return path;
            }
        }
    }
    panic!("{} has no file", stream());
}

#[tokio::test]
async fn a_scan_ends_with_the_loss_of_the_last_message_however_it_reads() {
    let (nats, _groupfold) = last_one_lost().await;
    let context = async_nats::jetstream::new(nats.client().await);
    let of_group = vec![log::event_subject(log::partition_of(GROUP, 8), "*", "*", Some(GROUP))];
    for (from, subjects) in [
        (From::Sequence(1), Vec::new()),
        (From::Sequence(MEMBERS), Vec::new()),
        (From::LogTime(0), Vec::new()),
        (From::Sequence(1), of_group),
    ] {
        let stretch = Stretch { stream: stream(), from, to: MEMBERS, subjects };
        let mut scan = Scan::new(context.clone(), stretch).with_silence_max(Duration::from_millis(100));
        let lost = loop {
            match scan.next_batch(100).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("from {from:?}: nothing is missing"),
                Err(error) => break error,
            }
        };
        assert!(matches!(lost, Error::Lost { expected: MEMBERS, .. }), "from {from:?}: {lost}");
    }
}

#[tokio::test]
async fn verify_rebuild_audit_and_exports_end_and_name_the_lost_message() {
    let (_nats, groupfold) = last_one_lost().await;
    let scratch = Scratch::new("lost");
    let out = scratch.path().join("events.jsonl").display().to_string();
    let run = |args: &[&str]| {
        let mut command = Groupfold::command();
        command.args(args).arg("--data").arg(groupfold.data());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let export = ["events", "export", "--format", "jsonl", "--out", &out];
    // Each waits for the broker to be silent long enough, and so all at once.
    let (verify, audit, export) = tokio::join!(run(&["verify"]), run(&["audit"]), run(&export));
    let beside = groupfold.data().join(format!("store/{}.verify", log::partition_of(GROUP, 8)));
    assert!(!beside.exists(), "what was folded to compare with is removed");
    let rebuild = run(&["rebuild"]).await;
    for (verb, code, output) in
        [("verify", 1, verify), ("audit", 3, audit), ("export", 1, export), ("rebuild", 1, rebuild)]
    {
        let output = output.unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let names = said.contains(&stream()) && said.contains(&format!("message {MEMBERS}"));
        assert!(output.status.code() == Some(code) && names, "{verb}: {}: {said}", output.status);
    }
}

#[tokio::test]
async fn the_projector_stops_and_names_the_lost_message() {
    let (_nats, mut groupfold) = last_one_lost().await;
    assert_eq!(groupfold.terminate().await, 0);
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.start_anyhow().await;
    let partition = log::partition_of(GROUP, 8);
    let reason = format!("partition {partition}: stopped: missing_sequence: sequence {MEMBERS} is missing");
    wait_until("readiness names it", BOUND, async || {
        let answer = groupfold.get("/readyz").await;
        if answer.status == 503 && answer.text.contains(&reason) { Ok(()) } else { Err(answer) }
    })
    .await;
    let position = http::get(&groupfold.api_url("/v1/position")).await.json;
    let partitions = position["partitions"].as_array().unwrap();
    let one = partitions.iter().find(|one| one["partition"] == partition).unwrap();
    assert_eq!((&one["state"], &one["reason"]), (&json!("stopped"), &json!("missing_sequence")), "{one}");
    assert_eq!((&one["applied"], &one["log_end"]), (&json!(MEMBERS - 1), &json!(MEMBERS)), "{one}");
}
