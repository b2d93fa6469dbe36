use super::*;
use crate::testing::{Folder, created, joined, nobodys_client, put};

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
    let fresh = rebuilds.fresh(&live, Side::Verify, Scope::Whole).unwrap();
    let compared = rebuilds.compare(&live, &fresh, Scope::Whole).await.unwrap();
    assert!(compared.differing > 300, "{compared:?}");
    rebuilds.shutdown.cancel();
    let stopped = rebuilds.compare(&live, &fresh, Scope::Whole).await.unwrap_err();
    assert!(matches!(stopped, Error::Interrupted), "{stopped}");
}
