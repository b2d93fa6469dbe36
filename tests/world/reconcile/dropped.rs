//! A provider of which many a webhook never comes: what is read from it in the end is the truth.

use std::collections::BTreeSet;

use groupfold_tests::{NatsOptions, NatsServer, Options, Process, Provider, Scratch};
use reqwest::Method;

use super::*;

const SECRET: &str = "app-secret-of-a-test";
/// Of a hundred webhooks so many are lost.
const LOST: &str = "50";

struct Lossy {
    _nats: NatsServer,
    groupfold: Groupfold,
    provider: Provider,
}

impl Lossy {
    async fn new() -> Self {
        let faults = ["people", "any"].map(|of| format!("{of}=webhook_never@{LOST}"));
        Self::with(&["--fault", &faults[0], "--fault", &faults[1], "--seed", "11"]).await
    }

    async fn with(provider: &[&str]) -> Self {
        let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
        let provider = Provider::start(SECRET, provider).await;
        let mut options = Options { app_secret: SECRET.to_owned(), ..Options::on(&nats) };
        options.args.extend(["--meta-graph-url".to_owned(), format!("{}/v25.0", provider.url())]);
        options.env.push(("GROUPFOLD_META_ACCESS_TOKEN".to_owned(), Provider::TOKEN.to_owned()));
        let groupfold = Groupfold::up(options).await;
        provider.tell(&groupfold.webhook_url()).await;
        Self { _nats: nats, groupfold, provider }
    }

    async fn verb(&self, args: &[&str]) -> Value {
        let url = format!("{}/v25.0", self.provider.url());
        super::verb(&self.groupfold, &url, Provider::TOKEN, args, 0).await
    }

    async fn call(&self, method: Method, path: &str, mut body: Value) -> Value {
        body["messaging_product"] = json!("whatsapp");
        let answer = self.provider.call(method, path, Some(body)).await;
        assert_eq!(answer.status, 200, "{path}: {answer}");
        answer.json
    }

    /// Groups live: made, renamed, joined, left, asked for, deleted.
    async fn live(&self) {
        for i in 0..8 {
            let mode = if i % 2 == 0 { "auto_approve" } else { "approval_required" };
            let group = json!({ "subject": format!("Group {i}"), "join_approval_mode": mode });
            self.call(Method::POST, &format!("/{}/groups", Provider::NUMBER), group).await;
        }
        let list = self.provider.call(Method::GET, &format!("/{}/groups", Provider::NUMBER), None).await;
        let ids = list.json["data"]["groups"].as_array().expect("groups").iter();
        let ids: Vec<String> = ids.map(|group| group["id"].as_str().expect("an id").to_owned()).collect();
        assert_eq!(ids.len(), 8);
        for (i, id) in ids.iter().enumerate() {
            for person in 0..4 {
                let wa_id = format!("55119000{i:02}{person:02}");
                self.provider.control("join", json!({ "group_id": id, "person": wa_id })).await;
            }
            if i % 2 == 0 {
                self.provider.control("leave", json!({ "group_id": id })).await;
            } else {
                self.provider.control("revoke", json!({ "group_id": id })).await;
                let asking = self.provider.call(Method::GET, &format!("/{id}/join_requests"), None).await;
                let first = asking.json["data"][0]["join_request_id"].clone();
                self.call(Method::POST, &format!("/{id}/join_requests"), json!({ "join_requests": [first] }))
                    .await;
            }
            if i % 3 == 0 {
                self.call(Method::POST, &format!("/{id}"), json!({ "subject": format!("Renamed {i}") }))
                    .await;
            }
        }
        let deleted = self.provider.call(Method::DELETE, &format!("/{}", ids[6]), None).await;
        assert_eq!(deleted.status, 200, "{deleted}");
        self.provider.all_told().await;
    }

