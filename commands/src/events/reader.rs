//! All partitions as one sequence of events.
//!
//! The order is that of the times at which the log took the events, then of partitions, then of sequences. The
//! broker gives these times, milliseconds after the receiver had the webhook, and within a stream they never go
//! back; so the order is a function of the log alone, whatever the range, the batches or the day it is read, and
//! the merge looks one event ahead in each partition.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use async_nats::jetstream::Context;
use groupfold_projector::scan::{self, Scan, Stretch};
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::Record;
use groupfold_schemas::{frame, log as words};

use super::select::{Filters, Range};
use crate::exit::Failure;
use crate::log::Log;
use crate::when::Moment;

/// Messages of a partition that are held at once.
const BATCH_MESSAGES: usize = 500;

/// An event and where it stands in the log.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) partition: u16,
    pub(crate) sequence: u64,
    /// When the log took it, Unix milliseconds.
    pub(crate) log_time_ms: i64,
    pub(crate) record: Record,
}

/// A message as it came, in its place.
#[derive(Debug)]
pub(crate) struct Raw {
    partition: u16,
    found: scan::Found,
}

/// What the reader comes to next.
pub(crate) enum Next {
    Event(Box<Event>),
    /// A message that is no record, or none of this build.
    Unreadable(Place),
    /// Left out by a filter that the broker does not know.
    LeftOut(Place),
}

impl Next {
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Event(event) => {
                let Event { partition, sequence, log_time_ms, .. } = **event;
                Place { partition, sequence, log_time_ms }
            }
            Self::Unreadable(place) | Self::LeftOut(place) => *place,
        }
    }
}

/// Where a message stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: u16,
    pub(crate) sequence: u64,
    /// When the log took it, Unix milliseconds.
    pub(crate) log_time_ms: i64,
}

/// A partition's part of the range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) partition: u16,
    pub(crate) from: scan::From,
    /// The first sequence that the log still has.
    pub(crate) first: u64,
    /// The last that it has now.
    pub(crate) last: u64,
    /// When its stream was created.
    pub(crate) created: String,
    /// The last sequence, itself included.
    pub(crate) to: u64,
    /// Nothing that the log took at this time or later, Unix milliseconds.
    pub(crate) before_ms: Option<i64>,
}

/// Lays a range over the partitions as they are now: the end is fixed here, at one moment for all of them, so that what
/// comes later is later in the order, too.
pub(crate) async fn parts(log: &Log, filters: &Filters, range: &Range) -> Result<Vec<Part>, Failure> {
    for (name, moment) in [("--from", &range.from), ("--until", &range.until)] {
        let Some(Moment::Position(position)) = moment else { continue };
        if let Some((partition, _)) = position.iter().find(|(partition, _)| *partition >= log.partitions) {
            return Err(Failure::Usage(format!(
                "{name}: partition {partition} is none of the log's, which has 0 to {}",
                log.partitions - 1
            )));
        }
    }
    let mut parts = Vec::new();
    let mut cut = Cut { began: Instant::now(), at_ms: None };
    for partition in filters.partitions(log.partitions) {
        let stream = words::stream(partition);
        let told = scan::told(&log.context, &stream).await.map_err(|error| unreadable(&error))?;
        let end = cut.end(log, &stream, &told).await?;
        let ends = told.ends;
        let from = match range.from.as_ref().unwrap_or(&Moment::Beginning) {
            Moment::Beginning => scan::From::Sequence(ends.first.max(1)),
            Moment::Time(ms) => scan::From::LogTime(*ms),
            Moment::Position(position) => match position.get(partition) {
                None => continue,
                Some(after) => begin(partition, after, ends.first)?,
            },
        };
        let (to, before_ms) = match &range.until {
            None | Some(Moment::Beginning) => (end, None),
            Some(Moment::Time(ms)) => (end, Some(*ms)),
            Some(Moment::Position(position)) => match position.get(partition) {
                None => continue,
                Some(last) => (last.min(ends.last), None),
            },
        };
        let (first, last, created) = (ends.first, ends.last, ends.created);
        parts.push(Part { partition, from, first, last, created, to, before_ms });
    }
    Ok(parts)
}

/// The moment at which all partitions end: that of the first answer.
struct Cut {
    began: Instant,
    at_ms: Option<i64>,
}

impl Cut {
    /// The last sequence of a partition at that moment. Whatever is stamped later than can be while it is asked is there: it
    /// was stamped by another clock.
    async fn end(&mut self, log: &Log, stream: &str, told: &scan::Told) -> Result<u64, Failure> {
        let Some(at_ms) = self.at_ms else {
            self.at_ms = Some(told.at_ms);
            return Ok(told.ends.last);
        };
        let asked_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        if !(at_ms..=at_ms.saturating_add(asked_ms).saturating_add(1)).contains(&told.last_ms) {
            return Ok(told.ends.last);
        }
        let last = scan::sequence_at(&log.context, stream, at_ms - 1).await;
        Ok(last.map_err(|error| unreadable(&error))?.min(told.ends.last))
    }
}

/// What was read of the parts before, up to a position of all partitions.
pub(crate) fn before(parts: &[Part], position: &Position) -> Vec<Part> {
    let read =
        |part: &Part| Some(Part { to: position.get(part.partition)?, before_ms: None, ..part.clone() });
    parts.iter().filter_map(read).collect()
}

