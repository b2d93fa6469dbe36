//! Requests to the query API, over stores that hold the fixtures, without a socket.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use groupfold_projector::probe::{Ledger, Told};
use groupfold_schemas::position::Position;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::{hold, records};
use crate::Scratch;

const PARTITIONS: u16 = 2;

/// One line of method and target, and the body behind it.
pub(super) fn read(bytes: &[u8]) -> Result<(), String> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let line = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();
    let (method, target) = line.split_once(' ').unwrap_or(("GET", &line));
    let Some(told) = ask(method, target, body) else { return Ok(()) };
    is_an_answer(method, &told)?;
    // What is behind a `#` is sent by nobody.
    if method != "GET" || !target.starts_with("/v1/") || target.contains('#') {
        return Ok(());
    }
    let again = ask(method, target, body);
    hold(again.as_ref() == Some(&told), || format!("{told:?}, and then {again:?}"))?;
    // Where a page goes on, it does.
    let page: Option<Value> = serde_json::from_slice(&told.body).ok();
    let Some(cursor) = page.as_ref().and_then(|page| page["cursor"].as_str()) else { return Ok(()) };
    let sign = if target.contains('?') { '&' } else { '?' };
    let next = ask(method, &format!("{target}{sign}cursor={cursor}"), body);
    hold(next.as_ref().is_some_and(|next| next.status == 200 && next.body != told.body), || {
        format!("after {cursor}: {next:?}")
    })
}

/// Made once: what it takes counts for no input.
fn world() -> &'static (Runtime, Arc<Ledger>) {
    static WORLD: OnceLock<(Runtime, Arc<Ledger>)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let folder = Scratch::new("requests");
        let ledger = Ledger::open(folder.path(), PARTITIONS).expect("stores open");
        ledger.fold(&records().concat()).expect("fixtures fold");
        // Stores that are only read need their open files alone, and nothing stays behind.
        drop(folder);
        (runtime, Arc::new(ledger))
    })
}

fn ask(method: &str, target: &str, body: &[u8]) -> Option<Told> {
    let (runtime, ledger) = world();
    let (method, target) = (method.to_owned(), target.to_owned());
    let (ledger, body) = (Arc::clone(ledger), Bytes::copy_from_slice(body));
    // Whoever asks may be a task of a runtime of its own.
    let (answer, answered) = std::sync::mpsc::channel();
    runtime.spawn(async move { answer.send(ledger.answer(&method, &target, body).await) });
    answered.recv().expect("the API answers, or a panic says why not")
}

/// Never a fault of ours, and JSON whatever was asked; to HEAD the headers alone.
fn is_an_answer(method: &str, told: &Told) -> Result<(), String> {
    let Told { status, headers, body } = told;
    hold(matches!(status, 200..=499 | 503), || format!("{status}: {}", String::from_utf8_lossy(body)))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = header("content-type").unwrap_or_default();
    if let Some(position) = header("groupfold-position") {
        hold(position.parse::<Position>().is_ok(), || format!("position {position:?}"))?;
    }
    if method == "HEAD" && body.is_empty() {
        return Ok(());
    }
    if *status < 400 || kind != "application/problem+json" {
        let json = !kind.contains("json") || serde_json::from_slice::<Value>(body).is_ok();
        return hold(json, || format!("no JSON: {}", String::from_utf8_lossy(body)));
    }
    let problem: Value =
        serde_json::from_slice(body).map_err(|error| format!("a problem is no JSON: {error}"))?;
    // Whatever is temporary has a code of its own.
    let ours = problem["code"] == "fault" || problem["code"] == "store_unreadable";
    let code = problem["code"].is_string() && !ours;
    hold(problem["status"] == *status && code, || format!("{status}: {problem}"))
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    world();
    let group = &records().concat()[0].group_id;
    let of_group =
        ["", "/members?status=member", "/timeline?lang=pt-BR&limit=1", "/invite-link", "/join-requests"];
    let reads = of_group.map(|rest| format!("GET /v1/groups/{group}{rest}"));
    let plain = [
        "GET /v1/groups?limit=1&status=active&label=x&visible_to=user:u&archived=false&blocked=false",
        "GET /v1/groups?cursor=673a78&phone_number_id=1&min_position=0:1,1:1&wait_ms=1",
        "GET /v1/groups/G?at=2026-01-31T12:00:00Z",
        "GET /v1/messages/wamid.x/receipts",
        "GET /v1/usage?from=2025-01-01&to=2026-12-31&by=category&group=G&sample=100",
        "GET /v1/usage?by=country&cursor=753a303a78",
        "GET /v1/position?group=G&partition=1",
        "GET /v1/commands?status=requested&limit=2",
        "GET /v1/commands/c?wait_ms=0",
        "GET /v1/changes?from=0:1&kind=member&group=G&heartbeat_ms=1000",
        "GET /v1/accounts/102290129340398/timeline?cursor=743a2d353a373a61",
        "GET /openapi.json",
        "GET /readyz",
        "GET /metrics",
        "POST /v1/ops/rebuild?partition=1&force=true",
        "POST /v1/groups\n{\"phone_number_id\":\"1\",\"subject\":\"s\",\"join_approval_mode\":\"auto_approve\"}",
        "POST /v1/messages/m/views\n{\"user_id\":\"u\",\"group_id\":\"G\"}",
    ];
    let writes = [
        ("PUT", "/visibility", "{\"all\":false,\"teams\":[\"t\"],\"users\":[\"u\"]}"),
        ("PUT", "/moderators", "{\"users\":[\"u\"]}"),
        ("PUT", "/labels/x%20y", ""),
        ("DELETE", "/archive", ""),
        ("PATCH", "", "{\"subject\":\"s\",\"description\":\"d\"}"),
        ("POST", "/messages", "{\"type\":\"text\",\"text\":{\"body\":\"b\",\"preview_url\":true}}"),
        ("POST", "/messages", "{\"type\":\"image\",\"image\":{\"link\":\"https://x/y\",\"caption\":\"c\"}}"),
        ("POST", "/messages/m:pin", "{\"expiration_days\":7}"),
        ("POST", "/members:remove", "{\"members\":[\"15550001\"]}"),
        ("POST", "/join-requests:approve", "{\"join_requests\":[\"1\"]}"),
    ];
    let write =
        |(method, rest, body): (&str, &str, &str)| format!("{method} /v1/groups/{group}{rest}\n{body}");
    let all = reads.into_iter().chain(plain.map(str::to_owned)).chain(writes.map(write));
    all.map(String::into_bytes).collect()
}
