//! Opening a partition's database, whatever state a crash left it in.

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use groupfold_fold::apply::Digest;
use groupfold_schemas::{frame, v1};

use super::digests::Sums;
use super::format::{io, sync_folder};
use super::{Error, Open, PROGRESS_KEY, Settings, Standing, Undo, database, digest_of, published, unsynced};

/// sled's segment; eight times its default, so that a leaf of 17 values at their bound stays within a
/// quarter of it (see [`super::VALUE_BYTES_MAX`]) and so does an index node of 256 long keys.
pub(super) const SEGMENT_BYTES: usize = 4 * 1024 * 1024;

/// Damaged stores kept per partition; the oldest goes first.
const DAMAGED_KEPT_MAX: usize = 3;

/// How long a killed process may hold on to its lock: it dies when its last sync returns.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long sled's threads of a store just closed may hold on to its file.
const RELEASE_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("the database panicked while opening: {0}")]
    Panic(String),
    #[error("entries without a position")]
    NoProgress,
    #[error("the position cannot be read")]
    Progress(#[source] frame::Error),
    #[error("the digest cannot be read")]
    Digest(#[source] groupfold_fold::entry::Error),
    #[error("the digest of all entries is {found}, the position says {expected}")]
    OtherDigest { found: Digest, expected: Digest },
    #[error("the digests of groups do not add up to that of their entries")]
    OtherGroups,
    #[error("it was closed at {closed} and comes up at {found}: its file was changed in between")]
    Behind { closed: u64, found: u64 },
}

/// Left in a store's folder when it is closed in order: the sequence it was closed at. The database takes damage in the
/// tail of its file for a write that was cut short, and comes up sound at an earlier position without a word.
const CLOSED: &str = "closed";

pub(super) fn leave_closed(folder: &Path, sequence: u64) -> Result<(), Error> {
    let path = folder.join(CLOSED);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(sequence.to_string().as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| io("write", &path, source))?;
    sync_folder(folder)
}

/// What was left when the store was closed counts until it is open again.
fn take_closed(settings: &Settings, folder: &Path, found: u64) -> Result<(), Error> {
    let path = folder.join(CLOSED);
    let closed = match fs::read(&path) {
        // Bytes that are no number say nothing; what the database checks itself it checks all the same.
        Ok(bytes) => {
            str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io("read", &path, source)),
    };
    if found < closed {
        return Err(Error::damaged(settings.partition, Damage::Behind { closed, found }));
    }
    fs::remove_file(&path).map_err(|source| io("remove", &path, source))
}

pub(super) fn lock(settings: &Settings) -> Result<File, Error> {
    fs::create_dir_all(&settings.root).map_err(|source| io("create", &settings.root, source))?;
    let path = settings.root.join(format!("{}.lock", settings.partition));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| io("open", &path, source))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => std::thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path }),
            Err(TryLockError::Error(source)) => return Err(io("lock", &path, source)),
        }
    }
}

pub(super) fn open_or_set_aside(settings: &Settings) -> Result<Open, Error> {
    match open(settings) {
        Err(damage) if damage.is_damage() => {
            set_aside(settings, &damage)?;
            open(settings)
        }
        other => other,
    }
}

fn open(settings: &Settings) -> Result<Open, Error> {
    let open = open_as_is(settings)?;
    let verified = guarded(settings, || verify(settings, &open.db, &open.progress));
    match verified {
        Ok(()) => Ok(open),
        Err(error) => {
            discard(Some(open));
            Err(error)
        }
    }
}

/// Whatever sled panics about is damage.
fn guarded<T>(settings: &Settings, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(super::panicked(settings.partition, Box::new(Damage::Panic(panic_text(&*panic)))))
    })
}

/// Opens the database and believes what it says.
pub(super) fn open_as_is(settings: &Settings) -> Result<Open, Error> {
    let folder = settings.folder();
    fs::create_dir_all(&folder).map_err(|source| io("create", &folder, source))?;
    remove_half_snapshots(&folder)?;
    unsynced::forget(&folder)?;
    let (db, undo, progress) = guarded(settings, || read(settings, &folder))?;
    take_closed(settings, &folder, progress.sequence)?;
    let file = folder.join("db");
    let device = OpenOptions::new().read(true).write(true).open(&file);
    let device = device.map_err(|source| io("open", &file, source))?;
    device.sync_all().map_err(|source| io("sync", &file, source))?;
    sync_folder(&folder)?;
    sync_folder(&settings.root)?;
    Ok(Open { db, undo, device, progress, standing: Standing::Still })
}

