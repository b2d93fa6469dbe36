//! A server for one test: one reply per request, in order; out of replies, it hangs up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::now_ms;

pub(super) enum Reply {
    Json {
        status: u16,
        body: String,
    },
    /// Reads the request and hangs up.
    Hang,
}

impl Reply {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self::Json { status, body: body.to_string() }
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Method and target.
    pub(super) line: String,
    head: String,
    pub(super) body: Vec<u8>,
    /// When it was here, Unix milliseconds.
    pub(super) at_ms: i64,
}

impl Request {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

pub(super) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut replies = VecDeque::from(replies);
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else { continue };
                kept.lock().unwrap().push(request);
                if let Some(Reply::Json { status, body }) = replies.pop_front() {
                    let head = format!(
                        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                }
            }
        });
        Self { port, requests }
    }

    pub(super) fn url(&self) -> reqwest::Url {
        reqwest::Url::parse(&format!("http://127.0.0.1:{}/v25.0", self.port)).unwrap()
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let line = head.lines().next()?.rsplit_once(' ')?.0.to_owned();
            let mut request = Request { line, head, body: bytes.split_off(end + 4), at_ms: now_ms() };
            let length = request.header("content-length").parse::<usize>();
            let chunked = request.header("transfer-encoding") == "chunked";
            let whole = |body: &[u8]| match &length {
                Ok(length) => body.len() >= *length,
                Err(_) => !chunked || body.ends_with(b"0\r\n\r\n"),
            };
            while !whole(&request.body) {
                if stream.read_buf(&mut request.body).await.ok()? == 0 {
                    return None;
                }
            }
            return Some(request);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
