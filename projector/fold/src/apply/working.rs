//! Entries being worked on: read once, merged as values, written once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Changes, Contributed, Contributions};
use crate::entry::{Error, Key, Memory, Prefix, Source, Value};
use crate::merge::{absorbs, merge};

/// Entries that some records contribute to, over what was loaded of them.
#[derive(Debug, Default)]
pub struct Working {
    loaded: Memory,
    seen: BTreeMap<Vec<u8>, Seen>,
    bytes: usize,
}

#[derive(Debug)]
struct Seen {
    /// `None` where nothing is.
    value: Option<Box<Value>>,
    changed: bool,
}

/// What an entry takes in memory beside the bytes of its key and value, about: most are receipts.
const ENTRY_BYTES: usize = 600;

/// What an entry as it was loaded takes beside its bytes, about.
const LOADED_BYTES: usize = 80;

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
        Self { loaded, seen: BTreeMap::new(), bytes: 0 }
    }

    /// The keys of contributions that were not met before: those to be loaded.
    pub fn unmet<'a>(&self, contributions: &'a Contributions) -> impl Iterator<Item = &'a Vec<u8>> {
        contributions.keys().filter(|key| !self.seen.contains_key(*key))
    }

    /// Adds entries as they are, of keys that were not met before.
    pub fn load(&mut self, more: Memory) {
        let bytes = |(key, value): (&Vec<u8>, &Vec<u8>)| LOADED_BYTES + key.len() + value.len();
        self.bytes += more.0.iter().map(bytes).sum::<usize>();
        self.loaded.0.extend(more.0);
    }

    /// About how many bytes of memory all that was met takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Merges contributions.
    ///
    /// # Errors
    /// A loaded entry is damaged.
    pub fn apply(&mut self, contributions: Contributions) -> Result<(), Error> {
        for Contributed { bytes, key, value } in contributions.0 {
            self.bytes += value.encoded_len();
            let seen = match self.seen.entry(bytes) {
                Entry::Occupied(seen) => seen.into_mut(),
                Entry::Vacant(place) => {
                    self.bytes += place.key().len() + ENTRY_BYTES;
                    let old = read(&self.loaded, place.key(), &key)?;
                    place.insert(Seen { value: old, changed: false })
                }
            };
            match &mut seen.value {
                Some(old) if absorbs(old, &value) => continue,
                // Whether it differs is told by its bytes, at the end.
                old => *old = Some(merged(old.take(), value)),
            }
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
            let old = self.look(&bytes, &key)?;
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

    fn look(&mut self, bytes: &[u8], key: &Key) -> Result<Option<&Value>, Error> {
        if !self.seen.contains_key(bytes)
            && let Some(old) = read(&self.loaded, bytes, key)?
        {
            self.seen.insert(bytes.to_vec(), Seen { value: Some(old), changed: false });
        }
        Ok(self.seen.get(bytes).and_then(|seen| seen.value.as_deref()))
    }

    /// What stands where a step will put something; `None` where nothing does.
    pub(crate) fn before(&self, made: &Made) -> Option<&Value> {
        self.seen.get(&made.bytes)?.value.as_deref()
    }

    /// Takes a step.
    pub(crate) fn take(&mut self, step: Step) {
        for Made { bytes, new, .. } in step.0 {
            self.seen.insert(bytes, Seen { value: Some(new), changed: true });
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
}

fn read(loaded: &Memory, bytes: &[u8], key: &Key) -> Result<Option<Box<Value>>, Error> {
    Ok(loaded.0.get(bytes).map(|loaded| key.decode_value(loaded)).transpose()?.map(Box::new))
}

fn merged(old: Option<Box<Value>>, new: Box<Value>) -> Box<Value> {
    match old {
        None => new,
        Some(old) => Box::new(merge(Some(*old), *new)),
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
        let values = changed.filter_map(|(bytes, seen)| Some((bytes, seen.value.as_deref()?)));
        values.map(|(bytes, value)| Ok((Key::decode(bytes)?, value.clone()))).collect()
    }
}
