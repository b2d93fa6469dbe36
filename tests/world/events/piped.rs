//! Exports into a pipe, and kinds of a history where kinds of events are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use groupfold_tests::{ends, fixture, fixtures, wait_until};
use serde_json::{Value, json};

use super::{BOUND, World, said, text};
use crate::hook::{self, created, joined, lifecycle, participants};
use crate::reconcile::graph::{Graph, TOKEN, There};
use crate::reconcile::verb;

/// Each format of lines, with a way to ask for it that is not the plainest.
const FORMS: [(&str, &[&str]); 3] =
    [("jsonl", &["--dedupe"]), ("csv", &["--original"]), ("cloudevents", &["--kind", "member_joined"])];

#[tokio::test]
async fn rows_go_to_stdout_where_no_file_is_named_and_are_those_of_the_file() {
    let world = World::with_events("400").await;
    for (format, args) in FORMS {
        let args = [&["--format", format], args].concat();
        world.export(format, &args);
        let file = std::fs::read(world.path(format)).unwrap();
        assert!(file.iter().filter(|byte| **byte == b'\n').count() > 10, "{format}");
        for place in [&[][..], &["--out", "-"]] {
            let piped = world.run(&["events", "export"], &[&args[..], place].concat());
            ends(&piped, 0);
            assert!(piped.stdout == file, "{format} {place:?}: {}", said(&piped));
            let outcome = String::from_utf8_lossy(&piped.stderr);
            assert!(outcome.contains(" events to stdout"), "{outcome}");
        }
    }
    // No row is still a header.
    let none = ["--format", "csv", "--group", "nobody"];
    world.export("none", &none);
    let piped = world.run(&["events", "export"], &none);
    assert_eq!(piped.stdout, std::fs::read(world.path("none")).unwrap());
    assert!(!piped.stdout.is_empty());
}

