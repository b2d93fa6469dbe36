//! A store folded anew from the log, beside the live one.
//!
//! Most of the log is folded in portions: as many entries as memory may hold, each written once, then the
//! position. Once sealed (its digests worked out), the rest follows in small commits like those of the live store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::jetstream;
use groupfold_fold::apply::{Contributions, Digest, Known, Working};
use groupfold_schemas::{log, v1};
use tokio::task::JoinHandle;

use super::memory::Shares;
use super::report::Scope;
use super::{Error, ahead};
use crate::partition::fold::read;
use crate::scan::{Found, From, Scan, Stretch};
use crate::store::{self, Side, Store};

/// Messages folded at a time in portions.
const BATCH_EVENTS: usize = 1_000;
/// Messages of one commit once sealed: all that it writes and writes over is in memory until then.
const COMMIT_EVENTS: usize = 100;

/// A store folded anew, as far as it is.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) store: Arc<Store>,
    scope: Scope,
    partition: u16,
    portion_bytes: usize,
    context: jetstream::Context,
    /// True if an earlier attempt began it.
    pub(super) resumed: bool,
    /// The digest of all entries, where everything since the empty store was folded by this very attempt.
    known: Mutex<Option<Digest>>,
}

/// What is folded and not yet written.
#[derive(Debug, Default)]
struct Portion {
    working: Working,
    unreadable: Vec<v1::Unreadable>,
    messages: u64,
}

impl Fresh {
    /// The store beside the live one: what an earlier attempt left if that is of the same log and fold, an empty one
    /// otherwise. The previous one is never begun anew.
    ///
    /// # Errors
    /// It is ahead of the live one, or there is no previous one. What is there is left as it is.
    pub(super) async fn open(
        live: &Arc<Store>,
        side: Side,
        scope: Scope,
        shares: Shares,
        context: jetstream::Context,
    ) -> Result<Self, Error> {
        let (beside, partition) = (Arc::clone(live), live.partition());
        // Of an earlier attempt all entries may be read.
        let opening = tokio::task::spawn_blocking(move || opened(&beside, side, shares.cache_bytes));
        let (store, resumed) = opening.await??;
        let known = Mutex::new((!resumed).then(Digest::default));
        let (store, portion_bytes) = (Arc::new(store), shares.portion_bytes);
        Ok(Self { store, scope, partition, portion_bytes, context, resumed, known })
    }

