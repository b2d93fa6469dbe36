//! The store: the entries of one partition and how far they go, on sled, a folder per partition.
//!
//! ```text
//! <data>/store/FORMAT            version and number of partitions
//! <data>/store/3.lock            held by the one process that writes partition 3
//! <data>/store/3/                sled; one tree: the fold's entries, see `pages`, `P` progress, `U`+sequence unreadable,
//!                                `D`+group digest of the group's entries, `O`+sequence+index changes to publish,
//!                                and for a commit more those that are published;
//!                                another: what the last commit wrote over, see `undo`
//! <data>/store/3.rebuild/ …     stores beside the live one, see `side`
//! <data>/store/3.damaged-<time>/ set aside, kept for a look; the log rebuilds what was in it
//! ```
//!
//! Three promises. Entries and their position are one atomic write. Nothing is read by anyone before that
//! write is on the device: until it has said so readers see what was before, see `shadow`, and a
//! write that failed half way closes the store for readers. And what comes up damaged is noticed, at open
//! by the digest of all entries, later by the checksum of each, and set aside.

mod commit;
mod digests;
mod format;
mod open;
mod outbox;
mod pages;
mod shadow;
mod side;
#[cfg(test)]
mod tests;
mod undo;
mod unsynced;
mod view;
mod writes;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{self, Memory};
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::v1;

pub use format::{Marker, VERSION, marker};
pub(crate) use open::{chain, panic_text};
pub use outbox::Outbox;
pub(crate) use outbox::published;
use shadow::{NOTHING, Shadow};
pub(crate) use side::Side;
use undo::Undo;
pub use view::ReadView;
use writes::{Writes, put};

/// Longest value in bytes. sled moves a leaf (17 entries) that outgrows a quarter of a segment into a
/// file of its own that it never syncs; with this bound and segments of 4 MiB no leaf does, nor with pages that are
/// longer by a page's own bound.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// What a device says that could not read or write.
const EIO: i32 = 5;

const PROGRESS_KEY: &[u8] = b"P";
const UNREADABLE_PREFIX: u8 = b'U';
/// Version of the fold that a store was begun with.
const FOLD_KEY: &[u8] = b"V";

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the partition.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Another build wrote the store.
    #[error(
        "{} says version {found:?}, this build reads version {VERSION}: move the folder away and start again, the log \
         has what was in it",
        path.display()
    )]
    UnknownVersion {
        /// The format file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The store belongs to a log of another shape.
    #[error("{} is for {found} partitions, the log has {expected}", path.display())]
    OtherPartitions {
        /// The format file.
        path: PathBuf,
        /// Partitions of the log.
        expected: u16,
        /// Partitions of the store.
        found: u16,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the database of partition {partition} failed")]
    Database {
        /// Whose.
        partition: u16,
        /// What it said.
        #[source]
        source: Cause,
    },
    /// What was read is not what was written.
    #[error("the store of partition {partition} is damaged")]
    Damaged {
        /// Whose.
        partition: u16,
        /// How it was noticed.
        #[source]
        source: Cause,
    },
    /// One store was to take the place of another that is not as far, or is further.
    #[error(
        "the store of partition {partition} stands at {live}, the one to take its place at {other}: it is left"
    )]
    Apart {
        /// Whose.
        partition: u16,
        /// How far it is.
        live: u64,
        /// How far the other one is.
        other: u64,
    },
    /// Closed: at the end, while it is rebuilt, or because a write failed.
    #[error("the store of partition {partition} is closed")]
    Closed {
        /// Whose.
        partition: u16,
    },
}

impl Error {
    /// What was read of a partition's store is not what was written, as `cause` shows.
    pub(crate) fn damaged(partition: u16, cause: impl Into<Cause>) -> Self {
        Self::Damaged { partition, source: cause.into() }
    }

    /// Whose store it is, where that is known.
    #[must_use]
    pub fn partition(&self) -> Option<u16> {
        match self {
            Self::Database { partition, .. }
            | Self::Damaged { partition, .. }
            | Self::Apart { partition, .. }
            | Self::Closed { partition } => Some(*partition),
            Self::Locked { .. }
            | Self::UnknownVersion { .. }
            | Self::OtherPartitions { .. }
            | Self::Io { .. } => None,
        }
    }

