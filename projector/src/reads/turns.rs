//! How many answers of one kind are worked out at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;
use crate::store::chain;

/// Turns, each of which holds a thread while it lasts.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    /// How long an answer may wait for its turn.
    wait: Duration,
}

impl Turns {
    pub(crate) fn new(most: usize, wait: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), wait }
    }

    /// The next turn; `busy` if none comes in time.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.free).acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or_else(Problem::busy)
    }
}

/// Works an answer out on a thread that may block. Its turn lasts until then, whether anybody still waits or not.
pub(crate) async fn blocking<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let span = tracing::Span::current();
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        span.in_scope(work)
    });
    work.await.map_err(|panic| {
        tracing::error!(error = %chain(&panic), "answer panicked");
        Problem::internal()
    })
}
