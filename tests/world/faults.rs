//! Faults under load, with numbered webhooks: what was acknowledged is there, exactly once in effect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use groupfold_schemas::{frame, v1};
use groupfold_tests::{Groupfold, NatsServer, Options, Process, http, sign, wait_until};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
const SECRET: &str = "app-secret-of-a-test";
const SENDERS: u64 = 8;
const WEBHOOKS_MAX: u64 = 20_000;

/// Senders that post numbered joins until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    senders: JoinSet<BTreeSet<u64>>,
}

impl Load {
    fn start(url: String) -> Self {
        let (stop, sent, refused) =
            (Arc::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (url, stop, sent, refused) =
                (url.clone(), Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&refused));
            senders.spawn(send(url, stop, sent, refused));
        }
        Self { stop, sent, refused, senders }
    }

    async fn until_sent(&self, more: u64) {
        let goal = self.sent.load(Ordering::SeqCst) + more;
        wait_until("the load goes on", BOUND, async || {
            let sent = self.sent.load(Ordering::SeqCst);
            if sent >= goal.min(WEBHOOKS_MAX) { Ok(()) } else { Err(sent) }
        })
        .await;
    }

    /// The numbers of the webhooks that were acknowledged.
    async fn end(mut self) -> BTreeSet<u64> {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = BTreeSet::new();
        while let Some(one) = self.senders.join_next().await {
            acknowledged.extend(one.unwrap());
        }
        acknowledged
    }
}

