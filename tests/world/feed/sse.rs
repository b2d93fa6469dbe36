//! The change feed as server-sent events.

use std::time::Duration;

use async_nats::HeaderMap;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Told, wait_until};
use serde_json::Value;
use tokio::time::timeout;

use super::listener::{Event, Listener};
use super::{BOUND, post, settled, story};
use crate::hook::{created, lifecycle};

/// Follows the feed from its beginning until `count` events came, leaving and coming back after every `stay`
/// events; the server may go away meanwhile.
async fn follow(groupfold: &Groupfold, count: usize, stay: usize, from: &mut Vec<Event>) {
    let mut listener: Option<Listener> = None;
    let mut stayed = 0;
    while from.len() < count {
        let after = from.last().and_then(|event: &Event| event.id.clone());
        let open = match listener.as_mut() {
            Some(open) => open,
            None => {
                let opened = Listener::open(groupfold, "?from=beginning", after.as_deref()).await;
                listener.insert(opened.unwrap_or_else(|answer| panic!("{answer}")))
            }
        };
        match timeout(BOUND, open.event()).await.expect("something comes") {
            Some(event) if event.kind.as_deref() == Some("cut") => {
                let data: Value = serde_json::from_str(event.data.as_deref().unwrap()).unwrap();
                assert_eq!(data["reason"], "shutdown");
                return;
            }
            Some(event) => {
                from.push(event);
                stayed += 1;
                if stayed % stay == 0 {
                    listener = None;
                }
            }
            None => return,
        }
    }
}

#[tokio::test]
async fn readers_that_come_and_go_hear_exactly_what_is_in_the_stream() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    let (mut steady, mut restless) = (Vec::new(), Vec::new());
    for round in 0..2 {
        let bodies = story(round);
        post(&groupfold, &bodies).await;
        // Before, in the middle of and after what is told; the second ends with the process.
        let some = 40 * (round as usize + 1);
        tokio::join!(
            follow(&groupfold, some, usize::MAX, &mut steady),
            follow(&groupfold, some, 7, &mut restless)
        );
        groupfold.restart().await;
    }
    post(&groupfold, &story(2)).await;
    let told = settled(&groupfold, &nats).await;
    assert!(told.len() > 150, "{}", told.len());
    tokio::join!(
        follow(&groupfold, told.len(), usize::MAX, &mut steady),
        follow(&groupfold, told.len(), 7, &mut restless)
    );
    assert_eq!(steady, restless);
    let heard = Told::of(steady.iter().map(|event| {
        let body: Value = serde_json::from_str(event.data.as_deref().unwrap()).unwrap();
        assert_eq!(body["kind"], event.kind.as_deref().unwrap());
        body
    }));
    assert_eq!(heard.difference(&told), None);
}

/// All other reads did.
#[tokio::test]
async fn a_feed_names_the_position_to_come_again_from_before_there_is_an_id() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    post(&groupfold, &story(0)).await;
    settled(&groupfold, &nats).await;
    let position =
        Listener::open(&groupfold, "?from=now", None).await.unwrap_or_else(|no| panic!("{no}")).position();
    let position = position.expect("a position");
    assert_eq!(position, groupfold.get("/v1/groups").await.json["position"]);
    // Gone before anything was told.
    post(&groupfold, &[lifecycle(&[created("LATER", "Tea", 1_767_225_700)])]).await;
    let again = Listener::open(&groupfold, &format!("?from={position}"), None).await;
    let mut again = again.unwrap_or_else(|no| panic!("{no}"));
    // What is told by now may be behind that, and was not told them.
    assert_eq!(again.position(), None, "whoever begins after a position comes again with that");
    let event = timeout(BOUND, again.event()).await.expect("something comes").expect("an event");
    assert!(event.data.unwrap().contains("LATER"));
    let of_one = Listener::open(&groupfold, "?group=LATER", None).await.unwrap_or_else(|no| panic!("{no}"));
    assert_eq!(of_one.position().unwrap().split(',').count(), 1, "of what the filter touches");
}

#[tokio::test]
async fn a_feed_ends_with_the_process_and_says_where_to_resume() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    post(&groupfold, &story(0)[..2]).await;
    let mut listener = Listener::open(&groupfold, "?from=beginning", None).await.ok().unwrap();
    let first = timeout(BOUND, listener.event()).await.unwrap().unwrap();
    let listens = async {
        let (mut last, mut cut) = (first.clone(), None);
        while let Some(event) = listener.event().await {
            match event.kind.as_deref() {
                Some("cut") => cut = event.data,
                _ => last = event,
            }
        }
        (last, cut.expect("the last event is the cut"))
    };
    let (code, (last, cut)) = tokio::join!(groupfold.terminate(), listens);
    assert_eq!(code, 0);
    let cut: Value = serde_json::from_str(&cut).unwrap();
    assert_eq!(cut["reason"], "shutdown");
    assert_eq!(cut["resume_from"], last.id.unwrap());
}