    /// The provider tells changes that would share a second a second later each: what is read speaks of all of
    /// them once their time has come.
    async fn until_all_has_happened(&self) -> Value {
        wait_until("all has happened", BOUND, async || {
            let truth = self.provider.look("truth").await;
            let groups = truth["groups"].as_object().expect("groups").values();
            let lines = groups.flat_map(|group| group["timeline"].as_array().expect("a timeline").clone());
            let last = lines.filter_map(|line| line["at"].as_i64()).max().expect("something happened");
            let now = jiff::Timestamp::now().as_second();
            if last + 1 < now { Ok(truth) } else { Err(format!("{last} is not before {now}")) }
        })
        .await
    }
}

/// Everybody of a group who stands so.
fn people(group: &Value, status: &str) -> BTreeSet<String> {
    let all = group["members"].as_array().expect("members").iter();
    all.filter(|member| member["status"] == status).map(|member| member["wa_id"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_lost_webhooks_what_is_reconciled_is_the_truth() {
    let world = Lossy::new().await;
    world.live().await;
    let truth = world.until_all_has_happened().await;
    world.groupfold.caught_up().await;

    let imported = world
        .verb(&["import", "--phone-number-id", Provider::NUMBER, "--account", ACCOUNT, "--execute", "--all"])
        .await;
    folded(&world.groupfold, imported["position"].as_str().expect("a position")).await;
    let reconcile = ["reconcile", "--settle-ms", "0", "--links"];
    let done = world.verb(&[&reconcile[..], &["--execute"]].concat()).await;
    folded(&world.groupfold, done["position"].as_str().unwrap_or_default()).await;
    let (imported, appended) = (imported["imported"].as_u64().unwrap(), done["appended"].as_u64().unwrap());
    assert!(imported > 0 && appended > 0, "nothing was lost: {imported} imported, {done}");

    for (id, truth) in truth["groups"].as_object().expect("groups") {
        let answer = world.groupfold.get(&format!("/v1/groups/{id}")).await;
        if truth["status"] == "deleted" && answer.status == 404 {
            continue; // Neither its creation nor its deletion was heard of, and the provider has it no more.
        }
        let group = answer.json;
        assert_eq!(group["status"], truth["status"], "{id}");
        if truth["status"] == "deleted" {
            continue;
        }
        for of in ["subject", "join_approval_mode", "invite_link"] {
            assert_eq!(group[of], truth[of], "{of} of {id}");
        }
        for status in ["member", "pending"] {
            assert_eq!(people(&group, status), people(truth, status), "{status} of {id}");
        }
    }
    assert_eq!(world.verb(&reconcile).await["differing"], json!([]));
}

/// As the runbook says: the same command again goes on where it stopped.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_has_taken_in_what_it_had_read() {
    let world = Lossy::with(&["--fault", "create=webhook_never", "--fault", "info=timeoutx1"]).await;
    for i in 0..8 {
        let group = json!({ "subject": format!("Group {i}") });
        world.call(Method::POST, &format!("/{}/groups", Provider::NUMBER), group).await;
    }
    let import =
        ["import", "--phone-number-id", Provider::NUMBER, "--account", ACCOUNT, "--execute", "--all"];
    let (scratch, mut command) = (Scratch::new("import"), Groupfold::command());
    command.args(import).arg("--data").arg(world.groupfold.data());
    // One answer never comes, and is waited for.
    command.args(["--provider-deadline-ms", "600000", "--provider-patience-ms", "600000"]);
    command.args(["--meta-graph-url", &format!("{}/v25.0", world.provider.url())]);
    command.env("GROUPFOLD_META_ACCESS_TOKEN", Provider::TOKEN);
    let mut process = Process::spawn("groupfold", command, &scratch.path().join("log"));
    wait_until("all but one are taken in", BOUND, async || {
        let groups = world.groupfold.get("/v1/groups").await;
        let count = groups.json["groups"].as_array().map(Vec::len);
        if count == Some(7) { Ok(()) } else { Err(format!("{groups}")) }
    })
    .await;
    process.kill9();
    assert_eq!(world.verb(&import).await["imported"], 1);
}
