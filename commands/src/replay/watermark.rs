//! How far a replay got, in a file: the position, then of each partition a line that says when its stream was created, and
//! when it took the message at that position.
//!
//! ```text
//! 0:1234,1:88
//! 0 2026-01-31 12:00:00.123456789 +00:00:00, 2026-02-01T08:00:00.456Z
//! 1 2026-01-31 12:00:00.125678912 +00:00:00, 2026-02-01T08:00:01.789Z
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use async_nats::jetstream::Context;
use groupfold_schemas::position::Position;

use crate::data::write_private;
use crate::events::reader::{Part, Place};
use crate::events::same::Noted;
use crate::events::shape::rfc3339;
use crate::exit::Failure;
use crate::lock::{Lock, real};

/// How far a replay got, and of which log.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    /// None: nothing is noted.
    file: Option<PathBuf>,
    at: Position,
    /// How far it was when it was noted last.
    noted: Position,
    streams_created: BTreeMap<u16, String>,
    /// When the log took the message at each of the partitions' positions, as it is noted.
    log_times: BTreeMap<u16, String>,
    /// The same of what was passed since, Unix milliseconds.
    passed_ms: BTreeMap<u16, i64>,
    _lock: Option<Lock>,
}

impl Watermark {
    /// What the file notes, of the log that is read; the beginning where there is none. Nobody else's until it is dropped:
    /// two would deliver all of it twice, and note less than was noted before.
    ///
    /// # Errors
    /// Another replay has the file, or the file cannot be read, is no watermark, or is one of another log.
    pub(super) async fn read(
        file: Option<PathBuf>,
        context: &Context,
        parts: &[Part],
    ) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(Self::default()) };
        // Written anew each time, a link would be no link any more.
        let file = real(&file);
        let lock = Lock::take(&file, "replay with --watermark")?;
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::failed(&format!("cannot read {}", file.display()), &error)),
        };
        let mut lines = text.lines();
        let at = lines.next().unwrap_or_default().trim().parse();
        let at: Position = at.map_err(|error| Failure::failed(&format!("{}", file.display()), &error))?;
        let (mut streams_created, mut log_times) = (BTreeMap::new(), BTreeMap::new());
        for line in lines {
            let stream = line.trim().split_once(' ');
            let Some((Ok(partition), times)) = stream.map(|(name, times)| (name.parse(), times)) else {
                let what = "expected a position, then lines of a partition, the time its stream was created, and that of the \
                            message there";
                return Err(Failure::Failed(format!("{}: {what}", file.display())));
            };
            let (created, log_time) =
                times.split_once(", ").map_or((times, None), |(one, two)| (one, Some(two)));
            streams_created.insert(partition, created.to_owned());
            log_times.extend(log_time.map(|time| (partition, time.to_owned())));
        }
        let noted = Noted {
            created: &mut streams_created,
            log_times: &mut log_times,
            watermark: &at,
            file: &file,
            way_out: "choose another --watermark",
        };
        noted.check(context, parts).await?;
        let (passed_ms, _lock) = (BTreeMap::new(), Some(lock));
        Ok(Self { file: Some(file), noted: at.clone(), at, streams_created, log_times, passed_ms, _lock })
    }

    /// Up to where everything was dealt with, be it noted or not.
    pub(super) fn at(&self) -> &Position {
        &self.at
    }

    /// A message was dealt with.
    pub(super) fn passed(&mut self, Place { partition, sequence, log_time_ms }: Place) {
        self.at.raise(partition, sequence);
        self.passed_ms.insert(partition, log_time_ms);
    }

    /// Notes it: what is before has come.
    pub(super) fn write(&mut self) -> Result<(), Failure> {
        let passed = std::mem::take(&mut self.passed_ms).into_iter();
        self.log_times.extend(passed.map(|(partition, ms)| (partition, rfc3339(ms))));
        if let Some(file) = &self.file {
            let streams = self.streams_created.iter().map(|(partition, created)| {
                let log_time = self.log_times.get(partition).map(|time| format!(", {time}"));
                format!("{partition} {created}{}\n", log_time.unwrap_or_default())
            });
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
