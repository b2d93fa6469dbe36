//! A live store and one folded anew, entry by entry. Both must stand still and at the same position.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{Key, Value, group_of};
use groupfold_fold::merge::merge;

use super::report::{Compared, Difference, NAMED_MAX, Scope, Wrong};
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::store::{self, ReadView, Store};
use crate::words;

/// Entries walked through before it is looked whether to go on: whoever closes the live store waits until then.
const LOOK_EVERY: u64 = 256;

/// Compares what a scope covers, until it is told to stop.
///
/// # Errors
/// One is closed, or the new store cannot be read, or it was told to stop. What cannot be read of the live one is a
/// difference.
pub(super) fn compare(
    live: &Store,
    fresh: &Store,
    scope: &Scope,
    shutdown: &CancellationToken,
) -> Result<Compared, Error> {
    let (live, fresh) = (live.view()?, fresh.view()?);
    let progress = live.progress();
    let report = Compared { partition: live.partition(), sequence: progress.sequence, ..Compared::default() };
    let mut comparison = Comparison {
        live: &live,
        fresh: &fresh,
        scope,
        shutdown,
        walked: 0,
        report,
        message: None,
        groups: BTreeMap::new(),
        live_groups: BTreeMap::new(),
    };
    let (digest, live_digest) = comparison.both()?;
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

/// Key and value of an entry.
type Entry = (Bytes, Bytes);

struct Comparison<'a> {
    live: &'a ReadView<'a>,
    fresh: &'a ReadView<'a>,
    scope: &'a Scope,
    shutdown: &'a CancellationToken,
    walked: u64,
    report: Compared,
    /// The message looked at last, and its group: receipts stand side by side.
    message: Option<(String, Option<String>)>,
    /// Digests of groups as the log has them.
    groups: BTreeMap<String, Digest>,
    /// And as the entries of the live store add up.
    live_groups: BTreeMap<String, Digest>,
}

