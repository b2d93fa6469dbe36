//! One group folded anew, from its own subjects of the log, as far as asked: what previews, comparisons and
//! time travel look at. The same fold and the same views as those of the store, over entries in memory.

pub mod past;

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream;
use groupfold_fold::entry::{self, Key, Memory};
use groupfold_fold::view;
use groupfold_schemas::position::Position;
use groupfold_schemas::{log, v1};
use serde_json::{Map, Value, json};

use crate::scan;
use crate::shape::convert;
use crate::text::Lang;

/// Most events of one group that are folded at once: a bound of memory and time, ten times what a group of
/// eight with a thousand messages has.
const GROUP_EVENTS_MAX: usize = 500_000;

/// The state of one group.
#[derive(Debug, Clone, Default)]
pub struct Refolded {
    group_id: String,
    /// The entries.
    pub memory: Memory,
    /// Ids of the group's events.
    pub event_ids: BTreeSet<String>,
}

/// Folds a group from the beginning to the end of its partition. Messages of the sequences in `skip` are left out, as
/// a build would that could not read them.
///
/// # Errors
/// The log cannot be read or lost its beginning, or the group has too many events.
pub async fn group(
    context: &jetstream::Context,
    partitions: u16,
    group_id: &str,
    skip: &BTreeSet<u64>,
) -> Result<Refolded, past::Error> {
    let partition = log::partition_of(group_id, partitions);
    let end = scan::ends(context, &log::stream(partition)).await?.last;
    let subjects = past::group_subjects(partition, group_id);
    let mut event_ids = BTreeSet::new();
    let learn = |record: v1::Record| event_ids.extend([record.event_id]);
    let memory = past::fold_without(context, partition, subjects, end, skip, GROUP_EVENTS_MAX, learn).await?;
    Ok(Refolded { group_id: group_id.to_owned(), memory, event_ids })
}

impl Refolded {
    /// Folds further records, as a look at what would be.
    ///
    /// # Errors
    /// An entry that was just written cannot be read back.
    pub fn apply(&mut self, records: &[v1::Record]) -> Result<(), entry::Error> {
        self.memory.apply(records)?;
        self.event_ids.extend(records.iter().map(|record| record.event_id.clone()));
        Ok(())
    }

    /// What the query API says of the group, with lists as objects by id, so that two of them can be compared:
    /// `group`, `members`, `timeline`, `receipts` (by message, then member).
    ///
    /// # Errors
    /// An entry cannot be read.
    pub fn describe(&self) -> Result<Value, entry::Error> {
        let position: Position = Position::default();
        let mut whole = Map::new();
        if let Some(group) = view::group(&self.memory, &self.group_id)? {
            let mut group = json!(convert::group(group, &position, None));
            let members = group["members"].take();
            if let Some(fields) = group.as_object_mut() {
                // Neither is a thing that people ask for.
                fields.remove("position");
                fields.remove("digest");
                fields.remove("members");
            }
            whole.insert("group".to_owned(), group);
            whole.insert("members".to_owned(), by_id(members, "member_id"));
        }
        let lines = view::timeline(&self.memory, &self.group_id)?.unwrap_or_default();
        let lines: Vec<_> = lines.iter().map(|line| json!(convert::entry(Lang::English, line))).collect();
        whole.insert("timeline".to_owned(), by_id(Value::Array(lines), "id"));
        let mut receipts = BTreeMap::new();
        for message in self.messages()? {
            let Some(found) = view::receipts(&self.memory, &message)? else { continue };
            let mut found = json!(convert::receipts(found, &position));
            found["members"] = by_id(found["members"].take(), "member_id");
            if let Some(fields) = found.as_object_mut() {
                fields.remove("position");
            }
            receipts.insert(message, found);
        }
        whole.insert("receipts".to_owned(), json!(receipts));
        Ok(Value::Object(whole))
    }

    fn messages(&self) -> Result<Vec<String>, entry::Error> {
        let keys = self.memory.0.keys().filter(|key| key.first() == Some(&b'm'));
        let keys = keys.map(|key| match Key::decode(key)? {
            Key::Message { message } => Ok(Some(message)),
            _ => Ok(None),
        });
        keys.filter_map(Result::transpose).collect()
    }
}

fn by_id(list: Value, id: &str) -> Value {
    let Value::Array(list) = list else { return Value::Object(Map::new()) };
    let named = list.into_iter().map(|one| (one[id].as_str().unwrap_or_default().to_owned(), one));
    Value::Object(named.collect())
}

/// One thing that differs between two descriptions.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// Where, such as `members/mbr_1/status`.
    pub path: String,
    /// What is there before; `null` if nothing is.
    pub before: Value,
    /// What is there after; `null` if nothing is.
    pub after: Value,
}

/// Where two descriptions differ, by path.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let deeper = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let (old, new) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
            compare(&deeper, old, new, found);
        }
        return;
    }
    found.push(Difference { path: path.to_owned(), before: before.clone(), after: after.clone() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{created, joined, receipt};

    #[test]
    fn what_one_event_changes_is_told_by_path() {
        let mut refolded = Refolded { group_id: "G".to_owned(), ..Refolded::default() };
        refolded.apply(&[created("G", 1, "Team"), joined("G", 2, "5511")]).unwrap();
        let before = refolded.describe().unwrap();
        refolded.apply(&[joined("G", 2, "5511")]).unwrap();
        assert_eq!(differences(&before, &refolded.describe().unwrap()), []);
        refolded
            .apply(&[joined("G", 3, "5522"), receipt("G", 4, "m", v1::ReceiptStatus::Sent, None)])
            .unwrap();
        let found = differences(&before, &refolded.describe().unwrap());
        let paths: Vec<&str> = found.iter().map(|one| one.path.split('/').next().unwrap()).collect();
        assert_eq!(paths, ["group", "members", "receipts", "timeline"], "{found:?}");
        assert_eq!((&found[0].before, &found[0].after), (&json!(1), &json!(2)));
    }
}
