//! The API over stores in a folder, with no log behind them.

mod asked;
mod commands;
mod document;
mod elsewhere;
mod judged;
mod offered;
mod policy;
mod tenants;
mod waits;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use groupfold_schemas::log::partition_of;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, ReceiptStatus};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::desk::{Ask, Handed, Look, Looked, Refusal, Taken, Unwritten, Wish};
use crate::partition::Partition;
use crate::status::{Run, Stop};
use crate::testing::{Folder, created, joined, put, receipt, record, who};

const PARTITIONS: u16 = 4;
const WAIT_MS_MAX: u64 = 20_000;

struct World {
    address: SocketAddr,
    partitions: Vec<Partition>,
    _serving: DropGuard,
    _folder: Folder,
}

struct Reply {
    status: u16,
    head: String,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        line.map(str::trim)
    }

    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    fn problem(self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        (self.status, self.body["code"].as_str().unwrap().to_owned())
    }
}

/// Writes into the stores themselves, where there is no log.
#[derive(Debug)]
struct StoreDesk(Vec<Partition>);

impl Desk for StoreDesk {
    fn append(&self, records: Vec<v1::Record>) -> Handed<'_, Result<Position, Unwritten>> {
        Box::pin(async move {
            let mut position = Position::default();
            for record in records {
                let id = partition_of(&record.group_id, PARTITIONS);
                let home = self.0.iter().find(|partition| partition.id == id);
                let home = home.ok_or(Unwritten { reason: "elsewhere" })?;
                put(home, std::slice::from_ref(&record));
                position.raise(id, home.status.borrow().applied);
            }
            Ok(position)
        })
    }

    /// Takes a command, after which nobody but its own partition can be read; a message is not folded any more, what
    /// else is asked for has ended.
    fn ask(&self, ask: Ask) -> Handed<'_, Result<Taken, Refusal>> {
        Box::pin(async move {
            let id = partition_of(&ask.group.ok_or(Refusal::Busy)?.group_id, PARTITIONS);
            for other in self.0.iter().filter(|partition| partition.id != id) {
                other.store.close();
            }
            let home = self.0.iter().find(|partition| partition.id == id).ok_or(Refusal::Busy)?;
            let command_id = groupfold_schemas::command::command_id(8, [1; 10]);
            let mut sequence = home.status.borrow().applied + 1;
            if matches!(ask.wish, Wish::SendMessage { .. }) {
                home.status.send_modify(|status| {
                    status.run = Run::Stopped(Stop::MissingSequence { expected: sequence, found: None });
                });
            } else {
                commands::stations(&command_id)
                    .iter()
                    .for_each(|station| put(home, std::slice::from_ref(station)));
                sequence += 1;
            }
            Ok(Taken { command_id, position: [(id, sequence)].into_iter().collect() })
        })
    }

    fn look(&self, _: groupfold_fold::view::Group, _: Look) -> Handed<'_, Result<Looked, Refusal>> {
        Box::pin(async { Err(Refusal::Busy) })
    }
}

impl World {
    async fn with(owned: impl IntoIterator<Item = u16>, tokens: &[&str]) -> Self {
        let tokens: Vec<Token> = tokens.iter().map(|token| Token::all("test", token)).collect();
        Self::guarded(owned, &tokens).await
    }

