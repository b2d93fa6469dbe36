//! Changes to publish: written with the state that they tell of, taken out when the change feed has them.

use std::ops::Bound;

use groupfold_fold::change::mark_of;
use groupfold_schemas::change::Mark;
use groupfold_schemas::{frame, v1};

use super::{Error, ReadView, VALUE_BYTES_MAX};

pub(super) const PREFIX: u8 = b'O';

/// What a parcel has around each of its changes: tag and length.
const AROUND_BYTES: usize = 8;
/// Bytes of changes that stand under one key: a commit writes few keys, however much it tells.
const PARCEL_BYTES: usize = 24 * 1024;
const _: () = assert!(PARCEL_BYTES < VALUE_BYTES_MAX);

/// What a commit adds to the changes to publish, and what it takes out.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// Parcels of changes, each with its bytes.
    puts: Vec<(v1::Outgoing, usize)>,
    added: usize,
    removes: Vec<Vec<u8>>,
}

impl Outbox {
    /// Adds a change behind the others. One whose values are too long for the store goes without them, and says so.
    pub fn put(&mut self, mut change: v1::Change) {
        let mut bytes = frame::encoded_len(&change);
        if bytes > PARCEL_BYTES {
            change = v1::Change { before: None, after: None, reported: None, omitted: true, ..change };
            bytes = frame::encoded_len(&change);
        }
        self.added += 1;
        match self.puts.last_mut() {
            Some((parcel, full)) if *full + bytes <= PARCEL_BYTES => {
                parcel.changes.push(change);
                *full += bytes + AROUND_BYTES;
            }
            _ => self.puts.push((v1::Outgoing { changes: vec![change] }, bytes + AROUND_BYTES)),
        }
    }

    /// Takes out a parcel that is published, by its place.
    pub fn remove(&mut self, parcel: Mark) {
        self.removes.push(key(parcel));
    }

    /// How many changes it adds.
    #[must_use]
    pub fn added(&self) -> usize {
        self.added
    }

    pub(super) fn write(&self, batch: &mut sled::Batch) {
        for (parcel, _) in &self.puts {
            let last = parcel.changes.last().map(mark_of).unwrap_or_default();
            batch.insert(key(last), frame::encode(parcel));
        }
        for key in &self.removes {
            batch.remove(key.as_slice());
        }
    }
}

impl ReadView<'_> {
    /// Changes to publish after a place, in order: those of as many parcels as it takes to have `most`.
    ///
    /// # Errors
    /// The store is closed, or one cannot be read.
    pub fn outbox_after(&self, after: Mark, most: usize) -> Result<Vec<v1::Change>, Error> {
        let mut found = Vec::new();
        let mut from = Bound::Excluded(key(after));
        while found.len() < most {
            let to = Bound::Excluded(vec![PREFIX + 1]);
            let read = |at: &[u8], value: &[u8]| Some((at.to_vec(), changes_in(value).ok()?));
            let Some((at, changes)) = self.range(from, to, 1, read)?.pop() else { break };
            found.extend(changes.into_iter().filter(|change| mark_of(change) > after));
            from = Bound::Excluded(at);
        }
        Ok(found)
    }

    /// Places of the parcels with nothing behind one change, in order, `most` at most.
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub fn outbox_up_to(&self, last: Mark, most: usize) -> Result<Vec<Mark>, Error> {
        let from = Bound::Included(vec![PREFIX]);
        self.range(from, Bound::Included(key(last)), most, |key, _| mark(key))
    }
}

/// The changes of a parcel; one alone where an earlier build kept it so.
fn changes_in(value: &[u8]) -> Result<Vec<v1::Change>, frame::Error> {
    let parcel: v1::Outgoing = frame::decode(value)?;
    if parcel.changes.is_empty() {
        return Ok(vec![frame::decode(value)?]);
    }
    Ok(parcel.changes)
}

/// Reads changes for nothing but to know that they can be read.
pub(super) fn check(partition: u16, value: &[u8]) -> Result<(), Error> {
    let read = changes_in(value).map(drop);
    read.map_err(|error| Error::Damaged { partition, source: Box::new(error) })
}

/// A parcel stands under the place of its last change.
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