#[tokio::test]
async fn a_reader_asks_for_groups_kinds_and_a_place() {
    let (_nats, groupfold, told) = super::told().await;
    let count = |filter: &dyn Fn(&Value) -> bool| told.bodies().filter(|body| filter(body)).count();
    let hear = async |query: &str, count: usize| {
        let mut listener = Listener::open(&groupfold, query, None).await.ok().unwrap();
        let mut heard = Vec::new();
        while heard.len() < count {
            let event = timeout(BOUND, listener.event()).await.expect(query).expect(query);
            heard.push(serde_json::from_str::<Value>(event.data.as_deref().unwrap()).unwrap());
        }
        heard
    };
    let of_group = count(&|body| body["group_id"] == "G0-1");
    for body in hear("?from=beginning&group=G0-1", of_group).await {
        assert_eq!(body["group_id"], "G0-1");
    }
    let of_kinds = count(&|body| body["kind"] == "subject" || body["kind"] == "receipt");
    assert_eq!(of_kinds, 6 * 4, "two subjects and two receipts each");
    for body in hear("?from=beginning&kind=subject&kind=receipt", of_kinds).await {
        assert!(body["kind"] == "subject" || body["kind"] == "receipt", "{body}");
    }
    let mut positions: Vec<&Value> =
        told.bodies().filter(|body| body["group_id"] == "G0-1").map(|body| &body["position"]).collect();
    positions.dedup();
    let position = positions[1].as_str().unwrap();
    let after = hear(&format!("?from={position}&group=G0-1"), 1).await;
    assert_eq!(after[0]["position"], *positions[2], "what the position reflects is not told");

    // Now: nothing of the past. The first that comes is new.
    let mut now = Listener::open(&groupfold, "?kind=subject", None).await.ok().unwrap();
    let begin = now.block().await.unwrap();
    assert!(begin.id.is_some() && begin.data.is_none());
    post(&groupfold, &story(1)).await;
    let event = timeout(BOUND, now.event()).await.unwrap().unwrap();
    assert!(event.data.unwrap().contains("Plants"));

    for (query, code) in
        [("?kind=x", "bad_kind"), ("?from=x", "bad_from"), ("?heartbeat_ms=1", "bad_heartbeat")]
    {
        let answer = Listener::open(&groupfold, query, None).await.err().unwrap();
        answer.says(400, code);
    }
}

#[tokio::test]
async fn a_quiet_feed_shows_that_it_lives() {
    let groupfold = Groupfold::up(Options::default()).await;
    let mut listener = Listener::open(&groupfold, "?heartbeat_ms=1000", None).await.ok().unwrap();
    assert!(listener.block().await.unwrap().id.is_some());
    for _ in 0..2 {
        let beat = timeout(BOUND, listener.block()).await.unwrap().unwrap();
        assert_eq!(beat, Event { comment: true, ..Event::default() });
    }
}

/// Seven days of others' changes, in short: it had missed nothing, and was told to begin anew.
#[tokio::test]
async fn a_reader_of_what_seldom_changes_keeps_its_place_while_others_go_on() {
    let (nats, groupfold, _) = super::told().await;
    let query = "?group=G0-1&kind=subject&heartbeat_ms=1000";
    let mut listener = Listener::open(&groupfold, query, None).await.ok().unwrap();
    let begin = listener.block().await.unwrap().id.unwrap();
    let others: Vec<_> =
        (0..40).map(|n| lifecycle(&[created(&format!("H{n}"), "H", 1_767_225_600)])).collect();
    post(&groupfold, &others).await;
    settled(&groupfold, &nats).await;

    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut stream = jetstream.get_stream(log::CHANGES_STREAM).await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    let last = stream.cached_info().state.last_sequence;
    let sequence = |id: &str| id.split_once('-').unwrap().0.parse::<u64>().unwrap();
    let place = timeout(BOUND, async {
        loop {
            let block = listener.block().await.expect("the feed goes on");
            assert_eq!(block.data, None);
            if let Some(id) = block.id.filter(|id| sequence(id) >= last) {
                return id;
            }
        }
    });
    let place = place.await.expect("its place moves on");
    config.max_age = Duration::from_millis(200);
    config.duplicate_window = Duration::from_millis(100);
    jetstream.update_stream(&config).await.unwrap();
    wait_until("all changes are too old", BOUND, async || {
        let first = stream.info().await.unwrap().state.first_sequence;
        if first > last { Ok(()) } else { Err(first) }
    })
    .await;
    assert_eq!(Listener::open(&groupfold, query, Some(&begin)).await.err().unwrap().status, 410);
    assert!(Listener::open(&groupfold, query, Some(&place)).await.is_ok());
}

