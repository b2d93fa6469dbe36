//! Looking through all streams of the log for an id.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_projector::scan::{self, Found, From, Scan, Stretch};
use groupfold_projector::{record_of, words};
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::{frame, log, v1};

use crate::events::data;
use crate::exit::Failure;
use crate::log::{Log, Look, Looked};
use crate::print;

/// Most events and failures told of one id.
const HITS_MAX: usize = 10_000;
/// Most messages that are asked for one by one, to find what follows one that is missing.
const ASKED_FOR_MAX: u64 = 1_000;

/// What was found.
#[derive(Default)]
pub(super) struct Hits {
    pub(super) events: Vec<EventHit>,
    pub(super) failures: Vec<FailureHit>,
    pub(super) looked_at: u64,
    /// What is missing in the log, and so was not looked at: stream, first and last sequence.
    pub(super) holes: Vec<(String, (u64, u64))>,
}

/// An event in the log.
pub(super) struct EventHit {
    pub(super) record: v1::Record,
    pub(super) partition: u16,
    pub(super) sequence: u64,
    pub(super) log_time_ms: i64,
    /// Why the projector of this build cannot fold it.
    pub(super) unreadable: Option<&'static str>,
    /// Where it stands once more.
    pub(super) again: Vec<String>,
}

/// A failure, and what settled it.
pub(super) struct FailureHit {
    pub(super) failed: v1::FailedWebhook,
    pub(super) resolution: Option<v1::Resolution>,
}

impl Hits {
    fn looked(&mut self, stream: &str, looked: Looked) {
        self.looked_at += looked.messages;
        self.holes.extend(looked.holes.into_iter().map(|hole| (stream.to_owned(), hole)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.failures.is_empty()
    }
}

impl EventHit {
    pub(super) fn position(&self) -> String {
        format!("{}:{}", self.partition, self.sequence)
    }

    pub(super) fn kind(&self) -> &'static str {
        self.record.kind_name()
    }

    pub(super) fn changed(&self) -> Vec<String> {
        words::of_event(&self.record)
    }
}

impl FailureHit {
    pub(super) fn field(&self) -> &str {
        if self.failed.pointer.is_empty() { "the whole" } else { &self.failed.pointer }
    }

    pub(super) fn repair(&self) -> String {
        let id = &self.failed.failed_id;
        format!(
            "groupfold failed show {id}; once this build can read it: groupfold failed replay {id} --execute"
        )
    }
}

/// What stands at a place of the log, if that is what an id is: a position of one partition, or the id of a change, which
/// counts the changes of an event behind it.
pub(super) struct At {
    pub(super) partition: u16,
    sequence: u64,
    /// The event's id; `None` if the message is no record that this build can read.
    pub(super) event_id: Option<String>,
    /// Why nothing stands there.
    gone: Option<Gone>,
}

enum Gone {
    /// What follows, in words.
    Missing(String),
    /// Since somebody said to go on without it.
    Accepted(v1::Loss),
}

impl At {
    /// `partition:sequence`: what could not be read there is parked under it.
    fn place(&self) -> String {
        format!("{}:{}", self.partition, self.sequence)
    }

