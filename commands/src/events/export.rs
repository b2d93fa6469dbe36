//! `groupfold events export`: a range of the log in files, with a manifest beside them, or as lines on stdout.
//!
//! What was written and how far the log was read are recorded together, file first, manifest last, each synced; so
//! whatever interrupts an export, `--resume` cuts the files back to what the manifest says and goes on from there.

mod arrays;
mod columns;
mod lay;
mod lines;
mod manifest;
mod outcome;
mod sink;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use groupfold_schemas::position::Position;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use self::columns::DAY_MS;
use self::lay::{Found, Laid, Layout, What};
use self::manifest::{Asked, Manifest};
use self::sink::Sink;
use super::reader::{self, Next, Reader};
use super::redact::Redactor;
use super::row::Heads;
use super::select::{Filters, Range, moment_text};
use super::shape::{COLUMNS, Column, ORIGINAL};
use crate::cli::Output;
use crate::exit::Failure;
use crate::lock::Lock;
use crate::log::LogReach;
use crate::progress;
use crate::when::Moment;

/// Most event ids that --dedupe remembers: about 700 MB.
const DEDUPE_IDS_MAX: usize = 20_000_000;

/// Events laid out at a time.
const BATCH_EVENTS: usize = 1_000;
/// Batches being laid out while others are written.
const BATCHES_AHEAD: usize = 3;

/// A file format.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A JSON object a line
    Jsonl,
    /// With a header; lists joined by blanks
    Csv,
    /// A folder of files with typed columns, compressed by zstd
    Parquet,
    /// CloudEvents 1.0, a JSON object a line
    Cloudevents,
}

/// Write events to a file, with a manifest beside it, or to stdout.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The format
    #[arg(long, value_enum)]
    format: Format,
    /// The file; for parquet the folder. The manifest is beside it: PATH.manifest.json. Without it, or with -, lines go to
    /// stdout, without a manifest, and the outcome to stderr
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    range: Range,
    /// Go on where the manifest says: after an interruption, or with what came since. Starts if nothing is there; refused with
    /// another format, filter or --from (a later time is within what is there)
    #[arg(long)]
    resume: bool,
    /// Each event once, by its id (up to 20 million events; when it resumes it reads again what it wrote)
    #[arg(long)]
    dedupe: bool,
    /// With the item's JSON as the provider sent it
    #[arg(long, conflicts_with = "redact")]
    original: bool,
    /// Pseudonyms for phone numbers, names, links, texts and ids that hold numbers
    #[arg(long, requires = "redact_key")]
    redact: bool,
    /// Key of the pseudonyms, 16 bytes or more: the same key, the same pseudonyms
    #[arg(long, env = "GROUPFOLD_REDACT_KEY", hide_env_values = true, value_name = "KEY")]
    redact_key: Option<String>,
    /// Parquet: a folder for each day (UTC, by log_time)
    #[arg(long)]
    by_day: bool,
    /// Events between two points at which it can be resumed; parquet: of a file
    #[arg(long, default_value_t = 100_000, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    part_events: u64,
    /// How to print the outcome
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    reach: LogReach,
}

/// The events seen, where each is wanted once.
struct Seen(Option<HashSet<u128>>);

impl Seen {
    /// False if the event was seen before.
    fn is_new(&mut self, event_id: Option<u128>) -> Result<bool, Failure> {
        // An id that is no hash is none of ours: never taken for another.
        let (Some(seen), Some(id)) = (&mut self.0, event_id) else { return Ok(true) };
        if seen.len() >= DEDUPE_IDS_MAX && !seen.contains(&id) {
            return Err(Failure::Failed(format!(
                "--dedupe remembers {DEDUPE_IDS_MAX} events: narrow the range, or take duplicates out later by event_id"
            )));
        }
        Ok(seen.insert(id))
    }

    /// Takes note of what an earlier run wrote. All of it, before anything is written: in the order of the whole log a copy
    /// of what was written can come first.
    async fn read(&mut self, mut reader: Reader, bar: &indicatif::ProgressBar) -> Result<(), Failure> {
        while let Some(next) = reader.next().await? {
            if let Next::Event(event) = next {
                self.is_new(lay::event_id(&event.record))?;
            }
            bar.inc(1);
        }
        Ok(())
    }
}