#[tokio::test]
async fn a_place_that_is_gone_is_410_and_one_that_never_was_is_400() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    post(&groupfold, &story(0)[..4]).await;
    // What is on its way would come into the new stream.
    settled(&groupfold, &nats).await;
    let mut listener = Listener::open(&groupfold, "?from=beginning", None).await.ok().unwrap();
    let event = timeout(BOUND, listener.event()).await.unwrap().unwrap();
    let id = event.id.unwrap();
    let answer = Listener::open(&groupfold, "", Some("yesterday")).await.err().unwrap();
    answer.says(400, "bad_event_id");
    let client = nats.client().await;
    let jetstream = async_nats::jetstream::new(client.clone());
    jetstream.delete_stream(log::CHANGES_STREAM).await.unwrap();
    let answer = Listener::open(&groupfold, "", Some(&id)).await.err().unwrap();
    answer.says(503, "feed_unavailable");
    groupfold_ingest::provision::provision(&client, &Default::default()).await.unwrap();
    let answer = Listener::open(&groupfold, "", Some(&id)).await.err().unwrap();
    answer.says(410, "event_gone");
}

/// More than all buffers on the way hold.
const FLOOD: usize = 600;

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_with_a_last_event() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let mut listener = Listener::open(&groupfold, "?group=flood", None).await.ok().unwrap();
    assert!(listener.block().await.is_some());
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let subject = log::change_subject(log::partition_of("flood", 8), "subject", "flood");
    let payload = bytes_of(200_000);
    for n in 0..FLOOD {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("0:{n}:0").as_str());
        let sent = jetstream.publish_with_headers(subject.clone(), headers, payload.clone().into()).await;
        sent.unwrap().await.unwrap();
    }
    wait_until("the reader is cut", BOUND, async || {
        let metrics = groupfold.get("/metrics").await.text;
        let cut = metrics.contains("groupfold_feed_cut_total{reason=\"slow_reader\"} 1");
        if cut { Ok(()) } else { Err("not yet") }
    })
    .await;
    let (mut heard, mut last) = (0, None);
    let cut = loop {
        let event = timeout(BOUND, listener.event()).await.unwrap().expect("a cut comes last");
        if event.kind.as_deref() == Some("cut") {
            break event;
        }
        heard += 1;
        last = event.id;
    };
    assert!(heard > 0 && heard < FLOOD, "{heard}");
    let cut: Value = serde_json::from_str(cut.data.as_deref().unwrap()).unwrap();
    assert_eq!(cut["reason"], "slow_reader");
    assert_eq!(cut["resume_from"].as_str(), last.as_deref());
    assert_eq!(listener.block().await, None);
    let mut again = Listener::open(&groupfold, "?group=flood", last.as_deref()).await.ok().unwrap();
    let next = timeout(BOUND, again.event()).await.unwrap().unwrap();
    let sequence = |id: &str| id.split_once('-').unwrap().0.parse::<u64>().unwrap();
    assert_eq!(sequence(&next.id.unwrap()), sequence(&last.unwrap()) + 1);
}

fn bytes_of(len: usize) -> Vec<u8> {
    serde_json::json!({ "x": "x".repeat(len) }).to_string().into_bytes()
}

#[tokio::test]
async fn one_reader_too_many_is_told_to_come_again() {
    let groupfold = Groupfold::up(Options::default()).await;
    let mut readers = Vec::new();
    let busy = loop {
        match Listener::open(&groupfold, "", None).await {
            Ok(reader) => readers.push(reader),
            Err(answer) => break answer,
        }
        assert!(readers.len() < 1000);
    };
    assert_eq!((busy.status, busy.json["code"].as_str(), readers.len()), (503, Some("busy"), 128));
    readers.pop();
    wait_until("there is a place again", BOUND, async || {
        Listener::open(&groupfold, "", None).await.map(drop)
    })
    .await;
}
