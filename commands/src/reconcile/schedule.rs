//! Reconciling by itself: a round every so often, in the process that runs the projector.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use groupfold_ingest::replay;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::folded::fold_up;
use super::known::{self, Known};
use super::reading::Read;
use super::round::{Found, Round, append};
use crate::api::Client;
use crate::exit::Failure;
use crate::provider::Provider;

/// How long a difference must last: webhooks under way are none.
const SETTLE: Duration = Duration::from_secs(30);
/// The first round of a process comes no later than this.
const FIRST_MAX: Duration = Duration::from_secs(60);

/// What rounds found, for whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    rounds: Family<OutcomeLabel, Counter>,
    differences: Family<WhatLabel, Counter>,
    differing: Gauge,
    last_round: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabel {
    what: &'static str,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // There from the beginning: of a counter that begins with its first failure no increase is seen.
        for outcome in ["ok", "failed"] {
            let _ = metrics.rounds.get_or_create(&OutcomeLabel { outcome });
        }
        registry.register(
            "groupfold_reconcile_rounds",
            "Rounds of reconciling, by outcome: ok, or failed for some groups or all",
            metrics.rounds.clone(),
        );
        registry.register(
            "groupfold_reconcile_differences",
            "Differences between the provider and the projection that were found and appended, by what differed",
            metrics.differences.clone(),
        );
        registry.register(
            "groupfold_reconcile_groups_differing",
            "Groups that differed in the last round",
            metrics.differing.clone(),
        );
        registry.register(
            "groupfold_reconcile_last_round_timestamp_seconds",
            "When the last round ended",
            metrics.last_round.clone(),
        );
        metrics
    }

    fn tell(&self, found: &[Found]) {
        for difference in found.iter().flat_map(|found| &found.differences) {
            self.differences.get_or_create(&WhatLabel { what: difference.what }).inc();
        }
        let differing = found.iter().filter(|found| !found.differences.is_empty()).count();
        self.differing.set(i64::try_from(differing).unwrap_or(i64::MAX));
    }
}

/// Whether all groups were seen to.
enum Whole {
    /// All could be read, and appended where they differ.
    Yes,
    No,
    /// Partitions are still folding: it comes again soon.
    NotYet,
}

/// Rounds until told to stop.
pub(crate) struct Schedule {
    interval: Duration,
    provider: Arc<Provider>,
    api: Client,
    log: replay::Log,
    metrics: Metrics,
}

impl Schedule {
    pub(crate) fn new(
        interval: Duration,
        provider: Arc<Provider>,
        api: Client,
        log: replay::Log,
        metrics: Metrics,
    ) -> Self {
        Self { interval, provider, api, log, metrics }
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = self.interval.min(FIRST_MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let outcome = tokio::select! {
                // What was appended by then is whole; the next round does the rest.
                () = stop.cancelled() => return,
                outcome = self.round() => outcome,
            };
            pause = self.interval;
            let outcome = match outcome {
                Ok(Whole::Yes) => "ok",
                Ok(Whole::No) => "failed",
                Ok(Whole::NotYet) => {
                    pause = self.interval.min(FIRST_MAX);
                    "failed"
                }
                Err(error) => {
                    tracing::warn!(%error, "reconciling failed");
                    "failed"
                }
            };
            self.metrics.rounds.get_or_create(&OutcomeLabel { outcome }).inc();
            self.metrics.last_round.set(jiff::Timestamp::now().as_duration().as_secs_f64());
        }
    }

    async fn round(&self) -> Result<Whole, Failure> {
        let behind = fold_up(&self.api, Some(&self.log)).await?;
        // All at once, soon: the provider is not asked for the others again and again meanwhile.
        if behind.is_folding() {
            tracing::warn!(%behind, "groups are reconciled later");
            return Ok(Whole::NotYet);
        }
        let mut groups = known::groups(&self.api, None).await?;
        groups.retain(Known::lives);
        let round = Round { provider: &self.provider, api: &self.api, log: Some(&self.log), links: false };
        let found = round.compare(groups, &behind, SETTLE.min(self.interval)).await?;
        let differing: Vec<&Found> = found.iter().filter(|found| !found.differences.is_empty()).collect();
        let unread = found.iter().filter(|found| matches!(found.read, Read::Failed(_))).count();
        for found in &differing {
            let what: Vec<&str> = found.differences.iter().map(|difference| difference.what).collect();
            tracing::warn!(group = found.known.group_id, ?what, "the provider has it otherwise");
        }
        // Before anything that the log may refuse: then of all times it must be seen.
        self.metrics.tell(&found);
        let appended = append(&self.log, &differing, &super::run_id()).await;
        for (group, why) in &appended.refused {
            tracing::warn!(group, why, "what the provider has was not appended");
        }
        let refused = appended.refused.len();
        tracing::info!(groups = found.len(), differing = differing.len(), unread, refused, "reconciled");
        if !behind.is_empty() {
            tracing::warn!(%behind, "its groups are not reconciled");
        }
        Ok(if unread == 0 && refused == 0 && behind.is_empty() { Whole::Yes } else { Whole::No })
    }
}
