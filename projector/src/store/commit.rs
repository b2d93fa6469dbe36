//! One commit: entries and their position as one atomic write, hidden from readers until the device has it.

use std::sync::PoisonError;

use groupfold_fold::apply::Changes;
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::{frame, v1};

use super::shadow::Shadow;
use super::{
    Error, FOLD_KEY, Outbox, PROGRESS_KEY, Standing, Store, VALUE_BYTES_MAX, Writes, digests, outbox, pages,
    unreadable_key,
};

impl Store {
    /// Writes changes, unreadable records and the position they lead to, all or nothing, and returns when they
    /// are on the device. After an error the store is closed: memory may be ahead of the device.
    ///
    /// # Errors
    /// The store is closed, or a write failed. [`Error::Damaged`] of an entry longer than [`VALUE_BYTES_MAX`]: nothing is
    /// written then.
    pub fn commit(
        &self,
        changes: &Changes,
        unreadable: &[v1::Unreadable],
        progress: v1::Progress,
    ) -> Result<(), Error> {
        self.commit_with(changes, unreadable, &Outbox::default(), progress)
    }

    /// As [`Self::commit`], with changes to publish.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_with(
        &self,
        changes: &Changes,
        unreadable: &[v1::Unreadable],
        outbox: &Outbox,
        progress: v1::Progress,
    ) -> Result<(), Error> {
        self.bounded(changes)?;
        let mut writes = writes(unreadable, outbox, &progress);
        let shadow = self.noted(&mut writes, changes)?;
        let hidden = self.hide(shadow)?;
        self.write(writes)?;
        hidden.show(progress)
    }

    /// What records bring is bounded, see `partition::bound`: an entry that is longer cannot be of this log and build.
    pub(super) fn bounded(&self, changes: &Changes) -> Result<(), Error> {
        let Some(len) = changes.puts.values().map(Vec::len).find(|len| *len > VALUE_BYTES_MAX) else {
            return Ok(());
        };
        let what = format!("an entry would have {len} bytes, more than {VALUE_BYTES_MAX}");
        Err(Error::damaged(self.partition(), what))
    }

    /// From here on readers see what was.
    pub(super) fn hide(&self, shadow: Shadow) -> Result<Hidden<'_>, Error> {
        let partition = self.partition();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_mut().filter(|open| open.is_still()).ok_or(Error::Closed { partition })?;
        open.standing = Standing::Writing(shadow);
        Ok(Hidden(self))
    }

    /// Readers may look on.
    pub(super) fn write(&self, writes: Writes) -> Result<(), Error> {
        let partition = self.partition();
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_ref().ok_or(Error::Closed { partition })?;
        let old = open.shadow().ok_or(Error::Closed { partition })?;
        crash::at(Point::CommitBegin);
        let commit = open.undo.begin(old)?;
        crash::at(Point::CommitNoted);
        writes.write(partition, &open.db)?;
        open.undo.end(commit)?;
        crash::at(Point::CommitApplied);
        self.sync(open)?;
        crash::at(Point::CommitSynced);
        Ok(())
    }

    /// Adds what is still lacking, and looks what is there before it.
    pub(super) fn noted(&self, writes: &mut Writes, changes: &Changes) -> Result<Shadow, Error> {
        let partition = self.partition();
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_ref().filter(|open| open.is_still()).ok_or(Error::Closed { partition })?;
        pages::put_all(partition, &open.db, &changes.puts, |part| {
            part.into_iter().for_each(|(key, value)| writes.put(&key, value));
            Ok(())
        })?;
        digests::add(partition, &open.db, &changes.groups, writes)?;
        outbox::take_out(partition, open, writes)?;
        if open.progress.sequence == 0 {
            writes.put(FOLD_KEY, &groupfold_fold::VERSION.to_be_bytes());
        }
        writes.shadow(partition, &open.db)
    }
}

/// What a commit writes, save for what depends on what is there.
pub(super) fn writes(unreadable: &[v1::Unreadable], outbox: &Outbox, progress: &v1::Progress) -> Writes {
    let mut writes = Writes::default();
    outbox.write(&mut writes);
    for record in unreadable {
        writes.put(&unreadable_key(record.sequence), frame::encode(record));
    }
    writes.put(PROGRESS_KEY, frame::encode(progress));
    writes
}

/// What readers do not see yet. Dropped before it is shown, what was written may be anything: nobody may look.
pub(super) struct Hidden<'a>(&'a Store);

impl Hidden<'_> {
    /// From here on readers see what was written.
    pub(super) fn show(self, progress: v1::Progress) -> Result<(), Error> {
        let partition = self.0.partition();
        let mut inner = self.0.inner.write().unwrap_or_else(PoisonError::into_inner);
        let open = inner.as_mut().ok_or(Error::Closed { partition })?;
        open.progress = progress;
        open.standing = Standing::Still;
        Ok(())
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = inner.as_mut().filter(|open| !open.is_still()) {
            open.standing = Standing::Ahead;
        }
    }
}
