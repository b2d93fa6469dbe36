//! An operator says that messages are lost for good: whoever reads the log goes on, and nobody passes them over in silence.

use std::process::Output;
use std::time::Duration;

use groupfold_projector::scan::{From, Scan, Stretch};
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Process, Scratch, http, wait_until};
use serde_json::{Value, json};

use super::{BOUND, GROUP, MEMBERS, T, last_one_lost, stream};
use crate::failed::missing::lose;
use crate::hook::{joined, participants};

fn partition() -> u16 {
    log::partition_of(GROUP, 8)
}

async fn run(groupfold: &Groupfold, args: &[&str]) -> Output {
    let mut command = Groupfold::command();
    command.args(args).arg("--data").arg(groupfold.data());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What a verb printed; its exit code is the one expected.
async fn said(groupfold: &Groupfold, args: &[&str], code: i32) -> String {
    let output = run(groupfold, args).await;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

async fn accept(groupfold: &Groupfold, more: &[&str], code: i32) -> String {
    let partition = partition().to_string();
    let args = [&["accept-loss", "--partition", &partition], more].concat();
    said(groupfold, &args, code).await
}

async fn one(groupfold: &Groupfold) -> Value {
    let position = http::get(&groupfold.api_url("/v1/position")).await.json;
    let mut partitions = position["partitions"].as_array().unwrap().iter();
    partitions.find(|one| one["partition"] == partition()).unwrap().clone()
}

async fn stopped(groupfold: &Groupfold) {
    stopped_by(groupfold, "missing_sequence").await;
}

async fn stopped_by(groupfold: &Groupfold, reason: &str) {
    wait_until("the partition stops", BOUND, async || {
        let one = one(groupfold).await;
        if one["reason"] == reason { Ok(()) } else { Err(one) }
    })
    .await;
}

async fn members(groupfold: &Groupfold) -> usize {
    let members = groupfold.get(&format!("/v1/groups/{GROUP}/members")).await.json;
    members["members"].as_array().unwrap_or_else(|| panic!("{members}")).len()
}

/// What reads the whole log comes to its end, and the fates add up.
async fn all_go_on(groupfold: &Groupfold, lost: u64) {
    let scratch = Scratch::new("accepted");
    let out = scratch.path().join("events.jsonl").display().to_string();
    let export = ["events", "export", "--format", "jsonl", "--out", &out];
    said(groupfold, &["verify"], 0).await;
    said(groupfold, &export, 0).await;
    said(groupfold, &["rebuild"], 0).await;
    let verify = ["verify", "--group", GROUP];
    said(groupfold, &verify, 0).await;
    let position = one(groupfold).await["applied"].to_string();
    let path = format!("/v1/groups/{GROUP}/members?at={}:{position}", partition());
    assert_eq!(groupfold.get(&path).await.status, 200);
    let audit = said(groupfold, &["audit"], 0).await;
    assert!(audit.contains(&format!("{lost} accepted as lost")), "{audit}");
}

#[tokio::test]
async fn an_accepted_loss_at_the_end_lets_all_go_on() {
    let (_nats, mut groupfold) = last_one_lost().await;
    assert_eq!(groupfold.terminate().await, 0);
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.start_anyhow().await;
    stopped(&groupfold).await;

    let named = format!("{}: message {MEMBERS} is missing", stream());
    let preview = accept(&groupfold, &[], 3).await;
    assert!(preview.contains(&named) && preview.contains("--execute"), "{preview}");
    accept(&groupfold, &["--execute"], 2).await;
    accept(&groupfold, &["--execute", "--why", " "], 2).await;
    let accepted = accept(&groupfold, &["--execute", "--why", "the disk broke, there is no backup"], 0).await;
    assert!(accepted.contains(&named), "{accepted}");
    let none = accept(&groupfold, &[], 0).await;
    assert!(none.contains("nothing is missing"), "{none}");

    groupfold.restart().await;
    groupfold.caught_up().await;
    let at = one(&groupfold).await;
    let counts = [&at["applied"], &at["records_unreadable"], &at["events_applied"]];
    assert_eq!(counts, [&json!(MEMBERS), &json!(1), &json!(MEMBERS - 1)], "{at}");
    let metrics = groupfold.get("/metrics").await.text;
    assert!(metrics.contains("groupfold_projector_unreadable_total{reason=\"lost\"} 1"), "{metrics}");
    // What comes later stands behind the hole.
    groupfold.post(&participants(&[joined(GROUP, "15550009999", T)])).await;
    assert_eq!(members(&groupfold).await as u64, MEMBERS);
    all_go_on(&groupfold, 1).await;
    let failed = said(&groupfold, &["failed", "list"], 0).await;
    assert!(!failed.contains("unreadable_record"), "there is nothing to replay: {failed}");
}

/// What stands before a hole was equal, swapped and absent, without a word of what stands behind it; and one hole kept
/// `why` from telling of anything.
async fn nothing_is_false_comfort(groupfold: &Groupfold, hole: std::ops::RangeInclusive<u64>, all: u64) {
    let partition = partition();
    let (before, behind) = (hole.start() - 1, hole.end() + 1);
    let is_stopped = format!("partition {partition} is stopped at {before} of {all} (missing_sequence)");
    for args in [&["verify"][..], &["rebuild", "--partition", &partition.to_string()]] {
        let told = said(groupfold, args, 3).await;
        assert!(told.contains(&is_stopped), "{args:?}: {told}");
    }
    let absent = (0..).map(|n| format!("H{n}")).find(|id| log::partition_of(id, 8) == partition).unwrap();
    let answer = http::get(&groupfold.api_url(&format!("/v1/groups/{absent}"))).await;
    answer.says(503, "partition_stopped");

    let first = said(groupfold, &["why", &format!("{partition}:{behind}"), "--output", "json"], 0).await;
    assert!(first.contains("\"changed\":[]"), "it is not folded yet: {first}");
    let event = &first[first.find("\"event_id\":\"").expect("an event") + 12..][..32];
    for id in [event, &format!("{partition}:{behind}:0")] {
        let told = said(groupfold, &["why", id], 0).await;
        let missing = format!("messages {} to {} are missing", hole.start(), hole.end());
        assert!(told.contains(&missing) && told.contains(event), "{id}: {told}");
    }
    // `nothing follows`, it said.
    let lost = said(groupfold, &["why", &format!("{partition}:{}", hole.start())], 1).await;
    assert!(lost.contains("is missing") && lost.contains(&format!("{partition}:{behind} follows")), "{lost}");
    let beyond = said(groupfold, &["why", &format!("{partition}:{}", all + 1)], 1).await;
    assert!(beyond.contains(&format!("messages 1 to {all}")), "{beyond}");
}

#[tokio::test]
async fn an_accepted_hole_is_passed_in_portions_and_what_is_there_again_is_read() {
    const ALL: u64 = 12;
    const HOLE: std::ops::RangeInclusive<u64> = 3..=9;
    let nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    options.args.extend(["--batch-events-max".to_owned(), "2".to_owned()]);
    let mut groupfold = Groupfold::up(options).await;
    for member in 0..ALL {
        groupfold.post(&participants(&[joined(GROUP, &format!("1555000{member:04}"), T)])).await;
    }
    groupfold.caught_up().await;
    assert_eq!(groupfold.terminate().await, 0);
    // The stream refuses deletion: it is made anew.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let stream = jetstream.get_stream(stream()).await.unwrap();
    let config = stream.cached_info().config.clone();
    let mut copy = Vec::new();
    for sequence in 1..=ALL {
        copy.push(stream.direct_get(sequence).await.unwrap());
    }
    jetstream.delete_stream(&config.name).await.unwrap();
    let open = async_nats::jetstream::stream::Config { deny_delete: false, ..config };
    let anew = jetstream.create_stream(open).await.unwrap();
    for message in copy {
        let sent = jetstream.publish_with_headers(message.subject, message.headers, message.payload).await;
        sent.unwrap().await.unwrap();
    }
    for sequence in HOLE {
        anew.delete_message(sequence).await.unwrap();
    }
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.start_anyhow().await;
    stopped(&groupfold).await;
    let named = format!("7 messages within {} are gone", super::stream());
    let doctor = run(&groupfold, &["doctor"]).await;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains(&named) && doctor.contains("accept-loss --partition"), "{doctor}");
    nothing_is_false_comfort(&groupfold, HOLE, ALL).await;
    let accepted = accept(&groupfold, &["--execute", "--why", "gone", "--output", "json"], 0).await;
    let accepted: Value = serde_json::from_str(accepted.trim()).unwrap();
    assert_eq!(accepted["missing"], json!([{ "first": HOLE.start(), "last": HOLE.end() }]));
    let why = said(&groupfold, &["why", &format!("{}:{}", partition(), HOLE.start() + 1)], 1).await;
    assert!(why.contains("accepted as lost at") && why.contains(": gone"), "{why}");
    groupfold.restart().await;
    groupfold.caught_up().await;
    let lost = HOLE.count() as u64;
    assert_eq!(one(&groupfold).await["records_unreadable"], lost);
    assert_eq!(members(&groupfold).await as u64, ALL - lost);
    let doctor = run(&groupfold, &["doctor"]).await;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains(&format!("{named}, accepted as lost")), "{doctor}");
    all_go_on(&groupfold, lost).await;
}

