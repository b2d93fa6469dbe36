//! Freshness at the edges: stores that start over, places to wait that are taken.

use super::*;
use crate::store;
use crate::testing::{Folder, created, put};

fn freshness(partition: u16, sequence: u64) -> Freshness {
    Freshness { min_position: Some([(partition, sequence)].into_iter().collect()), wait_ms: Some(0) }
}

/// The moment between the reopening of an empty store and what readers are told about it.
#[tokio::test]
async fn a_store_that_started_over_since_is_not_taken_for_the_position_asked_for() {
    let folder = Folder::new();
    let partition = folder.open(0);
    put(&partition, &[created("G", 1, "x")]);
    let damage = store::Error::Damaged { partition: 0, source: "test".into() };
    partition.store.start_over(&damage).unwrap();
    assert_eq!(partition.status.borrow().applied, 1, "the status is stale");
    let reads = Reads::new(1, [partition.clone()], 0);
    let answer = |views: &[ReadView<'_>]| Ok(views.len());
    let stale = reads.read(vec![partition.clone()], &freshness(0, 1), answer).await;
    assert_eq!(stale.unwrap_err().code(), "position_not_reached");
    let free = reads.read(vec![partition], &Freshness::default(), answer).await;
    assert_eq!(free.unwrap(), 1);
}

#[tokio::test]
async fn a_partition_about_to_start_over_is_neither_fresh_nor_caught_up() {
    let folder = Folder::new();
    let partition = folder.open(0);
    put(&partition, &[created("G", 1, "x")]);
    partition.status.send_modify(|status| status.caught_up = true);
    partition.forget_progress();
    let reads = Reads::new(1, [partition.clone()], 0);
    let absent = |_: &[ReadView<'_>]| Err::<(), _>(Problem::group_not_found("H", &Position::default()));
    let asked = reads.read(vec![partition.clone()], &Freshness::default(), absent).await;
    assert_eq!(asked.unwrap_err().code(), "catching_up");
    let asked = reads.reach(&freshness(0, 1), &[partition]).await;
    assert_eq!(asked.unwrap_err().code(), "position_not_reached");
}

#[tokio::test]
async fn who_waits_takes_a_place_from_nobody_who_does_not() {
    let folder = Folder::new();
    let partition = folder.open(0);
    put(&partition, &[created("G", 1, "x")]);
    let reads = Reads::new(1, [partition.clone()], 30_000);
    let _all = reads.waiting.try_acquire_many(u32::try_from(WAITING_MAX).unwrap()).unwrap();
    // Said in the third alone: a wait that was asked for and cannot be had.
    for (wait_ms, expected) in
        [(Some(0), "position_not_reached"), (None, "position_not_reached"), (Some(20_000), "busy")]
    {
        let asked = Freshness { wait_ms, ..freshness(0, 2) };
        let reached = reads.reach(&asked, std::slice::from_ref(&partition)).await;
        assert_eq!(reached.unwrap_err().code(), expected, "{wait_ms:?}");
    }
    let asked = Freshness { wait_ms: None, ..freshness(0, 1) };
    reads.reach(&asked, &[partition]).await.unwrap();
}

/// Whoever waited held up the end of the process, and was cut without an answer.
#[tokio::test]
async fn who_waits_is_told_at_once_when_nothing_is_folded_any_more() {
    let folder = Folder::new();
    let partition = folder.open(0);
    let reads = Reads::new(1, [partition.clone()], u64::MAX);
    let asked = Freshness { wait_ms: Some(3_600_000), ..freshness(0, 2) };
    let ends = async {
        while partition.status.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        reads.ended.cancel();
    };
    let (reached, ()) = tokio::join!(reads.reach(&asked, std::slice::from_ref(&partition)), ends);
    assert_eq!(reached.unwrap_err().code(), "position_not_reached");
}

/// Readers who waited kept the platform's writes and commands away.
#[tokio::test]
async fn who_judges_by_all_of_the_log_waits_though_as_many_readers_wait_as_may() {
    let folder = Folder::new();
    let partition = folder.open(0);
    partition.status.send_modify(|status| status.log_end = 1);
    let reads = Reads::new(1, [partition.clone()], 30_000);
    let _all = reads.waiting.try_acquire_many(u32::try_from(WAITING_MAX).unwrap()).unwrap();
    let touched = [partition.clone()];
    let mut judged = std::pin::pin!(reads.fold_up(&touched));
    let waits = async {
        while partition.status.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        told = &mut judged => panic!("{:?}", told.map_err(|problem| problem.code())),
        () = waits => {}
    }
    put(&partition, &[created("G", 1, "x")]);
    partition.status.send_modify(|status| status.caught_up = true);
    assert!(judged.await.is_ok());
}
