//! Applying records to entries: merge what they contribute, tell what changed.

use std::collections::BTreeMap;

use groupfold_schemas::id::sha256;
use groupfold_schemas::v1::Record;

use crate::contribute::contributions;
use crate::entry::{Error, Key, Memory, Value, group_of};
use crate::merge::merge;

/// What a batch of records contributes: all that must be loaded before it can be applied.
#[derive(Debug, Default)]
pub struct Contributions(Vec<(Key, Value)>);

impl Contributions {
    /// The contributions of records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        Self(records.into_iter().flat_map(contributions).collect())
    }

    /// The keys to load, in order, each once.
    #[must_use]
    pub fn keys(&self) -> std::collections::BTreeSet<Vec<u8>> {
        self.0.iter().map(|(key, _)| key.encode()).collect()
    }
}

/// Entries that changed: their new bytes and the digest's way from before to after.
#[derive(Debug, Default)]
pub struct Changes {
    /// Key and new value, by key.
    pub puts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the changes add to the digest.
    pub digest: Digest,
    /// What the changes add to the digests of groups: of the entries whose keys name one.
    pub groups: BTreeMap<String, Digest>,
}

impl Changes {
    /// Adds the changes of records that were applied over these.
    pub(crate) fn then(&mut self, later: Self) {
        self.digest = self.digest.plus(later.digest);
        for (group, way) in later.groups {
            let digest = self.groups.entry(group).or_default();
            *digest = digest.plus(way);
        }
        self.puts.extend(later.puts);
    }
}

/// The canonical digest of a set of entries: the sum of the hashes of all, so that order does not
/// matter and a change costs two hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// Reads a digest back; `None` unless it has 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// The digest's 16 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The digest of both sets, which share no entry.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// Adds an entry.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(Self::entry(key, value));
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(Self::entry(key, value));
    }

    fn entry(key: &[u8], value: &[u8]) -> u128 {
        let hash = sha256([key, value]);
        let mut head = [0; 16];
        head.copy_from_slice(&hash[..16]);
        u128::from_be_bytes(head)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Merges contributions into loaded entries and tells what changed. `loaded` must hold every entry of
/// [`Contributions::keys`] that exists.
///
/// # Errors
/// A loaded entry is damaged. Nothing else can fail.
pub fn apply_all(loaded: &Memory, contributions: Contributions) -> Result<Changes, Error> {
    let mut merged: BTreeMap<Vec<u8>, Value> = BTreeMap::new();
    for (key, value) in contributions.0 {
        let bytes = key.encode();
        let old = match merged.remove(&bytes) {
            Some(old) => Some(old),
            None => loaded.0.get(&bytes).map(|old| key.decode_value(old)).transpose()?,
        };
        merged.insert(bytes, merge(old, value));
    }
    let mut changes = Changes::default();
    for (key, value) in merged {
        let new = value.encode();
        let old = loaded.0.get(&key);
        if old == Some(&new) {
            continue;
        }
        let mut way = Digest::default();
        if let Some(old) = old {
            way.remove(&key, old);
        }
        way.add(&key, &new);
        changes.digest = changes.digest.plus(way);
        if let Some(group) = group_of(&key) {
            let digest = changes.groups.entry(group).or_default();
            *digest = digest.plus(way);
        }
        changes.puts.insert(key, new);
    }
    Ok(changes)
}

impl Memory {
    /// Applies records, returning what they add to the digest.
    ///
    /// # Errors
    /// An entry is damaged.
    pub fn apply<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<Digest, Error> {
        let changes = apply_all(self, Contributions::of(records))?;
        self.0.extend(changes.puts);
        Ok(changes.digest)
    }

    /// Digest of the entries whose keys name a group.
    #[must_use]
    pub fn group_digest(&self, group: &str) -> Digest {
        let mut digest = Digest::default();
        for (key, value) in self.0.iter().filter(|(key, _)| group_of(key).as_deref() == Some(group)) {
            digest.add(key, value);
        }
        digest
    }
}
