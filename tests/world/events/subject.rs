//! Replays to a subject: what is called delivered has come.

use std::collections::BTreeSet;
use std::path::Path;

use async_nats::jetstream::stream::{self, DiscardPolicy};
use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt as _;
use groupfold_tests::{Process, Proxy, ends, wait_until};
use serde_json::Value;

use super::{BOUND, World, position, said, text};

const EXIT_AGAIN: Option<i32> = Some(75);

fn replay(world: &World, to: &str, watermark: &Path) -> std::process::Output {
    let args = ["--to", to, "--output", "json", "--watermark", watermark.to_str().unwrap()];
    world.run(&["replay"], &args)
}

fn elsewhere() -> stream::Config {
    stream::Config {
        name: "ELSEWHERE".to_owned(),
        subjects: vec!["somebody.>".to_owned()],
        discard: DiscardPolicy::New,
        ..stream::Config::default()
    }
}

/// The ids of the events that a stream has.
async fn kept(stream: &mut stream::Stream) -> BTreeSet<String> {
    let count = stream.info().await.unwrap().state.messages;
    let consumer = stream.create_consumer(pull::Config::default()).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut found = BTreeSet::new();
    for _ in 0..count {
        let message =
            tokio::time::timeout(BOUND, messages.next()).await.expect("in time").expect("one").unwrap();
        let headers = message.headers.as_ref().expect("headers");
        found.insert(headers.get("Nats-Msg-Id").unwrap().to_string());
    }
    found
}

/// Events were counted as delivered that a stream had refused.
#[tokio::test]
async fn what_a_stream_refuses_is_not_called_delivered() {
    let world = World::with_events("60").await;
    let context = jetstream::new(world.nats.client().await);
    let mut config = elsewhere();
    config.max_messages = 10;
    let mut stream = context.create_stream(config.clone()).await.unwrap();
    let watermark = world.path("watermark");
    let refused = replay(&world, "nats:somebody.else", &watermark);
    assert_eq!(refused.status.code(), EXIT_AGAIN, "{}", said(&refused));
    let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&report["delivered"], &report["position"]), (&0.into(), &"".into()), "{report}");
    assert!(said(&refused).contains("ELSEWHERE") && !watermark.exists(), "{}", said(&refused));

    config.max_messages = -1;
    context.update_stream(&config).await.unwrap();
    let all = replay(&world, "nats:somebody.else", &watermark);
    ends(&all, 0);
    let rows = world.tail(&["--from", "beginning"]);
    let wanted: BTreeSet<String> = rows.iter().map(|row| text(row, "event_id").to_owned()).collect();
    assert_eq!(kept(&mut stream).await, wanted);
}

/// What was on its way when the broker ended never came, and the replay noted that it had.
#[tokio::test]
async fn a_broker_that_is_killed_takes_nothing_from_a_replay_to_a_stream() {
    let mut world = World::with_events("300").await;
    let context = jetstream::new(world.nats.client().await);
    let mut stream = context.create_stream(elsewhere()).await.unwrap();
    let watermark = world.path("watermark");
    let args = ["--to", "nats:somebody.else", "--rate", "100", "--watermark", watermark.to_str().unwrap()];
    let command = world.command(&["replay"], &args);
    let mut replaying = Process::spawn("groupfold", command, &world.path("replay.log"));
    wait_until("it is in the midst", BOUND, async || {
        let there = stream.info().await.unwrap().state.messages;
        if there > 120 { Ok(()) } else { Err(there) }
    })
    .await;
    world.nats.kill9();
    world.nats.restart().await;
    let status = replaying.wait(BOUND).await;
    assert!(status.success() || status.code() == EXIT_AGAIN, "{}", replaying.log());
    let all = replay(&world, "nats:somebody.else", &watermark);
    ends(&all, 0);
    let rows = world.tail(&["--from", "beginning"]);
    let wanted: BTreeSet<String> = rows.iter().map(|row| text(row, "event_id").to_owned()).collect();
    let mut stream = context.get_stream("ELSEWHERE").await.unwrap();
    assert_eq!(kept(&mut stream).await, wanted);
}

/// What was under way when the connection broke never came, and the replay noted that it had.
#[tokio::test]
async fn a_connection_that_breaks_ends_a_replay_to_a_subject_that_nobody_keeps() {
    let world = World::with_events("300").await;
    let proxy = Proxy::start(world.nats.url().replace("nats://", "")).await;
    let client = world.nats.client().await;
    let mut told = client.subscribe("somebody.else").await.unwrap();
    client.flush().await.unwrap();
    let watermark = world.path("watermark");
    let (far, noted) = (proxy.nats_url(), watermark.to_str().unwrap());
    let args = ["--to", "nats:somebody.else", "--rate", "30", "--nats-url", &far, "--watermark", noted];
    let command = world.command(&["replay"], &args);
    let mut replaying = Process::spawn("groupfold", command, &world.path("replay.log"));
    let mut found = BTreeSet::new();
    let mut next = async || {
        let message = tokio::time::timeout(BOUND, told.next()).await.expect("in time").expect("a message");
        message.headers.expect("headers").get("Groupfold-Position").unwrap().to_string()
    };
    // More than there are between two notes.
    for _ in 0..120 {
        found.insert(next().await);
    }
    proxy.reset();
    let status = replaying.wait(BOUND).await;
    assert_eq!(status.code(), EXIT_AGAIN, "{}", replaying.log());
    assert!(replaying.log().contains("the connection to the broker broke"), "{}", replaying.log());
    let noted = std::fs::read_to_string(&watermark).unwrap();
    assert!(replaying.log().contains(noted.lines().next().unwrap()), "{}: {noted}", replaying.log());

    let all = replay(&world, "nats:somebody.else", &watermark);
    ends(&all, 0);
    let rows = world.tail(&["--from", "beginning"]);
    let wanted = rows.iter().filter(|row| text(row, "kind") != "identity_changed" || row["partition"] == 0);
    let wanted: BTreeSet<String> = wanted.map(position).collect();
    while found.len() < wanted.len() {
        found.insert(next().await);
    }
    assert_eq!(found, wanted);
}
