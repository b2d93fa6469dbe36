//! `groupfold failed replay`.

use std::collections::BTreeMap;
use std::time::Duration;

use groupfold_ingest::meta::Item;
use groupfold_ingest::replay;
use groupfold_schemas::failure::Cause;
use groupfold_schemas::log;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::{self, ResolutionOutcome};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::catalog::{Catalog, Entry, Missing};
use super::known::Known;
use super::lease::Lease;
use super::preview;
use super::{ReplayArgs, fate};
use crate::data::Ignores;
use crate::exit::Failure;
use crate::log::Log;
use crate::pipeline::{VERSION, until_told_to_stop};
use crate::{print, progress};

pub(super) async fn run(args: ReplayArgs) -> Result<(), Failure> {
    if !args.all && args.ids.is_empty() && args.filter.is_empty() {
        return Err(super::no_selection("--group, or --all"));
    }
    let ignores = args.reading.ignores(&args.reach)?;
    let log = args.reach.open().await?;
    if !args.execute {
        let catalog = Catalog::read(&log).await?;
        let missing = catalog.missing;
        let preview = preview::preview(&log, &selected(catalog, &args)?, ignores).await?;
        return preview::show(&preview, &log, missing, args.output);
    }
    let told = until_told_to_stop()?;
    let lease = Lease::take(&log.context).await?;
    // Read once the claim is ours: what another replay settled before is settled.
    let outcome = async {
        let catalog = Catalog::read(&log).await?;
        let missing = catalog.missing;
        let entries = selected(catalog, &args)?;
        may_append(&entries, missing, &args)?;
        let work = Work::new(&log, entries.len(), ignores);
        Ok((work.all(entries, &args, &lease, &told).await?, missing))
    };
    let outcome = outcome.await;
    lease.release().await;
    let (report, missing) = outcome?;
    print::either(args.output, || report.to_json(missing).to_string(), || report.to_text())?;
    report.verdict()
}

/// What is meant and not settled, in the order it came: the newest of this moment is the last.
fn selected(catalog: Catalog, args: &ReplayArgs) -> Result<Vec<Entry>, Failure> {
    let mut entries = catalog.chosen(&args.ids, &args.filter)?;
    entries.retain(|entry| entry.resolution.is_none());
    // By group, so that each group's events are looked through once.
    entries.sort_by(|a, b| (&a.group_id, a.sequence).cmp(&(&b.group_id, b.sequence)));
    entries.dedup_by(|a, b| a.failed_id == b.failed_id);
    Ok(entries)
}

/// What somebody had discarded is in the log for ever once it is appended, and which that was nobody knows where what settled
/// it is missing: a selection takes it along without anybody having looked. Whoever types an id has.
fn may_append(entries: &[Entry], missing: Missing, args: &ReplayArgs) -> Result<(), Failure> {
    if missing.settled == 0 || args.despite_missing || !args.ids.is_empty() || entries.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "nothing is replayed: {} message(s) of {} are missing, so some of the {} selected may have been settled, discarded even: \
         look at each (`groupfold failed list --all`, `failed show ID`), discard what is of no use, and replay single ones by \
         their id, or all of them with --despite-missing",
        missing.settled,
        log::RESOLVED_STREAM,
        entries.len()
    )))
}

/// What became of the failures.
#[derive(Default)]
struct Report {
    selected: u64,
    landed: u64,
    duplicate: u64,
    ignored: u64,
    again: BTreeMap<String, u64>,
    events: u64,
    /// What has the broker take what was too large for it; empty where nothing was.
    larger: String,
    stopped: Option<String>,
}

struct Work<'a> {
    log: &'a Log,
    ignores: Ignores,
    writer: replay::Log,
    known: Known,
    report: Report,
}

impl<'a> Work<'a> {
    fn new(log: &'a Log, selected: usize, ignores: Ignores) -> Self {
        let writer = replay::Log::new(log.client.clone(), log.partitions);
        let report = Report { selected: selected as u64, ..Report::default() };
        Self { log, ignores, writer, known: Known::default(), report }
    }