/// It once went on stopping there, and `accept-loss` said that nothing was missing.
#[tokio::test]
async fn what_retention_took_before_it_was_folded_is_passed_once_it_is_accepted() {
    const FOLDED: u64 = 4;
    const ALL: u64 = 12;
    const KEPT: u64 = 3;
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    let join = |member: u64| participants(&[joined(GROUP, &format!("1555000{member:04}"), T)]);
    for member in 0..FOLDED {
        assert_eq!(groupfold.post(&join(member)).await.status, 200);
    }
    groupfold.caught_up().await;
    assert_eq!(groupfold.terminate().await, 0);
    let receiver = Groupfold::ingest(Options::on(&nats)).await;
    for member in FOLDED..ALL {
        assert_eq!(receiver.post(&join(member)).await.status, 200);
    }
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let config = jetstream.get_stream(stream()).await.unwrap().cached_info().config.clone();
    let discard = async_nats::jetstream::stream::DiscardPolicy::Old;
    let max_messages = KEPT as i64;
    let short = async_nats::jetstream::stream::Config { discard, max_messages, ..config };
    jetstream.update_stream(short).await.unwrap();

    groupfold.start_anyhow().await;
    stopped_by(&groupfold, "retention_overtook").await;
    let preview = accept(&groupfold, &[], 3).await;
    assert!(preview.contains(&format!("messages 1 to {} are missing", ALL - KEPT)), "{preview}");
    accept(&groupfold, &["--execute", "--why", "it expired"], 0).await;
    groupfold.restart().await;
    groupfold.caught_up().await;
    let at = one(&groupfold).await;
    let counts = [&at["applied"], &at["records_unreadable"], &at["events_applied"]];
    assert_eq!(counts, [&json!(ALL), &json!(ALL - KEPT - FOLDED), &json!(FOLDED + KEPT)], "{at}");
    assert_eq!(members(&groupfold).await as u64, FOLDED + KEPT);
    // `--force` was offered, which the runbook forbids here.
    for args in [&["verify"][..], &["verify", "--group", GROUP], &["rebuild"]] {
        let told = said(&groupfold, args, 3).await;
        let more = format!("partition {} knows more than the log", partition());
        assert!(told.contains(GROUP) && told.contains(&more) && !told.contains("--force"), "{told}");
    }

    // Folded again it knows as much as the log, and whoever reads the log comes to its end.
    assert_eq!(groupfold.terminate().await, 0);
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.restart().await;
    groupfold.caught_up().await;
    assert_eq!(members(&groupfold).await as u64, KEPT);
    let scratch = Scratch::new("overtook");
    let out = scratch.path().join("events.jsonl").display().to_string();
    let export = ["events", "export", "--format", "jsonl", "--out", &out];
    for args in [&["verify"][..], &["verify", "--group", GROUP], &["rebuild"], &export] {
        said(&groupfold, args, 0).await;
    }
    let audit = said(&groupfold, &["audit"], 0).await;
    assert!(audit.contains(&format!("{} accepted as lost", ALL - KEPT)), "{audit}");
}

