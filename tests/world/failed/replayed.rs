//! What a replay that stopped half way, or came soon after, leaves in the log, and to the next one.

use std::time::Duration;

use async_nats::jetstream::kv;
use groupfold_schemas::{frame, log, v1};
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, Process, wait_until};
use serde_json::{Value, json};

use super::{BOUND, T, answer, code, digest, fail_in_the_past, failed, quick, records};
use crate::hook::{
    body, created, joined, lifecycle, messages, number_changed, participants, renamed, settings,
};

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
    let refused = |n| {
        json!({ "input": format!("55{n}"), "errors": [{ "code": 131_026, "message": "m", "title": "t",
                                                      "error_data": { "details": detail } }] })
    };
    let removal = json!({ "timestamp": T.to_string(), "group_id": "G", "type": "group_participants_remove",
                          "request_id": "r", "initiated_by": "business", "removed_participants": [],
                          "failed_participants": (0..270).map(refused).collect::<Vec<_>>() });
    let ids = fail_in_the_past(&nats, &participants(&[removal])).await;
    // What was shown promised an event, and the preview its group.
    let preview = answer(&groupfold, &["replay", "--group", "G"], 0);
    let told = (&preview["becomes"], &preview["too_large"], &preview["failed_again"]);
    assert_eq!(told, (&json!({}), &json!(1), &json!({ "unknown_type": 1 })), "{preview}");
    for args in [&["replay", "--group", "G"][..], &["show", &ids[0]], &["replay", "--all", "--execute"]] {
        let output = failed(&groupfold, args);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let todo = "set max_payload: 8MB at the broker (it is 3300000 bytes)";
        assert!(said.contains("too large") && said.contains(todo), "{args:?}: {said}");
    }
    let shown = answer(&groupfold, &["show", &ids[0]], 0);
    assert!(shown["today"][0].as_str().unwrap().starts_with("fails again: "), "{}", shown["today"]);
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

/// Its id led to how it was settled alone, not to what became of it.
#[tokio::test]
async fn why_of_a_failure_that_was_replayed_tells_of_its_event() {
    let (nats, groupfold) = quick().await;
    let ids = fail_in_the_past(&nats, &participants(&[joined("G", "5511", T)])).await;
    answer(&groupfold, &["replay", &ids[0], "--execute"], 0);
    digest(&groupfold).await;
    let mut why = Groupfold::command();
    why.args(["why", &ids[0], "--output", "json", "--data"]).arg(groupfold.data());
    let told: Value = serde_json::from_slice(&why.output().unwrap().stdout).unwrap();
    let (failure, event) = (&told["failures"][0], &told["events"][0]);
    assert_eq!(failure["resolution"]["event_ids"], json!([event["event_id"]]), "{told}");
    assert_eq!((&event["replayed"], &event["applied"]), (&json!(true), &json!(true)), "{told}");
    assert!(event["position"].is_string(), "{told}");
}

/// What the receiver keeps was settled as ignored: it was read again by the settings as they come.
#[tokio::test]
async fn a_failure_is_read_again_as_the_receiver_reads() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let mut options = Options::on(&nats);
    options.args.extend(["--ignore-other-fields", "false"].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    groupfold.post(&body("account_alerts", "alerts", &[])).await;
    let list = answer(&groupfold, &["list", "--all"], 0);
    let id = list["failures"][0]["failed_id"].as_str().unwrap();
    let today = &answer(&groupfold, &["show", id], 0)["today"];
    assert!(today[0].as_str().is_some_and(|fate| fate.starts_with("fails again")), "{today}");
    let as_it_comes = ["show", id, "--ignore-other-fields", "true"];
    assert_eq!(answer(&groupfold, &as_it_comes, 0)["today"], json!(["ignored: other_field"]));
    let preview = answer(&groupfold, &["replay", "--all"], 0);
    assert_eq!(preview["failed_again"], json!({ "unknown_field": 1 }), "{preview}");
    answer(&groupfold, &["replay", "--all", "--execute"], 1);
    assert_eq!(answer(&groupfold, &["list"], 0)["total"], 1, "it is not settled");
}
