//! The end of an HTTP/1.1 connection: last words written by hand where there never was a request, and
//! a close that does not tear the answer away.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::stream::Stream;

/// Time for the last word and for what the peer still sends.
const LAST_WORD: Duration = Duration::from_secs(1);
/// What is still read and thrown away: closing over unread bytes resets the connection, and the reset may
/// overtake the answer. Enough for a body somewhat above its bound.
const UNREAD_BYTES_MAX: usize = 8 * 1024 * 1024;

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// There are too many connections.
pub(super) async fn busy(stream: TcpStream) {
    last_word(Stream::Clear(stream), BUSY).await;
}

/// The head of the request did not come in time.
pub(super) async fn late(stream: Stream) {
    last_word(stream, LATE).await;
}

/// Closes after an answer.
pub(super) async fn close(stream: Stream) {
    last_word(stream, b"").await;
}

async fn last_word(stream: Stream, words: &[u8]) {
    // Whether the peer still listens is no concern of ours.
    let _ = tokio::time::timeout(LAST_WORD, say(stream, words)).await;
}

async fn say(mut stream: Stream, words: &[u8]) -> std::io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut unread = [0; 16 * 1024];
    let mut total = 0;
    while total < UNREAD_BYTES_MAX {
        match stream.read(&mut unread).await? {
            0 => break,
            read => total += read,
        }
    }
    Ok(())
}
