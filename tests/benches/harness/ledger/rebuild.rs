//! Aim 5: stores folded anew.

use serde_json::Value;

use groupfold_tests::Groupfold;

use super::Ledger;
use crate::child::{self, Ran};
use crate::figures::{Line, Spread};
use crate::report::{Fit, Report, Wanted};

/// Turns at one size of the log.
pub(super) struct Stage {
    ours: Vec<Ran>,
    bare: Vec<Ran>,
    bare_one_by_one: Vec<Ran>,
}

/// Folds stopped stores anew, beside the bare consumer.
pub(super) async fn measure(ledger: &Ledger<'_>, stages: &mut Vec<Stage>, report: &mut Report) {
    let mut stage = Stage { ours: Vec::new(), bare: Vec::new(), bare_one_by_one: Vec::new() };
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
    let durability = "synced before the swap";
    let at_once = super::ratios(&last.ours, &last.bare);
    report.aim(
        5,
        "rebuilt events/s over the bare consumer's, all streams at once",
        durability,
        at_once,
        Wanted::AtLeast(0.8),
    );
    let one_by_one = super::ratios(&last.ours, &last.bare_one_by_one);
    report.aim(
        5,
        "rebuilt events/s over the bare consumer's, one by one",
        durability,
        one_by_one,
        Wanted::AtLeast(0.8),
    );
    let rss = last.ours.iter().map(|ran| ran.rss_mib).reduce(f64::max);
    report.aim(5, "RSS of the rebuild in MiB", durability, Spread::of(rss), Wanted::AtMost(512.0));
    let middle = |stage: &Stage| {
        let seconds = Spread::of(stage.ours.iter().map(|ran| ran.seconds))?.median;
        Some((stage.ours.first()?.done, seconds))
    };
    let points: Vec<_> = stages.iter().filter_map(middle).collect();
    let line = Line::through(&points);
    let found = line.and_then(|line| Spread::of([line.r_squared]));
    report.aim(5, "r² of a line through rebuild times", durability, found, Wanted::AtLeast(0.99));
    report.fits.push(Fit { what: "rebuild".to_owned(), points, line });
}
