//! What the door counts. No label holds an id: their number must not grow with the traffic.

use std::time::Duration;

use groupfold_schemas::failure::Cause;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::append::Receipt;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabel {
    fate: &'static str,
    cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SecretLabel {
    secret: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// How one publish ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AckOutcome {
    Acknowledged,
    Duplicate,
    Rejected,
    /// A batch whose messages were published each by itself then.
    BatchRejected,
    Unknown,
}

impl AckOutcome {
    fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::BatchRejected => "batch_rejected",
            Self::Unknown => "unknown",
        }
    }
}

const STATUSES_WATCHED: [u16; 4] = [200, 401, 500, 503];
const REFUSALS_WATCHED: [&str; 5] =
    ["signature_missing", "signature_malformed", "signature_wrong", "log_full", "message_too_large"];
/// Stands for the place of a secret where none of ours signed.
const NO_SECRET: &str = "none";

/// The counters of one receiver.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<StatusLabel, Counter>,
    refusals: Family<CauseLabel, Counter>,
    items: Family<FateLabel, Counter>,
    failed: Family<CauseLabel, Counter>,
    acks: Family<OutcomeLabel, Counter>,
    signatures: Family<SecretLabel, Counter>,
    append_seconds: Histogram,
    body_bytes: Histogram,
    in_flight: Gauge,
    connections: Gauge,
    usual: Usual,
}

/// What nearly every webhook counts, without looking it up among its family.
#[derive(Debug, Clone)]
struct Usual {
    answered_200: Counter,
    appended: Counter,
    acknowledged: Counter,
    first_secret: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let (requests, items) = (Family::default(), Family::default());
        let (acks, signatures) = (Family::default(), Family::default());
        let fate = FateLabel { fate: "appended", cause: String::new() };
        let outcome = OutcomeLabel { outcome: AckOutcome::Acknowledged.name() };
        let usual = Usual {
            answered_200: Counter::clone(&requests.get_or_create(&StatusLabel { status: 200 })),
            appended: Counter::clone(&items.get_or_create(&fate)),
            acknowledged: Counter::clone(&acks.get_or_create(&outcome)),
            first_secret: Counter::clone(&signatures.get_or_create(&SecretLabel { secret: "0".to_owned() })),
        };
        let metrics = Self {
            requests,
            refusals: Family::default(),
            items,
            failed: Family::default(),
            acks,
            signatures,
            usual,
            append_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            body_bytes: Histogram::new(exponential_buckets(256.0, 4.0, 8)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
        };
        let mut add = |name: &str, help: &str, metric: &dyn Register| metric.add(registry, name, help);
        add("groupfold_ingest_requests", "Requests by the status they were answered with", &metrics.requests);
        add("groupfold_ingest_refusals", "Requests refused, by stable cause", &metrics.refusals);
        add("groupfold_ingest_items", "Items of acknowledged webhooks by fate", &metrics.items);
        add("groupfold_ingest_failed", "Items kept in the failed stream, by cause", &metrics.failed);
        add("groupfold_ingest_acks", "Publishes by how the log answered", &metrics.acks);
        add(
            "groupfold_ingest_signature",
            "Signatures by the place of the secret that made them",
            &metrics.signatures,
        );
        add(
            "groupfold_ingest_append_seconds",
            "Time until all items of a webhook ended",
            &metrics.append_seconds,
        );
        add("groupfold_ingest_body_bytes", "Sizes of bodies read whole", &metrics.body_bytes);
        add("groupfold_ingest_in_flight", "Webhooks being worked on", &metrics.in_flight);
        add("groupfold_ingest_connections", "Connections held", &metrics.connections);
        metrics.begin_at_zero();
        metrics
    }

    /// What alerts watch is there before it happens: a counter that appears with its first event has no
    /// increase that anyone could see.
    fn begin_at_zero(&self) {
        for status in STATUSES_WATCHED {
            drop(self.requests.get_or_create(&StatusLabel { status }));
        }
        for cause in REFUSALS_WATCHED {
            drop(self.refusals.get_or_create(&CauseLabel { cause: cause.to_owned() }));
        }
        for cause in Cause::ALL {
            drop(self.failed.get_or_create(&CauseLabel { cause: cause.name().to_owned() }));
        }
        drop(self.signatures.get_or_create(&SecretLabel { secret: NO_SECRET.to_owned() }));
    }

    /// So many secrets may sign from now on: each place is there before its first signature. What was counted stays, also of a
    /// place that no secret has any more.
    pub(crate) fn secrets(&self, count: usize) {
        for place in 0..count {
            drop(self.signatures.get_or_create(&SecretLabel { secret: place.to_string() }));
        }
    }

    pub(crate) fn answered(&self, status: u16) {
        match status {
            200 => self.usual.answered_200.inc(),
            _ => self.requests.get_or_create(&StatusLabel { status }).inc(),
        };
    }

    pub(crate) fn refused(&self, cause: &'static str) {
        self.refusals.get_or_create(&CauseLabel { cause: cause.to_owned() }).inc();
    }

    /// The place of the secret, from 0; `None` for a signature of none of them.
    pub(crate) fn signature(&self, secret: Option<usize>) {
        if secret == Some(0) {
            self.usual.first_secret.inc();
            return;
        }
        let secret = secret.map_or_else(|| NO_SECRET.to_owned(), |index| index.to_string());
        self.signatures.get_or_create(&SecretLabel { secret }).inc();
    }

    pub(crate) fn acks(&self, outcome: AckOutcome, count: u64) {
        match outcome {
            AckOutcome::Acknowledged => self.usual.acknowledged.inc_by(count),
            _ => self.acks.get_or_create(&OutcomeLabel { outcome: outcome.name() }).inc_by(count),
        };
    }

    pub(crate) fn append_took(&self, time: Duration) {
        self.append_seconds.observe(time.as_secs_f64());
    }

    #[allow(clippy::cast_precision_loss, reason = "bodies are far below 2^52 bytes")]
    pub(crate) fn body(&self, bytes: usize) {
        self.body_bytes.observe(bytes as f64);
    }

    /// Counts the fates of a webhook that is acknowledged.
    pub(crate) fn receipt(&self, receipt: &Receipt) {
        self.usual.appended.inc_by(receipt.appended);
        if receipt.duplicate > 0 {
            self.items("duplicate", "", receipt.duplicate);
        }
        for cause in &receipt.failed_causes {
            self.items("failed", cause, 1);
            self.failed.get_or_create(&CauseLabel { cause: cause.clone() }).inc();
        }
        for cause in &receipt.ignored_causes {
            self.items("ignored", cause.name(), 1);
        }
    }

    fn items(&self, fate: &'static str, cause: &str, count: u64) {
        self.items.get_or_create(&FateLabel { fate, cause: cause.to_owned() }).inc_by(count);
    }

    /// One more webhook in flight until the guard is dropped.
    pub(crate) fn in_flight(&self) -> Held {
        Held::new(&self.in_flight)
    }

    /// One more connection until the guard is dropped.
    pub(crate) fn connection(&self) -> Held {
        Held::new(&self.connections)
    }
}

/// Counted while it lives.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Anything that can be registered: lets the list above read as a table.
trait Register {
    fn add(&self, registry: &mut Registry, name: &str, help: &str);
}

impl<M: prometheus_client::registry::Metric + Clone> Register for M {
    fn add(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.clone());
    }
}
