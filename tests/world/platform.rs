//! What only the platform knows of groups, by HTTP and by command, on real parts.

use std::time::Duration;

use groupfold_tests::{Answer, Groupfold, NatsServer, Options, http, wait_until};
use serde_json::{Value, json};

use crate::feed::{listener::Listener, settled};
use crate::hook::{self, created, joined, lifecycle, participants, status, statuses};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
/// How long an answer to what is written waits for the fold, which may have much to do.
const WAIT_MS: &str = "20000";

/// Sends a request that writes.
async fn send(groupfold: &Groupfold, method: &str, path: &str, key: &str, body: Value) -> Answer {
    send_as("ana", groupfold, method, path, key, body).await
}

async fn send_as(
    actor: &str,
    groupfold: &Groupfold,
    method: &str,
    path: &str,
    key: &str,
    body: Value,
) -> Answer {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let waits = if path.contains('?') { String::new() } else { format!("?wait_ms={WAIT_MS}") };
    let url = groupfold.api_url(path) + &waits;
    let mut request = http::client().request(method, url).header("groupfold-actor", actor);
    if !key.is_empty() {
        request = request.header("idempotency-key", key);
    }
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    http::read(request.send().await.unwrap()).await.unwrap()
}

/// Says something of a group by command: exit code, and what was printed as JSON or as the error.
fn say(groupfold: &Groupfold, args: &[&str]) -> (i32, Value) {
    let mut command = Groupfold::command();
    command.arg("group").args(args).arg("--data").arg(groupfold.data()).args(["--output", "json"]);
    command.args(["--wait-ms", WAIT_MS]);
    let output = command.output().unwrap();
    let said = serde_json::from_slice(&output.stdout);
    let error = || Value::from(String::from_utf8_lossy(&output.stderr).into_owned());
    (output.status.code().unwrap(), said.unwrap_or_else(|_| error()))
}

fn message(group: &str, id: &str, second: i64) -> Vec<u8> {
    let text = json!({ "from": "15550001111", "id": id, "timestamp": second.to_string(), "type": "text",
                       "group_id": group, "text": { "body": "x" } });
    hook::messages(&[text])
}

/// A group with a member and a message of ours that the member read.
async fn told(groupfold: &Groupfold, group: &str) {
    let read = status(group, &format!("wamid.{group}"), "read", Some("15550001111"), T + 3);
    let bodies = [
        lifecycle(&[created(group, "Team", T)]),
        participants(&[joined(group, "15550001111", T + 1)]),
        statuses(&[read]),
    ];
    for body in bodies {
        posted(groupfold, &body).await;
    }
}

/// Posts a webhook and waits until it is folded.
async fn posted(groupfold: &Groupfold, body: &[u8]) -> String {
    let answer = groupfold.post(body).await;
    assert_eq!(answer.status, 200, "{answer}");
    let position = answer.json["position"].as_str().unwrap().to_owned();
    let read = groupfold.get(&format!("/v1/groups?min_position={position}&wait_ms=20000")).await;
    assert_eq!(read.status, 200, "{read}");
    position
}

async fn group(groupfold: &Groupfold, id: &str) -> Value {
    groupfold.get(&format!("/v1/groups/{id}")).await.json
}

