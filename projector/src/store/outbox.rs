//! Changes to publish: written with the state that they tell of, taken out when the change feed has them.

use std::ops::Bound;

use groupfold_fold::change::mark_of;
use groupfold_fold::entry;
use groupfold_schemas::change::Mark;
use groupfold_schemas::{frame, v1};

use super::{Error, Open, ReadView, VALUE_BYTES_MAX, Writes, database};

pub(super) const PREFIX: u8 = b'O';

/// What a parcel has around each of its changes: tag and length.
const AROUND_BYTES: usize = 8;
/// Bytes of changes that stand under one key: a commit writes few keys, however much it tells.
const PARCEL_BYTES: usize = 24 * 1024;
const _: () = assert!(PARCEL_BYTES < VALUE_BYTES_MAX);

/// What a commit adds to the changes to publish, and what it leaves out.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// Parcels of changes, each with its bytes.
    puts: Vec<(v1::Outgoing, usize)>,
    added: usize,
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

    /// Says that changes up to this one are not here, as they are published. Their parcels stay until the commit after this one.
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
    }
}

/// Takes parcels out that an earlier commit left out. So they are missed by nobody where this commit is taken back.
pub(super) fn take_out(partition: u16, open: &Open, writes: &mut Writes) -> Result<(), Error> {
    let (from, to) = (Bound::Included(vec![PREFIX]), Bound::Included(key(published(&open.progress))));
    for key in open.db.range((from, to)).keys() {
        writes.remove_unnoted(key.map_err(|error| database(partition, error))?.to_vec());
    }
    Ok(())
}

impl ReadView<'_> {
    /// Changes to publish after a place, in order: those of as many parcels as it takes to have `most`. What is left out is
    /// not there.
    ///
    /// # Errors
    /// The store is closed, or one cannot be read.
    pub fn outbox_after(&self, after: Mark, most: usize) -> Result<Vec<v1::Change>, Error> {
        let after = after.max(published(&self.progress()));
        let mut found = Vec::new();
        let (mut from, to) = behind(after);
        while found.len() < most {
            let read =
                |at: &[u8], value: &[u8]| Some((at.to_vec(), frame::decode::<v1::Outgoing>(value).ok()?));
            let Some((at, parcel)) = self.range(from, to.clone(), 1, read)?.pop() else { break };
            found.extend(parcel.changes.into_iter().filter(|change| mark_of(change) > after));
            from = Bound::Excluded(at);
        }
        Ok(found)
    }

    /// Place of the last parcel with nothing behind one change; `None` if there is none that is not left out.
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub fn outbox_up_to(&self, last: Mark) -> Result<Option<Mark>, Error> {
        let left_out = published(&self.progress());
        if last <= left_out {
            return Ok(None);
        }
        let between = (Bound::Excluded(key(left_out)), Bound::Included(key(last)));
        let Some(parcel) = self.walk_back(between)?.next() else { return Ok(None) };
        let (key, _) = parcel.map_err(|error| database(self.partition(), error))?;
        mark(&key).map(Some).ok_or_else(|| Error::damaged(self.partition(), entry::Error::Key))
    }
}

/// Reads changes for nothing but to know that they can be read, where they are behind what is published.
pub(super) fn check(partition: u16, published: Mark, at: &[u8], value: &[u8]) -> Result<(), Error> {
    if *at <= *key(published) {
        return Ok(());
    }
    let read = frame::decode::<v1::Outgoing>(value).map(drop);
    read.map_err(|error| Error::damaged(partition, error))
}

/// The keys of parcels with a change behind this one.
pub(super) fn behind(mark: Mark) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (Bound::Excluded(key(mark)), Bound::Excluded(vec![PREFIX + 1]))
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
    use crate::store::Store;
    use crate::testing::Folder;

    fn change(sequence: u64) -> v1::Change {
        let (group_id, event_id) = ("G".to_owned(), "e".repeat(200));
        v1::Change { sequence, group_id, event_id, ..v1::Change::default() }
    }

    impl Store {
        /// Parcels in the outbox, also those that are left out.
        pub(crate) fn parcels(&self) -> usize {
            self.inner.read().unwrap().as_ref().unwrap().db.scan_prefix([PREFIX]).keys().count()
        }
    }

    fn commit(store: &Store, outbox: &Outbox) {
        let left_out = outbox.left_out(&store.view().unwrap().progress());
        let (published_sequence, published_index) = (left_out.sequence, left_out.index);
        let progress = v1::Progress { published_sequence, published_index, ..v1::Progress::default() };
        store.commit_with(&Default::default(), &[], outbox, progress).unwrap();
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
        commit(&partition.store, &outbox);
        let at = |sequence| Mark { sequence, index: 0 };
        {
            let view = partition.store.view().unwrap();
            for after in [0, 1, 99, 299, 300] {
                let found = view.outbox_after(at(after), 1_000).unwrap();
                assert_eq!(sequences(&found), (after + 1..=300).collect::<Vec<_>>());
            }
            let some = view.outbox_after(at(40), 10).unwrap();
            assert!((10..300).contains(&some.len()), "as many parcels as it takes: {}", some.len());
            assert_eq!(view.outbox_up_to(at(10)).unwrap(), None, "the first parcel goes further");
            assert_eq!(view.outbox_up_to(at(300)).unwrap(), Some(at(300)));
        }
        let parcels = || partition.store.parcels();
        let all = parcels();
        assert!((2..10).contains(&all), "{all}");

        // What is published of a parcel that is not yet is there still; the others go with the next commit.
        let left = |up_to| {
            let view = partition.store.view().unwrap();
            (view.outbox_up_to(at(up_to)).unwrap(), sequences(&view.outbox_after(at(0), 1_000).unwrap()))
        };
        let last_whole = left(299).0.unwrap();
        assert!(last_whole.sequence > 100, "{last_whole:?}");
        let mut outbox = Outbox::default();
        outbox.leave_out(last_whole);
        commit(&partition.store, &outbox);
        let rest: Vec<u64> = (last_whole.sequence + 1..=300).collect();
        assert_eq!((left(299), parcels()), ((None, rest.clone()), all));
        commit(&partition.store, &Outbox::default());
        assert_eq!((left(299), parcels()), ((None, rest), 1));
    }

    /// No more than 50 of them went, while one commit could bring more.
    #[test]
    fn however_many_parcels_are_published_the_next_commit_takes_them_out() {
        let folder = Folder::new();
        let store = &folder.open(3).store;
        let mut outbox = Outbox::default();
        let long = |sequence| v1::Change { event_id: "e".repeat(PARCEL_BYTES / 2), ..change(sequence) };
        (1..=120).for_each(|sequence| outbox.put(long(sequence)));
        commit(store, &outbox);
        assert!(store.parcels() > 100, "{}", store.parcels());
        let mut outbox = Outbox::default();
        outbox.leave_out(Mark { sequence: 120, index: 0 });
        commit(store, &outbox);
        commit(store, &Outbox::default());
        assert_eq!(store.parcels(), 0);
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
        commit(&partition.store, &outbox);
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
