//! `doctor` and `check`, run as a person or a monitor runs them.

mod calm;
mod mends;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use async_nats::jetstream::stream::DiscardPolicy;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, Scratch, ends, wait_until};
use serde_json::{Value, json};

use crate::hook::participants;

const BOUND: Duration = Duration::from_secs(60);
const STRONG: &str = "0123456789abcdef0123456789abcdef";

fn run(data: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Groupfold::command();
    command.args(args).arg("--data").arg(data).envs(env.iter().copied());
    command.output().expect("groupfold can be run")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the doctor finds with sound settings and those given beside them, and its exit code.
fn doctor(data: &Path, args: &[&str], env: &[(&str, &str)]) -> (Vec<Value>, i32) {
    let sound = [("GROUPFOLD_META_APP_SECRET", STRONG), ("GROUPFOLD_META_VERIFY_TOKEN", STRONG)];
    let output =
        run(data, &[&["doctor", "--output", "json"], args].concat(), &[sound.as_slice(), env].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", stdout(&output), String::from_utf8_lossy(&output.stderr))
    });
    (report["findings"].as_array().expect("findings").clone(), code(&output))
}

/// The level, and that a command mends it.
#[track_caller]
fn named(findings: &[Value], what: &str, level: &str, reason: &str, mend: &str) {
    let is = |finding: &&Value| {
        let holds = |key: &str, part: &str| finding[key].as_str().is_some_and(|text| text.contains(part));
        finding["what"] == what && finding["level"] == level && holds("reason", reason) && holds("mend", mend)
    };
    assert!(findings.iter().any(|finding| is(&finding)), "{what}: {reason}: {findings:#?}");
}

fn not_ok(findings: &[Value]) -> Vec<&Value> {
    findings.iter().filter(|finding| finding["level"] != "ok").collect()
}

#[tokio::test]
async fn a_healthy_pipeline_has_nothing_to_mend() {
    let groupfold = Groupfold::up(Options::default()).await;
    // One that is slow to answer once is no finding of the next look.
    let (findings, code) = wait_until("nothing is found", BOUND, async || {
        let (findings, code) = doctor(&groupfold.data(), &[], &[]);
        // How full the disk is where the test runs is not ours to say.
        let bad: Vec<_> = not_ok(&findings).into_iter().filter(|one| one["what"] != "disk").collect();
        if bad.is_empty() { Ok((findings, code)) } else { Err(format!("{bad:#?}")) }
    })
    .await;
    let fails = findings.iter().any(|finding| finding["level"] == "fail");
    assert_eq!(code, if fails { 3 } else { 0 });
    for what in [
        "process",
        "secrets",
        "version",
        "broker",
        "nats-server",
        "partitions",
        "durability",
        "clock",
        "streams",
        "log room",
        "ready",
        "positions",
        "data folder",
        "store",
        "disk",
    ] {
        assert!(
            findings.iter().any(|finding| finding["what"] == what),
            "{what} was not looked at: {findings:#?}"
        );
    }
    let table =
        stdout(&run(&groupfold.data(), &["doctor"], &[("GROUPFOLD_META_APP_SECRET", "changeme-please")]));
    assert!(
        table.lines().any(|line| line.starts_with("fail  secrets") && line.contains("; mend: ")),
        "{table}"
    );
    assert!(!table.contains("changeme"), "a secret is printed: {table}");
}

#[tokio::test]
async fn each_made_fault_is_named_with_what_mends_it() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut config = jetstream.get_stream(log::stream(3)).await.unwrap().cached_info().config.clone();
    config.discard = DiscardPolicy::Old;
    config.max_age = Duration::from_secs(86_400);
    config.duplicate_window = Duration::from_secs(60);
    jetstream.update_stream(config).await.unwrap();

    let args = ["--partitions", "4"];
    let weak = [("GROUPFOLD_META_APP_SECRET", "demo-app-secret"), ("GROUPFOLD_META_VERIFY_TOKEN", "short")];
    let (findings, code) = doctor(&groupfold.data(), &args, &weak);
    assert_eq!(code, 3);
    named(&findings, "streams", "fail", "GROUPFOLD_EVENTS_3: discard is Old", "--discard new");
    named(&findings, "streams", "fail", "GROUPFOLD_EVENTS_3: max_age", "--max-age 0s");
    named(&findings, "streams", "warn", "GROUPFOLD_EVENTS_3: duplicate_window", "--dupe-window 2m");
    named(&findings, "durability", "fail", "page-cache", "sync_interval: always");
    named(&findings, "secrets", "fail", "app secret 1 is the demo's", "GROUPFOLD_META_APP_SECRET");
    named(&findings, "secrets", "warn", "the verify token is short", "GROUPFOLD_META_VERIFY_TOKEN");
    named(&findings, "partitions", "fail", "8 partitions for ever, the settings say 4", "--partitions");

    jetstream.delete_stream(log::RESOLVED_STREAM).await.unwrap();
    let nowhere = Scratch::new("doctor");
    let (api, url) = (groupfold.api_url(""), nats.url());
    let elsewhere = ["--nats-url", &url, "--api-url", &api];
    let (findings, code) = doctor(nowhere.path(), &elsewhere, &[]);
    assert_eq!(code, 3);
    named(&findings, "streams", "fail", "GROUPFOLD_RESOLVED is missing", "groupfold provision");
    named(&findings, "durability", "warn", "GROUPFOLD_RESOLVED is missing", "groupfold provision");
    assert!(!findings.iter().any(|finding| finding["what"] == "process"), "{findings:#?}");
}

