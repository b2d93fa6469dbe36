//! What an export holds and how far it got: `PATH.manifest.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_nats::jetstream::Context;
use groupfold_schemas::position::Position;
use serde::{Deserialize, Serialize};

use super::Format;
use crate::data::write_private;
use crate::events::reader::{Part, Place};
use crate::events::same::{self, Noted};
use crate::events::select::{Filters, moment_text};
use crate::events::shape::{SCHEMA_VERSION, rfc3339};
use crate::exit::Failure;
use crate::when::Moment;

/// What was asked for, as far as a resumed run must ask for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) format: Format,
    pub(super) from: String,
    pub(super) filters: Filters,
    pub(super) dedupe: bool,
    pub(super) original: bool,
    pub(super) redacted: Option<String>,
    pub(super) by_day: bool,
}

/// A file of the export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileSaid {
    /// Its path, from the folder of the manifest.
    pub(super) path: String,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What was read of a partition: first and last sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub(super) partition: u16,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    schema_version: u32,
    groupfold: String,
    pub(super) format: Format,
    /// False while it is written, and after an interruption.
    complete: bool,
    /// Where it began.
    pub(super) from: String,
    filters: Filters,
    dedupe: bool,
    original: bool,
    /// Fingerprint of the key of the pseudonyms.
    redacted: Option<String>,
    by_day: bool,
    /// Where it goes on.
    watermark: String,
    /// When the log's streams were created, by partition: one made anew numbers its messages anew.
    streams_created: BTreeMap<u16, String>,
    /// When the log took the message at the watermark, by partition: one put back from an older copy has another one there.
    watermark_log_times: BTreeMap<u16, String>,
    range: Vec<Stretch>,
    /// When the log took the first and the last event.
    first_log_time: Option<String>,
    last_log_time: Option<String>,
    pub(super) events: u64,
    /// Left out by --dedupe.
    pub(super) duplicates: u64,
    /// Messages of the log that are no record of this build.
    pub(super) unreadable: u64,
    kinds: BTreeMap<String, u64>,
    pub(super) files: Vec<FileSaid>,
    /// The last of those that this run wrote, Unix milliseconds.
    #[serde(skip)]
    last_log_time_ms: Option<i64>,
    /// Absent where it is kept in memory alone.
    #[serde(skip)]
    path: Option<PathBuf>,
    #[serde(skip)]
    stretches: BTreeMap<u16, (u64, u64)>,
    /// When the log took what this run dealt with last, Unix milliseconds.
    #[serde(skip)]
    passed_ms: BTreeMap<u16, i64>,
}

