//! How a partition is doing: what its loop tells readers, health and metrics.

use std::time::{Duration, Instant};

use groupfold_fold::apply::Digest;

use crate::shape::convert::time;
use crate::store;

/// How a partition is doing now.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// Last sequence that is folded and on the device.
    pub(crate) applied: u64,
    /// Last sequence of the log, as far as is known; never below `applied`.
    pub(crate) log_end: u64,
    /// When the log took the last applied message, Unix milliseconds; zero if there is none.
    pub(crate) applied_log_time_ms: i64,
    /// Digest of all entries.
    pub(crate) digest: Digest,
    /// Events folded and records that could not be: together one for each sequence applied.
    pub(crate) folded: Folded,
    /// What the loop does.
    pub(crate) run: Run,
    /// True from the moment when all that was in the log at start (or at start over) is folded.
    pub(crate) caught_up: bool,
    /// End of the log when it was first seen at start: how far `caught_up` asks. It does not move, since
    /// a busy log has no moment in which nothing waits.
    start_end: Option<u64>,
    /// Why the last commit failed, until one succeeds.
    unwritable: Option<Unwritable>,
    /// When `applied` moved last.
    moved: Instant,
    /// Since when messages wait; `None` while none does.
    behind_since: Option<Instant>,
}

/// A commit that failed, and is tried again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unwritable {
    code: &'static str,
    why: String,
}

/// What became of the messages up to a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) events: u64,
    pub(crate) unreadable: u64,
}

/// What a partition's loop does.
///
/// ```text
///              fence holds      consumer lost, broker gone, commit failed
///   Connecting ───────────▶ Running ─────────────────────────────────────┐
///       ▲  │                   │                                         │
///       │  └─ fence broken ─┐  │ sequence missing, fold panicked         │
///       │                   ▼  ▼                                         │
///       │                  Stopped (until restart)                       │
///       └────────────────────────────────────────────────────────────────┘
/// ```
#[derive(Debug, Clone)]
pub(crate) enum Run {
    /// Not reading; tries by itself to read again.
    Connecting {
        /// Since when.
        since: Instant,
        /// Why not yet.
        why: String,
    },
    /// Reading the log.
    Running,
    /// Not reading, and will not until someone has looked.
    Stopped(Stop),
}

/// Why a partition stopped: whatever comes next in the log would leave a gap or could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The stream is not there.
    #[error("stream {stream} does not exist")]
    StreamMissing { stream: String },
    /// It is another stream of that name.
    #[error("the stream was created at {found}, the store follows the one created at {expected}")]
    StreamRecreated { expected: String, found: String },
    /// The stream ends before our position.
    #[error("the stream ends at {last}, {applied} is applied")]
    StreamShortened { last: u64, applied: u64 },
    /// The message at our position is not the one we applied.
    #[error("message {sequence} is of {}, the one applied was of {}", time(*.found_ms), time(*.expected_ms))]
    StreamRewritten { sequence: u64, expected_ms: i64, found_ms: i64 },
    /// The stream begins after our position.
    #[error("the stream begins at {first}, {applied} is applied")]
    RetentionOvertook { first: u64, applied: u64 },
    /// A sequence within the stream is gone, or its last ones: the broker counts what it cannot read from its files.
    #[error("sequence {expected} is missing, {}", follows(*.found))]
    MissingSequence { expected: u64, found: Option<u64> },
    /// A batch could not be written, or not be read back.
    #[error("{why}")]
    StoreFailed { why: String },
    /// A fault of ours ended what folds, at this message, or what publishes.
    #[error("a fault of groupfold{}: {why}", at(*.sequence))]
    Panicked { sequence: Option<u64>, why: String },
}

fn at(sequence: Option<u64>) -> String {
    sequence.map_or_else(String::new, |sequence| format!(" at sequence {sequence}"))
}

fn follows(found: Option<u64>) -> String {
    found.map_or_else(
        || "and nothing follows: are the broker's files damaged?".to_owned(),
        |found| format!("{found} follows"),
    )
}

impl Stop {
    /// Stable name of the reason.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::StreamMissing { .. } => "stream_missing",
            Self::StreamRecreated { .. } => "stream_recreated",
            Self::StreamShortened { .. } => "stream_shortened",
            Self::StreamRewritten { .. } => "stream_rewritten",
            Self::RetentionOvertook { .. } => "retention_overtook",
            Self::MissingSequence { .. } => "missing_sequence",
            Self::StoreFailed { .. } => "store_failed",
            Self::Panicked { .. } => "panicked",
        }
    }

    pub(crate) fn store(error: &store::Error) -> Self {
        Self::StoreFailed { why: store::chain(error) }
    }
}

