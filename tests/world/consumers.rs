//! Places at the broker: it takes a thousand consumers of a stream. Who has read gives theirs back, and who gets none says so.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, Context};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, Nats, NatsServer, Options, Proxy, Way, wait_until};
use serde_json::Value;
use tokio::time::timeout;

use crate::feed::listener::Listener;
use crate::hook::{created, joined, lifecycle, participants};
use crate::laws::read_at;

const BOUND: Duration = Duration::from_secs(60);
/// Much less than the broker keeps a consumer that nobody reads by.
const SOON: Duration = Duration::from_secs(20);
const T: i64 = 1_767_225_600;
/// More than anybody needs at once.
const MANY: usize = 40;
/// What the broker takes, and some.
const TOO_MANY: usize = 1_100;

async fn consumers(context: &Context, stream: &str) -> usize {
    context.get_stream(stream).await.unwrap().cached_info().state.consumer_count
}

async fn at_most(context: &Context, stream: &str, count: usize) {
    wait_until("consumers are taken away", SOON, async || {
        let there = consumers(context, stream).await;
        if there <= count { Ok(()) } else { Err(there) }
    })
    .await;
}

/// The consumers by which readers of the feed follow it.
async fn followers(context: &Context) -> Vec<String> {
    let stream = context.get_stream(log::CHANGES_STREAM).await.unwrap();
    let all: Vec<_> = stream.consumers().try_collect().await.unwrap();
    let of_feed = all.into_iter().filter(|info| info.config.description.as_deref() != Some("filler"));
    of_feed.map(|info| info.name).collect()
}

async fn heard(listener: &mut Listener, kind: &str) -> Value {
    loop {
        let event =
            timeout(BOUND, listener.event()).await.expect("something comes").expect("the feed goes on");
        if event.kind.as_deref() == Some(kind) {
            return serde_json::from_str(&event.data.unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn looking_back_again_and_again_uses_up_no_consumers_of_the_broker() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let context = jetstream::new(nats.client().await);
    let answer = groupfold.post(&participants(&[joined("G", "15550001111", T)])).await;
    let position = answer.json["position"].as_str().unwrap().to_owned();
    let stream = log::stream(log::partition_of("G", 8));
    let time = jiff::Timestamp::now();
    for _ in 0..MANY {
        assert_eq!(read_at(&groupfold, "/v1/groups/G", &position).await.status, 200);
        let by_position = groupfold.get(&format!("/v1/groups/G?at={position}")).await;
        let by_time = groupfold.get(&format!("/v1/groups/G?at={time:.3}")).await;
        assert_eq!((by_position.status, by_time.status), (200, 200), "{by_position} {by_time}");
    }
    // The projector's own.
    at_most(&context, &stream, 1).await;
}

#[tokio::test]
async fn readers_of_the_feed_that_leave_give_their_consumers_back() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let context = jetstream::new(nats.client().await);
    assert_eq!(groupfold.post(&lifecycle(&[created("G", "Team", T)])).await.status, 200);
    for _ in 0..MANY {
        let mut listener = Listener::open(&groupfold, "?from=beginning", None).await.unwrap();
        heard(&mut listener, "subject").await;
    }
    at_most(&context, log::CHANGES_STREAM, 0).await;
}

/// Uses up what the broker takes; the names of what was made.
async fn use_up(context: &Context) -> Vec<String> {
    let stream = context.get_stream(log::CHANGES_STREAM).await.unwrap();
    let make = |n: usize| {
        let config = pull::Config {
            name: Some(format!("filler-{n}")),
            description: Some("filler".to_owned()),
            memory_storage: true,
            inactive_threshold: BOUND * 10,
            ..pull::Config::default()
        };
        stream.create_consumer(config)
    };
    let made = stream::iter(0..TOO_MANY).map(make).buffer_unordered(50);
    made.filter_map(async |made| made.ok().map(|made| made.cached_info().name.clone())).collect().await
}

/// Takes the feed's consumer away, and its place.
async fn take_over(context: &Context) {
    let stream = context.get_stream(log::CHANGES_STREAM).await.unwrap();
    wait_until("the feed has no place", BOUND, async || {
        let Some(own) = followers(context).await.pop() else { return Err("it has no consumer yet") };
        let config = pull::Config { inactive_threshold: BOUND * 10, ..pull::Config::default() };
        let config = pull::Config { description: Some("filler".to_owned()), ..config };
        // One behind the other on one connection: nothing comes between.
        let (_, made) = tokio::join!(stream.delete_consumer(&own), stream.create_consumer(config));
        made.map(drop).map_err(|_| "the feed was faster")
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_the_broker_has_no_consumer_for_is_503_and_one_that_loses_its_own_is_cut() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    let context = jetstream::new(nats.client().await);
    assert_eq!(groupfold.post(&lifecycle(&[created("G", "Team", T)])).await.status, 200);
    let mut listener = Listener::open(&groupfold, "?from=beginning", None).await.unwrap();
    heard(&mut listener, "subject").await;
    let fillers = use_up(&context).await;
    assert!(fillers.len() < TOO_MANY, "the broker takes as many as one likes");
    let refused = Listener::open(&groupfold, "?from=beginning", None).await.err().expect("no 200");
    refused.says(503, "feed_unavailable");

    take_over(&context).await;
    let cut = heard(&mut listener, "cut").await;
    assert_eq!(cut["reason"], "unavailable");
    let log = groupfold.process().log();
    for told in ["a reader of changes was turned away", "a reader is cut"] {
        let line = log.lines().find(|line| line.contains(told));
        assert!(line.is_some_and(|line| line.contains("WARN")), "{told}: {line:?}");
    }

    for filler in &fillers {
        context.delete_consumer_from_stream(filler, log::CHANGES_STREAM).await.unwrap();
    }
    let place = cut["resume_from"].as_str().expect("a place to resume from");
    let mut again = Listener::open(&groupfold, "", Some(place)).await.unwrap();
    assert_eq!(groupfold.post(&lifecycle(&[created("H", "Other", T)])).await.status, 200);
    assert_eq!(heard(&mut again, "subject").await["after"], "Other");
}

#[tokio::test]
async fn a_feed_is_followed_though_the_broker_needs_longer_than_a_heartbeat() {
    let nats = NatsServer::start().await;
    let proxy = Proxy::start(nats.url().replace("nats://", "")).await;
    let options = Options { nats: Nats::Url(proxy.nats_url()), ..Options::on(&nats) };
    let groupfold = Groupfold::up(options).await;
    let context = jetstream::new(nats.client().await);
    assert_eq!(groupfold.post(&lifecycle(&[created("G", "Team", T)])).await.status, 200);
    let mut listener = Listener::open(&groupfold, "?from=beginning&heartbeat_ms=1000", None).await.unwrap();
    heard(&mut listener, "subject").await;
    proxy.take(Way::Late);
    for consumer in followers(&context).await {
        context.delete_consumer_from_stream(&consumer, log::CHANGES_STREAM).await.unwrap();
    }
    let subject = log::change_subject(0, "archived", "G");
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "0:9:0");
    let sent = context.publish_with_headers(subject, headers, "{\"told\":1}".into()).await;
    sent.unwrap().await.unwrap();
    assert_eq!(heard(&mut listener, "archived").await["told"], 1);
    at_most(&context, log::CHANGES_STREAM, 1).await;
}
