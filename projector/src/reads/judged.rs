//! State that something is judged by which cannot be taken back.

use std::time::Duration;

use groupfold_schemas::log;
use groupfold_schemas::position::Position;
use tokio::time::Instant;

use super::Reads;
use crate::desk::Unwritten;
use crate::partition::Partition;
use crate::problem::Problem;
use crate::status::{Run, Status};
use crate::stream;

/// How long whoever asks waits for it.
const WAIT: Duration = Duration::from_secs(10);

impl Reads {
    /// Waits until partitions have folded all that the log has at this moment; what it takes meanwhile is not waited for.
    /// A block that was acknowledged is known then, by whichever process, and so is a command.
    pub(crate) async fn fold_up(&self, touched: &[Partition]) -> Result<(), Problem> {
        let deadline = Instant::now() + WAIT;
        for partition in touched {
            let end = self.end_of_log(partition, deadline).await?;
            if partition.status.borrow().knows(end) {
                continue;
            }
            let _waiting = self.judging.try_acquire().map_err(|_| Problem::busy())?;
            let known = follow(partition, |status| status.knows(end));
            if self.in_time(deadline, known).await != Some(true) {
                return Err(Problem::behind(partition.id, &partition.status.borrow(), end));
            }
        }
        Ok(())
    }

    /// Waits until those of a position's partitions that this process owns are there; false if they are not in time.
    pub(crate) async fn reached(&self, position: &Position, deadline: Instant) -> bool {
        for partition in self.owned.values() {
            let wanted = position.get(partition.id).unwrap_or_default();
            let there = follow(partition, |status| status.applied >= wanted);
            if self.in_time(deadline, there).await != Some(true) {
                return false;
            }
        }
        true
    }

    /// As the broker says it: what is heard while reading comes later than what was acknowledged to somebody else.
    async fn end_of_log(&self, partition: &Partition, deadline: Instant) -> Result<u64, Problem> {
        let Some(context) = &self.log else { return Ok(partition.status.borrow().log_end) };
        let stream = log::stream(partition.id);
        match self.in_time(deadline, stream::look(context, &stream)).await {
            Some(Ok(info)) => Ok(info.last_sequence),
            told => {
                let why = told.and_then(Result::err).unwrap_or_default();
                tracing::warn!(partition = partition.id, why, "the end of the log is not known");
                Err(Problem::unwritten(&Unwritten { reason: "log_end_unknown" }))
            }
        }
    }
}

/// Waits until a partition is as wanted; false if it stopped before, for then it will not be.
pub(super) async fn follow(partition: &Partition, wanted: impl Fn(&Status) -> bool) -> bool {
    let mut status = partition.status.subscribe();
    let over = status.wait_for(|status| wanted(status) || matches!(status.run, Run::Stopped(_)));
    over.await.is_ok_and(|status| wanted(&status))
}
