//! How many failures wait to be settled, and for how long: kept by following both streams.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::Context;
use groupfold_schemas::{frame, log, v1};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::scan::{self, From, Scan, Stretch};

const LOOK_EVERY: Duration = Duration::from_secs(2);
const BATCH: usize = 2_000;
/// Failures remembered one by one, some 100 MB; of more, the count is a lower bound.
const REMEMBERED_MAX: usize = 1_000_000;

/// What is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    unresolved: Arc<AtomicU64>,
    /// Unix milliseconds; zero if none waits.
    oldest_ms: Arc<AtomicI64>,
}

impl Waiting {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let waiting = Self::default();
        registry.register_collector(Box::new(waiting.clone()));
        waiting
    }
}

impl Collector for Waiting {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let oldest_ms = self.oldest_ms.load(Ordering::Relaxed);
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let age = if oldest_ms == 0 { 0.0 } else { now_ms.saturating_sub(oldest_ms).max(0) as f64 / 1000.0 };
        let unresolved = self.unresolved.load(Ordering::Relaxed) as f64;
        let gauges = [
            ("groupfold_failed_unresolved", "Failures that nothing has settled yet", unresolved),
            ("groupfold_failed_oldest_seconds", "Age of the oldest failure not settled, zero without", age),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

pub(super) async fn run(context: Context, waiting: Waiting, shutdown: CancellationToken) {
    let mut follower = Follower { context, failed: 0, resolved: 0, open: HashMap::new() };
    loop {
        let look = async {
            match follower.look().await {
                Ok(()) => follower.tell(&waiting),
                Err(error) => tracing::debug!(%error, "failures are not counted now"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = look => {}
        }
    }
}

struct Follower {
    context: Context,
    /// Last sequences read.
    failed: u64,
    resolved: u64,
    /// When each failure that is not settled came first, by id.
    open: HashMap<String, i64>,
}

impl Follower {
    async fn look(&mut self) -> Result<(), scan::Error> {
        // Failures first: what settles one comes after it.
        let (open, context) = (&mut self.open, &self.context);
        follow(context, log::FAILED_STREAM, &mut self.failed, |bytes| {
            let Ok(failed) = frame::decode::<v1::FailedWebhook>(bytes) else { return };
            if open.len() < REMEMBERED_MAX {
                // One that is settled (zero) stays so, and of one sent twice the first time counts.
                open.entry(failed.failed_id).or_insert(failed.received_time_ms);
            }
        })
        .await?;
        follow(context, log::RESOLVED_STREAM, &mut self.resolved, |bytes| {
            if let Ok(resolution) = frame::decode::<v1::Resolution>(bytes) {
                // Zero: settled, should the provider send it once more.
                open.insert(resolution.failed_id, 0);
            }
        })
        .await
    }

    fn tell(&self, waiting: &Waiting) {
        let times = self.open.values().filter(|first_ms| **first_ms != 0);
        waiting.unresolved.store(times.clone().count() as u64, Ordering::Relaxed);
        waiting.oldest_ms.store(times.min().copied().unwrap_or_default(), Ordering::Relaxed);
    }
}

async fn follow(
    context: &Context,
    stream: &str,
    last: &mut u64,
    mut take: impl FnMut(&[u8]),
) -> Result<(), scan::Error> {
    let ends = scan::ends(context, stream).await?;
    if ends.last <= *last {
        return Ok(());
    }
    let from = From::Sequence((*last + 1).max(ends.first));
    let stretch = Stretch { stream: stream.to_owned(), from, to: ends.last, subjects: Vec::new() };
    let mut scan = Scan::new(context.clone(), stretch);
    while let Some(batch) = scan.next_batch(BATCH).await? {
        for found in &batch {
            take(&found.payload);
            *last = found.sequence;
        }
    }
    Ok(())
}
