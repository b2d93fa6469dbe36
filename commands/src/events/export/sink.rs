//! Where rows go: one file of lines, or a folder of Parquet files.

use super::columns::Columns;
use super::lines::Lines;
use super::manifest::Manifest;
use super::{ExportArgs, Format};
use crate::events::shape::{Column, Row};
use crate::exit::Failure;

/// Where rows go.
pub(super) enum Sink {
    Lines(Box<Lines>),
    Columns(Box<Columns>),
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

    pub(super) fn write(&mut self, columns: &[Column], row: Row, log_time_ms: i64) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => lines.write(columns, row),
            Self::Columns(files) => files.write(row, log_time_ms),
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
