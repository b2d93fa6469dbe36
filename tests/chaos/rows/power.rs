//! Row 4: power cuts. The device's content is copied while the process stands still, the process is killed, and what
//! was copied is mounted in its place: what was not synced is gone. A copy takes a while, so nothing is written meanwhile: a journal
//! that moves on under it could lose what was synced before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use groupfold_projector::store::{Settings, Store};
use groupfold_tests::{Log, NatsOptions, NatsServer, Rng, check_log, wait_until};

use crate::args::Budget;
use crate::disk::Disk;
use crate::outcome::Outcome;
use crate::world::{PARTITIONS, Plan, World};

const CUTS_OF_A_WORLD: u32 = 10;
/// The control goes on for so many rounds at most until it has lost something.
const CONTROL_ROUNDS_MAX: u32 = 40;
const SHOWN_WAIT: Duration = Duration::from_secs(60);
const BROKER_MIB: u64 = 512;
const STORE_MIB: u64 = 512;

fn broker_on(disk: &Disk, sync_always: bool) -> NatsOptions {
    NatsOptions { sync_always, store_dir: Some(disk.path().join("log")), ..NatsOptions::default() }
}

/// The broker's disk loses its power; the projector's does not.
pub(crate) async fn broker(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        let mut disk = match Disk::new(BROKER_MIB) {
            Ok(disk) => disk,
            Err(why) => return not_run(outcome, why),
        };
        let nats = NatsServer::start_with(broker_on(&disk, true)).await;
        let mut world = World::start_on(nats, Plan::default(), rng.next_u64() >> 16).await;
        for _ in 0..CUTS_OF_A_WORLD {
            if !budget.allows(&outcome) {
                break;
            }
            world.load.until_sent(rng.between(5, 40)).await;
            let since = Instant::now();
            world.nats.process().stand_still().await;
            let cut = disk.cut();
            world.nats.kill9();
            cut.and_then(|()| disk.power_up()).expect("the disk comes up again");
            world.nats.restart().await;
            outcome.round(1, Some(world.recovered(since).await));
        }
        world.end("4a", &mut outcome).await;
    }
    outcome
}

/// The same with the sync interval that nats-server has by itself: it must lose what was acknowledged.
pub(crate) async fn broker_without_sync(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) {
        let mut disk = match Disk::new(BROKER_MIB) {
            Ok(disk) => disk,
            Err(why) => return not_run(outcome, why),
        };
        let nats = NatsServer::start_with(broker_on(&disk, false)).await;
        let mut world = World::start_on(nats, Plan::default(), rng.next_u64() >> 16).await;
        // The streams themselves are there.
        disk.sync().expect("the disk syncs");
        world.load.until_sent(rng.between(20, 60)).await;
        world.nats.process().stand_still().await;
        let cut = disk.cut();
        world.nats.kill9();
        cut.and_then(|()| disk.power_up()).expect("the disk comes up again");
        let history = world.load.end().await;
        world.nats.restart().await;
        let log = Log::read(world.nats.client().await, PARTITIONS).await;
        let checked = check_log(&history, &log);
        outcome.add_counts(&history, &checked);
        outcome.round(1, None);
    }
    outcome
}

/// The projector's disk loses its power; the broker's does not. What was shown must be there.
pub(crate) async fn store(budget: Budget) -> Outcome {
    cut_stores("4c", budget, &[]).await
}

/// The same with a store that believes the operating system's word.
pub(crate) async fn store_without_sync(budget: Budget) -> Outcome {
    let mut outcome = cut_stores("4d", budget, &[("GROUPFOLD_CRASH", "commit.no_sync")]).await;
    // What it loses is no news.
    outcome.notes.clear();
    outcome
}

async fn cut_stores(row: &str, budget: Budget, env: &[(&str, &str)]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let is_control = !env.is_empty();
    let goes_on = |outcome: &Outcome| {
        let in_vain = is_control && outcome.lost == 0 && outcome.rounds < CONTROL_ROUNDS_MAX;
        budget.allows(outcome) || in_vain
    };
    while goes_on(&outcome) {
        let mut disk = match Disk::new(STORE_MIB) {
            Ok(disk) => disk,
            Err(why) => return not_run(outcome, why),
        };
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let plan = Plan { data: Some(disk.path().join("data")), projector_env: env, ..Plan::default() };
        let mut world = World::start(plan, rng.next_u64() >> 16).await;
        for _ in 0..CUTS_OF_A_WORLD {
            if !goes_on(&outcome) {
                break;
            }
            let before = world.shown();
            world.load.until_sent(rng.between(5, 40)).await;
            // What nobody was shown cannot be missed.
            wait_until("a reader is shown more", SHOWN_WAIT, async || {
                world.load.go_on();
                if world.shown() == before { Err(format!("{before:?}")) } else { Ok(()) }
            })
            .await;
            let since = Instant::now();
            world.projector.process().stand_still().await;
            let shown = world.shown();
            let cut = disk.cut();
            world.nobody_reads();
            world.projector.kill9();
            cut.expect("the disk can be copied");
            let look = disk.look().expect("the copy can be looked at");
            for what in behind(&look.path().join("data/store"), &shown) {
                outcome.lost += 1;
                outcome.note(format!("round {}: {what}", outcome.rounds));
            }
            drop(look);
            disk.power_up().expect("the disk comes up again");
            world.forget_what_was_shown();
            world.restart_projector().await;
            outcome.round(1, Some(world.recovered(since).await));
        }
        world.end(row, &mut outcome).await;
    }
    outcome
}

/// Stores that are damaged, or behind what readers were shown of them.
fn behind(root: &Path, shown: &BTreeMap<u16, u64>) -> Vec<String> {
    let mut found = Vec::new();
    for (partition, shown) in shown {
        let settings = Settings { root: root.to_owned(), partition: *partition, cache_bytes: 16 << 20 };
        let checked = Store::open_as_is(settings).and_then(|store| {
            store.verify()?;
            let sequence = store.view()?.progress().sequence;
            Ok(sequence)
        });
        match checked {
            Ok(sequence) if sequence >= *shown => {}
            Ok(sequence) => {
                found.push(format!("partition {partition} was shown at {shown} and is at {sequence}"))
            }
            Err(error) => found.push(format!("partition {partition}: {error}")),
        }
    }
    found
}

fn not_run(outcome: Outcome, why: String) -> Outcome {
    Outcome { not_run: Some(format!("needs root and loop devices: {why}")), ..outcome }
}
