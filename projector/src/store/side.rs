//! Stores beside the live one: one that is folded anew, and the one that was live before.
//!
//! ```text
//! <data>/store/3.rebuild/3/     folded anew from the log, to take the place of `3`
//! <data>/store/3.verify/3/      folded anew from the log, to be compared with `3`
//! <data>/store/3.previous/3/    what was live before the last swap
//! <data>/store/3.out-rebuild/   the live store on its way out: a swap under way, finished by whoever opens next
//! ```
//!
//! A swap is three renames. Refused before the second it is taken back, after it the new store stands whatever becomes
//! of the third; after a crash between any two, [`finish_swap`] finds by the names alone how far it came.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use groupfold_fold::apply::{Changes, Digest};
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::{frame, v1};

use super::digests::{self, Sums};
use super::format::{io, sync_folder};
use super::{
    Error, FOLD_KEY, Open, PROGRESS_KEY, Settings, Standing, Store, Writes, chain, database, open, outbox,
    pages, published, put, unreadable_key,
};

/// Which store beside the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// To take the live one's place.
    Rebuild,
    /// To be compared with it.
    Verify,
    /// What was live before.
    Previous,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Verify => "verify",
            Self::Previous => "previous",
        }
    }
}

/// Those that may take the live one's place.
const SWAPPED: [Side; 2] = [Side::Rebuild, Side::Previous];

/// So many of a portion's keys, or a few more, are written by one batch of the database: written one by one, as a commit
/// does, the file is longer by two fifths. The more, the more memory: by the square.
const BATCH_MAX: usize = 250;

impl Settings {
    /// Settings of the store beside.
    pub(crate) fn beside(&self, side: Side) -> Self {
        Self { root: self.side(side), ..self.clone() }
    }

    fn side(&self, side: Side) -> PathBuf {
        self.root.join(format!("{}.{}", self.partition, side.name()))
    }

    fn out(&self, side: Side) -> PathBuf {
        self.root.join(format!("{}.out-{}", self.partition, side.name()))
    }

    /// True if there is a live store, or one that a swap cut short left on its way out: [`finish_swap`] brings one back.
    pub(crate) fn has_store(&self) -> bool {
        self.folder().is_dir() || SWAPPED.iter().any(|side| self.out(*side).is_dir())
    }

    fn discarded(&self) -> PathBuf {
        self.root.join(format!("{}.discarded", self.partition))
    }
}

impl Store {
    /// Opens a store as it is, whatever its entries say: nothing is verified or set aside.
    ///
    /// # Errors
    /// Another process has it, or it cannot be opened at all.
    pub fn open_as_is(settings: Settings) -> Result<Self, Error> {
        let store = Self::at_rest(settings)?;
        store.wake()?;
        Ok(store)
    }

    /// Takes a store's lock, and opens nothing yet.
    ///
    /// # Errors
    /// Another process has it, or the operating system refuses.
    pub(crate) fn at_rest(settings: Settings) -> Result<Self, Error> {
        let lock = open::lock(&settings)?;
        settle(&settings)?;
        Ok(Self::of(settings, lock, None))
    }

