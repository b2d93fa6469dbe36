//! The door as slow, long and impatient senders meet it.

use std::time::Duration;

use groupfold_tests::{Groupfold, Options, ends, http, sign, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);
const SECRET: &str = "app-secret-of-a-test";
const T: i64 = 1_767_225_600;

async fn up(args: &[&str]) -> Groupfold {
    Groupfold::up(Options { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..Options::default() })
        .await
}

async fn connect(groupfold: &Groupfold) -> TcpStream {
    TcpStream::connect(groupfold.addresses().webhook.as_deref().unwrap()).await.unwrap()
}

/// Sends bytes, then reads until the other side closes.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> String {
    // Who is refused early may find the way shut: the answer is what counts.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(length: &str, signature: &str) -> String {
    format!("POST /webhooks/meta HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: {signature}\r\n{length}\r\n\r\n")
}

#[tokio::test]
async fn a_header_that_does_not_end_gets_408() {
    let groupfold = up(&["--header-deadline-ms", "300"]).await;
    let mut stream = connect(&groupfold).await;
    let answer = exchange(&mut stream, b"POST /webhooks/meta HTTP/1.1\r\nhost: x\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_does_not_end_gets_408() {
    let groupfold = up(&["--body-deadline-ms", "300"]).await;
    for length in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut stream = connect(&groupfold).await;
        let answer = exchange(&mut stream, format!("{}5\r\n", head(length, "sha256=00")).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{length}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_bound_gets_413_announced_or_chunked() {
    let groupfold = up(&["--body-bytes-max", "4096"]).await;
    let mut stream = connect(&groupfold).await;
    let answer = exchange(&mut stream, head("content-length: 4097", "sha256=00").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");

    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    let endless = head("transfer-encoding: chunked", "sha256=00") + &chunk.repeat(64);
    let answer = exchange(&mut connect(&groupfold).await, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
}

/// As the runbook says; the bound is hyper's.
#[tokio::test]
async fn a_hundred_headers_are_taken_and_one_more_is_431() {
    let groupfold = up(&[]).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let of = |headers: usize| {
        let others = format!("content-length: {}\r\nconnection: close", body.len());
        let mut head = head(&others, &sign(SECRET, &body));
        let more = headers - head.matches(": ").count();
        head.insert_str(head.len() - "\r\n".len(), &"a: b\r\n".repeat(more));
        [head.into_bytes(), body.clone()].concat()
    };
    for (headers, status) in [(100, 200), (101, 431)] {
        let answer = exchange(&mut connect(&groupfold).await, &of(headers)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_within_the_bound_is_a_webhook() {
    let groupfold = up(&[]).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let mut request =
        head("transfer-encoding: chunked\r\nconnection: close", &sign(SECRET, &body)).into_bytes();
    for part in body.chunks(7) {
        request.extend(format!("{:x}\r\n", part.len()).into_bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = exchange(&mut connect(&groupfold).await, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"appended\":1"), "{answer:?}");
}

#[tokio::test]
async fn over_the_bound_of_requests_the_answer_is_503_with_retry_after() {
    let groupfold = up(&["--requests-max", "2"]).await;
    let mut holders = Vec::new();
    let body = participants(&[joined("G1", "15550001111", T)]);
    let refused = wait_until("one more is refused", BOUND, async || {
        // One that came while the webhook below had its place was refused, and holds none.
        let mut stream = connect(&groupfold).await;
        stream.write_all(head("content-length: 100", "sha256=00").as_bytes()).await.unwrap();
        holders.push(stream);
        let answer = groupfold.post(&body).await;
        if answer.status == 503 { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert!(refused.header("retry-after").is_some(), "{refused}");
    drop(holders);
    wait_until("there is room again", BOUND, async || {
        let answer = groupfold.post(&body).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_too() {
    let groupfold = up(&[]).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let request =
        client.post(groupfold.webhook_url()).header("x-hub-signature-256", sign(SECRET, &body)).body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(http::read(response).await.unwrap().json["appended"], 1);
}

#[tokio::test]
async fn several_secrets_are_good_at_once_and_an_empty_one_is_refused_at_start() {
    let groupfold = up(&["--meta-app-secret", "the next secret"]).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    for secret in [SECRET, "the next secret"] {
        let answer = groupfold_tests::post(&groupfold.webhook_url(), secret, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{secret}: {answer}");
    }
    let mut command = Groupfold::command();
    command.args(["up", "--meta-app-secret", "", "--meta-verify-token", "t", "--data"]).arg(groupfold.data());
    let output = command.output().unwrap();
    ends(&output, 2);
}

#[tokio::test]
async fn no_phone_number_link_or_secret_is_logged() {
    let mut groupfold = up(&["--log", "debug"]).await;
    let mut created = crate::hook::created("G1", "Plants", T);
    created["invite_link"] = serde_json::json!("https://chat.whatsapp.com/SECRETLINK");
    groupfold.post(&crate::hook::lifecycle(&[created])).await;
    groupfold
        .post(&participants(&[
            joined("G1", "15550001111", T),
            serde_json::json!({ "type": "x", "wa_id": "15550001111" }),
        ]))
        .await;
    groupfold.get("/v1/groups/G1").await;
    let log = wait_until("the failure is logged", BOUND, async || {
        let log = groupfold.process().log();
        if log.contains("kept as failures") { Ok(log) } else { Err(log) }
    })
    .await;
    for secret in ["15550001111", "SECRETLINK", SECRET, "verify-token-of-a-test"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

/// It was told only once the projector had read it: whoever waited for a lag of zero was served old state.
#[tokio::test]
async fn what_was_just_acknowledged_is_within_the_end_of_the_log_that_the_api_tells() {
    let groupfold = up(&[]).await;
    for n in 0..60 {
        let answer = groupfold.post(&participants(&[joined("G1", &format!("55{n}"), T + n)])).await;
        let position = answer.json["position"].as_str().expect("a position").to_owned();
        let (partition, sequence) = position.split_once(':').expect("partition:sequence");
        let sequence: u64 = sequence.parse().expect("a sequence");
        let progress = groupfold.get("/v1/position").await.json;
        let partitions = progress["partitions"].as_array().expect("partitions");
        let own = &partitions[partition.parse::<usize>().expect("a partition")];
        assert!(own["log_end"].as_u64() >= Some(sequence), "{position}: {own}");
    }
}
