//! From log messages to a committed batch: decode, load, fold, commit, tell. Synchronous.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bytes::Bytes;
use groupfold_fold::apply::{Changes, Contributions, Known, Working};
use groupfold_fold::change::{At, Error as TellError, Followed, Telling, mark_of};
use groupfold_fold::entry::Memory;
use groupfold_schemas::change::Mark;
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::{frame, log, v1};
use tokio_util::sync::CancellationToken;

use super::{Partition, bound};
use crate::loss::LOST;
use crate::metrics::Metrics;
use crate::status::Folded;
use crate::store::{self, Outbox};
use crate::tail::Item;

/// Most keys written by one commit, save for a single event that has more. The more, the fewer syncs while catching
/// up; all that it writes and writes over is in memory until then, and readers see nothing of it.
pub(super) const KEYS_MAX: usize = 1000;

pub(crate) const NO_EVENT: &str = "no_event";
pub(crate) const VALUE_TOO_LARGE: &str = "value_too_large";

/// A message and what could be read of it.
struct Message {
    sequence: u64,
    log_time_ms: i64,
    trace_id: Option<String>,
    record: Result<v1::Record, &'static str>,
    contributions: Contributions,
}

/// Why a batch is not folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// As the store says.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// It panicked over messages of these sequences, before anything of them was written: by a fault of ours, or because the
    /// store was read damaged.
    #[error("folding panicked: {why}")]
    Panicked { first: u64, last: u64, why: String },
}

#[cfg(any(test, feature = "probe"))]
impl Error {
    /// What the store said; panics on as the fold did.
    pub(crate) fn of_store(self) -> store::Error {
        match self {
            Self::Store(error) => error,
            Self::Panicked { why, .. } => std::panic::resume_unwind(Box::new(why)),
        }
    }
}

/// Folds messages in order, in as many commits as the bound of keys asks for. Each commit is told to
/// readers as soon as it is on the device. When it is time to end, what was begun is committed and the rest left.
pub(crate) fn fold(
    partition: &Partition,
    metrics: &Metrics,
    stream_created: &str,
    items: Vec<Item>,
    ending: &CancellationToken,
) -> Result<(), Error> {
    crash::at(Point::FoldBegin);
    // Taken, and put back only once all that was learned of is in the store.
    let mut known = std::mem::take(&mut *partition.known());
    let mut followed = std::mem::take(&mut *partition.followed());
    let at = items.first().zip(items.last()).map(|(first, last)| (first.sequence, last.sequence));
    let mut messages: Vec<Message> =
        caught(at, || items.into_iter().map(|item| message(item, &mut known)).collect())?;
    while !messages.is_empty() {
        let later = messages.split_off(chunk_len(&messages));
        let all = messages.len();
        let folded = Commit { partition, metrics, stream_created, ending }.chunk(messages, &mut followed)?;
        if folded < all || (ending.is_cancelled() && !later.is_empty()) {
            // What is known would not be in the store.
            return Ok(());
        }
        messages = later;
    }
    *partition.known() = known;
    *partition.followed() = followed;
    Ok(())
}

/// Does what writes nothing. What the database panics about while it writes leaves a store that must not be read on.
fn caught<T>(at: Option<(u64, u64)>, work: impl FnOnce() -> T) -> Result<T, Error> {
    let (first, last) = at.unwrap_or_default();
    let panicked = |why| Error::Panicked { first, last, why };
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panicked(store::panic_text(&*panic)))
}

/// The record in a log message, or why it takes no part in the fold: the same for every way of folding.
///
/// # Errors
/// Stable name of the reason.
pub fn record_of(payload: &[u8]) -> Result<v1::Record, &'static str> {
    there(payload)?;
    let record = frame::decode(payload).map_err(|error| error.name())?;
    contributed(&record, &mut Known::default())?;
    Ok(record)
}

