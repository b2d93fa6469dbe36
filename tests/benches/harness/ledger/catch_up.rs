//! Aim 4: the live projector, behind and abreast.

use std::time::{Duration, Instant};

use groupfold_schemas::position::Position as LogPosition;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Ledger;
use super::project::{Position, Project};
use crate::child::Ran;
use crate::figures::Spread;
use crate::latency::Latencies;
use crate::log::Log;
use crate::process;
use crate::report::{Measurement, Report, Wanted};

const SYNCED: &str = "commits synced";
const PER_SECOND: f64 = 10_000.0;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Turns of the projector and of the bare consumer.
#[derive(Default)]
pub(super) struct Rates {
    ours: Vec<Ran>,
    bare: Vec<Ran>,
}

/// Has the projector catch up with what came since the last stage.
pub(super) async fn measure(ledger: &Ledger<'_>, rates: &mut Rates, report: &mut Report) {
    let bare = ledger.consume(false).await;
    let ours = catch_up(ledger, ledger.events).await;
    if ours.done < 1.0 {
        // Too few events for this many groups: there is nothing new at this stage.
        return;
    }
    report.measurements.push(ledger.row("catch-up", "", "bare consumer", &[bare]));
    if ledger.last {
        least(ledger, report).await;
    }
    report.measurements.push(ledger.row("catch-up", SYNCED, "live projector", &[ours]));
    rates.ours.push(ours);
    rates.bare.push(bare);
}

/// Groups whose members go and come again.
const CHURNED: u64 = 16;

/// Has it catch up with members who go and come again, half as many events as receipts: a group's history is long then.
pub(super) async fn members(ledger: &Ledger<'_>, log: &Log<'_>, report: &mut Report) {
    catch_up(ledger, log.events().await).await;
    log.churn(ledger.args.events() / 2, CHURNED).await;
    let ran = catch_up(ledger, log.events().await).await;
    let condition = format!("{} joins and leaves, {CHURNED} groups of eight", ran.done);
    let row = ledger.row("catch-up", SYNCED, "live projector", &[ran]);
    report.measurements.push(Measurement { condition, ..row });
}

/// Has it fold what it has not, up to so many events in all.
async fn catch_up(ledger: &Ledger<'_>, events: u64) -> Ran {
    let project = ledger.project().await;
    let cpu = process::cpu(project.pid());
    let (first, took) = project.caught_up(events).await;
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let ran = Ran {
        done: events.saturating_sub(first) as f64,
        seconds: took.as_secs_f64(),
        rss_mib: process::rss_most_mib(project.pid()),
        cpu: process::cpu(project.pid()) - cpu,
    };
    project.stop().await;
    ran
}

/// What two steps cost that no projector can leave out: the bare consumer with each of them.
async fn least(ledger: &Ledger<'_>, report: &mut Report) {
    let decoded = ledger.consume_with(&["--decode"]).await;
    report.measurements.push(ledger.row("catch-up", "", "bare consumer, decoded", &[decoded]));
    let kept = ledger.bed.scratch.path().join("kept");
    let kept = ledger.consume_with(&["--keep", &kept.to_string_lossy()]).await;
    report.measurements.push(ledger.row("catch-up", SYNCED, "bare consumer, an entry kept of each", &[kept]));
}

pub(super) fn judge(rates: Rates, report: &mut Report) {
    let found = super::ratios(&rates.ours, &rates.bare);
    report.aim(
        4,
        "the live projector's events/s over the bare consumer's",
        SYNCED,
        found,
        Wanted::AtLeast(0.4),
    );
}

/// How long it takes from the acknowledgement of a webhook until its events are applied, under a steady stream.
pub(super) async fn lag(ledger: &Ledger<'_>, log: &mut Log<'_>, report: &mut Report) {
    let project = ledger.project().await;
    project.caught_up(log.events().await).await;
    let (told, mut answers) = mpsc::unbounded_channel();
    let duration = ledger.args.turn() * 3;
    let (looks, outcome) = {
        let pouring = log.pour(PER_SECOND, duration, told);
        tokio::pin!(pouring);
        let mut looks = Vec::new();
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                outcome = &mut pouring => break outcome,
                _ = every.tick() => looks.push(project.position().await),
            }
        };
        (looks, outcome)
    };
    let mut acknowledged = Vec::new();
    while let Ok(answer) = answers.try_recv() {
        acknowledged.push(answer);
    }
    let looks = until_all(&project, looks, log.events().await).await;
    project.stop().await;

    let mut lags = Latencies::default();
    acknowledged.iter().filter_map(|(at, body)| lag_of(*at, body, &looks)).for_each(|lag| lags.add(lag));
    lags.sort();
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let reached = outcome.answered as f64 * crate::log::ITEMS as f64 / outcome.whole_seconds;
    let one = |figure: f64| Spread::of([figure]);
    let kept_up = reached > PER_SECOND * 0.95;
    report.measurements.push(Measurement {
        part: "lag".to_owned(),
        condition: format!("{PER_SECOND:.0} events/s wanted, from acknowledged to applied"),
        durability: format!("{SYNCED}, log page-cache"),
        who: "live projector".to_owned(),
        unit: "events/s".to_owned(),
        rate: one(reached),
        p50_ms: one(lags.quantile_ms(0.5)),
        p99_ms: one(lags.quantile_ms(0.99)),
        void: (!kept_up).then(|| format!("only {reached:.0} events/s came in")),
        ..Measurement::default()
    });
    let found = one(lags.quantile_ms(0.99) / 1000.0).filter(|_| kept_up);
    report.aim(4, "seconds of lag at p99 under a steady 10,000 events/s", SYNCED, found, Wanted::AtMost(1.0));
}

/// Looks on until all is applied, so that the last webhooks have a lag as well.
async fn until_all(project: &Project, mut looks: Vec<Position>, events: u64) -> Vec<Position> {
    let from = Instant::now();
    loop {
        let now = project.position().await;
        let applied: u64 = now.applied.iter().sum();
        looks.push(now);
        if applied >= events {
            return looks;
        }
        assert!(from.elapsed() < Duration::from_secs(600), "{applied} of {events} events are applied");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// From the answer to the first look at which all its positions were applied; zero if they were before.
fn lag_of(at: Instant, body: &[u8], looks: &[Position]) -> Option<Duration> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let position: LogPosition = json["position"].as_str()?.parse().ok()?;
    let has = |look: &Position| {
        position.iter().all(|(partition, sequence)| {
            look.applied.get(usize::from(partition)).is_some_and(|at| *at >= sequence)
        })
    };
    let index = looks.partition_point(|look| !has(look));
    Some(looks.get(index)?.at.saturating_duration_since(at))
}
