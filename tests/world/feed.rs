//! The change feed on real parts: each change once and in order, whatever is killed.

mod backlog;
pub(crate) mod listener;
pub(crate) mod past;
mod place;
mod retention;
mod sse;

use std::time::Duration;

use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Told, wait_until};
use serde_json::Value;

use crate::hook::{self, created, joined, left, participants, renamed, status, statuses};

const BOUND: Duration = Duration::from_secs(90);
const T: i64 = 1_767_225_600;

/// Webhooks of a few groups, some told twice.
pub(crate) fn story(round: i64) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for g in 0..6 {
        let (group, t) = (format!("G{}-{g}", round % 3), T + round * 10);
        bodies.push(hook::lifecycle(&[created(&group, "Plants", T)]));
        bodies.push(participants(&[
            joined(&group, &format!("1555000{round:04}"), t),
            joined(&group, "15551", t),
        ]));
        bodies.push(hook::settings(&[renamed(&group, &format!("Name {round}"), t + 1)]));
        let message = format!("wamid.{round}.{g}");
        let of = |name, wa_id, second| status(&group, &message, name, wa_id, second);
        bodies.push(statuses(&[
            of("sent", None, t + 2),
            of("delivered", Some("15551"), t + 3),
            of("read", Some("15551"), t + 4),
        ]));
        bodies.push(participants(&[left(&group, "15551", t + 5)]));
    }
    bodies
}

pub(crate) async fn post(receiver: &Groupfold, bodies: &[Vec<u8>]) {
    for body in bodies {
        // As the provider does: again, until it is acknowledged.
        wait_until("a webhook is acknowledged", BOUND, async || {
            let answer = receiver.post(body).await;
            if answer.status == 200 { Ok(()) } else { Err(answer) }
        })
        .await;
    }
}

/// A receiver and a projector, each a process of its own, on one broker.
async fn apart() -> (NatsServer, Groupfold, Groupfold) {
    let nats = NatsServer::start().await;
    let receiver = Groupfold::ingest(provisioned(&nats).await).await;
    let projector = Groupfold::project(Options::on(&nats)).await;
    (nats, receiver, projector)
}

/// A pipeline that has told all of a story, and what it told.
pub(crate) async fn told() -> (NatsServer, Groupfold, Told) {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    post(&groupfold, &story(0)).await;
    let told = settled(&groupfold, &nats).await;
    (nats, groupfold, told)
}

/// Waits until all of the log is folded and all that it changed is published: each once, in the order of the log.
pub(crate) async fn settled(projector: &Groupfold, nats: &NatsServer) -> Told {
    let told = Told::settled(projector, nats).await;
    assert_eq!(told.disorder(), None);
    told
}

/// The changes that a projector tells of this log from its beginning.
async fn told_anew(nats: &NatsServer, expected: &Told) -> Told {
    let told = expected.anew(nats, log::PARTITIONS_DEFAULT).await;
    assert_eq!(told.disorder(), None);
    told
}

#[tokio::test]
async fn a_projector_killed_again_and_again_tells_each_change_once_and_in_order() {
    let (nats, receiver, mut projector) = apart().await;
    for round in 0..8 {
        let bodies = story(round);
        // At another place each time, with more to come while it is down.
        let (before, after) = bodies.split_at(3 * round as usize % bodies.len());
        post(&receiver, before).await;
        projector.kill9();
        tokio::join!(post(&receiver, after), projector.restart());
    }
    let disturbed = settled(&projector, &nats).await;
    assert!(disturbed.len() > 300, "{}", disturbed.len());
    assert_eq!(projector.terminate().await, 0);
    let undisturbed = told_anew(&nats, &disturbed).await;
    assert_eq!(disturbed.difference(&undisturbed), None);
}

#[tokio::test]
async fn a_store_folded_again_and_a_second_projector_tell_nothing_twice() {
    let (nats, receiver, mut projector) = apart().await;
    post(&receiver, &story(0)).await;
    let first = settled(&projector, &nats).await;
    assert_eq!(projector.terminate().await, 0);
    std::fs::remove_dir_all(projector.data().join("store")).unwrap();
    projector.restart().await;
    assert_eq!(settled(&projector, &nats).await, first, "a store folded again tells nothing");

    let mut second = Groupfold::project(Options::on(&nats)).await;
    for round in 1..4 {
        post(&receiver, &story(round)).await;
    }
    settled(&second, &nats).await;
    // Whoever came second took it for a fault, after each commit.
    for log in [projector.process().log(), second.process().log()] {
        assert!(!log.contains("changes are not published"), "{log}");
    }
    let both = settled(&projector, &nats).await;
    assert!(both.len() > first.len());
    drop(second);
    assert_eq!(projector.terminate().await, 0);
    assert_eq!(both.difference(&told_anew(&nats, &both).await), None);
}

#[tokio::test]
async fn what_retention_took_is_not_told_again_when_the_store_is_lost() {
    let (nats, receiver, mut projector) = apart().await;
    post(&receiver, &story(0)).await;
    settled(&projector, &nats).await;
    // The end is remembered when the projector ends, at the latest.
    assert_eq!(projector.terminate().await, 0);
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut stream = jetstream.get_stream(log::CHANGES_STREAM).await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    let age = std::mem::replace(&mut config.max_age, Duration::from_millis(200));
    config.duplicate_window = Duration::from_millis(100);
    jetstream.update_stream(&config).await.unwrap();
    wait_until("all changes are too old", BOUND, async || {
        let told = Told::read(&nats).await;
        if told.is_empty() { Ok(()) } else { Err(told.len()) }
    })
    .await;
    config.max_age = age;
    jetstream.update_stream(&config).await.unwrap();
    std::fs::remove_dir_all(projector.data().join("store")).unwrap();
    projector.restart().await;
    assert_eq!(settled(&projector, &nats).await.len(), 0);
    post(&receiver, &story(1)).await;
    let new = settled(&projector, &nats).await;
    assert!(!new.is_empty(), "the feed goes on");
    let subject = |body: &Value| body["kind"] == "subject" && body["after"] == "Name 1";
    assert_eq!(new.bodies().filter(|body| subject(body)).count(), 6);
}

pub(crate) async fn provisioned(nats: &NatsServer) -> Options {
    let client = nats.client().await;
    groupfold_ingest::provision::provision(&client, &Default::default()).await.unwrap();
    Options::on(nats)
}
