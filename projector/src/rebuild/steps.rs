//! What is done with one partition, step by step.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use groupfold_schemas::v1;
use tokio::sync::OwnedMutexGuard;

use super::fresh::{self, Fresh};
use super::report::{Compared, Scope};
use super::{Error, Rebuilds, ahead, compare};
use crate::partition::Partition;
use crate::store::{self, Side, Store};

/// How close a new store follows the live one before the loop is made to wait for the rest.
const NEAR_EVENTS: u64 = 500;
/// Rounds of following before it is made to wait however much is left: a log that grows faster than a store
/// can be folded would be followed for ever.
const ROUNDS_MAX: u32 = 16;

/// While there is one the partition's loop waits. What needs that on a thread that may block has it there: whoever waits
/// for such work may be dropped, the work goes on.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Rebuilds {
    pub(super) async fn rebuild(&self, live: &Partition, force: bool) -> Result<Compared, Error> {
        let fresh = self.rebuilt(live).await?;
        let turn = self.level(live, &fresh).await?;
        let (mut compared, turn) = self.compare(live, &fresh, Scope::Whole, turn).await?;
        // One that has nothing was written by no fold.
        compared.other_fold = compared.sequence > 0 && live.store.fold_version()? != groupfold_fold::VERSION;
        if compared.is_equal() || compared.other_fold || force {
            self.swap(live, Side::Rebuild, fresh, turn).await?;
            compared.swapped = true;
            return Ok(compared);
        }
        drop(turn);
        // The next attempt begins anew: who knows which of the two is wrong.
        tidy(live, fresh.remove(&live.store, Side::Rebuild).await);
        Ok(compared)
    }

    /// A store folded anew, close behind the live one. One that an earlier attempt left and that turns out damaged is of
    /// no use: the next one is begun.
    pub(super) async fn rebuilt(&self, live: &Partition) -> Result<Fresh, Error> {
        loop {
            let fresh = match self.fresh(live, Side::Rebuild, Scope::Whole).await {
                // Nobody folds a stopped store on: it would be ahead for ever.
                Err(error @ Error::Ahead { .. }) if self.offline => {
                    tracing::warn!(error = store::chain(&error), "the rebuild begins anew");
                    fresh::remove(&live.store, Side::Rebuild).await?;
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
                    fresh.remove(&live.store, Side::Rebuild).await?;
                }
                followed => return followed.map(|()| fresh),
            }
        }
    }

    pub(super) async fn roll_back(&self, live: &Partition) -> Result<Compared, Error> {
        let fresh = self.fresh(live, Side::Previous, Scope::Whole).await?;
        self.follow(live, &fresh, true).await?;
        let turn = self.level(live, &fresh).await?;
        let sequence = fresh.sequence()?;
        self.swap(live, Side::Previous, fresh, turn).await?;
        Ok(Compared { partition: live.id, sequence, swapped: true, ..Compared::default() })
    }

    pub(super) async fn verify(&self, live: &Partition, scope: &Scope) -> Result<Compared, Error> {
        let fresh = self.fresh(live, Side::Verify, scope.clone()).await?;
        self.follow(live, &fresh, false).await?;
        let turn = self.level(live, &fresh).await?;
        let (compared, turn) = self.compare(live, &fresh, scope.clone(), turn).await?;
        drop(turn);
        tidy(live, fresh.remove(&live.store, Side::Verify).await);
        Ok(compared)
    }

    pub(super) async fn fresh(&self, live: &Partition, side: Side, scope: Scope) -> Result<Fresh, Error> {
        self.say(live.id, "opening", 0, 0);
        Fresh::open(&live.store, side, scope, self.shares, self.context.clone()).await
    }

    /// Folds until the new store is close behind the live one; seals it on the way if it is to be one.
    async fn follow(&self, live: &Partition, fresh: &Fresh, seal: bool) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let target = progress(&live.store).await?;
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

    /// The loop waits from here on, and both stand at the same position.
    pub(super) async fn level(&self, live: &Partition, fresh: &Fresh) -> Result<Turn, Error> {
        let turn = Arc::clone(&live.turn).lock_owned().await;
        self.last_messages(live, fresh).await?;
        Ok(turn)
    }

    pub(super) async fn last_messages(&self, live: &Partition, fresh: &Fresh) -> Result<(), Error> {
        let target = progress(&live.store).await?;
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

    /// Gives the turn back once it is done, and not before.
    pub(super) async fn compare(
        &self,
        live: &Partition,
        fresh: &Fresh,
        scope: Scope,
        turn: Turn,
    ) -> Result<(Compared, Turn), Error> {
        let at = fresh.sequence()?;
        self.say(live.id, "comparing", at, at);
        let (live, fresh) = (Arc::clone(&live.store), Arc::clone(&fresh.store));
        let shutdown = self.shutdown.clone();
        let work = tokio::task::spawn_blocking(move || {
            let compared = compare::compare(&live, &fresh, &scope, &shutdown);
            (compared, turn)
        });
        let (compared, turn) = work.await?;
        Ok((compared?, turn))
    }

    pub(super) async fn swap(
        &self,
        live: &Partition,
        side: Side,
        fresh: Fresh,
        turn: Turn,
    ) -> Result<(), Error> {
        let at = fresh.sequence()?;
        self.say(live.id, "swapping", at, at);
        let (live, stay_open) = (live.clone(), !self.offline);
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            swap(&live, side, &fresh.store, stay_open)
        });
        Ok(work.await??)
    }
}

/// How far a store is. Asked on a thread that may block: while it is opened anew it answers nobody.
pub(super) async fn progress(store: &Arc<Store>) -> Result<v1::Progress, Error> {
    let store = Arc::clone(store);
    let look = move || store.view().map(|view| view.progress());
    Ok(tokio::task::spawn_blocking(look).await??)
}

/// Swaps, and tells all who share the partition: what was remembered is of the other store.
fn swap(live: &Partition, side: Side, fresh: &Store, stay_open: bool) -> Result<(), store::Error> {
    let progress = fresh.view()?.progress();
    let swapped = catch_unwind(AssertUnwindSafe(|| live.store.swap(side, fresh, stay_open)));
    live.forget();
    if stay_open && live.store.view().is_err() {
        // Without an event nobody would open it, and it would serve nothing though all looks well.
        live.failed.notify_one();
    }
    swapped.unwrap_or_else(|panic| resume_unwind(panic))?;
    live.stands_at(&progress);
    tracing::warn!(partition = live.id, side = ?side, sequence = progress.sequence, "store swapped");
    Ok(())
}

/// What was found out is worth more than that nothing is left behind: the next start removes it.
fn tidy(live: &Partition, removed: Result<(), Error>) {
    if let Err(error) = removed {
        tracing::warn!(partition = live.id, error = store::chain(&error), "a store beside is left behind");
    }
}
