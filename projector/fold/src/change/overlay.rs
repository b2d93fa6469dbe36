//! Entries over entries: what is about to be written, over what is.

use std::collections::BTreeMap;

use super::Error;
use crate::apply::Working;
use crate::entry::{Key, Prefix, Source, Value};

pub(super) struct Overlay<'a, S> {
    pub(super) below: &'a S,
    pub(super) above: &'a Working,
}

impl<S: Source> Source for Overlay<'_, S> {
    type Error = Error<S::Error>;

    fn get(&self, key: &Key) -> Result<Option<Value>, Self::Error> {
        match self.above.get(key).map_err(Error::Entry)? {
            Some(value) => Ok(Some(value)),
            None => self.below.get(key).map_err(Error::Source),
        }
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>, Self::Error> {
        let below = self.below.scan(prefix).map_err(Error::Source)?;
        let above = self.above.scan(prefix).map_err(Error::Entry)?;
        if above.is_empty() {
            return Ok(below);
        }
        let all = below.into_iter().chain(above);
        let all: BTreeMap<Vec<u8>, (Key, Value)> = all.map(|entry| (entry.0.encode(), entry)).collect();
        Ok(all.into_values().collect())
    }

    fn keys(&self, prefix: &Prefix, visit: &mut dyn FnMut(Key)) -> Result<(), Self::Error> {
        self.below.keys(prefix, visit).map_err(Error::Source)?;
        self.above.keys(prefix, visit).map_err(Error::Entry)
    }

    fn groups(&self, visit: &mut dyn FnMut(String, &str)) -> Result<(), Self::Error> {
        self.below.groups(visit).map_err(Error::Source)?;
        // One that is in both comes twice.
        self.above.groups(visit).map_err(Error::Entry)
    }
}
