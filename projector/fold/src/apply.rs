//! Applying records to entries: merge what they contribute, tell what changed.

mod known;
mod working;

use std::collections::BTreeMap;

use groupfold_schemas::id::sha256;
use groupfold_schemas::v1::Record;

use crate::contribute::unknown;
use crate::entry::{Error, Key, Memory, Value, group_of};

pub use known::{Known, SPARED_BYTES_MAX};
pub use working::Working;
pub(crate) use working::{Made, Step};

/// What records contribute, by key: all that must be loaded before they can be applied.
#[derive(Debug, Default)]
pub struct Contributions(Vec<Contributed>);

/// One contribution: worked out once, however often it is asked for.
#[derive(Debug)]
pub(crate) struct Contributed {
    bytes: Vec<u8>,
    pub(crate) key: Key,
    /// Values are large, and move about.
    pub(crate) value: Box<Value>,
}

impl Contributed {
    pub(crate) fn new(key: Key, value: Value) -> Self {
        Self { bytes: key.encode(), key, value: Box::new(value) }
    }
}

impl Contributions {
    /// The contributions of records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let known = Known::default();
        Self::sorted(records.into_iter().flat_map(|record| unknown(record, &known)))
    }

    /// The contributions of a record save for those that are known to make no difference.
    #[must_use]
    pub fn unknown(record: &Record, known: &Known) -> Self {
        Self::sorted(unknown(record, known))
    }

    fn sorted(all: impl IntoIterator<Item = Contributed>) -> Self {
        let mut all: Vec<Contributed> = all.into_iter().collect();
        all.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        Self(all)
    }

    /// The keys to load, in order; one that several contribute to comes as often.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter().map(|contributed| &contributed.bytes)
    }

    /// What is contributed, before anything is merged.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|contributed| &*contributed.value)
    }

    fn entries(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.0.iter().map(|contributed| (&contributed.key, &*contributed.value))
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
    /// Adds an entry that is not as it was.
    fn put(&mut self, key: Vec<u8>, old: Option<&Vec<u8>>, new: Vec<u8>) {
        let mut way = Digest::default();
        if let Some(old) = old {
            way.remove(&key, old);
        }
        way.add(&key, &new);
        self.digest = self.digest.plus(way);
        if let Some(group) = group_of(&key) {
            let digest = self.groups.entry(group).or_default();
            *digest = digest.plus(way);
        }
        self.puts.insert(key, new);
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

    /// The digest of one entry.
    #[must_use]
    pub fn of(key: &[u8], value: &[u8]) -> Self {
        Self(Self::entry(key, value))
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
pub fn apply_all(loaded: Memory, contributions: Contributions) -> Result<Changes, Error> {
    let mut working = Working::over(loaded);
    working.apply(contributions)?;
    Ok(working.finish())
}

impl Memory {
    /// Applies records, returning what they add to the digest.
    ///
    /// # Errors
    /// An entry is damaged.
    pub fn apply<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<Digest, Error> {
        let contributions = Contributions::of(records);
        let load = |key: &Vec<u8>| Some((key.clone(), self.0.get(key)?.clone()));
        let loaded = Self(contributions.keys().filter_map(load).collect());
        let changes = apply_all(loaded, contributions)?;
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
