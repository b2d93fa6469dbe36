//! Reading: one consistent look at a partition, with the position it reflects.

use std::ops::Bound;
use std::sync::RwLockReadGuard;

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{self, Key, Prefix, Source, Value};
use groupfold_schemas::v1;

use super::pages::{self, Entry, Pages};
use super::shadow::{self, Found, Shadow};
use super::{Error, Open, database, digests};

/// A look at one partition. While it lasts the writer may write, hidden from it, but show nothing; so everything derived
/// from it belongs to one position. Keep it short.
#[derive(Debug)]
pub struct ReadView<'a> {
    guard: RwLockReadGuard<'a, Option<Open>>,
    partition: u16,
}

impl<'a> ReadView<'a> {
    pub(super) fn new(guard: RwLockReadGuard<'a, Option<Open>>, partition: u16) -> Result<Self, Error> {
        let view = Self { guard, partition };
        view.open()?;
        Ok(view)
    }

    fn open(&self) -> Result<(&Open, &Shadow), Error> {
        let open = self.guard.as_ref().and_then(|open| Some((open, open.shadow()?)));
        open.ok_or(Error::Closed { partition: self.partition })
    }

    /// What the database has between two keys, in order.
    fn walk(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Found> + use<'_>, Error> {
        let (open, shadow) = self.open()?;
        Ok(shadow::walk(&open.db, shadow, (from, to)))
    }

    /// The same, backwards.
    pub(super) fn walk_back(
        &self,
        between: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ) -> Result<impl Iterator<Item = Found> + use<'_>, Error> {
        let (open, shadow) = self.open()?;
        Ok(shadow::walk_back(&open.db, shadow, between))
    }

    /// Entries whose keys begin so, those after one key where that is given: not the key of one that shares a page.
    pub(super) fn walk_under(
        &self,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Result<Entry, Error>> + use<'_>, Error> {
        let from = after.map_or_else(|| Bound::Included(prefix.clone()), Bound::Excluded);
        let under = move |entry: &Found| match entry {
            Ok((key, _)) => key.starts_with(&prefix),
            Err(_) => true,
        };
        Ok(pages::entries(self.partition, self.walk(from, Bound::Unbounded)?.take_while(under)))
    }

    /// Which partition this is.
    #[must_use]
    pub fn partition(&self) -> u16 {
        self.partition
    }

    /// How far the entries go.
    #[must_use]
    pub fn progress(&self) -> v1::Progress {
        self.open().map(|(open, _)| open.progress.clone()).unwrap_or_default()
    }

    /// The last sequence applied.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.open().map(|(open, _)| open.progress.sequence).unwrap_or_default()
    }

    /// Group heads by group id, those after `after`, one at a time.
    ///
    /// # Errors
    /// The store is closed; each step tells for itself whether an entry cannot be read.
    pub fn heads_after(
        &self,
        after: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<(String, v1::GroupHead), Error>> + '_, Error> {
        let after = after.map(|group| Key::Head { group: group.to_owned() }.encode());
        let entries = self.walk_under(Prefix::Heads.encode(), after)?;
        Ok(entries.map(|entry| match self.entry(entry)? {
            (Key::Head { group }, Value::Head(head)) => Ok((group, *head)),
            _ => Err(Error::damaged(self.partition, entry::Error::Key)),
        }))
    }

    /// Digest of the entries whose keys name the group, see [`groupfold_fold::apply::Changes::groups`].
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub fn group_digest(&self, group: &str) -> Result<Digest, Error> {
        let kept = self.bytes(&digests::key(group))?;
        kept.map_or_else(|| Ok(Digest::default()), |bytes| digests::read(self.partition, &bytes))
    }

    /// Messages by message id, those after `after`, one at a time.
    ///
    /// # Errors
    /// The store is closed; each step tells for itself whether an entry cannot be read.
    pub fn messages_after(
        &self,
        after: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<(String, v1::MessageHead), Error>> + '_, Error> {
        let after = after.map(|message| Key::Message { message: message.to_owned() }.encode());
        let entries = self.walk_under(Prefix::Messages.encode(), after)?;
        Ok(entries.map(|entry| match self.entry(entry)? {
            (Key::Message { message }, Value::Message(head)) => Ok((message, head)),
            _ => Err(Error::damaged(self.partition, entry::Error::Key)),
        }))
    }

    /// The records that could not be read, by sequence, those after a sequence, at most `limit`.
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub fn unreadable_after(&self, sequence: u64, limit: usize) -> Result<Vec<v1::Unreadable>, Error> {
        let from = Bound::Excluded(super::unreadable_key(sequence));
        let end = Bound::Excluded(vec![super::UNREADABLE_PREFIX + 1]);
        let entries = self.walk(from, end)?.take(limit);
        entries
            .map(|entry| {
                let (_, value) = entry.map_err(|error| database(self.partition, error))?;
                groupfold_schemas::frame::decode(&value)
                    .map_err(|error| Error::damaged(self.partition, error))
            })
            .collect()
    }

    /// What is read from the store's own entries between two keys, in order, `most` at most.
    pub(super) fn range<T>(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        most: usize,
        read: impl Fn(&[u8], &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let entries = self.walk(from, to)?.take(most);
        let read = |entry: Found| {
            let (key, value) = entry.map_err(|error| database(self.partition, error))?;
            read(&key, &value).ok_or_else(|| Error::damaged(self.partition, entry::Error::Key))
        };
        entries.map(read).collect()
    }

    /// All entries as bytes, by key; the store's own keys are none.
    ///
    /// # Errors
    /// The store is closed; each step tells for itself whether it cannot be read.
    pub(crate) fn entries(&self) -> Result<impl Iterator<Item = Result<Entry, Error>> + use<'_>, Error> {
        let own = |entry: &Found| match entry {
            Ok((key, _)) => digests::is_entry(key),
            Err(_) => true,
        };
        let (open, shadow) = self.open()?;
        let walk = shadow::walk(&open.db, shadow, (Bound::Unbounded, Bound::Unbounded));
        let walk = walk.inspect(|found| shadow::count(&open.db, found));
        Ok(pages::entries(self.partition, walk.filter(own)))
    }

    /// An entry's bytes.
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub(crate) fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.pages()?.get(key)
    }

    /// For several entries, quick where they come by key.
    pub(super) fn pages(&self) -> Result<Pages<'_>, Error> {
        let (open, shadow) = self.open()?;
        Ok(Pages::of(self.partition, &open.db, shadow))
    }

    fn entry(&self, entry: Result<Entry, Error>) -> Result<(Key, Value), Error> {
        let (key, value) = entry?;
        let key = Key::decode(&key).map_err(|error| Error::damaged(self.partition, error))?;
        let value = key.decode_value(&value).map_err(|error| Error::damaged(self.partition, error))?;
        Ok((key, value))
    }
}

