//! What the projector measures. Lag first; no ids in labels.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::feed::Feed;
use crate::loss::LOST;
use crate::partition::{Partition, fold};
use crate::status::{Run, Status};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    partition: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

/// Reasons by which a record can be unreadable, see `groupfold_schemas::frame::Error::name` and
/// [`crate::partition::fold`].
const UNREADABLE_WATCHED: [&str; 7] =
    ["truncated", "unknown_version", "checksum", "undecodable", fold::NO_EVENT, fold::VALUE_TOO_LARGE, LOST];

/// What is counted as it happens; all partitions together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    applied: Counter,
    unreadable: Family<ReasonLabel, Counter>,
    commit_seconds: Histogram,
    batch_events: Histogram,
    api_requests: Family<RequestLabels, Counter>,
    api_seconds: Histogram,
    feed_readers: Gauge,
    feed_cut: Family<ReasonLabel, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            applied: Counter::default(),
            unreadable: Family::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            batch_events: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            api_requests: Family::default(),
            api_seconds: Histogram::new(exponential_buckets(0.0001, 2.5, 12)),
            feed_readers: Gauge::default(),
            feed_cut: Family::default(),
        };
        let Self { applied, unreadable, commit_seconds, batch_events, api_requests, api_seconds, .. } =
            &metrics;
        let registry = registry.sub_registry_with_prefix("groupfold");
        registry.register("projector_applied", "Events folded and on the device", applied.clone());
        let help = "Log records that could not be read, by reason";
        registry.register("projector_unreadable", help, unreadable.clone());
        for reason in UNREADABLE_WATCHED {
            // There before it happens, so that an alert sees the first one too.
            drop(unreadable.get_or_create(&ReasonLabel { reason: reason.to_owned() }));
        }
        let help = "Time of one commit, to the device";
        registry.register("projector_commit_seconds", help, commit_seconds.clone());
        registry.register("projector_batch_events", "Events of one commit", batch_events.clone());
        let help = "Answers of the query API, by route and status";
        registry.register("api_requests", help, api_requests.clone());
        registry.register("api_seconds", "Time of one answer of the query API", api_seconds.clone());
        let help = "Readers that follow the change feed";
        registry.register("feed_readers", help, metrics.feed_readers.clone());
        let help = "Readers of the change feed that were cut, by reason";
        registry.register("feed_cut", help, metrics.feed_cut.clone());
        metrics
    }

    pub(crate) fn feed_reader_came(&self) {
        self.feed_readers.inc();
    }

    pub(crate) fn feed_reader_went(&self, cut: Option<&'static str>) {
        self.feed_readers.dec();
        if let Some(reason) = cut {
            self.feed_cut.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
        }
    }

    pub(crate) fn committed(&self, took: Duration, messages: usize, unreadable: usize) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.batch_events.observe(messages as f64);
        self.applied.inc_by(messages.saturating_sub(unreadable) as u64);
    }

    pub(crate) fn unreadable(&self, reason: &str) {
        self.unreadable.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
    }

    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        self.api_requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        self.api_seconds.observe(took.as_secs_f64());
    }
}

/// What is worked out from the partitions when someone asks.
pub(crate) struct PartitionMetrics {
    partitions: BTreeMap<u16, (watch::Receiver<Status>, Feed)>,
}

impl PartitionMetrics {
    pub(crate) fn register(registry: &mut Registry, partitions: &[Partition]) {
        let shared = |one: &Partition| (one.id, (one.status.subscribe(), one.feed.clone()));
        registry.register_collector(Box::new(Self { partitions: partitions.iter().map(shared).collect() }));
    }

    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&Status, &Feed) -> f64,
    ) -> Result<(), fmt::Error> {
        let kind = ConstGauge::new(0.0_f64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (partition, (status, feed)) in &self.partitions {
            let value = value(&status.borrow(), feed);
            let label = PartitionLabel { partition: *partition };
            ConstGauge::new(value).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for PartitionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionMetrics").field("partitions", &self.partitions.len()).finish()
    }
}

impl Collector for PartitionMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let encoder = &mut encoder;
        self.gauge(encoder, "groupfold_projector_lag_events", "Log messages not yet folded.", |s, _| {
            s.lag_events() as f64
        })?;
        let help = "Age of what is folded while more waits, zero at the end of the log.";
        self.gauge(encoder, "groupfold_projector_lag_seconds", help, |s, _| s.lag_seconds(now_ms))?;
        let help = "1 while the partition reads the log, else 0.";
        self.gauge(encoder, "groupfold_projector_partition_up", help, |s, _| {
            f64::from(u8::from(matches!(s.run, Run::Running)))
        })?;
        self.gauge(encoder, "groupfold_projector_position", "Last sequence folded.", |s, _| {
            s.applied as f64
        })?;
        let help = "Changes not yet in the change feed, about; zero only if there is none.";
        self.gauge(encoder, "groupfold_feed_waiting", help, |_, feed| feed.waiting() as f64)
    }
}