#[tokio::test]
async fn what_a_platform_says_of_a_group_is_read_followed_and_looked_back_to() {
    let nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    // A provider that nobody calls: what is asked of it is refused before.
    let provider = ["--meta-access-token", "token-of-a-test", "--meta-graph-url", "http://127.0.0.1:9"];
    options.args.extend(provider.map(str::to_owned));
    let groupfold = Groupfold::up(options).await;
    told(&groupfold, "G1").await;
    told(&groupfold, "G2").await;
    let before = group(&groupfold, "G1").await["position"].as_str().unwrap().to_owned();

    for args in [
        &["label", "G1", "vip"][..],
        &["label", "G1", "late"],
        &["label", "G1", "late", "--remove"],
        &["block", "G1"],
        &["visibility", "G1", "--team", "sales", "--user", "bob"],
        &["moderators", "G1", "--user", "ana"],
        &["archive", "G1", "--actor", "ana"],
    ] {
        let (code, said) = say(&groupfold, args);
        assert_eq!((code, &said["folded"]), (0, &json!(true)), "{args:?}: {said}");
    }
    let (code, refused) = say(&groupfold, &["unblock", "G1", "--actor", "bob"]);
    assert!(code == 1 && refused.as_str().unwrap().contains("403 not_moderator"), "{code} {refused}");
    for (actor, status, code) in [("bob", 403, "not_moderator"), ("ana", 409, "group_blocked")] {
        let text = json!({ "type": "text", "text": { "body": "x" } });
        let sent = send_as(actor, &groupfold, "POST", "/v1/groups/G1/messages", "", text).await;
        sent.says(status, code);
    }
    let (code, wrong) = say(&groupfold, &["visibility", "G1"]);
    assert!(code == 2, "{wrong}");

    let shown = group(&groupfold, "G1").await;
    assert_eq!(shown["labels"], json!(["vip"]));
    assert_eq!((&shown["archived"], &shown["blocked"]), (&json!(true), &json!(true)));
    assert_eq!(shown["visibility"], json!({ "all": false, "teams": ["sales"], "users": ["bob"] }));
    assert_eq!(shown["moderators"], json!(["ana"]));
    let then = groupfold.get(&format!("/v1/groups/G1?at={before}")).await.json;
    assert_eq!((&then["archived"], &then["labels"]), (&json!(false), &json!([])));
    let (code, listed) =
        say(&groupfold, &["list", "--archived", "--label", "vip", "--visible-to", "user:bob"]);
    assert_eq!((code, listed["groups"].as_array().unwrap().len()), (0, 1), "{listed}");
    let (_, others) = say(&groupfold, &["list", "--archived", "false"]);
    assert_eq!(others["groups"][0]["group_id"], "G2");

    // Arrivals are logged though it is blocked, and bring it back.
    posted(&groupfold, &message("G1", "wamid.in", T + 90)).await;
    let shown = group(&groupfold, "G1").await;
    assert_eq!((&shown["archived"], &shown["blocked"]), (&json!(false), &json!(true)));

    // Both tabs.
    let viewed = send(&groupfold, "POST", "/v1/messages/wamid.G1/views", "", Value::Null).await;
    assert_eq!(viewed.status, 200, "{viewed}");
    let receipts = groupfold.get("/v1/messages/wamid.G1/receipts").await.json;
    assert_eq!(receipts["members"][0]["status"], "read");
    assert_eq!((&receipts["users"][0]["user_id"], &receipts["counts"]["viewed"]), (&json!("ana"), &json!(1)));
    let inbound =
        send(&groupfold, "POST", "/v1/messages/wamid.in/views", "", json!({ "group_id": "G1" })).await;
    assert_eq!(inbound.status, 200, "{inbound}");

    let told = settled(&groupfold, &nats).await;
    let ours = |kinds: &[&str]| -> Vec<(String, Value)> {
        let of = told.bodies().filter(|body| kinds.contains(&body["kind"].as_str().unwrap()));
        of.map(|body| (body["kind"].as_str().unwrap().to_owned(), body["after"].clone())).collect()
    };
    let flags = ours(&["archived", "blocked"]);
    let expected = [("blocked", true), ("archived", true), ("archived", false)];
    assert_eq!(flags, expected.map(|(kind, after)| (kind.to_owned(), json!(after))));
    assert_eq!(ours(&["labels"]).len(), 3);
    assert_eq!(ours(&["visibility", "moderators"]).len(), 2);
    assert_eq!(ours(&["message_view"]).len(), 2);
    let mut listener = Listener::open(&groupfold, "?from=beginning&kind=message_view", None).await.unwrap();
    let event = listener.event().await.unwrap();
    assert!(event.data.unwrap().contains("\"user_id\":\"ana\""));

    // What was folded as it came is what is folded anew, and the fates add up.
    for verb in ["verify", "audit"] {
        let mut command = Groupfold::command();
        let output = command.arg(verb).arg("--data").arg(groupfold.data()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{verb}: {said}{}", String::from_utf8_lossy(&output.stderr));
        // What the platform says comes by no receiver, and is not by hand for that.
        assert_eq!(
            (said.contains("events of our own"), said.contains("by hand")),
            (verb == "audit", false),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_request_repeated_after_a_crash_and_beyond_the_brokers_window_changes_nothing() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    told(&groupfold, "G1").await;
    let archive = "/v1/groups/G1/archive";
    let first = send(&groupfold, "PUT", archive, "k1", Value::Null).await;
    assert_eq!(first.status, 200, "{first}");
    let undone = send(&groupfold, "DELETE", archive, "k2", Value::Null).await;
    assert_eq!(undone.status, 200, "{undone}");
    groupfold.kill9();
    let jetstream = async_nats::jetstream::new(nats.client().await);
    for partition in 0..8 {
        let mut stream = jetstream.get_stream(format!("GROUPFOLD_EVENTS_{partition}")).await.unwrap();
        let mut config = stream.info().await.unwrap().config.clone();
        config.duplicate_window = Duration::from_millis(100);
        jetstream.update_stream(config).await.unwrap();
    }
    groupfold.restart().await;
    let again = wait_until("the state is there", BOUND, async || {
        let again = send(&groupfold, "PUT", archive, "k1", Value::Null).await;
        if again.status == 200 { Ok(again) } else { Err(again) }
    })
    .await;
    assert_eq!(again.json["event_id"], first.json["event_id"]);
    assert_eq!(group(&groupfold, "G1").await["archived"], false);
    let lines = groupfold.get("/v1/groups/G1/timeline").await.json;
    let kinds: Vec<_> =
        lines["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["group_created", "member_joined", "archived", "unarchived"]);

    // Whoever does not wait is told where to read.
    let unseen = send(&groupfold, "PUT", "/v1/groups/G1/block?wait_ms=0", "k3", Value::Null).await;
    assert!([200, 202].contains(&unseen.status), "{unseen}");
    let read =
        format!("/v1/groups/G1?min_position={}&wait_ms=20000", unseen.json["position"].as_str().unwrap());
    assert_eq!(groupfold.get(&read).await.json["blocked"], true);
}