    async fn guarded(owned: impl IntoIterator<Item = u16>, tokens: &[Token]) -> Self {
        let folder = Folder::new();
        let partitions: Vec<Partition> = owned.into_iter().map(|partition| folder.open(partition)).collect();
        for partition in &partitions {
            partition.status.send_modify(|status| {
                status.run = Run::Running;
                status.caught_up = true;
            });
        }
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let reads = Arc::new(Reads::new(PARTITIONS, partitions.clone(), WAIT_MS_MAX));
        let desk = Arc::new(StoreDesk(partitions.clone()));
        let api = Api::new(reads, tokens, metrics, "test").unwrap().with_desk(desk);
        let router = api.router(Ops::new(Arc::new(Mutex::new(registry))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(crate::server::serve(listener, router, shutdown.clone()));
        Self { address, partitions, _serving: shutdown.drop_guard(), _folder: folder }
    }

    async fn new() -> Self {
        Self::with(0..PARTITIONS, &[]).await
    }

    fn home(&self, key: &str) -> &Partition {
        let id = partition_of(key, PARTITIONS);
        self.partitions.iter().find(|partition| partition.id == id).unwrap()
    }

    fn tell(&self, record: v1::Record) {
        let key = if record.group_id.is_empty() { &record.account } else { &record.group_id };
        put(self.home(key), std::slice::from_ref(&record));
    }

    async fn send(&self, method: &str, path: &str, headers: &str) -> Reply {
        self.send_body(method, path, headers, "").await
    }

    async fn send_body(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = match body.len() {
            0 => String::new(),
            bytes => format!("content-length: {bytes}\r\n"),
        };
        let host = if headers.starts_with("host: ") { "" } else { "host: x\r\n" };
        let request =
            format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\n{headers}{length}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        Reply { status, head: head.to_owned(), body }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }
}

#[tokio::test]
async fn a_group_is_shown_whole_with_its_position() {
    let world = World::new().await;
    let group = "a/b=c%d@g.us";
    world.tell(created(group, 1_767_225_600, "Trip"));
    world.tell(joined(group, 1_767_225_601, "5511900000000"));
    let errors = vec![v1::ProviderError { code: "131201".into(), title: "No".into(), ..Default::default() }];
    world.tell(record(group, 1_767_225_602, Kind::GroupDeleteFailed(v1::GroupDeleteFailed { errors })));
    let home = world.home(group).id;

    let reply = world.get("/v1/groups/a%2Fb%3Dc%25d%40g.us").await;
    assert_eq!(reply.header("groupfold-position"), Some(format!("{home}:3").as_str()));
    let body = reply.ok();
    assert_eq!(body["position"], format!("{home}:3"));
    assert_eq!(body["group_id"], group);
    assert_eq!((&body["provider"], &body["account"]), (&json!("meta"), &json!("WABA")));
    assert_eq!((&body["status"], &body["subject"]), (&json!("active"), &json!("Trip")));
    assert_eq!(body["created_at"], "2026-01-01T00:00:00Z");
    for absent in ["description", "picture", "join_approval_mode", "deleted_at", "service_window"] {
        assert!(body[absent].is_null() && body.get(absent).is_some(), "{absent}");
    }
    assert_eq!(body["counts"], json!({"member": 1, "pending": 0}));
    let member = &body["members"][0];
    assert_eq!((&member["wa_id"], &member["status"]), (&json!("5511900000000"), &json!("member")));
    assert_eq!((&member["via"], &member["role"]), (&json!("invite_link"), &json!("member")));
    assert_eq!(member["joined_at"], "2026-01-01T00:00:01Z");
    let failure = &body["last_failure"];
    assert_eq!((&failure["type"], &failure["at"]), (&json!("group_delete"), &json!("2026-01-01T00:00:02Z")));
    let error = json!({"code": 131_201, "title": "No", "message": null, "details": null});
    assert_eq!(failure["errors"][0], error);
}

#[tokio::test]
async fn members_are_filtered_and_counted_in_full() {
    let world = World::new().await;
    world.tell(joined("G", 1, "1"));
    world.tell(joined("G", 2, "2"));
    let left = v1::ParticipantsEnded {
        reason: v1::EndReason::Left.into(),
        ended: vec![who("2")],
        ..Default::default()
    };
    world.tell(record("G", 3, Kind::ParticipantsEnded(left)));
    let all = world.get("/v1/groups/G/members").await.ok();
    assert_eq!(all["members"].as_array().unwrap().len(), 2);
    let body = world.get("/v1/groups/G/members?status=left").await.ok();
    assert_eq!(body["members"].as_array().unwrap().len(), 1);
    assert_eq!(body["members"][0]["wa_id"], "2");
    assert_eq!(body["counts"], json!({"member": 1, "pending": 0, "left": 1}));
}

#[tokio::test]
async fn groups_are_paged_by_id_across_partitions_also_when_some_come_in_between() {
    let world = World::new().await;
    let mut expected: Vec<String> = (0..23).map(|n| format!("g{n:02}")).collect();
    for group in &expected {
        world.tell(created(group, 1, "x"));
    }
    let mut seen = Vec::new();
    let mut path = "/v1/groups?limit=5".to_owned();
    loop {
        let body = world.get(&path).await.ok();
        let groups = body["groups"].as_array().unwrap();
        assert!(groups.len() <= 5);
        seen.extend(groups.iter().map(|group| group["group_id"].as_str().unwrap().to_owned()));
        if seen.len() == 5 {
            // One before the cursor, which no page shows, and one behind it, which a later page does.
            world.tell(created("a", 1, "x"));
            world.tell(created("g99", 1, "x"));
        }
        let Some(cursor) = body["cursor"].as_str() else { break };
        path = format!("/v1/groups?limit=5&cursor={cursor}");
    }
    expected.push("g99".to_owned());
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn groups_are_filtered_by_status_and_number() {
    let world = World::new().await;
    world.tell(created("a", 1, "x"));
    world.tell(created("b", 1, "x"));
    world.tell(record("b", 2, Kind::GroupDeleted(v1::GroupDeleted {})));
    let ids = |body: Value| -> Vec<String> {
        let groups = body["groups"].as_array().unwrap();
        groups.iter().map(|group| group["group_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(world.get("/v1/groups?status=deleted").await.ok()), ["b"]);
    assert_eq!(ids(world.get("/v1/groups?phone_number_id=PN").await.ok()), ["a", "b"]);
    let none = world.get("/v1/groups?phone_number_id=other").await.ok();
    assert!(none["cursor"].is_null());
    assert_eq!(none["position"].as_str().unwrap().split(',').count(), 4);
    assert_eq!(ids(none), Vec::<String>::new());
}

#[tokio::test]
async fn a_timeline_is_paged_and_speaks_the_language_asked_for() {
    let world = World::new().await;
    world.tell(created("G", 1, "Trip"));
    for second in 2..5 {
        world.tell(joined("G", second, &format!("551190000000{second}")));
    }
    let first = world.get("/v1/groups/G/timeline?limit=2&lang=pt-BR").await.ok();
    let entry = &first["entries"][1];
    assert_eq!((&entry["kind"], &entry["at"]), (&json!("member_joined"), &json!("1970-01-01T00:00:02Z")));
    assert_eq!(entry["text"], "+55 11 90000-0002 entrou usando o link de convite");
    assert_eq!(entry["member"]["wa_id"], "5511900000002");
    let cursor = first["cursor"].as_str().unwrap().to_owned();
    world.tell(joined("G", 0, "5511900000009"));
    let second = world.get(&format!("/v1/groups/G/timeline?limit=2&cursor={cursor}")).await.ok();
    let texts: Vec<_> = second["entries"].as_array().unwrap().iter().map(|entry| &entry["text"]).collect();
    let joined = ["3", "4"].map(|n| format!("+55 11 90000-000{n} joined using the invite link"));
    assert_eq!(texts, joined.each_ref());
    assert!(second["cursor"].is_null());
}

#[tokio::test]
async fn what_has_no_group_is_in_the_history_of_its_account() {
    let world = World::new().await;
    let errors = vec![v1::ProviderError { code: "1".into(), title: "No".into(), ..Default::default() }];
    world.tell(record("", 1, Kind::AccountError(v1::AccountError { errors })));
    let body = world.get("/v1/accounts/WABA/timeline").await.ok();
    assert_eq!(body["entries"][0]["kind"], "account_error");
    assert_eq!(body["entries"][0]["text"], "The account reported an error: No (1)");
    assert_eq!(world.get("/v1/accounts/none/timeline").await.ok()["entries"], json!([]));
}

#[tokio::test]
async fn receipts_are_found_wherever_their_group_lives() {
    let world = World::new().await;
    world.tell(receipt("G", 1, "wamid.x==", ReceiptStatus::Sent, None));
    world.tell(receipt("G", 2, "wamid.x==", ReceiptStatus::Delivered, Some("1")));
    world.tell(receipt("G", 3, "wamid.x==", ReceiptStatus::Read, Some("2")));
    let home = world.home("G").id;
    let body = world.get("/v1/messages/wamid.x%3D%3D/receipts").await.ok();
    assert_eq!((&body["group_id"], &body["sent_at"]), (&json!("G"), &json!("1970-01-01T00:00:01Z")));
    assert_eq!(body["counts"], json!({"delivered": 2, "read": 1, "played": 0, "viewed": 0}));
    assert_eq!(body["position"], format!("{home}:3"));
    assert!(body["failed"].is_null() && body.get("failed").is_some());
    let members = body["members"].as_array().unwrap();
    let read = members.iter().find(|member| member["wa_id"] == "2").unwrap();
    assert_eq!((&read["status"], &read["delivered_implied"]), (&json!("read"), &json!(true)));
    let missing = world.get("/v1/messages/none/receipts").await;
    assert_eq!(missing.problem(), (404, "message_not_found".to_owned()));
}

#[tokio::test]
async fn a_reader_waits_for_a_position_and_no_longer_than_asked() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let home = world.home("G").id;
    let other = (home + 1) % PARTITIONS;
    // Partitions that the answer does not touch are not waited for.
    let path = format!("/v1/groups/G?min_position={home}:1,{other}:999");
    world.get(&path).await.ok();
    let late = world.get(&format!("/v1/groups/G?min_position={home}:2&wait_ms=0")).await;
    assert_eq!(late.body["position"], format!("{home}:1"));
    assert_eq!(late.problem(), (412, "position_not_reached".to_owned()));
    let path = format!("/v1/groups/G?min_position={home}:2&wait_ms={WAIT_MS_MAX}");
    let waits = async { world.get(&path).await.ok() };
    let tells = async {
        // The reader has subscribed when it waits; telling earlier would prove nothing.
        while world.home("G").status.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        world.tell(joined("G", 2, "1"));
    };
    let both = async { tokio::join!(waits, tells).0 };
    let body = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    assert_eq!(body["counts"]["member"], 1);
    let unknown = world.get("/v1/groups/none?min_position=0:0").await;
    assert_eq!(unknown.problem(), (404, "group_not_found".to_owned()));
}

#[tokio::test]
async fn a_reader_does_not_wait_for_a_partition_that_stopped() {
    let world = World::new().await;
    let home = world.home("G");
    home.status.send_modify(|status| {
        status.run = Run::Stopped(Stop::MissingSequence { expected: 1, found: Some(2) });
    });
    let path = format!("/v1/groups/G?min_position={}:1&wait_ms={WAIT_MS_MAX}", home.id);
    let reply = tokio::time::timeout(Duration::from_secs(10), world.get(&path)).await.unwrap();
    assert_eq!(reply.problem(), (412, "position_not_reached".to_owned()));
    let reply = world.get("/readyz").await;
    assert_eq!((reply.status, &reply.body["ready"]), (503, &json!(false)));
    let reason = reply.body["reasons"][0].as_str().unwrap();
    assert!(reason.contains("stopped: missing_sequence"), "{reason}");
    let position = world.get("/v1/position").await.ok();
    let one = &position["partitions"][usize::from(home.id)];
    assert_eq!((&one["state"], &one["reason"]), (&json!("stopped"), &json!("missing_sequence")));
}

#[tokio::test]
async fn wrong_requests_are_named() {
    let world = World::new().await;
    for (path, status, code) in [
        ("/v1/groups/none", 404, "group_not_found"),
        ("/v1/groups/none/timeline", 404, "group_not_found"),
        ("/v1/groups?limit=0", 400, "bad_limit"),
        ("/v1/groups?limit=1001", 400, "bad_limit"),
        ("/v1/commands?limit=1001", 400, "bad_limit"),
        ("/v1/groups/G/timeline?limit=1001", 400, "bad_limit"),
        ("/v1/groups?cursor=zz", 400, "bad_cursor"),
        ("/v1/groups?status=x", 400, "bad_status"),
        ("/v1/groups/G/timeline?lang=de", 400, "bad_lang"),
        ("/v1/groups/G?min_position=x", 400, "bad_position"),
        ("/v1/groups/G?min_position=9:1", 400, "bad_position"),
        ("/v1/groups/G?wait_ms=x", 400, "bad_wait"),
        ("/v1/groups/G?at=2026-01-01T00:00:00Z", 400, "not_supported"),
        ("/v1/groups/G?at=soon", 400, "bad_at"),
        ("/v1/accounts/WABA/timeline?at=3:1", 400, "unknown_parameter"),
        ("/v1/groups/%FF", 400, "bad_id"),
        ("/v1/groups?archived=maybe", 400, "bad_flag"),
        ("/v1/groups?visible_to=ana", 400, "bad_viewer"),
        ("/nothing", 404, "not_found"),
    ] {
        assert_eq!(world.get(path).await.problem(), (status, code.to_owned()), "{path}");
    }
    let put = world.send("PUT", "/v1/groups", "content-length: 0\r\n").await;
    assert_eq!(put.header("allow"), Some("GET,HEAD,POST"));
    assert_eq!(put.problem(), (405, "method_not_allowed".to_owned()));
    let bad = world.get("/v1/groups?limit=x").await;
    assert_eq!(bad.body["detail"], "limit is \"x\", expected a whole number from 1 to 1000");
}

#[tokio::test]
async fn a_group_of_another_process_is_not_unknown() {
    let world = World::with([1], &[]).await;
    let group = (0..).map(|n| n.to_string()).find(|id| partition_of(id, PARTITIONS) == 2).unwrap();
    let reply = world.get(&format!("/v1/groups/{group}")).await;
    assert_eq!(reply.problem(), (421, "partition_not_owned".to_owned()));
}

#[tokio::test]
async fn what_is_not_folded_yet_is_not_said_to_be_absent() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    world.home("none").status.send_modify(|status| status.caught_up = false);
    world.get("/v1/groups/G").await.ok();
    assert_eq!(world.get("/v1/groups/none").await.problem(), (503, "catching_up".to_owned()));
    assert_eq!(world.get("/v1/messages/none/receipts").await.problem(), (503, "catching_up".to_owned()));
}

#[tokio::test]
async fn tokens_guard_what_was_told_and_nothing_else() {
    let world = World::with(0..PARTITIONS, &["one", "two"]).await;
    let none = world.get("/v1/groups").await;
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    assert_eq!(none.problem(), (401, "unauthorized".to_owned()));
    for bad in ["Bearer three", "Bearer ", "Basic one", "one", "Bearer onetwo"] {
        let reply = world.send("GET", "/v1/groups", &format!("authorization: {bad}\r\n")).await;
        assert_eq!(reply.status, 401, "{bad}");
    }
    for good in ["Bearer one", "bearer two"] {
        world.send("GET", "/v1/groups", &format!("authorization: {good}\r\n")).await.ok();
    }
    for open in ["/livez", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(world.get(open).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn a_store_that_is_closed_says_so() {
    let world = World::new().await;
    world.home("G").store.close();
    let reply = world.get("/v1/groups/G").await;
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.problem(), (503, "store_closed".to_owned()));
}

#[tokio::test]
async fn answers_are_counted_by_route() {
    let world = World::new().await;
    world.get("/v1/groups/secret").await;
    let reply = world.get("/metrics").await;
    let text = reply.body.as_str().unwrap().to_owned();
    let line = "groupfold_api_requests_total{route=\"/v1/groups/{group_id}\",status=\"404\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_group_told_before_has_the_position_of_now_and_is_told_anew_once_it_changes() {
    let world = World::new().await;
    let home = world.home("G").clone();
    let position = |sequence: u64| format!("{}:{sequence}", home.id);
    world.tell(created("G", 1, "first"));
    let first = world.get("/v1/groups/G").await;
    assert_eq!(first.header("groupfold-position"), Some(position(1).as_str()));
    assert!(home.shown.get("G").is_some(), "what was told is kept");
    // Another group of the same partition.
    let other = (0..).map(|n| format!("H{n}")).find(|id| world.home(id).id == home.id).unwrap();
    world.tell(created(&other, 2, "other"));
    let again = world.get("/v1/groups/G").await;
    assert_eq!(again.header("groupfold-position"), Some(position(2).as_str()));
    assert_eq!(again.header("content-type"), Some("application/json"));
    let mut expected = first.ok();
    expected["position"] = position(2).into();
    assert_eq!(again.ok(), expected);
    world.tell(joined("G", 3, "5511"));
    let path = format!("/v1/groups/G?min_position={}", position(3));
    let changed = world.get(&path).await.ok();
    assert_eq!((&changed["counts"]["member"], &changed["position"]), (&json!(1), &json!(position(3))));
    assert_ne!(changed["digest"], expected["digest"]);
    // A store that starts over takes all with it.
    home.forget_progress();
    home.store.start_over(&crate::store::Error::Closed { partition: home.id }).unwrap();
    assert_eq!(world.get("/v1/groups/G").await.problem().1, "catching_up");
}
