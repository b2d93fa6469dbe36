//! The event stream: exports read back by readers that are not ours, interrupted and resumed, redacted; the tail.

mod another;
mod order;
mod piped;
mod replay;
mod resumed;
mod subject;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use groupfold_projector::scan;
use groupfold_tests::{
    CommandLine, Groupfold, NatsOptions, NatsServer, Options, Process, Scratch, ends, fixture, fixtures,
    wait_until, workspace,
};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(60);

/// A pipeline with a log of a simulated provider, and a folder for files.
pub(crate) struct World {
    pub(crate) groupfold: Groupfold,
    nats: NatsServer,
    pub(crate) scratch: Scratch,
}

impl World {
    pub(crate) async fn with_events(events: &str) -> Self {
        let world = Self::empty().await;
        world.simulate("1", events);
        world
    }

    pub(crate) async fn empty() -> Self {
        // A broker that does not sync: what is tested here does not depend on it.
        let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
        let groupfold = Groupfold::up(Options::on(&nats)).await;
        Self { groupfold, nats, scratch: Scratch::new("events") }
    }

    pub(crate) fn simulate(&self, seed: &str, events: &str) {
        let story =
            ["--seed", seed, "--events", events, "--rate", "0", "--duplicates", "10", "--reorder", "20"];
        let output = self.run(&["simulate", "--quiet", "--app-secret", "app-secret-of-a-test"], &story);
        ends(&output, 0);
    }

    pub(crate) fn command(&self, verb: &[&str], args: &[&str]) -> CommandLine {
        let mut command = Groupfold::command();
        command.args(verb).args(args).arg("--data").arg(self.groupfold.data());
        command
    }

