//! One connection, HTTP/1.1 or HTTP/2 cleartext.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::patience::Patience;
use super::preface::{First, Protocol, Rewound};
use super::stream::Stream;
use super::{Shared, refuse};
use crate::request;
use crate::respond::Answer;

const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Read buffer of an HTTP/1.1 connection.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Streams reset before they were taken up (CVE-2023-44487), and reset by us for errors of the peer.
const RESETS_PENDING_MAX: usize = 20;
const RESETS_LOCAL_MAX: usize = 128;
/// Unread bytes that a peer may have on its way, for one stream and for all of a connection. With
/// thousands of connections these windows are memory.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// A peer that is gone is found by a ping.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/2 connection without requests is ended after this time.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// What is still under way on it by then has this time at least, and as long as a webhook may take: none is cut.
const LAST_MAX: Duration = Duration::from_secs(30);

type Handled = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

/// Serves until the peer is done, is late, or the server drains.
pub(super) async fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    let deadline = shared.door.settings.header_deadline;
    let opened = tokio::select! {
        () = shared.drain.cancelled() => return,
        opened = tokio::time::timeout(deadline, Stream::open(stream, shared.door.settings.tls.as_ref())) => opened,
    };
    let Ok(Ok(mut stream)) = opened else {
        return shared.door.metrics.refused("tls_handshake");
    };
    let mut first = First::default();
    let protocol = tokio::select! {
        () = shared.drain.cancelled() => return,
        protocol = tokio::time::timeout(deadline, first.protocol(&mut stream)) => protocol,
    };
    match protocol {
        Ok(Ok(Some(Protocol::Http1))) => http1(shared, Patience::new(first.put_back(stream))).await,
        Ok(Ok(Some(Protocol::Http2))) => http2(shared, Patience::new(first.put_back(stream))).await,
        Ok(Ok(None) | Err(_)) => {}
        Err(_late) if first.any() => late(shared, stream).await,
        Err(_late) => {}
    }
}

async fn late(shared: &Shared, stream: Stream) {
    shared.door.metrics.refused("header_late");
    shared.door.metrics.answered(408);
    refuse::late(stream).await;
}

async fn http1(shared: &Arc<Shared>, stream: Patience<Rewound>) {
    let service = service_fn(|request: Request<Incoming>| -> Handled {
        Box::pin(request::answer(Arc::clone(&shared.door), shared.work.clone(), request))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.door.settings.header_deadline)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut draining = false;
    // Without the shutdown of the stream, which would leave no way to say 408.
    let ended = poll_fn(|cx| {
        if !draining && shared.drain.is_cancelled() {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    });
    let ended = until(ended, shared).await;
    let late_head = ended.is_err_and(|error| error.is_timeout());
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().into_inner().into_stream();
    if late_head && !parts.read_buf.is_empty() {
        late(shared, stream).await;
    } else {
        refuse::close(stream).await;
    }
}

/// Polls a connection, and once more when the server begins to drain.
async fn until<T>(connection: impl Future<Output = T>, shared: &Shared) -> T {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = &mut connection => return ended,
        () = shared.drain.cancelled() => {}
    }
    connection.await
}

async fn http2(shared: &Arc<Shared>, stream: Patience<Rewound>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|request: Request<Incoming>| {
        let (door, work) = (Arc::clone(&shared.door), shared.work.clone());
        let counted = Counted::new(&requests);
        async move {
            let answer = request::answer(door, work, request).await;
            drop(counted);
            answer
        }
    });
    let connection = builder(&shared.connections).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let idle = idle(&requests);
    tokio::select! {
        _ = &mut connection => return,
        () = idle => {}
        () = shared.drain.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // An error here is the peer's, and it is told by the protocol. One that gives its streams no window ends never.
    let longest = request::longest(&shared.door.settings);
    let _ = tokio::time::timeout(LAST_MAX.max(longest), connection).await;
}

/// What serves HTTP/2 connections, bounded, with their streams among these tasks.
fn builder(connections: &TaskTracker) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams(connections.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_LOCAL_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Runs the streams of a connection where a drain waits for them, too: one that ends by itself hands them over to nobody.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        drop(self.0.spawn(stream));
    }
}

/// Requests of one connection under way.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(requests: &Arc<AtomicUsize>) -> Self {
        requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends when a connection had no request for [`IDLE_MAX`].
async fn idle(requests: &AtomicUsize) {
    let mut busy_at = Instant::now();
    while busy_at.elapsed() < IDLE_MAX {
        tokio::time::sleep(IDLE_MAX / 12).await;
        if requests.load(Ordering::Relaxed) > 0 {
            busy_at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::Response;
    use hyper::client::conn::http2::handshake;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// It ran where nobody waited for it: what it handed out last, when its connection had just ended, was lost to a drain.
    #[tokio::test]
    async fn a_request_over_http_2_is_waited_for_by_itself_whatever_its_connection_does() {
        let connections = TaskTracker::new();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (take, mut taken) = mpsc::unbounded_channel();
        let service = service_fn(move |_: Request<Incoming>| {
            let (answer, answered) = oneshot::channel::<()>();
            take.send(answer).unwrap();
            async move {
                answered.await.unwrap();
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        // The connection itself is none of those that are waited for here.
        tokio::spawn(builder(&connections).serve_connection(TokioIo::new(ours), service));
        let (mut sender, connection) =
            handshake(Streams(TaskTracker::new()), TokioIo::new(theirs)).await.unwrap();
        tokio::spawn(connection);
        let request = tokio::spawn(sender.send_request(Request::new(Empty::<Bytes>::new())));
        let answer = taken.recv().await.unwrap();
        connections.close();
        let mut drained = std::pin::pin!(connections.wait());
        assert!(futures_util::FutureExt::now_or_never(&mut drained).is_none(), "its answer is not made yet");
        answer.send(()).unwrap();
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
        drained.await;
    }
}
