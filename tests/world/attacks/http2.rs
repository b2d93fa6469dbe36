//! HTTP/2 by hand: floods of frames that no client library sends.

use groupfold_tests::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{BOUND, Siege, connect};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `POST /webhooks/meta`, as HPACK without a table has it.
fn head() -> Vec<u8> {
    let path = b"/webhooks/meta";
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path);
    block.extend([0x41, 1, b'x']);
    block
}

/// One after the other until the door has enough: how many it took, and what it said.
async fn flood(mut stream: TcpStream, frames: impl Iterator<Item = Vec<u8>>) -> (u32, Vec<u8>) {
    stream.write_all(PREFACE).await.unwrap();
    let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[])).await;
    let (mut from, mut to) = stream.split();
    let mut said = Vec::new();
    let mut sent = 0;
    let sends = async {
        for frame in frames {
            if to.write_all(&frame).await.is_err() {
                break;
            }
            sent += 1;
        }
    };
    let reads = async {
        let mut part = [0; 16 * 1024];
        while let Ok(Ok(read @ 1..)) = tokio::time::timeout(BOUND, from.read(&mut part)).await {
            said.extend(&part[..read]);
            assert!(said.len() < 64 << 20, "the door says more than it hears");
        }
    };
    // Who reads ends when the door closes, and with it the flood.
    tokio::join!(sends, reads);
    (sent, said)
}

/// Kinds of the frames that were said.
fn kinds(mut said: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, rest @ ..] = said {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        said = rest.get(5 + length..).unwrap_or_default();
    }
    kinds
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| n * 2 + 1)
}

/// Streams that are opened and reset on one connection: many times what sockets hold.
const RESETS: u32 = 1_000_000;

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_their_connection() {
    let mut siege = Siege::begin(Options::default(), &[]).await;
    let mut attackers = JoinSet::new();
    for _ in 0..4 {
        let address = siege.address.clone();
        attackers.spawn(async move {
            for _ in 0..3 {
                let frames = streams(RESETS).map(|id| {
                    let mut both = frame(HEADERS, END_HEADERS, id, &head());
                    both.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
                    both
                });
                let (sent, said) = flood(connect(&address).await, frames).await;
                // What was on its way when the door closed takes its farewell with it, now and then.
                assert!(sent < RESETS, "all were taken, and the door said {:?}", kinds(&said));
                assert!(kinds(&said).contains(&GOAWAY) || said.len() < 1024, "{:?}", kinds(&said));
            }
        });
    }
    siege.attacked_by("rapid resets", attackers).await;
}

#[tokio::test]
async fn floods_of_streams_pings_settings_and_continuations_are_bounded() {
    let args = ["--body-deadline-ms", "2000", "--header-deadline-ms", "2000"];
    let mut siege = Siege::begin(Options::default(), &args).await;
    let mut attackers = JoinSet::new();
    for kind in ["streams", "pings", "settings", "continuations"] {
        for _ in 0..2 {
            let address = siege.address.clone();
            attackers.spawn(async move {
                let stream = connect(&address).await;
                let some: Box<dyn Iterator<Item = Vec<u8>> + Send> = match kind {
                    // Bodies that never come, many more at once than are allowed.
                    "streams" => Box::new(streams(5_000).map(|id| frame(HEADERS, END_HEADERS, id, &head()))),
                    "pings" => Box::new((0..50_000).map(|_| frame(PING, 0, 0, &[0; 8]))),
                    "settings" => Box::new((0..50_000).map(|_| frame(SETTINGS, 0, 0, &[]))),
                    _ => {
                        // A field that is no end of the head, again and again.
                        let field = [&[0x40, 1, b'a', 0x7f, 0x81, 0x01], &[b'x'; 256][..]].concat();
                        let begin = frame(HEADERS, END_STREAM, 1, &head());
                        let more = std::iter::repeat_n(frame(CONTINUATION, 0, 1, &field), 100_000);
                        Box::new(std::iter::once(begin).chain(more))
                    }
                };
                let flooding = flood(stream, some);
                // Bounded is enough: a door that answers pings for a while does no wrong.
                let _ = tokio::time::timeout(BOUND / 3, flooding).await;
            });
        }
    }
    siege.attacked_by("floods of frames", attackers).await;
}