    /// Closes it, and removes it from beside the live one.
    pub(super) async fn remove(self, live: &Arc<Store>, side: Side) -> Result<(), Error> {
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close()).await?;
        remove(live, side).await
    }

    /// How far it is.
    pub(super) fn sequence(&self) -> Result<u64, Error> {
        Ok(self.store.view()?.sequence())
    }

    /// True once digests are kept.
    pub(super) fn is_sealed(&self) -> Result<bool, Error> {
        Ok(!self.store.view()?.progress().digest.is_empty())
    }

    /// Folds on up to a sequence, itself included, of a stream created then. `done` is told each sequence reached.
    pub(super) async fn fold_to(
        &self,
        to: u64,
        stream_created: &str,
        mut done: impl FnMut(u64),
    ) -> Result<(), Error> {
        let at = self.sequence()?;
        if at >= to {
            return Ok(());
        }
        let sealed = self.is_sealed()?;
        let stream = log::stream(self.partition);
        let subjects = self.scope.subjects(self.partition);
        let stretch = Stretch { stream: stream.clone(), from: From::Sequence(at + 1), to, subjects };
        let mut scan = Scan::new(self.context.clone(), stretch);
        let mut portion = Portion::default();
        let most = if sealed { COMMIT_EVENTS } else { BATCH_EVENTS };
        let mut last = Reached { sequence: at, ..Reached::default() };
        let mut reading = self.read_ahead(&mut scan, most, Known::default()).await?;
        while let Some(read) = reading.take() {
            let (read, known) = read.await?;
            // The next ones are decoded while these are merged.
            reading = self.read_ahead(&mut scan, most, known).await?;
            last = read.last;
            portion = self.fold(portion, read).await?;
            if sealed || portion.working.bytes() >= self.portion_bytes {
                self.write(std::mem::take(&mut portion), last, stream_created, sealed).await?;
            }
            done(last.sequence);
        }
        // With subjects the last messages may be none of ours: the stretch is read all the same.
        let end = Reached { sequence: to, ..last };
        if last.sequence != to && !self.scope.is_filtered() {
            return Err(Error::Short { partition: self.partition, wanted: to, found: last.sequence });
        }
        self.write(portion, end, stream_created, sealed).await?;
        done(to);
        Ok(())
    }

    /// Begins to decode the next messages; `None` at the end.
    async fn read_ahead(
        &self,
        scan: &mut Scan,
        most: usize,
        mut known: Known,
    ) -> Result<Option<JoinHandle<(Read, Known)>>, Error> {
        let Some(batch) = scan.next_batch(most).await? else { return Ok(None) };
        let scope = self.scope.clone();
        Ok(Some(tokio::task::spawn_blocking(move || (decode(&scope, &batch, &mut known), known))))
    }

    /// Works messages into the portion, on a thread that may block.
    async fn fold(&self, portion: Portion, read: Read) -> Result<Portion, Error> {
        let store = Arc::clone(&self.store);
        let work = tokio::task::spawn_blocking(move || fold(&store, portion, read));
        Ok(work.await??)
    }

    async fn write(
        &self,
        portion: Portion,
        last: Reached,
        stream_created: &str,
        sealed: bool,
    ) -> Result<(), Error> {
        let (store, created) = (Arc::clone(&self.store), stream_created.to_owned());
        // Until it is written, nobody knows what the entries add up to.
        let known = self.known().take();
        let work = tokio::task::spawn_blocking(move || write(&store, portion, last, created, sealed));
        let way = work.await??;
        *self.known() = known.map(|known| known.plus(way));
        Ok(())
    }

    /// Works the digests out, unless they are known.
    pub(super) async fn seal(&self) -> Result<(), Error> {
        let (store, known) = (Arc::clone(&self.store), *self.known());
        Ok(tokio::task::spawn_blocking(move || store.seal(known)).await??)
    }

    fn known(&self) -> MutexGuard<'_, Option<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    sequence: u64,
    log_time_ms: i64,
}

/// Removes what is beside a live store and closed: a large one takes a while.
pub(super) async fn remove(live: &Arc<Store>, side: Side) -> Result<(), Error> {
    let live = Arc::clone(live);
    Ok(tokio::task::spawn_blocking(move || live.remove_beside(side)).await??)
}

/// The store beside the live one, and whether an earlier attempt began it.
fn opened(live: &Store, side: Side, cache_bytes: u64) -> Result<(Store, bool), Error> {
    let resumed = match side {
        Side::Verify => None,
        Side::Rebuild => resumable(live, side, cache_bytes)?,
        Side::Previous => {
            let partition = live.partition();
            Some(resumable(live, side, cache_bytes)?.ok_or(Error::NoPrevious { partition })?)
        }
    };
    if let Some(store) = resumed {
        return Ok((store, true));
    }
    live.remove_beside(side)?;
    Ok((live.open_beside(side, cache_bytes)?, false))
}

