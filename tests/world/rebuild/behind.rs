//! A live store that starts over, behind one that an operator would put in its place; and swaps that were cut short.

use std::path::{Path, PathBuf};

use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, wait_until};
use serde_json::Value;

use super::{BOUND, GROUP, T, digest, groupfold, stopped_after_a_story, told};
use crate::feed::provisioned;
use crate::hook::{created, joined, lifecycle, participants};

fn partition() -> String {
    log::partition_of(GROUP, 8).to_string()
}

fn store(data: &Path, name: &str) -> PathBuf {
    data.join("store").join(format!("{}{name}", partition()))
}

/// Runs `rebuild` on a stopped store and has it die.
fn dies_at(point: &str, data: &Path, nats: &NatsServer) {
    let mut dying = Groupfold::command();
    dying.args(["rebuild", "--partition", &partition(), "--nats-url", &nats.url(), "--data"]).arg(data);
    let died = dying.env("GROUPFOLD_CRASH", point).output().expect("groupfold can be run");
    assert_eq!(died.status.code(), None, "{died:?}");
}

/// A projector whose partition has a story, and what it stood at.
async fn with_a_story() -> (NatsServer, Groupfold, (String, String)) {
    let nats = NatsServer::start().await;
    let receiver = Groupfold::ingest(provisioned(&nats).await).await;
    let projector = Groupfold::project(Options::on(&nats)).await;
    let joins: Vec<Value> = (0..5).map(|n| joined(GROUP, &format!("55110000{n:04}"), T + n)).collect();
    for body in [lifecycle(&[created(GROUP, "subject", T)]), participants(&joins)] {
        assert_eq!(receiver.post(&body).await.status, 200);
    }
    let before = digest(&projector).await;
    (nats, projector, before)
}

/// Starts it with an empty store, which stays empty: nothing is folded before it is known what is published.
async fn starts_over(projector: &mut Groupfold, nats: &NatsServer) {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    jetstream.delete_stream(log::CHANGES_STREAM).await.unwrap();
    std::fs::remove_dir_all(store(&projector.data(), "")).unwrap();
    projector.start_anyhow().await;
}

/// From here on it folds.
async fn catches_up(projector: &Groupfold, nats: &NatsServer, before: &(String, String)) {
    provisioned(nats).await;
    wait_until("the state is the one before", BOUND, async || {
        let now = digest(projector).await;
        if now == *before { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

/// It was put in place, and older messages were folded into it once more.
#[tokio::test]
async fn a_rebuild_ahead_of_a_store_that_started_over_is_refused_and_kept() {
    let (nats, mut projector, before) = with_a_story().await;
    assert_eq!(projector.terminate().await, 0);
    let data = projector.data();
    dies_at("swap.begin", &data, &nats);
    starts_over(&mut projector, &nats).await;
    let args = ["--force", "--partition", &partition()];
    let refused = told(&groupfold("rebuild", &data, &args));
    assert!(refused.0 == Some(75) && refused.2.contains("the live store started over"), "{refused:?}");
    assert!(store(&data, ".rebuild").is_dir(), "what was folded is kept");
    catches_up(&projector, &nats, &before).await;
    let rebuilt = told(&groupfold("rebuild", &data, &args));
    assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");
    assert_eq!(digest(&projector).await, before);
}

/// It was removed, and then there was none.
#[tokio::test]
async fn a_previous_store_ahead_of_one_that_started_over_is_refused_and_kept() {
    let (nats, mut projector, before) = with_a_story().await;
    let data = projector.data();
    let rebuilt = told(&groupfold("rebuild", &data, &[]));
    assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");
    assert_eq!(projector.terminate().await, 0);
    starts_over(&mut projector, &nats).await;
    let args = ["--rollback", "--partition", &partition()];
    for _ in 0..2 {
        let refused = told(&groupfold("rebuild", &data, &args));
        assert!(refused.0 == Some(75) && refused.2.contains("the live store started over"), "{refused:?}");
    }
    catches_up(&projector, &nats, &before).await;
    let back = told(&groupfold("rebuild", &data, &args));
    assert_eq!(back.0, Some(0), "{back:?}");
    assert_eq!(digest(&projector).await, before);
}

/// The partition was in no list, and all others were equal.
#[tokio::test]
async fn a_swap_cut_short_on_stopped_stores_hides_no_partition() {
    let (nats, mut up, before) = stopped_after_a_story().await;
    let data = up.data();
    dies_at("swap.out", &data, &nats);
    assert!(!store(&data, "").exists() && store(&data, ".out-rebuild").is_dir());
    let fine = told(&groupfold("verify", &data, &["--nats-url", &nats.url()]));
    assert_eq!(fine.0, Some(0), "{fine:?}");
    let listed = fine.1["partitions"].as_array().unwrap().iter();
    let listed: Vec<u64> = listed.map(|one| one["partition"].as_u64().unwrap()).collect();
    assert_eq!(listed, (0..8).collect::<Vec<_>>(), "{fine:?}");
    up.restart().await;
    assert_eq!(digest(&up).await, before);
}
