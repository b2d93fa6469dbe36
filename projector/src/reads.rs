//! How answers come about: which partitions one touches, how fresh it must be, and one look at the
//! stores that nothing can change while it lasts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groupfold_schemas::log::partition_of;
use groupfold_schemas::position::Position;
use tokio::sync::Semaphore;

use crate::api::problem::Problem;
use crate::partition::Partition;
use crate::status::Run;
use crate::store::{self, ReadView};

/// Answers worked out at the same time; each holds a thread.
const READS_MAX: usize = 64;
/// Readers waiting for a position at the same time.
const WAITING_MAX: usize = 1024;
/// How long an answer may wait for its turn.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// The partitions that this process owns, for reading.
#[derive(Debug)]
pub(crate) struct Reads {
    partitions_total: u16,
    owned: BTreeMap<u16, Partition>,
    wait_ms_max: u64,
    turns: Arc<Semaphore>,
    waiting: Semaphore,
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freshness {
    /// Not older than this.
    pub(crate) min_position: Option<Position>,
    /// How long to wait for it.
    pub(crate) wait_ms: u64,
}

impl Reads {
    pub(crate) fn new(
        partitions_total: u16,
        owned: impl IntoIterator<Item = Partition>,
        wait_ms_max: u64,
    ) -> Self {
        Self {
            partitions_total,
            owned: owned.into_iter().map(|partition| (partition.id, partition)).collect(),
            wait_ms_max,
            turns: Arc::new(Semaphore::new(READS_MAX)),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// All partitions that this process owns.
    pub(crate) fn all(&self) -> Vec<Partition> {
        self.owned.values().cloned().collect()
    }

    /// The partition that a group, or an account's events without a group, live in.
    pub(crate) fn home_of(&self, key: &str) -> Result<Partition, Problem> {
        let id = partition_of(key, self.partitions_total);
        self.owned.get(&id).cloned().ok_or_else(|| Problem::partition_not_owned(id))
    }

    /// Why readers should rather ask elsewhere.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let reason = |partition: &Partition| partition.status.borrow().reason(partition.id);
        self.owned.values().filter_map(reason).collect()
    }

    /// Waits until the partitions that an answer touches are as fresh as asked.
    pub(crate) async fn reach(&self, freshness: &Freshness, touched: &[Partition]) -> Result<(), Problem> {
        let Some(min) = &freshness.min_position else { return Ok(()) };
        if let Some((partition, _)) = min.iter().find(|(partition, _)| *partition >= self.partitions_total) {
            return Err(Problem::no_such_partition(partition, self.partitions_total));
        }
        let reached = |partition: &Partition| {
            partition.status.borrow().applied >= min.get(partition.id).unwrap_or_default()
        };
        if touched.iter().all(reached) {
            return Ok(());
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Problem::busy())?;
        let wait = Duration::from_millis(freshness.wait_ms.min(self.wait_ms_max));
        let all = async {
            for partition in touched {
                let wanted = min.get(partition.id).unwrap_or_default();
                let mut status = partition.status.subscribe();
                let over = status
                    .wait_for(|status| status.applied >= wanted || matches!(status.run, Run::Stopped(_)));
                // One that stopped will not get there: no use in waiting on.
                let there = over.await.is_ok_and(|status| status.applied >= wanted);
                if !there {
                    return false;
                }
            }
            true
        };
        match tokio::time::timeout(wait, all).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => {
                let touched =
                    touched.iter().map(|partition| (partition.id, partition.status.borrow().applied));
                Err(Problem::position_not_reached(min, &touched.collect()))
            }
        }
    }

    /// Works an answer out on a thread that may block, over views of the partitions it touches.
    pub(crate) async fn read<T, F>(&self, touched: Vec<Partition>, answer: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&[ReadView<'_>]) -> Result<T, Problem> + Send + 'static,
    {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(TURN_WAIT, turn).await.ok().and_then(Result::ok);
        let turn = turn.ok_or_else(Problem::busy)?;
        let span = tracing::Span::current();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let _span = span.enter();
            // In the order of partitions, so that no two readers wait for each other.
            let views: Result<Vec<_>, _> = touched.iter().map(|partition| partition.store.view()).collect();
            let mut result = views.map_err(Problem::from).and_then(|views| answer(&views));
            // What is not there yet is not known to be absent.
            if matches!(&result, Err(problem) if problem.is_absence()) {
                let behind = touched.iter().find(|partition| !partition.status.borrow().caught_up);
                result = behind.map_or(result, |partition| Err(Problem::catching_up(partition.id)));
            }
            if let Err(Problem { store: Some(failed), .. }) = &result {
                let (id, error) = &**failed;
                let broken = touched.iter().filter(|partition| partition.id == *id);
                broken.for_each(|partition| partition.report(error));
            }
            result
        });
        work.await.unwrap_or_else(|panic| {
            tracing::error!(error = %store::chain(&panic), "answer panicked");
            Err(Problem::internal())
        })
    }
}

/// The position that an answer over these views reflects.
pub(crate) fn position_of(views: &[ReadView<'_>]) -> Position {
    views.iter().map(|view| (view.partition(), view.sequence())).collect()
}
