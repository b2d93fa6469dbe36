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

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_nats::jetstream;
use futures_util::{TryStreamExt as _, stream};
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
use fresh::Fresh;
use jobs::Jobs;
pub use memory::{MEMORY_DEFAULT, Shares};
pub use report::{Compared, Difference, Job, Reason, Scope, State, Task, Wrong};

/// How close a new store follows the live one before the loop is made to wait for the rest.
const NEAR_EVENTS: u64 = 500;
/// Rounds of following before it is made to wait however much is left: a log that grows faster than a store
/// can be folded would be followed for ever.
const ROUNDS_MAX: u32 = 16;

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
        let all = stream::iter(chosen.iter().map(Ok)).try_for_each_concurrent(
            self.shares.at_once,
            |partition| async {
                let compared = self.turn(&task, partition).await?;
                let job = &mut self.lock().last;
                job.partition.take_if(|shown| *shown == partition.id);
                job.partitions.push(compared);
                Ok(())
            },
        );
        let outcome = tokio::select! {
            outcome = async {
                may_go_back(&task, &chosen)?;
                all.await
            } => outcome,
            () = self.shutdown.cancelled() => Err(Error::Interrupted),
        };
        if outcome.is_err() {
            chosen.iter().for_each(forget_comparison);
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
        let progress = partition.store.view()?.progress();
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

    async fn rebuild(&self, live: &Partition, force: bool) -> Result<Compared, Error> {
        let fresh = self.rebuilt(live).await?;
        let _turn = live.turn.lock().await;
        self.last_messages(live, &fresh).await?;
        let mut compared = self.compare(live, &fresh, Scope::Whole).await?;
        // One that has nothing was written by no fold.
        compared.other_fold = compared.sequence > 0 && live.store.fold_version()? != groupfold_fold::VERSION;
        if compared.is_equal() || compared.other_fold || force {
            self.swap(live, Side::Rebuild, fresh).await?;
            compared.swapped = true;
        } else {
            // The next attempt begins anew: who knows which of the two is wrong.
            fresh.store.close();
            live.store.remove_beside(Side::Rebuild)?;
        }
        Ok(compared)
    }

    /// A store folded anew, close behind the live one. One that an earlier attempt left and that turns out damaged is of
    /// no use: the next one is begun.
    async fn rebuilt(&self, live: &Partition) -> Result<Fresh, Error> {
        loop {
            let fresh = match self.fresh(live, Side::Rebuild, Scope::Whole) {
                // Nobody folds a stopped store on: it would be ahead for ever.
                Err(error @ Error::Ahead { .. }) if self.offline => {
                    tracing::warn!(error = store::chain(&error), "the rebuild begins anew");
                    live.store.remove_beside(Side::Rebuild)?;
                    continue;
                }
                fresh => fresh?,
            };
            match self.follow(live, &fresh, true).await {
                Err(Error::Store(error)) if fresh.resumed && error.is_damage() => {
                    let error = store::chain(&error);
                    tracing::warn!(
                        partition = live.id,
                        error,
                        "the rebuild begun earlier is damaged, it begins anew"
                    );
                    fresh.store.close();
                    live.store.remove_beside(Side::Rebuild)?;
                }
                followed => return followed.map(|()| fresh),
            }
        }
    }

    async fn roll_back(&self, live: &Partition) -> Result<Compared, Error> {
        let fresh = self.fresh(live, Side::Previous, Scope::Whole)?;
        self.follow(live, &fresh, true).await?;
        let _turn = live.turn.lock().await;
        self.last_messages(live, &fresh).await?;
        let sequence = fresh.sequence()?;
        self.swap(live, Side::Previous, fresh).await?;
        Ok(Compared { partition: live.id, sequence, swapped: true, ..Compared::default() })
    }

    async fn verify(&self, live: &Partition, scope: &Scope) -> Result<Compared, Error> {
        let fresh = self.fresh(live, Side::Verify, scope.clone())?;
        self.follow(live, &fresh, false).await?;
        let compared = {
            let _turn = live.turn.lock().await;
            self.last_messages(live, &fresh).await?;
            self.compare(live, &fresh, scope.clone()).await?
        };
        fresh.store.close();
        live.store.remove_beside(Side::Verify)?;
        Ok(compared)
    }

    fn fresh(&self, live: &Partition, side: Side, scope: Scope) -> Result<Fresh, Error> {
        self.say(live.id, "opening", 0, 0);
        Fresh::open(&live.store, side, scope, &self.shares, self.context.clone())
    }

    /// Folds until the new store is close behind the live one; seals it on the way if it is to be one.
    async fn follow(&self, live: &Partition, fresh: &Fresh, seal: bool) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let target = live.store.view()?.progress();
            let sealed = fresh.is_sealed()?;
            if target.sequence.saturating_sub(fresh.sequence()?) <= NEAR_EVENTS && (sealed || !seal) {
                break;
            }
            self.fold(live.id, fresh, &target, "folding").await?;
            if seal && !sealed {
                self.say(live.id, "working out digests", target.sequence, target.sequence);
                fresh.seal().await?;
            }
        }
        Ok(())
    }

    /// While the loop waits: both then stand at the same position.
    async fn last_messages(&self, live: &Partition, fresh: &Fresh) -> Result<(), Error> {
        let target = live.store.view()?.progress();
        self.fold(live.id, fresh, &target, "last messages").await?;
        ahead(live.id, target.sequence, fresh.sequence()?)
    }

    /// As far as the live store was.
    async fn fold(
        &self,
        partition: u16,
        fresh: &Fresh,
        target: &v1::Progress,
        phase: &'static str,
    ) -> Result<(), Error> {
        let to = target.sequence;
        let (begun, from) = (Instant::now(), fresh.sequence()?);
        self.say(partition, phase, from, to);
        let done = |sequence: u64| {
            let seconds = begun.elapsed().as_secs_f64().max(0.001);
            let rate = sequence.saturating_sub(from) as f64 / seconds;
            let job = &mut self.lock().last;
            if job.partition != Some(partition) {
                return;
            }
            job.done = sequence;
            job.events_per_second = rate;
            let rest = to.saturating_sub(sequence) as f64;
            job.remaining_seconds = (rate > 0.0).then(|| rest / rate);
        };
        fresh.fold_to(to, &target.stream_created, done).await
    }

    async fn compare(&self, live: &Partition, fresh: &Fresh, scope: Scope) -> Result<Compared, Error> {
        let at = fresh.sequence()?;
        self.say(live.id, "comparing", at, at);
        let (live, fresh) = (Arc::clone(&live.store), Arc::clone(&fresh.store));
        let shutdown = self.shutdown.clone();
        let work = tokio::task::spawn_blocking(move || compare::compare(&live, &fresh, &scope, &shutdown));
        work.await?
    }

    async fn swap(&self, live: &Partition, side: Side, fresh: Fresh) -> Result<(), Error> {
        let at = fresh.sequence()?;
        self.say(live.id, "swapping", at, at);
        let progress = fresh.store.view()?.progress();
        let (store, stay_open) = (Arc::clone(&live.store), !self.offline);
        let swapped = tokio::task::spawn_blocking(move || store.swap(side, &fresh.store, stay_open)).await;
        live.forget();
        if !self.offline && live.store.view().is_err() {
            // Without an event nobody would open it, and it would serve nothing though all looks well.
            live.failed.notify_one();
        }
        swapped??;
        live.stands_at(&progress);
        tracing::warn!(partition = live.id, side = ?side, sequence = at, "store swapped");
        Ok(())
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
fn forget_comparison(live: &Partition) {
    if let Err(error) = live.store.remove_beside(Side::Verify) {
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
