//! Replays of past events to somebody else: in order, signed, at least once, going on where they stopped.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use groupfold_tests::{ends, sign, wait_until};
use serde_json::Value;

use crate::endpoint::{Endpoint, Post};

use super::{BOUND, World, position, said, text};

const SECRET: &str = "secret-of-somebody-else";

/// What came, without repetitions: a client that loses an answer sends once more, so delivery is at least once.
fn taken(endpoint: &Endpoint) -> Vec<Post> {
    let mut seen = BTreeSet::new();
    let all = endpoint.taken();
    all.into_iter().filter(|post| seen.insert(post.header("groupfold-position").to_owned())).collect()
}

fn replay(world: &World, to: &str, args: &[&str]) -> std::process::Output {
    world.run(&["replay", "--to", to, "--secret", SECRET, "--output", "json"], args)
}

#[tokio::test]
async fn all_come_in_order_signed_and_marked_through_failures_of_the_receiver() {
    let world = World::with_events("400").await;
    let all = world.tail(&["--from", "beginning"]);
    let endpoint = Endpoint::start(|n| if n % 97 == 0 { 503 } else { 200 });
    let output = replay(&world, &endpoint.url, &[]);
    ends(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let taken = taken(&endpoint);
    // A change of a person's number stands in every partition and is sent once, from the lowest.
    let wanted = all.iter().filter(|row| text(row, "kind") != "identity_changed" || row["partition"] == 0);
    let wanted: Vec<&Value> = wanted.collect();
    assert_eq!(
        taken.iter().map(|post| post.header("groupfold-position").to_owned()).collect::<Vec<_>>(),
        wanted.iter().map(|row| position(row)).collect::<Vec<_>>()
    );
    assert_eq!(report["delivered"], wanted.len());
    assert!(report["retries"].as_u64().unwrap() > 0, "{report}");
    for (post, row) in taken.iter().zip(&wanted) {
        assert_eq!(post.header("x-hub-signature-256"), sign(SECRET, &post.body));
        let marks = (post.header("groupfold-replay"), post.header("groupfold-event-id"));
        assert_eq!(marks, ("true", text(row, "event_id")));
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        assert_eq!(body["object"], "whatsapp_business_account");
        assert_eq!(body["entry"][0]["changes"][0]["field"], row["field"]);
    }
}

/// The first note took the link's place, and the file that it led to never heard of it.
#[tokio::test]
async fn a_watermark_by_a_link_is_that_of_the_file() {
    let world = World::with_events("20").await;
    let endpoint = Endpoint::start(|_| 200);
    let (file, link) = (world.path("mark"), world.path("link"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let delivered = |watermark: &std::path::Path| {
        let output = replay(&world, &endpoint.url, &["--watermark", watermark.to_str().unwrap()]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["delivered"].as_u64().unwrap()
    };
    assert!(delivered(&link) > 0);
    assert_eq!((delivered(&file), delivered(&link)), (0, 0));
    assert!(link.is_symlink());
}

#[tokio::test]
async fn a_receiver_of_ours_makes_the_same_events_of_it() {
    let world = World::with_events("300").await;
    let other = World::empty().await;
    let url = other.groupfold.webhook_url();
    let refused = replay(&world, &url, &[]);
    assert_eq!(refused.status.code(), Some(2), "a pipeline is not fed by mistake: {}", said(&refused));
    let secret = "app-secret-of-a-test";
    let output = world.run(&["replay", "--to", &url, "--secret", secret, "--into-groupfold"], &[]);
    ends(&output, 0);
    let of = |world: &World| -> BTreeSet<String> {
        let rows = world.tail(&["--from", "beginning"]);
        // Errors of an account have their id from the entry around them, which is another one here.
        let id = |row: &Value| match text(row, "kind") {
            "account_error" => String::new(),
            _ => text(row, "event_id").to_owned(),
        };
        rows.iter().map(|row| format!("{} {} {}", id(row), text(row, "kind"), row["data"])).collect()
    };
    let (theirs, ours) = (of(&other), of(&world));
    let differ: Vec<_> = theirs.symmetric_difference(&ours).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[tokio::test]
async fn a_replay_that_was_refused_goes_on_where_it_stopped() {
    let world = World::with_events("400").await;
    let watermark = world.scratch.path().join("watermark");
    let args =
        ["--watermark", watermark.to_str().unwrap(), "--kind", "receipt_delivered", "--kind", "receipt_read"];
    let wanted =
        world.tail(&["--from", "beginning", "--kind", "receipt_delivered", "--kind", "receipt_read"]);
    assert!(wanted.len() > 20);
    let endpoint = Endpoint::start(|n| if n == 11 { 400 } else { 200 });
    let stopped = replay(&world, &endpoint.url, &args);
    ends(&stopped, 1);
    assert_eq!(taken(&endpoint).len(), 10);
    let resumed = replay(&world, &endpoint.url, &args);
    ends(&resumed, 0);
    let taken: Vec<String> =
        taken(&endpoint).iter().map(|post| post.header("groupfold-position").to_owned()).collect();
    assert_eq!(taken, wanted.iter().map(position).collect::<Vec<_>>());
    let nothing = replay(&world, &endpoint.url, &args);
    let report: Value = serde_json::from_slice(&nothing.stdout).unwrap();
    assert_eq!(report["delivered"], 0);
    assert_eq!(report["stopped"], false);
}

#[tokio::test]
async fn a_subject_gets_the_events_as_they_are_told() {
    let world = World::with_events("100").await;
    let wanted = world.tail(&["--from", "beginning", "--kind", "participants_joined"]);
    assert!(!wanted.is_empty());
    let client = world.nats.client().await;
    let mut told = client.subscribe("somebody.else").await.unwrap();
    client.flush().await.unwrap();
    let output = replay(&world, "nats:somebody.else", &["--kind", "participants_joined", "--rate", "1000"]);
    ends(&output, 0);
    for row in &wanted {
        let message = tokio::time::timeout(BOUND, told.next()).await.expect("in time").expect("a message");
        assert_eq!(serde_json::from_slice::<Value>(&message.payload).unwrap(), *row);
        let headers = message.headers.expect("headers");
        assert_eq!(headers.get("Groupfold-Replay").map(|value| value.as_str()), Some("true"));
    }
    let log = replay(&world, "nats:groupfold.event.0.a.b.c", &[]);
    assert_eq!(log.status.code(), Some(2), "the log is not for replays: {}", said(&log));
}

/// Two delivered everything twice, and the slower one moved the file back.
#[tokio::test]
async fn of_two_replays_with_one_watermark_the_second_waits_for_another_time() {
    let world = World::with_events("200").await;
    let watermark = world.scratch.path().join("watermark");
    let args = ["--watermark", watermark.to_str().unwrap()];
    let (answer, held) = std::sync::mpsc::channel::<()>();
    let (begun, held) = (Arc::<AtomicBool>::default(), Mutex::new(held));
    let came = Arc::clone(&begun);
    // The first event is answered once the second replay has come and gone.
    let endpoint = Endpoint::start(move |n| {
        if n == 1 {
            came.store(true, Ordering::SeqCst);
            let _ = held.lock().unwrap().recv_timeout(BOUND);
        }
        200
    });
    let mut slow = world.command(&["replay", "--to", &endpoint.url, "--secret", SECRET], &args);
    let slow = slow.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the first one delivers", BOUND, async || {
        if begun.load(Ordering::SeqCst) { Ok(()) } else { Err("nothing came") }
    })
    .await;
    let elsewhere = Endpoint::start(|_| 200);
    let second = replay(&world, &elsewhere.url, &args);
    ends(&second, 75);
    assert!(said(&second).contains("another replay") && elsewhere.taken().is_empty(), "{}", said(&second));
    answer.send(()).unwrap();
    let slow = tokio::task::spawn_blocking(|| slow.wait_with_output().unwrap()).await.unwrap();
    ends(&slow, 0);
    let after = replay(&world, &elsewhere.url, &args);
    assert!(after.status.success() && elsewhere.taken().is_empty(), "{}", said(&after));
}
