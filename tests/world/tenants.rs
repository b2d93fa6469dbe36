//! Tenants of one pipeline: a token that is bound to a business number sees nothing of another's.

use std::time::Duration;

use groupfold_schemas::log::partition_of;
use groupfold_tests::{Answer, Groupfold, Options, Scratch, http, wait_until};
use serde_json::{Value, json};

use crate::hook::{NUMBER, created, joined, lifecycle, participants, status, statuses};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
/// Tokens of the test and their hashes, as `groupfold token hash` makes them.
const TENANT: &str = "token-of-the-tenant";
const NEIGHBOUR: &str = "token-of-the-neighbour";
const EVERYBODY: &str = "token-of-everybody";
const OTHER_NUMBER: &str = "999000999000999";
/// What only webhooks of the other number say.
const SECRETS: [&str; 6] =
    ["THEIRS", "15559990001", "Their subject", "wamid.THEIRS", OTHER_NUMBER, "THEIRLINK"];

fn hash(token: &str) -> String {
    let mut command = Groupfold::command();
    command.args(["token", "hash", "--output", "json"]).stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["hash"].as_str().unwrap().to_owned()
}

struct World {
    groupfold: Groupfold,
    _scratch: Scratch,
}

impl World {
    async fn new() -> Self {
        let scratch = Scratch::new("tenants");
        let file = scratch.path().join("groupfold.toml");
        let config = format!(
            "api_token = \"{}\"\n[[api.tokens]]\nname = \"tenant\"\nhash = \"{}\"\n\
             scopes = [\"read\", \"operate\"]\nphone_number_ids = [\"{NUMBER}\"]\n\
             [[api.tokens]]\nname = \"neighbour\"\nhash = \"{}\"\n\
             scopes = [\"read\"]\nphone_number_ids = [\"{OTHER_NUMBER}\"]\n",
            hash(EVERYBODY),
            hash(TENANT),
            hash(NEIGHBOUR)
        );
        std::fs::write(&file, config).unwrap();
        let args = vec!["--config".to_owned(), file.display().to_string()];
        let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
        Self { groupfold, _scratch: scratch }
    }

    /// A group with a member and a message, told by the webhooks of a number.
    async fn tell(&self, group: &str, number: &str, wa_id: &str, subject: &str, link: &str) {
        let mut item = created(group, subject, T);
        item["invite_link"] = json!(format!("https://chat.whatsapp.com/{link}"));
        let read = status(group, &format!("wamid.{group}"), "read", Some(wa_id), T + 2);
        for body in [lifecycle(&[item]), participants(&[joined(group, wa_id, T + 1)]), statuses(&[read])] {
            let body = String::from_utf8(body).unwrap().replace(NUMBER, number);
            let answer = self.groupfold.post(body.as_bytes()).await;
            assert_eq!(answer.status, 200, "{answer}");
        }
    }

    async fn ask(&self, method: &str, path: &str, token: &str) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http::client().request(method, self.groupfold.api_url(path)).bearer_auth(token);
        let request = request.header("content-type", "application/json").body("{}");
        http::read(request.send().await.unwrap()).await.unwrap()
    }

    /// Changes from the beginning up to one that holds a text.
    async fn changes(&self, token: &str, until: &str) -> String {
        let url = self.groupfold.api_url("/v1/changes?from=beginning");
        let mut response = http::client().get(url).bearer_auth(token).send().await.unwrap();
        let mut text = String::new();
        while !text.contains(until) {
            let chunk = tokio::time::timeout(BOUND, response.chunk()).await.expect("changes come");
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("the feed goes on")));
        }
        text
    }
}

fn tells_nothing(of: &str, asked: &str, answer: &str) {
    // What was asked for is named in the answer that it is not known.
    let answer = asked
        .split(['/', '?', '&', '='])
        .filter(|part| part.len() > 3)
        .fold(answer.to_owned(), |a, p| a.replace(p, ""));
    for secret in SECRETS {
        assert!(!answer.contains(secret), "{of} {asked} tells {secret}: {answer}");
    }
}

