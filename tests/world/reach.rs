//! How verbs reach a pipeline: by which token, by which user, and by which words.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use groupfold_tests::{Groupfold, Options, Scratch, ends, groupfold_binary};

use crate::hook::{NUMBER, created, lifecycle};
use crate::reconcile::graph::{Graph, TOKEN, There};

const T: i64 = 1_767_225_600;
/// Bound to a number that has no group.
const TENANT: &str = "token-of-a-tenant-of-another-number";
const EVERYBODY: &str = "token-of-everybody-of-this-test";
/// Nobody, on any system.
const STRANGER: u32 = 65_534;

fn said(output: &Output) -> (Option<i32>, String) {
    let told = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat();
    (output.status.code(), told)
}

fn run(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    said(&Groupfold::command().args(args).envs(env.iter().copied()).output().unwrap())
}

/// The same where somebody on this runtime is asked by the verb.
async fn run_beside(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Groupfold::command();
    command.args(args).envs(env.iter().copied());
    said(&tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap())
}

fn file(scratch: &Scratch, name: &str, text: &str) -> String {
    let path = scratch.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// With the settings of the process a tenant's token of theirs was asked with: nothing was compared, and all was fine.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_asks_by_a_token_that_sees_all_groups_or_not_at_all() {
    let (scratch, graph) = (Scratch::new("round"), Graph::start().await);
    let config = file(
        &scratch,
        "groupfold.toml",
        &format!(
            "[[api.tokens]]\nname = \"tenant\"\ntoken = \"{TENANT}\"\nscopes = [\"read\", \"operate\"]\n\
             phone_number_ids = [\"999000999000999\"]\n"
        ),
    );
    let args = ["--config", &config].map(str::to_owned).to_vec();
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let answer = groupfold.post(&lifecycle(&[created("G1", "Tea", T)])).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(groupfold.get("/v1/groups/G1").await.status, 200);
    graph.put("G1", There::with(&[]));
    let (data, api) = (groupfold.data().display().to_string(), groupfold.api_url(""));
    let round = ["reconcile", "--settle-ms", "0", "--meta-graph-url", &graph.url, "--config", &config];
    let env = [("GROUPFOLD_META_ACCESS_TOKEN", TOKEN)];
    let (code, told) = run_beside(&[&round[..], &["--data", &data]].concat(), &env).await;
    assert!(code == Some(3) && told.contains("1 group(s) compared"), "{code:?} {told}");
    let import = ["import", "--meta-graph-url", &graph.url, "--config", &config, "--phone-number-id", NUMBER];
    let (code, told) = run_beside(&[&import[..], &["--data", &data]].concat(), &env).await;
    let known = told.lines().any(|line| line.contains("G1") && line.contains("known"));
    assert!(code == Some(0) && known, "{code:?} {told}");
    // Elsewhere there is no token of the owner: by one that sees a part nothing is concluded.
    let elsewhere = ["--data", &data, "--api-url", &api];
    let (code, told) = run_beside(&[&round[..], &elsewhere].concat(), &env).await;
    assert!(code == Some(2) && told.contains("must see all groups"), "{code:?} {told}");
    let doctor = ["doctor", "--config", &config, "--data", &data, "--api-url", &api];
    let (_, told) = run_beside(&doctor, &env).await;
    let positions = told.lines().find(|line| line.contains("wants a token (401)")).unwrap_or_default();
    let named = ["--api-token", "scope read", "phone_number_ids"].iter().all(|word| positions.contains(word));
    assert!(named, "{told}");
    // The server does not say that this one is a tenant's, and it is given as one of all.
    let given = [env[0], ("GROUPFOLD_API_TOKEN", TENANT)];
    for verb in [&round[..5], &[&import[..3], &import[5..]].concat()] {
        let (code, told) = run_beside(&[verb, &elsewhere].concat(), &given).await;
        assert!(code == Some(2) && told.contains("must see all groups"), "{verb:?} {code:?} {told}");
    }
}

