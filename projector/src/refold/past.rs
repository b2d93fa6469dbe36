//! Looking back: the entries of one group, or of one message, as the store had them at a position.
//!
//! State is a function of the set of events, and those that concern a group stand on the group's own
//! subjects and on that of identity changes. So a group is folded from them alone, up to a sequence, and the
//! outcome is what the store held for it when it had applied that sequence.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_nats::jetstream;
use groupfold_fold::entry::{self, Memory};
use groupfold_schemas::{log, v1};

use crate::partition::fold::record_of;
use crate::partition::{Partition, identity_of};
use crate::scan::{self, From, Scan, Stretch};
use crate::tail;

/// Most log messages that one refolding takes; a group with more is not refolded.
const EVENTS_MAX: usize = 100_000;
/// Messages folded at a time.
const BATCH_EVENTS: usize = 1_000;

/// Why a part of the log cannot be folded anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] scan::Error),
    /// The log has lost its beginning, so no fold of it is the whole.
    #[error("the log of partition {partition} begins with sequence {first}, what was before is gone")]
    BeginningGone {
        /// Which partition.
        partition: u16,
        /// The first sequence that is there.
        first: u64,
    },
    /// There are more messages to fold than are taken.
    #[error("more than {most} log messages would have to be folded")]
    TooMany {
        /// How many are taken.
        most: usize,
    },
    /// What was just folded cannot be read: a fault of ours.
    #[error("a folded entry cannot be read")]
    Entry(#[from] entry::Error),
    /// Folding broke down.
    #[error("the fold broke down")]
    Broke(#[from] tokio::task::JoinError),
}

/// The subjects that decide what a group is: its own, and those of identity changes.
#[must_use]
pub fn group_subjects(partition: u16, group: &str) -> Vec<String> {
    vec![log::group_subjects(partition, group), log::identity_subjects(partition)]
}

/// The subjects that decide what a message's receipts are: those of its group, and those of events without
/// one, as some reports leave the group out.
#[must_use]
pub fn message_subjects(partition: u16, group: Option<&str>) -> Vec<String> {
    let groups = group.map(|group| log::group_subjects(partition, group));
    groups.into_iter().chain([log::groupless_subjects(partition)]).collect()
}

/// Folds the messages of these subjects up to the sequence `to`, itself included. Memory holds the entries of
/// a bounded number of messages; records that the projector passes over are passed over.
///
/// # Errors
/// The log cannot be read, lost its beginning, or has too many such messages.
pub async fn fold(
    context: &jetstream::Context,
    partition: u16,
    subjects: Vec<String>,
    to: u64,
) -> Result<Memory, Error> {
    fold_without(context, partition, subjects, to, &BTreeSet::new(), EVENTS_MAX, |_| {}).await
}

/// As [`fold`], of `most` messages at most; those of the sequences in `skip` are left out. `each` is told what was folded.
pub(super) async fn fold_without(
    context: &jetstream::Context,
    partition: u16,
    subjects: Vec<String>,
    to: u64,
    skip: &BTreeSet<u64>,
    most: usize,
    mut each: impl FnMut(v1::Record),
) -> Result<Memory, Error> {
    let stream = log::stream(partition);
    let first = scan::ends(context, &stream).await?.first;
    if first > 1 {
        return Err(Error::BeginningGone { partition, first });
    }
    let stretch = Stretch { stream, from: From::Sequence(1), to, subjects };
    let mut scan = Scan::new(context.clone(), stretch);
    let (mut memory, mut events) = (Memory::default(), 0);
    while let Some(mut batch) = scan.next_batch(BATCH_EVENTS).await? {
        events += batch.len();
        if events > most {
            return Err(Error::TooMany { most });
        }
        batch.retain(|found| !skip.contains(&found.sequence));
        let folded = tokio::task::spawn_blocking(move || {
            let records: Vec<v1::Record> =
                batch.iter().filter_map(|found| record_of(&found.payload).ok()).collect();
            memory.apply(&records).map(|_| (memory, records))
        });
        let records;
        (memory, records) = folded.await??;
        records.into_iter().for_each(&mut each);
    }
    Ok(memory)
}

/// Checks that the log is the one that the store was folded from: what another one has at a position, or an older copy that
/// grew again, was never the state. To be asked after folding, so that it holds of what was read.
pub(crate) async fn same_log(context: &jetstream::Context, home: &Partition) -> Result<(), Error> {
    let stream = log::stream(home.id);
    let unreadable = |why: String| scan::Error::Unreadable { stream: stream.clone(), why };
    let store = Arc::clone(&home.store);
    let progress = tokio::task::spawn_blocking(move || store.view().map(|view| view.progress())).await?;
    let progress = progress.map_err(|error| unreadable(error.to_string()))?;
    match tail::differs(context, &stream, identity_of(&progress)).await.map_err(unreadable)? {
        Some(stop) => Err(unreadable(stop.to_string()).into()),
        None => Ok(()),
    }
}

/// The last sequence that the log of a partition had taken at a time (Unix milliseconds, the whole of that
/// millisecond included), by the time that the broker stamps on each message; zero if it had none.
///
/// # Errors
/// The broker does not tell.
pub async fn sequence_at(context: &jetstream::Context, partition: u16, time_ms: i64) -> Result<u64, Error> {
    Ok(scan::sequence_at(context, &log::stream(partition), time_ms).await?)
}
