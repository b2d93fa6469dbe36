//! Laws 1 and 6 where a broker that syncs gets many messages as one batch: the fate of each is as exact as by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use groupfold_schemas::log;
use groupfold_tests::{
    Answer, Groupfold, Nats, NatsOptions, NatsServer, Options, Proxy, Way, post, wait_until,
};
use tokio::task::JoinSet;

use crate::append::acks;
use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);
const SECRET: &str = "app-secret-of-a-test";
const T: i64 = 1_767_225_600;
const GROUP: &str = "G1";
/// Items of a webhook: enough for a batch.
const ITEMS: u64 = 100;
const BATCH: &str = "Nats-Batch-Id";

/// A webhook of joins with these numbers.
fn webhook(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let joins: Vec<_> = numbers.into_iter().map(|n| joined(GROUP, &format!("1555{n:07}"), T)).collect();
    participants(&joins)
}

/// All messages of the group's stream.
async fn messages(nats: &NatsServer) -> Vec<StreamMessage> {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = log::stream(log::partition_of(GROUP, 8));
    let mut stream = jetstream.get_stream(name).await.unwrap();
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut messages = Vec::new();
    for sequence in 1..=last {
        messages.push(stream.direct_get(sequence).await.unwrap());
    }
    messages
}

/// How often each event stands in the log.
fn by_id(messages: &[StreamMessage]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for message in messages {
        *ids.entry(message.headers.get("Nats-Msg-Id").unwrap().to_string()).or_default() += 1;
    }
    ids
}

fn in_batches(messages: &[StreamMessage]) -> usize {
    messages.iter().filter(|message| message.headers.get(BATCH).is_some()).count()
}

fn count(answer: &Answer, fate: &str) -> u64 {
    answer.json[fate].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn many_items_for_one_group_go_as_a_batch_and_one_by_itself() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let alone = groupfold.post(&webhook([0])).await;
    assert_eq!(count(&alone, "appended"), 1, "{alone}");
    let many = groupfold.post(&webhook(1..=ITEMS)).await;
    assert_eq!(count(&many, "appended"), ITEMS, "{many}");
    let partition = log::partition_of(GROUP, 8);
    assert_eq!(many.json["position"], format!("{partition}:{}", ITEMS + 1), "the last of them");
    let messages = messages(&nats).await;
    assert_eq!((messages.len() as u64, in_batches(&messages) as u64), (ITEMS + 1, ITEMS));
    assert!(messages[0].headers.get(BATCH).is_none(), "one costs one sync");
    assert_eq!(acks(&groupfold, "acknowledged").await, ITEMS + 1, "each of a batch is counted");
}

/// From so many on a batch costs less than a sync for each, as `append/lane.rs` has it.
const BATCH_MIN: u64 = 24;

#[tokio::test]
async fn as_many_as_make_a_batch_worth_it_are_one_and_one_less_are_none() {
    for (items, batched) in [(BATCH_MIN - 1, 0), (BATCH_MIN, BATCH_MIN)] {
        let nats = NatsServer::start().await;
        let groupfold = Groupfold::up(Options::on(&nats)).await;
        let answer = groupfold.post(&webhook(0..items)).await;
        assert_eq!(count(&answer, "appended"), items, "{answer}");
        assert_eq!(in_batches(&messages(&nats).await) as u64, batched);
    }
}

/// Messages on their way each by itself to a broker that syncs, as `append/lane.rs` has it.
const ALONE_MAX: u64 = 8;

