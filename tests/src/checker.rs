//! Holds what numbered webhooks left behind against what their senders know: in the log at least once, in effect
//! exactly once, and never an answer that no state of the log accounts for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream;
use groupfold_fold::apply::Digest;
use groupfold_fold::entry::Memory;
use groupfold_projector::record_of;
use groupfold_projector::scan::{From, Scan, Stretch, ends};
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::{log, v1};
use serde_json::Value;

use crate::numbered::{self, Fate, GROUPS, History};
use crate::rng::mix;
use crate::{Groupfold, wait_until};

const BOUND: Duration = Duration::from_secs(90);
const BATCH: usize = 1_000;
const PAGE: usize = 200;

/// One look at a group, as a reader saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The group.
    pub group: String,
    /// `partition:sequence` that the answer said it reflects.
    pub position: String,
    /// How many members, and which: see [`sum_of`].
    pub members: (u64, u64),
}

/// A sum over items that hardly any other set of items has.
#[must_use]
pub fn sum_of(items: impl IntoIterator<Item = u64>) -> (u64, u64) {
    items.into_iter().fold((0, 0), |(count, sum), item| (count + 1, sum.wrapping_add(mix(item))))
}

/// The log, read whole.
#[derive(Debug, Default)]
pub struct Log {
    /// Where each item stands: partition and sequence, more than one where it was appended twice.
    pub items: BTreeMap<u64, Vec<(u16, u64)>>,
    /// Digest of all records of all partitions, folded here and now.
    pub digest: Digest,
    /// Records that tell of no numbered item.
    pub strangers: Vec<String>,
    /// Messages in all partitions.
    pub messages: u64,
    /// The last sequence of each partition.
    pub ends: Vec<u64>,
}

impl Log {
    /// Reads all partitions.
    ///
    /// # Panics
    /// The broker does not deliver, or a message is missing.
    pub async fn read(client: async_nats::Client, partitions: u16) -> Self {
        Self::try_read(client, partitions).await.expect("the log can be read")
    }

    /// Reads all partitions.
    ///
    /// # Errors
    /// The broker does not deliver, or a message is missing.
    pub async fn try_read(client: async_nats::Client, partitions: u16) -> Result<Self, String> {
        let context = jetstream::new(client);
        let mut found = Self::default();
        for partition in 0..partitions {
            let stream = log::stream(partition);
            let to = ends(&context, &stream).await.map_err(|error| error.to_string())?.last;
            let stretch = Stretch { stream, from: From::Sequence(1), to, subjects: Vec::new() };
            let mut scan = Scan::new(context.clone(), stretch);
            let mut memory = Memory::default();
            let mut last = 0;
            while let Some(batch) = scan.next_batch(BATCH).await.map_err(|error| error.to_string())? {
                let mut records = Vec::with_capacity(batch.len());
                for message in batch {
                    last = message.sequence;
                    found.messages += 1;
                    match record_of(&message.payload) {
                        Ok(record) => {
                            found.take(partition, message.sequence, &record);
                            records.push(record);
                        }
                        Err(why) => found.strangers.push(format!("{partition}:{last}: {why}")),
                    }
                }
                memory.apply(&records).map_err(|error| error.to_string())?;
            }
            found.ends.push(to);
            if last != to {
                return Err(format!("partition {partition} ends at {last}, not {to}"));
            }
            found.digest = memory.0.iter().fold(found.digest, |mut digest, (key, value)| {
                digest.add(key, value);
                digest
            });
        }
        Ok(found)
    }

    fn take(&mut self, partition: u16, sequence: u64, record: &v1::Record) {
        let item = match record.kind() {
            Some(Kind::ParticipantsJoined(joined)) => {
                joined.participants.first().and_then(|person| numbered::item_of(person.wa_id.as_deref()?))
            }
            _ => None,
        };
        match item {
            Some(item) => self.items.entry(item).or_default().push((partition, sequence)),
            None => self.strangers.push(format!("{partition}:{sequence}: {}", record.event_id)),
        }
    }

    /// The sum of a group's members at a sequence of its partition.
    fn members_at(&self, group: &str, sequence: u64) -> (u64, u64) {
        let first = |places: &Vec<(u16, u64)>| places.iter().map(|(_, sequence)| *sequence).min();
        let of_group = self.items.iter().filter(|(item, _)| numbered::group_of(**item) == group);
        let there = of_group.filter(|(_, places)| first(places).is_some_and(|first| first <= sequence));
        sum_of(there.map(|(item, _)| *item))
    }
}

/// What a check found, in words.
#[derive(Debug, Default)]
pub struct Checked {
    /// Acknowledged, and not in the log or not in the state.
    pub lost: Vec<String>,
    /// In the state more than once.
    pub twice: Vec<String>,
    /// Answers that no state of the log accounts for, and state that the log does not.
    pub wrong: Vec<String>,
    /// Whatever else must not be.
    pub violations: Vec<String>,
    /// Items that stand in the log more than once: allowed.
    pub copies: u64,
    /// Items in the log.
    pub items: u64,
}

