//! How answers come about: which partitions one touches, how fresh it must be, and one look at the
//! stores that nothing can change while it lasts.

mod all;
mod ends;
mod judged;
mod one;
mod shown;
mod turns;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use groupfold_schemas::log::partition_of;
use groupfold_schemas::position::Position;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::partition::Partition;
use crate::problem::Problem;
use crate::store::ReadView;
use judged::follow;
pub(crate) use shown::{Shown, Told};
pub(crate) use turns::{Turns, blocking};

/// Answers worked out at the same time; each holds a thread.
const READS_MAX: usize = 64;
/// Readers waiting for a position at the same time: a part of the connections, so that health and those
/// who do not wait find a place.
const WAITING_MAX: usize = crate::server::CONNECTIONS_MAX / 4;
/// How long an answer may wait for its turn.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// The partitions that this process owns, for reading.
#[derive(Debug)]
pub(crate) struct Reads {
    partitions_total: u16,
    owned: BTreeMap<u16, Partition>,
    wait_ms_max: u64,
    turns: Turns,
    waiting: Semaphore,
    /// Those who judge by the state that is up to the log: readers who wait take them no place.
    judging: Semaphore,
    /// Absent where there is none.
    log: Option<jetstream::Context>,
    /// Nothing is folded any more: nobody waits for it.
    ended: CancellationToken,
    /// When it was last looked where it ends.
    looked: Mutex<Option<Instant>>,
}

/// How long a position is waited for where nothing is said of waiting: an answer of the receiver is ahead of the fold by
/// milliseconds.
pub(crate) const WAIT_MS_DEFAULT: u64 = 1_000;