/// An empty variable was a token, and files that variables name were read by the process alone.
#[tokio::test]
async fn a_verb_takes_a_secret_from_a_file_that_a_variable_names_and_an_empty_token_for_none() {
    let scratch = Scratch::new("reach-files");
    let args = ["--api-token", EVERYBODY].map(str::to_owned).to_vec();
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let (data, api) = (groupfold.data().display().to_string(), groupfold.api_url(""));
    let local = ["group", "list", "--data", &data];
    let (code, told) = run(&local, &[("GROUPFOLD_API_TOKEN", "")]);
    assert_eq!(code, Some(0), "{told}");
    let elsewhere = ["group", "list", "--api-url", &api];
    assert_eq!(run(&elsewhere, &[]).0, Some(1), "it is guarded");
    let token = file(&scratch, "token", &format!("{EVERYBODY}\n"));
    let (code, told) = run(&elsewhere, &[("GROUPFOLD_API_TOKEN_FILE", &token)]);
    assert_eq!(code, Some(0), "{told}");
    let broker = file(&scratch, "broker", groupfold.addresses().nats_url.as_deref().unwrap());
    let (code, told) = run(&["failed", "list"], &[("GROUPFOLD_NATS_URL_FILE", &broker)]);
    assert_eq!(code, Some(0), "{told}");
    for (variable, verb) in
        [("GROUPFOLD_API_TOKEN_FILE", &elsewhere[..]), ("GROUPFOLD_NATS_URL_FILE", &["failed", "list"])]
    {
        let (code, told) = run(verb, &[(variable, "/nonexistent")]);
        let named = told.contains(variable) && told.contains("/nonexistent");
        assert!(code == Some(2) && named, "{code:?} {told}");
    }
}

/// Where nobody listens nothing was sent, and it told how to repeat what may have been taken.
#[tokio::test]
async fn what_was_never_sent_is_not_called_perhaps_taken() {
    let send = async |url: &str| {
        run_beside(&["group", "send", "G", "--text", "x", "--api-url", url, "--api-token", "t"], &[]).await
    };
    let (code, told) = send("http://127.0.0.1:9").await;
    assert!(code == Some(69) && told.contains("does not answer"), "{code:?} {told}");
    assert!(!told.contains("idempotency-key"), "{told}");
    // Heard, and hung up on.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64]).await;
        }
    });
    let (code, told) = send(&url).await;
    assert!(code == Some(69) && told.contains("--idempotency-key"), "{code:?} {told}");
}

/// Each verb made of it what it liked: a file without a name, an address that is none, a folder.
#[tokio::test]
async fn a_variable_that_is_empty_is_as_one_that_is_not_set() {
    let groupfold = Groupfold::up(Options::default()).await;
    let data = groupfold.data().display().to_string();
    let empty = ["API_URL", "API_TLS_CA", "CONFIG", "ACTOR", "REDACT_KEY", "REPLAY_SECRET", "TOOLS", "CRASH"];
    let empty = empty.map(|name| format!("GROUPFOLD_{name}"));
    let env: Vec<(&str, &str)> = empty.iter().map(|name| (name.as_str(), "")).collect();
    for verb in [&["group", "list"][..], &["events", "tail"], &["audit"], &["config", "check"]] {
        let (code, told) = run(&[verb, &["--data", &data]].concat(), &env);
        assert_eq!(code, Some(0), "{verb:?}: {told}");
    }
    let out = groupfold.data().join("out").display().to_string();
    let export = ["events", "export", "--format", "jsonl", "--data", &data, "--out", &out, "--redact"];
    let (code, told) = run(&export, &env);
    assert!(code == Some(2) && told.contains("--redact-key"), "a key that did not arrive is none: {told}");
    // What is sent would not be signed, and nobody would say so.
    let replay = ["replay", "--from", "beginning", "--to", "http://127.0.0.1:1/", "--data", &data];
    let (code, told) = run(&replay, &env);
    assert!(code == Some(2) && told.contains("--secret"), "a secret that did not arrive is none: {told}");
    let scratch = Scratch::new("no-data-named");
    let mut command = Groupfold::command();
    let command = command.args(["group", "list"]).current_dir(scratch.path()).env("GROUPFOLD_DATA", "");
    let (_, told) = said(&command.output().unwrap());
    assert!(told.contains("nothing runs on ./groupfold-data"), "{told}");
}

