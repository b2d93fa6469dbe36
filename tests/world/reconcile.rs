//! Groups of the provider and groups of the projection, brought together as an operator does it.

mod behind;
mod dropped;
pub(crate) mod graph;

use std::time::Duration;

use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, wait_until};
use serde_json::{Value, json};

use crate::hook::{ACCOUNT, NUMBER, created, joined, left, lifecycle, participants};
use graph::{Graph, TOKEN, There};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;

struct World {
    nats: NatsServer,
    groupfold: Groupfold,
    graph: Graph,
}

impl World {
    async fn new(settings: &[&str]) -> Self {
        let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
        let graph = Graph::start().await;
        let mut options = Options::on(&nats);
        options.args.extend(["--meta-graph-url", &graph.url].map(str::to_owned));
        options.args.extend(settings.iter().map(|&text| text.to_owned()));
        options.env.push(("GROUPFOLD_META_ACCESS_TOKEN".to_owned(), TOKEN.to_owned()));
        let groupfold = Groupfold::up(options).await;
        Self { nats, groupfold, graph }
    }

    async fn verb(&self, args: &[&str], expected: i32) -> Value {
        verb(&self.groupfold, &self.graph.url, TOKEN, args, expected).await
    }

    async fn reconcile(&self, args: &[&str], expected: i32) -> Value {
        self.verb(&[&["reconcile", "--settle-ms", "0"], args].concat(), expected).await
    }

    /// Posts a webhook and waits until it is folded.
    async fn hear(&self, body: &[u8]) {
        let answer = self.groupfold.post(body).await;
        assert_eq!(answer.status, 200, "{answer}");
        self.folded(answer.position().expect("a position")).await;
    }

    async fn folded(&self, position: &str) {
        folded(&self.groupfold, position).await;
    }

    async fn group(&self, group: &str) -> Value {
        let answer = self.groupfold.get(&format!("/v1/groups/{group}")).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.json
    }

    async fn lines(&self, group: &str) -> Vec<Value> {
        let answer = self.groupfold.get(&format!("/v1/groups/{group}/timeline")).await;
        answer.json["entries"].as_array().expect("entries").clone()
    }
}

