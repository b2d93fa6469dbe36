//! Laws 1 and 3 where the log does not answer, or refuses: what is published again, how often, and what is counted.

use std::ops::Range;
use std::time::Duration;

use async_nats::jetstream;
use groupfold_schemas::log;
use groupfold_tests::{
    Answer, Groupfold, Nats, NatsOptions, NatsServer, Options, Proxy, Way, post, wait_until,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::hook::{joined, messages, participants};

const BOUND: Duration = Duration::from_secs(60);
const SECRET: &str = "app-secret-of-a-test";
const GROUP: &str = "G1";

/// A broker, a way to it that can be told to misbehave, and a receiver behind that.
async fn behind_a_proxy(sync_always: bool, deadline_ms: &str) -> (NatsServer, Proxy, Groupfold) {
    let nats = NatsServer::start_with(NatsOptions { sync_always, ..NatsOptions::default() }).await;
    let proxy = Proxy::start(nats.url().replace("nats://", "")).await;
    let mut options = Options { nats: Nats::Url(proxy.nats_url()), ..Options::on(&nats) };
    options.args.extend(["--append-deadline-ms", deadline_ms].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    (nats, proxy, groupfold)
}

/// A webhook of joins with these numbers.
fn webhook(numbers: Range<u64>) -> Vec<u8> {
    let joins: Vec<_> = numbers.map(|n| joined(GROUP, &format!("1555{n:07}"), 1_767_225_600)).collect();
    participants(&joins)
}

fn posted(groupfold: &Groupfold, body: Vec<u8>) -> JoinHandle<Answer> {
    let url = groupfold.webhook_url();
    tokio::spawn(async move { post(&url, SECRET, &body).await.unwrap() })
}

/// Publishes that the log answered so; 0 if none has been.
pub(crate) async fn acks(groupfold: &Groupfold, outcome: &str) -> u64 {
    let metrics = groupfold.get("/metrics").await.text;
    let counter = format!("groupfold_ingest_acks_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&counter)).map_or(0, |count| count.parse().unwrap())
}

/// Waits until the one receiver that there is has left such counts.
async fn counts(nats: &NatsServer, wanted: impl Fn(&Value) -> bool) {
    let context = jetstream::new(nats.client().await);
    wait_until("the counts are left", BOUND, async || {
        let stream = context.get_stream("KV_groupfold_receivers").await.map_err(|error| error.to_string())?;
        let last = stream.get_last_raw_message_by_subject("$KV.groupfold_receivers.*").await;
        let last = last.map_err(|error| error.to_string())?;
        let counts: Value = serde_json::from_slice(&last.payload).unwrap();
        if wanted(&counts) { Ok(()) } else { Err(counts.to_string()) }
    })
    .await;
}

async fn wait_for_lost_acks(proxy: &Proxy, lost: u64) {
    wait_until("acknowledgements get lost", BOUND, async || {
        let now = proxy.acks_dropped();
        if now >= lost { Ok(()) } else { Err(now) }
    })
    .await;
}

async fn an_acknowledgement_gets_lost(sync_always: bool, joins: u64, lost: u64) {
    let (nats, proxy, mut groupfold) = behind_a_proxy(sync_always, "12000").await;
    proxy.take(Way::WithoutAcks);
    let answer = posted(&groupfold, webhook(0..joins));
    wait_for_lost_acks(&proxy, lost).await;
    proxy.take(Way::Open);
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, &answer.json["duplicate"]), (200, &joins.into()), "{answer}");
    // Once, but on a slow machine: twice where half of the time is over before acknowledgements are let through again.
    let unknown = acks(&groupfold, "unknown").await;
    assert!((joins..=2 * joins).contains(&unknown), "{unknown}");
    let told = [acks(&groupfold, "duplicate").await, acks(&groupfold, "acknowledged").await];
    assert_eq!(told, [joins, 0]);
    counts(&nats, |counts| (&counts["stored"], &counts["unsure"]) == (&0.into(), &joins.into())).await;
    assert_eq!(groupfold.terminate().await, 0);
}

#[tokio::test]
async fn an_acknowledgement_that_got_lost_is_got_by_publishing_again() {
    tokio::join!(
        an_acknowledgement_gets_lost(false, 1, 1),
        an_acknowledgement_gets_lost(true, 1, 1),
        an_acknowledgement_gets_lost(true, 100, 1)
    );
}

#[tokio::test]
async fn a_lost_connection_ends_waits_for_what_went_over_it_and_nothing_was_refused() {
    for (sync_always, joins, lost) in [(false, 3, 3), (true, 3, 3), (true, 100, 1)] {
        let (mut nats, proxy, mut groupfold) = behind_a_proxy(sync_always, "600000").await;
        proxy.take(Way::WithoutAcks);
        let answer = posted(&groupfold, webhook(0..joins));
        wait_for_lost_acks(&proxy, lost).await;
        nats.kill9();
        wait_until("it is known that nobody knows", BOUND, async || {
            let unknown = acks(&groupfold, "unknown").await;
            if unknown == joins { Ok(()) } else { Err(unknown) }
        })
        .await;
        let refused = groupfold.post(&webhook(0..1)).await;
        refused.says(503, "broker_disconnected");
        proxy.take(Way::Open);
        let taken = wait_until("the new connection is used as soon as it is there", BOUND, async || {
            let answer = groupfold.post(&webhook(201..202)).await;
            if answer.status == 200 { Ok(answer) } else { Err(answer) }
        });
        let ((), taken) = tokio::join!(nats.restart(), taken);
        assert_eq!(taken.json["appended"], 1, "{taken}");
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, &answer.json["duplicate"]), (200, &joins.into()), "{answer}");
        assert_eq!(acks(&groupfold, "rejected").await, 0, "what was not published is not refused");
        wait_until("the receiver has seen the new connection", BOUND, async || {
            let log = groupfold.process().log();
            if log.contains("broker connection changed connected=true") { Ok(()) } else { Err(log) }
        })
        .await;
        let answer = groupfold.post(&webhook(200..201)).await;
        assert_eq!((answer.status, &answer.json["appended"]), (200, &1.into()), "{answer}");
        assert_eq!(acks(&groupfold, "unknown").await, joins, "what was lost before is no loss of this one");
    }
}