/// A record and what it contributes beside what is known; what it reports is known from then on.
pub(crate) fn read(payload: &Bytes, known: &mut Known) -> Result<(v1::Record, Contributions), &'static str> {
    there(payload)?;
    let record = frame::decode_shared(payload).map_err(|error| error.name())?;
    let contributions = contributed(&record, known)?;
    Ok((record, contributions))
}

fn there(payload: &[u8]) -> Result<(), &'static str> {
    if payload.is_empty() { Err(LOST) } else { Ok(()) }
}

fn contributed(record: &v1::Record, known: &mut Known) -> Result<Contributions, &'static str> {
    if record.kind().is_none() {
        return Err(NO_EVENT);
    }
    let contributions = Contributions::unknown(record, known);
    if !bound::fits(&contributions) {
        return Err(VALUE_TOO_LARGE);
    }
    known.learn(&contributions);
    Ok(contributions)
}

fn message(item: Item, known: &mut Known) -> Message {
    let (record, contributions) = match read(&item.payload, known) {
        Ok((record, contributions)) => (Ok(record), contributions),
        Err(reason) => (Err(reason), Contributions::default()),
    };
    let Item { sequence, log_time_ms, trace_id, .. } = item;
    Message { sequence, log_time_ms, trace_id, record, contributions }
}

/// How many messages go into the next commit: as many as keep within [`KEYS_MAX`], at least one.
fn chunk_len(messages: &[Message]) -> usize {
    let mut keys: HashSet<&[u8]> = HashSet::with_capacity(2 * KEYS_MAX);
    for (index, message) in messages.iter().enumerate() {
        keys.extend(message.contributions.keys().map(Vec::as_slice));
        if index > 0 && keys.len() > KEYS_MAX {
            return index;
        }
    }
    messages.len()
}

struct Commit<'a> {
    partition: &'a Partition,
    metrics: &'a Metrics,
    stream_created: &'a str,
    ending: &'a CancellationToken,
}