impl Manifest {
    /// The one that is there, if it is to be resumed and asks for the same; else a new one, never over what is there.
    pub(super) fn begin(out: &Path, asked: Asked, resume: bool) -> Result<Self, Failure> {
        let mut name = out
            .file_name()
            .map(ToOwned::to_owned)
            .ok_or_else(|| Failure::Usage(format!("--out {} names no file", out.display())))?;
        name.push(".manifest.json");
        let path = out.with_file_name(name);
        match std::fs::read(&path) {
            Ok(bytes) if resume => Self::again(path, &bytes, asked),
            Ok(_) => Err(Failure::Usage(format!(
                "{} is there already: --resume goes on with it; or remove it and its manifest, or choose another --out",
                out.display()
            ))),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::failed(&format!("cannot read {}", path.display()), &error))
            }
            // A manifest is written before any file: this is none of an export.
            Err(_) if is_there(out) => Err(Failure::Usage(format!(
                "{} is there already, and no manifest beside it: remove it, or choose another --out",
                out.display()
            ))),
            Err(_) => Ok(Self { path: Some(path), ..Self::unwritten(asked) }),
        }
    }

    /// One that counts and is written nowhere.
    pub(super) fn unwritten(asked: Asked) -> Self {
        let Asked { format, from, filters, dedupe, original, redacted, by_day } = asked;
        Self {
            schema_version: SCHEMA_VERSION,
            groupfold: env!("CARGO_PKG_VERSION").to_owned(),
            format,
            complete: false,
            from,
            filters,
            dedupe,
            original,
            redacted,
            by_day,
            watermark: String::new(),
            streams_created: BTreeMap::new(),
            watermark_log_times: BTreeMap::new(),
            range: Vec::new(),
            first_log_time: None,
            last_log_time: None,
            events: 0,
            duplicates: 0,
            unreadable: 0,
            kinds: BTreeMap::new(),
            files: Vec::new(),
            last_log_time_ms: None,
            path: None,
            stretches: BTreeMap::new(),
            passed_ms: BTreeMap::new(),
        }
    }

    fn again(path: PathBuf, bytes: &[u8], asked: Asked) -> Result<Self, Failure> {
        let mut manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| Failure::failed(&format!("{} is no manifest", path.display()), &error))?;
        let same = manifest.schema_version == SCHEMA_VERSION
            && manifest.format == asked.format
            && manifest.filters == asked.filters
            && manifest.dedupe == asked.dedupe
            && manifest.original == asked.original
            && manifest.redacted == asked.redacted
            && manifest.by_day == asked.by_day;
        if !same {
            return Err(Failure::Usage(format!(
                "{} tells of an export with another format, filters, columns or redaction: give the same to resume it",
                path.display()
            )));
        }
        manifest.path = Some(path);
        manifest.complete = false;
        manifest.stretches =
            manifest.range.iter().map(|one| (one.partition, (one.first, one.last))).collect();
        Ok(manifest)
    }

    /// Fails where another beginning is asked for now. A later time is within what is there: an age is one at each run.
    pub(super) fn begins_as(&self, from: Option<&Moment>) -> Result<(), Failure> {
        let Some(from) = from else { return Ok(()) };
        let is_same = match (self.from.parse(), from) {
            (Ok(Moment::Time(began)), Moment::Time(asked)) => began <= *asked,
            (Ok(began), asked) => began == *asked,
            (Err(_), _) => false,
        };
        if is_same {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} tells of an export --from {}, not {}: give the same, or none, to resume it, or choose another --out",
            self.path().display(),
            self.from,
            moment_text(from)
        )))
    }

    /// Fails where the files hold events of another log than this one, or of another past of it.
    pub(super) async fn of_log(&mut self, context: &Context, parts: &[Part]) -> Result<(), Failure> {
        let noted = Noted {
            watermark: &self.watermark()?,
            created: &mut self.streams_created,
            log_times: &mut self.watermark_log_times,
            file: self.path.as_deref().unwrap_or_else(|| Path::new("")),
            way_out: "choose another --out",
        };
        noted.check(context, parts).await
    }

    /// Fails where the log no longer has what was read of it, which is to be read again.
    pub(super) fn are_there(&self, read: &[Part]) -> Result<(), Failure> {
        for Part { partition, first, .. } in read {
            if let Some((gone, _)) = self.stretches.get(partition).filter(|(from, _)| from < first) {
                return Err(Failure::Failed(format!(
                    "the log no longer has {partition}:{gone}, which was written: it begins with {partition}:{first}, and \
                     without it --dedupe cannot tell what is new; choose another --out"
                )));
            }
        }
        Ok(())
    }

    /// Where it is written; empty if nowhere.
    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or_else(|| Path::new(""))
    }

    /// Up to where the files hold everything.
    pub(super) fn watermark(&self) -> Result<Position, Failure> {
        self.watermark.parse().map_err(|error| Failure::failed("the manifest's watermark", &error))
    }

    /// Counts an event that was written.
    pub(super) fn count(&mut self, kind: &'static str, log_time_ms: i64) {
        self.events += 1;
        match self.kinds.get_mut(kind) {
            Some(count) => *count += 1,
            None => {
                self.kinds.insert(kind.to_owned(), 1);
            }
        }
        self.first_log_time.get_or_insert_with(|| rfc3339(log_time_ms));
        self.last_log_time_ms = Some(log_time_ms);
    }

    /// Notes that a message was dealt with.
    pub(super) fn passed(&mut self, Place { partition, sequence, log_time_ms }: Place) {
        self.stretches.entry(partition).or_insert((sequence, sequence)).1 = sequence;
        self.passed_ms.insert(partition, log_time_ms);
    }

    /// Everything up to the ends was dealt with, also where nothing matched.
    pub(super) async fn finish(&mut self, ends: &Position, context: &Context) -> Result<(), Failure> {
        let mut watermark = self.passed_position();
        watermark.join(ends);
        if self.path.is_some() {
            // Behind what was read there may be what the broker left out.
            self.passed_ms.clear();
            self.watermark_log_times = same::log_times(context, watermark.iter()).await?;
        }
        self.complete = true;
        self.write(&watermark)
    }

    /// Written whole or not at all.
    pub(super) fn save(&mut self) -> Result<(), Failure> {
        let watermark = self.passed_position();
        self.write(&watermark)
    }

    fn passed_position(&self) -> Position {
        let mut position: Position = self.watermark.parse().unwrap_or_default();
        position.join(&self.stretches.iter().map(|(&partition, &(_, last))| (partition, last)).collect());
        position
    }

    fn write(&mut self, watermark: &Position) -> Result<(), Failure> {
        self.watermark = watermark.to_string();
        let passed = std::mem::take(&mut self.passed_ms).into_iter();
        self.watermark_log_times.extend(passed.map(|(partition, ms)| (partition, rfc3339(ms))));
        self.last_log_time = self.last_log_time_ms.map(rfc3339).or(self.last_log_time.take());
        let stretch = |(&partition, &(first, last)): (&u16, &(u64, u64))| Stretch { partition, first, last };
        self.range = self.stretches.iter().map(stretch).collect();
        let Some(path) = &self.path else { return Ok(()) };
        let text = self.json() + "\n";
        write_private(path, text.as_bytes())
            .map_err(|error| Failure::failed(&format!("cannot write {}", path.display()), &error))
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// True for a file, and for a folder that is not empty.
fn is_there(out: &Path) -> bool {
    std::fs::read_dir(out).map_or_else(|_| out.exists(), |mut entries| entries.next().is_some())
}
