//! Where rows go: one file of lines, or a folder of Parquet files.

use super::columns::Columns;
use super::lines::{self, Lines};
use super::manifest::Manifest;
use super::{ExportArgs, Format};
use crate::events::shape::{Column, Heads, Row};
use crate::exit::Failure;

/// Where rows go.
pub(super) enum Sink {
    Lines(Box<Lines>),
    Columns(Box<Columns>),
}

/// An event as it is written, made on whatever thread has time.
pub(super) enum Laid {
    Line(Vec<u8>),
    Row(Row),
}

impl Laid {
    pub(super) fn out(format: Format, columns: &[Column], heads: &Heads, row: Row) -> Result<Self, Failure> {
        match format {
            Format::Parquet => Ok(Self::Row(row)),
            format => lines::line_of(format, columns, heads, row).map(Self::Line),
        }
    }
}

impl Sink {
    /// Opens it where the manifest says that it ended; what is there beyond is cut off.
    pub(super) fn open(args: &ExportArgs, columns: &[Column], manifest: &Manifest) -> Result<Self, Failure> {
        Ok(match args.format {
            Format::Parquet => Self::Columns(Box::new(Columns::open(&args.out, columns, args.by_day)?)),
            format => Self::Lines(Box::new(Lines::open(&args.out, format, columns, manifest.files.first())?)),
        })
    }

    /// True if a row of this time must not go into the same file as those before.
    pub(super) fn changes_day(&self, log_time_ms: i64) -> bool {
        match self {
            Self::Lines(_) => false,
            Self::Columns(columns) => columns.changes_day(log_time_ms),
        }
    }

    pub(super) fn write(&mut self, laid: Laid, log_time_ms: i64) -> Result<(), Failure> {
        match (self, laid) {
            (Self::Lines(lines), Laid::Line(line)) => lines.write(&line),
            (Self::Columns(files), Laid::Row(row)) => files.write(row, log_time_ms),
            // Both are chosen by the format.
            (Self::Lines(_), Laid::Row(_)) | (Self::Columns(_), Laid::Line(_)) => Ok(()),
        }
    }

    /// Puts everything on the device and tells the manifest.
    pub(super) fn checkpoint(&mut self, manifest: &mut Manifest) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => manifest.files = vec![lines.sync()?],
            Self::Columns(columns) => manifest.files.extend(columns.close(manifest.files.len())?),
        }
        Ok(())
    }
}
