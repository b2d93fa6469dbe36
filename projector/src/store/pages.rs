//! Entries that share pages: the receipts of one message. The database is given and asked for pages, everybody else sees
//! entries.
//!
//! ```text
//!   r·message          [a: receipt] [b: receipt] … end: k       under what the keys have in common, the first page
//!   r·message·k        [k: receipt] [m: receipt] …              one that grew too long was cut at k
//! ```
//!
//! A message's receipts come near each other in time, each member's twice. With a key for each the database had most of
//! a commit's work of them, and an index of them all in memory. Where a page was cut depends on how its entries
//! came, so nothing may be told of it: digests and comparisons are of entries.

use std::ops::Bound;

use bytes::Bytes;
use groupfold_fold::entry::{self, receipt_of};
use groupfold_schemas::{frame, v1};
use sled::IVec;

use super::shadow::{self, Found, NOTHING, Shadow};
use super::{Error, database};

/// Bytes of entries from which on a page is cut: what eight members did with a message has room in one, and one receipt
/// more does not write much again.
const PAGE_BYTES: usize = 2 * 1024;

/// Entries of a database by their keys, in any order; quick where they are asked for by key.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    partition: u16,
    db: &'a sled::Db,
    shadow: &'a Shadow,
    /// The one that was looked at last.
    page: Option<Page>,
}

/// What stands under one key of the database.
#[derive(Debug)]
struct Page {
    key: Vec<u8>,
    /// How many bytes the keys of all entries of the message have in common.
    common: usize,
    end: Option<Bytes>,
    entries: Vec<v1::PageEntry>,
}

impl<'a> Pages<'a> {
    pub(super) fn of(partition: u16, db: &'a sled::Db, shadow: &'a Shadow) -> Self {
        Self { partition, db, shadow, page: None }
    }

    /// An entry's value.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some((common, rest)) = receipt_of(key) else {
            return Ok(self.stands(key)?.map(|value| value.to_vec()));
        };
        let page = self.page(common, rest)?;
        Ok(page.place(rest).ok().map(|place| page.entries[place].value.to_vec()))
    }

    /// The page that an entry is in, or would be.
    fn page(&mut self, common: &[u8], rest: &[u8]) -> Result<&mut Page, Error> {
        let page = match self.page.take().filter(|page| page.covers(common, rest)) {
            Some(page) => page,
            None => self.find(common, rest)?,
        };
        Ok(self.page.insert(page))
    }

    fn find(&self, common: &[u8], rest: &[u8]) -> Result<Page, Error> {
        let Some(first) = self.stands(common)? else { return Ok(Page::empty(common)) };
        let first = Page::read(self.partition, common, first)?;
        if first.covers(common, rest) {
            return Ok(first);
        }
        let no_page = || Error::damaged(self.partition, entry::Error::Key);
        let between = (Bound::Included(common.to_vec()), Bound::Included([common, rest].concat()));
        let last = shadow::walk_back(self.db, self.shadow, between).next().ok_or_else(no_page)?;
        let (key, value) = last.map_err(|error| database(self.partition, error))?;
        let page = Page::read(self.partition, &key, value)?;
        if page.covers(common, rest) { Ok(page) } else { Err(no_page()) }
    }

    /// What stands under a key of the database.
    fn stands(&self, key: &[u8]) -> Result<Option<IVec>, Error> {
        match self.shadow.get(key) {
            Some(old) => Ok(old.clone()),
            None => self.db.get(key).map_err(|error| database(self.partition, error)),
        }
    }
}

impl Page {
    fn empty(common: &[u8]) -> Self {
        Self { key: common.to_vec(), common: common.len(), end: None, entries: Vec::new() }
    }

    fn read(partition: u16, key: &[u8], value: IVec) -> Result<Self, Error> {
        let (common, begin) = receipt_of(key).ok_or_else(|| Error::damaged(partition, entry::Error::Key))?;
        let v1::Page { end, entries } = frame::decode_shared(&Bytes::from_owner(value))
            .map_err(|error| Error::damaged(partition, error))?;
        let page = Self { key: key.to_vec(), common: common.len(), end, entries };
        let rests = || page.entries.iter().map(|entry| &entry.rest);
        let within = rests().all(|rest| **rest >= *begin && page.is_before_end(rest));
        if within && rests().is_sorted_by(|a, b| a < b) {
            Ok(page)
        } else {
            Err(Error::damaged(partition, entry::Error::Key))
        }
    }

    fn covers(&self, common: &[u8], rest: &[u8]) -> bool {
        let (own, begin) = self.key.split_at(self.common);
        own == common && begin <= rest && self.is_before_end(rest)
    }

