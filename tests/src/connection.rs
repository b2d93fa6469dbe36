//! One HTTP/1.1 connection that reads no more of an answer than it must.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any deadline of what is measured.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Where the last answer's body begins.
    body: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens, or not in time.
    pub async fn new(addr: SocketAddr) -> Self {
        let connecting = tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(addr));
        let socket = connecting.await.expect("connects in time").expect("somebody listens");
        let _ = socket.set_nodelay(true);
        Self { socket, buffer: Vec::with_capacity(16 * 1024), body: 0 }
    }

    /// The answer's status; `None` if none came, or none that can be read.
    pub async fn ask(&mut self, request: &[u8]) -> Option<u16> {
        tokio::time::timeout(ANSWER_WAIT, self.exchange(request)).await.ok().flatten()
    }

    /// The body of the last answer.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body.min(self.buffer.len())..]
    }

    async fn exchange(&mut self, request: &[u8]) -> Option<u16> {
        self.buffer.clear();
        self.socket.write_all(request).await.ok()?;
        let head = loop {
            self.read().await?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        self.body = head;
        let (status, length) = read_head(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        Some(status)
    }

    async fn read(&mut self) -> Option<()> {
        let read = self.socket.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }
}

/// Status and length of the body. An answer in chunks is none that this client reads.
fn read_head(head: &[u8]) -> Option<(u16, usize)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
    }
    Some((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_its_case() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(read_head(head), Some((503, 12)));
        assert_eq!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), None);
    }
}
