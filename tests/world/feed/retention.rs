//! What retention took before a reader was told of it is not passed over in silence.

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use futures_util::future::join_all;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, Nats, NatsOptions, NatsServer, Options, Proxy, Way};
use serde_json::Value;
use tokio::time::timeout;

use super::listener::{Event, Listener};
use super::{BOUND, post, story};

/// More than the broker sends ahead of a reader.
const FLOOD: usize = 600;
const KEPT: i64 = 20;

/// Takes all changes but the last.
async fn cut_short(context: &Context) {
    let mut stream = context.get_stream(log::CHANGES_STREAM).await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    let many = std::mem::replace(&mut config.max_messages, KEPT);
    context.update_stream(&config).await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, KEPT.unsigned_abs());
    config.max_messages = many;
    context.update_stream(&config).await.unwrap();
}

fn sequence(event: &Event) -> u64 {
    event.id.as_deref().unwrap().split_once('-').unwrap().0.parse().unwrap()
}

/// Everything comes, one behind the other, until the feed is cut because something does not.
async fn is_cut_at_the_gap(mut listener: Listener, query: &str, mut last: u64) {
    loop {
        let event =
            timeout(BOUND, listener.event()).await.expect("something comes").expect("a cut comes last");
        if event.kind.as_deref() == Some("cut") {
            let cut: Value = serde_json::from_str(event.data.as_deref().unwrap()).unwrap();
            assert_eq!((&cut["reason"], &cut["resume_from"]), (&"gone".into(), &Value::Null), "{query}");
            return;
        }
        let found = sequence(&event);
        assert_eq!(found, last + 1, "{query}: behind {last}");
        last = found;
    }
}

#[tokio::test]
async fn a_live_reader_is_cut_where_retention_took_what_it_was_not_told() {
    // Without syncs: the last of so many publishes at once is not to wait for all others on the disk.
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let proxy = Proxy::start(nats.url().replace("nats://", "")).await;
    let groupfold = Groupfold::up(Options { nats: Nats::Url(proxy.nats_url()), ..Options::on(&nats) }).await;
    let context = jetstream::new(nats.client().await);
    let queries = ["", "?group=flood"];
    let mut listeners = Vec::new();
    for query in queries {
        let mut listener = Listener::open(&groupfold, query, None).await.unwrap();
        let begin = sequence(&listener.block().await.unwrap());
        listeners.push((listener, begin));
    }
    proxy.take(Way::Stalled);
    let subject = log::change_subject(log::partition_of("flood", 8), "subject", "flood");
    let mut acks = Vec::new();
    for n in 0..FLOOD {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("0:{n}:0").as_str());
        let sent = context.publish_with_headers(subject.clone(), headers, "{}".into()).await;
        acks.push(sent.unwrap().into_future());
    }
    assert!(join_all(acks).await.iter().all(Result::is_ok));
    cut_short(&context).await;
    proxy.take(Way::Open);
    for ((listener, begin), query) in listeners.into_iter().zip(queries) {
        is_cut_at_the_gap(listener, query, begin).await;
    }
}

#[tokio::test]
async fn a_position_after_which_changes_were_taken_is_410_and_that_of_the_state_is_not() {
    let (nats, groupfold, told) = super::told().await;
    let group = "G0-1";
    let of_group = told.bodies().find(|body| body["group_id"] == group);
    let first = of_group.unwrap()["position"].as_str().unwrap();
    assert!(Listener::open(&groupfold, &format!("?from={first}"), None).await.is_ok(), "all is kept");
    cut_short(&jetstream::new(nats.client().await)).await;
    for filter in ["", "&group=G0-1", "&kind=subject"] {
        let gone = Listener::open(&groupfold, &format!("?from={first}{filter}"), None).await.err();
        let gone = gone.unwrap_or_else(|| panic!("{filter}: changes after {first} are gone"));
        gone.says(410, "event_gone");
    }
    // Of a partition that a filter leaves out nothing is missed.
    let elsewhere = (0..).map(|n| format!("H{n}"));
    let elsewhere =
        elsewhere.into_iter().find(|other| log::partition_of(other, 8) != log::partition_of(group, 8));
    let query = format!("?from={first}&group={}", elsewhere.unwrap());
    assert!(Listener::open(&groupfold, &query, None).await.is_ok());
    // What the docs say to do then.
    let state = groupfold.get(&format!("/v1/groups/{group}")).await;
    let position = state.position().unwrap();
    let mut listener =
        Listener::open(&groupfold, &format!("?from={position}&group={group}"), None).await.unwrap();
    post(&groupfold, &story(3)).await;
    let event = timeout(BOUND, listener.event()).await.unwrap().unwrap();
    let told: Value = serde_json::from_str(event.data.as_deref().unwrap()).unwrap();
    let sequence = |text: &str| text.split_once(':').unwrap().1.parse::<u64>().unwrap();
    assert!(sequence(told["position"].as_str().unwrap()) > sequence(position), "{told}");
}

/// Each heartbeat once cut whoever began where retention was about to take what was of no concern, and cut it again when it
/// came again.
#[tokio::test]
async fn who_begins_where_retention_takes_what_is_not_asked_for_is_not_cut() {
    let (nats, groupfold, told) = super::told().await;
    let position = told.bodies().next().unwrap()["position"].as_str().unwrap().to_owned();
    let context = jetstream::new(nats.client().await);
    let mut listeners = Vec::new();
    for from in ["beginning", &position] {
        let query = format!("?from={from}&group=flood&heartbeat_ms=1000");
        let mut listener = Listener::open(&groupfold, &query, None).await.unwrap();
        listener.block().await.unwrap();
        listeners.push(listener);
    }
    cut_short(&context).await;
    for listener in &mut listeners {
        // The second heartbeat after it is past any look that the first one found under way.
        for _ in 0..2 {
            timeout(BOUND, listener.block()).await.expect("a heartbeat").expect("it is not cut");
        }
    }
    let partition = log::partition_of("flood", 8);
    let subject = log::change_subject(partition, "subject", "flood");
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{partition}:1000000:0").as_str());
    context.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap();
    for mut listener in listeners {
        let event = timeout(BOUND, listener.event()).await.expect("the change comes").expect("it is not cut");
        assert_ne!(event.kind.as_deref(), Some("cut"), "{:?}", event.data);
    }
}