    fn is_before_end(&self, rest: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| rest < &**end)
    }

    /// Where an entry is, or where it would be put.
    fn place(&self, rest: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.rest).cmp(rest))
    }

    fn put(&mut self, rest: &[u8], value: &[u8]) {
        let value = Bytes::copy_from_slice(value);
        match self.place(rest) {
            Ok(place) => self.entries[place].value = value,
            Err(place) => {
                self.entries.insert(place, v1::PageEntry { rest: Bytes::copy_from_slice(rest), value });
            }
        }
    }

    /// Key and value of the page, or of those that it is cut into.
    fn write(self) -> Vec<(Vec<u8>, IVec)> {
        let common = self.key[..self.common].to_vec();
        let mut parts = cut(self.entries).into_iter().peekable();
        let (mut next, last) = (Some(self.key), self.end);
        let pages = std::iter::from_fn(|| {
            let entries = parts.next()?;
            let begin = parts.peek().and_then(|part| part.first()).map(|first| first.rest.clone());
            let key = next.take()?;
            next = begin.as_ref().map(|begin| [&*common, begin].concat());
            let end = begin.or_else(|| last.clone());
            Some((key, frame::encode(&v1::Page { end, entries }).into()))
        });
        pages.collect()
    }
}

/// Cuts entries into parts of about the same length, no more of them than it takes.
fn cut(entries: Vec<v1::PageEntry>) -> Vec<Vec<v1::PageEntry>> {
    let bytes = |entry: &v1::PageEntry| entry.rest.len() + entry.value.len();
    let all: usize = entries.iter().map(bytes).sum();
    let most = all.div_ceil(all.div_ceil(PAGE_BYTES).max(1));
    let mut parts = vec![Vec::new()];
    let mut full = 0;
    for entry in entries {
        if full >= most {
            parts.push(Vec::new());
            full = 0;
        }
        full += bytes(&entry);
        if let Some(part) = parts.last_mut() {
            part.push(entry);
        }
    }
    parts
}

/// What the database is to be given that entries be put: each key once, in parts that are written whole or not at
/// all, for between the pages of one message nothing may be missing. Entries come by key.
pub(super) fn put_all<E: AsRef<[u8]>>(
    partition: u16,
    db: &sled::Db,
    entries: impl IntoIterator<Item = (E, E)>,
    mut put: impl FnMut(Vec<(Vec<u8>, IVec)>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pages = Pages::of(partition, db, &NOTHING);
    for (key, value) in entries {
        let (key, value) = (key.as_ref(), value.as_ref());
        let Some((common, rest)) = receipt_of(key) else {
            put(vec![(key.to_vec(), value.into())])?;
            continue;
        };
        if let Some(full) = pages.page.take_if(|page| !page.covers(common, rest)) {
            put(full.write())?;
        }
        pages.page(common, rest)?.put(rest, value);
    }
    pages.page.map_or(Ok(()), |last| put(last.write()))
}

/// Key and value of an entry; values share the bytes of their page.
pub(super) type Entry = (Bytes, Bytes);

/// The entries in what was found in the database, in order: of each message all pages, or none.
pub(super) fn entries(
    partition: u16,
    found: impl Iterator<Item = Found>,
) -> impl Iterator<Item = Result<Entry, Error>> {
    let mut row = Row::default();
    found.map(Some).chain([None]).flat_map(move |found| {
        let (one, page) = match found.map(|found| found.map_err(|error| database(partition, error))) {
            None => (None, None),
            Some(Ok((key, value))) if receipt_of(&key).is_some() => {
                match Page::read(partition, &key, value) {
                    Ok(page) => (None, Some(page)),
                    Err(error) => (Some(Err(error)), None),
                }
            }
            Some(other) => {
                (Some(other.map(|(key, value)| (Bytes::from_owner(key), Bytes::from_owner(value)))), None)
            }
        };
        let lacks = match &one {
            Some(Err(_)) => {
                row = Row::Unknown;
                false
            }
            _ => row.lacks(page.as_ref()),
        };
        let gap = lacks.then(|| Err(Error::damaged(partition, entry::Error::Key)));
        let of_page = page.into_iter().flat_map(|Page { key, common, entries, .. }| {
            let whole = move |entry: v1::PageEntry| {
                Ok((Bytes::from([&key[..common], &entry.rest].concat()), entry.value))
            };
            entries.into_iter().map(whole)
        });
        gap.into_iter().chain(one).chain(of_page)
    })
}

/// The pages of one message, as far as they were seen: each begins where the one before it ends.
#[derive(Debug, Default)]
enum Row {
    /// None, or the last one.
    #[default]
    Whole,
    /// What the next page's key must be.
    Next(Vec<u8>),
    /// One could not be read.
    Unknown,
}

impl Row {
    /// True if a page is lacking before what was found: a page, or anything else.
    fn lacks(&mut self, page: Option<&Page>) -> bool {
        let next = page.and_then(|page| Some([&page.key[..page.common], page.end.as_ref()?].concat()));
        match std::mem::replace(self, next.map_or(Self::Whole, Self::Next)) {
            Self::Whole => page.is_some_and(|page| page.key.len() != page.common),
            Self::Next(key) => page.is_none_or(|page| page.key != key),
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests;
