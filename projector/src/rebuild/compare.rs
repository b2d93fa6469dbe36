//! A live store and one folded anew, entry by entry. Both must stand still and at the same position.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{Key, Value, group_of};

use super::report::{Compared, Difference, NAMED_MAX, Scope, Wrong};
use crate::store::{self, ReadView, Store};
use crate::words;

/// Compares what a scope covers.
///
/// # Errors
/// One is closed, or the new store cannot be read. What cannot be read of the live one is a difference.
pub(super) fn compare(live: &Store, fresh: &Store, scope: &Scope) -> Result<Compared, store::Error> {
    let (live, fresh) = (live.view()?, fresh.view()?);
    let progress = live.progress();
    let report = Compared { partition: live.partition(), sequence: progress.sequence, ..Compared::default() };
    let mut comparison = Comparison {
        live: &live,
        fresh: &fresh,
        scope,
        report,
        message: None,
        groups: BTreeMap::new(),
        live_groups: BTreeMap::new(),
    };
    let digest = comparison.what_the_log_has()?;
    let live_digest = comparison.what_the_store_has()?;
    comparison.digests_of_groups();
    if *scope == Scope::Whole && live_digest.is_some() {
        let kept = store::digest_of(&progress).ok();
        if kept != live_digest {
            comparison.note(None, "digest of the partition".to_owned(), Wrong::Differs);
        }
    }
    let mut report = comparison.report;
    report.digest = digest.to_string();
    report.live_digest = live_digest.map(|digest| digest.to_string()).unwrap_or_default();
    report.groups = comparison.groups.len() as u64;
    Ok(report)
}

struct Comparison<'a> {
    live: &'a ReadView<'a>,
    fresh: &'a ReadView<'a>,
    scope: &'a Scope,
    report: Compared,
    /// The message looked at last, and its group: receipts stand side by side.
    message: Option<(String, Option<String>)>,
    /// Digests of groups as the log has them.
    groups: BTreeMap<String, Digest>,
    /// And as the entries of the live store add up.
    live_groups: BTreeMap<String, Digest>,
}

impl Comparison<'_> {
    /// Each entry of the new store is looked for in the live one.
    fn what_the_log_has(&mut self) -> Result<Digest, store::Error> {
        let mut digest = Digest::default();
        for entry in self.fresh.entries()? {
            let (key, value) = entry?;
            let group = self.group(&key);
            if !self.covers(group.as_deref()) {
                continue;
            }
            self.report.entries += 1;
            digest.add(&key, &value);
            if let Some(named) = group_of(&key) {
                self.groups.entry(named).or_default().add(&key, &value);
            }
            match unpanicked(|| self.live.bytes(&key)) {
                Ok(Some(found)) if found == value => {}
                Ok(Some(_)) => self.note_key(group, &key, Wrong::Differs),
                Ok(None) => self.note_key(group, &key, Wrong::Missing),
                Err(_) => self.note_key(group, &key, Wrong::Unreadable),
            }
        }
        Ok(digest)
    }

    /// Each entry of the live store is looked for in the new one; `None` if they cannot all be read.
    fn what_the_store_has(&mut self) -> Result<Option<Digest>, store::Error> {
        let mut digest = Digest::default();
        let mut entries = self.live.entries()?;
        loop {
            let (key, value) = match unpanicked(|| entries.next().transpose()) {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(Some(digest)),
                Err(error) => {
                    let what = format!("entries of the database ({})", store::chain(&error));
                    self.note(None, what, Wrong::Unreadable);
                    return Ok(None);
                }
            };
            let group = self.group(&key);
            if !self.covers(group.as_deref()) {
                continue;
            }
            digest.add(&key, &value);
            if let Some(named) = group_of(&key) {
                self.live_groups.entry(named).or_default().add(&key, &value);
            }
            if self.fresh.bytes(&key)?.is_none() {
                self.note_key(group, &key, Wrong::Extra);
            }
        }
    }

    /// The digests that the live store keeps must be those of its own entries.
    fn digests_of_groups(&mut self) {
        for (group, digest) in std::mem::take(&mut self.live_groups) {
            let kept = unpanicked(|| self.live.group_digest(&group)).ok();
            if kept != Some(digest) {
                let what = format!("digest of group {group}");
                self.note(Some(group), what, Wrong::Differs);
            }
        }
    }

    fn covers(&self, group: Option<&str>) -> bool {
        match group {
            Some(group) => self.scope.has(group),
            None => *self.scope == Scope::Whole,
        }
    }

    /// The group that an entry belongs to: the one in its key, or that of its message.
    fn group(&mut self, key: &[u8]) -> Option<String> {
        if let Some(group) = group_of(key) {
            return Some(group);
        }
        let (Ok(Key::Message { message }) | Ok(Key::Receipt { message, .. })) = Key::decode(key) else {
            return None;
        };
        if let Some((last, group)) = &self.message
            && *last == message
        {
            return group.clone();
        }
        let head = Key::Message { message: message.clone() };
        let bytes = head.encode();
        let sources = [self.fresh, self.live].map(|view| unpanicked(|| view.bytes(&bytes)));
        let group =
            sources.into_iter().flatten().flatten().find_map(|value| match head.decode_value(&value) {
                Ok(Value::Message(message)) => message.group_id.and_then(|register| register.value),
                _ => None,
            });
        self.message = Some((message, group.clone()));
        group
    }

    fn note_key(&mut self, group: Option<String>, key: &[u8], what: Wrong) {
        let words = Key::decode(key).map_or_else(
            |_| format!("unknown key {}", groupfold_schemas::id::hex(key)),
            |key| words::of_key(&key),
        );
        self.note(group, words, what);
    }

    fn note(&mut self, group: Option<String>, key: String, what: Wrong) {
        self.report.differing += 1;
        if self.report.differences.len() < NAMED_MAX {
            self.report.differences.push(Difference { group, key, what });
        }
    }
}

/// What a damaged database panics about is an error like any other.
fn unpanicked<T>(read: impl FnOnce() -> Result<T, store::Error>) -> Result<T, store::Error> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(store::Error::Damaged { partition: 0, source: "the database panicked while reading".into() })
    })
}

/// The groups of some differences, each once.
#[must_use]
pub fn groups_of(differences: &[Difference]) -> BTreeSet<&str> {
    differences.iter().filter_map(|difference| difference.group.as_deref()).collect()
}
