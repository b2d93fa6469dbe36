//! Rows 8 to 10: what the simulated provider tells twice, in another order, or so that it cannot be read.

use std::path::Path;

use groupfold_tests::{Groupfold, Options, Rng, Scratch};
use serde_json::Value;

use crate::args::Budget;
use crate::outcome::Outcome;
use crate::world::groupfold;

const ITEMS: &str = "1200";
const STORIES_OF_A_WORLD: u32 = 8;

pub(crate) async fn repeated(budget: Budget) -> Outcome {
    told(budget, |rng| [rng.between(1, 50), 0, 0]).await
}

pub(crate) async fn shuffled(budget: Budget) -> Outcome {
    told(budget, |rng| [rng.below(10), rng.between(20, 60), 0]).await
}

pub(crate) async fn unreadable(budget: Budget) -> Outcome {
    told(budget, |rng| [rng.below(20), rng.below(20), rng.between(1, 5)]).await
}

/// Stories with so many duplicates, reordered POSTs and bad items in a hundred; the API must agree with the truth.
async fn told(budget: Budget, noise: impl Fn(&mut Rng) -> [u64; 3]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let mut items = 0;
    while budget.allows(&outcome) {
        let mut up = Groupfold::up(Options::default()).await;
        let scratch = Scratch::new("truth");
        for _ in 0..STORIES_OF_A_WORLD {
            if !budget.allows(&outcome) {
                break;
            }
            let truth = scratch.path().join("truth.json");
            let seed = rng.below(1 << 30);
            items += story(&mut outcome, &up, seed, noise(&mut rng), &truth);
            outcome.round(1, None);
            if rng.below(3) == 0 {
                // Duplicates beyond what the broker remembers, and after a restart.
                up.kill9();
                up.restart().await;
            }
        }
        let verified = groupfold("verify", &up);
        if verified.0 != Some(0) {
            outcome.violation(format!("verify: {verified:?}"));
        }
        let audited = groupfold("audit", &up);
        outcome.note(format!("audit ends with {:?}", audited.0));
    }
    outcome.note(format!("{items} items were told, duplicates among them"));
    outcome
}

fn story(
    outcome: &mut Outcome,
    up: &Groupfold,
    seed: u64,
    [twice, late, bad]: [u64; 3],
    truth: &Path,
) -> u64 {
    let seed = seed.to_string();
    let noise = [twice, late, bad].map(|percent| percent.to_string());
    let truth = truth.to_str().expect("a path is text");
    let args = ["--seed", &seed, "--events", ITEMS, "--rate", "0", "--app-secret", "app-secret-of-a-test"];
    let noise = ["--duplicates", &noise[0], "--reorder", &noise[1], "--bad", &noise[2], "--truth", truth];
    let (code, report) = simulate(up, &[args.as_slice(), &noise].concat());
    if code != Some(0) {
        outcome.violation(format!("seed {seed}: {report}"));
    }
    outcome.acknowledged += report["acknowledged_posts"].as_u64().unwrap_or_default();
    outcome.unknown += report["undelivered_posts"].as_u64().unwrap_or_default();
    let (code, differences) = simulate(up, &["--check", truth]);
    if code != Some(0) {
        outcome.wrong += 1;
        outcome.note(format!("seed {seed}: {differences}"));
    }
    report["items"].as_u64().unwrap_or_default()
}

fn simulate(up: &Groupfold, args: &[&str]) -> (Option<i32>, Value) {
    let mut command = Groupfold::command();
    command.args(["simulate", "--quiet", "--output", "json", "--data"]).arg(up.data()).args(args);
    let output = command.output().expect("groupfold can be run");
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.unwrap_or_else(|_| String::from_utf8_lossy(&output.stderr).into()))
}
