//! Messages that the log lost for good, and that an operator said to go on without: an empty message stands for
//! each, so that all who read the log count the same ones as unreadable, and none is passed over in silence.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_nats::jetstream::Context;
use futures_util::future::BoxFuture;
use groupfold_schemas::{frame, log, v1};

use crate::scan::{self, From, Over, Scan, Stretch};

/// Messages read at a time.
const BATCH: usize = 1_000;

/// Why a message that stands for a lost one takes no part in the fold.
pub const LOST: &str = "lost";

/// The accepted loss that a missing sequence is in, from there on; `None` if nobody accepted one. `before` is the first
/// message that is there behind it, as far as is known.
///
/// # Errors
/// What the broker said.
pub(crate) async fn accepted(
    context: &Context,
    stream: &str,
    first: u64,
    before: Option<u64>,
) -> Result<Option<RangeInclusive<u64>>, String> {
    let Some(partition) = log::partition_of_stream(stream) else { return Ok(None) };
    let losses = losses(context, partition).await.map_err(|error| error.to_string())?;
    let covering = losses.range(..=first).map(|(_, last)| *last).filter(|last| *last >= first);
    let Some(last) = covering.max() else { return Ok(None) };
    // What is there again is read.
    let last = before.map_or(last, |before| last.min(before.saturating_sub(1)));
    Ok((first <= last).then_some(first..=last))
}

/// How many messages of a partition were accepted as lost, from a sequence on: what the stream says is missing begins
/// with the first one that it has.
///
/// # Errors
/// What was accepted cannot be read.
pub async fn accepted_in(context: &Context, partition: u16, from: u64) -> Result<u64, scan::Error> {
    let losses = losses(context, partition).await?;
    let (mut next, mut count) = (from, 0);
    for (first, last) in losses {
        let begin = first.max(next);
        count += (last + 1).saturating_sub(begin);
        next = next.max(last + 1);
    }
    Ok(count)
}

/// The losses of a partition that were accepted: the last sequence of each by its first. In a box, since a scan asks for
/// it, too.
fn losses(context: &Context, partition: u16) -> BoxFuture<'_, Result<BTreeMap<u64, u64>, scan::Error>> {
    Box::pin(async move {
        let stream = log::RESOLVED_STREAM.to_owned();
        let scan::Ends { first, last: to, .. } = scan::ends(context, &stream).await?;
        // Somebody let all of it expire: nothing follows, and nothing is waited for.
        if first > to {
            return Ok(BTreeMap::new());
        }
        let subjects = log::loss_subjects(partition);
        let of_partition = subjects.trim_end_matches('*').to_owned();
        let mut last_of = BTreeMap::new();
        let mut take = |batch: &[scan::Found]| {
            let losses = batch.iter().filter(|found| found.subject.starts_with(&of_partition));
            let read = |found: &scan::Found| frame::decode::<v1::Loss>(&found.payload).ok();
            last_of.extend(losses.filter_map(read).map(|loss| (loss.first, loss.last)));
        };
        let stretch =
            Stretch { stream: stream.clone(), from: From::Sequence(first), to, subjects: vec![subjects] };
        let mut of_subject = Scan::new(context.clone(), stretch);
        // What settles failures stands beside them, and is much more.
        let is_missing = loop {
            match of_subject.next_batch(BATCH).await {
                Ok(Some(batch)) => take(&batch),
                Ok(None) => break false,
                Err(scan::Error::Lost { .. } | scan::Error::Hole { .. }) => break true,
                Err(error) => return Err(error),
            }
        };
        if is_missing {
            // Over what is missing of this stream: a loss of another message of it must not take the way out, and without
            // what was accepted a partition stops.
            let mut all = Over::new(context.clone(), stream, first, to);
            while let Some(batch) = all.next_batch(BATCH).await? {
                take(&batch);
            }
        }
        Ok(last_of)
    })
}
