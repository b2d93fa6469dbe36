//! Where events go: one file of lines, a folder of Parquet files, or stdout.

use std::io::{BufWriter, ErrorKind, Stdout, Write as _};
use std::ops::Range;

use super::columns::Columns;
use super::lay::{Out, lines_of};
use super::lines::{self, Lines};
use super::manifest::Manifest;
use super::{ExportArgs, Format};
use crate::events::shape::Column;
use crate::exit::Failure;

/// Where events go.
pub(super) enum Sink {
    Lines(Box<Lines>),
    Columns(Box<Columns>),
    Stdout(Piped),
}

/// Stdout, until whoever reads it goes away (`| head`), which is no failure.
pub(super) struct Piped(Option<BufWriter<Stdout>>);

impl Piped {
    fn put(&mut self, lines: &[u8]) -> Result<(), Failure> {
        self.go_on(|out| out.write_all(lines))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.go_on(BufWriter::flush)
    }

    fn go_on(
        &mut self,
        step: impl FnOnce(&mut BufWriter<Stdout>) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let Some(out) = &mut self.0 else { return Ok(()) };
        match step(out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.0 = None,
            Err(error) => return Err(Failure::failed("cannot print", &error)),
            Ok(()) => {}
        }
        Ok(())
    }
}

impl Sink {
    /// Opens it where the manifest says that it ended; what is there beyond is cut off.
    pub(super) fn open(args: &ExportArgs, columns: &[Column], manifest: &Manifest) -> Result<Self, Failure> {
        let Some(out) = &args.out else {
            let mut piped = Piped(Some(BufWriter::new(std::io::stdout())));
            piped.put(&lines::head(args.format, columns)?)?;
            return Ok(Self::Stdout(piped));
        };
        Ok(match args.format {
            Format::Parquet => Self::Columns(Box::new(Columns::open(out, columns)?)),
            format => Self::Lines(Box::new(Lines::open(out, format, columns, manifest.files.first())?)),
        })
    }

    /// True once nobody reads what is written.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self, Self::Stdout(Piped(None)))
    }

    /// Writes a run of the events that were laid out.
    pub(super) fn write(&mut self, out: &Out, events: Range<usize>) -> Result<(), Failure> {
        match (self, out) {
            _ if events.is_empty() => Ok(()),
            (Self::Lines(lines), Out::Lines { bytes, ends }) => {
                lines.write(lines_of(bytes, ends, &events), events.len() as u64)
            }
            (Self::Stdout(piped), Out::Lines { bytes, ends }) => piped.put(lines_of(bytes, ends, &events)),
            (Self::Columns(files), Out::Columns(batch)) => {
                files.write(&batch.slice(events.start, events.len()))
            }
            // Both are chosen by the format.
            (Self::Lines(_) | Self::Stdout(_), Out::Columns(_)) | (Self::Columns(_), Out::Lines { .. }) => {
                Ok(())
            }
        }
    }

    /// Puts everything on the device and tells the manifest. `day`: the one that a Parquet file is of, since 1970, if each
    /// has its own.
    pub(super) fn checkpoint(&mut self, manifest: &mut Manifest, day: Option<i64>) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => manifest.files = vec![lines.sync()?],
            Self::Columns(columns) => manifest.files.extend(columns.close(manifest.files.len(), day)?),
            Self::Stdout(piped) => piped.flush()?,
        }
        Ok(())
    }
}