impl Status {
    pub(crate) fn new(applied: u64, applied_log_time_ms: i64, digest: Digest) -> Self {
        let now = Instant::now();
        Self {
            applied,
            log_end: applied,
            applied_log_time_ms,
            digest,
            folded: Folded::default(),
            run: Run::Connecting { since: now, why: "not connected yet".to_owned() },
            caught_up: false,
            start_end: None,
            unwritable: None,
            moved: now,
            behind_since: None,
        }
    }

    /// Takes note of the end of the log.
    pub(crate) fn saw_end(&mut self, end: u64) {
        self.log_end = self.log_end.max(end).max(self.applied);
        self.settle();
    }

    /// Takes note of the end of the log as the broker itself says it.
    pub(crate) fn fenced(&mut self, end: u64) {
        self.start_end.get_or_insert(end);
        self.saw_end(end);
    }

    /// Takes note of a commit.
    pub(crate) fn moved_to(&mut self, sequence: u64, log_time_ms: i64, digest: Digest) {
        self.applied = sequence;
        self.applied_log_time_ms = log_time_ms;
        self.digest = digest;
        self.unwritable = None;
        self.moved = Instant::now();
        self.saw_end(sequence);
    }

    /// Takes note of a commit that failed and may succeed later.
    pub(crate) fn could_not_write(&mut self, error: &store::Error) {
        let code = if error.is_full() { "disk_full" } else { "store_unwritable" };
        self.unwritable = Some(Unwritable { code, why: store::chain(error) });
    }

    /// Stable name of why the partition takes nothing in: it stopped, or its store takes no writes.
    pub(crate) fn code(&self) -> Option<&'static str> {
        match &self.run {
            Run::Stopped(stop) => Some(stop.code()),
            Run::Connecting { .. } | Run::Running => {
                self.unwritable.as_ref().map(|unwritable| unwritable.code)
            }
        }
    }

    fn settle(&mut self) {
        self.caught_up |= self.start_end.is_some_and(|end| self.applied >= end);
        if self.lag_events() == 0 {
            self.behind_since = None;
        } else if self.behind_since.is_none() {
            self.behind_since = Some(Instant::now());
        }
    }

    /// True if all up to a sequence is folded, and what comes next will be.
    pub(crate) fn knows(&self, sequence: u64) -> bool {
        self.caught_up && self.applied >= sequence && !matches!(self.run, Run::Stopped(_))
    }

    /// Messages of the log that are not folded yet.
    pub(crate) fn lag_events(&self) -> u64 {
        self.log_end.saturating_sub(self.applied)
    }

    /// Age of the oldest message that waits, from above: it came after the last applied one, and, once
    /// all that was there at start is folded, not before we fell behind. Zero while none waits.
    pub(crate) fn lag_seconds(&self, now_ms: i64) -> f64 {
        let Some(since) = self.behind_since else { return 0.0 };
        let behind = since.elapsed().as_secs_f64();
        if self.applied_log_time_ms == 0 {
            return behind;
        }
        let age = now_ms.saturating_sub(self.applied_log_time_ms).max(0) as f64 / 1000.0;
        if self.caught_up { age.min(behind) } else { age }
    }

    /// Why a reader should rather ask elsewhere; `None` if it need not.
    pub(crate) fn reason(&self, partition: u16) -> Option<String> {
        let waits = self.lag_events();
        match &self.run {
            Run::Stopped(stop) => Some(format!("partition {partition}: stopped: {}: {stop}", stop.code())),
            // At once, whatever else it does meanwhile: what it answers grows old until somebody makes room.
            Run::Connecting { .. } | Run::Running
                if let Some(Unwritable { code, why }) = &self.unwritable =>
            {
                Some(format!("partition {partition}: {code}: {why}"))
            }
            Run::Connecting { since, why } if !self.caught_up || since.elapsed() > GRACE => {
                Some(format!("partition {partition}: reconnecting: {why}"))
            }
            Run::Running if !self.caught_up => {
                Some(format!("partition {partition}: catching up: {waits} events to go"))
            }
            Run::Running if self.is_stuck() => {
                Some(format!("partition {partition}: no progress: {waits} events wait"))
            }
            Run::Connecting { .. } | Run::Running => None,
        }
    }

    fn is_stuck(&self) -> bool {
        let waiting = self.behind_since.is_some_and(|since| since.elapsed() > STUCK);
        waiting && self.moved.elapsed() > STUCK
    }
}

