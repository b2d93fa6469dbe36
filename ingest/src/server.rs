//! Accepting and draining. Two tokens: the first says accept no more and finish, the second, after the
//! drain budget, drop.

mod connection;
mod patience;
mod preface;
mod refuse;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::receiver::Inner;
pub use stream::Stream;

/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections over the bound that are told so at once; more are dropped without a word.
const REFUSALS_MAX: usize = 64;

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that were in flight at the beginning and were finished.
    pub finished: usize,
    /// Requests that were still in flight when the budget was spent.
    pub cut: usize,
}

/// What the connections of one listener share.
pub(super) struct Shared {
    pub(super) door: Arc<Inner>,
    /// Work on webhooks, also of senders that hung up.
    pub(super) work: TaskTracker,
    pub(super) connections: TaskTracker,
    pub(super) drain: CancellationToken,
    pub(super) cut: CancellationToken,
}

pub(crate) async fn serve(
    door: Arc<Inner>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> DrainReport {
    let shared = Arc::new(Shared {
        work: TaskTracker::new(),
        connections: TaskTracker::new(),
        drain: shutdown.clone(),
        cut: CancellationToken::new(),
        door,
    });
    accept(&shared, &listener).await;
    drop(listener);
    drain(&shared).await
}

async fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let places = Arc::new(Semaphore::new(shared.door.settings.connections_max));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => take(shared, stream, &places, &refusals),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn take(shared: &Arc<Shared>, stream: TcpStream, places: &Arc<Semaphore>, refusals: &Arc<Semaphore>) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        shared.door.metrics.refused("too_many_connections");
        let in_the_clear = shared.door.settings.tls.is_none();
        // Under TLS a word would cost a handshake, which is what there is too much of.
        if let Some(place) = Arc::clone(refusals).try_acquire_owned().ok().filter(|_| in_the_clear) {
            shared.door.metrics.answered(503);
            shared.connections.spawn(async move {
                refuse::busy(stream).await;
                drop(place);
            });
        }
        return;
    };
    let held = shared.door.metrics.connection();
    let of_connection = Arc::clone(shared);
    shared.connections.spawn(async move {
        let cut = of_connection.cut.clone();
        tokio::select! {
            () = connection::serve(&of_connection, stream) => {}
            () = cut.cancelled() => {}
        }
        drop((place, held));
    });
}

async fn drain(shared: &Shared) -> DrainReport {
    shared.work.close();
    shared.connections.close();
    let in_flight = shared.door.in_flight();
    tracing::info!(in_flight, connections = shared.connections.len(), "draining");
    let budget = shared.door.settings.drain_budget;
    // In this order: connections, and the streams of those that have some, hand out work until they end.
    let all = async {
        shared.connections.wait().await;
        shared.work.wait().await;
    };
    let cut = match tokio::time::timeout(budget, all).await {
        Ok(()) => 0,
        Err(_) => shared.door.in_flight(),
    };
    shared.cut.cancel();
    DrainReport { finished: in_flight.saturating_sub(cut), cut }
}