    /// True if it may be over when the disk has room again: the database opened anew is as it was before.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::Io { .. } | Self::Closed { .. })
    }

    /// True if there is no room for what is to be written.
    pub(crate) fn is_full(&self) -> bool {
        self.may_pass() && says_full(&chain(self))
    }

    /// True if the store is closed, and nothing failed just now.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// True if a store rebuilt from the log would not have it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// What one partition's store needs to open.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of all stores.
    pub root: PathBuf,
    /// Which partition.
    pub partition: u16,
    /// Bound of the database's cache.
    pub cache_bytes: u64,
}

/// The store of one partition: one writer, many readers.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    /// Held as long as the store is open; the file stays, only the lock goes.
    lock: Mutex<Option<File>>,
    inner: RwLock<Option<Open>>,
}

/// An open database and what it says of itself.
#[derive(Debug)]
struct Open {
    db: sled::Db,
    undo: Undo,
    /// A second handle to the database's file: sled's flush does not reach the device.
    device: File,
    progress: v1::Progress,
    standing: Standing,
}

/// What a database is about.
#[derive(Debug)]
enum Standing {
    /// Everything in it is on the device.
    Still,
    /// A commit is on its way there; readers see what was.
    Writing(Shadow),
    /// Memory is ahead of the device, since a write failed or while one keeps readers out: nobody may look.
    Ahead,
}

impl Open {
    fn is_still(&self) -> bool {
        matches!(self.standing, Standing::Still)
    }

    /// What hides the commit that is being written; `None` if nobody may look.
    fn shadow(&self) -> Option<&Shadow> {
        match &self.standing {
            Standing::Still => Some(&NOTHING),
            Standing::Writing(shadow) => Some(shadow),
            Standing::Ahead => None,
        }
    }
}