/// Exports, and says what there is now.
pub(crate) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let out = args.out.clone().filter(|out| out.as_os_str() != "-");
    let args = ExportArgs { filters: args.filters.resolved()?, out, ..args };
    if args.by_day && args.format != Format::Parquet {
        return Err(Failure::Usage("--by-day is for --format parquet: other formats are one file".into()));
    }
    if args.out.is_none() && args.format == Format::Parquet {
        return Err(Failure::Usage("--format parquet needs --out PATH: it is a folder of files".into()));
    }
    if args.out.is_none() && args.resume {
        let line = "--resume goes on with the file of --out: on stdout there is no manifest that says how far it got";
        return Err(Failure::Usage(line.into()));
    }
    let redactor = match (&args.redact_key, args.redact) {
        (Some(key), true) => Some(Redactor::new(key)?),
        _ => None,
    };
    let asked = asked(&args, redactor.as_ref());
    let _lock = args.out.as_deref().map(|out| Lock::take(out, "export to")).transpose()?;
    let mut manifest = match &args.out {
        Some(out) => {
            let manifest = Manifest::begin(out, asked, args.resume)?;
            manifest.begins_as(args.range.from.as_ref())?;
            manifest
        }
        None => Manifest::unwritten(asked),
    };
    let mut range = args.range.clone();
    range.from = manifest.from.parse().ok();

    let log = args.reach.open().await?;
    let mut parts = reader::parts(&log, &args.filters, &range).await?;
    let watermark = manifest.watermark()?;
    manifest.of_log(&log.context, &parts).await?;
    let written = if args.dedupe { reader::before(&parts, &watermark) } else { Vec::new() };
    reader::after(&mut parts, &watermark)?;
    manifest.are_there(&written)?;
    let columns: Vec<Column> = COLUMNS.iter().copied().chain(args.original.then_some(ORIGINAL)).collect();
    let bar = progress::bar(reader::length(&written) + reader::length(&parts), "events");
    let mut seen = Seen(args.dedupe.then(HashSet::new));
    seen.read(Reader::new(&log.context, written, args.filters.clone()), &bar).await?;
    if manifest.files.is_empty() {
        // Before any file: what is there without it is somebody else's.
        manifest.save()?;
    }
    let sink = Sink::open(&args, &columns, &manifest)?;
    let ends = whole(&parts);
    let reader = Reader::new(&log.context, parts, args.filters.clone());
    let filters = args.filters.clone();
    let heads = Heads::of(&columns);
    let layout = Layout { format: args.format, columns, heads, filters, original: args.original, redactor };
    let (layout, part_events) = (Arc::new(layout), args.part_events);
    let days = args.by_day;
    let work = Work { layout, seen, sink, bar, part_events, days, since: 0, day: None };
    if !work.run(reader, &mut manifest).await? {
        return Ok(());
    }
    manifest.finish(&ends, &log.context).await?;
    outcome::say(&args, &manifest)
}

struct Work {
    layout: Arc<Layout>,
    seen: Seen,
    sink: Sink,
    bar: indicatif::ProgressBar,
    part_events: u64,
    /// A file for each day.
    days: bool,
    /// Events written since the last checkpoint.
    since: u64,
    /// Day of the file being written, since 1970, if each has its own.
    day: Option<i64>,
}

impl Work {
    /// False if whoever read the events went away.
    async fn run(mut self, mut reader: Reader, manifest: &mut Manifest) -> Result<bool, Failure> {
        let mut ahead: VecDeque<JoinHandle<Result<Laid, Failure>>> = VecDeque::new();
        loop {
            // The next ones are laid out while these are written.
            while ahead.len() < BATCHES_AHEAD {
                let Some(batch) = reader.next_batch(BATCH_EVENTS).await? else { break };
                let layout = Arc::clone(&self.layout);
                ahead.push_back(tokio::task::spawn_blocking(move || layout.lay(batch)));
            }
            let Some(laying) = ahead.pop_front() else { break };
            let laid = laying.await.map_err(|error| Failure::failed("the export broke down", &error))??;
            self.bar.inc(laid.found.len() as u64);
            self.write(&laid, manifest)?;
            if self.sink.is_unread() {
                break;
            }
        }
        self.checkpoint(manifest)?;
        self.bar.finish_and_clear();
        Ok(!self.sink.is_unread())
    }

    /// Writes what is wanted of a batch, in as few runs as can be.
    fn write(&mut self, laid: &Laid, manifest: &mut Manifest) -> Result<(), Failure> {
        let mut events = 0;
        let mut run = 0..0;
        for Found { place, what } in &laid.found {
            if let What::Event { kind, event_id } = what {
                let index = events;
                events += 1;
                if self.seen.is_new(*event_id)? {
                    let day = self.days.then(|| place.log_time_ms.div_euclid(DAY_MS));
                    if self.since >= self.part_events || (self.since > 0 && day != self.day) {
                        self.sink.write(&laid.out, std::mem::take(&mut run))?;
                        self.checkpoint(manifest)?;
                        self.since = 0;
                    }
                    if run.end != index {
                        self.sink.write(&laid.out, std::mem::replace(&mut run, index..index))?;
                    }
                    run.end += 1;
                    self.day = day;
                    self.since += 1;
                    manifest.count(kind, place.log_time_ms);
                } else {
                    manifest.duplicates += 1;
                }
            }
            manifest.unreadable += u64::from(matches!(what, What::Unreadable));
            manifest.passed(*place);
        }
        self.sink.write(&laid.out, run)
    }

    /// Files first, then the manifest that vouches for them.
    fn checkpoint(&mut self, manifest: &mut Manifest) -> Result<(), Failure> {
        self.sink.checkpoint(manifest, self.day)?;
        manifest.save()
    }
}

/// The ends of the parts that were read to their ends.
fn whole(parts: &[reader::Part]) -> Position {
    let whole = parts.iter().filter(|part| part.before_ms.is_none());
    whole.map(|part| (part.partition, part.to)).collect()
}

fn asked(args: &ExportArgs, redactor: Option<&Redactor>) -> Asked {
    let mut filters = args.filters.clone();
    if let (Some(redactor), Some(group)) = (redactor, &mut filters.group) {
        *group = redactor.pseudonym(group);
    }
    Asked {
        format: args.format,
        from: moment_text(args.range.from.as_ref().unwrap_or(&Moment::Beginning)),
        filters,
        dedupe: args.dedupe,
        original: args.original,
        redacted: redactor.map(Redactor::fingerprint),
        by_day: args.by_day,
    }
}
