//! Aim 5: stores folded anew.

use serde_json::Value;

use groupfold_tests::Groupfold;

use super::Ledger;
use crate::child::{self, Ran};
use crate::figures::{Line, Spread};
use crate::report::{Fit, Report, Wanted};

/// Turns at one size of the log.
pub(super) struct Stage {
    events: u64,
    ours: Vec<Ran>,
    bare: Vec<Ran>,
    bare_one_by_one: Vec<Ran>,
}

/// Folds stopped stores anew, beside the bare consumer.
pub(super) async fn measure(ledger: &Ledger<'_>, stages: &mut Vec<Stage>, report: &mut Report) {
    let events = ledger.events;
    let mut stage = Stage { events, ours: Vec::new(), bare: Vec::new(), bare_one_by_one: Vec::new() };
    for _ in 0..ledger.rounds {
        stage.bare.push(ledger.consume(false).await);
        stage.ours.push(rebuild(ledger).await);
        stage.bare_one_by_one.push(ledger.consume(true).await);
    }
    let row = |who: &str, durability: &str, runs: &[Ran]| ledger.row("rebuild", durability, who, runs);
    report.measurements.push(row("bare consumer, all streams at once", "", &stage.bare));
    report.measurements.push(row("bare consumer, one by one", "", &stage.bare_one_by_one));
    report.measurements.push(row("rebuild", "synced before the swap", &stage.ours));
    stages.push(stage);
}

async fn rebuild(ledger: &Ledger<'_>) -> Ran {
    let options = ledger.bed.options(ledger.args);
    let mut command = Groupfold::command_of(options.binary.as_deref());
    command
        .args(["rebuild", "--output", "json", "--nats-url", &ledger.bed.url(), "--data"])
        .arg(&ledger.data);
    command.envs(options.env);
    let (log, ran) = child::to_its_end(command).await;
    let line = log.lines().rev().find(|line| line.starts_with('{')).expect("it says what it did");
    let job: Value = serde_json::from_str(line).expect("that is JSON");
    let swapped =
        job["partitions"].as_array().is_some_and(|all| all.iter().all(|one| one["swapped"] == true));
    assert!(swapped, "not every store was swapped: {line}");
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    Ran { done: ledger.events as f64, ..ran }
}

pub(super) fn judge(stages: Vec<Stage>, report: &mut Report) {
    let Some(last) = stages.last() else { return };
    let mut aim = |what, found, wanted, from_events| {
        report.aim(5, what, "synced before the swap", found, wanted).of_events(from_events, last.events);
    };
    let over_bare = "rebuilt events/s over the bare consumer's, all streams at once";
    aim(over_bare, super::ratios(&last.ours, &last.bare), Wanted::AtLeast(0.8), 1_000_000);
    let over_bare = "rebuilt events/s over the bare consumer's, one by one";
    aim(over_bare, super::ratios(&last.ours, &last.bare_one_by_one), Wanted::AtLeast(0.8), 1_000_000);
    let rss = last.ours.iter().map(|ran| ran.rss_mib).reduce(f64::max);
    aim("RSS of the rebuild in MiB", Spread::of(rss), Wanted::AtMost(512.0), 10_000_000);
    let middle = |stage: &Stage| {
        let seconds = Spread::of(stage.ours.iter().map(|ran| ran.seconds))?.median;
        Some((stage.ours.first()?.done, seconds))
    };
    let points: Vec<_> = stages.iter().filter_map(middle).collect();
    let line = Line::through(&points);
    let found = line.and_then(|line| Spread::of([line.r_squared]));
    aim("r² of a line through rebuild times", found, Wanted::AtLeast(0.99), 1_000_000);
    report.fits.push(Fit { what: "rebuild".to_owned(), points, line });
}
