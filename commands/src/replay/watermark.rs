//! How far a replay got, in a file: the position, then of each partition a line that says when its stream was created.
//!
//! ```text
//! 0:1234,1:88
//! 0 2026-01-31T12:00:00.123456789Z
//! 1 2026-01-31T12:00:00.125678912Z
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use groupfold_schemas::position::Position;

use crate::data::write_private;
use crate::events::reader::{self, Part};
use crate::exit::Failure;
use crate::lock::Lock;

/// How far a replay got, and of which log.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    /// None: nothing is noted.
    file: Option<PathBuf>,
    pub(super) at: Position,
    /// How far it was when it was noted last.
    noted: Position,
    streams_created: BTreeMap<u16, String>,
    _lock: Option<Lock>,
}

impl Watermark {
    /// What the file notes, of the log that is read; the beginning where there is none. Nobody else's until it is dropped:
    /// two would deliver all of it twice, and note less than was noted before.
    ///
    /// # Errors
    /// Another replay has the file, or the file cannot be read, is no watermark, or is one of another log.
    pub(super) fn read(file: Option<PathBuf>, parts: &[Part]) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(Self::default()) };
        let lock = Lock::take(&file, "replay with --watermark")?;
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::failed(&format!("cannot read {}", file.display()), &error)),
        };
        let mut lines = text.lines();
        let at = lines.next().unwrap_or_default().trim().parse();
        let at: Position = at.map_err(|error| Failure::failed(&format!("{}", file.display()), &error))?;
        let stream = |line: &str| {
            let (partition, created) = line.trim().split_once(' ')?;
            Some((partition.parse().ok()?, created.to_owned()))
        };
        let streams_created: Option<_> = lines.map(stream).collect();
        let mut streams_created = streams_created.ok_or_else(|| {
            let what = "expected a position, then lines of a partition and the time its stream was created";
            Failure::Failed(format!("{}: {what}", file.display()))
        })?;
        reader::check_same(&mut streams_created, parts, &file, "choose another --watermark")?;
        Ok(Self { file: Some(file), noted: at.clone(), at, streams_created, _lock: Some(lock) })
    }

    /// Notes it: what is before has come.
    pub(super) fn write(&mut self) -> Result<(), Failure> {
        if let Some(file) = &self.file {
            let streams =
                self.streams_created.iter().map(|(partition, created)| format!("{partition} {created}\n"));
            let text = format!("{}\n{}", self.at, streams.collect::<String>());
            write_private(file, text.as_bytes())
                .map_err(|error| Failure::failed(&format!("cannot write {}", file.display()), &error))?;
        }
        self.noted = self.at.clone();
        Ok(())
    }

    /// Up to where everything has come.
    pub(super) fn noted(&self) -> &Position {
        &self.noted
    }
}
