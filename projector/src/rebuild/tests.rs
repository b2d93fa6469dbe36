use std::time::Duration;

use groupfold_schemas::v1;
use tokio::time::timeout;

use super::*;
use crate::reads::Told;
use crate::testing::{Folder, created, joined, nobodys_client, put, taken, with_one_thread};

const BOUND: Duration = Duration::from_secs(60);

/// A live store, one beside it that has as much, and who works on them. No broker is asked.
async fn two(folder: &Folder) -> (Rebuilds, Partition) {
    let records = [created("G", 1, "first"), joined("G", 2, "1")];
    let live = folder.open(3);
    put(&live, &records);
    let beside = Partition::new(live.store.open_beside(Side::Rebuild, 16 << 20).unwrap()).unwrap();
    put(&beside, &records);
    let client = nobodys_client().await;
    let rebuilds = Rebuilds::new(vec![live.clone()], 8, client, Shares::beside(0), CancellationToken::new());
    (rebuilds, live)
}

#[tokio::test]
async fn a_live_store_that_starts_over_meanwhile_is_not_swapped_and_the_other_one_is_kept() {
    let folder = Folder::new();
    let (rebuilds, live) = two(&folder).await;
    let fresh = rebuilds.rebuilt(&live).await.unwrap();
    rebuilds.last_messages(&live, &fresh).await.unwrap();
    let damaged = store::Error::Damaged { partition: 3, source: "a test says so".into() };
    live.store.start_over(&damaged).unwrap();
    let refused = rebuilds.last_messages(&live, &fresh).await.unwrap_err();
    assert!(matches!(refused, Error::Ahead { partition: 3, live: 0, other: 2 }), "{refused}");
    drop(fresh);
    let refused = rebuilds.rebuilt(&live).await.unwrap_err();
    assert!(matches!(refused, Error::Ahead { partition: 3, live: 0, other: 2 }), "{refused}");
    assert!(live.store.has_beside(Side::Rebuild));
    // Who folds a stopped store on? It is begun anew.
    let offline = Rebuilds { offline: true, ..rebuilds };
    assert_eq!(offline.rebuilt(&live).await.unwrap().sequence().unwrap(), 0);
}

#[tokio::test]
async fn a_comparison_that_is_told_to_stop_keeps_nobody_from_closing_the_store() {
    let folder = Folder::new();
    let (rebuilds, live) = two(&folder).await;
    let many: Vec<_> = (0..300).map(|n| joined(&format!("G{n}"), n, "1")).collect();
    put(&live, &many);
    let fresh = rebuilds.fresh(&live, Side::Verify, Scope::Whole).await.unwrap();
    let turn = Arc::clone(&live.turn).lock_owned().await;
    let (compared, turn) = rebuilds.compare(&live, &fresh, Scope::Whole, turn).await.unwrap();
    assert!(compared.differing > 300, "{compared:?}");
    rebuilds.shutdown.cancel();
    let stopped = rebuilds.compare(&live, &fresh, Scope::Whole, turn).await.unwrap_err();
    assert!(matches!(stopped, Error::Interrupted), "{stopped}");
}

