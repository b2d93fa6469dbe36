//! The port for writes: what the API takes and somebody else puts into the log. The projector only reads the
//! log; who runs it decides what can be written, and hands a desk over.

use std::pin::Pin;

use groupfold_schemas::position::Position;
use groupfold_schemas::v1;

/// A call of a desk that is under way.
pub type Handed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Puts events of ours into the log.
pub trait Desk: std::fmt::Debug + Send + Sync {
    /// Appends records in their order, each under its event id. Done means durable, as far as the broker
    /// promises it; appending the same record again changes nothing.
    ///
    /// # Errors
    /// The log did not take one, or did not say so in time: it may be there all the same. Those before it are.
    fn append(&self, records: Vec<v1::Record>) -> Handed<'_, Result<Position, Unwritten>>;
}

/// Why a record is not known to be in the log.
#[derive(Debug, thiserror::Error)]
#[error("the log did not take it: {reason}")]
pub struct Unwritten {
    /// Stable name of the reason, as a receiver's 503 carries it.
    pub reason: &'static str,
}
