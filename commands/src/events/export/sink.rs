//! Where events go: one file of lines, or a folder of Parquet files.

use std::ops::Range;

use super::columns::Columns;
use super::lay::{Out, lines_of};
use super::lines::Lines;
use super::manifest::Manifest;
use super::{ExportArgs, Format};
use crate::events::shape::Column;
use crate::exit::Failure;

/// Where events go.
pub(super) enum Sink {
    Lines(Box<Lines>),
    Columns(Box<Columns>),
}

impl Sink {
    /// Opens it where the manifest says that it ended; what is there beyond is cut off.
    pub(super) fn open(args: &ExportArgs, columns: &[Column], manifest: &Manifest) -> Result<Self, Failure> {
        Ok(match args.format {
            Format::Parquet => Self::Columns(Box::new(Columns::open(&args.out, columns)?)),
            format => Self::Lines(Box::new(Lines::open(&args.out, format, columns, manifest.files.first())?)),
        })
    }

    /// Writes a run of the events that were laid out.
    pub(super) fn write(&mut self, out: &Out, events: Range<usize>) -> Result<(), Failure> {
        match (self, out) {
            _ if events.is_empty() => Ok(()),
            (Self::Lines(lines), Out::Lines { bytes, ends }) => {
                lines.write(lines_of(bytes, ends, &events), events.len() as u64)
            }
            (Self::Columns(files), Out::Columns(batch)) => {
                files.write(&batch.slice(events.start, events.len()))
            }
            // Both are chosen by the format.
            (Self::Lines(_), Out::Columns(_)) | (Self::Columns(_), Out::Lines { .. }) => Ok(()),
        }
    }

    /// Puts everything on the device and tells the manifest. `day`: the one that a Parquet file is of, since 1970, if each
    /// has its own.
    pub(super) fn checkpoint(&mut self, manifest: &mut Manifest, day: Option<i64>) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => manifest.files = vec![lines.sync()?],
            Self::Columns(columns) => manifest.files.extend(columns.close(manifest.files.len(), day)?),
        }
        Ok(())
    }
}