/// Where all were kept until what is on its way is answered, the disk would have nothing to do meanwhile; and where all went,
/// a batch would wait for all of them.
#[tokio::test]
async fn what_is_less_than_a_batch_goes_at_once_as_long_as_few_are_on_their_way() {
    let nats = NatsServer::start().await;
    let proxy = Proxy::start(nats.url().replace("nats://", "")).await;
    let mut options = Options { nats: Nats::Url(proxy.nats_url()), ..Options::on(&nats) };
    options.args.extend(["--append-deadline-ms", "60000"].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    proxy.take(Way::WithoutAcks);
    let mut senders = JoinSet::new();
    let mut from = 0;
    for (items, on_their_way) in [(ALONE_MAX / 2, ALONE_MAX / 2), (ALONE_MAX, ALONE_MAX)] {
        let url = groupfold.webhook_url();
        let body = webhook(from..from + items);
        from += items;
        senders.spawn(async move { post(&url, SECRET, &body).await.unwrap() });
        wait_until("what may go has gone, though nothing is answered", BOUND, async || {
            let taken = (messages(&nats).await.len() as u64, proxy.acks_dropped());
            if taken == (on_their_way, on_their_way) { Ok(()) } else { Err(format!("{taken:?}")) }
        })
        .await;
    }
    proxy.take(Way::Open);
    proxy.reset();
    let answers = senders.join_all().await;
    let sum = |fate| answers.iter().map(|answer| count(answer, fate)).sum::<u64>();
    assert_eq!(sum("appended") + sum("duplicate"), from, "{answers:?}");
    let messages = messages(&nats).await;
    assert_eq!((messages.len() as u64, in_batches(&messages)), (from, 0));
}

#[tokio::test]
async fn a_broker_that_does_not_sync_gets_no_batches() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let many = groupfold.post(&webhook(1..=ITEMS)).await;
    assert_eq!(count(&many, "appended"), ITEMS, "{many}");
    assert_eq!(in_batches(&messages(&nats).await), 0);
}

#[tokio::test]
async fn a_log_whose_streams_take_no_batches_is_written_all_the_same() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    assert_eq!(groupfold.terminate().await, 0);
    // As it was made before batches were used.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = log::stream(log::partition_of(GROUP, 8));
    let mut config = jetstream.get_stream(&name).await.unwrap().info().await.unwrap().config.clone();
    jetstream.delete_stream(&name).await.unwrap();
    config.allow_atomic_publish = false;
    jetstream.create_stream(config).await.unwrap();
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.restart().await;
    let many = groupfold.post(&webhook(1..=ITEMS)).await;
    assert_eq!(count(&many, "appended"), ITEMS, "{many}");
    assert_eq!(in_batches(&messages(&nats).await), 0);
}

