//! A provider whose clock is another than ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use groupfold_tests::{Groupfold, Options, wait_until};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use reqwest::Method;
use serde_json::{Value, json};

use super::{END_WAIT, NUMBER, ask};

/// Its clock is ten minutes behind.
const BEHIND_S: i64 = 600;

/// Takes a creation and answers with a fault of its own; lists the group from then on.
fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let now_s = Timestamp::now().as_second() - BEHIND_S;
        let group = json!({ "id": "G", "subject": "Tea", "created_at": (now_s - 1).to_string() });
        let (status, body) = match first.starts_with("GET") {
            true => (200, json!({ "data": { "groups": [group] } })),
            false => (500, json!({ "error": { "code": 131_000, "message": "something went wrong" } })),
        };
        let (body, now) = (body.to_string(), Timestamp::from_second(now_s).unwrap());
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} so\r\ndate: {date}\r\ncontent-length: {length}\r\n\r\n");
        reader.get_mut().write_all((head + &body).as_bytes()).unwrap();
    }
}

/// Once it was taken for older than its creation, and the creation for failed.
#[tokio::test]
async fn a_group_is_as_old_as_the_providers_clock_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let graph = format!("http://{}/v25.0", listener.local_addr().unwrap());
    // Ends with the test's process: it waits for connections that no longer come.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let args = ["--meta-graph-url", &graph, "--meta-access-token", "t", "--command-deadline-ms", "4000"];
    let args = args.map(str::to_owned).to_vec();
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let body = json!({ "phone_number_id": NUMBER, "subject": "Tea" });
    let asked = ask(&groupfold, Method::POST, "/v1/groups", Some(body), &[]).await;
    let id = asked.json["command_id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    let command = wait_until("it was looked for", END_WAIT, async || {
        let command = groupfold.get(&format!("/v1/commands/{id}")).await.json;
        if command["detail"].is_string() && command["command_id"].is_string() {
            Ok::<Value, Value>(command)
        } else {
            Err(command)
        }
    })
    .await;
    assert_eq!((&command["status"], &command["group_id"]), (&json!("succeeded"), &json!("G")), "{command}");
}