/// A crash while sled writes its start-up snapshot leaves `snap.*.generating`, which the next open would
/// take for the database's damage.
fn remove_half_snapshots(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|source| io("list", folder, source))? {
        let entry = entry.map_err(|source| io("list", folder, source))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(|source| io("remove", &entry.path(), source))?;
        }
    }
    Ok(())
}

fn read(settings: &Settings, folder: &Path) -> Result<(sled::Db, Undo, v1::Progress), Error> {
    let db = open_released(settings, folder)?;
    let undo = Undo::of(settings.partition, &db)?;
    if undo.take_back(&db)? {
        db.flush().map_err(|error| database(settings.partition, error))?;
    }
    let progress = match db.get(PROGRESS_KEY).map_err(|error| database(settings.partition, error))? {
        Some(bytes) => frame::decode(&bytes)
            .map_err(|error| Error::damaged(settings.partition, Damage::Progress(error)))?,
        None if db.is_empty() => v1::Progress::default(),
        None => return Err(Error::damaged(settings.partition, Damage::NoProgress)),
    };
    Ok((db, undo, progress))
}

/// The digest of all entries must be the one that the position says, and those of groups must add up.
pub(super) fn verify(settings: &Settings, db: &sled::Db, progress: &v1::Progress) -> Result<(), Error> {
    let expected =
        digest_of(progress).map_err(|error| Error::damaged(settings.partition, Damage::Digest(error)))?;
    let sums = Sums::of(settings.partition, db, published(progress))?;
    if sums.entries != expected {
        return Err(Error::damaged(
            settings.partition,
            Damage::OtherDigest { found: sums.entries, expected },
        ));
    }
    if sums.kept != sums.of_groups {
        return Err(Error::damaged(settings.partition, Damage::OtherGroups));
    }
    Ok(())
}

/// Opens sled, waiting a while for the threads of an earlier open in this very process: nobody else can
/// hold the file, since the partition's lock is ours.
fn open_released(settings: &Settings, folder: &Path) -> Result<sled::Db, Error> {
    let config = sled::Config::new()
        .path(folder)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(settings.cache_bytes)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None);
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                if begun.elapsed() > RELEASE_WAIT {
                    return Err(Error::Locked { path: folder.join("db") });
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            other => return other.map_err(|error| database(settings.partition, error)),
        }
    }
}

/// Drops a database that may be in any state: what it panics about is of no interest any more.
pub(super) fn discard(open: Option<Open>) {
    if catch_unwind(AssertUnwindSafe(|| drop(open))).is_err() {
        tracing::warn!("the database panicked while closing");
    }
}

pub(super) fn set_aside(settings: &Settings, why: &Error) -> Result<(), Error> {
    let folder = settings.folder();
    let aside = settings.root.join(name_of_aside(settings.partition, jiff::Timestamp::now()));
    tracing::warn!(
        partition = settings.partition,
        reason = %chain(why),
        aside = %aside.display(),
        "store set aside, it is rebuilt from the log"
    );
    match fs::rename(&folder, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        renamed => renamed.map_err(|source| io("rename", &folder, source))?,
    }
    sync_folder(&settings.root)?;
    forget_oldest(settings)
}

/// With letters: digits alone would be taken for a phone number by whoever blackens logs. Later names sort behind.
pub(super) fn name_of_aside(partition: u16, now: jiff::Timestamp) -> String {
    format!("{partition}.damaged-{}", now.strftime("%Y%m%dT%H%M%S%3fZ"))
}

fn forget_oldest(settings: &Settings) -> Result<(), Error> {
    let prefix = format!("{}.damaged-", settings.partition);
    let listing = fs::read_dir(&settings.root).map_err(|source| io("list", &settings.root, source))?;
    let mut kept: Vec<PathBuf> = listing
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect();
    kept.sort();
    while kept.len() > DAMAGED_KEPT_MAX {
        let oldest = kept.remove(0);
        fs::remove_dir_all(&oldest).map_err(|source| io("remove", &oldest, source))?;
    }
    Ok(())
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
