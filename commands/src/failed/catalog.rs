//! All failures of the log and what settled them, without their bytes.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;

use groupfold_schemas::{frame, log, v1};
use serde_json::{Value, json};

use super::Filter;
use crate::exit::Failure;
use crate::log::{Log, Look};
use crate::print;

/// Fewest digits by which a failure can be named.
const PREFIX_MIN: usize = 6;

/// A failure, however often it was reported.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) failed_id: String,
    /// Where its bytes stand in the stream of failures: the first report.
    pub(super) sequence: u64,
    pub(super) cause: String,
    pub(super) fingerprint: String,
    pub(super) pointer: String,
    pub(super) expected: String,
    pub(super) provider: &'static str,
    pub(super) group_id: String,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) times: u64,
    pub(super) resolution: Option<v1::Resolution>,
}

/// The failures up to the newest one of this moment.
pub(super) struct Catalog {
    pub(super) entries: Vec<Entry>,
    /// Messages of the stream that are no failures that this build can read.
    pub(super) unreadable: u64,
    /// Messages that the streams have no more.
    pub(super) missing: Missing,
}

/// How many messages are missing in each of the streams.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Missing {
    pub(super) failures: u64,
    pub(super) settled: u64,
}

impl Catalog {
    /// Says on stderr what is missing, so that nobody takes what is there for all.
    pub(super) async fn read(log: &Log) -> Result<Self, Failure> {
        let catalog = Self::read_quietly(log).await?;
        catalog.missing.tell();
        Ok(catalog)
    }

    /// Over what is missing: one message that is lost leaves the way back to all others.
    pub(super) async fn read_quietly(log: &Log) -> Result<Self, Failure> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut unreadable = 0;
        let failures = log.each(look(log::FAILED_STREAM, "reading failures"), |found| {
            let Ok(failed) = frame::decode::<v1::FailedWebhook>(&found.payload) else {
                unreadable += 1;
                return;
            };
            if let Some(&place) = places.get(&failed.failed_id) {
                entries[place].seen_again(failed.received_time_ms);
            } else {
                places.insert(failed.failed_id.clone(), entries.len());
                entries.push(Entry::new(failed, found.sequence));
            }
        });
        let failures = failures.await?.missing();
        let settled = log.each(look(log::RESOLVED_STREAM, "reading what is settled"), |found| {
            let Ok(resolution) = frame::decode::<v1::Resolution>(&found.payload) else { return };
            if let Some(&place) = places.get(&resolution.failed_id) {
                entries[place].resolution = Some(resolution);
            }
        });
        let settled = settled.await?.missing();
        Ok(Self { entries, unreadable, missing: Missing { failures, settled } })
    }

    /// Those of some ids, or all without one, that pass a filter.
    pub(super) fn chosen(self, ids: &[String], filter: &Filter) -> Result<Vec<Entry>, Failure> {
        let filter = self.whole(filter)?;
        let mut entries = match ids {
            [] => self.entries,
            ids => ids.iter().map(|id| self.find(id).cloned()).collect::<Result<_, _>>()?,
        };
        entries.retain(|entry| entry.passes(&filter));
        Ok(entries)
    }

    /// A filter by the whole fingerprint: the beginning of one will do, and one that no failure has is told.
    fn whole(&self, filter: &Filter) -> Result<Filter, Failure> {
        let Some(begin) = &filter.fingerprint else { return Ok(filter.clone()) };
        let begin = begin.trim().to_ascii_lowercase();
        if begin.len() < PREFIX_MIN {
            return Err(Failure::Usage(format!(
                "--fingerprint {begin}: it needs {PREFIX_MIN} digits at least"
            )));
        }
        let all: BTreeSet<&String> = self.entries.iter().map(|entry| &entry.fingerprint).collect();
        let mut found = all.into_iter().filter(|one| one.starts_with(&begin));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(Filter { fingerprint: Some(one.clone()), ..filter.clone() }),
            (Some(_), Some(_)) => Err(Failure::Usage(format!(
                "--fingerprint {begin}: several kinds of failures begin so, give more digits"
            ))),
            (None, _) => Err(Failure::Failed(format!(
                "--fingerprint {begin}: there is no such kind of failure; `groupfold failed list` shows those that wait, with \
                 --resolved those that are settled"
            ))),
        }
    }

    /// The failure that an id, or the beginning of one, names.
    pub(super) fn find(&self, id: &str) -> Result<&Entry, Failure> {
        let id = id.trim().to_ascii_lowercase();
        if id.len() < PREFIX_MIN {
            return Err(Failure::Usage(format!("{id}: an id needs {PREFIX_MIN} digits at least")));
        }
        let mut found = self.entries.iter().filter(|entry| entry.failed_id.starts_with(&id));
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry),
            (Some(_), Some(_)) => {
                Err(Failure::Usage(format!("{id}: several failures begin so, give more digits")))
            }
            (None, _) => Err(Failure::Failed(format!(
                "{id}: there is no such failure; `groupfold failed list --all` shows all"
            ))),
        }
    }
}