impl Source for ReadView<'_> {
    type Error = Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, Error> {
        let bytes = self.bytes(&key.encode())?;
        bytes
            .map(|bytes| key.decode_value(&bytes))
            .transpose()
            .map_err(|error| Error::damaged(self.partition, error))
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>, Error> {
        self.walk_under(prefix.encode(), None)?.map(|entry| self.entry(entry)).collect()
    }

    fn keys(&self, prefix: &Prefix, visit: &mut dyn FnMut(Key)) -> Result<(), Error> {
        for entry in self.walk_under(prefix.encode(), None)? {
            visit(Key::decode(&entry?.0).map_err(|error| Error::damaged(self.partition, error))?);
        }
        Ok(())
    }

    fn commands_before(
        &self,
        before: Option<&str>,
        most: usize,
    ) -> Result<Vec<(String, v1::CommandState)>, Error> {
        let prefix = Prefix::Commands.encode();
        let to = match before {
            Some(command) => Key::Command { command: command.to_owned() }.encode(),
            None => vec![prefix[0] + 1],
        };
        let between = (Bound::Included(prefix), Bound::Excluded(to));
        let commands = self.walk_back(between)?.take(most);
        pages::entries(self.partition, commands)
            .map(|entry| match self.entry(entry)? {
                (Key::Command { command }, Value::Command(state)) => Ok((command, *state)),
                _ => Err(Error::damaged(self.partition, entry::Error::Key)),
            })
            .collect()
    }

    fn groups(&self, visit: &mut dyn FnMut(String, &str)) -> Result<(), Error> {
        for head in self.heads_after(None)? {
            let (group, head) = head?;
            visit(group, head.origin.as_ref().map_or("", |origin| &origin.account));
        }
        Ok(())
    }
}