/// It was told as what the broker says of whoever brings no password.
#[test]
fn a_fault_of_what_reaches_the_broker_is_told_before_the_broker_is_asked() {
    let list = ["failed", "list", "--nats-url", "nats://127.0.0.1:1"];
    let (code, told) = run(&list, &[("GROUPFOLD_NATS_PASSWORD_FILE", "/nonexistent")]);
    assert!(code == Some(2) && told.contains("nats_password: cannot read /nonexistent"), "{code:?} {told}");
    let (code, told) = run(&list, &[("GROUPFOLD_CONFIG", "/nonexistent")]);
    assert!(code == Some(2) && told.contains("config: cannot read /nonexistent"), "{code:?} {told}");
    // What it does not use is not its matter.
    let (code, told) = run(&list, &[("GROUPFOLD_META_APP_SECRET_FILE", "/nonexistent")]);
    assert!(code == Some(69) && told.contains("cannot reach the broker"), "{code:?} {told}");
}

/// True if this user may act for another, as the next two need.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// It was told that the process was killed, and to put its store aside.
#[tokio::test]
async fn whoever_may_not_enter_the_data_folder_is_told_whose_it_is() {
    if !is_root() {
        return;
    }
    let groupfold = Groupfold::up(Options::default()).await;
    let program = world_readable();
    for verb in [&["doctor"][..], &["group", "list"], &["failed", "list"], &["why", "x"], &["up"]] {
        let mut command = Command::new(program.path().join("groupfold"));
        command.args(verb).arg("--data").arg(groupfold.data()).current_dir("/").env_clear().uid(STRANGER);
        command.env("GROUPFOLD_META_APP_SECRET", EVERYBODY);
        let (code, told) = said(&command.output().unwrap());
        assert!(code == Some(1) && told.contains("belongs to user 0"), "{verb:?}: {code:?} {told}");
        assert!(told.contains("sudo -u '#0'"), "{verb:?}: {told}");
        for wrong in ["nothing runs", "killed", ".aside"] {
            assert!(!told.contains(wrong), "{verb:?}: {told}");
        }
    }
}

/// The program where a stranger may run it.
fn world_readable() -> Scratch {
    let scratch = Scratch::new("stranger");
    std::fs::copy(groupfold_binary(), scratch.path().join("groupfold")).unwrap();
    for path in scratch.path().ancestors().take(1) {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, open).unwrap();
    }
    scratch
}

/// It was run, as whoever stood in that folder: root, say.
#[test]
fn a_nats_server_in_the_tool_folder_of_another_user_is_not_run() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("others-tools");
    let folder = scratch.path().join(".tools/nats-server-2.15.1");
    let (program, ran) = (folder.join("nats-server"), scratch.path().join("ran"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\n: > '{}'\n", ran.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for others in [&program, &folder] {
        std::os::unix::fs::chown(others, Some(STRANGER), None).unwrap();
        let bin = world_readable();
        let mut command = Command::new(bin.path().join("groupfold"));
        command.args(["up", "--meta-app-secret", EVERYBODY, "--api-addr", "127.0.0.1:0", "--data"]);
        command.arg(scratch.path().join("data")).current_dir(scratch.path()).env_clear();
        let (code, told) = said(&command.env("PATH", "/nowhere").output().unwrap());
        assert!(code == Some(69) && told.contains("another user's"), "{code:?} {told}");
        assert!(!Path::new(&ran).exists());
        std::os::unix::fs::chown(others, Some(0), None).unwrap();
    }
}

