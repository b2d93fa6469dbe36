//! What a replay that stopped half way, or came soon after, leaves in the log, and to the next one.

use std::time::Duration;

use async_nats::jetstream::kv;
use groupfold_schemas::{frame, log, v1};
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, Process, wait_until};
use serde_json::json;

use super::{BOUND, T, answer, code, digest, fail_in_the_past, failed, quick, records};
use crate::hook::{created, joined, lifecycle, messages, number_changed, participants, renamed, settings};

/// A group of each partition.
fn groups() -> Vec<String> {
    let group = |partition| {
        let names = (0..).map(|n| format!("G{n}"));
        names.into_iter().find(|name| log::partition_of(name, 8) == partition).unwrap()
    };
    (0..8).map(group).collect()
}

async fn bound(nats: &NatsServer, partition: u16, full: bool) {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut stream = jetstream.get_stream(log::stream(partition)).await.unwrap();
    let info = stream.info().await.unwrap();
    let messages = i64::try_from(info.state.messages).unwrap();
    let mut config = info.config.clone();
    config.max_messages = if full { messages } else { -1 };
    jetstream.update_stream(config).await.unwrap();
}

/// The second replay once found it in the first partition and called it a duplicate.
#[tokio::test]
async fn a_change_of_number_that_came_to_some_partitions_alone_is_replayed_into_the_others() {
    let (nats, groupfold) = quick().await;
    let groups = groups();
    for group in &groups {
        groupfold.post(&participants(&[joined(group, "5511", T)])).await;
    }
    digest(&groupfold).await;
    fail_in_the_past(&nats, &messages(&[number_changed("wamid.1", "5511", "5599", T + 9)])).await;
    bound(&nats, 5, true).await;
    let replay = ["replay", "--cause", "unknown_type", "--execute"];
    let stopped = answer(&groupfold, &replay, 75);
    assert!(stopped["stopped"].as_str().is_some_and(|why| why.contains("log_full")), "{stopped}");
    bound(&nats, 5, false).await;
    let before = digest(&groupfold).await;
    let done = answer(&groupfold, &replay, 0);
    assert_eq!((&done["landed"], &done["duplicate"]), (&json!(1), &json!(0)), "{done}");
    wait_until("the rest is folded", BOUND, async || {
        let now = digest(&groupfold).await;
        if now == before { Err(now) } else { Ok(()) }
    })
    .await;
    for group in &groups {
        let member = &groupfold.get(&format!("/v1/groups/{group}/members")).await.json["members"][0];
        assert_eq!(member["wa_id"], "5599", "{group}: {member}");
    }
    // Once in each partition: those that had it were left alone.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    for partition in 0..8 {
        let mut stream = jetstream.get_stream(log::stream(partition)).await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.messages, 2, "partition {partition}");
    }
}

/// The broker once took it for the message that it remembered, and the replay called that landed.
#[tokio::test]
async fn what_could_not_be_read_is_replayed_while_the_broker_still_remembers_it() {
    let (nats, groupfold) = quick().await;
    groupfold.post(&lifecycle(&[created("G", "Team", T)])).await;
    let record = records(&participants(&[joined("G", "5511", T + 1)])).remove(0);
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let partition = log::partition_of("G", 8);
    let subject = log::event_subject(partition, &record.account, "participants_joined", Some("G"));
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", record.event_id.as_str());
    let garbage = vec![9, 0, 0, 0, 0, 1];
    let taken = jetstream.publish_with_headers(subject.clone(), headers, garbage.into()).await.unwrap();
    let sequence = taken.await.unwrap().sequence;
    // As a build parked it that did not know the version yet.
    let failed = v1::FailedWebhook {
        failed_id: "00000000000000000000000000000077".to_owned(),
        group_id: "G".to_owned(),
        cause: "unreadable_record".to_owned(),
        raw: frame::encode(&record).into(),
        log_position: format!("{partition}:{sequence}"),
        log_subject: subject,
        ..Default::default()
    };
    let subject = log::failed_subject("meta", &failed.cause);
    jetstream.publish(subject, frame::encode(&failed).into()).await.unwrap().await.unwrap();
    let done = answer(&groupfold, &["replay", &failed.failed_id, "--execute"], 0);
    assert_eq!(done["landed"], 1, "{done}");
    wait_until("the member is there", BOUND, async || {
        let group = groupfold.get("/v1/groups/G").await.json;
        if group["counts"]["member"] == 1 { Ok(()) } else { Err(group) }
    })
    .await;
}

