//! Rows 5 and 6: processes that stand still, and a network between receiver and broker that fails in every way.

use std::time::{Duration, Instant};

use groupfold_tests::{NatsServer, Process, Proxy, Rng, Way};

use super::kills::{Round, in_worlds};
use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{Plan, World};

/// One round in so many has a long pause.
const LONG_EVERY: u64 = 60;
/// Faults of the network that follow on one another before anybody may recover.
const DISTURBED_MAX: u64 = 4;

/// A tenth of a second to a whole one; now and then longer than any deadline of the product's own.
fn pause_time(rng: &mut Rng) -> Duration {
    let long = rng.below(LONG_EVERY) == 0;
    Duration::from_millis(if long { rng.between(6_000, 15_000) } else { rng.between(100, 1_000) })
}

/// One, two or all three processes stand still, each from another moment and for another time.
pub(crate) async fn pauses(budget: Budget) -> Outcome {
    in_worlds("5", Plan::default(), budget, async |world, rng, round| {
        world.load.until_sent(rng.between(3, 15)).await;
        let faults = rng.between(1, 3);
        let mut times: Vec<(Duration, usize, &str)> = Vec::new();
        for which in 0..faults as usize {
            let begin = Duration::from_millis(if which == 0 { 0 } else { rng.below(300) });
            let process = (round as usize + which) % 3;
            times.extend([(begin, process, "STOP"), (begin + pause_time(rng), process, "CONT")]);
        }
        times.sort_unstable();
        let begun = tokio::time::Instant::now();
        for (at, process, signal) in times {
            tokio::time::sleep_until(begun + at).await;
            let process: &mut Process = match process {
                0 => world.receiver.process(),
                1 => world.projector.process(),
                _ => world.nats.process(),
            };
            process.signal(signal);
        }
        Round { faults, recovery: world.recovered(Instant::now()).await }
    })
    .await
}

/// A world whose receiver reaches its broker through a proxy.
pub(crate) async fn network(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let mut dropped = 0;
    while budget.allows(&outcome) {
        let nats = NatsServer::start().await;
        let proxy = Proxy::start(nats.url().trim_start_matches("nats://").to_owned()).await;
        let plan = Plan { receiver_nats_url: Some(proxy.nats_url()), ..Plan::default() };
        let world = World::start_on(nats, plan, rng.next_u64() >> 16).await;
        for _ in 0..super::kills::ROUNDS_OF_A_WORLD {
            if !budget.allows(&outcome) {
                break;
            }
            world.load.until_sent(rng.between(3, 15)).await;
            let faults = rng.between(1, DISTURBED_MAX);
            for _ in 0..faults {
                disturb(&proxy, &mut rng).await;
            }
            let recovery = world.recovered(Instant::now()).await;
            outcome.round(faults, Some(recovery));
        }
        dropped += proxy.acks_dropped();
        world.end("6", &mut outcome).await;
    }
    outcome.note(format!("{dropped} acknowledgements were dropped on their way, the messages not"));
    outcome
}

async fn disturb(proxy: &Proxy, rng: &mut Rng) {
    let ways = [None, Some(Way::Stalled), Some(Way::HalfOpen), Some(Way::WithoutAcks)];
    if let Some(way) = rng.choose(&ways) {
        proxy.take(*way);
        // Mostly shorter than the time that an append has, every eighth time perhaps longer.
        let most = if rng.below(8) == 0 { 3_000 } else { 600 };
        tokio::time::sleep(Duration::from_millis(rng.between(50, most))).await;
        proxy.take(Way::Open);
    } else {
        proxy.reset();
    }
    // Some come through in between.
    tokio::time::sleep(Duration::from_millis(rng.below(100))).await;
}
