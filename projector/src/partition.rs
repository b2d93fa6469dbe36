//! One partition: what its loop and its readers share.

mod bound;
pub(crate) mod fold;
mod run;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use groupfold_fold::apply::Known;
use groupfold_fold::change::Followed;
use groupfold_schemas::v1;
use tokio::sync::watch;

use crate::feed::Feed;
use crate::reads::Shown;
use crate::status::{Folded, Status};
use crate::store::{self, Store};

pub(crate) use run::{Loop, identity_of};

/// What the loop and the readers of a partition share.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    pub(crate) id: u16,
    pub(crate) store: Arc<Store>,
    /// Written by the loop alone.
    pub(crate) status: watch::Sender<Status>,
    /// Readers tell here that an entry could not be read.
    pub(crate) damage: Arc<tokio::sync::Notify>,
    /// Readers and the publisher tell here that the store is closed, or takes no writes.
    pub(crate) failed: Arc<tokio::sync::Notify>,
    /// The loop tells here that a record could not be read.
    pub(crate) unreadable: Arc<tokio::sync::Notify>,
    /// How far its changes are published.
    pub(crate) feed: Feed,
    /// Groups as they were shown last.
    pub(crate) shown: Shown,
    /// What the loop need not look up.
    pub(crate) known: Arc<Mutex<Known>>,
    /// What it need not read.
    pub(crate) followed: Arc<Mutex<Followed>>,
    /// Held by the loop while it writes, and by an operator's task that needs the store to stand still.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Partition {
    /// A partition whose store is open.
    pub(crate) fn new(store: Store) -> Result<Self, store::Error> {
        let progress = store.view()?.progress();
        let partition = Self::at_rest(store);
        partition.status.send_replace(status_of(&progress));
        Ok(partition)
    }

    /// A partition whose store need not be open yet: nobody knows how far it is.
    pub(crate) fn at_rest(store: Store) -> Self {
        Self {
            id: store.partition(),
            store: Arc::new(store),
            status: watch::Sender::new(status_of(&v1::Progress::default())),
            damage: Arc::default(),
            failed: Arc::default(),
            unreadable: Arc::default(),
            feed: Feed::default(),
            shown: Shown::default(),
            known: Arc::default(),
            followed: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Says that nothing is applied: the store is about to start over.
    pub(crate) fn forget_progress(&self) {
        self.status.send_replace(status_of(&v1::Progress::default()));
        self.forget();
    }

    /// Takes note of how far a store is that was opened anew. A commit that failed in its last sync may be there whole,
    /// and nobody was told of it; one of a store that was set aside is not.
    fn found(&self, progress: &v1::Progress) {
        if progress.sequence < self.status.borrow().applied {
            self.forget_progress();
        }
        if progress.sequence == self.status.borrow().applied {
            return;
        }
        // How many changes it brought is not known. That there are any is enough: the publisher looks.
        self.feed.committed(1);
        self.unreadable.notify_one();
        self.stands_at(progress);
    }

    /// Tells how far the store is.
    pub(crate) fn stands_at(&self, progress: &v1::Progress) {
        let now = status_of(progress);
        self.status.send_modify(|status| {
            status.folded = now.folded;
            status.moved_to(now.applied, now.applied_log_time_ms, now.digest);
        });
    }

    /// Forgets what was remembered of a store: it fails, or another one takes its place.
    pub(crate) fn forget(&self) {
        self.shown.clear();
        *self.known() = Known::default();
        *self.followed() = Followed::default();
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody else had trouble with the store.
    async fn trouble(&self) -> Trouble {
        tokio::select! {
            () = self.damage.notified() => Trouble::Damaged,
            () = self.failed.notified() => Trouble::Closed,
        }
    }

    /// Tells the loop about a store that was found damaged while reading.
    pub(crate) fn report(&self, error: &store::Error) {
        tracing::error!(partition = self.id, error = %store::chain(error), "store cannot be read");
        if error.is_damage() {
            self.damage.notify_one();
        } else if error.may_pass() {
            self.failed.notify_one();
        }
    }
}

/// What readers and the publisher had with a store.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// An entry could not be read.
    Damaged,
    /// It is closed, or takes no writes.
    Closed,
}

fn status_of(progress: &v1::Progress) -> Status {
    let digest = store::digest_of(progress).unwrap_or_default();
    let folded = Folded { events: progress.events_applied, unreadable: progress.records_unreadable };
    let mut status = Status::new(progress.sequence, progress.log_time_ms, digest);
    status.folded = folded;
    status
}