/// Reads on from a position of all partitions, to the ends that the parts have.
pub(crate) fn after(parts: &mut [Part], position: &Position) -> Result<(), Failure> {
    for part in parts {
        if let Some(after) = position.get(part.partition) {
            part.from = begin(part.partition, after, part.first)?;
        }
    }
    Ok(())
}

/// Where what follows a sequence begins, in a log that begins with `first`.
fn begin(partition: u16, after: u64, first: u64) -> Result<scan::From, Failure> {
    let next = after.saturating_add(1);
    if next < first {
        return Err(Failure::Failed(format!(
            "the log no longer has what follows {partition}:{after}: it begins with {partition}:{first}"
        )));
    }
    Ok(scan::From::Sequence(next))
}

struct Lane {
    part: Part,
    scan: Scan,
    held: VecDeque<scan::Found>,
}

impl Lane {
    /// When the log took the next message; `None` at the end of the part.
    async fn head(&mut self) -> Result<Option<i64>, Failure> {
        if self.held.is_empty() {
            let batch = self.scan.next_batch(BATCH_MESSAGES).await.map_err(|error| unreadable(&error))?;
            self.held.extend(batch.into_iter().flatten());
        }
        let head = self.held.front().map(|found| found.log_time_ms);
        Ok(head.filter(|time_ms| self.part.before_ms.is_none_or(|before_ms| *time_ms < before_ms)))
    }
}

/// The partitions, merged.
pub(crate) struct Reader {
    filters: Filters,
    lanes: Vec<Lane>,
    /// The next message of each lane that has one, least first: log time, partition, sequence, lane.
    heads: BinaryHeap<Reverse<(i64, u16, u64, usize)>>,
    started: bool,
}

impl Reader {
    pub(crate) fn new(context: &Context, parts: Vec<Part>, filters: Filters) -> Self {
        let lanes = parts.into_iter().map(|part| {
            let stretch = Stretch {
                stream: words::stream(part.partition),
                from: part.from,
                to: part.to,
                subjects: filters.subjects(part.partition),
            };
            Lane { scan: Scan::new(context.clone(), stretch), part, held: VecDeque::new() }
        });
        Self { lanes: lanes.collect(), filters, heads: BinaryHeap::new(), started: false }
    }

    /// The next message in order; `None` at the end of the range.
    pub(crate) async fn next(&mut self) -> Result<Option<Next>, Failure> {
        Ok(self.next_raw().await?.map(|raw| raw.read(&self.filters)))
    }

    /// The next messages in order, at least one and at most `most`, for whoever reads them elsewhere; `None` at the
    /// end of the range.
    pub(crate) async fn next_batch(&mut self, most: usize) -> Result<Option<Vec<Raw>>, Failure> {
        let mut batch = Vec::new();
        while let Some(raw) = self.next_raw().await? {
            batch.push(raw);
            if batch.len() >= most {
                break;
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    async fn next_raw(&mut self) -> Result<Option<Raw>, Failure> {
        if !self.started {
            for lane in 0..self.lanes.len() {
                self.look(lane).await?;
            }
            self.started = true;
        }
        let Some(Reverse((_, partition, _, index))) = self.heads.pop() else { return Ok(None) };
        let Some(found) = self.lanes[index].held.pop_front() else { return Ok(None) };
        self.look(index).await?;
        Ok(Some(Raw { partition, found }))
    }

    async fn look(&mut self, index: usize) -> Result<(), Failure> {
        let lane = &mut self.lanes[index];
        if let Some(time_ms) = lane.head().await? {
            let sequence = lane.held.front().map_or(0, |found| found.sequence);
            self.heads.push(Reverse((time_ms, lane.part.partition, sequence, index)));
        }
        Ok(())
    }
}

impl Raw {
    /// Decodes it.
    pub(crate) fn read(self, filters: &Filters) -> Next {
        let Self { partition, found: scan::Found { sequence, log_time_ms, payload, .. } } = self;
        let place = Place { partition, sequence, log_time_ms };
        match frame::decode_shared::<Record>(&payload) {
            Ok(record) if record.event.as_ref().is_none_or(|event| event.kind.is_none()) => {
                Next::Unreadable(place)
            }
            Ok(record) if !filters.takes(&record) => Next::LeftOut(place),
            Ok(record) => Next::Event(Box::new(Event { partition, sequence, log_time_ms, record })),
            Err(_) => Next::Unreadable(place),
        }
    }
}

/// Messages of the parts, as far as can be told before reading.
pub(crate) fn length(parts: &[Part]) -> u64 {
    let length = |part: &Part| match part.from {
        scan::From::Sequence(from) => (part.to + 1).saturating_sub(from),
        scan::From::LogTime(_) => part.to,
    };
    parts.iter().map(length).sum()
}

pub(super) fn unreadable(error: &scan::Error) -> Failure {
    match error {
        scan::Error::Unreadable { .. } => Failure::Again(error.to_string()),
        scan::Error::Hole { .. } | scan::Error::Lost { .. } => Failure::Failed(error.to_string()),
    }
}