impl Store {
    /// Opens the store of a partition. A damaged one is set aside, with a warning, and an empty one opened.
    ///
    /// # Errors
    /// Another process has it, or the operating system refuses.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let lock = open::lock(&settings)?;
        side::settle(&settings)?;
        let open = open::open_or_set_aside(&settings)?;
        Ok(Self::of(settings, lock, Some(open)))
    }

    fn of(settings: Settings, lock: File, open: Option<Open>) -> Self {
        Self { settings, lock: Mutex::new(Some(lock)), inner: RwLock::new(open) }
    }

    /// Checks that a folder of stores is of this version and shape, or marks an empty one so.
    ///
    /// # Errors
    /// It is of another, or the operating system refuses.
    pub fn check_format(root: &Path, partitions: u16) -> Result<(), Error> {
        format::check(root, partitions)
    }

    /// Which partition this is.
    #[must_use]
    pub fn partition(&self) -> u16 {
        self.settings.partition
    }

    /// A look at the store that no write can change while it lasts.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn view(&self) -> Result<ReadView<'_>, Error> {
        ReadView::new(self.inner.read().unwrap_or_else(PoisonError::into_inner), self.partition())
    }

    /// The entries of these keys that exist, as bytes.
    ///
    /// # Errors
    /// The store is closed or cannot be read.
    pub fn load<'a>(&self, keys: impl IntoIterator<Item = &'a Vec<u8>>) -> Result<Memory, Error> {
        let view = self.view()?;
        let mut pages = view.pages()?;
        let mut memory = Memory::default();
        for key in keys {
            if let Some(value) = pages.get(key)? {
                memory.0.insert(key.clone(), value);
            }
        }
        Ok(memory)
    }

    /// Reads every entry and compares the digest of all with the one that the position says.
    ///
    /// # Errors
    /// [`Error::Damaged`] if an entry cannot be read or the digests differ.
    pub fn verify(&self) -> Result<(), Error> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_ref().filter(|open| open.is_still());
        let open = open.ok_or(Error::Closed { partition: self.partition() })?;
        open::verify(&self.settings, &open.db, &open.progress)
    }

    /// Sets a store that was found damaged aside and opens an empty one in its place.
    ///
    /// # Errors
    /// The operating system refuses; the store stays closed.
    pub fn start_over(&self, why: &Error) -> Result<(), Error> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        open::discard(inner.take());
        open::set_aside(&self.settings, why)?;
        *inner = Some(open::open_or_set_aside(&self.settings)?);
        Ok(())
    }

    /// Opens the database anew after a write or a swap failed: a database keeps failing until then, with room on the
    /// disk or without. Returns how far the store has folded.
    ///
    /// # Errors
    /// It cannot be opened now; the store stays closed.
    pub fn reopen(&self) -> Result<v1::Progress, Error> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        open::discard(inner.take());
        side::finish_swap(&self.settings)?;
        let open = open::open_or_set_aside(&self.settings)?;
        let progress = open.progress.clone();
        *inner = Some(open);
        Ok(progress)
    }

    /// Closes the store for good and lets go of its lock. Waits for readers and the writer.
    pub fn close(&self) {
        self.rest();
        self.lock().take();
    }

    /// Closes the database, and keeps the lock. Waits for readers and the writer.
    pub(crate) fn rest(&self) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let open = inner.take();
        let sequence = open.as_ref().filter(|open| open.is_still()).map(|open| open.progress.sequence);
        open::discard(open);
        if let Some(sequence) = sequence
            && self.folder().is_dir()
            && let Err(error) = open::leave_closed(&self.folder(), sequence)
        {
            tracing::debug!(error = %chain(&error), "where the store was closed is not noted");
        }
    }

    /// sled's flush first, then the device's own: only then what was written is durable.
    fn sync(&self, open: &Open) -> Result<(), Error> {
        open.db.flush().map_err(|error| database(self.partition(), error))?;
        crash::at(Point::CommitFlushed);
        if !crash::syncs() {
            return Ok(());
        }
        let synced = match crash::refuses() {
            true => Err(std::io::Error::from_raw_os_error(EIO)),
            false => open.device.sync_data(),
        };
        let path = self.folder().join("db");
        synced.map_err(|source| {
            unsynced::note(&self.folder());
            Error::Io { doing: "sync", path, source }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> PathBuf {
        self.settings.folder()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Settings {
    fn folder(&self) -> PathBuf {
        self.root.join(self.partition.to_string())
    }
}

/// The digest that progress carries; that of nothing for progress that carries none.
///
/// # Errors
/// [`entry::Error::Key`] if the bytes are no digest.
pub fn digest_of(progress: &v1::Progress) -> Result<Digest, entry::Error> {
    if progress.digest.is_empty() {
        return Ok(Digest::default());
    }
    Digest::from_bytes(&progress.digest).ok_or(entry::Error::Key)
}

fn unreadable_key(sequence: u64) -> Vec<u8> {
    let mut key = vec![UNREADABLE_PREFIX];
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// Tells damaged bytes from a machine that refuses: the latter comes with an error number of the
/// operating system, save for the one that an offset read from garbage provokes; or, told again by the database
/// later, with what kind of refusal it was.
fn database(partition: u16, error: sled::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    const EINVAL: i32 = 22;
    let damage = match &error {
        sled::Error::Io(io)
            if matches!(io.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied) =>
        {
            false
        }
        sled::Error::Io(io) => io.raw_os_error().is_none_or(|number| number == EINVAL),
        sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. }
        | sled::Error::CollectionNotFound(_) => true,
    };
    let source = Box::new(error);
    if damage { Error::Damaged { partition, source } } else { Error::Database { partition, source } }
}

/// What a panic of the database means: damage, unless it panics for want of room.
pub(crate) fn panicked(partition: u16, source: Cause) -> Error {
    let text = source.to_string();
    if says_full(&text) {
        Error::Database { partition, source }
    } else {
        Error::Damaged { partition, source }
    }
}

/// The database tells of a full disk again in words of its own.
fn says_full(text: &str) -> bool {
    ["StorageFull", "No space left", "QuotaExceeded", "quota exceeded"].iter().any(|word| text.contains(word))
}
