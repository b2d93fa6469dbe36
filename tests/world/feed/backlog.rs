//! A projector that is far behind.

use super::{BOUND, T, apart, post, settled, told_anew};
use crate::hook::{self, created, status, statuses};

/// More than a commit holds, and than two batches of changes that the broker takes.
const EVENTS: i64 = 2_600;

/// Of one partition.
fn backlog() -> Vec<Vec<u8>> {
    let receipt =
        |n: i64| status("G", &format!("wamid.{}", n / 20), "read", Some(&format!("1555{n:07}")), T + n);
    let receipts: Vec<_> = (0..EVENTS).map(receipt).collect();
    let told = receipts.chunks(100).map(statuses);
    [hook::lifecycle(&[created("G", "Plants", T)])].into_iter().chain(told).collect()
}

/// The runtime's leave to read on ended after 128 messages, and with it every batch: that many syncs, and writes of the same
/// pages, were for a hundred and some events.
#[tokio::test]
async fn a_backlog_is_folded_in_large_commits() {
    let (nats, receiver, mut projector) = apart().await;
    assert_eq!(projector.terminate().await, 0);
    post(&receiver, &backlog()).await;
    projector.restart().await;
    settled(&projector, &nats).await;
    let metrics = projector.get("/metrics").await.text;
    let figure = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
    let all = figure("groupfold_projector_batch_events_count ").unwrap();
    let small = figure("groupfold_projector_batch_events_bucket{le=\"128.0\"} ").unwrap();
    assert!(small < all, "all {all} commits have 128 events or less:\n{metrics}");
}

/// With nothing of it published, with a batch that nobody took note of, and between two batches.
#[tokio::test]
async fn a_backlog_is_told_once_and_in_order_whatever_is_killed_meanwhile() {
    let (nats, receiver, mut projector) = apart().await;
    assert_eq!(projector.terminate().await, 0);
    post(&receiver, &backlog()).await;
    for point in ["feed.begin", "feed.published", "feed.begin:2"] {
        projector.options().env = vec![("GROUPFOLD_CRASH".to_owned(), point.to_owned())];
        projector.begin();
        projector.process().wait(BOUND).await;
        projector.process().died_at_a_point();
        projector.kill9();
    }
    projector.options().env.clear();
    projector.restart().await;
    let told = settled(&projector, &nats).await;
    assert!(told.len() > usize::try_from(EVENTS).unwrap(), "{}", told.len());
    assert_eq!(projector.terminate().await, 0);
    assert_eq!(told.difference(&told_anew(&nats, &told).await), None);
}