    /// Opens the database of a store at rest, as it is.
    pub(crate) fn wake(&self) -> Result<(), Error> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        *inner = Some(open::open_as_is(&self.settings)?);
        Ok(())
    }

    /// Opens the store beside this one, as it is, with a cache of no more than so many bytes; an empty one if there is none.
    pub(crate) fn open_beside(&self, side: Side, cache_bytes: u64) -> Result<Self, Error> {
        let settings = self.settings.beside(side);
        Self::open_as_is(Settings { cache_bytes: settings.cache_bytes.min(cache_bytes), ..settings })
    }

    /// True if there is a store beside.
    pub(crate) fn has_beside(&self, side: Side) -> bool {
        self.settings.beside(side).folder().is_dir()
    }

    /// Removes the store beside, which must be closed.
    pub(crate) fn remove_beside(&self, side: Side) -> Result<(), Error> {
        let folder = self.settings.side(side);
        if !folder.exists() {
            return Ok(());
        }
        let discarded = self.settings.discarded();
        remove(&discarded)?;
        rename(&folder, &discarded)?;
        sync_folder(&self.settings.root)?;
        remove(&discarded)
    }

    /// Writes entries and after them, on the device, the position they lead to. Killed on the
    /// way, entries are ahead of the position: folding what follows it once more leads to the same ones. The
    /// position has no digest before [`Store::seal`].
    pub(crate) fn write_portion(
        &self,
        changes: Changes,
        unreadable: &[v1::Unreadable],
        progress: v1::Progress,
    ) -> Result<(), Error> {
        self.bounded(&changes)?;
        let partition = self.partition();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_mut().filter(|open| open.is_still()).ok_or(Error::Closed { partition })?;
        open.standing = Standing::Ahead;
        let apply = |batch| {
            open.db.apply_batch(batch).map_err(|error| database(partition, error))?;
            if crash::is_armed(Point::PortionBatch) {
                open.db.flush().map_err(|error| database(partition, error))?;
                crash::at(Point::PortionBatch);
            }
            Ok(())
        };
        // Consumed, so that each entry is freed once it is written.
        write_in_batches(partition, &open.db, changes.puts, apply)?;
        let mut writes = Writes::default();
        digests::add(partition, &open.db, &changes.groups, &mut writes)?;
        for record in unreadable {
            writes.put(&unreadable_key(record.sequence), frame::encode(record));
        }
        writes.put(FOLD_KEY, &groupfold_fold::VERSION.to_be_bytes());
        writes.write(partition, &open.db)?;
        self.sync(open)?;
        crash::at(Point::PortionApplied);
        put(partition, &open.db, PROGRESS_KEY, Some(frame::encode(&progress)))?;
        self.sync(open)?;
        crash::at(Point::PortionDone);
        open.progress = progress;
        open.standing = Standing::Still;
        Ok(())
    }

    /// Gives the position its digest: from here on the store is one like any other. Where it is not known, because
    /// a kill may have left entries ahead of the position, all digests are worked out from the entries.
    pub(crate) fn seal(&self, known: Option<Digest>) -> Result<(), Error> {
        let partition = self.partition();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_mut().filter(|open| open.is_still()).ok_or(Error::Closed { partition })?;
        let digest = match known {
            Some(digest) => digest,
            None => {
                digests::write_all(partition, &open.db)?;
                Sums::of(partition, &open.db, published(&open.progress))?.entries
            }
        };
        let digest = digest.to_bytes().to_vec().into();
        crash::at(Point::SealBegin);
        let progress = v1::Progress { digest, ..open.progress.clone() };
        put(partition, &open.db, PROGRESS_KEY, Some(frame::encode(&progress)))?;
        self.sync(open)?;
        open.progress = progress;
        Ok(())
    }

    /// Puts the store beside in the place of this one, which becomes the previous one. It is refused unless both have reached
    /// the same position, and nobody may be half way through a commit. Readers wait for the moment of it; where the store does not `stay_open`, it is at rest then. After an
    /// error this one stands where it stood, and may be closed.
    pub(crate) fn swap(&self, side: Side, other: &Self, stay_open: bool) -> Result<(), Error> {
        let partition = self.partition();
        // What an earlier swap could not put away is in the way of the live store, which would be closed for nothing.
        if let Some(out) = SWAPPED.map(|side| self.settings.out(side)).into_iter().find(|out| out.exists()) {
            return Err(io("move out of the way", &out, ErrorKind::AlreadyExists.into()));
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let live = inner.as_ref().filter(|open| open.is_still()).ok_or(Error::Closed { partition })?;
        let (at, found) = (live.progress.sequence, other.view()?.sequence());
        if at != found {
            return Err(Error::Apart { partition, live: at, other: found });
        }
        other.carry(live)?;
        open::discard(inner.take());
        other.close();
        let exchanged = exchange(&self.settings, side);
        if stay_open && self.folder().is_dir() {
            match open::open_as_is(&self.settings) {
                Ok(open) => *inner = Some(open),
                // Who folds opens it anew.
                Err(error) => {
                    tracing::warn!(partition, error = %chain(&error), "a store does not open after a swap")
                }
            }
        }
        exchanged
    }

    /// Takes what is no state but must outlive it over from the live store: changes that are still to be published.
    fn carry(&self, live: &Open) -> Result<(), Error> {
        let partition = self.partition();
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_ref().filter(|open| open.is_still()).ok_or(Error::Closed { partition })?;
        // Cut short, it is done again before the next attempt of a swap.
        let mut writes = Writes::default();
        let mark = published(&live.progress);
        let (published_sequence, published_index) = (mark.sequence, mark.index);
        let progress = v1::Progress { published_sequence, published_index, ..open.progress.clone() };
        writes.put(PROGRESS_KEY, frame::encode(&progress));
        for key in open.db.scan_prefix([outbox::PREFIX]).keys() {
            writes.remove(&key.map_err(|error| database(partition, error))?);
        }
        for entry in live.db.range(outbox::behind(mark)) {
            let (key, value) = entry.map_err(|error| database(partition, error))?;
            writes.put(&key, value);
        }
        writes.write(partition, &open.db)?;
        self.sync(open)
    }

    /// The version of the fold that wrote the entries.
    pub(crate) fn fold_version(&self) -> Result<u32, Error> {
        let partition = self.partition();
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_ref().ok_or(Error::Closed { partition })?;
        let kept = open.db.get(FOLD_KEY).map_err(|error| database(partition, error))?;
        let read = |bytes: sled::IVec| bytes.as_ref().try_into().ok().map(u32::from_be_bytes);
        // An empty store has none.
        Ok(kept.and_then(read).unwrap_or_default())
    }
}

