//! The digest of each group, kept beside the entries: of those whose keys name the group, see [`group_of`]. Messages and receipts name their group in a value at best, so they count in the digest of
//! the whole partition alone, as accounts' facts and renames do.

use std::collections::BTreeMap;

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{self, group_of};
use groupfold_schemas::change::Mark;

use super::shadow::whole;
use super::{Error, FOLD_KEY, PROGRESS_KEY, UNREADABLE_PREFIX, Writes, database, outbox, pages};

const PREFIX: u8 = b'D';

/// The key that a group's digest stands under.
pub(super) fn key(group: &str) -> Vec<u8> {
    let mut key = vec![PREFIX];
    key.extend_from_slice(group.as_bytes());
    key
}

/// True for keys of the fold; the others are the store's own.
pub(super) fn is_entry(key: &[u8]) -> bool {
    key != PROGRESS_KEY
        && key != FOLD_KEY
        && !key.first().is_some_and(|first| [UNREADABLE_PREFIX, PREFIX, outbox::PREFIX].contains(first))
}

fn of_group(partition: u16, db: &sled::Db, group: &str) -> Result<Digest, Error> {
    let kept = db.get(key(group)).map_err(|error| database(partition, error))?;
    kept.map_or_else(|| Ok(Digest::default()), |bytes| read(partition, &bytes))
}

/// Adds what groups' digests change by to a batch.
pub(super) fn add<'a>(
    partition: u16,
    db: &sled::Db,
    changes: impl IntoIterator<Item = (&'a String, &'a Digest)>,
    writes: &mut Writes,
) -> Result<(), Error> {
    for (group, way) in changes {
        let digest = of_group(partition, db, group)?.plus(*way);
        writes.put(&key(group), &digest.to_bytes());
    }
    Ok(())
}

/// Works the digests of all groups out from their entries and writes them.
pub(super) fn write_all(partition: u16, db: &sled::Db) -> Result<(), Error> {
    let mut writes = Writes::default();
    for (group, digest) in by_group(partition, db)? {
        writes.put(&key(&group), &digest.to_bytes());
    }
    writes.write(partition, db)?;
    db.flush().map_err(|error| database(partition, error)).map(drop)
}

/// The digests of all groups, from their entries.
pub(super) fn by_group(partition: u16, db: &sled::Db) -> Result<BTreeMap<String, Digest>, Error> {
    let mut groups: BTreeMap<String, Digest> = BTreeMap::new();
    for entry in whole(db) {
        let (key, value) = entry.map_err(|error| database(partition, error))?;
        if let Some(group) = group_of(&key) {
            groups.entry(group).or_default().add(&key, &value);
        }
    }
    Ok(groups)
}

/// What a whole store adds up to, read once.
#[derive(Default)]
pub(super) struct Sums {
    /// Digest of all entries.
    pub(super) entries: Digest,
    /// Digest of the entries whose keys name a group.
    pub(super) of_groups: Digest,
    /// Sum of the digests that are kept.
    pub(super) kept: Digest,
}

impl Sums {
    /// Changes up to `published` may be there, and nobody reads them any more.
    pub(super) fn of(partition: u16, db: &sled::Db, published: Mark) -> Result<Self, Error> {
        let mut sums = Self::default();
        for entry in pages::entries(partition, whole(db)) {
            let (key, value) = entry?;
            if key.first() == Some(&PREFIX) {
                sums.kept = sums.kept.plus(read(partition, &value)?);
            } else if key.first() == Some(&outbox::PREFIX) {
                // No part of the state, but whoever publishes it must be able to read it.
                outbox::check(partition, published, &key, &value)?;
            } else if is_entry(&key) {
                let way = Digest::of(&key, &value);
                sums.entries = sums.entries.plus(way);
                if group_of(&key).is_some() {
                    sums.of_groups = sums.of_groups.plus(way);
                }
            }
        }
        Ok(sums)
    }
}

pub(super) fn read(partition: u16, bytes: &[u8]) -> Result<Digest, Error> {
    Digest::from_bytes(bytes).ok_or_else(|| Error::damaged(partition, entry::Error::Key))
}