/// The loop went on, waited for the comparison with its commit, and all readers behind it. And after a swap answers of
/// the store before were shown.
#[test]
fn who_needs_a_store_to_stand_still_has_its_turn_to_the_end_though_nobody_waits_for_it() {
    with_one_thread(async {
        let folder = Folder::new();
        let (rebuilds, live) = two(&folder).await;
        let fresh = rebuilds.rebuilt(&live).await.unwrap();
        let turn = rebuilds.level(&live, &fresh).await.unwrap();
        let let_go = taken();
        let compared = rebuilds.compare(&live, &fresh, Scope::Whole, turn).now_or_never();
        assert!(compared.is_none() && live.turn.try_lock().is_err());
        drop(let_go);

        let turn = timeout(BOUND, Arc::clone(&live.turn).lock_owned()).await.unwrap();
        live.shown.keep("G", Told::new(br#"{"position":"3:2"}"#, 2).unwrap());
        live.stands_at(&v1::Progress::default());
        let let_go = taken();
        let swapped = rebuilds.swap(&live, Side::Rebuild, fresh, turn).now_or_never();
        assert!(swapped.is_none() && live.turn.try_lock().is_err());
        drop(let_go);
        let _turn = timeout(BOUND, live.turn.lock()).await.unwrap();
        assert!(!live.store.has_beside(Side::Rebuild) && live.store.has_beside(Side::Previous));
        assert!(live.shown.get("G").is_none());
        assert_eq!(live.status.borrow().applied, 2);
    });
}

/// Nobody opened it, and the partition served nothing though all looked well.
#[test]
fn the_loop_is_told_of_a_store_that_does_not_open_after_a_swap_that_nobody_waits_for() {
    with_one_thread(async {
        let folder = Folder::new();
        let (rebuilds, live) = two(&folder).await;
        let fresh = rebuilds.rebuilt(&live).await.unwrap();
        let turn = rebuilds.level(&live, &fresh).await.unwrap();
        let beside = folder.path().join("3.rebuild/3");
        std::fs::rename(&beside, folder.path().join("away")).unwrap();
        std::fs::create_dir_all(beside.join("db")).unwrap();
        let let_go = taken();
        assert!(rebuilds.swap(&live, Side::Rebuild, fresh, turn).now_or_never().is_none());
        drop(let_go);
        timeout(BOUND, live.failed.notified()).await.unwrap();
        assert!(live.store.view().is_err_and(|error| error.is_closed()));
    });
}

/// All loops and publishers stood still for as long as two stores take to read.
#[test]
fn stores_beside_are_opened_and_removed_where_nobody_else_waits_for_it() {
    with_one_thread(async {
        let folder = Folder::new();
        let (rebuilds, live) = two(&folder).await;
        let there = || live.store.has_beside(Side::Verify);
        let let_go = taken();
        for side in [Side::Rebuild, Side::Verify] {
            assert!(rebuilds.fresh(&live, side, Scope::Whole).now_or_never().is_none());
        }
        assert!(!there());
        drop(let_go);
        let fresh = timeout(BOUND, rebuilds.fresh(&live, Side::Verify, Scope::Whole)).await.unwrap().unwrap();
        let let_go = taken();
        assert!(fresh.remove(&live.store, Side::Verify).now_or_never().is_none());
        assert!(forget_comparison(&live).now_or_never().is_none());
        assert!(there());
        drop(let_go);
        timeout(BOUND, forget_comparison(&live)).await.unwrap();
        assert!(!there());
    });
}

#[test]
fn where_a_partition_fails_those_at_work_come_to_their_end_and_no_more_are_begun() {
    // So that what is waited for comes in order.
    with_one_thread(async {
        let folder = Folder::new();
        let chosen = [1, 2, 4].map(|id| folder.open(id));
        let [works, fails, later] = &chosen;
        fails.store.rest();
        let shares = Shares { at_once: 2, ..Shares::beside(0) };
        let client = nobodys_client().await;
        let rebuilds = Rebuilds::new(chosen.to_vec(), 8, client, shares, CancellationToken::new());
        let task = Task::Rebuild { force: false };
        rebuilds.lock().begin(&task).unwrap();
        rebuilds.clone().run(task, chosen.to_vec()).await;
        let job = rebuilds.job(None);
        assert_eq!(job.state, State::Failed, "{job:?}");
        assert!(job.error.as_ref().is_some_and(|why| why.contains("partition 2 is closed")), "{job:?}");
        let through: Vec<_> = job.partitions.iter().map(|one| (one.partition, one.swapped)).collect();
        assert_eq!(through, [(1, true)]);
        assert!(works.store.has_beside(Side::Previous) && !later.store.has_beside(Side::Previous));
    });
}

/// It was under way for ever, and no other task was begun until the process started anew.
#[tokio::test]
async fn a_task_that_panics_has_failed_and_says_so_and_another_one_may_begin() {
    let folder = Folder::new();
    let (rebuilds, live) = two(&folder).await;
    rebuilds.lock().begin(&Task::Rollback).unwrap();
    let work = async { std::panic::panic_any(format!("{} is no page", 7)) };
    rebuilds.watched(&[live], work).await;
    let job = rebuilds.job(None);
    assert_eq!((job.state, job.reason), (State::Failed, None));
    assert_eq!(job.error.as_deref(), Some("a fault of groupfold: 7 is no page"));
    rebuilds.lock().begin(&Task::Rollback).unwrap();
}
