//! How many connections there may be, and what those above that hear.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Open connections.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// Above that as many more are answered once each, so that probes and those on call are not locked out by clients that
/// keep what they do not use.
pub(super) const SPARE_MAX: usize = 64;
/// How long the head of their request may take.
const SPARE_HEAD_MAX: Duration = Duration::from_secs(2);
/// And how long all of it: a feed has no end.
pub(super) const SPARE_LIFE: Duration = Duration::from_secs(10);
/// Above that, as many at a time are told that there are too many; others are dropped without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Time for that, and for what the peer still sends: closing over unread bytes tears the answer away.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How often it is logged that connections were refused.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for this long is closed: well above the longest wait of a reader. Nor does anything
/// move where the peer takes nothing of its answers.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long the head of a request may take to come, and the next request on a connection kept open. A sender
/// that trickles would hold its place for ever: something always moves.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Places for connections.
pub(super) struct Places {
    usual: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    in_the_clear: bool,
    refused: u64,
    told: Option<Instant>,
}

/// One of them, free again once it is dropped.
pub(super) struct Place {
    /// How long a request's head may take.
    pub(super) head_max: Duration,
    /// How long nothing may move.
    pub(super) idle_max: Duration,
    /// For one request alone.
    pub(super) spare: bool,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(in_the_clear: bool) -> Self {
        let of = |places| Arc::new(Semaphore::new(places));
        Self {
            usual: of(CONNECTIONS_MAX),
            spare: of(SPARE_MAX),
            refusals: of(REFUSALS_MAX),
            in_the_clear,
            refused: 0,
            told: None,
        }
    }

    pub(super) fn take(&self) -> Option<Place> {
        let take = |of: &Arc<Semaphore>, head_max, spare| {
            let permit = Arc::clone(of).try_acquire_owned().ok()?;
            Some(Place { head_max, idle_max: IDLE_MAX, spare, _permit: permit })
        };
        take(&self.usual, HEAD_MAX, false).or_else(|| take(&self.spare, SPARE_HEAD_MAX, true))
    }

    pub(super) fn refuse(&mut self, mut stream: TcpStream, open: &mut JoinSet<()>) {
        self.refused += 1;
        if self.told.is_none_or(|told| told.elapsed() >= REFUSALS_TOLD_EVERY) {
            self.told = Some(Instant::now());
            let open = CONNECTIONS_MAX + SPARE_MAX;
            tracing::warn!(
                open,
                refused = self.refused,
                "connections to the API are refused: too many are open"
            );
        }
        // Under TLS a word would cost a handshake.
        let Some(place) = Arc::clone(&self.refusals).try_acquire_owned().ok().filter(|_| self.in_the_clear)
        else {
            return;
        };
        open.spawn(async move {
            let said = async {
                stream.write_all(REFUSAL).await?;
                stream.shutdown().await?;
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            };
            // Whether the peer listens is no concern of ours.
            let _ = timeout(REFUSAL_TIME, said).await;
            drop(place);
        });
    }
}
