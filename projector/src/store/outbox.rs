//! Changes to publish: written with the state that they tell of, taken out when the change feed has them.

use std::ops::Bound;

use groupfold_fold::change::mark_of;
use groupfold_schemas::change::Mark;
use groupfold_schemas::{frame, v1};

use super::{Error, ReadView, VALUE_BYTES_MAX, Writes};

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
    left_out: Mark,
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
        self.leave_out(parcel);
    }

    /// Says that changes up to this one are not here, as they are published.
    pub fn leave_out(&mut self, up_to: Mark) {
        self.left_out = self.left_out.max(up_to);
    }

    /// Up to where changes are not here, with what the store says of those before.
    #[must_use]
    pub fn left_out(&self, before: &v1::Progress) -> Mark {
        self.left_out.max(published(before))
    }

    /// How many changes it adds.
    #[must_use]
    pub fn added(&self) -> usize {
        self.added
    }

    pub(super) fn write(&self, writes: &mut Writes) {
        for (parcel, _) in &self.puts {
            let last = parcel.changes.last().map(mark_of).unwrap_or_default();
            writes.put(&key(last), frame::encode(parcel));
        }
        for key in &self.removes {
            writes.remove(key);
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
            let read =
                |at: &[u8], value: &[u8]| Some((at.to_vec(), frame::decode::<v1::Outgoing>(value).ok()?));
            let Some((at, parcel)) = self.range(from, to, 1, read)?.pop() else { break };
            found.extend(parcel.changes.into_iter().filter(|change| mark_of(change) > after));
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

/// Reads changes for nothing but to know that they can be read.
pub(super) fn check(partition: u16, value: &[u8]) -> Result<(), Error> {
    let read = frame::decode::<v1::Outgoing>(value).map(drop);
    read.map_err(|error| Error::damaged(partition, error))
}

/// Up to where changes are not in the outbox, as the stream of changes had them.
#[must_use]
pub(crate) fn published(progress: &v1::Progress) -> Mark {
    Mark { sequence: progress.published_sequence, index: progress.published_index }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn change(sequence: u64) -> v1::Change {
        let (group_id, event_id) = ("G".to_owned(), "e".repeat(200));
        v1::Change { sequence, group_id, event_id, ..v1::Change::default() }
    }

    fn sequences(changes: &[v1::Change]) -> Vec<u64> {
        changes.iter().map(|change| change.sequence).collect()
    }

    #[test]
    fn changes_stand_in_few_parcels_and_are_read_from_any_place_in_order() {
        let folder = Folder::new();
        let partition = folder.open(3);
        let mut outbox = Outbox::default();
        (1..=300).for_each(|sequence| outbox.put(change(sequence)));
        assert_eq!(outbox.added(), 300);
        let progress = v1::Progress { sequence: 300, ..v1::Progress::default() };
        partition.store.commit_with(&Default::default(), &[], &outbox, progress.clone()).unwrap();
        let at = |sequence| Mark { sequence, index: 0 };
        let parcels = {
            let view = partition.store.view().unwrap();
            for after in [0, 1, 99, 299, 300] {
                let found = view.outbox_after(at(after), 1_000).unwrap();
                assert_eq!(sequences(&found), (after + 1..=300).collect::<Vec<_>>());
            }
            let some = view.outbox_after(at(40), 10).unwrap();
            assert!((10..300).contains(&some.len()), "as many parcels as it takes: {}", some.len());
            assert!(view.outbox_up_to(at(10), 50).unwrap().is_empty(), "the first parcel goes further");
            view.outbox_up_to(at(300), 50).unwrap()
        };
        assert!((2..10).contains(&parcels.len()), "{}", parcels.len());
        let mut taken = Outbox::default();
        parcels[..parcels.len() - 1].iter().for_each(|parcel| taken.remove(*parcel));
        partition.store.commit_with(&Default::default(), &[], &taken, progress).unwrap();
        let view = partition.store.view().unwrap();
        let left = sequences(&view.outbox_after(at(0), 1_000).unwrap());
        assert_eq!(left, (parcels[parcels.len() - 2].sequence + 1..=300).collect::<Vec<_>>());
    }

    /// A change that takes so many bytes.
    fn of_len(sequence: u64, bytes: usize) -> v1::Change {
        let of = |len| v1::Change { event_id: "e".repeat(len), ..change(sequence) };
        (0..bytes).rev().map(of).find(|change| frame::encoded_len(change) == bytes).unwrap()
    }

    #[test]
    fn a_parcel_is_filled_to_its_bound_and_no_further() {
        let parcels = |last| {
            let mut outbox = Outbox::default();
            [10_000, 10_000, last].into_iter().for_each(|bytes| outbox.put(of_len(1, bytes)));
            assert!(outbox.puts.iter().all(|(parcel, _)| frame::encoded_len(parcel) <= PARCEL_BYTES));
            outbox.puts.iter().map(|(parcel, _)| parcel.changes.len()).collect::<Vec<_>>()
        };
        let rest = PARCEL_BYTES - 2 * (10_000 + AROUND_BYTES);
        assert_eq!(parcels(rest), [3]);
        assert_eq!(parcels(rest + 1), [2, 1]);
    }

    #[test]
    fn no_more_parcels_are_read_than_it_takes() {
        let folder = Folder::new();
        let partition = folder.open(3);
        let mut outbox = Outbox::default();
        (1..=4).for_each(|sequence| outbox.put(of_len(sequence, PARCEL_BYTES)));
        assert!(
            outbox.puts.iter().all(|(parcel, _)| !parcel.changes[0].omitted),
            "the longest goes as it is"
        );
        let progress = v1::Progress { sequence: 4, ..v1::Progress::default() };
        partition.store.commit_with(&Default::default(), &[], &outbox, progress).unwrap();
        let view = partition.store.view().unwrap();
        let found = view.outbox_after(Mark { sequence: 1, index: 0 }, 2).unwrap();
        assert_eq!(sequences(&found), [2, 3]);
    }

    #[test]
    fn a_change_that_is_too_long_goes_without_its_values() {
        let long = || {
            let value = v1::change_value::Value::Text("x".repeat(PARCEL_BYTES));
            Some(v1::ChangeValue { value: Some(value) })
        };
        let reported = v1::Participant { username: Some("x".repeat(PARCEL_BYTES)), ..Default::default() };
        for change in [
            v1::Change { before: long(), ..change(8) },
            v1::Change { after: long(), ..change(8) },
            v1::Change { reported: Some(reported), ..change(8) },
        ] {
            let mut outbox = Outbox::default();
            outbox.put(change);
            assert_eq!(outbox.puts[0].0.changes, [v1::Change { omitted: true, ..self::change(8) }]);
        }
    }
}
