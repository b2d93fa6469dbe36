//! Where a reader that begins after a position stands, and what it may come again with.

use groupfold_schemas::position::Position;
use groupfold_tests::{Groupfold, Options};
use serde_json::Value;
use tokio::time::timeout;

use super::listener::{Event, Listener};
use super::{BOUND, post, story};

const FILTERS: [&str; 3] = ["", "&kind=subject", "&group=G0-1"];

fn sequence(id: &str) -> u64 {
    id.split_once('-').unwrap().0.parse().unwrap()
}

async fn next(listener: &mut Listener) -> (Event, Value) {
    let event = timeout(BOUND, listener.event()).await.unwrap().unwrap();
    let body = serde_json::from_str(event.data.as_deref().unwrap()).unwrap();
    (event, body)
}

/// It got 400 unless it named all partitions that the filter touches; the receiver's answers name those of one webhook.
#[tokio::test]
async fn a_position_is_a_last_event_id_with_the_meaning_that_it_has_as_from() {
    let (_nats, groupfold, _) = super::told().await;
    let one = groupfold.get("/v1/groups/G0-1").await;
    let home = one.position().unwrap().split_once(':').unwrap().0.to_owned();
    let (early, folded) = (format!("{home}:1"), one.position().unwrap());
    // What `from` says beside it counts no more than beside an event's id.
    let mut as_from = Listener::open(&groupfold, &format!("?from={early}"), None).await.unwrap();
    let mut as_id = Listener::open(&groupfold, "?from=beginning", Some(&early)).await.unwrap();
    for _ in 0..2 {
        let (first, second) = (next(&mut as_from).await, next(&mut as_id).await);
        assert_eq!(first, second);
        assert!(first.1["position"].as_str().unwrap().starts_with(&format!("{home}:")), "{}", first.1);
    }
    // Partitions that it does not name begin now: the first that is told is of what comes next.
    let mut later = Listener::open(&groupfold, "", Some(folded)).await.unwrap();
    let last: Position = groupfold.get("/v1/groups").await.position().unwrap().parse().unwrap();
    post(&groupfold, &story(3)).await;
    let at: Position = next(&mut later).await.1["position"].as_str().unwrap().parse().unwrap();
    assert!(at.iter().all(|(partition, at)| last.get(partition).unwrap() < at), "{at} {last}");
}

/// A change's own position goes behind all of its event; its id goes behind it alone.
#[tokio::test]
async fn the_id_of_a_change_leaves_nothing_out() {
    let (_nats, groupfold, told) = super::told().await;
    let mut listener = Listener::open(&groupfold, "?from=beginning", None).await.unwrap();
    let mut event = next(&mut listener).await.0;
    for _ in 0..told.len() / 2 {
        event = next(&mut listener).await.0;
    }
    let mut again = Listener::open(&groupfold, "", event.id.as_deref()).await.unwrap();
    let follows = next(&mut again).await.0.id.unwrap();
    assert_eq!(sequence(&follows), sequence(&event.id.unwrap()) + 1);
}

/// The first id once was that of the beginning: who came again with it was told all that is kept.
#[tokio::test]
async fn a_feed_begun_after_a_position_gives_no_id_from_before_it() {
    let (_nats, groupfold, told) = super::told().await;
    let end = u64::try_from(told.len()).unwrap();
    let state = groupfold.get("/v1/groups").await;
    let position = state.position().unwrap();
    let mut ids = Vec::new();
    for filter in FILTERS {
        for after in [None, Some(position)] {
            let query = format!("?from={position}&heartbeat_ms=1000{filter}");
            let mut listener = Listener::open(&groupfold, &query, after).await.unwrap();
            let id = loop {
                let block = timeout(BOUND, listener.block()).await.unwrap().unwrap();
                assert!(block.comment && block.data.is_none(), "{query}: {block:?}");
                if let Some(id) = block.id {
                    break id;
                }
            };
            assert!(sequence(&id) >= end, "{query}: {id}, though {end} changes are older than the state");
            ids.push((query, id));
        }
    }
    post(&groupfold, &story(3)).await;
    let before: Position = position.parse().unwrap();
    for (query, id) in ids {
        for after in [None, Some(id.as_str())] {
            let mut listener = Listener::open(&groupfold, &query, after).await.unwrap();
            let (_, change) = next(&mut listener).await;
            let at: Position = change["position"].as_str().unwrap().parse().unwrap();
            let newer = at.iter().all(|(partition, at)| before.get(partition).unwrap() < at);
            assert!(newer, "{query} after {after:?}: {change} is in the state at {position}");
        }
    }
}

/// What is told gives a place, also before the end as it was at the start.
#[tokio::test]
async fn a_change_told_after_a_position_gives_a_place_to_resume_from() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    post(&groupfold, &story(0)).await;
    groupfold.caught_up().await;
    let first = groupfold.get("/v1/groups/G0-1").await;
    let home = first.position().unwrap().split_once(':').unwrap().0.to_owned();
    let mut listener = Listener::open(&groupfold, &format!("?from={home}:1&group=G0-1"), None).await.unwrap();
    assert_eq!(listener.block().await.unwrap().id, None);
    let (event, _) = next(&mut listener).await;
    let id = event.id.unwrap();
    let mut again = Listener::open(&groupfold, "?group=G0-1", Some(&id)).await.unwrap();
    let (first, second) = (next(&mut listener).await, next(&mut again).await);
    assert_eq!(first, second);
    assert_eq!(groupfold.terminate().await, 0);
}