/// How long a partition may be without its broker before readiness says so.
const GRACE: Duration = Duration::from_secs(3);
/// How long events may wait while none is folded before readiness says so.
const STUCK: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn running(applied: u64) -> Status {
        let mut status = Status::new(applied, 0, Digest::default());
        status.run = Run::Running;
        status
    }

    #[test]
    fn lag_is_zero_at_the_end_and_counts_from_when_we_fell_behind() {
        let mut status = running(3);
        assert_eq!((status.lag_events(), status.lag_seconds(10_000)), (0, 0.0));
        status.caught_up = true;
        status.applied_log_time_ms = 1_000;
        status.saw_end(5);
        assert_eq!(status.lag_events(), 2);
        assert!(status.lag_seconds(3_601_000) < 60.0, "an idle hour before is no lag");
        status.moved_to(5, 2_000, Digest::default());
        assert_eq!((status.lag_events(), status.lag_seconds(10_000)), (0, 0.0));
    }

    #[test]
    fn caught_up_is_what_was_there_at_start_though_the_log_grows_on() {
        let mut status = running(3);
        status.moved_to(4, 1, Digest::default());
        assert!(!status.caught_up, "nobody has said yet where the log ends");
        status.fenced(6);
        status.moved_to(5, 1, Digest::default());
        status.fenced(90);
        assert!(!status.caught_up);
        status.moved_to(6, 1, Digest::default());
        assert!(status.caught_up && status.lag_events() == 84);
        let mut idle = running(3);
        idle.fenced(3);
        assert!(idle.caught_up);
    }

    #[test]
    fn lag_of_a_rebuild_is_the_age_of_what_is_folded() {
        let mut status = running(0);
        status.saw_end(10);
        status.moved_to(1, 1_000, Digest::default());
        assert!((status.lag_seconds(61_000) - 60.0).abs() < 0.001);
    }

    #[test]
    fn a_commit_that_failed_is_told_until_one_succeeds() {
        let io = |number| store::Error::Io {
            doing: "write",
            path: "x".into(),
            source: std::io::Error::from_raw_os_error(number),
        };
        let mut status = running(3);
        status.caught_up = true;
        assert_eq!((status.reason(7), status.code()), (None, None));
        status.could_not_write(&io(5));
        assert_eq!(status.code(), Some("store_unwritable"));
        status.could_not_write(&io(28));
        assert_eq!(status.code(), Some("disk_full"));
        // Opened anew between two attempts it reads on, and is as little ready.
        for run in [Run::Running, Run::Connecting { since: Instant::now(), why: "x".to_owned() }] {
            status.run = run;
            let reason = status.reason(7).unwrap();
            assert!(reason.starts_with("partition 7: disk_full: cannot write x: No space left"), "{reason}");
        }
        status.moved_to(4, 1, Digest::default());
        status.run = Run::Running;
        assert_eq!((status.reason(7), status.code()), (None, None));
    }

    #[test]
    fn readiness_names_partition_and_reason() {
        let mut status = running(0);
        assert!(status.reason(3).unwrap().starts_with("partition 3: catching up"));
        status.caught_up = true;
        assert_eq!(status.reason(3), None);
        status.run = Run::Stopped(Stop::MissingSequence { expected: 4, found: Some(6) });
        let reason = status.reason(3).unwrap();
        assert_eq!(reason, "partition 3: stopped: missing_sequence: sequence 4 is missing, 6 follows");
    }
    /// As milliseconds they were taken for phone numbers, and blacked out in the log.
    #[test]
    fn a_stop_tells_times_as_times() {
        let stop = Stop::StreamRewritten {
            sequence: 23,
            expected_ms: 1_767_225_600_000,
            found_ms: 1_767_225_600_250,
        };
        let told = "message 23 is of 2026-01-01T00:00:00.250Z, the one applied was of 2026-01-01T00:00:00Z";
        assert_eq!(stop.to_string(), told);
    }
}