/// Runs a verb; its JSON, if it ends with this code.
pub(crate) async fn verb(
    groupfold: &Groupfold,
    graph: &str,
    token: &str,
    args: &[&str],
    expected: i32,
) -> Value {
    let mut command = Groupfold::command();
    command.args(args).arg("--data").arg(groupfold.data());
    command.args(["--meta-graph-url", graph, "--output", "json"]).env("GROUPFOLD_META_ACCESS_TOKEN", token);
    // The provider may answer on this runtime.
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs");
    let output = output.expect("groupfold can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(expected), "{args:?}: {said}");
    assert!(!said.contains(token), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"))
}

async fn folded(groupfold: &Groupfold, position: &str) {
    let path = format!("/v1/groups?min_position={position}&wait_ms=20000");
    let answer = groupfold.get(&path).await;
    assert_eq!(answer.status, 200, "{answer}");
}

fn members(group: &Value, status: &str) -> Vec<String> {
    let all = group["members"].as_array().expect("members").iter();
    let mut names: Vec<String> = all
        .filter(|member| member["status"] == status)
        .map(|member| member["wa_id"].as_str().expect("a number").to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_were_there_before_are_shown_and_taken_in() {
    let world = World::new(&[]).await;
    world.hear(&lifecycle(&[created("KNOWN", "Tea", T), created("GONE", "Old", T)])).await;
    world.graph.put("KNOWN", There::with(&[]));
    world.graph.put("NEW-1", There { pending: vec!["5519"], ..There::with(&["5511", "5512"]) });
    // Of a suspended group neither requests nor the link are told.
    world.graph.put("NEW-2", There { suspended: true, ..There::with(&["5513"]) });

    let preview = world.verb(&["import", "--phone-number-id", NUMBER], 0).await;
    let states: Vec<(&str, &str)> = preview["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| (group["group_id"].as_str().unwrap(), group["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("GONE", "gone"), ("KNOWN", "known"), ("NEW-1", "new"), ("NEW-2", "new")]);
    assert_eq!(world.groupfold.get("/v1/groups/NEW-1").await.status, 404, "a preview changes nothing");

    let import = ["import", "--phone-number-id", NUMBER, "--execute"];
    world.verb_fails(&import, 2).await;
    let report = world.verb(&[&import[..], &["--group", "NEW-1"]].concat(), 0).await;
    assert_eq!(report["imported"], 1);
    world.folded(report["position"].as_str().expect("a position")).await;
    let group = world.group("NEW-1").await;
    assert_eq!((&group["status"], &group["subject"]), (&json!("active"), &json!("Tea")));
    assert_eq!(group["account"], ACCOUNT, "that of the number's other groups");
    assert_eq!(group["invite_link"], "https://chat.whatsapp.com/NEW-1");
    assert_eq!(
        (members(&group, "member"), members(&group, "pending")),
        (vec!["5511".into(), "5512".into()], vec!["5519".into()])
    );
    assert_eq!(world.groupfold.get("/v1/groups/NEW-2").await.status, 404, "nobody asked for it");

    let report = world.verb(&[&import[..], &["--all"]].concat(), 0).await;
    assert_eq!(report["imported"], 1, "all that are new: {report}");
    world.folded(report["position"].as_str().expect("a position")).await;
    let group = world.group("NEW-2").await;
    assert_eq!((&group["status"], members(&group, "member")), (&json!("suspended"), vec!["5513".into()]));
    // What was imported agrees.
    let groups = ["--group", "NEW-1", "--group", "NEW-2"];
    assert_eq!(world.reconcile(&groups, 0).await["differing"], json!([]));
}

impl World {
    async fn verb_fails(&self, args: &[&str], expected: i32) {
        let mut command = Groupfold::command();
        command.args(args).arg("--data").arg(self.groupfold.data());
        command.args(["--meta-graph-url", &self.graph.url]).env("GROUPFOLD_META_ACCESS_TOKEN", TOKEN);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs");
        assert_eq!(output.expect("groupfold can be run").status.code(), Some(expected), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_joins_and_leaves_become_known_and_a_late_webhook_takes_their_place() {
    let world = World::new(&[]).await;
    world.hear(&lifecycle(&[created("G", "Tea", T)])).await;
    world.hear(&participants(&[joined("G", "5511", T + 10), joined("G", "5512", T + 20)])).await;
    world.graph.put("G", There::with(&["5511", "5513"]));

    let found = world.reconcile(&[], 3).await;
    let what = |found: &Value| -> Vec<String> {
        let list = found["differing"][0]["differences"].as_array().expect("differences");
        list.iter().map(|difference| difference["what"].as_str().unwrap().to_owned()).collect()
    };
    // The webhook said that anybody may join; the provider says otherwise.
    assert_eq!(what(&found), ["join_approval_mode", "member_missed", "member_gone"]);
    let done = world.reconcile(&["--execute"], 0).await;
    world.folded(done["position"].as_str().expect("a position")).await;

    let group = world.group("G").await;
    assert_eq!(
        (members(&group, "member"), members(&group, "left")),
        (vec!["5511".into(), "5513".into()], vec!["5512".into()])
    );
    let of = |group: &Value, wa_id: &str| {
        let all = group["members"].as_array().expect("members").iter();
        all.clone().find(|member| member["wa_id"] == wa_id).expect("the member is there").clone()
    };
    assert_eq!(of(&group, "5512")["left_between"]["after"], "2026-01-01T00:00:20Z");
    assert_eq!(of(&group, "5512")["left_at"], Value::Null);
    assert_eq!(of(&group, "5513")["joined_between"]["after"], Value::Null);
    let lines = world.lines("G").await;
    let found_out: Vec<&str> = lines
        .iter()
        .filter(|line| line.get("between").is_some())
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    assert_eq!(found_out, ["member_joined", "member_gone"]);
    assert_eq!(world.reconcile(&[], 0).await["differing"], json!([]), "once appended, nothing differs");

    // The webhooks come after all: exact times, and no line that was only found out.
    world.hear(&participants(&[left("G", "5512", T + 30), joined("G", "5513", T + 40)])).await;
    let group = world.group("G").await;
    assert_eq!(of(&group, "5512")["left_at"], "2026-01-01T00:00:30Z");
    assert_eq!(of(&group, "5513")["joined_at"], "2026-01-01T00:00:40Z");
    assert!(world.lines("G").await.iter().all(|line| line.get("between").is_none()));

    // And what happens later wins over what was read before.
    let later = jiff::Timestamp::now().as_second() + 5;
    world.hear(&participants(&[left("G", "5511", later)])).await;
    assert_eq!(members(&world.group("G").await, "member"), ["5513"]);
}

/// It is in what was read, and stands before the time that its webhook tells.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_a_group_is_read_is_told_once() {
    let world = World::new(&[]).await;
    world.hear(&lifecycle(&[created("G", "Tea", T)])).await;
    world.hear(&participants(&[joined("G", "5511", T + 10), joined("G", "5512", T + 20)])).await;
    world.graph.put("G", There::with(&["5511", "5513"]));
    let done = world.reconcile(&["--execute"], 0).await;
    world.folded(done["position"].as_str().expect("a position")).await;
    let found_out = async || {
        let lines = world.lines("G").await.into_iter().filter(|line| line.get("between").is_some());
        lines.map(|line| line["between"]["by"].as_str().expect("a time").to_owned()).collect::<Vec<_>>()
    };
    let [read, _] = &found_out().await[..] else { panic!("two are found out: {:?}", world.lines("G").await) };
    let second = read.parse::<jiff::Timestamp>().expect("a time").as_second() + 1;
    world.hear(&participants(&[joined("G", "5513", second), left("G", "5512", second)])).await;
    assert_eq!(found_out().await, Vec::<String>::new());
    assert_eq!(members(&world.group("G").await, "member"), ["5511", "5513"]);
    assert_eq!(members(&world.group("G").await, "left"), ["5512"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_needs_two_witnesses() {
    let world = World::new(&[]).await;
    world.hear(&lifecycle(&[created("DOUBT", "Tea", T), created("GONE", "Tea", T)])).await;
    world.graph.put("DOUBT", There { known: false, ..There::with(&[]) });
    let report = world.reconcile(&["--execute"], 75).await;
    assert_eq!(report["failed"][0]["group_id"], "DOUBT", "{report}");
    assert_eq!(report["differing"][0]["group_id"], "GONE", "{report}");
    world.folded(report["position"].as_str().expect("a position")).await;
    assert_eq!(world.group("GONE").await["status"], "deleted");
    assert_eq!(world.group("DOUBT").await["status"], "active");
    let line = world.lines("GONE").await.pop().expect("a line");
    assert_eq!(
        (&line["kind"], &line["between"]["after"]),
        (&json!("group_deleted"), &json!("2026-01-01T00:00:00Z"))
    );
}

/// The first refusal once ended the round: while one stream was full no group of any other one was put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_refuses_holds_up_its_own_groups_alone() {
    let world = World::new(&[]).await;
    let (first, other) =
        ("A", ["B", "C", "D", "E"].into_iter().find(|name| home(name) != home("A")).unwrap());
    for group in [first, other] {
        world.hear(&lifecycle(&[created(group, "Tea", T)])).await;
        world.graph.put(group, There::with(&["5511"]));
    }
    let jetstream = async_nats::jetstream::new(world.nats.client().await);
    let mut stream = jetstream.get_stream(log::stream(home(first))).await.unwrap();
    let info = stream.info().await.unwrap();
    let full = i64::try_from(info.state.messages).unwrap();
    let config = async_nats::jetstream::stream::Config { max_messages: full, ..info.config.clone() };
    jetstream.update_stream(config).await.unwrap();
    let report = world.reconcile(&["--execute"], 75).await;
    assert_eq!(report["appended"], 1, "{report}");
    let refused = report["not_appended"].as_array().unwrap();
    assert_eq!((refused.len(), &refused[0]["group_id"]), (1, &json!(first)), "{report}");
    world.folded(report["position"].as_str().expect("a position")).await;
    assert_eq!(members(&world.group(other).await, "member"), ["5511"]);
}

fn home(group: &str) -> u16 {
    log::partition_of(group, 8)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_reconciles_by_itself() {
    let world = World::new(&["--reconcile-interval-s", "1"]).await;
    world.graph.put("G", There::with(&["5511"]));
    world.hear(&lifecycle(&[created("G", "Tea", T)])).await;
    wait_until("the member is known", BOUND, async || {
        let group = world.group("G").await;
        if members(&group, "member") == ["5511"] { Ok(()) } else { Err(group) }
    })
    .await;
    wait_until("a round finds nothing any more, and the metrics say so", BOUND, async || {
        let metrics = world.groupfold.get("/metrics").await.text;
        let says = |line: &str| metrics.lines().any(|other| other == line);
        let fine = says("groupfold_reconcile_groups_differing 0")
            && says("groupfold_reconcile_differences_total{what=\"member_missed\"} 1");
        if fine { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_asked() {
    let output = Groupfold::command().args(["reconcile", "--data", "/nonexistent"]).output();
    let output = output.expect("groupfold can be run");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("meta_access_token"));
}
