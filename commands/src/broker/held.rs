//! A stream that nats-server holds: after a write that failed, for want of room say, it takes nothing more until the
//! server is started again.

use std::path::Path;
use std::time::Duration;

use groupfold_ingest::durability::held_stream;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row that find a stream held and room: what passes by itself needs nobody.
const LOOKS: u32 = 3;
/// With less, the next write would fail again: a block of each of a log's streams.
const ROOM_BYTES_MIN: u64 = 32 * 1024 * 1024;

/// Waits until a stream is held, has been for a while, and there is room for it again. Returns what the server says.
pub(super) async fn until_room(monitor_url: &str, folder: &Path) -> String {
    let mut watch = Watch::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let error = held_stream(monitor_url).await;
        match (watch.look(error.is_some(), free(folder)), error) {
            (Verdict::Restart, Some(error)) => return error,
            (Verdict::SayFull, Some(error)) => {
                tracing::warn!(%error, folder = %folder.display(), "nats-server holds a stream, waiting for room on its disk");
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

/// Bytes that are free; a disk that cannot be asked is no reason to wait.
fn free(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[derive(Debug, Default)]
struct Watch {
    ready: u32,
    full: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    /// Wait, and say once that it is for room.
    SayFull,
    Restart,
}

impl Watch {
    fn look(&mut self, held: bool, free: u64) -> Verdict {
        let full = held && free < ROOM_BYTES_MIN;
        let news = full && !self.full;
        self.full = full;
        self.ready = if held && !full { self.ready + 1 } else { 0 };
        match self.ready {
            LOOKS => Verdict::Restart,
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
            assert_eq!(watch.look(held, free), verdict);
        }
        assert_eq!(watch.look(false, room), Wait, "it passed by itself");
        assert_eq!([(); 3].map(|()| watch.look(true, room)), [Wait, Wait, Restart]);
    }
}
