//! Proof and repair of state: stores are folded anew from the log beside the live ones, compared with them
//! entry by entry, and put in their place.
//!
//! ```text
//!   log ─▶ portions ─▶ store/3.rebuild ─▶ sealed ─▶ follows ─▶ │ loop waits: last messages, compare, swap │
//!                      (resumed after a kill)                   └──────── readers read on ────────────────┘
//! ```
//!
//! The live store goes on being folded and read all the while. Only for the last messages and the comparison
//! does the partition's loop wait, and only for three renames and an open do readers.

mod compare;
mod error;
mod fresh;
mod halt;
mod jobs;
mod memory;
mod owner;
mod report;
mod steps;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_nats::jetstream;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use groupfold_schemas::log::partition_of;
use groupfold_schemas::v1;
use tokio_util::sync::CancellationToken;

use crate::background;
use crate::loss;
use crate::partition::{Partition, identity_of};
use crate::scan;
use crate::store::{self, Side, Store};
use crate::tail;
pub use compare::groups_of;
pub(crate) use error::Error;
pub use error::Refused;
use jobs::Jobs;
pub use memory::{MEMORY_DEFAULT, Shares};
pub use report::{Compared, Difference, Job, Reason, Scope, State, Task, Wrong};

/// Runs tasks on the stores of one process, one at a time.
#[derive(Debug, Clone)]
pub struct Rebuilds {
    partitions: Arc<Vec<Partition>>,
    partitions_total: u16,
    context: jetstream::Context,
    shares: Shares,
    /// Nobody serves the stores: each is open for its turn alone, so that memory does not grow with their number.
    offline: bool,
    jobs: Arc<Mutex<Jobs>>,
    shutdown: CancellationToken,
}

