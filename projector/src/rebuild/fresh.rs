//! A store folded anew from the log, beside the live one.
//!
//! Most of the log is folded in portions: as many entries as memory may hold, each written once, then the
//! position. Once sealed (its digests worked out), the rest follows in small commits like those of the live store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_nats::jetstream;
use groupfold_fold::apply::{Changes, Contributions, Digest, apply_all};
use groupfold_fold::entry::Memory;
use groupfold_schemas::{log, v1};

use super::Error;
use super::report::Scope;
use crate::partition::fold::record_of;
use crate::scan::{Found, From, Scan, Stretch};
use crate::store::{self, Side, Store, VALUE_BYTES_MAX};

/// Messages folded at a time in portions.
const BATCH_EVENTS: usize = 1_000;
/// Messages of one commit once sealed: their keys keep well within what sled takes at once.
const COMMIT_EVENTS: usize = 100;

/// A store folded anew, as far as it is.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) store: Arc<Store>,
    scope: Scope,
    partition: u16,
    portion_bytes: usize,
    context: jetstream::Context,
}

/// What is folded and not yet written.
#[derive(Debug, Default)]
struct Portion {
    memory: Memory,
    bytes: usize,
    /// What the entries add to the digests.
    digest: Digest,
    groups: BTreeMap<String, Digest>,
    unreadable: Vec<v1::Unreadable>,
    messages: u64,
}

impl Fresh {
    /// The store beside the live one: what an earlier attempt left if that is of the same log and fold and not
    /// ahead, an empty one otherwise.
    pub(super) fn open(
        live: &Store,
        side: Side,
        scope: Scope,
        portion_bytes: usize,
        context: jetstream::Context,
    ) -> Result<Self, Error> {
        let resumed = match side {
            Side::Verify => None,
            Side::Rebuild | Side::Previous => resumable(live, side)?,
        };
        let store = match resumed {
            Some(store) => store,
            None => {
                live.remove_beside(side)?;
                live.open_beside(side)?
            }
        };
        Ok(Self { store: Arc::new(store), scope, partition: live.partition(), portion_bytes, context })
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
        while let Some(batch) = scan.next_batch(most).await? {
            if let Some(found) = batch.last() {
                last = Reached { sequence: found.sequence, log_time_ms: found.log_time_ms };
            }
            portion = self.fold(portion, batch).await?;
            if sealed || portion.bytes >= self.portion_bytes {
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

    /// Works a batch into the portion, on a thread that may block.
    async fn fold(&self, portion: Portion, batch: Vec<Found>) -> Result<Portion, Error> {
        let (store, scope) = (Arc::clone(&self.store), self.scope.clone());
        let work = tokio::task::spawn_blocking(move || fold(&store, &scope, portion, &batch));
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
        let work = tokio::task::spawn_blocking(move || write(&store, portion, last, created, sealed));
        Ok(work.await??)
    }

    /// Works the digests out.
    pub(super) async fn seal(&self) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        Ok(tokio::task::spawn_blocking(move || store.seal()).await??)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    sequence: u64,
    log_time_ms: i64,
}

/// What an earlier attempt left, if going on from there leads to what folding anew would.
fn resumable(live: &Store, side: Side) -> Result<Option<Store>, Error> {
    if !live.has_beside(side) {
        return Ok(None);
    }
    let store = match live.open_beside(side) {
        Err(error) if error.is_damage() => return Ok(None),
        opened => opened?,
    };
    let (left, present) = (store.view()?.progress(), live.view()?.progress());
    let same_log = left.stream_created == present.stream_created;
    let same_fold = side == Side::Previous || store.fold_version()? == groupfold_fold::VERSION;
    if left.sequence == 0 || left.sequence > present.sequence || !same_log || !same_fold {
        return Ok(None);
    }
    match left.digest.is_empty() {
        // What is ahead of the position is merged again; damage shows when it is compared.
        true => Ok(Some(store)),
        false => match store.verify() {
            Err(error) if error.is_damage() => Ok(None),
            verified => Ok(verified.map(|()| Some(store))?),
        },
    }
}

fn fold(
    store: &Store,
    scope: &Scope,
    mut portion: Portion,
    batch: &[Found],
) -> Result<Portion, store::Error> {
    let mut records = Vec::with_capacity(batch.len());
    for found in batch {
        portion.messages += 1;
        match record_of(&found.payload) {
            Ok(record) if scope.admits(&record.group_id) => records.push(record),
            Ok(_) => {}
            Err(reason) => {
                portion
                    .unreadable
                    .push(v1::Unreadable { sequence: found.sequence, reason: reason.to_owned() });
            }
        }
    }
    let keys: BTreeSet<Vec<u8>> = Contributions::of(&records).keys();
    let missing = keys.iter().filter(|key| !portion.memory.0.contains_key(*key));
    let loaded = store.load(missing)?;
    portion.bytes += bytes(&loaded);
    portion.memory.0.extend(loaded.0);
    let damaged = |error| store::Error::Damaged { partition: store.partition(), source: Box::new(error) };
    let changes = apply_all(&portion.memory, Contributions::of(&records)).map_err(damaged)?;
    let changed = Memory(changes.puts);
    if let Some(len) = changed.0.values().map(Vec::len).find(|len| *len > VALUE_BYTES_MAX) {
        let source = format!("an entry would have {len} bytes, more than {VALUE_BYTES_MAX}").into();
        return Err(store::Error::Damaged { partition: store.partition(), source });
    }
    portion.bytes += bytes(&changed);
    portion.digest = portion.digest.plus(changes.digest);
    for (group, way) in changes.groups {
        let digest = portion.groups.entry(group).or_default();
        *digest = digest.plus(way);
    }
    portion.memory.0.extend(changed.0);
    Ok(portion)
}

fn bytes(memory: &Memory) -> usize {
    memory.0.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn write(
    store: &Store,
    portion: Portion,
    last: Reached,
    stream_created: String,
    sealed: bool,
) -> Result<(), store::Error> {
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
    };
    if last.log_time_ms == 0 {
        progress.log_time_ms = before.log_time_ms;
    }
    if !sealed {
        return store.write_portion(&portion.memory.0, &portion.unreadable, progress);
    }
    let damaged = |error| store::Error::Damaged { partition: store.partition(), source: Box::new(error) };
    let digest = store::digest_of(&before).map_err(damaged)?.plus(portion.digest);
    progress.digest = digest.to_bytes().to_vec().into();
    let changes = Changes { puts: portion.memory.0, digest: portion.digest, groups: portion.groups };
    store.commit(&changes, &portion.unreadable, progress)
}
