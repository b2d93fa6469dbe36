//! What is being written, hidden behind what was: readers go on while a commit is on its way to the device.
//!
//! ```text
//!   old values of all keys noted ─▶ │shadow is there│ ─▶ written, flushed, synced ─▶ │shadow is gone, new position│
//!                                    no reader is in                                    no reader is in
//! ```
//!
//! Whether the database shows a reader the old or the new value of a key in between, it sees the old one. No other key is
//! written, save for those of published changes, which go unnoted: no reader looks at them, see `outbox`. Only for the
//! two moments does anybody wait.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use sled::IVec;

/// What was under each key that is being written; `None` where nothing was.
pub(super) type Shadow = BTreeMap<Vec<u8>, Option<IVec>>;

/// The shadow of a store that stands still.
pub(super) static NOTHING: Shadow = BTreeMap::new();

/// Key and value in the database.
pub(super) type Found = sled::Result<(IVec, IVec)>;

/// Everything in a database, in order.
pub(super) fn whole(db: &sled::Db) -> impl Iterator<Item = Found> + use<> {
    let tree = db.clone();
    db.iter().inspect(move |found| count(&tree, found))
}

/// Has the cache count the leaf that something was found in. Looks at pages are noted in one of 256 lists, and a list is held
/// against the cache's bound not before it has 64 notes. A walk through a whole database looks at each leaf once: 16,384 of
/// them, some 180 MiB, were in memory however small the cache. Looked at once more for each key, ten of a leaf, a
/// list is full of six. Who goes through all heads or all messages alone does not count, and may leave as many, no more.
pub(super) fn count(db: &sled::Tree, found: &Found) {
    if let Ok((key, _)) = found {
        // Of a leaf that cannot be read the walk tells.
        let _ = db.contains_key(key);
    }
}

/// Entries between two keys, in order, as if nothing were being written.
pub(super) fn walk<'a>(
    db: &sled::Db,
    shadow: &'a Shadow,
    (from, to): (Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> impl Iterator<Item = Found> + use<'a> {
    let hidden = under(shadow, &from, &to);
    merged(shadow, db.range((from, to)), hidden, |key, other| key < other)
}

/// The same, backwards.
pub(super) fn walk_back<'a>(
    db: &sled::Db,
    shadow: &'a Shadow,
    (from, to): (Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> impl Iterator<Item = Found> + use<'a> {
    let hidden = under(shadow, &from, &to).rev();
    merged(shadow, db.range((from, to)).rev(), hidden, |key, other| key > other)
}

/// What was between two keys, of what is being written.
fn under<'a>(
    shadow: &'a Shadow,
    from: &Bound<Vec<u8>>,
    to: &Bound<Vec<u8>>,
) -> impl DoubleEndedIterator<Item = (IVec, IVec)> + use<'a> {
    let bounds = (from.clone(), to.clone());
    let nothing = match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
    };
    let range = (!nothing).then(|| shadow.range::<Vec<u8>, _>(bounds));
    range.into_iter().flatten().filter_map(|(key, old)| Some((IVec::from(key.as_slice()), old.clone()?)))
}

fn merged<'a>(
    shadow: &'a Shadow,
    present: impl Iterator<Item = Found> + 'a,
    hidden: impl Iterator<Item = (IVec, IVec)> + 'a,
    first: fn(&IVec, &IVec) -> bool,
) -> impl Iterator<Item = Found> + 'a {
    let untouched = move |found: &Found| match found {
        Ok((key, _)) => shadow.is_empty() || !shadow.contains_key(key.as_ref()),
        Err(_) => true,
    };
    Merged { present: present.filter(untouched).peekable(), hidden: hidden.peekable(), first }
}

struct Merged<A: Iterator, B: Iterator> {
    present: Peekable<A>,
    hidden: Peekable<B>,
    first: fn(&IVec, &IVec) -> bool,
}

impl<A: Iterator<Item = Found>, B: Iterator<Item = (IVec, IVec)>> Iterator for Merged<A, B> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let Some((hidden, _)) = self.hidden.peek() else { return self.present.next() };
        match self.present.peek() {
            Some(Ok((key, _))) if (self.first)(key, hidden) => self.present.next(),
            Some(Err(_)) => self.present.next(),
            Some(Ok(_)) | None => self.hidden.next().map(Ok),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
