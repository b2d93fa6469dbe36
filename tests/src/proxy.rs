//! A TCP proxy in front of a broker that can be told to misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const BUFFER_BYTES: usize = 16 * 1024;
/// What an acknowledgement of a publish has in it.
const ACK: &[u8] = b"\"stream\":\"GROUPFOLD_EVENTS";

/// What the proxy does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Hands it on.
    Open,
    /// Keeps it back until another way is taken; nothing is lost.
    Stalled,
    /// Keeps back what the broker says alone, until another way is taken.
    Unanswered,
    /// Takes it and hands nothing on: each side believes that the other is there. Connections do not outlive it.
    HalfOpen,
    /// Hands on all but the broker's acknowledgements of publishes.
    WithoutAcks,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    way: Way,
    /// Connections made under an earlier number are reset.
    generation: u64,
}

/// A proxy. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    order: watch::Sender<Order>,
    acks_dropped: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of the system's choice, in front of `host:port`.
    ///
    /// # Panics
    /// It cannot listen.
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let order = watch::Sender::new(Order { way: Way::Open, generation: 0 });
        let acks_dropped = Arc::<AtomicU64>::default();
        let task = tokio::spawn(accept(listener, target, order.clone(), Arc::clone(&acks_dropped)));
        Self { port, order, acks_dropped, task }
    }

    /// Where clients of the broker connect to instead.
    #[must_use]
    pub fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Takes another way from now on.
    pub fn take(&self, way: Way) {
        self.order.send_modify(|order| {
            let kept = order.way != Way::HalfOpen;
            *order = Order { way, generation: order.generation + u64::from(!kept) };
        });
    }

    /// Resets all connections.
    pub fn reset(&self) {
        self.order.send_modify(|order| order.generation += 1);
    }

    /// Acknowledgements that never arrived.
    #[must_use]
    pub fn acks_dropped(&self) -> u64 {
        self.acks_dropped.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.reset();
    }
}

async fn accept(listener: TcpListener, target: String, order: watch::Sender<Order>, dropped: Arc<AtomicU64>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        // A broker that is not there refuses: so do we, by a reset.
        let Ok(server) = TcpStream::connect(&target).await else {
            let _ = client.set_zero_linger();
            continue;
        };
        let orders = order.subscribe();
        tokio::spawn(serve(client, server, orders, Arc::clone(&dropped)));
    }
}

async fn serve(
    client: TcpStream,
    server: TcpStream,
    orders: watch::Receiver<Order>,
    dropped: Arc<AtomicU64>,
) {
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
        // Closing then resets.
        let _ = socket.set_zero_linger();
    }
    let generation = orders.borrow().generation;
    let mut ended = orders.clone();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, orders.clone(), None) => {}
        () = pump(from_server, to_client, orders, Some(&dropped)) => {}
        _ = ended.wait_for(|order| order.generation != generation) => {}
    }
}

/// Hands bytes on until one side ends. Where acknowledgements are counted, the bytes are those of a broker and are
/// cut into messages.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut orders: watch::Receiver<Order>,
    acks: Option<&AtomicU64>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut kept: Vec<u8> = Vec::new();
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let bytes = &buffer[..count];
        let kept_back = |way| way == Way::Stalled || (acks.is_some() && way == Way::Unanswered);
        let Ok(way) = orders.wait_for(|order| !kept_back(order.way)).await.map(|order| order.way) else {
            return;
        };
        if way == Way::HalfOpen {
            continue;
        }
        let out = match acks {
            None => bytes.to_vec(),
            Some(acks) => {
                kept.extend_from_slice(bytes);
                messages(&mut kept, way == Way::WithoutAcks, acks)
            }
        };
        if to.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// Takes whole messages of the broker's protocol out of what came, without acknowledgements if asked to.
fn messages(kept: &mut Vec<u8>, without_acks: bool, dropped: &AtomicU64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut begin = 0;
    while let Some(len) = message_len(&kept[begin..]) {
        let message = &kept[begin..begin + len];
        if without_acks && message.windows(ACK.len()).any(|part| part == ACK) && is_ack(message) {
            dropped.fetch_add(1, Ordering::SeqCst);
        } else {
            out.extend_from_slice(message);
        }
        begin += len;
    }
    kept.drain(..begin);
    out
}

/// `MSG subject sid [reply] size` or `HMSG …`, a line, and so many bytes and a line's end; other lines alone.
fn message_len(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")? + 2;
    let text = std::str::from_utf8(&bytes[..line]).ok()?;
    let mut words = text.split_ascii_whitespace();
    let size = match words.next() {
        Some("MSG" | "HMSG") => words.next_back()?.parse::<usize>().ok()? + 2,
        _ => 0,
    };
    (bytes.len() >= line + size).then_some(line + size)
}

/// `{"stream":"GROUPFOLD_EVENTS_3","seq":7}`, to the inbox of a request.
fn is_ack(message: &[u8]) -> bool {
    let has = |text: &[u8]| message.windows(text.len()).any(|part| part == text);
    message.starts_with(b"MSG _INBOX.") && has(b"\"seq\":") && !has(b"\"type\":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_alone_are_dropped_however_the_bytes_are_cut() {
        let ack = "MSG _INBOX.a.b 1 41\r\n{\"stream\":\"GROUPFOLD_EVENTS_0\", \"seq\":12345}\r\n";
        let size = ack.split("\r\n").nth(1).unwrap().len();
        let ack = ack.replace(" 41\r\n", &format!(" {size}\r\n"));
        let other = "MSG _INBOX.a.c 1 5\r\nhello\r\n";
        let all = format!("PING\r\n{ack}{other}{ack}+OK\r\n");
        for cut in 1..all.len() {
            let dropped = AtomicU64::new(0);
            let (mut kept, mut out) = (Vec::new(), Vec::new());
            for part in [&all[..cut], &all[cut..]] {
                kept.extend_from_slice(part.as_bytes());
                out.extend(messages(&mut kept, true, &dropped));
            }
            assert_eq!(String::from_utf8(out).unwrap(), format!("PING\r\n{other}+OK\r\n"), "cut at {cut}");
            assert_eq!(dropped.load(Ordering::SeqCst), 2);
        }
    }
}