impl Comparison<'_> {
    /// Walks through both stores side by side, by key. Returns the digest of what the log has, and that of what the
    /// live store has; `None` if its entries cannot all be read.
    fn both(&mut self) -> Result<(Digest, Option<Digest>), Error> {
        let (mut log, mut store) = (Digest::default(), Some(Digest::default()));
        let mut live = self.live.entries()?;
        let mut ahead = self.step(&mut live, &mut store);
        for entry in self.fresh.entries()? {
            let (key, value) = entry?;
            self.go_on()?;
            while let Some((extra, bytes)) = ahead.take_if(|(ahead, _)| *ahead < key) {
                self.go_on()?;
                self.extra(&extra, &bytes, &mut store);
                ahead = self.step(&mut live, &mut store);
            }
            let found = match ahead.take_if(|(ahead, _)| *ahead == key) {
                Some((_, bytes)) => {
                    ahead = self.step(&mut live, &mut store);
                    Ok(Some(bytes))
                }
                None if store.is_some() => Ok(None),
                // What cannot be walked through any more may still have this one.
                None => unpanicked(self.live.partition(), || self.live.bytes(&key))
                    .map(|found| found.map(Bytes::from)),
            };
            if !self.covers(&key) {
                continue;
            }
            let way = Digest::of(&key, &value);
            self.report.entries += 1;
            log = log.plus(way);
            add(&mut self.groups, &key, way);
            let wrong = match found {
                Ok(Some(bytes)) => {
                    let same = bytes == value;
                    self.report.more += u64::from(!same && knows_more(&key, &bytes, Some(&value)));
                    self.of_live(&key, if same { way } else { Digest::of(&key, &bytes) }, &mut store);
                    (!same).then_some(Wrong::Differs)
                }
                Ok(None) => Some(Wrong::Missing),
                Err(_) => Some(Wrong::Unreadable),
            };
            wrong.into_iter().for_each(|wrong| self.note_key(&key, wrong));
        }
        while let Some((extra, bytes)) = ahead {
            self.go_on()?;
            self.extra(&extra, &bytes, &mut store);
            ahead = self.step(&mut live, &mut store);
        }
        Ok((log, store))
    }

    fn go_on(&mut self) -> Result<(), Error> {
        self.walked += 1;
        let looks = self.walked.is_multiple_of(LOOK_EVERY);
        if looks && self.shutdown.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// The next entry of the live store; from the first that cannot be read on there is none.
    fn step(
        &mut self,
        live: &mut impl Iterator<Item = Result<Entry, store::Error>>,
        digest: &mut Option<Digest>,
    ) -> Option<Entry> {
        digest.as_ref()?;
        unpanicked(self.live.partition(), || live.next().transpose()).unwrap_or_else(|error| {
            let what = format!("entries of the database ({})", store::chain(&error));
            self.note(None, what, Wrong::Unreadable);
            *digest = None;
            None
        })
    }

    /// The live store has what the log has not.
    fn extra(&mut self, key: &[u8], value: &[u8], digest: &mut Option<Digest>) {
        if self.covers(key) {
            self.of_live(key, Digest::of(key, value), digest);
            self.report.more += u64::from(knows_more(key, value, None));
            self.note_key(key, Wrong::Extra);
        }
    }

    fn of_live(&mut self, key: &[u8], way: Digest, digest: &mut Option<Digest>) {
        if let Some(digest) = digest {
            *digest = digest.plus(way);
            add(&mut self.live_groups, key, way);
        }
    }

    /// The digests that the live store keeps must be those of its own entries.
    fn digests_of_groups(&mut self) {
        for (group, digest) in std::mem::take(&mut self.live_groups) {
            let kept = unpanicked(self.live.partition(), || self.live.group_digest(&group)).ok();
            if kept != Some(digest) {
                let what = format!("digest of group {group}");
                self.note(Some(group), what, Wrong::Differs);
            }
        }
    }

    fn covers(&mut self, key: &[u8]) -> bool {
        *self.scope == Scope::Whole || self.group(key).is_some_and(|group| self.scope.has(&group))
    }

    /// The group that an entry belongs to: the one in its key, or that of its message.
    fn group(&mut self, key: &[u8]) -> Option<String> {
        if let Some(group) = group_of(key) {
            return Some(group);
        }
        let (Ok(Key::Message { message }) | Ok(Key::Receipt { message, .. }) | Ok(Key::View { message, .. })) =
            Key::decode(key)
        else {
            return None;
        };
        if let Some((last, group)) = &self.message
            && *last == message
        {
            return group.clone();
        }
        let head = Key::Message { message: message.clone() };
        let bytes = head.encode();
        let sources = [self.fresh, self.live].map(|view| unpanicked(view.partition(), || view.bytes(&bytes)));
        let group =
            sources.into_iter().flatten().flatten().find_map(|value| match head.decode_value(&value) {
                Ok(Value::Message(message)) => message.group_id.and_then(|register| register.value),
                _ => None,
            });
        self.message = Some((message, group.clone()));
        group
    }

    fn note_key(&mut self, key: &[u8], what: Wrong) {
        let group = self.group(key);
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

/// True if the live store has all that the log says of a key, and more: merged with it nothing changes.
fn knows_more(key: &[u8], live: &[u8], log: Option<&[u8]>) -> bool {
    let Ok(key) = Key::decode(key) else { return false };
    let Ok(known) = key.decode_value(live) else { return false };
    let log = log.map(|log| key.decode_value(log)).transpose();
    log.is_ok_and(|log| merge(log, known).encode() == live)
}

fn add(groups: &mut BTreeMap<String, Digest>, key: &[u8], way: Digest) {
    if let Some(group) = group_of(key) {
        let digest = groups.entry(group).or_default();
        *digest = digest.plus(way);
    }
}

/// What a damaged database panics about is an error like any other.
fn unpanicked<T>(partition: u16, read: impl FnOnce() -> Result<T, store::Error>) -> Result<T, store::Error> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(store::Error::damaged(partition, "the database panicked while reading")))
}

/// The groups of some differences, each once.
#[must_use]
pub fn groups_of(differences: &[Difference]) -> BTreeSet<&str> {
    differences.iter().filter_map(|difference| difference.group.as_deref()).collect()
}

#[cfg(test)]
mod tests {
    use groupfold_fold::identity::{Alias, AliasKind};

    use super::*;

    /// What a lost message told of a property makes it differ, not extra.
    #[test]
    fn a_value_with_all_that_the_log_says_and_more_is_told_from_one_that_lacks_something() {
        let name = |text: &str| Alias { kind: AliasKind::WaId, text: text.to_owned() };
        let key = Key::Link { group: "G".to_owned(), a: name("1"), b: name("2") };
        let link = |first_seen_ms, last_seen_ms| {
            Value::Link(groupfold_schemas::v1::Link { first_seen_ms, last_seen_ms }).encode()
        };
        let (key, log) = (key.encode(), link(2, 3));
        let more = |live: &[u8]| knows_more(&key, live, Some(&log));
        assert!(more(&link(1, 3)) && more(&link(2, 4)));
        assert!(!more(&link(3, 4)) && !more(b"damaged"));
        assert!(knows_more(&key, &link(1, 1), None));
    }

    #[test]
    fn damage_that_the_database_panics_about_is_of_the_partition_that_was_read() {
        let panics = || panic!("a test says so");
        let damage = unpanicked::<()>(5, panics).unwrap_err();
        assert_eq!(damage.partition(), Some(5), "{damage}");
    }
}
