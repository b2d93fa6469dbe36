//! Changes to publish: written with the state that they tell of, taken out when the change feed has them.

use std::ops::Bound;

use groupfold_fold::change::mark_of;
use groupfold_schemas::change::Mark;
use groupfold_schemas::{frame, v1};

use super::{Error, ReadView, VALUE_BYTES_MAX};

pub(super) const PREFIX: u8 = b'O';

/// What a commit adds to the changes to publish, and what it takes out.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    puts: Vec<(Vec<u8>, Vec<u8>)>,
    removes: Vec<Vec<u8>>,
}

impl Outbox {
    /// Adds a change. One whose values are too long for the store goes without them, and says so.
    pub fn put(&mut self, change: &v1::Change) {
        let mut bytes = frame::encode(change);
        if bytes.len() > VALUE_BYTES_MAX {
            let short =
                v1::Change { before: None, after: None, reported: None, omitted: true, ..change.clone() };
            bytes = frame::encode(&short);
        }
        self.puts.push((key(mark_of(change)), bytes));
    }

    /// Takes out a change that is published.
    pub fn remove(&mut self, mark: Mark) {
        self.removes.push(key(mark));
    }

    /// How many changes it adds.
    #[must_use]
    pub fn added(&self) -> usize {
        self.puts.len()
    }

    pub(super) fn write(&self, batch: &mut sled::Batch) {
        for (key, value) in &self.puts {
            batch.insert(key.as_slice(), value.as_slice());
        }
        for key in &self.removes {
            batch.remove(key.as_slice());
        }
    }
}

impl ReadView<'_> {
    /// Changes to publish after a place, in order, `most` at most.
    ///
    /// # Errors
    /// The store is closed, or one cannot be read.
    pub fn outbox_after(&self, after: Mark, most: usize) -> Result<Vec<v1::Change>, Error> {
        let from = Bound::Excluded(key(after));
        self.range(from, Bound::Excluded(vec![PREFIX + 1]), most, |_, value| frame::decode(value).ok())
    }

    /// Places of the changes up to one, in order, `most` at most.
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub fn outbox_up_to(&self, last: Mark, most: usize) -> Result<Vec<Mark>, Error> {
        let from = Bound::Included(vec![PREFIX]);
        self.range(from, Bound::Included(key(last)), most, |key, _| mark(key))
    }
}

/// Reads a change for nothing but to know that it can be read.
pub(super) fn check(partition: u16, value: &[u8]) -> Result<(), Error> {
    let read = frame::decode::<v1::Change>(value).map(drop);
    read.map_err(|error| Error::Damaged { partition, source: Box::new(error) })
}

fn key(mark: Mark) -> Vec<u8> {
    let mut key = vec![PREFIX];
    key.extend_from_slice(&mark.sequence.to_be_bytes());
    key.extend_from_slice(&mark.index.to_be_bytes());
    key
}

fn mark(key: &[u8]) -> Option<Mark> {
    let (sequence, rest) = key.strip_prefix(&[PREFIX])?.split_first_chunk()?;
    let index = u32::from_be_bytes(rest.try_into().ok()?);
    Some(Mark { sequence: u64::from_be_bytes(*sequence), index })
}