/// Flags that nothing read, settings by the dozen before a verb's own, and one flag first of all where it says nothing.
#[test]
fn help_shows_what_a_verb_reads_its_own_flags_first() {
    let help = |verb: &[&str], flag: &str| {
        let (code, told) = run(&[verb, &[flag]].concat(), &[]);
        assert_eq!(code, Some(0), "{verb:?}: {told}");
        told
    };
    for (verb, own) in [
        (&["reconcile"][..], "--settle-ms"),
        (&["import"], "--phone-number-id"),
        (&["doctor"], "--api-url"),
        (&["provision"], "--anew"),
        (&["config", "check"], "--output"),
        (&["config", "show"], "--output"),
    ] {
        for flag in ["-h", "--help"] {
            let told = help(verb, flag);
            assert!(told.lines().count() < 90 && told.contains("up --help"), "{verb:?}: {told}");
            assert!(told.find(own) < told.find("--config"), "{verb:?}: {told}");
            assert!(!told.contains("--body-bytes-max"), "{verb:?}: {told}");
        }
        // What is not shown is taken.
        let (code, told) = run(&[verb, &["--body-bytes-max", "x"]].concat(), &[]);
        assert!(code != Some(0) && !told.contains("unexpected argument"), "{verb:?}: {told}");
    }
    assert!(help(&["up"], "--help").contains("--body-bytes-max"));
    assert!(!help(&["token", "hash"], "--help").contains("--api-tls-ca"));
    assert!(help(&["group", "list"], "--help").contains("--api-tls-ca"));
    // What is so unless told otherwise can be said; but not both.
    for verb in [&["import", "--phone-number-id", "1"][..], &["reconcile"]] {
        let (code, told) = run(&[verb, &["--preview", "--execute"]].concat(), &[]);
        assert!(code == Some(2) && told.contains("cannot be used with"), "{verb:?}: {told}");
        let (_, told) = run(&[verb, &["--preview"]].concat(), &[]);
        assert!(told.contains("meta_access_token"), "{verb:?}: {told}");
    }
    let dead: [(&[&str], &str); 4] = [
        // A shell reads what it prints.
        (&["completions", "bash"], "--output=json"),
        (&["group", "delete", "G"], "--min-position=0:1"),
        (&["group", "requests", "G"], "--wait-ms=1"),
        (&["group", "block", "G"], "--min-position=0:1"),
    ];
    for (verb, flag) in dead {
        let (code, told) = run(&[verb, &[flag]].concat(), &[]);
        assert!(code == Some(2) && told.contains("unexpected argument"), "{verb:?} {flag}: {told}");
    }
}

/// Each verb had words of its own for a range.
#[test]
fn a_range_is_asked_for_by_the_same_words_everywhere() {
    let nowhere = ["--nats-url", "nats://127.0.0.1:1"];
    let api = ["--api-url", "http://127.0.0.1:1"];
    for begin in ["--from", "--since"] {
        let (code, told) = run(&[&["why", "x", begin, "-1h"], &nowhere[..]].concat(), &[]);
        assert_eq!(code, Some(69), "why {begin}: {told}");
        for end in ["--to", "--until"] {
            let range = [begin, "-2h", end, "-1h"];
            for (verb, reach) in [
                (&["events", "export", "--format", "jsonl"][..], &nowhere),
                (&["events", "tail"], &nowhere),
                (&["failed", "list"], &nowhere),
                (&["usage"], &api),
            ] {
                let (code, told) = run(&[verb, &range, reach].concat(), &[]);
                assert!(code != Some(2), "{verb:?} {range:?}: {told}");
            }
        }
    }
}

/// It was asked for a broker's address, with 2.
#[test]
fn streams_are_provisioned_where_something_runs_or_a_broker_is_named() {
    let scratch = Scratch::new("provision");
    let data = scratch.path().display().to_string();
    for verb in [&["provision"][..], &["provision", "--check"]] {
        let (code, told) = run(&[verb, &["--data", &data]].concat(), &[]);
        assert!(code == Some(69) && told.contains("nothing runs on"), "{verb:?}: {code:?} {told}");
        assert!(told.contains("--nats-url"), "{verb:?}: {told}");
    }
}

/// Settings call it otherwise than the verb did.
#[test]
fn a_simulated_provider_takes_its_secret_by_the_name_of_the_setting_too() {
    for flag in ["--app-secret", "--meta-app-secret"] {
        let (_, told) = run(&["simulate", flag, EVERYBODY, "--events", "many"], &[]);
        assert!(told.contains("invalid value 'many'"), "{flag}: {told}");
    }
}

/// What is completed is what can be typed.
#[test]
fn shells_are_told_what_can_be_typed() {
    let (_, help) = run(&["--help"], &[]);
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = run(&["completions", shell], &[]);
        assert_eq!(code, Some(0), "{shell}: {script}");
        for word in ["accept-loss", "nats-url", "catalogue"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let (scratch, (_, script)) = (Scratch::new("completions"), run(&["completions", "bash"], &[]));
    let read = Command::new("bash").args(["-n", &file(&scratch, "script", &script)]).output().unwrap();
    ends(&read, 0);
    assert!(help.contains("completions") && help.lines().count() < 45, "{help}");
    assert_eq!(run(&["completions", "tcsh"], &[]).0, Some(2));
}