/// It was called landed and settled, though it had gone back among the failures.
#[tokio::test]
async fn what_is_too_large_for_the_broker_fails_again_and_stays() {
    let config = "max_payload: 3300000".to_owned();
    let nats =
        NatsServer::start_with(NatsOptions { sync_always: false, config, ..NatsOptions::default() }).await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let detail = "x".repeat(8_000);
    let failed = |n| {
        json!({ "input": format!("55{n}"), "errors": [{ "code": 131_026, "message": "m", "title": "t",
                                                      "error_data": { "details": detail } }] })
    };
    let removal = json!({ "timestamp": T.to_string(), "group_id": "G", "type": "group_participants_remove",
                          "request_id": "r", "initiated_by": "business", "removed_participants": [],
                          "failed_participants": (0..270).map(failed).collect::<Vec<_>>() });
    fail_in_the_past(&nats, &participants(&[removal])).await;
    let done = answer(&groupfold, &["replay", "--group", "G", "--execute"], 1);
    groupfold_tests::shows(&done, json!({ "landed": 0, "failed_again": { "unknown_type": 1 } }));
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 1);
}

/// What is left of a group's events tells a state that never was.
#[tokio::test]
async fn a_preview_of_a_group_whose_log_has_lost_its_beginning_is_refused() {
    let (nats, groupfold) = quick().await;
    groupfold.post(&lifecycle(&[created("G", "Team", T)])).await;
    fail_in_the_past(&nats, &participants(&[joined("G", "5511", T + 1)])).await;
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = log::stream(log::partition_of("G", 8));
    let config = jetstream.get_stream(&name).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(&name).await.unwrap();
    let cut = async_nats::jetstream::stream::Config { first_sequence: Some(2), ..config };
    jetstream.create_stream(cut).await.unwrap();
    for record in records(&settings(&[renamed("G", "New", T + 2)])) {
        let subject = log::event_subject(log::partition_of("G", 8), "A", "settings_updated", Some("G"));
        jetstream.publish(subject, frame::encode(&record).into()).await.unwrap().await.unwrap();
    }
    let output = failed(&groupfold, &["replay", "--group", "G"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(code(&output), 0, "{said}");
    assert!(said.contains("begins with sequence 2"), "{said}");
}

/// The claim of a replay, once it is this process's.
async fn claimed(nats: &NatsServer, process: &Process) -> kv::Store {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let holder = format!("process {}", process.pid());
    wait_until("the replay holds its claim", BOUND, async || {
        let bucket = jetstream.get_key_value("groupfold_leases").await.map_err(|error| error.to_string())?;
        match bucket.get("replay").await.map_err(|error| error.to_string())? {
            Some(found) if *found == *holder.as_bytes() => Ok(bucket),
            found => Err(format!("{found:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_replay_that_is_killed_holds_up_the_next_until_its_claim_expires() {
    let (nats, groupfold) = quick().await;
    let items: Vec<_> = (0..40).map(|n| joined("G", &format!("55{n}"), T + n)).collect();
    fail_in_the_past(&nats, &participants(&items)).await;
    let slow = || {
        let mut command = Groupfold::command();
        let args = ["failed", "replay", "--group", "G", "--execute", "--rate", "1", "--data"];
        command.args(args).arg(groupfold.data());
        Process::spawn("replay", command, &groupfold.data().join("replay.log"))
    };
    let mut stopped = slow();
    let bucket = claimed(&nats, &stopped).await;
    // What the runbook says.
    assert_eq!(bucket.status().await.unwrap().max_age(), Duration::from_secs(15));
    assert_eq!(stopped.terminate(BOUND).await.code(), Some(75), "{}", stopped.log_tail());
    // Sooner here, yet later than a slow machine takes to refuse.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let stream = jetstream.get_stream("KV_groupfold_leases").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    (config.max_age, config.duplicate_window) = (Duration::from_secs(6), Duration::from_secs(6));
    jetstream.update_stream(config).await.unwrap();

    let mut killed = slow();
    claimed(&nats, &killed).await;
    killed.kill9();
    let replay = || failed(&groupfold, &["replay", "--group", "G", "--execute"]);
    let refused = replay();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(code(&refused) == 75 && said.contains("another replay is running"), "{said}");
    wait_until("the next one is let in", BOUND, async || {
        let output = replay();
        if code(&output) == 0 { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    })
    .await;
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 0);
}

/// It panicked over it once the claim was taken, which held up the next replay.
#[test]
fn a_rate_that_leaves_no_time_between_two_is_refused() {
    for rate in ["0", "100001", "4000000000"] {
        let output =
            Groupfold::command().args(["failed", "replay", "--all", "--rate", rate]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(code(&output) == 2 && said.contains("1..=100000"), "{rate}: {said}");
    }
}
