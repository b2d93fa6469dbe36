//! Why a task was not begun, or failed.

use super::Reason;
use crate::scan;
use crate::status::Stop;
use crate::store;

/// Why a task was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One is under way.
    #[error("a {task} is under way: wait for its end")]
    Busy {
        /// Which.
        task: String,
    },
    /// The log has no such partition.
    #[error("partition is {partition}, the log has partitions 0 to {last}")]
    NoSuchPartition {
        /// What was asked for.
        partition: u16,
        /// The last one.
        last: u16,
    },
    /// The partition is not served here.
    #[error("partition {partition} is not served by this process")]
    NotOwned {
        /// Which.
        partition: u16,
    },
}

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Scan(#[from] scan::Error),
    #[error("a store failed")]
    Store(#[from] store::Error),
    #[error("the work broke down")]
    Broke(#[from] tokio::task::JoinError),
    #[error("partition {partition}: the log ends with {found}, the store has {wanted}")]
    Short { partition: u16, wanted: u64, found: u64 },
    #[error(
        "partition {partition}: the stream was recreated since the store was folded: {found}, not {known}"
    )]
    OtherStream { partition: u16, known: String, found: String },
    #[error("partition {partition}: the log is not the one that the store was folded from: {stop}")]
    OtherLog { partition: u16, stop: Stop },
    #[error("partition {partition}: there is no previous store of this log to go back to")]
    NoPrevious { partition: u16 },
    #[error(
        "the previous store is there for {with} and not for {without}: say which partition, by --partition"
    )]
    SomePrevious { with: String, without: String },
    #[error(
        "partition {partition}: the live store started over and stands at {live}, the other one at {other}, which is \
         kept: try again when the live one has folded as much"
    )]
    Ahead { partition: u16, live: u64, other: u64 },
    #[error("a fault of groupfold: {why}")]
    Panicked { why: String },
    #[error("interrupted: start it again, it goes on from where it was")]
    Interrupted,
}

impl Error {
    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Scan(scan::Error::Unreadable { .. }) => Some(Reason::LogUnreadable),
            Self::Ahead { .. } | Self::Store(store::Error::Apart { .. }) | Self::Interrupted => {
                Some(Reason::NotYet)
            }
            _ => None,
        }
    }
}