#[tokio::test]
async fn what_the_log_may_take_later_is_tried_again_after_pauses_that_grow_until_the_deadline() {
    let nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    options.args.extend(["--append-deadline-ms", "3000"].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    let context = jetstream::new(nats.client().await);
    context.delete_stream(log::stream(log::partition_of(GROUP, 8))).await.unwrap();
    let answer = groupfold.post(&webhook(0..1)).await;
    assert_eq!(answer.status, 503, "{answer}");
    // After pauses of 25, 50, 100 and 200 milliseconds and six of 400 the deadline is all but over. A slow machine tries
    // less often, and may have no answer to the last.
    let (refused, unknown) = (acks(&groupfold, "rejected").await, acks(&groupfold, "unknown").await);
    assert!(refused >= 1 && (2..=11).contains(&(refused + unknown)), "{refused} refused, {unknown} unknown");
}

#[tokio::test]
async fn what_stands_in_a_webhook_twice_is_published_once() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let one = joined(GROUP, "15550001111", 1_767_225_600);
    let answer = groupfold.post(&participants(&[one.clone(), one])).await;
    assert_eq!((&answer.json["appended"], &answer.json["duplicate"]), (&1.into(), &1.into()), "{answer}");
    assert_eq!([acks(&groupfold, "acknowledged").await, acks(&groupfold, "duplicate").await], [1, 0]);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_gets_no_more_until_it_does() {
    let (nats, proxy, mut groupfold) = behind_a_proxy(false, "300").await;
    proxy.take(Way::Stalled);
    for code in ["unacknowledged", "broker_stalled"] {
        let answer = groupfold.post(&webhook(0..3)).await;
        answer.says(503, code);
    }
    proxy.take(Way::Open);
    wait_until("it is taken when it is sent again", BOUND, async || {
        let answer = groupfold.post(&webhook(0..3)).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    // The first may have arrived.
    counts(&nats, |counts| counts["unsure"].as_u64() >= Some(3)).await;
    assert_eq!(groupfold.terminate().await, 0);
}

/// It got 503 while others did, and would have told of a broker that answers.
#[tokio::test]
async fn a_webhook_of_ignored_items_alone_asks_nothing_of_the_log_and_says_nothing_of_it() {
    let (mut nats, proxy, groupfold) = behind_a_proxy(false, "300").await;
    let one_to_one = json!({ "from": "5511", "id": "w", "timestamp": "1767225600", "type": "text" });
    let ignored = async || {
        let answer = groupfold.post(&messages(std::slice::from_ref(&one_to_one))).await;
        let told = (answer.status, &answer.json["ignored"], &answer.json["position"], answer.position());
        assert_eq!(told, (200, &json!(1), &json!(""), None), "{answer}");
    };
    proxy.take(Way::Stalled);
    groupfold.post(&webhook(0..1)).await.says(503, "unacknowledged");
    ignored().await;
    groupfold.post(&webhook(0..1)).await.says(503, "broker_stalled");
    let ready = groupfold.get("/readyz").await;
    assert!(ready.status == 503 && ready.text.contains("broker: does not answer"), "{ready}");
    nats.kill9();
    proxy.take(Way::Open);
    wait_until("the broker is missed", BOUND, async || {
        let answer = groupfold.post(&webhook(0..1)).await;
        if answer.json["code"] == "broker_disconnected" { Ok(()) } else { Err(answer) }
    })
    .await;
    ignored().await;
}

#[tokio::test]
async fn a_batch_waits_for_what_went_before_it_and_takes_none_of_its_answers() {
    let (nats, proxy, groupfold) = behind_a_proxy(true, "600000").await;
    let context = jetstream::new(nats.client().await);
    let stream = context.get_stream(log::stream(log::partition_of(GROUP, 8))).await.unwrap();
    proxy.take(Way::Unanswered);
    let mut answers = vec![posted(&groupfold, webhook(0..1))];
    wait_until("the first is in the log", BOUND, async || {
        let messages = stream.get_info().await.unwrap().state.messages;
        if messages == 1 { Ok(()) } else { Err(messages) }
    })
    .await;
    answers.push(posted(&groupfold, webhook(1..101)));
    wait_until("the receiver has the others", BOUND, async || {
        let metrics = groupfold.get("/metrics").await.text;
        if metrics.lines().any(|line| line == "groupfold_ingest_in_flight 2") { Ok(()) } else { Err(metrics) }
    })
    .await;
    proxy.take(Way::Open);
    for answer in answers {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, &answer.json["duplicate"]), (200, &0.into()), "{answer}");
    }
    assert_eq!(acks(&groupfold, "unknown").await, 0);
}

/// A stream that takes messages once ended the refusals of all others: one full stream of eight was nobody's concern.
#[tokio::test]
async fn a_full_stream_holds_the_receiver_unready_while_others_take_messages() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    assert_eq!(groupfold.post(&webhook(0..1)).await.status, 200);
    let context = jetstream::new(nats.client().await);
    let full = log::stream(log::partition_of(GROUP, 8));
    let config = context.get_stream(&full).await.unwrap().cached_info().config.clone();
    context.update_stream(jetstream::stream::Config { max_messages: 1, ..config }).await.unwrap();
    let other =
        (0..).map(|n| format!("other-{n}")).find(|group| log::stream(log::partition_of(group, 8)) != full);
    let other = other.unwrap();
    let mut members = 1..;
    wait_until("readiness names it", BOUND, async || {
        let member = members.next().unwrap();
        let refused = groupfold.post(&webhook(member..member + 1)).await;
        assert_eq!(refused.status, 503, "{refused}");
        let taken = groupfold
            .post(&participants(&[joined(&other, &format!("1555{member:07}"), 1_767_225_600)]))
            .await;
        assert_eq!(taken.status, 200, "{taken}");
        let ready = groupfold.get("/readyz").await;
        let told = ready.status == 503 && ready.text.contains("log: log_full");
        if told { Ok(()) } else { Err(ready) }
    })
    .await;
}
