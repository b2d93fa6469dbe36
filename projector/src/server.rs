//! Serving a router with every bound that axum leaves open: connections, the time that a request's head may
//! take, and the time of the end. How a connection is opened is the matter of whoever brings the listener.

mod connection;
mod places;

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use connection::Connection;
pub(crate) use places::CONNECTIONS_MAX;
use places::{Places, SPARE_LIFE};

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
    in_the_clear: bool,
    open: Arc<dyn Fn(TcpStream) -> Opening + Send + Sync>,
}

impl Entrance {
    /// Connections that are opened so.
    pub fn new(listener: TcpListener, open: impl Fn(TcpStream) -> Opening + Send + Sync + 'static) -> Self {
        Self { listener, in_the_clear: false, open: Arc::new(open) }
    }
}

impl From<TcpListener> for Entrance {
    /// In the clear.
    fn from(listener: TcpListener) -> Self {
        let open = |stream| -> Opening { Box::pin(async { Ok(Box::new(stream) as Box<dyn Io>) }) };
        Self { in_the_clear: true, ..Self::new(listener, open) }
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is cancelled and what is under way is answered, at most ten seconds later. A listener that
/// fails to accept tries again.
pub async fn serve(entrance: impl Into<Entrance>, router: Router, shutdown: CancellationToken) {
    let Entrance { mut listener, in_the_clear, open: how } = entrance.into();
    let mut places = Places::new(in_the_clear);
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            (stream, _) = Listener::accept(&mut listener) => stream,
            Some(_) = open.join_next() => continue,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set nodelay");
        }
        let Some(place) = places.take() else {
            places.refuse(stream, &mut open);
            continue;
        };
        let (opening, router, shutdown) = (how(stream), router.clone(), shutdown.clone());
        open.spawn(async move {
            let opened = tokio::select! {
                () = shutdown.cancelled() => return,
                opened = timeout(place.head_max, opening) => opened,
            };
            if let Ok(Ok(stream)) = opened {
                let life = if place.spare { SPARE_LIFE } else { Duration::MAX };
                let _ = timeout(life, answer(Connection::new(stream, place), router, shutdown)).await;
            }
        });
    }
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        tracing::warn!("connections still open were dropped");
    }
}

/// Answers what comes on a connection until it ends, or, at the end of all, what is under way.
async fn answer(connection: Connection, router: Router, shutdown: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let place = &connection.place;
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(place.head_max).keep_alive(!place.spare);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use tokio::time::sleep;

    use super::places::SPARE_MAX;
    use super::*;

    /// A connection whose times are short.
    fn hasty(stream: impl Io + 'static) -> Connection {
        let short = Duration::from_millis(200);
        let mut place = Places::new(true).take().unwrap();
        (place.head_max, place.idle_max) = (short, short);
        Connection::new(Box::new(stream), place)
    }

    #[tokio::test]
    async fn a_head_that_trickles_loses_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let answered = tokio::spawn(answer(hasty(stream), Router::new(), CancellationToken::new()));
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
    /// It once held its place for ever: the time was looked at where something was read alone.
    #[tokio::test]
    async fn a_peer_that_takes_nothing_of_its_answers_loses_its_connection() {
        let (mut peer, stream) = tokio::io::duplex(4096);
        let answered = tokio::spawn(answer(hasty(stream), Router::new(), CancellationToken::new()));
        let request = b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n";
        // Until the pipe is full both ways.
        while matches!(timeout(Duration::from_secs(1), peer.write_all(request)).await, Ok(Ok(()))) {}
        answered.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_never_says_anything_loses_its_connection() {
        let (_peer, stream) = tokio::io::duplex(4096);
        answer(hasty(stream), Router::new(), CancellationToken::new()).await;
    }

    #[tokio::test]
    async fn where_all_places_are_taken_probes_are_answered_and_beyond_that_others_hear_503() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/livez", axum::routing::get(|| async { "alive" }));
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router, shutdown.clone()));
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let ask = async || {
            let mut peer = TcpStream::connect(address).await.unwrap();
            peer.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            peer.read_to_string(&mut answer).await.unwrap();
            answer
        };
        for _ in 0..2 {
            let answer = ask().await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("alive"), "{answer}");
        }
        for _ in 0..SPARE_MAX {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let refused = ask().await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1"), "{refused}");
        drop(idle);
        shutdown.cancel();
        served.await.unwrap();
    }
}
