//! The loop of one partition, the only writer of its store. It waits (for the tail, for the feed, for its turn) where it can
//! be told of trouble, and works (load, fold, commit: blocking, never interrupted) one batch at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use groupfold_schemas::{log, v1};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Partition, Trouble, fold};
use crate::metrics::Metrics;
use crate::status::{Run, Stop};
use crate::store;
use crate::tail::{Identity, Item, Tail};

/// Damaged stores that a partition sets aside before it gives up: more than one in a life of the process
/// is no accident of the disk.
const START_OVERS_MAX: u32 = 2;

/// How soon a store that takes no writes is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// The loop of one partition.
pub(crate) struct Loop {
    partition: Partition,
    tail: Tail,
    metrics: Metrics,
    start_overs: u32,
    /// Up to here each message is folded by itself: one of them had a batch panic.
    singly_to: u64,
    shutdown: CancellationToken,
}

impl Loop {
    pub(crate) fn new(
        partition: Partition,
        client: async_nats::Client,
        batch_events_max: usize,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, store::Error> {
        let identity = identity_of(&partition.store.view()?.progress());
        let status = partition.status.clone();
        let stream = log::stream(partition.id);
        let tail = Tail::new(client, stream, identity, batch_events_max, status, shutdown.clone());
        Ok(Self { partition, tail, metrics, start_overs: 0, singly_to: 0, shutdown })
    }

    /// Runs until it is told to end, or until going on would leave a gap.
    pub(crate) async fn run(mut self) {
        match self.fold_all().await {
            Ok(()) => tracing::info!("partition ended"),
            Err(stop) => {
                tracing::error!(reason = stop.code(), detail = %stop, "partition stopped");
                self.partition.status.send_modify(|status| status.run = Run::Stopped(stop));
            }
        }
    }

    async fn fold_all(&mut self) -> Result<(), Stop> {
        loop {
            let partition = self.partition.clone();
            let batch = tokio::select! {
                batch = self.tail.next_batch() => batch?,
                trouble = partition.trouble() => {
                    self.look_into(trouble).await?;
                    continue;
                }
            };
            let Some(batch) = batch else { return Ok(()) };
            if !self.may_fold().await? {
                continue;
            }
            let turn = Arc::clone(&self.partition.turn);
            let _turn = turn.lock().await;
            match self.fold(batch).await {
                Ok(()) => {}
                Err(fold::Error::Panicked { first, last, why }) => {
                    if self.is_sound().await? {
                        self.singly(first, last, why)?;
                    }
                }
                Err(fold::Error::Store(error)) if error.is_damage() => self.start_over(&error).await?,
                Err(fold::Error::Store(error)) if error.may_pass() => {
                    self.partition.status.send_modify(|status| status.could_not_write(&error));
                    self.open_again(error).await?;
                }
                Err(fold::Error::Store(error)) => return Err(Stop::store(&error)),
            }
        }
    }

    /// Waits until what is published already is known, and what is not does not pile up. False if the batch is to be read
    /// again: it is time to end, or something was set right meanwhile, and where the store stands now may be before it.
    async fn may_fold(&mut self) -> Result<bool, Stop> {
        let partition = self.partition.clone();
        let trouble = tokio::select! {
            () = partition.feed.ready() => return Ok(true),
            trouble = partition.trouble() => trouble,
            () = self.shutdown.cancelled() => return Ok(false),
        };
        self.look_into(trouble).await?;
        Ok(false)
    }

    /// Sets right what somebody else met, and has the log read again from where the store stands then.
    async fn look_into(&mut self, trouble: Trouble) -> Result<(), Stop> {
        // Looked at without the turn, it might be closed by a swap, which we would wait for here or stop by.
        let turn = Arc::clone(&self.partition.turn);
        let _turn = turn.lock().await;
        match trouble {
            Trouble::Damaged => drop(self.is_sound().await?),
            Trouble::Closed => self.open_if_closed().await?,
        }
        // It is closed still where it is time to end.
        if let Ok(progress) = self.progress() {
            self.go_on_after(&progress);
        }
        Ok(())
    }

    fn progress(&self) -> Result<v1::Progress, Stop> {
        self.partition.store.view().map(|view| view.progress()).map_err(|error| Stop::store(&error))
    }

    /// Somebody else's write failed, and closed the store. A rebuild closes it too, while it has the turn: not while we do.
    async fn open_if_closed(&mut self) -> Result<(), Stop> {
        match self.partition.store.view().map(drop) {
            Err(error) if error.may_pass() && !self.shutdown.is_cancelled() => self.open_again(error).await,
            _ => Ok(()),
        }
    }

    /// A store that takes no writes, most often for want of room, is opened anew until it does. Nothing of the batch that
    /// failed was visible; what the store does not have of it is read from the log again.
    async fn open_again(&mut self, mut error: store::Error) -> Result<(), Stop> {
        let since = Instant::now();
        loop {
            let why = store::chain(&error);
            tracing::warn!(error = %why, "the store takes no writes; it is opened anew");
            self.partition.forget();
            self.partition.status.send_modify(|status| status.run = Run::Connecting { since, why });
            tokio::select! {
                () = sleep(OPEN_AGAIN) => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
            let store = Arc::clone(&self.partition.store);
            let opened = tokio::task::spawn_blocking(move || store.reopen()).await;
            match opened.unwrap_or_else(|panic| Err(self.panicked(panic))) {
                Ok(progress) => {
                    self.partition.found(&progress);
                    self.go_on_after(&progress);
                    return Ok(());
                }
                Err(failed) if failed.may_pass() => error = failed,
                Err(failed) => return Err(Stop::store(&failed)),
            }
        }
    }

    /// Folds a batch and tells the tail how far that went. One that does not follow what the store has is left: another
    /// store took its place since, and the tail goes on from there.
    async fn fold(&mut self, mut batch: Vec<Item>) -> Result<(), fold::Error> {
        let before = self.partition.store.view()?.progress();
        if batch.first().is_some_and(|first| first.sequence != before.sequence + 1) {
            self.go_on_after(&before);
            return Ok(());
        }
        let partition = self.partition.clone();
        let metrics = self.metrics.clone();
        let created = self.tail.identity().created.clone().unwrap_or_default();
        let span = tracing::Span::current();
        let shutdown = self.shutdown.clone();
        let together = batch.split_off(batch.partition_point(|item| item.sequence <= self.singly_to));
        let work = tokio::task::spawn_blocking(move || {
            let _guard = span.enter();
            let parts = batch.into_iter().map(|item| vec![item]).chain([together]);
            // Nobody who ends waits for the rest, which is read again.
            let mut parts = parts.take_while(|_| !shutdown.is_cancelled());
            parts.try_for_each(|items| fold::fold(&partition, &metrics, &created, items, &shutdown))
        });
        work.await.map_err(|panic| self.panicked(panic))??;
        let progress = self.partition.store.view()?.progress();
        self.tail.applied(progress.sequence, progress.log_time_ms);
        Ok(())
    }

    /// Has what panicked folded message by message, so that all before the one at fault is committed and that one is known.
    /// Where it was one alone already it would panic again: what is there is worth more.
    fn singly(&mut self, first: u64, last: u64, why: String) -> Result<(), Stop> {
        if first == last {
            return Err(Stop::Panicked { sequence: Some(first), why });
        }
        tracing::warn!(first, last, why, "folding panicked; message by message it is tried again");
        self.singly_to = last;
        self.partition.forget();
        let progress = self.progress()?;
        self.go_on_after(&progress);
        Ok(())
    }

    /// Reads the whole store after a reader met damage, or the fold may have: what was set right since is left alone.
    /// False if it was not sound, and is set right now.
    async fn is_sound(&mut self) -> Result<bool, Stop> {
        let store = Arc::clone(&self.partition.store);
        let verified = tokio::task::spawn_blocking(move || store.verify());
        match verified.await.unwrap_or_else(|panic| Err(self.panicked(panic))) {
            Ok(()) => return Ok(true),
            Err(error) if error.is_damage() => self.start_over(&error).await?,
            // Neither sound nor damaged, as far as is known; opening reads it through again.
            Err(error) if error.may_pass() => self.open_again(error).await?,
            Err(error) => return Err(Stop::store(&error)),
        }
        Ok(false)
    }

    /// A panic is sled's way to say that it met what cannot be.
    fn panicked(&self, panic: tokio::task::JoinError) -> store::Error {
        store::panicked(self.partition.id, Box::new(panic))
    }

    /// Sets the damaged store aside and begins again at the first message of the log.
    async fn start_over(&mut self, why: &store::Error) -> Result<(), Stop> {
        // A message a commit is for those about the one at fault, not for all of the log.
        self.singly_to = 0;
        self.start_overs += 1;
        if self.start_overs > START_OVERS_MAX {
            return Err(Stop::store(why));
        }
        let store = Arc::clone(&self.partition.store);
        let partition = self.partition.id;
        let reason = store::Error::damaged(partition, store::chain(why));
        // Before the empty store can be read: it must not be taken for one that is caught up.
        self.partition.forget_progress();
        let work = tokio::task::spawn_blocking(move || store.start_over(&reason));
        match work.await.map_err(|error| Stop::StoreFailed { why: error.to_string() })? {
            Err(error) if error.may_pass() => return self.open_again(error).await,
            joined => joined.map_err(|error| Stop::store(&error))?,
        }
        // Who looked at the old store to its end may have kept something since.
        self.partition.forget();
        self.go_on_after(&v1::Progress::default());
        Ok(())
    }

    /// Has the tail begin again where the store stands. The stream stays the one we know: an empty store must not follow
    /// another one.
    fn go_on_after(&mut self, progress: &v1::Progress) {
        let mut identity = identity_of(progress);
        identity.created = identity.created.or_else(|| self.tail.identity().created.clone());
        self.tail.start_over(identity);
    }
}

pub(crate) fn identity_of(progress: &v1::Progress) -> Identity {
    Identity {
        created: (!progress.stream_created.is_empty()).then(|| progress.stream_created.clone()),
        sequence: progress.sequence,
        log_time_ms: progress.log_time_ms,
    }
}

#[cfg(test)]
mod tests;
