//! The broker's monitoring port: one `GET /jsz?config=1`, or one `GET /healthz?details=true`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(2);
/// The answer has about a kilobyte; with many accounts more.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const PORT_DEFAULT: u16 = 8222;
/// What nats-server 2.14 and later says of a stream that takes nothing after a failed write.
const WRITE_ERROR: &str = "write error: ";

/// Why the port does not tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Only plain HTTP: the port is on the loopback or on a private network.
    #[error("the monitoring URL is not http://host:port")]
    Url,
    /// Took longer than two seconds.
    #[error("the monitoring port does not answer")]
    Timeout,
    /// No connection.
    #[error("the monitoring port cannot be reached")]
    Connect(#[source] std::io::Error),
    /// The exchange broke off.
    #[error("the monitoring port broke off")]
    Http(#[source] hyper::Error),
    /// Anything but 200.
    #[error("the monitoring port answers {0}")]
    Status(StatusCode),
    /// Longer than its bound, or broken off in the middle.
    #[error("the monitoring port's answer is unreadable")]
    Body,
    /// Not the JSON that a nats-server answers.
    #[error("the monitoring port's answer is no JetStream report")]
    Json(#[source] serde_json::Error),
    /// JetStream is off there.
    #[error("the monitoring port's server has no JetStream configuration")]
    NoJetStream,
    /// The port belongs to another server than the one that acknowledges.
    #[error("the monitoring port belongs to another server than the connected one")]
    OtherServer,
}

#[derive(Deserialize)]
struct Report {
    server_id: String,
    /// Bytes of all streams on disk.
    #[serde(default)]
    storage: u64,
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    // Left out where it is false.
    #[serde(default)]
    sync_always: bool,
    #[serde(default)]
    max_storage: u64,
}

/// True if the server with this id syncs before it acknowledges.
pub(crate) async fn syncs_always(url: &str, server_id: &str) -> Result<bool, Error> {
    report(url, server_id).await?.config.map(|config| config.sync_always).ok_or(Error::NoJetStream)
}

/// Bytes stored by the server with this id, and how many it may store.
pub(crate) async fn storage(url: &str, server_id: &str) -> Result<(u64, u64), Error> {
    let report = report(url, server_id).await?;
    let config = report.config.ok_or(Error::NoJetStream)?;
    Ok((report.storage, config.max_storage))
}

async fn report(url: &str, server_id: &str) -> Result<Report, Error> {
    let (status, bytes) = get(url, "/jsz?config=1").await?;
    if status != StatusCode::OK {
        return Err(Error::Status(status));
    }
    let report: Report = serde_json::from_slice(&bytes).map_err(Error::Json)?;
    if report.server_id == server_id { Ok(report) } else { Err(Error::OtherServer) }
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    errors: Vec<Unhealthy>,
}

#[derive(Deserialize)]
struct Unhealthy {
    #[serde(default)]
    error: String,
}

/// What a server says of a stream that it holds after a failed write. A server that is unhealthy for another reason,
/// such as a log that it still recovers, holds none.
pub(crate) async fn write_error(url: &str) -> Result<Option<String>, Error> {
    let (status, bytes) = get(url, "/healthz?details=true").await?;
    if status == StatusCode::OK {
        return Ok(None);
    }
    write_error_in(&bytes)
}

fn write_error_in(answer: &[u8]) -> Result<Option<String>, Error> {
    let health: Health = serde_json::from_slice(answer).map_err(Error::Json)?;
    Ok(health.errors.into_iter().map(|unhealthy| unhealthy.error).find(|error| error.contains(WRITE_ERROR)))
}

async fn get(url: &str, path: &str) -> Result<(StatusCode, Bytes), Error> {
    tokio::time::timeout(TIMEOUT, exchange(url, path)).await.map_err(|_| Error::Timeout)?
}

async fn exchange(url: &str, path: &str) -> Result<(StatusCode, Bytes), Error> {
    let base: Uri = url.parse().map_err(|_| Error::Url)?;
    let (Some("http"), Some(host)) = (base.scheme_str(), base.host()) else { return Err(Error::Url) };
    let port = base.port_u16().unwrap_or(PORT_DEFAULT);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(Error::Connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
    let path = format!("{}{path}", base.path().trim_end_matches('/'));
    let request = Request::get(path).header(HOST, format!("{host}:{port}")).body(Empty::<Bytes>::new());
    let request = request.map_err(|_| Error::Url)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(Error::Http)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.map(|body| (status, body.to_bytes())).map_err(|_| Error::Body)
    };
    // The connection is driven here and not by a task of its own, so that nothing outlives the timeout.
    tokio::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            ended = &mut connection, if open => {
                open = false;
                ended.map_err(Error::Http)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write_error_in;

    #[test]
    fn a_held_stream_is_told_from_one_that_is_still_recovered() {
        let error = r"JetStream stream '$G > A' write error: write /x/1.blk: no space left on device";
        let report = |error: &str| {
            let errors =
                [serde_json::json!({"type": "STREAM", "account": "$G", "stream": "A", "error": error})];
            serde_json::json!({"status": "error", "errors": errors}).to_string()
        };
        assert_eq!(write_error_in(report(error).as_bytes()).unwrap().as_deref(), Some(error));
        let recovering = "JetStream stream '$G > A' could not be recovered";
        assert_eq!(write_error_in(report(recovering).as_bytes()).unwrap(), None);
        assert_eq!(write_error_in(br#"{"status":"unavailable","error":"x"}"#).unwrap(), None);
        assert!(write_error_in(b"<html>").is_err());
    }
}