#[tokio::test]
async fn an_empty_message_that_somebody_published_is_nothing_that_was_accepted_as_lost() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let subject = log::event_subject(partition(), "1", "participants_joined", Some(GROUP));
    jetstream.publish(subject, bytes::Bytes::new()).await.unwrap().await.unwrap();
    groupfold.caught_up().await;
    let audit = said(&groupfold, &["audit"], 0).await;
    assert!(!audit.contains("accepted as lost"), "{audit}");
    assert!(audit.contains("1 record(s) cannot be read by this build"), "{audit}");
}

/// Nobody could read what was accepted any more: readers stopped, and `accept-loss` with them.
#[tokio::test]
async fn what_was_accepted_holds_though_another_message_of_its_stream_is_lost() {
    let (nats, groupfold) = last_one_lost().await;
    accept(&groupfold, &["--execute", "--why", "gone"], 0).await;
    let context = async_nats::jetstream::new(nats.client().await);
    context.publish("groupfold.resolved.other", "x".into()).await.unwrap().await.unwrap();
    lose(&nats, log::RESOLVED_STREAM, &[2]).await;
    let stretch = Stretch { stream: stream(), from: From::Sequence(1), to: MEMBERS, subjects: Vec::new() };
    let mut scan = Scan::new(context, stretch).with_silence_max(Duration::from_millis(100));
    let mut found = Vec::new();
    while let Some(batch) = scan.next_batch(100).await.unwrap() {
        found.extend(batch.into_iter().map(|one| (one.sequence, one.subject.is_empty())));
    }
    assert_eq!(found, (1..=MEMBERS).map(|n| (n, n == MEMBERS)).collect::<Vec<_>>());
    assert!(accept(&groupfold, &[], 0).await.contains("nothing is missing"));
    let why = said(&groupfold, &["why", &format!("{}:{MEMBERS}", partition())], 1).await;
    assert!(why.contains("accepted as lost at") && why.contains(": gone"), "{why}");
}

