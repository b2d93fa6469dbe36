//! Whether a live store goes on: one that stands still equals the log as far as it goes, which is no proof of the rest.

use groupfold_schemas::log;

use super::{Error, Rebuilds};
use crate::partition::Partition;
use crate::status::{Run, Stop};
use crate::{loss, scan, stream};

impl Rebuilds {
    /// Why the partition is stopped, and where its log ends; `None` where it goes on, or will once it is served.
    pub(super) async fn halt(
        &self,
        live: &Partition,
        applied: u64,
    ) -> Result<Option<(&'static str, u64)>, Error> {
        if !self.offline {
            let status = live.status.borrow();
            return Ok(match &status.run {
                Run::Stopped(stop) => Some((stop.code(), status.log_end)),
                Run::Connecting { .. } | Run::Running => None,
            });
        }
        let (stream, next) = (log::stream(live.id), applied + 1);
        let unreadable = |why| scan::Error::Unreadable { stream: stream.clone(), why };
        let end = stream::look(&self.context, &stream).await.map_err(unreadable)?.last_sequence;
        if end < next || stream::has_message(&self.context, &stream, next).await.map_err(unreadable)? {
            return Ok(None);
        }
        let accepted = loss::accepted(&self.context, &stream, next, None).await.map_err(unreadable)?;
        let stop = Stop::MissingSequence { expected: next, found: None };
        Ok(accepted.is_none().then(|| (stop.code(), end)))
    }
}