/// Whoever tells a view names any message: it need not be theirs.
#[tokio::test]
async fn a_view_that_another_tenant_tells_of_a_message_neither_hides_nor_alters_its_receipts() {
    let world = World::new().await;
    world.tell("MINE", NUMBER, "15551110001", "My subject", "MYLINK").await;
    let view = async |message: &str| {
        let url = world.groupfold.api_url(&format!("/v1/messages/{message}/views?wait_ms=20000"));
        let body = json!({ "group_id": "MINE", "user_id": "evil" });
        http::read(http::client().post(url).bearer_auth(TENANT).json(&body).send().await.unwrap())
            .await
            .unwrap()
    };
    wait_until("the group is known", BOUND, async || {
        let answer = world.ask("GET", "/v1/groups/MINE", TENANT).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    // In the same partition, and in all others: before and behind.
    for partition in 0..8 {
        let groups = (0..).map(|n| format!("THEIRS{n}"));
        let group = groups.into_iter().find(|group| partition_of(group, 8) == partition).unwrap();
        let message = format!("wamid.{group}");
        // Before a receipt tells whose it is.
        let told = view(&message).await;
        assert_eq!(told.status, 200, "{told}");
        world.tell(&group, OTHER_NUMBER, "15559990001", "Their subject", "THEIRLINK").await;
        let path = format!("/v1/messages/{message}/receipts");
        for token in [NEIGHBOUR, EVERYBODY] {
            let answer = wait_until("the receipt is told", BOUND, async || {
                let answer = world.ask("GET", &path, token).await;
                if answer.json["counts"]["read"] == 1 { Ok(answer) } else { Err(answer) }
            })
            .await;
            let (group_of, users) = (&answer.json["group_id"], &answer.json["users"]);
            assert_eq!((group_of, users), (&json!(group), &json!([])), "partition {partition}: {answer}");
        }
        assert_eq!(world.ask("GET", &path, TENANT).await.status, 404);
        let told = view(&message).await;
        told.says(404, "message_not_found");
    }
}

/// The group was looked for in the present, before what was asked for was waited for.
#[tokio::test]
async fn who_looks_back_to_what_is_not_folded_yet_waits_whatever_the_token() {
    let world = World::new().await;
    let home = partition_of("SOON", 8);
    for token in [EVERYBODY, TENANT] {
        for rest in ["", "/members", "/timeline"] {
            let path = format!("/v1/groups/SOON{rest}?at={home}:1&wait_ms=0");
            let answer = world.ask("GET", &path, token).await;
            let found = (answer.status, answer.json["code"].as_str());
            assert_eq!(found, (412, Some("position_not_reached")), "{token} {path}: {answer}");
        }
    }
    let path = format!("/v1/groups/SOON?at={home}:1&wait_ms=20000");
    let told = world.tell("SOON", NUMBER, "15551110001", "My subject", "MYLINK");
    let (answer, ()) = tokio::join!(world.ask("GET", &path, TENANT), told);
    assert_eq!((answer.status, &answer.json["subject"]), (200, &json!("My subject")), "{answer}");
    assert_eq!(world.ask("GET", &path, NEIGHBOUR).await.status, 404);
    // Where there is nothing to look back to, `at` is none of its parameters.
    let link = world.ask("GET", &format!("/v1/groups/SOON/invite-link?at={home}:999"), TENANT).await;
    assert_eq!((link.status, link.json["code"].as_str()), (400, Some("unknown_parameter")), "{link}");
}

/// Every route that the document has, with every method, as it will be then.
#[tokio::test]
async fn no_route_of_the_document_tells_a_tenant_of_another_number_or_does_anything_to_it() {
    let world = World::new().await;
    world.tell("THEIRS", OTHER_NUMBER, "15559990001", "Their subject", "THEIRLINK").await;
    world.tell("MINE", NUMBER, "15551110001", "My subject", "MYLINK").await;
    for (token, group) in [(EVERYBODY, "THEIRS"), (TENANT, "MINE")] {
        wait_until("it is folded", BOUND, async || {
            let answer = world.ask("GET", &format!("/v1/messages/wamid.{group}/receipts"), token).await;
            if answer.status == 200 { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    let document = world.ask("GET", "/openapi.json", TENANT).await.json;
    let (mut tried, mut asked_operators) = (0, 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path == "/v1/changes" {
            continue;
        }
        for method in operations.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let path = path.replace("{group_id}", "THEIRS").replace("{message_id}", "wamid.THEIRS");
            let path = path.replace("{account}", crate::hook::ACCOUNT).replace(['{', '}'], "");
            let answer = world.ask(&method, &path, TENANT).await;
            tells_nothing(&method, &path, &answer.text);
            let own = path.contains("THEIRS");
            assert!(!own || [403, 404].contains(&answer.status), "{method} {path}: {answer}");
            assert!(method == "GET" || answer.status >= 400, "{method} {path}: {answer}");
            // What operators do concerns everybody.
            let operators = path.starts_with("/v1/ops/");
            assert!(!operators || answer.status == 403, "{method} {path}: {answer}");
            asked_operators += u32::from(operators);
            tried += 1;
        }
    }
    assert!(tried >= 12, "{tried}");
    assert_eq!(asked_operators, 6);
    for path in [
        "/v1/groups?limit=200",
        &format!("/v1/groups?phone_number_id={OTHER_NUMBER}"),
        "/v1/groups/THEIRS?at=2100-01-01T00:00:00Z",
        "/v1/groups/THEIRS/members?at=2100-01-01T00:00:00Z",
        "/v1/groups/THEIRS/timeline?lang=es",
        "/v1/messages/wamid.THEIRS/receipts?at=2100-01-01T00:00:00Z",
        "/v1/usage?by=group",
        "/v1/usage?by=country",
        "/v1/position?group=THEIRS",
    ] {
        tells_nothing("GET", path, &world.ask("GET", path, TENANT).await.text);
    }
    let usage = world.ask("GET", "/v1/usage?by=group", TENANT).await.json;
    assert_eq!(
        (&usage["total"]["delivered"], &usage["rows"][0]["key"]),
        (&json!(1), &json!("MINE")),
        "{usage}"
    );
    // The last changes of either, whose partitions tell them in no order: what is not there then was left out.
    let theirs = world.changes(EVERYBODY, "wamid.THEIRS").await;
    let changes = world.changes(TENANT, "wamid.MINE").await;
    tells_nothing("GET", "/v1/changes", &changes);
    assert!(changes.contains("My subject"), "{changes}");
    // The same questions by the token of everybody, lest there was nothing to see.
    let all = world.ask("GET", "/v1/groups?limit=200", EVERYBODY).await.text;
    assert!(SECRETS.iter().any(|secret| theirs.contains(secret)), "{theirs}");
    for secret in ["THEIRS", "15559990001", "Their subject", OTHER_NUMBER, "THEIRLINK"] {
        assert!(all.contains(secret), "{secret} is not in {all}");
    }
    // The tenant may not read links, its own neither.
    let own = world.ask("GET", "/v1/groups/MINE", TENANT).await;
    assert_eq!((own.status, &own.json["invite_link"]), (200, &json!(null)), "{own}");
}

#[tokio::test]
async fn what_operators_do_leaves_a_line_without_secrets_also_where_nothing_else_is_logged() {
    let args = ["--api-token", EVERYBODY, "--log", "error"].map(str::to_owned).to_vec();
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let url = groupfold.api_url("/v1/ops/verify?partition=0");
    let sent = http::client().post(&url).bearer_auth(EVERYBODY).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    let sent = http::client().post(&url).bearer_auth("wrong").send().await.unwrap();
    assert_eq!(sent.status(), 401);
    let line = wait_until("the line is there", BOUND, async || {
        let log = groupfold.process().log();
        log.lines().find(|line| line.contains("audit")).map(str::to_owned).ok_or(log)
    })
    .await;
    for part in ["caller=\"token 1\"", "method=POST", "/v1/ops/verify", "status=202"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(!groupfold.process().log().contains(EVERYBODY));
}
