//! What is to be written.

use std::collections::HashMap;

use groupfold_schemas::crash::{self, Point};
use sled::IVec;

use super::shadow::Shadow;
use super::{Error, database};

/// Puts and removals; of several under one key the last counts. They are written in no order: keys that only rise leave
/// every leaf of the database's tree half empty behind them, and what it rewrites on the way doubles its file.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// By key; `None` is a removal.
    pub(super) noted: HashMap<Vec<u8>, Option<IVec>>,
    /// Removals that are not taken back with the commit.
    unnoted: Vec<Vec<u8>>,
}

impl Writes {
    pub(super) fn put(&mut self, key: &[u8], value: impl Into<IVec>) {
        self.noted.insert(key.to_vec(), Some(value.into()));
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.noted.insert(key.to_vec(), None);
    }

    /// Removes a key that no view shows any more since an earlier commit, which is synced. Taking this commit back does not
    /// bring it back.
    pub(super) fn remove_unnoted(&mut self, key: Vec<u8>) {
        self.unnoted.push(key);
    }

    /// What is there now, under all of the keys that are noted.
    pub(super) fn shadow(&self, partition: u16, db: &sled::Db) -> Result<Shadow, Error> {
        let old = |key: &Vec<u8>| {
            let value = db.get(key).map_err(|error| database(partition, error))?;
            Ok((key.clone(), value))
        };
        self.noted.keys().map(old).collect()
    }

    /// Writes one after the other. A crash on the way leaves the first ones.
    pub(super) fn write(self, partition: u16, db: &sled::Db) -> Result<(), Error> {
        let half = self.noted.len() / 2;
        for (number, (key, value)) in self.noted.into_iter().enumerate() {
            if number == half && crash::is_armed(Point::CommitHalf) {
                db.flush().map_err(|error| database(partition, error))?;
                crash::at(Point::CommitHalf);
            }
            put(partition, db, &key, value)?;
        }
        self.unnoted.iter().try_for_each(|key| put(partition, db, key, None::<IVec>))
    }
}

/// Puts a value under a key, or removes what is there.
pub(super) fn put(
    partition: u16,
    db: &sled::Tree,
    key: &[u8],
    value: Option<impl Into<IVec>>,
) -> Result<(), Error> {
    let written = match value {
        Some(value) => db.insert(key, value),
        None => db.remove(key),
    };
    written.map(drop).map_err(|error| database(partition, error))
}
