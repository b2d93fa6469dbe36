//! A stream that nats-server holds: after a write that failed, for want of room say, it takes nothing more until the
//! server is started again. On a disk that fails for ever the write after that fails as well: then ever more time passes
//! before the next start, in which the other streams go on.

use std::path::Path;
use std::time::{Duration, Instant};

use groupfold_ingest::durability::held_stream;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between the first start for a held stream and the next one; twice as long each time, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// So long after a start without a held stream, counted from when the pause is over, the next one is a new story.
const HEALED: Duration = Duration::from_secs(600);
/// Looks in a row that find a stream held and room: what passes by itself needs nobody.
const LOOKS: u32 = 3;
/// With less, the next write would fail again: a block of each of a log's streams.
const ROOM_MIB_MIN: u64 = 32;
const ROOM_BYTES_MIN: u64 = ROOM_MIB_MIN * 1024 * 1024;

/// Starts for held streams, one after the other.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// The last one, and how long the next one has to wait after it.
    last: Option<(Instant, Duration)>,
}

impl Starts {
    /// True once another start may help.
    fn may_start(&self, now: Instant) -> bool {
        self.last.is_none_or(|(at, pause)| now.duration_since(at) >= pause)
    }

    /// Takes note of a start; how long the next one has to wait.
    fn started(&mut self, now: Instant) -> Duration {
        let pause = match self.last {
            Some((at, pause)) if now.duration_since(at) < pause + HEALED => (pause * 2).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        self.last = Some((now, pause));
        pause
    }
}

/// Waits until a stream is held, has been for a while, there is room for it again, and the last start for one was long
/// enough ago: then the server is to be started again.
pub(super) async fn until_room(monitor_url: &str, folder: &Path, starts: &mut Starts) {
    let mut watch = Watch::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let error = held_stream(monitor_url).await;
        let verdict = watch.look(error.is_some(), free(folder), starts.may_start(Instant::now()));
        match (verdict, error) {
            (Verdict::Restart, Some(error)) => {
                let next_in = starts.started(Instant::now());
                tracing::error!(
                    %error, ?next_in,
                    "nats-server holds a stream after a failed write and there is room, starting it again; if the write \
                     fails again the disk does, and the next start has to wait"
                );
                return;
            }
            (Verdict::SayFailing, Some(error)) => {
                tracing::error!(
                    %error, folder = %folder.display(),
                    "nats-server holds a stream again though there is room: its disk fails; another start has to wait"
                );
            }
            (Verdict::SayFull, Some(error)) => {
                tracing::warn!(%error, folder = %folder.display(), "{}", waiting_for_room());
            }
            _ => {}
        }
    }
}

/// Bound of all streams together: three quarters of the disk, as the server itself chooses on an empty one.
pub(super) fn log_bytes_max(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_blocks.saturating_mul(disk.f_frsize) / 4 * 3).filter(|bytes| *bytes > 0)
}

fn waiting_for_room() -> String {
    format!("nats-server holds a stream, waiting for {ROOM_MIB_MIN} MiB of room on its disk")
}

/// Bytes that are free; a disk that cannot be asked is no reason to wait.
pub(super) fn free(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[derive(Debug, Default)]
struct Watch {
    ready: u32,
    full: bool,
    failing: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    /// Wait, and say once that it is for room.
    SayFull,
    /// Wait, and say once that a start has not helped.
    SayFailing,
    Restart,
}

impl Watch {
    fn look(&mut self, held: bool, free: u64, may_start: bool) -> Verdict {
        let full = held && free < ROOM_BYTES_MIN;
        let news = full && !self.full;
        self.full = full;
        self.ready = if held && !full { self.ready.saturating_add(1) } else { 0 };
        let failing = self.ready >= LOOKS && !may_start;
        let worse = failing && !self.failing;
        self.failing = failing;
        match self.ready {
            LOOKS.. if may_start => Verdict::Restart,
            _ if worse => Verdict::SayFailing,
            _ if news => Verdict::SayFull,
            _ => Verdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_stream_is_worth_a_restart_once_it_stays_held_with_room() {
        use Verdict::{Restart, SayFull, Wait};
        let mut watch = Watch::default();
        let (room, none) = (ROOM_BYTES_MIN, ROOM_BYTES_MIN - 1);
        let looks = [(false, none, Wait), (true, none, SayFull), (true, none, Wait), (true, room, Wait)];
        let relapse = [(true, room, Wait), (true, none, SayFull), (true, room, Wait), (true, room, Wait)];
        for (held, free, verdict) in looks.into_iter().chain(relapse) {
            assert_eq!(watch.look(held, free, true), verdict);
        }
        assert_eq!(watch.look(false, room, true), Wait, "it passed by itself");
        assert_eq!([(); 3].map(|()| watch.look(true, room, true)), [Wait, Wait, Restart]);
    }

    #[test]
    fn how_much_room_is_waited_for_is_said_in_the_log_and_in_the_runbook() {
        let room = format!("{} MiB", ROOM_BYTES_MIN >> 20);
        assert!(waiting_for_room().contains(&room), "{}", waiting_for_room());
        let runbook = include_str!("../../../deploy/RUNBOOK.md");
        let line =
            runbook.lines().find(|line| line.contains("the broker holds a stream until")).unwrap_or_default();
        assert!(line.contains(&format!("once there are {room} of room")), "{line}");
    }

    #[test]
    fn on_a_disk_that_fails_for_ever_starts_are_ever_further_apart_up_to_a_bound() {
        let mut starts = Starts::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        // Each write after a start fails at once, and the stream is held again.
        for _ in 0..9 {
            assert!(starts.may_start(now));
            let pause = starts.started(now);
            pauses.push(pause.as_secs());
            assert!(!starts.may_start(now + pause - LOOK_EVERY));
            now += pause;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        now += HEALED;
        assert_eq!(starts.started(now), PAUSE_MIN, "it was well for long enough");
    }

    #[test]
    fn a_start_that_has_not_helped_is_told_once_and_the_next_one_comes_when_its_time_has() {
        use Verdict::{Restart, SayFailing, Wait};
        let mut watch = Watch::default();
        let looks = [false; 5].map(|may_start| watch.look(true, ROOM_BYTES_MIN, may_start));
        assert_eq!(looks, [Wait, Wait, SayFailing, Wait, Wait]);
        assert_eq!(watch.look(true, ROOM_BYTES_MIN, true), Restart);
    }
}
