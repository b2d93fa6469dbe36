//! Serving a router with every bound that axum leaves open: connections, the time that a request's head may
//! take, and the time of the end. How a connection is opened is the matter of whoever brings the listener.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Open connections; more wait in the system's queue.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// A connection on which nothing moves for this long is closed: well above the longest wait of a reader.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long the head of a request may take to come, and the next request on a connection kept open. A sender
/// that trickles would hold its place for ever: something always moves.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// How long answers under way may take once it is time to end.
const DRAIN: Duration = Duration::from_secs(10);

/// The bytes of an open connection.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection being opened.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Where connections arrive, and how they are opened: by a handshake, say.
pub struct Entrance {
    listener: TcpListener,
    open: Arc<dyn Fn(TcpStream) -> Opening + Send + Sync>,
}

impl Entrance {
    /// Connections that are opened so.
    pub fn new(listener: TcpListener, open: impl Fn(TcpStream) -> Opening + Send + Sync + 'static) -> Self {
        Self { listener, open: Arc::new(open) }
    }
}

impl From<TcpListener> for Entrance {
    /// In the clear.
    fn from(listener: TcpListener) -> Self {
        Self::new(listener, |stream| Box::pin(async { Ok(Box::new(stream) as Box<dyn Io>) }))
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is cancelled and what is under way is answered, at most ten seconds later.
///
/// # Errors
/// None today: a listener that fails to accept tries again.
pub async fn serve(
    entrance: impl Into<Entrance>,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let Entrance { listener, open: how } = entrance.into();
    let mut bounded = Bounded { listener, connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            (stream, permit) = bounded.accept() => {
                let (opening, router, shutdown) = (how(stream), router.clone(), shutdown.clone());
                open.spawn(async move {
                    let opened = tokio::select! {
                        () = shutdown.cancelled() => return,
                        opened = timeout(HEAD_MAX, opening) => opened,
                    };
                    if let Ok(Ok(stream)) = opened {
                        answer(Connection::new(stream, permit), router, HEAD_MAX, shutdown).await;
                    }
                });
            }
            Some(_) = open.join_next() => {}
        }
    }
    drop(bounded);
    let all = async { while open.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        tracing::warn!("connections still open were dropped");
    }
    Ok(())
}

/// Answers what comes on a connection until it ends, or, at the end of all, what is under way.
async fn answer(connection: Connection, router: Router, head_max: Duration, shutdown: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_max);
    let service = TowerToHyperService::new(router);
    let mut served = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

struct Bounded {
    listener: TcpListener,
    connections: Arc<Semaphore>,
}

impl Bounded {
    async fn accept(&mut self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed; without a permit nothing would be accepted any more.
        let permit = Arc::clone(&self.connections).acquire_owned().await.ok();
        let (stream, _) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set nodelay");
        }
        (stream, permit)
    }
}

/// A connection that counts as open until it is dropped, and ends when nothing moves on it.
struct Connection {
    stream: Box<dyn Io>,
    idle: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(stream: Box<dyn Io>, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { stream, idle: Box::pin(sleep(IDLE_MAX)), _permit: permit }
    }

    fn moved<T>(&mut self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
        }
        poll
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = self.moved(read);
        if read.is_pending() && self.idle.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.moved(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.moved(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_head_that_trickles_loses_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (head_max, shutdown) = (Duration::from_millis(200), CancellationToken::new());
        let answered =
            tokio::spawn(answer(Connection::new(Box::new(stream), None), Router::new(), head_max, shutdown));
        let (mut from, mut to) = sender.split();
        let trickles = async {
            to.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
            while to.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let ends = async { from.read_to_end(&mut Vec::new()).await };
        let ended = async {
            tokio::select! {
                () = trickles => {}
                _ = ends => {}
            }
        };
        timeout(Duration::from_secs(10), ended).await.unwrap();
        answered.await.unwrap();
    }
}
