//! HTTP/1.1 or HTTP/2: told by the first bytes, which are put back for whoever reads on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The first bytes of a connection, kept by the caller so that a deadline does not lose them.
#[derive(Default)]
pub(super) struct First {
    bytes: [u8; PREFACE.len()],
    len: usize,
}

impl First {
    /// True if the peer has said anything yet.
    pub(super) fn any(&self) -> bool {
        self.len > 0
    }

    /// Reads until the protocol is clear; `None` if the peer hangs up before.
    pub(super) async fn protocol(&mut self, stream: &mut Stream) -> io::Result<Option<Protocol>> {
        loop {
            if self.bytes[..self.len] != PREFACE[..self.len] {
                return Ok(Some(Protocol::Http1));
            }
            if self.len == PREFACE.len() {
                return Ok(Some(Protocol::Http2));
            }
            let read = stream.read(&mut self.bytes[self.len..]).await?;
            if read == 0 {
                return Ok(None);
            }
            self.len += read;
        }
    }

    /// The stream as if nothing had been read.
    pub(super) fn put_back(self, stream: Stream) -> Rewound {
        Rewound { first: Bytes::copy_from_slice(&self.bytes[..self.len]), stream }
    }
}

/// A stream with its first bytes put back.
pub(super) struct Rewound {
    first: Bytes,
    stream: Stream,
}

impl Rewound {
    /// The stream, for a last word.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.has_remaining() {
            let len = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(len));
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