#[tokio::test]
async fn what_needs_a_file_says_so() {
    let world = World::empty().await;
    for (args, wanted) in [
        (&["--format", "parquet"][..], "parquet needs --out"),
        (&["--format", "parquet", "--out", "-"], "parquet needs --out"),
        (&["--format", "jsonl", "--resume"], "--resume"),
    ] {
        let refused = world.run(&["events", "export"], args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", said(&refused));
        assert!(said(&refused).contains(wanted) && refused.stdout.is_empty(), "{}", said(&refused));
    }
}

/// As `| head` is no failure of what prints.
#[tokio::test]
async fn a_reader_that_goes_away_ends_an_export() {
    let world = World::with_events("2000").await;
    let mut command = world.command(&["events", "export"], &["--format", "jsonl", "--original"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    let output = child.wait_with_output().unwrap();
    ends(&output, 0);
}

/// They were refused, though the API prints them.
#[tokio::test]
async fn each_kind_of_a_history_is_taken_for_one_of_events() {
    let world = World::empty().await;
    let document = world.groupfold.get("/openapi.json").await.json;
    let kinds = document["components"]["schemas"]["EntryKind"]["enum"].as_array().unwrap().clone();
    assert!(kinds.len() > 30, "{kinds:?}");
    for kind in kinds.iter().filter_map(|kind| kind.as_str()).filter(|kind| *kind != "unknown") {
        let found = world.run(&["events", "tail"], &["--kind", kind]);
        assert!(found.status.success(), "{kind}: {}", said(&found));
    }
    let refused = said(&world.run(&["events", "tail"], &["--kind", "joins"]));
    assert!(refused.contains("participants_joined") && refused.contains("member_joined"), "{refused}");
}

const T: i64 = 1_767_225_600;

impl World {
    async fn hear(&self, body: &[u8]) {
        let answer = self.groupfold.post(body).await;
        assert_eq!(answer.status, 200, "{answer}");
    }

    async fn all_is_folded(&self) {
        let length = self.log_length().await;
        wait_until("the log is folded", BOUND, async || {
            let position = self.groupfold.get("/v1/position").await.json;
            let partitions = position["partitions"].as_array().cloned().unwrap_or_default();
            let folded: u64 = partitions.iter().filter_map(|one| one["applied"].as_u64()).sum();
            if folded == length { Ok(()) } else { Err(position.to_string()) }
        })
        .await;
    }

    async fn all_of(&self, path: &str, list: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.groupfold.get(&format!("{path}?limit=1000{cursor}")).await.json;
            all.extend(page[list].as_array().unwrap_or_else(|| panic!("{path}: {page}")).clone());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Of each kind of lines the events that tell them in the histories of all groups and accounts.
    async fn lines_told(&self) -> BTreeMap<String, BTreeSet<String>> {
        let groups = self.all_of("/v1/groups", "groups").await;
        let accounts: BTreeSet<&str> = groups.iter().map(|group| text(group, "account")).collect();
        let of_groups =
            groups.iter().map(|group| format!("groups/{}", text(group, "group_id").replace('@', "%40")));
        let of_accounts = accounts.iter().map(|account| format!("accounts/{account}"));
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for of in of_groups.chain(of_accounts) {
            for line in self.all_of(&format!("/v1/{of}/timeline"), "entries").await {
                // Lines of one event have its id, with what tells them apart behind it.
                let event = text(&line, "id").split('-').next().unwrap_or_default().to_owned();
                told.entry(text(&line, "kind").to_owned()).or_default().insert(event);
            }
        }
        told
    }
}

/// Who was there when a group was created or read from the provider was not found, nor who was gone or asked then.
#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_history_is_among_the_events_found_by_its_kind() {
    let world = World::with_events("600").await;
    for name in fixtures("meta") {
        // Some are no webhooks, or negative ones: the others are enough.
        world.groupfold.post(&fixture(&name)).await;
    }
    let graph = Graph::start().await;
    let both = async |args: &[&str]| {
        let report = verb(&world.groupfold, &graph.url, TOKEN, args, 0).await;
        assert!(report["position"].as_str().is_some_and(|position| !position.is_empty()), "{report}");
        world.all_is_folded().await;
    };
    let mut with_people = created("CREATED", "Tea", T);
    with_people["added_participants"] = json!([{ "wa_id": "5511" }, { "wa_id": "5512" }]);
    let asks = json!({ "timestamp": (T + 2).to_string(), "group_id": "READ", "type": "group_join_request_created",
                       "join_request_id": "R1", "wa_id": "5515" });
    world.hear(&lifecycle(&[with_people, created("READ", "Tea", T)])).await;
    world.hear(&participants(&[joined("READ", "5513", T + 1), asks])).await;
    world.all_is_folded().await;
    let change = hook::number_changed("wamid.N", "5511", "5521", T + 3);
    world.hear(&hook::messages(&[change])).await;
    for args in [&["label", "CREATED", "vip"][..], &["archive", "CREATED"], &["block", "CREATED"]] {
        let said_so = world.run(&["group"], &[args, &["--actor", "ana"]].concat());
        assert!(said_so.status.success(), "{args:?}: {}", said(&said_so));
    }
    graph.put("IMPORTED", There { pending: vec!["5519"], ..There::with(&["5516", "5517"]) });
    graph.put("READ", There::with(&["5514"]));
    both(&["import", "--phone-number-id", hook::NUMBER, "--execute", "--group", "IMPORTED"]).await;
    both(&["reconcile", "--settle-ms", "0", "--group", "READ", "--execute"]).await;

    let told = world.lines_told().await;
    let found = |kind: &str| -> BTreeSet<String> {
        let rows = world.tail(&["--from", "beginning", "--kind", kind]);
        rows.iter().map(|row| text(row, "event_id").to_owned()).collect()
    };
    let snapshots = found("group_snapshot");
    // These are names of events as well, and stand for those alone.
    let of_their_own = ["join_requested", "join_request_revoked"];
    let by_snapshot = |kind: &str, event: &String| of_their_own.contains(&kind) && snapshots.contains(event);
    let missed: BTreeMap<&str, Vec<&String>> = told
        .iter()
        .filter(|(kind, _)| *kind != "unknown")
        .map(|(kind, events)| {
            let found = found(kind);
            let missed = events.iter().filter(|event| !found.contains(*event) && !by_snapshot(kind, event));
            (kind.as_str(), missed.collect::<Vec<_>>())
        })
        .filter(|(_, missed)| !missed.is_empty())
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    for kind in ["member_joined", "member_gone", "join_requested", "join_request_revoked"] {
        assert!(!told[kind].is_disjoint(&snapshots), "no snapshot tells {kind}");
    }
    assert!(!told["member_joined"].is_disjoint(&found("group_created")));
    let families = ["number_changed", "label_added", "archived", "blocked", "account_error", "remove_failed"];
    assert!(families.iter().all(|kind| told.contains_key(*kind)) && told.len() > 20, "{:?}", told.keys());
}