#[tokio::test]
async fn a_duplicate_in_a_batch_is_one_and_spoils_nothing() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let first = groupfold.post(&webhook(10..20)).await;
    assert_eq!(count(&first, "appended"), 10, "{first}");
    let mixed = groupfold.post(&webhook(0..ITEMS)).await;
    assert_eq!((count(&mixed, "appended"), count(&mixed, "duplicate")), (ITEMS - 10, 10), "{mixed}");
    let metrics = groupfold.get("/metrics").await.text;
    assert!(metrics.contains(r#"groupfold_ingest_acks_total{outcome="batch_rejected"} 1"#), "{metrics}");
    let again = groupfold.post(&webhook(0..ITEMS)).await;
    assert_eq!((count(&again, "appended"), count(&again, "duplicate")), (0, ITEMS), "{again}");
    assert_eq!(again.json["position"], mixed.json["position"], "a duplicate stands where it stood");
    let ids = by_id(&messages(&nats).await);
    assert_eq!((ids.len() as u64, ids.values().max()), (ITEMS, Some(&1)));
}

#[tokio::test]
async fn the_same_webhook_many_times_at_once_is_appended_once() {
    let nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    options.args.extend(["--append-deadline-ms", "60000"].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    let mut senders = JoinSet::new();
    for _ in 0..16 {
        let url = groupfold.webhook_url();
        senders.spawn(async move { post(&url, SECRET, &webhook(0..ITEMS)).await.unwrap() });
    }
    let answers = senders.join_all().await;
    let sum = |fate| answers.iter().map(|answer| count(answer, fate)).sum::<u64>();
    assert_eq!((sum("appended"), sum("duplicate")), (ITEMS, 15 * ITEMS));
    assert_eq!(acks(&groupfold, "unknown").await, 0, "each was told what became of it at once");
    let ids = by_id(&messages(&nats).await);
    assert_eq!((ids.len() as u64, ids.values().max()), (ITEMS, Some(&1)));
}

#[tokio::test]
async fn a_batch_past_its_deadline_is_503_and_comes_in_whole_later() {
    let mut nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    options.args.extend(["--append-deadline-ms", "300"].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    wait_until("one is taken in time", BOUND, async || {
        let answer = groupfold.post(&webhook([0])).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    let pid = nats.process().pid().to_string();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    signal("STOP");
    let late = groupfold.post(&webhook(1..=ITEMS)).await;
    signal("CONT");
    late.says(503, "unacknowledged");
    assert_eq!(acks(&groupfold, "batch_rejected").await, 0, "nobody knows whether it was refused");
    let taken = wait_until("it is taken when it is sent again", BOUND, async || {
        let answer = groupfold.post(&webhook(1..=ITEMS)).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!(count(&taken, "appended") + count(&taken, "duplicate"), ITEMS, "{taken}");
    let ids = by_id(&messages(&nats).await);
    assert_eq!((ids.len() as u64, ids.values().max()), (ITEMS + 1, Some(&1)));
}

/// Messages of one stream on their way at once, as `append/lane.rs` has it.
const ON_THEIR_WAY_MAX: u64 = 1_000;

#[tokio::test]
async fn of_one_stream_a_thousand_messages_are_on_their_way_and_the_others_wait_for_room() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let proxy = Proxy::start(nats.url().replace("nats://", "")).await;
    let mut options = Options { nats: Nats::Url(proxy.nats_url()), ..Options::on(&nats) };
    options.args.extend(["--append-deadline-ms", "60000"].map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    let context = async_nats::jetstream::new(nats.client().await);
    let taken = async |group: &str| {
        let stream = context.get_stream(log::stream(log::partition_of(group, 8))).await.unwrap();
        stream.get_info().await.unwrap().state.messages
    };
    let other =
        (0..).map(|n| format!("O{n}")).find(|id| log::partition_of(id, 8) != log::partition_of(GROUP, 8));
    let other = other.unwrap();
    proxy.take(Way::WithoutAcks);
    let mut senders = JoinSet::new();
    let bodies = [webhook(0..800), webhook(800..1_600), participants(&[joined(&other, "15550000001", T)])];
    for body in bodies {
        let url = groupfold.webhook_url();
        senders.spawn(async move { post(&url, SECRET, &body).await.unwrap() });
    }
    wait_until("all that may go has gone", BOUND, async || {
        let gone = (taken(GROUP).await, taken(&other).await, proxy.acks_dropped());
        let all = (ON_THEIR_WAY_MAX, 1, ON_THEIR_WAY_MAX + 1);
        if gone == all { Ok(()) } else { Err(format!("{gone:?}")) }
    })
    .await;
    // What is not acknowledged now is sent again, and the others have room.
    proxy.take(Way::Open);
    proxy.reset();
    let answers = senders.join_all().await;
    let sum = |fate| answers.iter().map(|answer| count(answer, fate)).sum::<u64>();
    assert_eq!(sum("appended") + sum("duplicate"), 1_601, "{answers:?}");
    assert_eq!((taken(GROUP).await, taken(&other).await), (1_600, 1));
}

#[tokio::test]
async fn batches_across_kills_of_the_broker_lose_nothing_that_was_acknowledged() {
    let mut nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut senders = JoinSet::new();
    for _ in 0..4 {
        let (url, next, stop) = (groupfold.webhook_url(), Arc::clone(&next), Arc::clone(&stop));
        senders.spawn(async move {
            let mut acknowledged = 0;
            while !stop.load(Ordering::SeqCst) {
                let from = next.fetch_add(ITEMS, Ordering::SeqCst);
                // As the provider does: again, until it is acknowledged.
                while post(&url, SECRET, &webhook(from..from + ITEMS)).await.unwrap().status != 200 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                acknowledged += ITEMS;
            }
            acknowledged
        });
    }
    for kill in 1..=3 {
        wait_until("batches go in", BOUND, async || {
            let begun = next.load(Ordering::SeqCst);
            if begun >= kill * 8 * ITEMS { Ok(()) } else { Err(begun) }
        })
        .await;
        nats.kill9();
        nats.restart().await;
    }
    stop.store(true, Ordering::SeqCst);
    let acknowledged: u64 = senders.join_all().await.into_iter().sum();
    let messages = messages(&nats).await;
    let ids = by_id(&messages);
    assert_eq!(ids.len() as u64, acknowledged);
    assert!(in_batches(&messages) > 0, "of {} messages none came in a batch", messages.len());
}