/// Entries in batches of the database. A crash leaves those up to any: what is written whole or not at all is in one.
fn write_in_batches(
    partition: u16,
    db: &sled::Db,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    mut apply: impl FnMut(sled::Batch) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut batch, mut puts) = (sled::Batch::default(), 0);
    pages::put_all(partition, db, entries, |part| {
        puts += part.len();
        part.into_iter().for_each(|(key, value)| batch.insert(key, value));
        if puts < BATCH_MAX {
            return Ok(());
        }
        puts = 0;
        apply(std::mem::take(&mut batch))
    })?;
    apply(batch)
}

/// Renames the live store away, the store beside into its place, and what was live to the previous ones. An error says
/// that nothing is exchanged.
fn exchange(settings: &Settings, side: Side) -> Result<(), Error> {
    let (live, out) = (settings.folder(), settings.out(side));
    crash::at(Point::SwapBegin);
    rename(&live, &out)?;
    let entered = sync_folder(&settings.root).and_then(|()| {
        crash::at(Point::SwapOut);
        rename(&settings.beside(side).folder(), &live)
    });
    if let Err(error) = entered {
        if let Err(back) = rename(&out, &live) {
            tracing::warn!(error = %chain(&back), "the live store is not back in its place; that is tried again");
        }
        return Err(error);
    }
    let away = sync_folder(&settings.root).and_then(|()| {
        crash::at(Point::SwapIn);
        put_away(settings, side)
    });
    warn_of(away);
    Ok(())
}

/// The new store stands: that the old one cannot be put away keeps nobody from it.
fn warn_of(put_away: Result<(), Error>) {
    if let Err(error) = put_away {
        tracing::warn!(error = %chain(&error), "a store that was swapped out is not put away");
    }
}

/// What was live becomes the previous store; the one before that goes.
fn put_away(settings: &Settings, side: Side) -> Result<(), Error> {
    let previous = settings.beside(Side::Previous);
    let discarded = settings.discarded();
    remove(&discarded)?;
    if previous.root.exists() {
        rename(&previous.root, &discarded)?;
    }
    fs::create_dir_all(&previous.root).map_err(|source| io("create", &previous.root, source))?;
    rename(&settings.out(side), &previous.folder())?;
    sync_folder(&previous.root)?;
    crash::at(Point::SwapDone);
    remove(&discarded)?;
    if side != Side::Previous {
        remove(&settings.side(side))?;
    }
    sync_folder(&settings.root)
}

/// Sets right what an earlier process left: a swap that was cut short, and a comparison that was killed.
pub(super) fn settle(settings: &Settings) -> Result<(), Error> {
    finish_swap(settings)?;
    remove(&settings.side(Side::Verify))?;
    remove(&settings.discarded())
}

/// Finishes a swap that was cut short, or takes it back where the new store is not there.
pub(super) fn finish_swap(settings: &Settings) -> Result<(), Error> {
    for side in SWAPPED {
        if !settings.out(side).is_dir() {
            continue;
        }
        if !settings.folder().is_dir() {
            let beside = settings.beside(side).folder();
            if beside.is_dir() {
                rename(&beside, &settings.folder())?;
            } else {
                rename(&settings.out(side), &settings.folder())?;
                continue;
            }
        }
        warn_of(put_away(settings, side));
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| io("rename", from, source))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", folder, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
