//! Events as they are written, laid out a batch at a time on whatever thread has time. What stays to be done in order is
//! little: which of them are wanted, and writing whole runs.

use std::ops::Range;

use arrow_array::RecordBatch;
use groupfold_schemas::v1::Record;

use super::Format;
use super::arrays::Arrays;
use super::lines::add_line;
use crate::events::reader::{Event, Next, Place, Raw};
use crate::events::redact::Redactor;
use crate::events::row::{self, Heads, Row};
use crate::events::select::Filters;
use crate::events::shape::Column;
use crate::exit::Failure;

/// How an event becomes what is written.
pub(super) struct Layout {
    pub(super) format: Format,
    pub(super) columns: Vec<Column>,
    pub(super) heads: Heads,
    pub(super) filters: Filters,
    pub(super) original: bool,
    pub(super) redactor: Option<Redactor>,
}

/// Messages in order, and the events among them laid out.
pub(super) struct Laid {
    pub(super) found: Vec<Found>,
    pub(super) out: Out,
}

/// A message of the log, as far as it matters whether it is written.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) what: What,
}

pub(super) enum What {
    Event {
        kind: &'static str,
        /// `None` if it is no hash, and so none of ours.
        event_id: Option<u128>,
    },
    Unreadable,
    LeftOut,
}

/// Events side by side.
pub(super) enum Out {
    /// Lines, and where each ends.
    Lines {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
    Columns(RecordBatch),
}

impl Layout {
    /// Decodes messages and lays them out.
    pub(super) fn lay(&self, batch: Vec<Raw>) -> Result<Laid, Failure> {
        let mut found = Vec::with_capacity(batch.len());
        let mut out = match self.format {
            Format::Parquet => Laying::Columns(Arrays::of(&self.columns)),
            _ => Laying::Lines { bytes: Vec::with_capacity(batch.len() * LINE_BYTES), ends: Vec::new() },
        };
        for raw in batch {
            let next = raw.read(&self.filters);
            let place = next.place();
            let what = match &next {
                Next::Event(event) => {
                    out.add(self, &self.row(event))?;
                    What::Event { kind: event.record.kind_name(), event_id: event_id(&event.record) }
                }
                Next::Unreadable(_) => What::Unreadable,
                Next::LeftOut(_) => What::LeftOut,
            };
            found.push(Found { place, what });
        }
        Ok(Laid { found, out: out.finish()? })
    }

    fn row<'a>(&self, event: &'a Event) -> Row<'a> {
        let mut row = row::row(event);
        if let Some(redactor) = &self.redactor {
            redactor.row(&mut row);
        }
        if self.original {
            row.push(row::original(&event.record));
        }
        row
    }
}

/// The event's id as a number; `None` if it is no hash.
pub(super) fn event_id(record: &Record) -> Option<u128> {
    u128::from_str_radix(&record.event_id, 16).ok()
}

/// Room for most lines.
const LINE_BYTES: usize = 1_400;

enum Laying {
    Lines { bytes: Vec<u8>, ends: Vec<usize> },
    Columns(Arrays),
}

impl Laying {
    fn add(&mut self, layout: &Layout, row: &Row<'_>) -> Result<(), Failure> {
        match self {
            Self::Lines { bytes, ends } => {
                add_line(layout.format, &layout.columns, &layout.heads, row, bytes)?;
                ends.push(bytes.len());
            }
            Self::Columns(arrays) => arrays.add(row),
        }
        Ok(())
    }

    fn finish(self) -> Result<Out, Failure> {
        Ok(match self {
            Self::Lines { bytes, ends } => Out::Lines { bytes, ends },
            Self::Columns(arrays) => {
                let batch = arrays.finish();
                Out::Columns(batch.map_err(|error| Failure::failed("cannot lay events out", &error))?)
            }
        })
    }
}

/// The bytes of some of the lines.
pub(super) fn lines_of<'a>(bytes: &'a [u8], ends: &[usize], events: &Range<usize>) -> &'a [u8] {
    let start = events.start.checked_sub(1).map_or(0, |before| ends[before]);
    let end = events.end.checked_sub(1).map_or(0, |last| ends[last]);
    &bytes[start..end.max(start)]
}
