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

use crate::numbered::{self, Fate, GROUPS, HAPPENED_AT, History, List};
use crate::rng::mix;
use crate::{Answer, Groupfold, wait_until};

const BOUND: Duration = Duration::from_secs(90);
const BATCH: usize = 1_000;
const PAGE: usize = 200;
const BATCH_HEADER: &str = "Nats-Batch-Id";

/// One look at a list, as a reader saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was looked at.
    pub list: List,
    /// The sequence of its partition that the answer said it reflects.
    pub sequence: u64,
    /// How many items, and which: see [`sum_of`].
    pub items: (u64, u64),
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
    /// Those that came as one atomic batch with others.
    pub in_batches: u64,
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
                    let headers = message.headers.as_ref();
                    found.in_batches += u64::from(headers.is_some_and(|all| all.get(BATCH_HEADER).is_some()));
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
                let item = item_of(joined.participants.first());
                item.filter(|item| !List::of(*item).is_of_receipts())
            }
            Some(Kind::Receipt(receipt)) => {
                let of = |item: &u64| match List::of(*item) {
                    List::Receipts { message } => receipt.message_id == numbered::message_id(message),
                    List::Members { .. } => false,
                };
                item_of(receipt.participant.as_ref()).filter(of)
            }
            _ => None,
        };
        match item.filter(|item| record.group_id == List::of(*item).group()) {
            Some(item) => self.items.entry(item).or_default().push((partition, sequence)),
            None => self.strangers.push(format!("{partition}:{sequence}: {}", record.event_id)),
        }
    }

    /// This log's items of some partitions, and another's of all others.
    #[must_use]
    pub fn of_partitions(&self, ours: &BTreeSet<u16>, other: &Self) -> Self {
        let is_ours = |partition: &u16| ours.contains(partition);
        let keep = |log: &Self, ours: bool| {
            let of = move |places: &Vec<(u16, u64)>| {
                places.iter().filter(|(partition, _)| is_ours(partition) == ours).copied().collect::<Vec<_>>()
            };
            let items = log.items.iter().map(move |(item, places)| (*item, of(places)));
            items.filter(|(_, places)| !places.is_empty()).collect::<Vec<_>>()
        };
        let items = keep(self, true).into_iter().chain(keep(other, false)).collect();
        Self { items, ..Self::default() }
    }

    /// The items of this log and of another one.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Self { items: self.items.clone(), ..Self::default() };
        both.items.extend(other.items.iter().map(|(item, places)| (*item, places.clone())));
        both.strangers.extend(self.strangers.iter().chain(&other.strangers).cloned());
        both
    }

    /// The items of each list, with the sequence that each is at first.
    fn lists(&self) -> BTreeMap<List, Vec<(u64, u64)>> {
        let mut lists: BTreeMap<List, Vec<(u64, u64)>> = BTreeMap::new();
        for (item, places) in &self.items {
            let first = places.iter().map(|(_, sequence)| *sequence).min().unwrap_or(u64::MAX);
            lists.entry(List::of(*item)).or_default().push((first, *item));
        }
        lists
    }
}

/// The item of the person that an event tells of.
fn item_of(person: Option<&v1::Participant>) -> Option<u64> {
    numbered::item_of(person?.wa_id.as_deref()?)
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
    /// Messages of the log, and how many of them came in atomic batches.
    pub messages: (u64, u64),
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
    checked.messages = (log.messages, log.in_batches);
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
    check_lists(checked, groupfold, log).await;
    check_looks(checked, log, seen);
}

/// Holds all lists that a projector serves against the log, wherever it is.
///
/// # Panics
/// The projector does not answer.
pub async fn check_lists(checked: &mut Checked, groupfold: &Groupfold, log: &Log) {
    let mut members = Occurrences::default();
    let mut lines = Occurrences::default();
    for list in (0..GROUPS).map(|group| List::Members { group }) {
        for member in pages(groupfold, &format!("{}?", list.path()), "members").await {
            members.take(list, &member["wa_id"]);
        }
        let timeline = format!("/v1/groups/{}/timeline?limit={PAGE}&", list.group());
        for line in pages(groupfold, &timeline, "entries").await {
            lines.take(list, &line["member"]["wa_id"]);
        }
    }
    let lists = log.lists();
    let mut receipts = Occurrences::default();
    // One more than the log tells of: of that nobody may have any.
    let messages =
        lists.keys().map(|list| if let List::Receipts { message } = list { message + 2 } else { 1 });
    for list in (0..messages.max().unwrap_or(1)).map(|message| List::Receipts { message }) {
        let told = groupfold.get(&list.path()).await;
        let of_all = told.json["members"].as_array().cloned().unwrap_or_default();
        for one in &of_all {
            receipts.take(list, &one["wa_id"]);
            if one["status"] != "delivered" || one["delivered_at"] != HAPPENED_AT {
                checked.wrong.push(format!("a receipt of {list:?}: {one}"));
            }
        }
        let is_known = lists.contains_key(&list);
        let is_right = if is_known { told.status == 200 } else { is_unknown(&told) };
        if !is_right {
            checked.wrong.push(format!("{list:?}: {told}"));
        } else if is_known && told.json["counts"]["delivered"] != of_all.len() {
            checked.wrong.push(format!(
                "{list:?} has {} receipts, and {}",
                of_all.len(),
                told.json["counts"]
            ));
        }
    }
    let items = |of_receipts| {
        let some = log.items.keys().filter(|item| List::of(**item).is_of_receipts() == of_receipts);
        some.copied().collect::<BTreeSet<u64>>()
    };
    for (what, found, expected) in [
        ("member", members, items(false)),
        ("line of the timeline", lines, items(false)),
        ("receipt", receipts, items(true)),
    ] {
        found.hold_against(&expected, what, checked);
    }
}

/// Holds what readers saw against the log.
pub fn check_looks(checked: &mut Checked, log: &Log, seen: &[Seen]) {
    let lists = log.lists();
    for seen in seen {
        let of_list = lists.get(&seen.list).into_iter().flatten();
        let expected = sum_of(of_list.filter(|(first, _)| *first <= seen.sequence).map(|(_, item)| *item));
        if expected != seen.items {
            checked.wrong.push(format!(
                "{:?} at {}: {} item(s) read, {} are right",
                seen.list, seen.sequence, seen.items.0, expected.0
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
    fn take(&mut self, list: List, person: &Value) {
        let item = person.as_str().and_then(numbered::item_of);
        match item.filter(|item| List::of(*item) == list) {
            Some(item) => *self.of.entry(item).or_default() += 1,
            None => self.strangers.push(format!("{list:?} has {person}")),
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

/// True if nothing is known there, or not yet: where a partition stopped before it had folded all nobody can say.
fn is_unknown(answer: &Answer) -> bool {
    let is_not_folded = ["catching_up", "partition_stopped"].iter().any(|code| answer.json["code"] == *code);
    answer.status == 404 || (answer.status == 503 && is_not_folded)
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
        if is_unknown(&answer) {
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
