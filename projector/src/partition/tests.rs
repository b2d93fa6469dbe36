use prometheus_client::registry::Registry;

use super::*;
use crate::testing::{Folder, created, items, joined, nobodys_client, put};

async fn looped(partition: &Partition) -> Loop {
    let metrics = Metrics::register(&mut Registry::default());
    let (client, shutdown) = (nobodys_client().await, CancellationToken::new());
    Loop::new(partition.clone(), client, 100, metrics, shutdown).unwrap()
}

#[tokio::test]
async fn a_batch_that_does_not_follow_what_the_store_has_is_left_and_the_tail_goes_on_from_there() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let mut looped = looped(&partition).await;
    assert_eq!(looped.tail.identity().sequence, 1);
    // As a store does that takes its place.
    put(&partition, &[joined("G", 2, "1"), joined("G", 3, "2")]);
    let late = items(2, &[joined("G", 2, "1")]);
    looped.fold(late).await.unwrap();
    let progress = partition.store.view().unwrap().progress();
    assert_eq!((progress.sequence, progress.events_applied), (3, 3), "nothing is folded twice");
    assert_eq!(looped.tail.identity().sequence, 3);
    looped.fold(items(4, &[joined("G", 4, "3")])).await.unwrap();
    assert_eq!((looped.tail.identity().sequence, partition.status.borrow().applied), (4, 4));
}

/// The next batch was folded singly to its end, however far that reached.
#[tokio::test]
async fn messages_are_folded_singly_as_far_as_the_one_at_fault_may_be_and_no_further() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let mut looped = Loop { metrics, singly_to: 2, ..looped(&partition).await };
    let records: Vec<_> = (1..=5).map(|n| joined("G", n, &n.to_string())).collect();
    looped.fold(items(1, &records)).await.unwrap();
    assert_eq!(looped.tail.identity().sequence, 5);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("projector_commit_seconds_count 3\n"), "two alone, the others together: {text}");
}

/// Who ended waited for a commit a message, of a thousand of them.
#[tokio::test]
async fn nothing_more_is_folded_once_it_is_time_to_end() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let mut looped = Loop { singly_to: 3, ..looped(&partition).await };
    looped.shutdown.cancel();
    looped.fold(items(2, &[joined("G", 2, "1"), joined("G", 3, "2")])).await.unwrap();
    assert_eq!((partition.status.borrow().applied, looped.tail.identity().sequence), (1, 1));
}

/// It stopped for good, though the same error of a commit is tried again.
#[tokio::test]
async fn a_store_that_cannot_be_looked_into_for_damage_now_is_opened_anew() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let mut looped = looped(&partition).await;
    partition.store.rest();
    assert!(!looped.is_sound().await.unwrap());
    assert_eq!(partition.store.view().unwrap().sequence(), 1);
    assert_eq!(looped.tail.identity().sequence, 1);
}

/// It followed whatever stream was there next.
#[tokio::test]
async fn a_store_that_comes_up_empty_when_it_is_opened_anew_follows_the_stream_that_is_known() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let mut looped = looped(&partition).await;
    partition.store.rest();
    std::fs::remove_dir_all(folder.path().join("3")).unwrap();
    assert!(!looped.is_sound().await.unwrap());
    let identity = looped.tail.identity();
    assert_eq!((identity.sequence, identity.created.as_deref()), (0, Some("created")));
}

/// Nobody looked into it while the change feed took nothing; and where a parcel of it is at fault, it never would have.
#[tokio::test]
async fn damage_is_looked_into_while_the_change_feed_takes_nothing() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let mut looped = looped(&partition).await;
    // Nobody knows what is published.
    partition.store.rest();
    partition.damage.notify_one();
    let may_fold =
        tokio::time::timeout(Duration::from_secs(60), looped.may_fold()).await.expect("it was told");
    assert!(!may_fold.unwrap(), "the batch is read again");
    assert_eq!(partition.store.view().unwrap().sequence(), 1, "it was looked through");
}