/// Holds the history against the log.
#[must_use]
pub fn check_log(history: &History, log: &Log) -> Checked {
    let mut checked = Checked::default();
    let mut sent = BTreeSet::new();
    for (webhook, fate) in history.fates() {
        for item in numbered::items_of(*webhook) {
            let there = log.items.contains_key(&item);
            match fate {
                Fate::Acknowledged if !there => {
                    checked.lost.push(format!("item {item} of webhook {webhook} is not in the log"))
                }
                Fate::Rejected if there => checked
                    .violations
                    .push(format!("item {item} of rejected webhook {webhook} is in the log")),
                Fate::Acknowledged | Fate::Rejected | Fate::Unknown => {}
            }
            sent.insert(item);
        }
    }
    checked.items = log.items.len() as u64;
    checked.copies = log.items.values().map(|places| places.len() as u64 - 1).sum();
    let invented = log.items.keys().filter(|item| !sent.contains(item));
    checked.wrong.extend(invented.map(|item| format!("item {item} was never sent")));
    checked.wrong.extend(log.strangers.iter().map(|what| format!("the log holds {what}")));
    checked
}

/// Waits until a projector has folded the log up to these sequences; its digest then. A lag of zero alone does not
/// say so: it may not know yet of the last ones.
async fn caught_up_to(groupfold: &Groupfold, ends: &[u64]) -> String {
    wait_until("all is folded", BOUND, async || {
        let answer = groupfold.get("/v1/position").await;
        let partitions = answer.json["partitions"].as_array().cloned().unwrap_or_default();
        let running = !partitions.is_empty() && partitions.iter().all(|one| one["state"] == "running");
        let applied = |partition: usize| partitions.get(partition).and_then(|one| one["applied"].as_u64());
        let reached = ends.iter().enumerate().all(|(partition, end)| applied(partition) >= Some(*end));
        if running && reached && answer.json["lag_events"] == 0 {
            Ok(answer.json["digest"].as_str().unwrap_or_default().to_owned())
        } else {
            Err(answer)
        }
    })
    .await
}

/// Holds the state that a projector serves, and what readers saw, against the log.
///
/// # Panics
/// The projector does not catch up, or does not answer.
pub async fn check_state(checked: &mut Checked, groupfold: &Groupfold, log: &Log, seen: &[Seen]) {
    let digest = caught_up_to(groupfold, &log.ends).await;
    if digest != log.digest.to_string() {
        checked
            .violations
            .push(format!("digest of the live state {digest}, of the log folded anew {}", log.digest));
    }
    let expected: BTreeSet<u64> = log.items.keys().copied().collect();
    let mut members = Occurrences::default();
    let mut lines = Occurrences::default();
    for group in (0..GROUPS).map(numbered::group_of) {
        for member in pages(groupfold, &format!("/v1/groups/{group}/members?"), "members").await {
            members.take(&group, &member["wa_id"]);
        }
        for line in pages(groupfold, &format!("/v1/groups/{group}/timeline?limit={PAGE}&"), "entries").await {
            lines.take(&group, &line["member"]["wa_id"]);
        }
    }
    for (what, found) in [("member", members), ("line of the timeline", lines)] {
        found.hold_against(&expected, what, checked);
    }
    for seen in seen {
        let sequence = seen.position.split_once(':').and_then(|(_, sequence)| sequence.parse().ok());
        let Some(sequence) = sequence else {
            checked.wrong.push(format!("{} was read at position {:?}", seen.group, seen.position));
            continue;
        };
        let expected = log.members_at(&seen.group, sequence);
        if expected != seen.members {
            checked.wrong.push(format!(
                "{} at {}: {} member(s) read, {} are right",
                seen.group, seen.position, seen.members.0, expected.0
            ));
        }
    }
}

/// How often each item was met.
#[derive(Debug, Default)]
struct Occurrences {
    of: BTreeMap<u64, u64>,
    strangers: Vec<String>,
}

impl Occurrences {
    fn take(&mut self, group: &str, person: &Value) {
        let item = person.as_str().and_then(numbered::item_of);
        match item.filter(|item| numbered::group_of(*item) == group) {
            Some(item) => *self.of.entry(item).or_default() += 1,
            None => self.strangers.push(format!("{group} has {person}")),
        }
    }

    fn hold_against(&self, expected: &BTreeSet<u64>, what: &str, checked: &mut Checked) {
        let missing = expected.iter().filter(|item| !self.of.contains_key(item));
        checked.lost.extend(missing.map(|item| format!("item {item} is in the log, and no {what}")));
        let twice = self.of.iter().filter(|(_, count)| **count > 1);
        checked.twice.extend(twice.map(|(item, count)| format!("item {item} is a {what} {count} times")));
        let invented = self.of.keys().filter(|item| !expected.contains(item));
        checked.wrong.extend(invented.map(|item| format!("item {item} is a {what}, and not in the log")));
        checked.wrong.extend(self.strangers.iter().map(|stranger| format!("as a {what}: {stranger}")));
    }
}

/// All pages of a list. What is not known has none.
async fn pages(groupfold: &Groupfold, path: &str, list: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let path = match &cursor {
            Some(cursor) => format!("{path}cursor={cursor}"),
            None => path.trim_end_matches(['?', '&']).to_owned(),
        };
        let answer = groupfold.get(&path).await;
        if answer.status == 404 {
            return all;
        }
        assert_eq!(answer.status, 200, "GET {path}: {answer}");
        all.extend(answer.json[list].as_array().into_iter().flatten().cloned());
        cursor = answer.json["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return all;
        }
    }
}