/// The broker was asked once for each message that is missing: of millions that had expired, for an hour.
#[tokio::test]
async fn what_follows_a_missing_message_is_looked_for_from_where_the_stream_begins_and_not_for_ever() {
    const FIRST: u64 = 4_000_001;
    const HOLE: u64 = 1_010;
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let context = async_nats::jetstream::new(nats.client().await);
    let config = context.get_stream(stream()).await.unwrap().cached_info().config.clone();
    context.delete_stream(stream()).await.unwrap();
    let late = async_nats::jetstream::stream::Config {
        first_sequence: Some(FIRST),
        deny_delete: false,
        deny_purge: false,
        ..config
    };
    let late = context.create_stream(late).await.unwrap();
    let subject = |kind| log::event_subject(partition(), "1", kind, Some(GROUP));
    let kept = "participants_joined";
    for kind in [kept].into_iter().chain((0..HOLE).map(|_| "gone")).chain([kept]) {
        context.publish(subject(kind), "x".into()).await.unwrap().await.unwrap();
    }
    late.purge().filter(subject("gone")).await.unwrap();
    let scratch = Scratch::new("follows");
    let why = async |sequence: u64| {
        let mut command = Groupfold::command();
        command.args(["why", &format!("{}:{sequence}", partition())]).arg("--data").arg(groupfold.data());
        let mut why = Process::spawn("why", command, &scratch.path().join(sequence.to_string()));
        assert_eq!(why.wait(BOUND).await.code(), Some(1), "{}", why.log());
        why.log()
    };
    let (partition, hole) = (partition(), FIRST + 1);
    let begun = why(1).await;
    assert!(begun.contains(&format!("{partition}:{FIRST} follows")), "{begun}");
    let bounded = why(hole).await;
    let up_to = format!("up to {partition}:{}; what follows was not looked for", hole + 1_000);
    assert!(bounded.contains(&up_to), "{bounded}");
    let near = why(hole + HOLE - 1).await;
    assert!(near.contains(&format!("{partition}:{} follows", hole + HOLE)), "{near}");
}