    pub(crate) fn run(&self, verb: &[&str], args: &[&str]) -> Output {
        self.command(verb, args).output().expect("groupfold can be run")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn export(&self, name: &str, args: &[&str]) -> Value {
        let path = self.path(name);
        let output =
            self.run(&["events", "export", "--output", "json", "--out", path.to_str().unwrap()], args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).expect("the manifest in JSON")
    }

    /// Lines of an export as JSON.
    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).expect("the export");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// What `events tail` prints.
    pub(crate) fn tail(&self, args: &[&str]) -> Vec<Value> {
        let output = self.run(&["events", "tail"], args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Does something to the broker's files while nothing runs, and starts all again with a store folded anew.
    async fn restart(&mut self, between: impl FnOnce(&Path)) {
        assert_eq!(self.groupfold.terminate().await, 0);
        self.nats.stop().await;
        between(&self.nats.store_dir());
        self.nats.restart().await;
        std::fs::remove_dir_all(self.groupfold.data().join("store")).expect("a store");
        self.groupfold.restart().await;
    }

    /// Messages in all streams of events.
    async fn log_length(&self) -> u64 {
        let context = async_nats::jetstream::new(self.nats.client().await);
        let mut messages = 0;
        for partition in 0..8 {
            let stream = groupfold_schemas::log::stream(partition);
            messages += scan::ends(&context, &stream).await.expect("a stream").last;
        }
        messages
    }
}

pub(crate) fn said(output: &Output) -> String {
    format!(
        "{} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What Python's libraries find in an export.
fn read_back(path: &Path) -> Value {
    serde_json::from_slice(&python("read_export.py", &[path])).expect("JSON")
}

/// What a script of tests/python prints.
fn python(script: &str, args: &[&Path]) -> Vec<u8> {
    let install = Command::new(workspace().join("tests/python/install")).output().expect("it can be run");
    ends(&install, 0);
    let python = String::from_utf8(install.stdout).expect("a path");
    let script = workspace().join("tests/python").join(script);
    let output = Command::new(python.trim()).arg(script).args(args).output().expect("python can be run");
    ends(&output, 0);
    output.stdout
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

fn position(row: &Value) -> String {
    format!("{}:{}", row["partition"], row["sequence"])
}

#[tokio::test]
async fn every_format_read_by_others_holds_what_the_log_and_the_manifest_say() {
    let world = World::with_events("800").await;
    let length = world.log_length().await;
    assert!(length > 800, "{length}");
    let forms: [(&str, &[&str]); 6] = [
        ("a.jsonl", &["--format", "jsonl"]),
        ("a.csv", &["--format", "csv", "--original"]),
        ("a.cloudevents", &["--format", "cloudevents"]),
        ("a.parquet", &["--format", "parquet"]),
        ("parts.parquet", &["--format", "parquet", "--part-events", "100", "--original"]),
        ("days.parquet", &["--format", "parquet", "--by-day"]),
    ];
    let mut first: Option<Value> = None;
    for (name, args) in forms {
        let manifest = world.export(name, args);
        let found = read_back(&world.path(name));
        assert_eq!(found["rows"], length, "{name}");
        assert_eq!(manifest["events"], length, "{name}");
        assert_eq!(manifest["unreadable"], 0, "{name}");
        assert_eq!(manifest["complete"], true, "{name}");
        assert_eq!(found["kinds"], manifest["kinds"], "{name}");
        let first = first.get_or_insert_with(|| found.clone());
        assert!(found == *first, "{name} differs from a.jsonl");
    }
    let parts = std::fs::read_dir(world.path("parts.parquet")).unwrap().count();
    assert_eq!(parts as u64, length.div_ceil(100));
    let ends = |end: &str| world.tail(&["--from", "beginning", end, "0:3,1:2"]);
    assert_eq!(ends("--to"), ends("--until"), "a range goes from and to");
    let refused = world
        .run(&["events", "export", "--format", "csv", "--out"], &[world.path("a.csv").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "what is there is not written over: {}", said(&refused));
}

#[tokio::test]
async fn the_order_is_that_of_log_time_partition_and_sequence() {
    let world = World::with_events("600").await;
    world.export("a", &["--format", "jsonl"]);
    let rows = world.lines("a");
    let key = |row: &Value| {
        (
            text(row, "log_time").to_owned(),
            row["partition"].as_u64().unwrap(),
            row["sequence"].as_u64().unwrap(),
        )
    };
    assert!(rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
    let partitions: BTreeSet<u64> = rows.iter().map(|row| row["partition"].as_u64().unwrap()).collect();
    assert!(partitions.len() > 3, "{partitions:?}");
}

/// Kills an export between a file and the manifest that is to vouch for it.
fn kill_in_the_midst(world: &World, name: &str, args: &[&str]) {
    let path = world.path(name);
    let mut command = world.command(&["events", "export", "--out", path.to_str().unwrap()], args);
    let output = command.env("GROUPFOLD_CRASH", "replace.begin:7").output().expect("groupfold can be run");
    assert!(output.status.code().is_none(), "it was to be killed: {}", said(&output));
    let manifest = std::fs::read(world.path(&format!("{name}.manifest.json"))).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("a whole manifest");
    assert!(manifest["complete"] == false && manifest["events"].as_u64() > Some(0), "{manifest}");
    let created = text(&manifest["streams_created"], "0");
    assert!(created.contains('T') && created.ends_with('Z'), "RFC 3339, as all times are: {manifest}");
}

#[tokio::test]
async fn killed_and_resumed_equals_a_single_run() {
    let world = World::with_events("1500").await;
    for (format, dedupe) in [("jsonl", false), ("csv", true), ("parquet", false)] {
        let mut args = vec!["--format", format, "--part-events", "20"];
        args.extend(dedupe.then_some("--dedupe"));
        let single = format!("single.{format}");
        world.export(&single, &args);
        args.push("--resume");
        let killed = format!("killed.{format}");
        kill_in_the_midst(&world, &killed, &args);
        let (single, path) = (world.path(&single), world.path(&killed));
        if path.is_file() {
            // What a crash may leave behind the point that the manifest vouches for.
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend_from_slice(b"{\"half a li");
            std::fs::write(&path, bytes).unwrap();
        }
        let manifest = world.export(&killed, &args);
        assert_eq!(manifest["complete"], true);
        if path.is_file() {
            assert!(std::fs::read(&path).unwrap() == std::fs::read(&single).unwrap(), "{format}");
        }
        assert_eq!(read_back(&path), read_back(&single), "{format}");
    }
}

#[tokio::test]
async fn resumed_later_it_holds_what_came_since() {
    let world = World::with_events("300").await;
    let args = ["--format", "jsonl", "--resume"];
    let before = world.export("growing", &args);
    let unchanged = world.export("growing", &args);
    assert_eq!(before, unchanged);
    world.simulate("2", "300");
    let after = world.export("growing", &args);
    assert!(after["events"].as_u64() > before["events"].as_u64());
    world.export("fresh", &args);
    assert!(std::fs::read(world.path("growing")).unwrap() == std::fs::read(world.path("fresh")).unwrap());

    let other = world.run(
        &["events", "export", "--out", world.path("growing").to_str().unwrap()],
        &["--format", "jsonl", "--resume", "--kind", "receipt_read"],
    );
    ends(&other, 2);
    std::fs::write(world.path("growing"), "something else").unwrap();
    let damaged = world.run(&["events", "export", "--out", world.path("growing").to_str().unwrap()], &args);
    ends(&damaged, 1);
}

#[tokio::test]
async fn what_is_there_without_a_manifest_is_never_written_over() {
    let world = World::empty().await;
    let folder = world.path("folder");
    std::fs::create_dir(&folder).unwrap();
    for (name, format, file) in [
        ("notes", "jsonl", "notes"),
        ("notes.csv", "csv", "notes.csv"),
        ("folder", "parquet", "folder/part-00000.parquet"),
    ] {
        std::fs::write(world.path(file), "somebody's").unwrap();
        let refused = world.run(
            &["events", "export", "--out", world.path(name).to_str().unwrap()],
            &["--format", format, "--resume"],
        );
        ends(&refused, 2);
        assert!(said(&refused).contains("is there already, and no manifest beside it"), "{}", said(&refused));
        assert_eq!(std::fs::read_to_string(world.path(file)).unwrap(), "somebody's");
    }
    std::fs::remove_file(folder.join("part-00000.parquet")).unwrap();
    world.export("folder", &["--format", "parquet", "--resume"]);
}

#[tokio::test]
async fn deduped_each_event_is_there_once() {
    let world = World::with_events("100").await;
    // A change of a person's number stands in every partition, under one id.
    let change = fixture("meta/messages-system-user_changed_number.json");
    assert_eq!(world.groupfold.post(&change).await.status, 200);
    let all = world.export("all", &["--format", "jsonl"]);
    let once = world.export("once", &["--format", "jsonl", "--dedupe"]);
    let ids: BTreeSet<String> =
        world.lines("all").iter().map(|row| text(row, "event_id").to_owned()).collect();
    assert!(all["events"].as_u64().unwrap() >= ids.len() as u64 + 7, "{all}");
    let rows = world.lines("once");
    assert_eq!(rows.len(), ids.len());
    assert_eq!(rows.iter().map(|row| text(row, "event_id").to_owned()).collect::<BTreeSet<_>>(), ids);
    assert_eq!(
        all["events"].as_u64().unwrap() - once["events"].as_u64().unwrap(),
        once["duplicates"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn redacted_no_number_name_or_link_of_the_log_is_left() {
    let world = World::with_events("1200").await;
    world.export("plain", &["--format", "jsonl", "--original"]);
    let redact = ["--format", "jsonl", "--redact", "--redact-key", "a key of sixteen or more bytes"];
    world.export("redacted", &redact);
    let redacted = std::fs::read_to_string(world.path("redacted")).unwrap();
    let mut secrets = BTreeSet::new();
    let mut people = BTreeSet::new();
    for row in world.lines("plain") {
        secrets.insert(text(&row, "display_phone_number").to_owned());
        for name in ["member_wa_ids", "member_user_ids"] {
            let of_row = row[name].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
            secrets.extend(of_row.clone());
            people.extend(of_row.filter(|_| name == "member_wa_ids"));
        }
        for person in row["members"].as_array().unwrap() {
            secrets.extend(person.as_object().unwrap().values().map(|one| one.as_str().unwrap().to_owned()));
        }
        for name in ["subject", "invite_link", "description", "join_request_id"] {
            secrets.insert(text(&row["data"], name).to_owned());
        }
        for name in ["group_id", "message_id"] {
            secrets.insert(text(&row, name).to_owned());
        }
    }
    secrets.remove("");
    assert!(people.len() > 10 && secrets.iter().any(|one| one.contains("chat.whatsapp.com")), "{secrets:?}");
    // A short name, such as "ok", may well stand within other words: then it must not be a value of its own.
    let shown = |secret: &str| match secret.len() {
        0..7 => redacted.contains(&Value::from(secret).to_string()),
        _ => redacted.contains(secret),
    };
    let left: Vec<_> = secrets.iter().filter(|secret| shown(secret)).collect();
    assert!(left.is_empty(), "{left:?}");

    let pseudonyms: BTreeSet<String> = world
        .lines("redacted")
        .iter()
        .flat_map(|row| row["member_wa_ids"].as_array().unwrap().clone())
        .map(|one| one.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(pseudonyms.len(), people.len(), "a pseudonym for each number, and one only");
    let key = world.path("short");
    let short = world.run(
        &["events", "export", "--out", key.to_str().unwrap()],
        &["--format", "csv", "--redact", "--redact-key", "short"],
    );
    ends(&short, 2);
}

#[tokio::test]
async fn filters_leave_exactly_the_others_out() {
    let world = World::with_events("600").await;
    let all = world.tail(&["--from", "beginning"]);
    let group =
        all.iter().map(|row| text(row, "group_id")).find(|group| !group.is_empty()).unwrap().to_owned();
    let account = text(&all[0], "account").to_owned();
    let number = text(&all[0], "phone_number_id").to_owned();
    let of = |wanted: &dyn Fn(&Value) -> bool| {
        all.iter().filter(|row| wanted(row)).map(position).collect::<Vec<_>>()
    };
    let found = |args: &[&str]| {
        world.tail(&[&["--from", "beginning"], args].concat()).iter().map(position).collect::<Vec<_>>()
    };

    let of_group = of(&|row| text(row, "group_id") == group);
    assert!(!of_group.is_empty() && of_group.len() < all.len());
    assert_eq!(found(&["--group", &group]), of_group);
    let of_kinds = of(&|row| ["receipt_read", "receipt_delivered"].contains(&text(row, "kind")));
    assert!(!of_kinds.is_empty());
    assert_eq!(found(&["--kind", "receipt_read", "--kind", "receipt_delivered"]), of_kinds);
    assert_eq!(found(&["--account", &account]).len(), of(&|row| text(row, "account") == account).len());
    assert!(found(&["--account", "nobody"]).is_empty());
    assert_eq!(found(&["--phone-number-id", &number]), of(&|row| text(row, "phone_number_id") == number));
    assert!(found(&["--phone-number-id", "0"]).is_empty());
    assert_eq!(world.run(&["events", "tail"], &["--kind", "reads"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_range_begins_after_its_position_and_ends_with_it() {
    let world = World::with_events("400").await;
    let all = world.tail(&["--from", "beginning"]);
    let mut by_partition: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for row in &all {
        by_partition
            .entry(row["partition"].as_u64().unwrap())
            .or_default()
            .push(row["sequence"].as_u64().unwrap());
    }
    let (partition, sequences) = by_partition.iter().max_by_key(|(_, sequences)| sequences.len()).unwrap();
    let (low, high) = (sequences[3], sequences[sequences.len() - 3]);
    let found =
        world.tail(&["--from", &format!("{partition}:{low}"), "--until", &format!("{partition}:{high}")]);
    let found: Vec<u64> = found.iter().map(|row| row["sequence"].as_u64().unwrap()).collect();
    assert_eq!(found, (low + 1..=high).collect::<Vec<_>>());

    let cut = text(&all[all.len() / 2], "log_time").to_owned();
    let before = world.tail(&["--from", "beginning", "--until", &cut]);
    let after = world.tail(&["--from", &cut]);
    assert!(before.iter().all(|row| text(row, "log_time") < cut.as_str()) && !before.is_empty());
    assert!(after.iter().all(|row| text(row, "log_time") >= cut.as_str()));
    assert_eq!(before.len() + after.len(), all.len());
}

#[tokio::test]
async fn the_tail_follows() {
    let world = World::with_events("50").await;
    let log = world.path("followed");
    let command = world.command(&["events", "tail", "--follow", "--from", "-1h", "--output", "table"], &[]);
    let mut tail = Process::spawn("groupfold", command, &log);
    let length = world.log_length().await;
    let count = |text: &str| text.lines().count() as u64;
    wait_until("what is there is told", BOUND, async || {
        if count(&tail.log()) >= length { Ok(()) } else { Err(tail.log()) }
    })
    .await;
    let answer = world.groupfold.post(&fixture("meta/group_status_update-group_suspend.json")).await;
    assert_eq!(answer.status, 200, "{answer}");
    let place = answer.position().unwrap().to_owned();
    wait_until("what comes is told", BOUND, async || {
        let told = tail.log();
        let line = told
            .lines()
            .find(|line| line.contains(&format!("  {place} ")) && line.contains("group_suspended"));
        line.map(|_| ()).ok_or(told)
    })
    .await;
    assert!(tail.exited().is_none());
    tail.kill9();
}

#[tokio::test]
async fn what_is_told_is_as_the_published_schemas_say() {
    let world = World::with_events("600").await;
    for name in fixtures("meta") {
        // Some are no webhooks, or negative ones: the others are enough.
        world.groupfold.post(&fixture(&name)).await;
    }
    world.export("a.jsonl", &["--format", "jsonl", "--original"]);
    world.export("a.cloudevents", &["--format", "cloudevents"]);
    let schemas = workspace().join("docs/json-schemas");
    let checked =
        python("check_schema.py", &[&schemas, &world.path("a.jsonl"), &world.path("a.cloudevents")]);
    let checked: Value = serde_json::from_slice(&checked).expect("JSON");
    assert_eq!(checked["valid"].as_u64().unwrap(), 2 * world.log_length().await);
    assert!(checked["kinds"].as_array().unwrap().len() >= 18, "{checked}");
}

/// `GROUPFOLD_UPDATE=1 cargo test -p groupfold-tests catalogue` writes it.
#[test]
fn the_catalogue_in_the_documents_is_the_one_of_this_build() {
    let scratch = Scratch::new("catalogue");
    let docs = workspace().join("docs");
    let update = std::env::var_os("GROUPFOLD_UPDATE").is_some();
    let out = if update { docs.as_path() } else { scratch.path() };
    let output = Groupfold::command().args(["events", "catalogue", "--out"]).arg(out).output().unwrap();
    ends(&output, 0);
    for file in ["events.md", "json-schemas/event.json", "json-schemas/cloudevent.json"] {
        let fresh = std::fs::read_to_string(out.join(file)).unwrap();
        let stored = std::fs::read_to_string(docs.join(file)).unwrap_or_default();
        assert!(
            stored == fresh,
            "docs/{file}: run GROUPFOLD_UPDATE=1 cargo test -p groupfold-tests catalogue"
        );
    }
}

#[tokio::test]
async fn a_moment_that_no_log_has_is_a_usage_error_or_finds_nothing_more() {
    let groupfold = Groupfold::up(Options::default()).await;
    let answer = groupfold.post(&fixture("meta/group_status_update-group_suspend.json")).await;
    assert_eq!(answer.status, 200, "{answer}");
    let tail = |from: &str| {
        let mut command = Groupfold::command();
        command.args(["events", "tail", "--from", from, "--data"]).arg(groupfold.data());
        command.output().unwrap()
    };
    let output = tail("99:1");
    ends(&output, 2);
    assert!(said(&output).contains("partition 99"), "{}", said(&output));
    // The last sequence that there can be, and years that the broker or its client cannot say.
    for (from, lines) in [("0:18446744073709551615", 0), ("2300-01-01", 0), ("-009998-01-01", 1)] {
        let output = tail(from);
        let found = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!((output.status.code(), found), (Some(0), lines), "{from}: {}", said(&output));
    }
}
