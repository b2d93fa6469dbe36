//! Rows 5 and 6: processes that stand still, and a network between receiver and broker that fails in every way.

use std::time::{Duration, Instant};

use groupfold_tests::{NatsServer, Process, Proxy, Rng, Way};

use super::kills::in_worlds;
use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{Plan, World};

/// One pause in so many is a long one.
const LONG_EVERY: u64 = 50;

/// A tenth of a second to one and a half; now and then longer than any deadline of the product's own.
fn pause_time(rng: &mut Rng) -> Duration {
    let long = rng.below(LONG_EVERY) == 0;
    Duration::from_millis(if long { rng.between(6_000, 15_000) } else { rng.between(100, 1_500) })
}

pub(crate) async fn pauses(budget: Budget) -> Outcome {
    in_worlds("5", Plan::default(), budget, async |world, rng, round| {
        world.load.until_sent(rng.between(3, 15)).await;
        let time = pause_time(rng);
        let stopped: &mut Process = match round % 3 {
            0 => world.receiver.process(),
            1 => world.projector.process(),
            _ => world.nats.process(),
        };
        stopped.signal("STOP");
        tokio::time::sleep(time).await;
        stopped.signal("CONT");
        world.recovered(Instant::now()).await
    })
    .await
}

/// A world whose receiver reaches its broker through a proxy.
pub(crate) async fn network(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let mut dropped = 0;
    while budget.allows(outcome.rounds) {
        let nats = NatsServer::start().await;
        let proxy = Proxy::start(nats.url().trim_start_matches("nats://").to_owned()).await;
        let plan = Plan { receiver_nats_url: Some(proxy.nats_url()), ..Plan::default() };
        let world = World::start_on(nats, plan, rng.next_u64() >> 16).await;
        for _ in 0..super::kills::ROUNDS_OF_A_WORLD {
            if !budget.allows(outcome.rounds) {
                break;
            }
            world.load.until_sent(rng.between(3, 15)).await;
            let since = disturb(&proxy, &mut rng, outcome.rounds).await;
            outcome.recovery.push(world.recovered(since).await);
            outcome.rounds += 1;
        }
        dropped += proxy.acks_dropped();
        world.end("6", &mut outcome).await;
    }
    outcome.note(format!("{dropped} acknowledgements were dropped on their way, the messages not"));
    outcome
}

async fn disturb(proxy: &Proxy, rng: &mut Rng, round: u32) -> Instant {
    let time = Duration::from_millis(rng.between(50, 1_500));
    match round % 4 {
        0 => proxy.reset(),
        1 => {
            proxy.take(Way::Stalled);
            tokio::time::sleep(time).await;
        }
        2 => {
            proxy.take(Way::HalfOpen);
            tokio::time::sleep(time).await;
        }
        _ => {
            proxy.take(Way::WithoutAcks);
            tokio::time::sleep(time).await;
        }
    }
    proxy.take(Way::Open);
    Instant::now()
}