impl Commit<'_> {
    /// Returns how many of the messages were folded: all, unless it is time to end, and one at least.
    fn chunk(&self, mut messages: Vec<Message>, followed: &mut Followed) -> Result<usize, Error> {
        let at = messages.first().zip(messages.last()).map(|(first, last)| (first.sequence, last.sequence));
        let (changes, outbox) = caught(at, || self.changes(&mut messages, followed))??;
        self.commit(&messages, &changes, &outbox)?;
        Ok(messages.len())
    }

    fn changes(
        &self,
        messages: &mut Vec<Message>,
        followed: &mut Followed,
    ) -> Result<(Changes, Outbox), store::Error> {
        let group =
            |message: &Message| message.record.as_ref().is_ok_and(|read| crash::panics(&read.group_id));
        assert!(!messages.iter().any(group), "the fold was told to panic");
        let mut keys: Vec<&Vec<u8>> =
            messages.iter().flat_map(|message| message.contributions.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let loaded = self.partition.store.load(keys)?;
        let published = self.partition.feed.published();
        if messages.last().is_some_and(|last| last.sequence < published.sequence) {
            // Folded again: all that these events made different is told already. Nobody follows the groups.
            *followed = Followed::default();
            let mut working = Working::over(loaded);
            for message in messages.iter_mut() {
                let contributions = std::mem::take(&mut message.contributions);
                working
                    .apply(contributions)
                    .map_err(|error| store::Error::damaged(self.partition.id, error))?;
            }
            let mut outbox = Outbox::default();
            if let Some(last) = messages.last() {
                outbox.leave_out(Mark { sequence: last.sequence, index: u32::MAX });
            }
            return Ok((working.finish(), outbox));
        }
        self.tell_changes(messages, loaded, published, followed)
    }

    /// Applies messages one by one, so that what each makes different does not depend on the batch.
    fn tell_changes(
        &self,
        messages: &mut Vec<Message>,
        loaded: Memory,
        published: Mark,
        followed: &mut Followed,
    ) -> Result<(Changes, Outbox), store::Error> {
        let view = self.partition.store.view()?;
        let mut outbox = Outbox::default();
        if let Some(parcel) = view.outbox_up_to(published)? {
            outbox.leave_out(parcel);
        }
        let mut telling = Telling::new(&view, loaded).following(std::mem::take(followed));
        telling.expect(messages.iter().filter_map(|message| message.record.as_ref().ok()));
        let mut folded = 0;
        for message in messages.iter_mut() {
            // A message may alter many groups of long histories.
            if folded > 0 && self.ending.is_cancelled() {
                break;
            }
            folded += 1;
            let contributions = std::mem::take(&mut message.contributions);
            let Ok(record) = &message.record else { continue };
            let at = At { sequence: message.sequence, log_time_ms: message.log_time_ms };
            let changes = telling.apply(record, contributions, at).map_err(|error| match error {
                TellError::Entry(error) => store::Error::damaged(self.partition.id, error),
                TellError::Source(error) => error,
            })?;
            for change in changes {
                match mark_of(&change) {
                    mark if mark > published => outbox.put(change),
                    mark => outbox.leave_out(mark),
                }
            }
        }
        messages.truncate(folded);
        let changes;
        (changes, *followed) = telling.finish_following();
        Ok((changes, outbox))
    }

    fn commit(&self, messages: &[Message], changes: &Changes, outbox: &Outbox) -> Result<(), store::Error> {
        let Some(last) = messages.last() else { return Ok(()) };
        let unreadable: Vec<v1::Unreadable> = messages.iter().filter_map(unreadable).collect();
        let before = self.partition.store.view()?.progress();
        let digest =
            store::digest_of(&before).map_err(|error| store::Error::damaged(self.partition.id, error))?;
        let digest = digest.plus(changes.digest);
        let left_out = outbox.left_out(&before);
        let progress = v1::Progress {
            stream: log::stream(self.partition.id),
            stream_created: self.stream_created.to_owned(),
            sequence: last.sequence,
            log_time_ms: last.log_time_ms,
            digest: digest.to_bytes().to_vec().into(),
            events_applied: before.events_applied + (messages.len() - unreadable.len()) as u64,
            records_unreadable: before.records_unreadable + unreadable.len() as u64,
            published_sequence: left_out.sequence,
            published_index: left_out.index,
        };
        let folded = Folded { events: progress.events_applied, unreadable: progress.records_unreadable };
        let begun = Instant::now();
        crash::at(Point::FoldDone);
        let written = self.partition.store.commit_with(changes, &unreadable, outbox, progress);
        // Nobody reads a store that failed.
        written.inspect_err(|_| self.partition.forget())?;
        self.partition.shown.changed(changes.puts.keys());
        crash::at(Point::CommitVisible);
        self.partition.feed.committed(outbox.added());
        self.metrics.committed(begun.elapsed(), messages.len(), unreadable.len());
        self.tell(messages, changes, &unreadable);
        self.partition.status.send_modify(|status| {
            status.folded = folded;
            status.moved_to(last.sequence, last.log_time_ms, digest);
        });
        Ok(())
    }

    fn tell(&self, messages: &[Message], changes: &Changes, unreadable: &[v1::Unreadable]) {
        for record in unreadable {
            self.metrics.unreadable(&record.reason);
            tracing::warn!(sequence = record.sequence, reason = record.reason, "record cannot be read");
        }
        if !unreadable.is_empty() {
            self.partition.unreadable.notify_one();
        }
        tracing::debug!(
            applied = messages.last().map(|last| last.sequence),
            events = messages.len(),
            keys = changes.puts.len(),
            "batch committed"
        );
        for message in messages {
            if let Ok(record) = &message.record {
                // Of a sender that gave no trace, the receiver's id of the request stands for it.
                let trace_id = message.trace_id.as_deref().unwrap_or(&record.request_id);
                let sequence = message.sequence;
                tracing::debug!(trace_id, event_id = record.event_id, sequence, "event committed");
            }
        }
    }
}

fn unreadable(message: &Message) -> Option<v1::Unreadable> {
    let reason = *message.record.as_ref().err()?;
    Some(v1::Unreadable { sequence: message.sequence, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests;
