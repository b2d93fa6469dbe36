//! A nats-server as it comes, without any configuration of ours: it takes messages of 1 MiB, and closes the connection of
//! whoever sends a larger one.

use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, ends};
use serde_json::Value;

use crate::append::acks;
use crate::hook::{joined, participants};

const T: i64 = 1_767_225_600;
const MIB: usize = 1 << 20;

async fn plain() -> NatsServer {
    let config = format!("max_payload: {MIB}");
    NatsServer::start_with(NatsOptions { config, ..NatsOptions::default() }).await
}

/// Joins of so many people, each item of about so many bytes.
fn joins(people: std::ops::Range<usize>, bytes: usize) -> Vec<Value> {
    let join = |n| {
        let mut join = joined("G1", &format!("1555{n:07}"), T);
        join["note"] = "x".repeat(bytes).into();
        join
    };
    people.map(join).collect()
}

/// It refused to start: "the broker takes messages of 1048576 bytes and bodies may have 3145728".
#[tokio::test]
async fn a_broker_of_1_mib_refuses_an_item_beyond_that_and_takes_everything_else() {
    let mut nats = plain().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    let body = participants(&joins(0..200, 8_000));
    assert!(body.len() > MIB);
    let answer = groupfold.post(&body).await;
    assert_eq!((answer.status, &answer.json["appended"]), (200, &200.into()), "{answer}");

    // Among as many as go as one batch.
    let others = joins(200..300, 10);
    let mut items = others.clone();
    items.splice(50..50, joins(300..301, MIB));
    // All of a body that cannot be read is kept in one message.
    for body in [participants(&items), vec![b'{'; MIB]] {
        let answer = groupfold.post(&body).await;
        answer.says(503, "message_too_large");
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
    assert_eq!(acks(&groupfold, "batch_rejected").await, 0, "those beside it went as one all the same");
    let answer = groupfold.post(&participants(&others)).await;
    assert_eq!(
        (answer.status, &answer.json["duplicate"]),
        (200, &100.into()),
        "those beside it landed: {answer}"
    );
    let ready = groupfold.get("/readyz").await;
    assert_eq!(ready.status, 200, "one item is no reason to send the others elsewhere: {ready}");

    let receiver = Groupfold::ingest(Options::on(&nats)).await;
    let answer = receiver.post(&participants(&joins(301..302, 10))).await;
    assert_eq!((answer.status, &answer.json["appended"]), (200, &1.into()), "{answer}");
    let log = groupfold.process().log();
    assert_eq!(log.matches("max_payload: 8MB").count(), 1, "{log}");
    assert!(!log.contains("connected=false"), "a connection was closed: {log}");
    let log = nats.process().log().to_lowercase();
    assert!(!log.contains("maximum payload"), "{log}");
}

/// Every item and every body within the bound comes in, whatever it is: with a broker of its own they got 503 for ever, and the
/// advice for another broker was to set what was set. nats-server keeps no message of more than 32 MiB: no bound is above that.
#[tokio::test]
async fn a_bound_of_bodies_above_the_usual_is_one_of_our_own_broker_too() {
    const LIMIT: usize = 32 * MIB - 64 * 1024;
    let bound = |bytes: usize| ["--body-bytes-max".to_owned(), bytes.to_string()];
    let mut groupfold = Groupfold::up(Options { args: bound(LIMIT).to_vec(), ..Options::default() }).await;
    let item = groupfold.post(&participants(&joins(0..1, 9 * MIB))).await;
    assert_eq!((item.status, &item.json["appended"]), (200, &1.into()), "{item}");
    let unreadable = groupfold.post(&vec![b'{'; LIMIT]).await;
    assert_eq!((unreadable.status, &unreadable.json["failed"]), (200, &1.into()), "{unreadable}");
    groupfold.kill9();
    groupfold.restart().await;
    let data = groupfold.data().display().to_string();
    let audit = Groupfold::command().args(["audit", "--data", &data]).output().unwrap();
    assert!(audit.status.success(), "the log holds both: {audit:?}");
    let args = [vec!["config".to_owned(), "check".to_owned()], bound(LIMIT + 1).to_vec()].concat();
    let refused = Groupfold::command().args(args).output().unwrap();
    ends(&refused, 3);

    let nats = plain().await;
    let options = Options::on(&nats);
    let args = options.args.iter().cloned().chain(bound(30_000_000)).collect();
    let mut elsewhere = Groupfold::up(Options { args, ..options }).await;
    let log = elsewhere.process().log();
    assert!(log.contains("set `max_payload: 30065536`"), "{log}");
}

/// A change tells a long description before and after: where that goes into no message, the feed would stand for ever.
#[tokio::test]
async fn a_broker_that_takes_hardly_anything_is_refused_at_the_start() {
    let config = "max_payload: 65536".to_owned();
    let nats = NatsServer::start_with(NatsOptions { config, ..NatsOptions::default() }).await;
    let args = |verb| [verb, "--nats-url", &nats.url(), "--webhook-addr", "127.0.0.1:0"].map(str::to_owned);
    let provisioned = Groupfold::command().args(["provision", "--nats-url", &nats.url()]).output().unwrap();
    ends(&provisioned, 0);
    let mut ingest = Groupfold::command();
    ingest.args(args("ingest")).args(["--meta-app-secret", "0123456789abcdef0123456789abcdef"]);
    let ended = ingest.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("65536") && said.contains("131072") && said.contains("max_payload: 8MB"), "{said}");
}