#[tokio::test]
async fn with_nothing_running_it_says_so_and_looks_at_the_rest() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let data = groupfold.data();
    assert_eq!(groupfold.terminate().await, 0);
    std::fs::create_dir(data.join("store/3.damaged-1767225600000")).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (findings, code) = doctor(&data, &[], &[]);
    assert_eq!(code, 3);
    named(&findings, "process", "fail", "nothing runs on", "groupfold up --data");
    named(&findings, "store", "warn", "3.damaged-1767225600000", "rm -r");
    named(&findings, "data folder", "warn", "others may read", "chmod -R go=");
    assert!(findings.iter().any(|finding| finding["what"] == "disk"), "{findings:#?}");

    let marker = "version = 99\npartitions = 8\n";
    std::fs::write(data.join("store/FORMAT"), marker).unwrap();
    let nobody = ["--nats-url", "nats://127.0.0.1:1", "--api-addr", "0.0.0.0:0"];
    let (findings, _) = doctor(&data, &nobody, &[("GROUPFOLD_API_TOKEN", "short")]);
    named(&findings, "store", "fail", "format \"99\"", "folded again");
    named(&findings, "broker", "fail", "127.0.0.1:1", "start the broker");
    named(&findings, "secrets", "fail", "API token 1 is short", "GROUPFOLD_API_TOKEN");
    let (findings, code) = doctor(&data, &["--api-addr", "0.0.0.0:0"], &[]);
    assert_eq!(code, 3);
    named(&findings, "settings", "fail", "no api_token is set", "config check");
}