/// What an earlier attempt left, if going on from there leads to what folding anew would.
fn resumable(live: &Store, side: Side, cache_bytes: u64) -> Result<Option<Store>, Error> {
    if !live.has_beside(side) {
        return Ok(None);
    }
    // Only what can be folded again is given up for damage.
    let useless = |error: &store::Error| error.is_damage() && side == Side::Rebuild;
    let store = match live.open_beside(side, cache_bytes) {
        Err(error) if useless(&error) => return Ok(None),
        opened => opened?,
    };
    let (left, present) = (store.view()?.progress(), live.view()?.progress());
    // An empty one knows of no log.
    let same_log = present.sequence == 0 || left.stream_created == present.stream_created;
    if same_log {
        ahead(live.partition(), present.sequence, left.sequence)?;
    }
    let same_fold = side == Side::Previous || store.fold_version()? == groupfold_fold::VERSION;
    let empty = left.sequence == 0 && (side == Side::Rebuild || present.sequence > 0);
    if empty || !same_log || !same_fold {
        return Ok(None);
    }
    match left.digest.is_empty() {
        // What is ahead of the position is merged again; damage shows on the way, and it is begun anew.
        true => Ok(Some(store)),
        false => match store.verify() {
            Err(error) if useless(&error) => Ok(None),
            verified => Ok(verified.map(|()| Some(store))?),
        },
    }
}

/// Messages as far as they can be told without looking at anything else.
#[derive(Debug, Default)]
struct Read {
    contributed: Vec<Contributions>,
    unreadable: Vec<v1::Unreadable>,
    messages: u64,
    last: Reached,
}

fn decode(scope: &Scope, batch: &[Found], known: &mut Known) -> Read {
    let mut found = Read { messages: batch.len() as u64, ..Read::default() };
    for Found { sequence, log_time_ms, payload, .. } in batch {
        found.last = Reached { sequence: *sequence, log_time_ms: *log_time_ms };
        if *scope != Scope::Whole {
            // What others report of a message that is none of ours is not going to be applied.
            *known = Known::default();
        }
        match read(payload, known) {
            Ok((record, contributions)) if scope.admits(&record.group_id) => {
                found.contributed.push(contributions);
            }
            Ok(_) => {}
            Err(reason) => {
                found.unreadable.push(v1::Unreadable { sequence: *sequence, reason: reason.to_owned() });
            }
        }
    }
    found
}

fn fold(store: &Store, mut portion: Portion, read: Read) -> Result<Portion, store::Error> {
    portion.messages += read.messages;
    portion.unreadable.extend(read.unreadable);
    // As long as nothing was written, nothing need be looked up.
    if store.view()?.sequence() > 0 {
        let mut keys: Vec<&Vec<u8>> =
            read.contributed.iter().flat_map(|contributions| portion.working.unmet(contributions)).collect();
        keys.sort_unstable();
        keys.dedup();
        let loaded = store.load(keys)?;
        portion.working.load(loaded);
    }
    for contributions in read.contributed {
        portion
            .working
            .apply(contributions)
            .map_err(|error| store::Error::damaged(store.partition(), error))?;
    }
    Ok(portion)
}

/// Writes a portion and tells what it adds to the digest.
fn write(
    store: &Store,
    portion: Portion,
    last: Reached,
    stream_created: String,
    sealed: bool,
) -> Result<Digest, store::Error> {
    let changes = portion.working.finish();
    let way = changes.digest;
    let before = store.view()?.progress();
    let unreadable = portion.unreadable.len() as u64;
    let mut progress = v1::Progress {
        stream: log::stream(store.partition()),
        stream_created,
        sequence: last.sequence,
        log_time_ms: last.log_time_ms,
        digest: before.digest.clone(),
        events_applied: before.events_applied + portion.messages - unreadable,
        records_unreadable: before.records_unreadable + unreadable,
        ..before.clone()
    };
    if last.log_time_ms == 0 {
        progress.log_time_ms = before.log_time_ms;
    }
    if sealed {
        let digest =
            store::digest_of(&before).map_err(|error| store::Error::damaged(store.partition(), error))?;
        progress.digest = digest.plus(way).to_bytes().to_vec().into();
        store.commit(&changes, &portion.unreadable, progress)?;
    } else {
        store.write_portion(changes, &portion.unreadable, progress)?;
    }
    Ok(way)
}