/// Posts webhook after webhook; one that is not acknowledged is not sent again, so that its fate is unknown.
async fn send(
    url: String,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
) -> BTreeSet<u64> {
    let client = http::client();
    let mut acknowledged = BTreeSet::new();
    while !stop.load(Ordering::SeqCst) {
        let number = sent.fetch_add(1, Ordering::SeqCst);
        if number >= WEBHOOKS_MAX {
            break;
        }
        let body = webhook(number);
        let request = client.post(&url).header("x-hub-signature-256", sign(SECRET, &body)).body(body);
        match request.send().await {
            Ok(answer) if answer.status() == 200 => {
                acknowledged.insert(number);
            }
            Ok(answer) => {
                assert_eq!(answer.status(), 503, "a fault of ours is never the sender's");
                assert!(answer.headers().contains_key("retry-after"));
                refused.fetch_add(1, Ordering::SeqCst);
            }
            // Nobody is there for a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    acknowledged
}

fn webhook(number: u64) -> Vec<u8> {
    participants(&[joined(&format!("G{}", number % 16), &format!("1555{number:07}"), T)])
}

/// The numbers of all joins in the log.
async fn in_the_log(nats: &NatsServer) -> BTreeSet<u64> {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut numbers = BTreeSet::new();
    for partition in 0..8 {
        let mut stream = jetstream.get_stream(format!("GROUPFOLD_EVENTS_{partition}")).await.unwrap();
        let last = stream.info().await.unwrap().state.last_sequence;
        for sequence in 1..=last {
            let message = stream.direct_get(sequence).await.unwrap();
            let record: v1::Record = frame::decode(&message.payload).unwrap();
            let Some(v1::event::Kind::ParticipantsJoined(joined)) = record.event.unwrap().kind else {
                panic!("a join")
            };
            numbers.insert(joined.participants[0].wa_id.as_ref().unwrap()[4..].parse().unwrap());
        }
    }
    numbers
}

/// The numbers of all members, once everything is folded.
async fn in_the_state(groupfold: &Groupfold) -> BTreeSet<u64> {
    caught_up(groupfold).await;
    let mut numbers = BTreeSet::new();
    for group in 0..16 {
        let members = groupfold.get(&format!("/v1/groups/G{group}/members")).await.json;
        // A group that nobody joined is not known.
        for member in members["members"].as_array().into_iter().flatten() {
            let fresh = numbers.insert(member["wa_id"].as_str().unwrap()[4..].parse().unwrap());
            assert!(fresh, "applied twice: {member}");
        }
    }
    numbers
}

async fn caught_up(groupfold: &Groupfold) -> Value {
    wait_until("all is folded", BOUND, async || {
        let position = groupfold.get("/v1/position").await.json;
        let running =
            position["partitions"].as_array().is_some_and(|all| all.iter().all(|p| p["state"] == "running"));
        if running && position["lag_events"] == 0 { Ok(position["digest"].clone()) } else { Err(position) }
    })
    .await
}

#[tokio::test]
async fn a_broker_that_is_killed_under_load_refuses_and_loses_nothing() {
    let mut nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let load = Load::start(groupfold.webhook_url());
    for _ in 0..2 {
        load.until_sent(200).await;
        nats.kill9();
        let before = load.refused.load(Ordering::SeqCst);
        wait_until("the receiver says 503", BOUND, async || {
            let refused = load.refused.load(Ordering::SeqCst);
            if refused > before + SENDERS { Ok(()) } else { Err(refused) }
        })
        .await;
        nats.restart().await;
        // It comes back by itself: the very next webhook that is not refused.
        wait_until("webhooks are taken again", BOUND, async || {
            let answer = groupfold.post(&webhook(9_999_000)).await;
            if answer.status == 200 { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    load.until_sent(200).await;
    let mut acknowledged = load.end().await;
    acknowledged.insert(9_999_000);
    let state = in_the_state(&groupfold).await;
    let lost: Vec<_> = acknowledged.difference(&state).collect();
    assert!(lost.is_empty(), "{} acknowledged, lost: {lost:?}", acknowledged.len());
}

#[tokio::test]
async fn a_projector_that_is_killed_between_commits_ends_like_one_that_never_was() {
    let nats = NatsServer::start().await;
    let up = Groupfold::up(Options::on(&nats)).await;
    let mut projector = Groupfold::project(Options::on(&nats)).await;
    let load = Load::start(up.webhook_url());
    for _ in 0..5 {
        load.until_sent(150).await;
        projector.kill9();
        projector.restart().await;
    }
    load.until_sent(100).await;
    let acknowledged = load.end().await;
    assert!(acknowledged.is_subset(&in_the_state(&projector).await));
    assert_eq!(
        caught_up(&projector).await,
        caught_up(&up).await,
        "digest of the killed and of the undisturbed"
    );
    let fresh = Groupfold::project(Options::on(&nats)).await;
    assert_eq!(caught_up(&fresh).await, caught_up(&up).await, "digest of one that starts from nothing");
}

#[tokio::test]
async fn a_receiver_that_is_killed_under_load_leaves_every_acknowledged_item_in_the_log() {
    let nats = NatsServer::start().await;
    // `up` provisions the log; the receiver under test stands alone.
    let up = Groupfold::up(Options::on(&nats)).await;
    let mut receiver = Groupfold::ingest(Options::on(&nats)).await;
    let mut acknowledged = BTreeSet::new();
    let mut offset = 0;
    for _ in 0..4 {
        let load = Load::start(receiver.webhook_url());
        load.sent.fetch_max(offset, Ordering::SeqCst);
        load.until_sent(150).await;
        receiver.kill9();
        offset = load.sent.load(Ordering::SeqCst) + SENDERS;
        acknowledged.extend(load.end().await);
        receiver.restart().await;
    }
    let log = in_the_log(&nats).await;
    let lost: Vec<_> = acknowledged.difference(&log).collect();
    assert!(
        lost.is_empty() && acknowledged.len() > 100,
        "{} acknowledged, lost: {lost:?}",
        acknowledged.len()
    );
    assert!(acknowledged.is_subset(&in_the_state(&up).await));
}

#[tokio::test]
async fn sigterm_drains_and_ends_with_zero() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let load = Load::start(groupfold.webhook_url());
    load.until_sent(100).await;
    assert_eq!(groupfold.terminate().await, 0);
    let acknowledged = load.end().await;
    groupfold.restart().await;
    assert!(acknowledged.is_subset(&in_the_state(&groupfold).await));
}

#[tokio::test]
async fn up_starts_its_broker_again_and_ends_the_one_that_a_killed_up_left() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    groupfold.post(&webhook(1)).await;
    let pid_file = groupfold.data().join("nats/nats.pid");
    let first = std::fs::read_to_string(&pid_file).unwrap();
    let status = std::process::Command::new("kill").args(["-s", "KILL", first.trim()]).status().unwrap();
    assert!(status.success());
    wait_until("a webhook is taken by the new broker", BOUND, async || {
        let answer = groupfold.post(&webhook(2)).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    let second = std::fs::read_to_string(&pid_file).unwrap();
    assert_ne!(first, second);
    groupfold.kill9();
    // Somebody who merely reads the broker's config is no broker.
    let mut reader = std::process::Command::new("tail");
    reader.arg("-f").arg(groupfold.data().join("nats/nats.conf"));
    let mut reader = Process::spawn("tail", reader, &groupfold.data().join("tail.log"));
    groupfold.restart().await;
    assert!(reader.exited().is_none(), "a stranger was ended");
    // One that has ended and is not yet reaped has no command line any more.
    let command_line = std::fs::read(format!("/proc/{}/cmdline", second.trim())).unwrap_or_default();
    assert!(command_line.is_empty(), "the orphan still runs: {}", String::from_utf8_lossy(&command_line));
    assert_eq!(in_the_state(&groupfold).await, BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn a_second_up_on_the_same_data_folder_is_refused_in_one_line() {
    let groupfold = Groupfold::up(Options::default()).await;
    let mut command = Groupfold::command();
    command
        .args(["up", "--meta-app-secret", "s", "--meta-verify-token", "t", "--data"])
        .arg(groupfold.data());
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.trim().lines().count()), (Some(1), 1), "{line}");
    assert!(line.contains("in use by another groupfold"), "{line}");
}
