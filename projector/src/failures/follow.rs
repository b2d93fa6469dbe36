//! How many failures wait to be settled, and for how long: kept by following both streams.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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

use crate::scan::{self, Over};

const LOOK_EVERY: Duration = Duration::from_secs(2);
const BATCH: usize = 2_000;
/// Failures that wait and are remembered one by one, some 100 MB; of more, the count is a lower bound.
const WAITING_MAX: usize = 1_000_000;
/// Settled ones remembered, some 20 MB: the provider may send one once more, and that one waits for nothing.
const SETTLED_MAX: usize = 100_000;

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
    let mut follower = Follower { context, failed: 0, resolved: 0, open: Open::default() };
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
    open: Open,
}

/// Failures that wait to be settled, and the last ones that were.
#[derive(Debug, Default)]
struct Open {
    /// When each came first, by id.
    waiting: HashMap<String, i64>,
    /// How many came first at a time.
    times: BTreeMap<i64, u32>,
    settled: HashSet<Arc<str>>,
    /// The same, the last one behind.
    order: VecDeque<Arc<str>>,
}

impl Open {
    /// One that is settled stays so, and of one sent twice the first time counts.
    fn failed(&mut self, id: String, first_ms: i64) {
        if self.waiting.len() >= WAITING_MAX || self.settled.contains(id.as_str()) {
            return;
        }
        if let Entry::Vacant(place) = self.waiting.entry(id) {
            place.insert(first_ms);
            *self.times.entry(first_ms).or_default() += 1;
        }
    }

    fn settle(&mut self, id: &str) {
        if let Some(first_ms) = self.waiting.remove(id)
            && let Some(count) = self.times.get_mut(&first_ms)
        {
            *count -= 1;
            if *count == 0 {
                self.times.remove(&first_ms);
            }
        }
        let id: Arc<str> = id.into();
        if self.settled.insert(Arc::clone(&id)) {
            self.order.push_back(id);
        }
        if self.order.len() > SETTLED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }

    /// When the first came that still waits, Unix milliseconds; zero if none does.
    fn oldest_ms(&self) -> i64 {
        self.times.first_key_value().map_or(0, |(first_ms, _)| *first_ms)
    }
}

impl Follower {
    async fn look(&mut self) -> Result<(), scan::Error> {
        // Failures first: what settles one comes after it.
        let (open, context) = (&mut self.open, &self.context);
        follow(context, log::FAILED_STREAM, &mut self.failed, |bytes| {
            if let Ok(failed) = frame::decode::<v1::FailedWebhook>(bytes) {
                open.failed(failed.failed_id, failed.received_time_ms);
            }
        })
        .await?;
        follow(context, log::RESOLVED_STREAM, &mut self.resolved, |bytes| {
            if let Ok(resolution) = frame::decode::<v1::Resolution>(bytes) {
                open.settle(&resolution.failed_id);
            }
        })
        .await
    }

    fn tell(&self, waiting: &Waiting) {
        waiting.unresolved.store(self.open.waiting.len() as u64, Ordering::Relaxed);
        waiting.oldest_ms.store(self.open.oldest_ms(), Ordering::Relaxed);
    }
}

/// Takes what came since, over what is missing.
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
    // Not from the first that is there: what is missing before it is told, too.
    let mut scan = Over::new(context.clone(), stream.to_owned(), *last + 1, ends.last);
    while let Some(batch) = scan.next_batch(BATCH).await? {
        for found in &batch {
            take(&found.payload);
            *last = found.sequence;
        }
    }
    // Past what is missing at the end, too: each is told once.
    *last = ends.last;
    let missing: u64 = scan.holes().iter().map(|(first, last)| last - first + 1).sum();
    if missing > 0 {
        tracing::warn!(stream, missing, "messages are missing and are not counted; see RUNBOOK, Failures");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_are_counted_and_the_first_of_them_is_the_oldest() {
        let mut open = Open::default();
        let told = |open: &Open| (open.waiting.len(), open.oldest_ms());
        assert_eq!(told(&open), (0, 0));
        for (id, first_ms) in [("a", 5), ("b", 3), ("c", 3), ("b", 9)] {
            open.failed(id.to_owned(), first_ms);
        }
        assert_eq!(told(&open), (3, 3));
        open.settle("b");
        assert_eq!(told(&open), (2, 3));
        open.settle("c");
        open.settle("c");
        open.settle("unknown");
        assert_eq!(told(&open), (1, 5));
        // Sent once more, or told of before it is read.
        ["c", "unknown"].into_iter().for_each(|id| open.failed(id.to_owned(), 1));
        assert_eq!(told(&open), (1, 5));
    }

    /// Each resolution was kept for ever.
    #[test]
    fn of_those_that_are_settled_the_last_are_remembered() {
        let mut open = Open::default();
        (0..=SETTLED_MAX).for_each(|n| open.settle(&n.to_string()));
        assert_eq!((open.settled.len(), open.order.len()), (SETTLED_MAX, SETTLED_MAX));
        [0, 1, SETTLED_MAX].into_iter().for_each(|n| open.failed(n.to_string(), 1));
        assert_eq!(open.waiting.keys().collect::<Vec<_>>(), ["0"]);
    }
}