impl Rebuilds {
    pub(crate) fn new(
        partitions: Vec<Partition>,
        partitions_total: u16,
        client: async_nats::Client,
        shares: Shares,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            partitions: Arc::new(partitions),
            partitions_total,
            context: jetstream::new(client),
            shares,
            offline: false,
            jobs: Arc::default(),
            shutdown,
        }
    }

    /// On the stores of a data folder that no process serves, as they are: nothing is set aside.
    ///
    /// # Errors
    /// The stores are another user's, another process has one, or the operating system refuses.
    pub fn offline(
        client: async_nats::Client,
        data: &std::path::Path,
        partitions_total: u16,
        shares: Shares,
        shutdown: CancellationToken,
    ) -> Result<Self, store::Error> {
        let root: PathBuf = data.join("store");
        owner::check(&root)?;
        Store::check_format(&root, partitions_total)?;
        let cache_bytes = shares.cache_bytes;
        let settings = |partition| store::Settings { root: root.clone(), partition, cache_bytes };
        let mut partitions = Vec::new();
        for settings in (0..partitions_total).map(settings).filter(store::Settings::has_store) {
            partitions.push(Partition::at_rest(Store::at_rest(settings)?));
        }
        let rebuilds = Self::new(partitions, partitions_total, client, shares, shutdown);
        Ok(Self { offline: true, ..rebuilds })
    }

    /// Begins a task on one partition or on all; it goes on by itself, see [`Self::job`].
    ///
    /// # Errors
    /// Another is under way, or the partition is none of the log's, or not served here.
    pub fn start(&self, task: Task, only: Option<u16>) -> Result<Job, Refused> {
        let only = match &task {
            Task::Verify { scope: Scope::Group(group) } => Some(partition_of(group, self.partitions_total)),
            _ => only,
        };
        let last = self.partitions_total.saturating_sub(1);
        if let Some(partition) = only.filter(|partition| *partition > last) {
            return Err(Refused::NoSuchPartition { partition, last });
        }
        let chosen: Vec<Partition> = self
            .partitions
            .iter()
            .filter(|partition| only.is_none_or(|only| only == partition.id))
            .cloned()
            .collect();
        if let (Some(partition), true) = (only, chosen.is_empty()) {
            return Err(Refused::NotOwned { partition });
        }
        let begun = self.lock().begin(&task)?;
        let this = self.clone();
        background::handle().spawn(async move { this.run(task, chosen).await });
        Ok(begun)
    }

    /// How a task is doing, or how it ended: the one of this number, else the last one begun. [`State::None`] where there
    /// is none, or none any more.
    #[must_use]
    pub fn job(&self, id: Option<u64>) -> Job {
        let jobs = self.lock();
        match id {
            None => jobs.last.clone(),
            Some(id) => jobs.find(id).cloned().unwrap_or_default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self, task: Task, chosen: Vec<Partition>) {
        self.watched(&chosen, self.all(&task, &chosen)).await;
    }

    /// Some partitions at a time. Of errors the first is told. After it no more are begun, and those at work are brought to
    /// their end: what they do on threads that may block would go on all the same, and nobody would know of it.
    async fn all(&self, task: &Task, chosen: &[Partition]) -> Result<(), Error> {
        may_go_back(task, chosen)?;
        let first = OnceLock::new();
        let each = stream::iter(chosen).for_each_concurrent(self.shares.at_once, |partition| async {
            if first.get().is_some() {
                return;
            }
            let compared = AssertUnwindSafe(self.turn(task, partition)).catch_unwind().await;
            let compared = compared.unwrap_or_else(|panic| Err(broken(&*panic)));
            let job = &mut self.lock().last;
            job.partition.take_if(|shown| *shown == partition.id);
            match compared {
                Ok(compared) => job.partitions.push(compared),
                Err(error) => {
                    let (partition, why) = (partition.id, store::chain(&error));
                    tracing::warn!(
                        partition,
                        error = why,
                        "a task fails; partitions at work are brought to their end"
                    );
                    let _ = first.set(error);
                }
            }
        });
        each.await;
        first.into_inner().map_or(Ok(()), Err)
    }

    /// Does a task's work and tells how it ended, whatever it ended by: one that is under way for ever keeps all others away.
    async fn watched(&self, chosen: &[Partition], work: impl Future<Output = Result<(), Error>>) {
        let outcome = tokio::select! {
            outcome = AssertUnwindSafe(work).catch_unwind() => outcome.unwrap_or_else(|panic| Err(broken(&*panic))),
            () = self.shutdown.cancelled() => Err(Error::Interrupted),
        };
        if outcome.is_err() {
            for partition in chosen {
                forget_comparison(partition).await;
            }
        }
        let job = &mut self.lock().last;
        job.partition = None;
        job.remaining_seconds = None;
        job.partitions.sort_by_key(|compared| compared.partition);
        job.state = match &outcome {
            Ok(()) if !job.partitions.iter().all(|one| one.is_equal() || one.swapped) => State::Differs,
            Ok(()) if job.partitions.iter().any(|one| one.stopped.is_some()) => State::Stopped,
            Ok(()) => State::Done,
            Err(error) => {
                job.error = Some(store::chain(error));
                job.reason = error.reason();
                State::Failed
            }
        };
        tracing::info!(task = job.task, state = ?job.state, error = job.error, "operator's task ended");
    }

    async fn turn(&self, task: &Task, partition: &Partition) -> Result<Compared, Error> {
        if !self.offline {
            return self.one(task, partition).await;
        }
        self.say(partition.id, "opening", 0, 0);
        let store = Arc::clone(&partition.store);
        match tokio::task::spawn_blocking(move || store.wake()).await? {
            // The others can be compared all the same.
            Err(error) if error.is_damage() => return Ok(Compared::of_damaged(partition.id, &error)),
            woken => woken?,
        }
        let compared = self.one(task, partition).await;
        let store = Arc::clone(&partition.store);
        tokio::task::spawn_blocking(move || store.rest()).await?;
        compared
    }

    async fn one(&self, task: &Task, partition: &Partition) -> Result<Compared, Error> {
        let progress = steps::progress(&partition.store).await?;
        self.same_stream(partition.id, &progress).await?;
        if matches!(task, Task::Verify { scope } if scope.is_filtered()) {
            self.same_log(partition.id, &progress).await?;
        }
        let mut compared = match task {
            Task::Rebuild { force } => self.rebuild(partition, *force).await?,
            Task::Rollback => self.roll_back(partition).await?,
            Task::Verify { scope } => self.verify(partition, scope).await?,
        };
        if !compared.is_equal() {
            compared.lost = self.accepted_as_lost(partition.id).await;
        }
        if let Some((stopped, end)) = self.halt(partition, compared.sequence).await? {
            compared.stopped = Some(stopped.to_owned());
            compared.log_end = Some(end);
        }
        Ok(compared)
    }

    /// What is compared is compared, whether this can be read or not.
    async fn accepted_as_lost(&self, partition: u16) -> u64 {
        loss::accepted_in(&self.context, partition, 1).await.unwrap_or_else(|error| {
            tracing::warn!(partition, error = store::chain(&error), "accepted losses cannot be read");
            0
        })
    }

    /// The stream must be the one that the live store was folded from.
    async fn same_stream(&self, partition: u16, progress: &v1::Progress) -> Result<(), Error> {
        if progress.sequence == 0 {
            return Ok(());
        }
        let stream = groupfold_schemas::log::stream(partition);
        let found = crate::stream::look(&self.context, &stream).await;
        let found = found.map_err(|why| scan::Error::Unreadable { stream, why })?.created;
        if found == progress.stream_created {
            return Ok(());
        }
        Err(Error::OtherStream { partition, known: progress.stream_created.clone(), found })
    }

    /// As above, and as far as the store was. Of a whole partition what is read says so; some subjects of it do not.
    async fn same_log(&self, partition: u16, progress: &v1::Progress) -> Result<(), Error> {
        let stream = groupfold_schemas::log::stream(partition);
        let differs = tail::differs(&self.context, &stream, identity_of(progress)).await;
        match differs.map_err(|why| scan::Error::Unreadable { stream, why })? {
            Some(stop) => Err(Error::OtherLog { partition, stop }),
            None => Ok(()),
        }
    }

    /// Of the partitions at work one is shown, until it is through.
    fn say(&self, partition: u16, phase: &str, done: u64, total: u64) {
        let job = &mut self.lock().last;
        if job.partition.is_some_and(|shown| shown != partition) {
            return;
        }
        job.partition = Some(partition);
        phase.clone_into(&mut job.phase);
        (job.done, job.total) = (done, total);
        job.remaining_seconds = None;
    }
}