/// How fresh an answer must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freshness {
    /// Not older than this.
    pub(crate) min_position: Option<Position>,
    /// How long to wait for it, in milliseconds; absent where nothing is said of that.
    pub(crate) wait_ms: Option<u64>,
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
            turns: Turns::new(READS_MAX, TURN_WAIT),
            waiting: Semaphore::new(WAITING_MAX),
            judging: Semaphore::new(WAITING_MAX),
            log: None,
            ended: CancellationToken::new(),
            looked: Mutex::default(),
        }
    }

    /// With the log that is folded, until that has `ended`.
    pub(crate) fn of_log(self, log: jetstream::Context, ended: CancellationToken) -> Self {
        Self { log: Some(log), ended, ..self }
    }

    /// All partitions that this process owns.
    pub(crate) fn all(&self) -> Vec<Partition> {
        self.owned.values().cloned().collect()
    }

    /// The partition that a group, or an account's events without a group, live in.
    pub(crate) fn home_of(&self, key: &str) -> Result<Partition, Problem> {
        self.owned(partition_of(key, self.partitions_total))
    }

    /// One partition, if this process owns it.
    pub(crate) fn owned(&self, id: u16) -> Result<Partition, Problem> {
        self.owned.get(&id).cloned().ok_or_else(|| Problem::partition_not_owned(id))
    }

    /// Why readers should rather ask elsewhere.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let reason = |partition: &Partition| partition.status.borrow().reason(partition.id);
        let feed = |partition: &Partition| partition.feed.reason(partition.id);
        self.owned
            .values()
            .flat_map(|partition| reason(partition).into_iter().chain(feed(partition)))
            .collect()
    }

    /// How long a reader may wait at most who asks for so many milliseconds.
    pub(crate) fn longest_wait(&self, wait_ms: u64) -> Duration {
        Duration::from_millis(wait_ms.min(self.wait_ms_max))
    }

    /// Waits until the partitions that an answer touches are as fresh as asked. Who said how long waits in a place, and
    /// is told that there is none (`busy`); who did not, that the position is not reached.
    pub(crate) async fn reach(&self, freshness: &Freshness, touched: &[Partition]) -> Result<(), Problem> {
        self.reach_until(freshness, self.deadline(freshness), touched).await
    }

    fn deadline(&self, freshness: &Freshness) -> Instant {
        Instant::now() + self.wait_of(freshness)
    }

    fn wait_of(&self, freshness: &Freshness) -> Duration {
        self.longest_wait(freshness.wait_ms.unwrap_or(WAIT_MS_DEFAULT))
    }

    async fn reach_until(
        &self,
        freshness: &Freshness,
        deadline: Instant,
        touched: &[Partition],
    ) -> Result<(), Problem> {
        let Some(min) = &freshness.min_position else { return Ok(()) };
        self.knows_all_of(min)?;
        let reached = |partition: &Partition| {
            partition.status.borrow().applied >= min.get(partition.id).unwrap_or_default()
        };
        if touched.iter().all(reached) {
            return Ok(());
        }
        let _place = self.place_of(freshness, min, touched)?;
        let all = async {
            for partition in touched {
                let wanted = min.get(partition.id).unwrap_or_default();
                let there = follow(partition, |status| status.applied >= wanted).await;
                if !there {
                    return false;
                }
            }
            true
        };
        match self.in_time(deadline, all).await {
            Some(true) => Ok(()),
            Some(false) | None => Err(not_reached(min, touched)),
        }
    }

    fn knows_all_of(&self, min: &Position) -> Result<(), Problem> {
        let unknown = min.iter().map(|(partition, _)| partition).find(|id| *id >= self.partitions_total);
        unknown.map_or(Ok(()), |id| Err(Problem::no_such_partition(id, self.partitions_total)))
    }

    /// A place for one who waits for a position.
    fn place_of(
        &self,
        freshness: &Freshness,
        min: &Position,
        touched: &[Partition],
    ) -> Result<SemaphorePermit<'_>, Problem> {
        // Who does not wait needs none.
        if self.wait_of(freshness).is_zero() {
            return Err(not_reached(min, touched));
        }
        match self.place() {
            // Nobody asked for a wait: it takes a place where there is one.
            Err(_) if freshness.wait_ms.is_none() => Err(not_reached(min, touched)),
            place => place,
        }
    }

    /// A place for one who waits.
    pub(crate) fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.waiting.try_acquire().map_err(|_| Problem::busy())
    }

    /// What is waited for; `None` if it does not come by the deadline, or nothing comes any more.
    pub(crate) async fn in_time<T>(&self, deadline: Instant, awaited: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            awaited = awaited => Some(awaited),
            () = sleep_until(deadline) => None,
            () = self.ended.cancelled() => None,
        }
    }

    /// A group's answer as it was shown last, with the position that it reflects, if it still is what the store shows
    /// and that is as fresh as asked.
    pub(crate) async fn shown(
        &self,
        home: &Partition,
        group: &str,
        freshness: &Freshness,
    ) -> Result<Option<(Told, Position)>, Problem> {
        self.reach(freshness, std::slice::from_ref(home)).await?;
        // In this order: what is still kept then was not changed up to here.
        let applied = home.status.borrow().applied;
        let Some(told) = home.shown.get(group) else { return Ok(None) };
        let sequence = applied.max(told.sequence());
        let wanted = freshness.min_position.as_ref().and_then(|min| min.get(home.id)).unwrap_or_default();
        Ok((sequence >= wanted).then(|| (told, [(home.id, sequence)].into_iter().collect())))
    }

    /// Works an answer out on a thread that may block, over views of the partitions it touches, once they
    /// are as fresh as asked.
    pub(crate) async fn read<T, F>(
        &self,
        touched: Vec<Partition>,
        freshness: &Freshness,
        answer: F,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&[ReadView<'_>]) -> Result<T, Problem> + Send + 'static,
    {
        let deadline = self.deadline(freshness);
        self.reach_until(freshness, deadline, &touched).await?;
        match self.attempt(&touched, freshness, answer).await? {
            Attempt::Done(result) => result,
            // A store started over since: its status said so before, so there is something to wait for.
            Attempt::Behind(answer) => {
                self.reach_until(freshness, deadline, &touched).await?;
                match self.attempt(&touched, freshness, answer).await? {
                    Attempt::Done(result) => result,
                    Attempt::Behind(_) => {
                        let min = freshness.min_position.clone().unwrap_or_default();
                        Err(not_reached(&min, &touched))
                    }
                }
            }
        }
    }

    async fn attempt<T, F>(
        &self,
        touched: &[Partition],
        freshness: &Freshness,
        answer: F,
    ) -> Result<Attempt<T, F>, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&[ReadView<'_>]) -> Result<T, Problem> + Send + 'static,
    {
        let turn = self.turns.take().await?;
        let (touched, min) = (touched.to_vec(), freshness.min_position.clone());
        blocking(turn, move || look(&touched, min.as_ref(), answer)).await
    }
}

/// Comes about when any of the partitions has applied something, or otherwise changed, since this was called.
pub(crate) fn changed(touched: &[Partition]) -> impl Future<Output = ()> + use<> {
    let mut each: Vec<_> = touched.iter().map(|partition| partition.status.subscribe()).collect();
    async move {
        let one = each.iter_mut().map(|status| Box::pin(status.changed()));
        let _ = futures_util::future::select_all(one).await;
    }
}

/// What came of a look at the stores.
enum Attempt<T, F> {
    Done(Result<T, Problem>),
    /// They are not as fresh as asked, whatever their status said before.
    Behind(F),
}

fn look<T, F>(touched: &[Partition], min: Option<&Position>, answer: F) -> Attempt<T, F>
where
    F: FnOnce(&[ReadView<'_>]) -> Result<T, Problem>,
{
    // In the order of partitions, so that no two readers wait for each other.
    let views: Result<Vec<_>, _> = touched.iter().map(|partition| partition.store.view()).collect();
    let result = match views {
        Err(error) => Err(Problem::from(error)),
        Ok(views) => {
            let wanted = |view: &ReadView<'_>| min.and_then(|min| min.get(view.partition()));
            if views.iter().any(|view| view.sequence() < wanted(view).unwrap_or_default()) {
                return Attempt::Behind(answer);
            }
            let result = answer(&views);
            // What is not there yet is not known to be absent. Asked while the views last: after them the
            // writer may have gone on to what they did not show.
            match result {
                Err(problem) if problem.is_absence() => {
                    let behind = touched.iter().find(|partition| !partition.status.borrow().caught_up);
                    let not_folded =
                        |behind: &Partition| Problem::not_folded(behind.id, &behind.status.borrow());
                    Err(behind.map_or(problem, not_folded))
                }
                other => other,
            }
        }
    };
    if let Err(problem) = &result {
        report(problem, touched);
    }
    Attempt::Done(result)
}

/// Tells the partition whose store could not be read, if that is the problem.
pub(crate) fn report(problem: &Problem, touched: &[Partition]) {
    if let Some(failed) = &problem.store {
        let (id, error) = &**failed;
        let broken = touched.iter().filter(|partition| partition.id == *id);
        broken.for_each(|partition| partition.report(error));
    }
}

fn not_reached(min: &Position, touched: &[Partition]) -> Problem {
    Problem::position_not_reached(min, &applied(touched))
}

/// How far partitions are.
pub(crate) fn applied(touched: &[Partition]) -> Position {
    touched.iter().map(|partition| (partition.id, partition.status.borrow().applied)).collect()
}

/// The position that an answer over these views reflects.
pub(crate) fn position_of(views: &[ReadView<'_>]) -> Position {
    views.iter().map(|view| (view.partition(), view.sequence())).collect()
}

#[cfg(test)]
mod tests;
