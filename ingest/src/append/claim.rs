//! A message belongs to whoever takes it first: the lane that publishes it, or the one who waits for it and gives it up.
//! So what was given up while it waited for its turn was never published, and never will be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Error;
use super::wire::Stored;

/// The right to one message, which both sides hold. Those of one attempt share their memory.
#[derive(Clone)]
pub(super) struct Claim {
    all: Arc<[AtomicBool]>,
    at: usize,
}

impl Claim {
    pub(super) fn some(count: usize) -> impl Iterator<Item = Self> {
        let all: Arc<[AtomicBool]> = (0..count).map(|_| AtomicBool::new(false)).collect();
        (0..count).map(move |at| Self { all: Arc::clone(&all), at })
    }

    /// True for the first who asks alone. No other memory hangs on it, so no order but its own matters.
    pub(super) fn take(&self) -> bool {
        self.all.get(self.at).is_some_and(|taken| !taken.swap(true, Ordering::Relaxed))
    }
}

/// A message that was handed over to its lane, as the one sees it who waits for it.
pub(super) struct HandedOver {
    pub(super) told: oneshot::Receiver<Result<Stored, Error>>,
    pub(super) claim: Claim,
}

impl HandedOver {
    /// What the lane tells until then. A lane that ended tells nothing, and nobody knows how far it came.
    pub(super) async fn outcome(self, patience: Instant) -> Result<Stored, Error> {
        match timeout_at(patience, self.told).await {
            Ok(told) => told.unwrap_or(Err(Error::Unacknowledged)),
            Err(_) if self.claim.take() => Err(Error::Crowded),
            Err(_) => Err(Error::Unacknowledged),
        }
    }

    /// Takes it back; false if it was taken up already.
    pub(super) fn give_up(self) -> bool {
        self.claim.take()
    }
}