fn broken(panic: &(dyn Any + Send)) -> Error {
    Error::Panicked { why: store::panic_text(panic) }
}

/// All go back, or the one that is named: else some had gone back when the first of the others failed.
fn may_go_back(task: &Task, chosen: &[Partition]) -> Result<(), Error> {
    if *task != Task::Rollback {
        return Ok(());
    }
    let (with, without): (Vec<&Partition>, Vec<&Partition>) =
        chosen.iter().partition(|one| one.store.has_beside(Side::Previous));
    if with.is_empty() || without.is_empty() {
        return Ok(());
    }
    let names = |some: &[&Partition]| {
        let names: Vec<String> = some.iter().map(|one| one.id.to_string()).collect();
        format!("partition {}", names.join(", "))
    };
    Err(Error::SomePrevious { with: names(&with), without: names(&without) })
}

/// What was folded to be compared is of no use to the next attempt, and takes room that the live store may lack.
async fn forget_comparison(live: &Partition) {
    if let Err(error) = fresh::remove(&live.store, Side::Verify).await {
        tracing::warn!(partition = live.id, error = store::chain(&error), "a comparison is left behind");
    }
}

/// Where a live store was set aside as damaged since, it is folded anew, and what was to take its place is ahead of it.
/// Swapped then, its positions would go back for whoever folds on, and changes it has not told of would never be told.
fn ahead(partition: u16, live: u64, other: u64) -> Result<(), Error> {
    if other > live { Err(Error::Ahead { partition, live, other }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