fn look(stream: &str, what: &'static str) -> Look {
    Look { stream: stream.to_owned(), what, ..Look::default() }
}

impl Missing {
    fn tell(self) {
        let of = [
            (self.failures, log::FAILED_STREAM, "those failures are not shown"),
            (self.settled, log::RESOLVED_STREAM, "what they settled counts as not settled"),
        ];
        for (count, stream, so) in of.into_iter().filter(|(count, ..)| *count > 0) {
            let line =
                format!("groupfold: {stream}: {count} message(s) are missing, {so}; see RUNBOOK, Failures");
            // Nothing is left to tell it to if this fails.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    pub(super) fn to_json(self) -> Value {
        json!({ "failures": self.failures, "settled": self.settled })
    }
}

impl Entry {
    fn new(failed: v1::FailedWebhook, sequence: u64) -> Self {
        Self {
            sequence,
            provider: failed.provider().name(),
            failed_id: failed.failed_id,
            cause: failed.cause,
            fingerprint: failed.fingerprint,
            pointer: failed.pointer,
            expected: failed.expected,
            group_id: failed.group_id,
            first_ms: failed.received_time_ms,
            last_ms: failed.received_time_ms,
            times: 1,
            resolution: None,
        }
    }

    fn seen_again(&mut self, received_ms: i64) {
        self.times += 1;
        self.first_ms = self.first_ms.min(received_ms);
        self.last_ms = self.last_ms.max(received_ms);
    }

    fn passes(&self, filter: &Filter) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&filter.fingerprint, &self.fingerprint)
            && is(&filter.cause, &self.cause)
            && is(&filter.provider, self.provider)
            && is(&filter.group, &self.group_id)
            && filter.since.is_none_or(|since| self.last_ms >= since)
            && filter.until.is_none_or(|until| self.first_ms < until)
    }

    /// The whole failure, with its bytes.
    pub(super) async fn load(&self, log: &Log) -> Result<v1::FailedWebhook, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::failed("cannot read the failure", error);
        let stream =
            log.context.get_stream_no_info(log::FAILED_STREAM).await.map_err(|error| failed(&error))?;
        let message = stream.direct_get(self.sequence).await.map_err(|error| failed(&error))?;
        frame::decode(&message.payload).map_err(|error| failed(&error))
    }
}

/// A JSON pointer with `*` for each index, as kinds of failures are shown.
pub(super) fn without_indices(pointer: &str) -> String {
    let is_index = |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
    let segments: Vec<&str> = pointer.split('/').map(|s| if is_index(s) { "*" } else { s }).collect();
    segments.join("/")
}

/// What settled a failure.
pub(crate) fn settled(resolution: &v1::Resolution) -> Value {
    json!({
        "outcome": outcome(resolution),
        "why": (!resolution.why.is_empty()).then_some(&resolution.why),
        "at": print::time(resolution.time_ms),
        "event_ids": resolution.event_ids,
    })
}

/// The same in a line.
pub(crate) fn settled_in_words(resolution: &v1::Resolution) -> String {
    let why = if resolution.why.is_empty() { String::new() } else { format!(": {}", resolution.why) };
    format!("{} {}{why}", print::time(resolution.time_ms), outcome(resolution))
}

/// How a failure was settled, in one word.
pub(crate) fn outcome(resolution: &v1::Resolution) -> &'static str {
    match resolution.outcome() {
        v1::ResolutionOutcome::Unspecified => "settled",
        v1::ResolutionOutcome::Replayed => "replayed",
        v1::ResolutionOutcome::Duplicate => "duplicate",
        v1::ResolutionOutcome::Ignored => "ignored",
        v1::ResolutionOutcome::Discarded => "discarded",
    }
}
