//! What makes a commit atomic: before it writes, it notes in a tree of its own what it is about to write over.
//!
//! ```text
//!   undo: parts of 7 ─▶ entries, one after the other ─▶ undo: 7 is done ─▶ flushed, synced
//! ```
//!
//! The database's file is a log: what comes up after a crash is what was written up to some moment. So a commit that is
//! not done has its parts there, or has written nothing; and it is taken back before anybody looks. Published changes
//! that it removed stay away then: they are not noted, for nobody looks at them any more, see `outbox`. The
//! database's own batches would do the same, but hold a lock of the whole process while they are written,
//! against readers and writers of every partition, and cost half as much again.

use groupfold_schemas::{frame, v1};

use super::shadow::Shadow;
use super::{Error, VALUE_BYTES_MAX, database, put};

const TREE: &str = "undo";
/// Under it stands the last commit that came to its end; parts stand under their numbers.
const DONE: &[u8] = b"done";

/// What a part has around each key and value: tags and lengths.
const AROUND_BYTES: usize = 16;
/// Most bytes of a part, save for one whose only value is longer by its key.
const PART_BYTES: usize = VALUE_BYTES_MAX;

/// The tree beside the entries.
#[derive(Debug)]
pub(super) struct Undo {
    partition: u16,
    tree: sled::Tree,
}

impl Undo {
    pub(super) fn of(partition: u16, db: &sled::Db) -> Result<Self, Error> {
        let tree = db.open_tree(TREE).map_err(|error| database(partition, error))?;
        Ok(Self { partition, tree })
    }

    /// Notes what a commit is about to write over; which commit it is.
    pub(super) fn begin(&self, old: &Shadow) -> Result<u64, Error> {
        let commit = self.done()? + 1;
        let parts = parts(old);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (number, overwritten) in (0..count).zip(parts) {
            let part = frame::encode(&v1::Undo { commit, parts: count, overwritten });
            put(self.partition, &self.tree, &number.to_be_bytes(), Some(part))?;
        }
        Ok(commit)
    }

    /// Nothing will be taken back: all of the commit is written.
    pub(super) fn end(&self, commit: u64) -> Result<(), Error> {
        put(self.partition, &self.tree, DONE, Some(&commit.to_be_bytes()))
    }

    /// Takes a commit back that was cut short. True if there was one.
    pub(super) fn take_back(&self, db: &sled::Db) -> Result<bool, Error> {
        let commit = self.done()? + 1;
        let Some(overwritten) = self.noted(commit)? else { return Ok(false) };
        for v1::Overwritten { key, value } in overwritten {
            put(self.partition, db, &key, value.as_deref())?;
        }
        self.end(commit)?;
        Ok(true)
    }

    /// What a commit noted; `None` if it did not come that far, and so wrote nothing.
    fn noted(&self, commit: u64) -> Result<Option<Vec<v1::Overwritten>>, Error> {
        let mut all = Vec::new();
        for number in 0_u32.. {
            let Some(part) = self.get(&number.to_be_bytes())? else { return Ok(None) };
            let part: v1::Undo =
                frame::decode(&part).map_err(|error| Error::damaged(self.partition, error))?;
            if part.commit != commit {
                return Ok(None);
            }
            all.extend(part.overwritten);
            if number + 1 >= part.parts {
                break;
            }
        }
        Ok(Some(all))
    }

    /// The last commit that came to its end; zero before the first.
    fn done(&self) -> Result<u64, Error> {
        let Some(bytes) = self.get(DONE)? else { return Ok(0) };
        let bytes = bytes.as_ref().try_into().map_err(|error| Error::damaged(self.partition, error))?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        self.tree.get(key).map_err(|error| database(self.partition, error))
    }
}

/// Keys and old values, split where a part is full; at least one part.
fn parts(old: &Shadow) -> Vec<Vec<v1::Overwritten>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for (key, value) in old {
        let more = AROUND_BYTES + key.len() + value.as_ref().map_or(0, |value| value.len());
        if bytes > 0 && bytes + more > PART_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        let value = value.as_ref().map(|value| value.to_vec().into());
        if let Some(part) = parts.last_mut() {
            part.push(v1::Overwritten { key: key.clone().into(), value });
        }
    }
    parts
}

#[cfg(test)]
mod tests;
