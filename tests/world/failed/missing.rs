//! What the streams of failures, or the log, have no more holds up nothing else.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, wait_until};
use serde_json::json;

use super::{BOUND, T, answer, code, digest, fail_in_the_past, failed, quick};
use crate::hook::{joined, participants};

/// Makes a stream anew from a copy of it that lacks some messages: the stream itself refuses deletion.
pub(crate) async fn lose(nats: &NatsServer, stream: &str, sequences: &[u64]) {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let found = jetstream.get_stream(stream).await.unwrap();
    let config = found.cached_info().config.clone();
    let mut copy = Vec::new();
    for sequence in 1..=found.cached_info().state.last_sequence {
        copy.push(found.direct_get(sequence).await.unwrap());
    }
    jetstream.delete_stream(stream).await.unwrap();
    let anew = jetstream.create_stream(Config { deny_delete: false, ..config.clone() }).await.unwrap();
    for message in copy {
        let sent = jetstream.publish_with_headers(message.subject, message.headers, message.payload).await;
        sent.unwrap().await.unwrap();
    }
    for sequence in sequences {
        anew.delete_message(*sequence).await.unwrap();
    }
    jetstream.update_stream(config).await.unwrap();
}

async fn unresolved(groupfold: &Groupfold, count: u64) {
    wait_until("the metric says how many wait", BOUND, async || {
        let metrics = groupfold.get("/metrics").await.text;
        if metrics.contains(&format!("groupfold_failed_unresolved {count}")) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

/// Each of the verbs ended with an error, the metric stood still, and there was no way out.
#[tokio::test]
async fn failures_that_are_lost_leave_the_way_back_of_all_others() {
    let (nats, mut groupfold) = quick().await;
    for n in 0..4 {
        let mut item = joined("G", &format!("55{n}"), T + n);
        item["type"] = json!("group_participants_dance");
        assert_eq!(groupfold.post(&participants(&[item])).await.json["failed"], 1);
    }
    let list = answer(&groupfold, &["list", "--all"], 0);
    assert_eq!(list["missing"], json!({ "failures": 0, "settled": 0 }));
    let ids: Vec<&str> =
        list["failures"].as_array().unwrap().iter().map(|one| one["failed_id"].as_str().unwrap()).collect();
    for id in [ids[0], ids[2]] {
        answer(&groupfold, &["discard", id, "--why", "a test"], 0);
    }
    groupfold.terminate().await;
    // In the midst, and at the end.
    lose(&nats, log::FAILED_STREAM, &[2, 4]).await;
    lose(&nats, log::RESOLVED_STREAM, &[2]).await;
    groupfold.restart().await;

    let list = answer(&groupfold, &["list", "--all"], 0);
    assert_eq!((&list["total"], &list["failures"][0]["failed_id"]), (&json!(1), &json!(ids[2])), "{list}");
    assert_eq!(list["missing"], json!({ "failures": 2, "settled": 1 }));
    let table = failed(&groupfold, &["list"]);
    let said = String::from_utf8_lossy(&table.stderr).into_owned();
    assert_eq!(code(&table), 0, "{said}");
    for part in ["GROUPFOLD_FAILED: 2 message(s) are missing", "GROUPFOLD_RESOLVED: 1 message(s) are missing"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(answer(&groupfold, &["show", ids[2]], 0)["failed_id"], ids[2]);
    let preview = answer(&groupfold, &["replay", "--all"], 0);
    assert_eq!((&preview["failures"], &preview["missing"]["settled"]), (&json!(1), &json!(1)), "{preview}");
    unresolved(&groupfold, 1).await;
    answer(&groupfold, &["discard", ids[2], "--why", "a test"], 0);
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 0);
    unresolved(&groupfold, 0).await;
    let log = groupfold.process().log();
    assert!(log.contains("messages are missing and are not counted"), "{log}");
}

/// `failed list` told of them, and the projector's log had no line: it began with what is there.
#[tokio::test]
async fn failures_that_are_lost_at_the_beginning_are_told_by_the_projector_too() {
    let (nats, mut groupfold) = quick().await;
    let items: Vec<_> = (0..3).map(|n| joined("G", &format!("55{n}"), T + n)).collect();
    fail_in_the_past(&nats, &participants(&items)).await;
    groupfold.terminate().await;
    lose(&nats, log::FAILED_STREAM, &[1]).await;
    groupfold.restart().await;
    unresolved(&groupfold, 2).await;
    assert_eq!(answer(&groupfold, &["list"], 0)["missing"]["failures"], 1);
    wait_until("the projector tells of it", BOUND, async || {
        let lines = groupfold.process().log();
        let missing = lines.lines().filter(|line| line.contains("messages are missing and are not counted"));
        if missing.into_iter().any(|line| line.contains(log::FAILED_STREAM)) { Ok(()) } else { Err(lines) }
    })
    .await;
}

/// What somebody had discarded was in the log for ever, with an exit code of 0.
#[tokio::test]
async fn a_selection_of_which_some_may_be_discarded_is_not_replayed_unless_somebody_says_so() {
    let (nats, groupfold) = quick().await;
    let items: Vec<_> = (0..3).map(|n| joined("G", &format!("55{n}"), T + n)).collect();
    let ids = fail_in_the_past(&nats, &participants(&items)).await;
    for id in &ids[..2] {
        answer(&groupfold, &["discard", id, "--why", "a test"], 0);
    }
    lose(&nats, log::RESOLVED_STREAM, &[1]).await;
    let before = digest(&groupfold).await;
    for selection in [&["--all"][..], &["--group", "G"], &["--cause", "unknown_type"]] {
        let refused = failed(&groupfold, &[&["replay", "--execute"], selection].concat());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(code(&refused) == 1 && refused.stdout.is_empty(), "{selection:?}: {said}");
        assert!(said.contains("of the 2 selected") && said.contains("--despite-missing"), "{said}");
    }
    assert_eq!(digest(&groupfold).await, before);
    let one = answer(&groupfold, &["replay", &ids[2], "--execute"], 0);
    assert_eq!((&one["landed"], &one["missing"]["settled"]), (&json!(1), &json!(1)), "{one}");
    let all = answer(&groupfold, &["replay", "--all", "--execute", "--despite-missing"], 0);
    assert_eq!((&all["failures"], &all["landed"]), (&json!(1), &json!(1)), "{all}");
    // Nothing is selected, and so nothing refused.
    assert_eq!(answer(&groupfold, &["replay", "--all", "--execute"], 0)["failures"], 0);
}

/// They were fetched again each minute for ever; behind five hundred of them no other was parked any more.
#[tokio::test]
async fn records_that_the_log_has_no_more_are_parked_without_bytes_and_hold_up_no_other() {
    const GONE: u64 = 510;
    let (nats, mut groupfold) = quick().await;
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let partition = log::partition_of("G", 8);
    let subject = log::event_subject(partition, "WABA", "participants_joined", Some("G"));
    for n in 0..GONE {
        let bytes = format!("garbage {n}");
        jetstream.publish(subject.clone(), bytes.into()).await.unwrap().await.unwrap();
    }
    groupfold.post(&participants(&[joined("G", "5511", T)])).await;
    groupfold.caught_up().await;
    groupfold.terminate().await;
    // Somebody let all but the last event expire, and the failures are another log's.
    let events = jetstream.get_stream(log::stream(partition)).await.unwrap().cached_info().config.clone();
    let short = Config { discard: DiscardPolicy::Old, max_messages: 1, ..events.clone() };
    jetstream.update_stream(short).await.unwrap();
    jetstream.update_stream(events).await.unwrap();
    let failures = jetstream.get_stream(log::FAILED_STREAM).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(log::FAILED_STREAM).await.unwrap();
    jetstream.create_stream(failures).await.unwrap();
    groupfold.restart().await;

    let bytes = "garbage that is there";
    jetstream.publish(subject, bytes.into()).await.unwrap().await.unwrap();
    let list = wait_until("all are parked", BOUND, async || {
        let list = answer(&groupfold, &["list", "--all"], 0);
        if list["total"] == GONE + 1 { Ok(list) } else { Err(list["total"].clone()) }
    })
    .await;
    let failures = list["failures"].as_array().unwrap();
    let gone = failures.iter().filter(|one| one["expected"].as_str().unwrap().contains("has no more"));
    assert_eq!(gone.count() as u64, GONE);
    let (first, last) = (&failures[0], &failures[failures.len() - 1]);
    let raw =
        |one: &serde_json::Value| failed(&groupfold, &["raw", one["failed_id"].as_str().unwrap()]).stdout;
    assert_eq!((raw(first).len(), raw(last)), (0, bytes.as_bytes().to_vec()));
    let shown = answer(&groupfold, &["show", first["failed_id"].as_str().unwrap()], 0);
    let place = format!("{partition}:1");
    assert_eq!(shown["log_position"], place);
    // By its place it was said to be missing alone, and to accept what the store stands behind already.
    let mut why = Groupfold::command();
    let why = why.args(["why", &place]).arg("--data").arg(groupfold.data()).output().unwrap();
    let told = [why.stdout.as_slice(), &why.stderr].map(String::from_utf8_lossy).concat();
    assert_eq!(code(&why), 0, "{told}");
    for part in [first["failed_id"].as_str().unwrap(), &place, "is missing in the log", "stands behind it"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("accept-loss"), "{told}");
}
