//! What a replay would do: what each failure would become, and how the state of groups would differ, folded on top of
//! what the log says of them now.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_ingest::meta::Item;
use groupfold_projector::refold::{self, Difference, Refolded};
use groupfold_schemas::position::Position;
use groupfold_schemas::{log, v1};
use serde_json::{Value, json};

use super::catalog::{Entry, Missing};
use super::fate;
use crate::cli::Output;
use crate::data::Ignores;
use crate::exit::Failure;
use crate::log::Log;
use crate::{print, progress};

/// Differences of one group that are shown to a person; JSON has all.
const SHOWN_MAX: usize = 20;
/// Groups shown to a person.
const GROUPS_SHOWN_MAX: usize = 20;

/// What would become of the failures looked at.
#[derive(Default)]
pub(super) struct Preview {
    total: u64,
    /// By what they would become, such as `event participants_joined`.
    becomes: BTreeMap<String, u64>,
    duplicates: u64,
    again: BTreeMap<String, u64>,
    ignored: u64,
    /// Of those that fail again, what is longer than the broker takes.
    too_large: u64,
    groups: BTreeMap<String, Vec<Difference>>,
    /// Events that have no group, or concern all.
    without_group: u64,
}

/// Works it out; nothing is changed.
pub(super) async fn preview(log: &Log, entries: &[Entry], ignores: Ignores) -> Result<Preview, Failure> {
    let mut preview = Preview { total: entries.len() as u64, ..Preview::default() };
    let mut records: BTreeMap<String, Vec<v1::Record>> = BTreeMap::new();
    let mut skip: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    let bar = progress::bar(entries.len() as u64, "reading again");
    for entry in entries {
        let failed = entry.load(log).await?;
        for (partition, sequence) in failed.log_position.parse::<Position>().unwrap_or_default().iter() {
            skip.entry(partition).or_default().insert(sequence);
        }
        for item in fate::today(&failed, ignores) {
            if fate::is_too_large(&item, log) {
                *preview.again.entry(failed.cause.clone()).or_default() += 1;
                preview.too_large += 1;
                continue;
            }
            match item {
                Item::Event(record) if record.group_id.is_empty() => {
                    preview.becomes(record.kind_name());
                    preview.without_group += 1;
                }
                Item::Event(record) => {
                    records.entry(record.group_id.clone()).or_default().push(*record);
                }
                Item::Failed(failed) => *preview.again.entry(failed.cause.clone()).or_default() += 1,
                Item::Ignored(_) => preview.ignored += 1,
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let bar = progress::bar(records.len() as u64, "folding groups");
    for (group, records) in records {
        preview.group(log, &group, records, &skip).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(preview)
}

impl Preview {
    fn becomes(&mut self, kind: &str) {
        *self.becomes.entry(format!("event {kind}")).or_default() += 1;
    }

    async fn group(
        &mut self,
        log: &Log,
        group: &str,
        records: Vec<v1::Record>,
        skip: &BTreeMap<u16, BTreeSet<u64>>,
    ) -> Result<(), Failure> {
        let failed = |error: groupfold_fold::entry::Error| {
            Failure::failed(&format!("cannot fold the group {group}"), &error)
        };
        let mut state = current(log, group, skip).await?;
        let before = state.describe().map_err(failed)?;
        let mut known = state.event_ids.clone();
        for record in &records {
            if known.insert(record.event_id.clone()) {
                self.becomes(record.kind_name());
            } else {
                self.duplicates += 1;
            }
        }
        state.apply(&records).map_err(failed)?;
        let differences = refold::differences(&before, &state.describe().map_err(failed)?);
        if !differences.is_empty() {
            self.groups.insert(group.to_owned(), differences);
        }
        Ok(())
    }

    fn to_json(&self, missing: Missing) -> Value {
        json!({
            "execute": false,
            "missing": missing.to_json(),
            "failures": self.total,
            "becomes": self.becomes,
            "duplicate": self.duplicates,
            "ignored": self.ignored,
            "failed_again": self.again,
            "too_large": self.too_large,
            "events_without_group": self.without_group,
            "groups": self.groups,
        })
    }

    fn to_text(&self, log: &Log) -> String {
        let mut lines = vec![format!("{} failure(s) would be read again:", self.total)];
        for (what, count) in &self.becomes {
            lines.push(format!("  {count:>7}  become {what}"));
        }
        for (count, what) in
            [(self.duplicates, "are in the log already"), (self.ignored, "are of no concern")]
        {
            if count > 0 {
                lines.push(format!("  {count:>7}  {what}"));
            }
        }
        for (cause, count) in &self.again {
            lines.push(format!("  {count:>7}  fail again: {cause}"));
        }
        if self.too_large > 0 {
            let (count, todo) = (self.too_large, fate::larger(log));
            lines.push(format!("  {count:>7}  of them are too large for the broker: {todo}"));
        }
        lines.push(format!("{} group(s) would change:", self.groups.len()));
        for (group, differences) in self.groups.iter().take(GROUPS_SHOWN_MAX) {
            lines.push(format!("  {group}"));
            for one in differences.iter().take(SHOWN_MAX) {
                lines.push(format!("    {}: {} → {}", one.path, short(&one.before), short(&one.after)));
            }
            more(&mut lines, "    ", differences.len(), SHOWN_MAX, "difference(s)");
        }
        more(&mut lines, "  ", self.groups.len(), GROUPS_SHOWN_MAX, "group(s)");
        if self.without_group > 0 {
            lines.push(format!(
                "{} event(s) have no group: accounts, or names of people in all groups",
                self.without_group
            ));
        }
        lines.push("Nothing is changed. To do it: the same with --execute".to_owned());
        lines.join("\n")
    }
}

fn more(lines: &mut Vec<String>, pad: &str, total: usize, shown: usize, what: &str) {
    if total > shown {
        lines.push(format!("{pad}… and {} more {what}: --output json has all", total - shown));
    }
}

/// A value as a person wants it: short, and text without quotes.
fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let told = ["text", "wa_id", "user_id", "status"];
            let told: Vec<String> = told
                .iter()
                .filter_map(|name| fields.get(*name).and_then(Value::as_str).map(str::to_owned))
                .collect();
            if told.is_empty() { value.to_string() } else { told.join(" ") }
        }
        other => other.to_string(),
    }
}

/// The group as the log has it, without what the projector could not read.
pub(super) async fn current(
    log: &Log,
    group: &str,
    skip: &BTreeMap<u16, BTreeSet<u64>>,
) -> Result<Refolded, Failure> {
    let none = BTreeSet::new();
    let skip = skip.get(&log::partition_of(group, log.partitions)).unwrap_or(&none);
    refold::group(&log.context, log.partitions, group, skip)
        .await
        .map_err(|error| Failure::failed(&format!("cannot fold the group {group}"), &error))
}

/// The preview as asked for.
pub(super) fn show(preview: &Preview, log: &Log, missing: Missing, output: Output) -> Result<(), Failure> {
    print::either(output, || preview.to_json(missing).to_string(), || preview.to_text(log))
}
