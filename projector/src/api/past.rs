//! Answers about the past: the same views, over the log folded anew up to where the reader asks.

use std::time::Duration;

use async_nats::jetstream;
use groupfold_fold::entry::Memory;
use groupfold_schemas::position::Position;
use tokio::sync::OwnedSemaphorePermit;

use super::params::At;
use crate::partition::Partition;
use crate::problem::Problem;
use crate::reads::{Freshness, Reads, Turns, blocking};
use crate::refold::past as refold;
use crate::store::chain;

/// Refoldings at the same time: each holds its entries in memory and a reader's bytes ahead.
const REFOLDS_MAX: usize = 4;
/// How long one may wait for its turn.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// Longest that the log may take for one; the program that asks gives up later than this.
const REFOLD_DEADLINE: Duration = Duration::from_secs(30);

/// The log, to look back.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    context: jetstream::Context,
    turns: Turns,
}

/// State as it was.
pub(super) struct Then {
    memory: Memory,
    position: Position,
    turn: OwnedSemaphorePermit,
}

impl Past {
    pub(crate) fn new(context: jetstream::Context) -> Self {
        Self { context, turns: Turns::new(REFOLDS_MAX, TURN_WAIT) }
    }

    /// The state of a partition as far as `subjects` decide it, as it was then. What is not folded yet is
    /// waited for as a `min_position` is, so that nothing is told that the present state would not know.
    pub(super) async fn then(
        &self,
        reads: &Reads,
        home: &Partition,
        subjects: Vec<String>,
        at: &At,
        freshness: Freshness,
    ) -> Result<Then, Problem> {
        let (position, freshness) = self.wanted(home, at, freshness).await?;
        let sequence = position.get(home.id).unwrap_or_default();
        reads.reach(&freshness, std::slice::from_ref(home)).await?;
        // Whoever waits for what nobody has told yet keeps nobody else waiting.
        let turn = self.turns.take().await?;
        let folding = refold::fold(&self.context, home.id, subjects, sequence);
        let memory = bounded(folding, home.id).await?;
        bounded(refold::same_log(&self.context, home), home.id).await?;
        Ok(Then { memory, position, turn })
    }

    /// The position of a partition at that moment, and with it what the present must have reached.
    pub(super) async fn wanted(
        &self,
        home: &Partition,
        at: &At,
        freshness: Freshness,
    ) -> Result<(Position, Freshness), Problem> {
        let sequence = match at {
            At::Position(position) => {
                position.get(home.id).ok_or_else(|| Problem::at_elsewhere(position, home.id))?
            }
            At::Time(time_ms) => {
                let _turn = self.turns.take().await?;
                bounded(refold::sequence_at(&self.context, home.id, *time_ms), home.id).await?
            }
        };
        let position: Position = [(home.id, sequence)].into_iter().collect();
        let mut wanted = freshness.min_position.unwrap_or_default();
        wanted.join(&position);
        Ok((position, Freshness { min_position: Some(wanted), ..freshness }))
    }
}

impl Then {
    /// Works an answer out, on a thread that may block.
    pub(super) async fn answer<T, F>(self, answer: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Memory, &Position) -> Result<T, Problem> + Send + 'static,
    {
        let Self { memory, position, turn } = self;
        blocking(turn, move || answer(&memory, &position)).await?
    }
}

async fn bounded<T>(
    work: impl Future<Output = Result<T, refold::Error>>,
    partition: u16,
) -> Result<T, Problem> {
    let failed = match tokio::time::timeout(REFOLD_DEADLINE, work).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(refold::Error::TooMany { most })) => return Err(Problem::history_too_long(most)),
        Ok(Err(refold::Error::BeginningGone { first, .. })) => {
            return Err(Problem::beginning_gone(partition, first));
        }
        Ok(Err(error @ refold::Error::Log(_))) => error,
        Ok(Err(error @ (refold::Error::Entry(_) | refold::Error::Broke(_)))) => {
            tracing::error!(partition, error = %chain(&error), "the past cannot be folded");
            return Err(Problem::internal());
        }
        Err(_) => return Err(Problem::log_unreadable(partition)),
    };
    tracing::warn!(partition, error = %chain(&failed), "the past cannot be read");
    Err(Problem::log_unreadable(partition))
}
