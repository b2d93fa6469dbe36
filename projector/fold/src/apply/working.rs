//! Entries being worked on: read once, merged as values, written once.

use std::collections::BTreeMap;

use super::{Changes, Contributed, Contributions};
use crate::entry::{Error, Key, Memory, Prefix, Source, Value};
use crate::merge::{absorbs, merge};

/// Entries that some records contribute to, over what was loaded of them.
#[derive(Debug, Default)]
pub struct Working {
    loaded: Memory,
    seen: BTreeMap<Vec<u8>, Seen>,
}

#[derive(Debug)]
struct Seen {
    key: Key,
    /// `None` where nothing is.
    value: Option<Box<Value>>,
    changed: bool,
}

/// What a record makes different, not yet taken over; by key.
#[derive(Debug, Default)]
pub(crate) struct Step(pub(crate) Vec<Made>);

/// One entry as it will be.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: Key,
    pub(crate) new: Box<Value>,
}

impl Working {
    /// Begins with entries as they are. Those that are not among them are taken not to exist.
    #[must_use]
    pub fn over(loaded: Memory) -> Self {
        Self { loaded, seen: BTreeMap::new() }
    }

    /// Merges contributions.
    ///
    /// # Errors
    /// A loaded entry is damaged.
    pub fn apply(&mut self, contributions: Contributions) -> Result<(), Error> {
        for Contributed { bytes, key, value } in contributions.0 {
            let seen = self.see(&bytes, key)?;
            if seen.value.as_deref().is_some_and(|old| absorbs(old, &value)) {
                continue;
            }
            // Whether it differs is told by its bytes, at the end.
            seen.value = Some(Box::new(merge(seen.value.take().map(|old| *old), *value)));
            seen.changed = true;
        }
        Ok(())
    }

    /// What contributions would make different.
    pub(crate) fn step(&mut self, contributions: Contributions) -> Result<Step, Error> {
        let mut step = Step::default();
        for Contributed { bytes, key, value } in contributions.0 {
            if let Some(last) = step.0.last_mut().filter(|last| last.bytes == bytes) {
                *last.new = merge(Some((*last.new).clone()), *value);
                continue;
            }
            let old = self.see(&bytes, key.clone())?.value.as_deref();
            if old.is_some_and(|old| absorbs(old, &value)) {
                continue;
            }
            let new = merge(old.cloned(), *value);
            if old != Some(&new) {
                step.0.push(Made { bytes, key, new: Box::new(new) });
            }
        }
        Ok(step)
    }

    /// What stands where a step will put something; `None` where nothing does.
    pub(crate) fn before(&self, made: &Made) -> Option<&Value> {
        self.seen.get(&made.bytes)?.value.as_deref()
    }

    /// Takes a step.
    pub(crate) fn take(&mut self, step: Step) {
        for Made { bytes, key, new } in step.0 {
            self.seen.insert(bytes, Seen { key, value: Some(new), changed: true });
        }
    }

    /// What all that was applied makes different, over what was loaded.
    #[must_use]
    pub fn finish(self) -> Changes {
        let mut changes = Changes::default();
        for (bytes, seen) in self.seen {
            let Some(value) = seen.value.filter(|_| seen.changed) else { continue };
            let (old, new) = (self.loaded.0.get(&bytes), value.encode());
            if old != Some(&new) {
                changes.put(bytes, old, new);
            }
        }
        changes
    }

    /// Entries that were looked at, as they are now.
    pub(super) fn values(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.seen.iter().filter_map(|(bytes, seen)| Some((bytes.as_slice(), seen.value.as_deref()?)))
    }

    fn see(&mut self, bytes: &[u8], key: Key) -> Result<&mut Seen, Error> {
        if !self.seen.contains_key(bytes) {
            let loaded = self.loaded.0.get(bytes);
            let value = loaded.map(|loaded| key.decode_value(loaded)).transpose()?.map(Box::new);
            self.seen.insert(bytes.to_vec(), Seen { key: key.clone(), value, changed: false });
        }
        // Just put there if it was not.
        self.seen.get_mut(bytes).ok_or(Error::Key)
    }
}

/// What was changed. All else is as it was where it was loaded from.
impl Source for Working {
    type Error = Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, Error> {
        let seen = self.seen.get(&key.encode()).filter(|seen| seen.changed);
        Ok(seen.and_then(|seen| seen.value.as_deref().cloned()))
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>, Error> {
        let prefix = prefix.encode();
        let under = self.seen.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        let changed = under.filter(|(_, seen)| seen.changed);
        let entry = |seen: &Seen| Some((seen.key.clone(), seen.value.as_deref()?.clone()));
        Ok(changed.filter_map(|(_, seen)| entry(seen)).collect())
    }
}
