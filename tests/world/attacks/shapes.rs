//! Requests and bodies of shapes that readers stumble over.

use std::fmt::Write as _;

use groupfold_tests::{Options, http, sign, wait_until};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::{BOUND, SECRET, Siege, answer};

/// A signed webhook of a size that the door takes, made of something in the place of its groups.
fn webhook(inner: &str) -> Vec<u8> {
    format!(
        "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"1\",\"changes\":[{{\"field\":\
         \"group_participants_update\",\"value\":{{\"messaging_product\":\"whatsapp\",\"metadata\":\
         {{\"display_phone_number\":\"1\",\"phone_number_id\":\"2\"}},\"groups\":{inner}}}}}]}}]}}"
    )
    .into_bytes()
}

#[tokio::test]
async fn json_bombs_that_are_signed_are_kept_as_failures_and_break_nothing() {
    let mut siege = Siege::begin(Options::default(), &[]).await;
    let mut same = String::from("[{\"a\":0");
    for _ in 0..200_000 {
        same.push_str(",\"a\":1");
    }
    same.push_str("}]");
    let mut keys = String::from("[{\"a\":0");
    for number in 0..150_000 {
        let _ = write!(keys, ",\"k{number}\":1");
    }
    keys.push_str("}]");
    let bombs = [
        ("depth", "[".repeat(1_000_000)),
        ("depth that is closed", format!("{}{}", "[".repeat(700_000), "]".repeat(700_000))),
        ("objects in objects", format!("{}1{}", "{\"a\":".repeat(300_000), "}".repeat(300_000))),
        ("a huge number", format!("[{{\"timestamp\":{}}}]", "9".repeat(2_500_000))),
        ("a huge exponent", "[{\"timestamp\":1e999999999999}]".to_owned()),
        ("a long fraction", format!("[{{\"timestamp\":0.{}}}]", "3".repeat(2_500_000))),
        ("one key again and again", same),
        ("very many keys", keys),
        ("a long text", format!("[{{\"group_id\":\"{}\"}}]", "x".repeat(2_900_000))),
        ("a long text of escapes", format!("[{{\"group_id\":\"{}\"}}]", "\\u0000".repeat(450_000))),
        ("half of a pair", "[{\"group_id\":\"\\ud800\"}]".to_owned()),
        ("very many items", format!("[{}]", vec!["{}"; 700_000].join(","))),
    ];
    let mut attackers = JoinSet::new();
    for (name, inner) in bombs {
        let url = siege.groupfold.webhook_url();
        attackers.spawn(async move {
            // Over a bound it is refused with 413 or 503, which says so; no connection breaks.
            let body = webhook(&inner);
            let request = http::client().post(&url).header("x-hub-signature-256", sign(SECRET, &body));
            // All of them together may take a while.
            let answer = request.body(body).timeout(4 * BOUND).send().await;
            let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert!([200, 413, 503].contains(&answer.status().as_u16()), "{name}: {answer:?}");
        });
    }
    siege.attacked_by("JSON bombs", attackers).await;
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    let mut siege = Siege::begin(Options::default(), &[]).await;
    // 100 MB of zeros, as gzip stores them in 100 kB: a thousand copies of one deflated block.
    let bomb = include_bytes!("zeros.gz");
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let mut stream = siege.connect().await;
        let head = format!(
            "POST /webhooks/meta HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-encoding: {encoding}\r\n\
             x-hub-signature-256: {}\r\ncontent-length: {}\r\n\r\n",
            sign(SECRET, bomb),
            bomb.len()
        );
        stream.write_all(&[head.as_bytes(), bomb].concat()).await.unwrap();
        let said = answer(&mut stream).await;
        // Signed, so it is kept as it came, as what is no JSON.
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"failed\":1"), "{encoding}: {said}");
    }
    siege.memory_is_bounded("compressed bodies");
    siege.honest_is_answered().await;
}

/// A request that hides in another one, as it passes through a proxy that reads lengths otherwise.
const HIDDEN: &str = "POST /webhooks/meta HTTP/1.1\r\nhost: hidden\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn lengths_that_contradict_each_other_let_nothing_through() {
    let mut siege =
        Siege::begin(Options::default(), &["--body-deadline-ms", "2000", "--header-deadline-ms", "2000"])
            .await;
    let before = siege.groupfold.caught_up().await.json["digest"].clone();
    let post = "POST /webhooks/meta HTTP/1.1\r\nhost: x\r\n";
    let length = HIDDEN.len() + 5;
    let shapes = [
        (
            "both lengths",
            format!("{post}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("two lengths", format!("{post}content-length: 0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        ("a list of lengths", format!("{post}content-length: 0, {length}\r\n\r\n{HIDDEN}")),
        ("a signed length", format!("{post}content-length: +0\r\n\r\n{HIDDEN}")),
        ("a negative length", format!("{post}content-length: -1\r\n\r\n{HIDDEN}")),
        ("a hexadecimal length", format!("{post}content-length: 0x0\r\n\r\n{HIDDEN}")),
        ("a length beyond numbers", format!("{post}content-length: 99999999999999999999999\r\n\r\n{HIDDEN}")),
        ("a blank before the colon", format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("a folded line", format!("{post}x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("another coding", format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("a coding that is none", format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        (
            "a chunk beyond numbers",
            format!("{post}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{HIDDEN}"),
        ),
        ("a chunk of no number", format!("{post}transfer-encoding: chunked\r\n\r\n-1\r\n{HIDDEN}")),
        (
            "a chunk extension",
            format!("{post}transfer-encoding: chunked\r\n\r\n2;{}\r\n{{}}", "x".repeat(100_000)),
        ),
        ("bare line feeds", HIDDEN.replace("\r\n", "\n")),
        ("a carriage return alone", format!("{post}x: a\rtransfer-encoding: chunked\r\n\r\n{HIDDEN}")),
        ("a null", format!("{post}x: a\0b\r\n\r\n{HIDDEN}")),
        ("no version", "POST /webhooks/meta\r\n\r\n".to_owned()),
        ("another version", "POST /webhooks/meta HTTP/3.0\r\nhost: x\r\n\r\n".to_owned()),
        ("less than promised", format!("{post}content-length: 100\r\n\r\n{{}}")),
        ("more than promised", format!("{post}content-length: 1\r\n\r\n{HIDDEN}")),
        (
            "an upgrade",
            format!(
                "{post}upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk\r\n\r\n{HIDDEN}"
            ),
        ),
        ("a tunnel", "CONNECT internal:80 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
        ("a whole address", HIDDEN.replace("POST /", "POST http://internal/")),
    ];
    for (name, shape) in shapes {
        let mut stream = siege.connect().await;
        let _ = stream.write_all(shape.as_bytes()).await;
        let said = answer(&mut stream).await;
        let statuses: Vec<&str> =
            said.match_indices("HTTP/1.1 ").filter_map(|(at, _)| said.get(at + 9..at + 12)).collect();
        let refused = |status: &&str| status.starts_with('4') || **status == *"505";
        assert!(statuses.iter().all(refused), "{name}: {said}");
    }
    siege.honest_is_answered().await;
    // The honest one alone is in the log: its group and nobody else's.
    wait_until("it is folded", BOUND, async || {
        let after = siege.groupfold.caught_up().await.json["digest"].clone();
        if after == before { Err(after) } else { Ok(()) }
    })
    .await;
    let groups = siege.groupfold.get("/v1/groups").await.json;
    assert_eq!(groups["groups"].as_array().map(Vec::len), Some(1), "{groups}");
    siege.memory_is_bounded("contradicting lengths");
}
