//! Points at which a test ends the process, as `kill -9` would: between any two steps that a crash may fall between.
//!
//! Development builds alone have them. A release build has none: [`at`] is empty there, and [`arm`] refuses.
//! Beside them faults that are no crash: [`NO_SYNC`] has the store believe the operating system, so that a test
//! of power cuts can be seen to fail; and [`BAD_SYNC`] has a device that refuses once. And [`FOLD_PANIC`] has a fault of ours.

/// A step after which the process can be told to die, and its name.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// Where a process can be told to die.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// All of them, in the order of a webhook's way.
            pub const ALL: &'static [Self] = &[$(Self::$point,)*];

            /// Its name, as [`arm`] takes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// The items of a webhook are read, none is published.
    AppendBegin = "append.begin",
    /// A message is handed to the broker, its acknowledgement not awaited.
    AppendSent = "append.sent",
    /// A message is acknowledged, the others of its webhook perhaps not.
    AppendOne = "append.one",
    /// All are acknowledged, the sender not answered.
    AppendAll = "append.all",
    /// A batch came from the log, nothing is folded.
    FoldBegin = "fold.begin",
    /// Folded in memory, nothing is written.
    FoldDone = "fold.done",
    /// Readers see what was, nothing is written.
    CommitBegin = "commit.begin",
    /// What the commit writes over is noted, in memory.
    CommitNoted = "commit.noted",
    /// Half of the commit is written, and the operating system has it.
    CommitHalf = "commit.half",
    /// The database has all of it, in memory.
    CommitApplied = "commit.applied",
    /// The operating system has it, the device perhaps not.
    CommitFlushed = "commit.flushed",
    /// The device has it, readers do not see it.
    CommitSynced = "commit.synced",
    /// Readers see the state, not yet how far it goes.
    CommitVisible = "commit.visible",
    /// Changes are read from the outbox, none is published.
    FeedBegin = "feed.begin",
    /// Changes are published, which is not noted.
    FeedPublished = "feed.published",
    /// The operating system has some of a portion's entries.
    PortionBatch = "portion.batch",
    /// A portion of a store folded anew has entries ahead of its position.
    PortionApplied = "portion.applied",
    /// The same, with its position.
    PortionDone = "portion.done",
    /// All digests of a store folded anew are written, its position has none.
    SealBegin = "seal.begin",
    /// Both stores are closed, neither is renamed.
    SwapBegin = "swap.begin",
    /// The live store is renamed away.
    SwapOut = "swap.out",
    /// The new store stands in its place.
    SwapIn = "swap.in",
    /// The old store is put away, leftovers may be there.
    SwapDone = "swap.done",
    /// A command is in the log, nobody has claimed it.
    CommandRequested = "command.requested",
    /// It is claimed, the log does not say that it leaves.
    CommandClaimed = "command.claimed",
    /// The log says so, it has not left.
    CommandSent = "command.sent",
    /// The provider has answered, the log does not know.
    CommandCalled = "command.called",
    /// The log knows the answer.
    CommandAnswered = "command.answered",
    /// A file of ours that is replaced whole, such as an export's manifest: the new one lies beside it, synced.
    ReplaceBegin = "replace.begin",
}

/// What to arm for a store that never syncs its device.
pub const NO_SYNC: &str = "commit.no_sync";

/// What to arm for a device that refuses the first sync of a store, with an input/output error.
pub const BAD_SYNC: &str = "commit.bad_sync";

/// What to arm for a fold that panics, whatever it folds; `fold.panic:GROUP` at the events of one group.
pub const FOLD_PANIC: &str = "fold.panic";

/// Why a point cannot be armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A release build.
    #[error("this build has no crash points: they are in development builds alone")]
    None,
    /// Not `name` or `name:count`, or no such name.
    #[error("{0:?} is no crash point: expected NAME or NAME:COUNT")]
    Unknown(String),
    /// Armed before.
    #[error("a crash point is armed already")]
    Twice,
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::{BAD_SYNC, Error, FOLD_PANIC, NO_SYNC, Point};

    static REFUSING: AtomicBool = AtomicBool::new(false);
    static SYNCLESS: AtomicBool = AtomicBool::new(false);
    static PANICKING: OnceLock<String> = OnceLock::new();
    static ARMED: OnceLock<(Point, AtomicU64)> = OnceLock::new();

    /// Arms a point: `commit.flushed` ends the process the first time it is passed, `commit.flushed:7` the seventh.
    ///
    /// # Errors
    /// There is no such point, or one is armed.
    pub fn arm(spec: &str) -> Result<(), Error> {
        if spec == NO_SYNC {
            SYNCLESS.store(true, Ordering::SeqCst);
            return Ok(());
        }
        if spec == BAD_SYNC {
            REFUSING.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let (fault, group) = spec.split_once(':').unwrap_or((spec, ""));
        if fault == FOLD_PANIC {
            return PANICKING.set(group.to_owned()).map_err(|_| Error::Twice);
        }
        let unknown = || Error::Unknown(spec.to_owned());
        let (name, count) = spec.split_once(':').unwrap_or((spec, "1"));
        let count: u64 = count.parse().ok().filter(|count| *count > 0).ok_or_else(unknown)?;
        let point = Point::ALL.iter().find(|point| point.name() == name).ok_or_else(unknown)?;
        ARMED.set((*point, AtomicU64::new(count))).map_err(|_| Error::Twice)
    }

    /// Ends the process if this point is armed and was passed often enough.
    pub fn at(point: Point) {
        let Some((armed, left)) = ARMED.get() else { return };
        if *armed == point && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }

    /// True if the process is to die at this point sooner or later: what the point needs to be there is done.
    pub fn is_armed(point: Point) -> bool {
        ARMED.get().is_some_and(|(armed, _)| *armed == point)
    }

    /// True unless the store is told to believe the operating system.
    pub fn syncs() -> bool {
        !SYNCLESS.load(Ordering::SeqCst)
    }

    /// True once, if the device is told to refuse.
    pub fn refuses() -> bool {
        REFUSING.swap(false, Ordering::SeqCst)
    }

    /// True if the fold is told to panic at events of this group.
    pub fn panics(group: &str) -> bool {
        PANICKING.get().is_some_and(|told| told.is_empty() || told == group)
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    use super::{Error, Point};

    /// A release build has no points.
    ///
    /// # Errors
    /// Always.
    pub fn arm(_: &str) -> Result<(), Error> {
        Err(Error::None)
    }

    /// Nothing.
    #[inline(always)]
    pub fn at(_: Point) {}

    /// False.
    #[inline(always)]
    pub fn is_armed(_: Point) -> bool {
        false
    }

    /// True.
    #[inline(always)]
    pub fn syncs() -> bool {
        true
    }

    /// False.
    #[inline(always)]
    pub fn refuses() -> bool {
        false
    }

    /// False.
    #[inline(always)]
    pub fn panics(_: &str) -> bool {
        false
    }
}

pub use armed::{arm, at, is_armed, panics, refuses, syncs};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_point_is_refused() {
        for spec in ["", "commit", "commit.flushed:0", "commit.flushed:x", "commit.flushed:1:2"] {
            assert_eq!(arm(spec), Err(Error::Unknown(spec.to_owned())));
        }
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