#[tokio::test]
async fn a_check_ends_with_the_code_of_its_contract() {
    let mut nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let check = |args: &[&str]| {
        let output = run(&groupfold.data(), &[&["check"], args].concat(), &[]);
        (stdout(&output), code(&output))
    };
    let (text, ended) = check(&["lag"]);
    assert!(ended == 0 && text.starts_with("ok  lag  — 0.0 s behind"), "{ended} {text}");
    assert_eq!(check(&["stalled", "--format", "nagios"]).1, 0);
    assert_eq!(check(&["failed"]).1, 0);

    let item = json!({ "timestamp": "1767225600", "group_id": "G", "type": "group_something_new" });
    assert_eq!(groupfold.post(&participants(&[item])).await.json["failed"], 1);
    let (text, ended) = check(&["failed", "--format", "json"]);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(ended == 3 && report["level"] == "warning" && report["value"] == 1.0, "{ended} {report}");
    let (text, ended) = check(&["failed", "--warn", "2", "--format", "nagios"]);
    assert!(ended == 0 && text.starts_with("GROUPFOLD FAILED OK - 1 failures"), "{ended} {text}");
    let (text, ended) = check(&["failed", "--warn", "1", "--crit", "5", "--format", "nagios"]);
    assert!(ended == 1 && text.trim_end().ends_with("| failed=1;1;5;0"), "{ended} {text}");
    assert_eq!(check(&["failed", "--crit", "1", "--format", "nagios"]).1, 2);
    assert_eq!(check(&["failed", "--warn", "5", "--crit", "1"]).1, 2);

    nats.kill9();
    wait_until("all partitions stand still", BOUND, async || {
        let (text, ended) = check(&["stalled", "--format", "nagios"]);
        if ended == 2 && text.contains("8 of 8 partitions") { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(check(&["stalled"]).1, 3);

    let nowhere = Scratch::new("check");
    let output = run(nowhere.path(), &["check", "lag"], &[]);
    assert_eq!((code(&output), stdout(&output).as_str()), (69, ""));
    let output = run(nowhere.path(), &["check", "lag", "--format", "nagios"], &[]);
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).starts_with("GROUPFOLD LAG UNKNOWN - nothing runs"), "{}", stdout(&output));
    assert!(output.stderr.is_empty(), "a monitor reads one line");
}

#[test]
fn an_unknown_key_hides_no_other_fault_and_a_wrong_address_is_a_typing_error() {
    let scratch = Scratch::new("config");
    let file = scratch.path().join("groupfold.toml");
    std::fs::write(&file, "no_such_key = 1\npartitions = 0\n").unwrap();
    let file = file.to_str().expect("a path");
    let args = ["config", "check", "--output", "json", "--replicas", "2", "--config", file];
    let output = run(scratch.path(), &args, &[]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let faults = report["faults"].to_string();
    assert_eq!((code(&output), report["faults"].as_array().map(Vec::len)), (3, Some(3)), "{faults}");
    for key in ["no_such_key", "partitions", "replicas"] {
        assert!(faults.contains(key), "{key}: {faults}");
    }
    let output = run(scratch.path(), &["config", "check", "--output", "json"], &[]);
    assert_eq!((code(&output), stdout(&output).trim_end()), (0, "{\"faults\":[]}"));

    for url in ["not a url", "ftp://127.0.0.1/", "127.0.0.1:8080"] {
        let output =
            run(scratch.path(), &["simulate", "--events", "1", "--url", url, "--app-secret", STRONG], &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code(&output) == 2 && said.contains("--url"), "{url}: {said}");
    }
}

#[test]
fn where_nothing_runs_a_verb_names_a_flag_that_it_has() {
    let nowhere = Scratch::new("nowhere");
    for (verb, flag) in [
        ("group list", "--api-url"),
        ("usage", "--api-url"),
        ("check lag", "--api-url"),
        ("events tail", "--nats-url"),
        ("failed list", "--nats-url"),
        ("audit", "--nats-url"),
        ("verify", "--nats-url"),
        ("simulate", "--url"),
    ] {
        let run = |args: &[&str]| {
            let mut command = Groupfold::command();
            command.args(verb.split(' ')).args(args).output().unwrap()
        };
        let refused = run(&["--data", nowhere.path().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), said.lines().count()), (Some(69), 1), "{verb}: {said}");
        assert!(said.contains(&format!(" by {flag}")), "{verb}: {said}");
        let help = String::from_utf8_lossy(&run(&["--help"]).stdout).into_owned();
        assert!(help.contains(&format!("{flag} ")), "{verb} has no {flag}");
    }
}

/// It once looked into ./groupfold-data then, and advised to start a second pipeline there.
#[tokio::test]
async fn with_a_setting_at_fault_it_still_looks_at_the_folder_that_the_settings_name() {
    let groupfold = Groupfold::up(Options::default()).await;
    let mut command = Groupfold::command();
    command.args(["doctor", "--output", "json"]).env("GROUPFOLD_REPLICAS", "2");
    let output = command.env("GROUPFOLD_DATA", groupfold.data()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    named(findings, "settings", "fail", "replicas", "");
    assert!(findings.iter().any(|one| one["what"] == "process" && one["level"] == "ok"), "{findings:#?}");
}

#[tokio::test]
async fn provision_finds_the_broker_of_what_runs_on_the_folder() {
    let groupfold = Groupfold::up(Options::default()).await;
    let output = run(&groupfold.data(), &["provision", "--check"], &[]);
    ends(&output, 0);
}

/// A receiver once ended with 1 there.
#[tokio::test]
async fn on_a_broker_without_a_log_receiver_and_projector_end_with_69_and_name_the_verb_that_makes_one() {
    let server = NatsServer::start().await;
    let scratch = Scratch::new("no-log");
    for verb in ["ingest", "project"] {
        let mut command = Groupfold::command();
        command.args([verb, "--nats-url", &server.url(), "--data", scratch.path().to_str().unwrap()]);
        command.args(["--webhook-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"]);
        command.args(["--meta-app-secret", STRONG, "--meta-verify-token", STRONG]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(69), "{verb}: {said}");
        assert!(
            said.contains("there is no log on this broker: run `groupfold provision` first"),
            "{verb}: {said}"
        );
    }
}

/// It was `ok`, 0.0 s behind: whoever does not hear the log does not hear how far it is.
#[tokio::test]
async fn lag_is_unknown_where_the_projector_does_not_hear_the_broker() {
    let mut nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let lag = |args: &[&str]| run(&groupfold.data(), &[&["check", "lag"], args].concat(), &[]);
    // Ready is also who has everything folded and is about to read on.
    wait_until("every partition reads the log", BOUND, async || {
        let output = lag(&[]);
        if code(&output) == 0 { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    })
    .await;
    nats.kill9();
    wait_until("the lag is not known", BOUND, async || {
        let output = lag(&["--format", "nagios"]);
        let said = stdout(&output);
        let told = said.starts_with("GROUPFOLD LAG UNKNOWN - 8 of 8 partitions do not read the log");
        if told && code(&output) == 3 { Ok(()) } else { Err(said) }
    })
    .await;
    let output = lag(&[]);
    assert_eq!((code(&output), stdout(&output).as_str()), (69, ""));
}