    /// Why nothing stands there, and what to do; `None` if something does. `applied`: how far the store is, if that is known.
    pub(super) fn gone(&self, applied: Option<u64>) -> Option<String> {
        let next = match self.gone.as_ref()? {
            Gone::Accepted(loss) => {
                return Some(format!("accepted as lost at {}: {}", print::time(loss.time_ms), loss.why));
            }
            Gone::Missing(next) => next,
        };
        let accept = format!("`groupfold accept-loss --partition {}` goes on without it", self.partition);
        let todo = match applied {
            // Nothing waits for it.
            Some(at) if at >= self.sequence => {
                format!("; the store stands behind it, at {}:{at}", self.partition)
            }
            Some(_) => format!(", and {accept}"),
            None => format!("; if the store stands before it, {accept}"),
        };
        Some(format!(
            "the message is missing in the log, and {next}: `groupfold audit` names all that is missing{todo}"
        ))
    }
}

pub(super) async fn at(log: &Log, id: &str) -> Result<Option<At>, Failure> {
    let numbers: Option<Vec<u64>> = id.split(':').map(|number| number.parse().ok()).collect();
    let Some([partition, sequence] | [partition, sequence, _]) = numbers.as_deref() else { return Ok(None) };
    let partition = u16::try_from(*partition).ok().filter(|partition| *partition < log.partitions);
    let Some(partition) = partition else {
        return Err(Failure::Usage(format!("{id}: the log has the partitions 0 to {}", log.partitions - 1)));
    };
    let (stream, sequence) = (log::stream(partition), *sequence);
    let (first, last) = log.ends(&stream).await?.map_or((1, 0), |ends| (ends.first, ends.last));
    if !(1..=last).contains(&sequence) {
        return Err(Failure::Failed(format!("{id}: partition {partition} has the messages 1 to {last}")));
    }
    let mut at = At { partition, sequence, event_id: None, gone: None };
    let (from, subjects) = (From::Sequence(sequence), Vec::new());
    let stretch = Stretch { stream, from, to: sequence, subjects };
    let read = match Scan::new(log.context.clone(), stretch).next_batch(1).await {
        Ok(read) => read.unwrap_or_default(),
        Err(scan::Error::Hole { .. } | scan::Error::Lost { .. }) => {
            at.gone = Some(Gone::Missing(next(log, partition, (sequence + 1).max(first), last).await?));
            return Ok(Some(at));
        }
        Err(error) => return Err(Failure::failed("cannot read the log", &error)),
    };
    // An empty message stands for each that is lost.
    if read.first().is_some_and(|found| found.payload.is_empty()) {
        at.gone = loss(log, partition, sequence).await?.map(Gone::Accepted);
    }
    let record = read.first().and_then(|found| frame::decode::<v1::Record>(&found.payload).ok());
    at.event_id = record.map(|record| record.event_id);
    Ok(Some(at))
}

/// What comes first from a sequence on, in words. The broker is asked once for each that is missing.
async fn next(log: &Log, partition: u16, from: u64, last: u64) -> Result<String, Failure> {
    let to = last.min(from.saturating_add(ASKED_FOR_MAX - 1));
    let there = scan::first_there(&log.context, &log::stream(partition), from, to).await;
    let there = there.map_err(|error| Failure::failed("cannot read the log", &error))?;
    Ok(match there {
        Some(next) => format!("{partition}:{next} follows"),
        None if to < last => format!("so are those up to {partition}:{to}; what follows was not looked for"),
        None => "nothing follows".to_owned(),
    })
}

/// What an operator said of a message that is lost: over what is missing of that stream, too, as all readers of the log do.
async fn loss(log: &Log, partition: u16, sequence: u64) -> Result<Option<v1::Loss>, Failure> {
    let mut said = None;
    let subjects = log::loss_subjects(partition);
    let of_partition = subjects.trim_end_matches('*');
    log.each(look(log::RESOLVED_STREAM, None), |found| {
        if found.subject.starts_with(of_partition)
            && let Ok(loss) = frame::decode::<v1::Loss>(&found.payload)
            && (loss.first..=loss.last).contains(&sequence)
        {
            said = Some(loss);
        }
    })
    .await?;
    Ok(said)
}

/// All that is by this id, and what became of it by a replay.
pub(super) async fn search(
    log: &Log,
    id: &str,
    at: Option<&At>,
    since: Option<i64>,
) -> Result<Hits, Failure> {
    let mut hits = Hits::default();
    failures(log, id, at.map(At::place).as_deref(), since, &mut hits).await?;
    // No event can be by the place of a message that is gone but what a replay made of it.
    if hits.failures.is_empty() && at.is_some_and(|at| at.gone.is_some()) {
        return Ok(hits);
    }
    let id = at.and_then(|at| at.event_id.as_deref()).unwrap_or(id);
    let settled = hits.failures.iter().filter_map(|hit| hit.resolution.as_ref());
    let replayed: BTreeSet<String> = settled.flat_map(|settled| settled.event_ids.clone()).collect();
    for partition in 0..log.partitions {
        let mut first: BTreeMap<String, usize> =
            hits.events.iter().enumerate().map(|(i, hit)| (hit.record.event_id.clone(), i)).collect();
        let stream = log::stream(partition);
        let looked = log
            .each(look(&stream, since), |found| {
                let Some(hit) = event(found, id, &replayed, partition) else { return };
                match first.get(&hit.record.event_id) {
                    Some(&place) => hits.events[place].again.push(hit.position()),
                    None if hits.events.len() < HITS_MAX => {
                        first.insert(hit.record.event_id.clone(), hits.events.len());
                        hits.events.push(hit);
                    }
                    None => {}
                }
            })
            .await?;
        hits.looked(&stream, looked);
    }
    Ok(hits)
}

async fn failures(
    log: &Log,
    id: &str,
    place: Option<&str>,
    since: Option<i64>,
    hits: &mut Hits,
) -> Result<(), Failure> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let failures = &mut hits.failures;
    let looked = log
        .each(look(log::FAILED_STREAM, since), |found| {
            let Ok(failed) = frame::decode::<v1::FailedWebhook>(&found.payload) else { return };
            let known = places.contains_key(&failed.failed_id) || failures.len() >= HITS_MAX;
            let is_named = failed.failed_id == id || failed.request_id == id;
            let is_there = place.is_some_and(|place| failed.log_position == place);
            if !known && (is_named || is_there || contains(&failed.raw, id)) {
                places.insert(failed.failed_id.clone(), failures.len());
                failures.push(FailureHit { failed, resolution: None });
            }
        })
        .await?;
    let settled = log
        .each(look(log::RESOLVED_STREAM, None), |found| {
            let Ok(resolution) = frame::decode::<v1::Resolution>(&found.payload) else { return };
            if let Some(&place) = places.get(&resolution.failed_id) {
                failures[place].resolution = Some(resolution);
            }
        })
        .await?;
    hits.looked(log::FAILED_STREAM, looked);
    hits.looked(log::RESOLVED_STREAM, settled);
    Ok(())
}

fn look(stream: &str, since: Option<i64>) -> Look {
    Look { stream: stream.to_owned(), since, what: "searching", ..Look::default() }
}

/// Ids of messages and requests stand in the JSON of what failed, as texts of their own.
fn contains(raw: &[u8], id: &str) -> bool {
    let quoted = format!("\"{id}\"");
    raw.windows(quoted.len()).any(|part| part == quoted.as_bytes())
}

fn event(found: &Found, id: &str, replayed: &BTreeSet<String>, partition: u16) -> Option<EventHit> {
    let record = frame::decode::<v1::Record>(&found.payload).ok()?;
    let kind = record.kind();
    let answers = match kind {
        Some(Kind::CommandAnswered(event)) => event.request_id.as_deref(),
        _ => record.provider_request_id.as_deref(),
    };
    let is_meant = record.event_id == id
        || replayed.contains(&record.event_id)
        || record.request_id == id
        || answers == Some(id)
        || kind.and_then(Kind::command_id) == Some(id)
        || kind.and_then(data::message_id) == Some(id);
    is_meant.then(|| EventHit {
        unreadable: record_of(&found.payload).err(),
        partition,
        sequence: found.sequence,
        log_time_ms: found.log_time_ms,
        again: Vec::new(),
        record,
    })
}