    async fn all(
        mut self,
        entries: Vec<Entry>,
        args: &ReplayArgs,
        lease: &Lease,
        told: &CancellationToken,
    ) -> Result<Report, Failure> {
        let bar = progress::bar(entries.len() as u64, "replaying");
        let mut pace = args.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
        for entry in entries {
            let turn = async {
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
            };
            tokio::select! {
                biased;
                () = told.cancelled() => self.report.stopped = Some("told to stop".to_owned()),
                () = turn => {}
            }
            if lease.is_lost() {
                self.report.stopped =
                    Some("the claim on the replay was lost: is the broker well?".to_owned());
            }
            if self.report.stopped.is_some() {
                break;
            }
            if let Err(error) = self.one(&entry).await? {
                self.report.stopped = Some(error);
                break;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(self.report)
    }

    /// Appends what a failure has become, then settles it. Killed in between, the next replay finds the event in the
    /// log and settles the failure as a duplicate. The inner error is why the log did not take it.
    async fn one(&mut self, entry: &Entry) -> Result<Result<(), String>, Failure> {
        let failed = entry.load(self.log).await?;
        let items = fate::today(&failed, self.ignores);
        let same = |item: &&Item| matches!(item, Item::Failed(again) if again.failed_id == failed.failed_id);
        if items.is_empty() || items.iter().any(|item| same(&item)) {
            *self.report.again.entry(failed.cause).or_default() += 1;
            return Ok(Ok(()));
        }
        let (mut event_ids, mut fresh, mut ignored, mut again) = (Vec::new(), 0, 0, None);
        for item in items {
            let appended = match item {
                Item::Ignored(_) => {
                    ignored += 1;
                    continue;
                }
                // An item of what failed whole: a failure of its own from now on.
                Item::Failed(part) => {
                    again = Some(part.cause.clone());
                    self.writer.keep(&part).await
                }
                Item::Event(record) => {
                    event_ids.push(record.event_id.clone());
                    // What the projector could not read is in the log, yet not in the state.
                    let (id, mut missing) = (record.event_id.clone(), Vec::new());
                    let appended = if failed.cause == Cause::UnreadableRecord.name() {
                        let at = failed.log_position.parse::<Position>().unwrap_or_default();
                        let partition = at.iter().next().map(|(partition, _)| partition);
                        self.writer
                            .append_again(
                                *record,
                                &fate::delivery(self.ignores),
                                partition,
                                &failed.failed_id,
                            )
                            .await
                    } else {
                        missing = self.known.missing(self.log, &record).await?;
                        if missing.is_empty() {
                            continue;
                        }
                        self.writer.append(*record, &fate::delivery(self.ignores), &missing).await
                    };
                    match appended {
                        // Nothing is settled: the broker may take more some day.
                        Ok(None) => {
                            self.known.forget(&id, &missing);
                            self.report.events += fresh;
                            self.report.larger = fate::larger(self.log);
                            *self.report.again.entry(failed.cause).or_default() += 1;
                            return Ok(Ok(()));
                        }
                        appended => {
                            fresh += 1;
                            appended.map(|_| ())
                        }
                    }
                }
            };
            if let Err(error) = appended {
                return Ok(Err(error.to_string()));
            }
        }
        self.report.events += fresh;
        let outcome = if fresh > 0 || again.is_some() {
            ResolutionOutcome::Replayed
        } else if event_ids.is_empty() && ignored > 0 {
            ResolutionOutcome::Ignored
        } else {
            ResolutionOutcome::Duplicate
        };
        match (again, outcome) {
            (Some(cause), _) => *self.report.again.entry(cause).or_default() += 1,
            (None, ResolutionOutcome::Ignored) => self.report.ignored += 1,
            (None, ResolutionOutcome::Duplicate) => self.report.duplicate += 1,
            (None, _) => self.report.landed += 1,
        }
        let settled = self.writer.settle(&resolution(&failed.failed_id, outcome, "", event_ids)).await;
        Ok(settled.map_err(|error| error.to_string()))
    }
}

/// What settles a failure.
pub(super) fn resolution(
    failed_id: &str,
    outcome: ResolutionOutcome,
    why: &str,
    event_ids: Vec<String>,
) -> v1::Resolution {
    v1::Resolution {
        failed_id: failed_id.to_owned(),
        outcome: outcome.into(),
        why: why.to_owned(),
        time_ms: jiff::Timestamp::now().as_millisecond(),
        event_ids,
        build: VERSION.to_owned(),
    }
}

impl Report {
    fn to_json(&self, missing: Missing) -> Value {
        json!({
            "execute": true,
            "missing": missing.to_json(),
            "failures": self.selected,
            "landed": self.landed,
            "duplicate": self.duplicate,
            "ignored": self.ignored,
            "failed_again": self.again,
            "events_appended": self.events,
            "stopped": self.stopped,
        })
    }

    fn done(&self) -> u64 {
        self.landed + self.duplicate + self.ignored + self.again.values().sum::<u64>()
    }

    fn to_text(&self) -> String {
        let again: u64 = self.again.values().sum();
        let mut lines = vec![format!(
            "{} of {} read again: {} landed ({} event(s)), {} in the log already, {} ignored, {again} failed again",
            self.done(),
            self.selected,
            self.landed,
            self.events,
            self.duplicate,
            self.ignored
        )];
        for (cause, count) in &self.again {
            lines.push(format!("  {count:>7}  failed again: {cause}"));
        }
        lines.join("\n")
    }

    fn verdict(&self) -> Result<(), Failure> {
        if let Some(why) = &self.stopped {
            let rest = self.selected - self.done();
            return Err(Failure::Again(format!("stopped, {rest} to go: {why}; the same command goes on")));
        }
        match self.again.values().sum::<u64>() {
            0 => Ok(()),
            again => {
                let larger = &self.larger;
                let larger = if larger.is_empty() { "" } else { &format!("; some are too large: {larger}") };
                Err(Failure::Failed(format!(
                    "{again} failed again with this build; `groupfold failed list` shows them{larger}"
                )))
            }
        }
    }
}
