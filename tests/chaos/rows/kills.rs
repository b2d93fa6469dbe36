//! Rows 1 to 3: processes that die, at random and between any two steps.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use groupfold_tests::{Groupfold, Load, NatsServer, Rng, wait_until};

use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::{BOUND, Plan, World};

/// Rounds that share a world: its check costs as much as many rounds.
pub(crate) const ROUNDS_OF_A_WORLD: u32 = 20;

/// After so many worlds that ended by a panic a row ends as well.
const ENDED_EARLY_MAX: u32 = 5;

/// A part that is killed while it begins lives for less than this: it is ready after some 150 ms.
const BEGIN_MS_MAX: u64 = 200;

/// Points of an append, and how often at most one is passed before the process dies there.
const OF_AN_APPEND: [(&str, u64); 4] =
    [("append.begin", 60), ("append.sent", 100), ("append.one", 100), ("append.all", 60)];
/// Points of a commit and of what follows it.
const OF_A_COMMIT: [(&str, u64); 11] = [
    ("fold.begin", 12),
    ("fold.done", 12),
    ("commit.begin", 12),
    ("commit.noted", 12),
    ("commit.half", 12),
    ("commit.applied", 12),
    ("commit.flushed", 12),
    ("commit.synced", 12),
    ("commit.visible", 12),
    ("feed.begin", 12),
    ("feed.published", 12),
];

/// What a round came to: its faults, and how long it took after the last of them until a webhook was taken and read.
pub(crate) struct Round {
    pub(crate) faults: u64,
    pub(crate) recovery: Duration,
}

/// Of a round with a single fault.
impl From<Duration> for Round {
    fn from(recovery: Duration) -> Self {
        Self { faults: 1, recovery }
    }
}

/// Runs rounds in worlds of [`ROUNDS_OF_A_WORLD`], each checked at its end.
pub(crate) async fn in_worlds<R: Into<Round>>(
    row: &str,
    plan: Plan,
    budget: Budget,
    mut round: impl AsyncFnMut(&mut World, &mut Rng, u32) -> R,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    while budget.allows(&outcome) && outcome.ended_early < ENDED_EARLY_MAX {
        let seed = rng.next_u64() >> 16;
        let lived = async {
            let mut world = World::start(plan.clone(), seed).await;
            let mut rounds = 0;
            while rounds < ROUNDS_OF_A_WORLD && budget.allows(&outcome) {
                let done: Round = round(&mut world, &mut rng, outcome.rounds).await.into();
                outcome.round(done.faults, Some(done.recovery));
                rounds += 1;
            }
            world.end(row, &mut outcome).await;
        };
        // What a round cannot do ends its world, not what was counted before.
        if let Err(panic) = AssertUnwindSafe(lived).catch_unwind().await {
            outcome.ended_early(panic.as_ref());
        }
    }
    outcome
}

/// Some load, and then some time of no round number.
async fn a_while(world: &World, rng: &mut Rng) {
    world.load.until_sent(rng.between(5, 40)).await;
    tokio::time::sleep(Duration::from_micros(rng.below(20_000))).await;
}

/// A part that can be killed, and killed again while it begins.
trait Mortal {
    fn kill9(&mut self);
    fn begin(&mut self);
}

impl Mortal for Groupfold {
    fn kill9(&mut self) {
        self.kill9();
    }
    fn begin(&mut self) {
        self.begin();
    }
}

impl Mortal for NatsServer {
    fn kill9(&mut self) {
        self.kill9();
    }
    fn begin(&mut self) {
        self.begin();
    }
}

/// Kills a part, and half of the time once or twice more while it begins. How often, and when at last.
async fn killed(part: &mut impl Mortal, rng: &mut Rng) -> (u64, Instant) {
    let more = [0, 0, 1, 2][rng.below(4) as usize];
    part.kill9();
    for _ in 0..more {
        part.begin();
        tokio::time::sleep(Duration::from_millis(rng.below(BEGIN_MS_MAX))).await;
        part.kill9();
    }
    (1 + more, Instant::now())
}

pub(crate) async fn receiver(budget: Budget) -> Outcome {
    in_worlds("1a", Plan::default(), budget, async |world, rng, _| {
        a_while(world, rng).await;
        let (faults, since) = killed(&mut world.receiver, rng).await;
        world.restart_receiver().await;
        Round { faults, recovery: world.recovered(since).await }
    })
    .await
}

pub(crate) async fn projector(budget: Budget) -> Outcome {
    in_worlds("2a", Plan { feed: true, ..Plan::default() }, budget, async |world, rng, _| {
        a_while(world, rng).await;
        let (faults, since) = killed(&mut world.projector, rng).await;
        world.restart_projector().await;
        Round { faults, recovery: world.recovered(since).await }
    })
    .await
}

pub(crate) async fn broker(budget: Budget) -> Outcome {
    in_worlds("3a", Plan::default(), budget, async |world, rng, _| {
        a_while(world, rng).await;
        let (faults, since) = killed(&mut world.nats, rng).await;
        world.nats.restart().await;
        Round { faults, recovery: world.recovered(since).await }
    })
    .await
}

/// Starts a part so that it dies at a point, waits until it has, and tells when that was.
async fn dies_at(
    part: &mut Groupfold,
    load: &Load,
    (point, passes): (&str, u64),
    lets_others_know: impl FnOnce(&Groupfold),
) -> Instant {
    part.kill9();
    part.options().env = vec![("GROUPFOLD_CRASH".to_owned(), format!("{point}:{passes}"))];
    let ready = part.try_restart().await;
    part.options().env.clear();
    if ready {
        lets_others_know(part);
        wait_until(&format!("the process dies at {point}:{passes}"), BOUND, async || {
            load.go_on();
            part.process().exited().map(drop).ok_or("it lives")
        })
        .await;
    }
    let since = Instant::now();
    part.process().died_at_a_point();
    part.kill9();
    since
}

pub(crate) async fn receiver_at_points(budget: Budget) -> Outcome {
    in_worlds("1b", Plan::default(), budget, async |world, rng, round| {
        let (point, most) = OF_AN_APPEND[round as usize % OF_AN_APPEND.len()];
        let load = &world.load;
        let moved = |receiver: &Groupfold| load.move_to(receiver.webhook_url());
        let passes = rng.between(1, most);
        let since = dies_at(&mut world.receiver, load, (point, passes), moved).await;
        world.restart_receiver().await;
        world.recovered(since).await
    })
    .await
}

pub(crate) async fn projector_at_points(budget: Budget) -> Outcome {
    in_worlds("2b", Plan { feed: true, ..Plan::default() }, budget, async |world, rng, round| {
        let (point, most) = OF_A_COMMIT[round as usize % OF_A_COMMIT.len()];
        world.nobody_reads();
        let passes = rng.between(1, most);
        let since = dies_at(&mut world.projector, &world.load, (point, passes), |_| {}).await;
        world.restart_projector().await;
        world.recovered(since).await
    })
    .await
}
