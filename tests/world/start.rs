//! What whoever starts a part for the first time meets: settings left out, ports that are taken, programs that are not there,
//! and a change of mind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use groupfold_tests::{
    Groupfold, Nats, NatsServer, Options, Process, Scratch, ends, groupfold_binary, http, nats_server_binary,
    wait_until,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_secs(4);
const STRONG: &str = "0123456789abcdef0123456789abcdef";
/// A pipeline on free ports.
const UP: [&str; 9] = [
    "up",
    "--webhook-addr",
    "127.0.0.1:0",
    "--api-addr",
    "127.0.0.1:0",
    "--meta-app-secret",
    STRONG,
    "--meta-verify-token",
    STRONG,
];
/// Where a receiver tells its health unless told otherwise.
const DEFAULT_API: &str = "127.0.0.1:8082";

fn said(output: &Output) -> (Option<i32>, String) {
    let told = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat();
    (output.status.code(), told)
}

fn run(data: &Path, args: &[&str]) -> (Option<i32>, String) {
    said(&Groupfold::command().args(args).arg("--data").arg(data).output().unwrap())
}

async fn provisioned() -> NatsServer {
    let nats = NatsServer::start().await;
    let output = Groupfold::command().args(["provision", "--nats-url", &nats.url()]).output().unwrap();
    ends(&output, 0);
    nats
}

/// `up` and `ingest` once ended with 2.
#[tokio::test]
async fn without_a_verify_token_webhooks_are_taken_and_every_handshake_is_refused() {
    let nats = provisioned().await;
    let options = Options { verify_token: String::new(), ..Options::on(&nats) };
    for mut groupfold in [Groupfold::up(options.clone()).await, Groupfold::ingest(options).await] {
        for token in ["", "anything"] {
            let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
            let answer = http::get(&format!("{}?{query}", groupfold.webhook_url())).await;
            answer.says(403, "handshake_refused");
        }
        let answer = groupfold.post(&participants(&[joined("G1", "15550001111", 1_767_225_600)])).await;
        assert_eq!(answer.status, 200, "{answer}");
        let log = groupfold.process().log();
        assert_eq!(log.matches("--meta-verify-token").count(), 1, "{log}");
    }
    let nowhere = Scratch::new("empty-token");
    for verb in ["up", "ingest"] {
        let args = [verb, "--meta-app-secret", STRONG, "--meta-verify-token", ""];
        let (code, said) = run(nowhere.path(), &args);
        assert!(code == Some(2) && said.contains("meta_verify_token"), "{verb}: {code:?} {said}");
        let (code, said) = run(nowhere.path(), &[verb, "--nats-url", "nats://127.0.0.1:1"]);
        assert!(code == Some(2) && said.contains("meta_app_secret"), "{verb}: {code:?} {said}");
    }
}

/// A receiver beside a projector, both as they come, could not listen on the address of both.
#[tokio::test]
async fn a_receiver_whose_default_api_address_is_taken_answers_on_a_free_port_and_says_which() {
    let nats = provisioned().await;
    // Whoever has it already will do.
    let _taken = std::net::TcpListener::bind(DEFAULT_API);
    let scratch = Scratch::new("taken");
    let receiver = |args: &[&str]| {
        let mut command = Groupfold::command();
        command.args(["ingest", "--nats-url", &nats.url(), "--webhook-addr", "127.0.0.1:0"]).args(args);
        command.args(["--meta-app-secret", STRONG, "--meta-verify-token", STRONG]);
        command.current_dir(scratch.path());
        Process::spawn("groupfold", command, &scratch.path().join(format!("log{}", args.len())))
    };
    let mut process = receiver(&[]);
    let health = wait_until("it is up", BOUND, async || {
        assert!(process.exited().is_none(), "{}", process.log());
        let log = process.log();
        let url = log.lines().find_map(|line| line.trim().strip_prefix("health")).map(str::trim);
        url.map(str::to_owned).ok_or(log)
    })
    .await;
    // 8081 is for the projector beside it, whoever starts first.
    assert!(!health.contains(":8081/") && !health.contains(":8082/"), "{health}");
    assert_eq!(http::get(&health).await.status, 200);
    let address = health.trim_start_matches("http://").trim_end_matches("/readyz");
    let log = process.log();
    let warning = log.lines().find(|line| line.contains("WARN") && line.contains(DEFAULT_API));
    assert!(warning.is_some_and(|line| line.contains(address) && line.contains("--api-addr")), "{log}");
    assert_eq!(process.terminate(BOUND).await.code(), Some(0));

    let mut process = receiver(&["--api-addr", DEFAULT_API]);
    assert_eq!(process.wait(BOUND).await.code(), Some(1), "what was asked for is not exchanged");
    assert!(process.log().contains("api_addr: cannot listen on 127.0.0.1:8082"), "{}", process.log());
}

/// It ended with 75.
#[tokio::test]
async fn told_to_stop_while_its_nats_server_starts_up_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let scratch = Scratch::new("early");
        let (program, data) = (scratch.path().join("nats-server"), scratch.path().join("data"));
        std::fs::write(&program, format!("#!/bin/sh\n: > '{}.began'\nexec sleep 120\n", program.display()))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Groupfold::command();
        command.args(UP).arg("--nats-server").arg(&program).arg("--data").arg(&data);
        let mut process = Process::spawn("groupfold", command, &scratch.path().join("log"));
        let began = scratch.path().join("nats-server.began");
        wait_until(
            "nats-server starts",
            BOUND,
            async || if began.exists() { Ok(()) } else { Err("not yet") },
        )
        .await;
        process.signal(signal);
        assert_eq!(process.wait(BOUND).await.code(), Some(0), "{signal}: {}", process.log());
    }
}

#[test]
fn a_nats_server_that_is_not_there_is_told_with_the_command_that_installs_one() {
    let nowhere = Scratch::new("nope");
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = Groupfold::command();
        command.args(["up", "--meta-app-secret", STRONG, "--api-addr", "127.0.0.1:0", "--data"]);
        command.arg(nowhere.path()).args(args).env("PATH", "/nowhere").envs(env.iter().copied());
        said(&command.output().unwrap())
    };
    for (code, said) in [
        run(&["--nats-server", "/nope"], &[]),
        run(&[], &[("GROUPFOLD_NATS_SERVER", "/nope")]),
        run(&[], &[("GROUPFOLD_TOOLS", "/nope")]),
    ] {
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains("/nope") && said.contains("deploy/nats/install"), "{said}");
    }
}

/// It was looked for in the current folder alone.
#[tokio::test]
async fn the_tool_folder_is_found_from_the_program_wherever_it_is_run() {
    let scratch = Scratch::new("tools");
    let (bin, tools) =
        (scratch.path().join("target/debug"), scratch.path().join(".tools/nats-server-2.15.1"));
    let elsewhere = scratch.path().join("elsewhere/deep");
    for folder in [&bin, &tools, &elsewhere] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let program = bin.join("groupfold");
    if std::fs::hard_link(groupfold_binary(), &program).is_err() {
        std::fs::copy(groupfold_binary(), &program).unwrap();
    }
    std::os::unix::fs::symlink(nats_server_binary(), tools.join("nats-server")).unwrap();
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GROUPFOLD_"))
    {
        command.env_remove(name);
    }
    command.args(UP).env("PATH", "/nowhere").current_dir(&elsewhere);
    let mut process = Process::spawn("groupfold", command, &scratch.path().join("log"));
    wait_until("it is up", BOUND, async || {
        let log = process.log();
        assert!(process.exited().is_none(), "{log}");
        if log.contains("groupfold is up") { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(process.terminate(BOUND).await.code(), Some(0));
}

/// It ended with 1, and named no flag where the running `up` has the secret.
#[tokio::test]
async fn a_simulation_without_a_secret_is_a_usage_error_that_names_the_flag() {
    let groupfold = Groupfold::up(Options::default()).await;
    let (code, said) = run(&groupfold.data(), &["simulate", "--events", "1"]);
    assert_eq!(code, Some(2), "{said}");
    let of_up = said.contains(&groupfold.data().display().to_string());
    assert!(of_up && said.contains("--app-secret") && said.contains("GROUPFOLD_META_APP_SECRET"), "{said}");
    let nowhere = Scratch::new("simulate");
    let (code, said) = run(nowhere.path(), &["simulate", "--events", "1", "--url", "http://127.0.0.1:1/"]);
    assert!(code == Some(2) && said.contains("--app-secret"), "{code:?} {said}");
}

/// One fault of a file hid those of its values.
#[test]
fn config_show_tells_all_faults_of_a_file_as_config_check_does() {
    let scratch = Scratch::new("show");
    let file = scratch.path().join("groupfold.toml");
    std::fs::write(&file, "no_such_key = 1\npartitions = 0\nreplicas = 2\n").unwrap();
    for args in [["config", "show"], ["config", "check"]] {
        let (code, said) = run(scratch.path(), &[&args[..], &["--config", file.to_str().unwrap()]].concat());
        assert_eq!(code, Some(if args[1] == "show" { 2 } else { 3 }), "{said}");
        assert!(
            ["no_such_key", "partitions", "replicas"].iter().all(|key| said.contains(&format!("  {key}: "))),
            "{said}"
        );
    }
    // What is of no use is shown with where it comes from, and is a fault all the same.
    std::fs::write(&file, "partitions = 0\nreplicas = 2\n").unwrap();
    let (code, said) = run(scratch.path(), &["config", "show", "--config", file.to_str().unwrap()]);
    assert!(
        code == Some(2) && said.contains("webhook_addr") && said.contains("2 fault(s)"),
        "{code:?} {said}"
    );
}

/// A broker that greets and answers a PING, and nothing that is asked of JetStream; what it hears is kept.
async fn deaf_broker() -> (String, std::sync::Arc<std::sync::Mutex<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let heard = std::sync::Arc::<std::sync::Mutex<String>>::default();
    let kept = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_pings(stream, kept.clone()));
        }
    });
    (url, heard)
}

async fn answer_pings(mut stream: tokio::net::TcpStream, kept: std::sync::Arc<std::sync::Mutex<String>>) {
    let info = r#"INFO {"server_id":"S","server_name":"s","version":"2.15.1","proto":1,"host":"h","port":1,"headers":true,"max_payload":1048576}"#;
    let _ = stream.write_all(format!("{info}\r\n").as_bytes()).await;
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        kept.lock().unwrap().push_str(&text);
        if text.contains("PING\r\n") && stream.write_all(b"PONG\r\n").await.is_err() {
            return;
        }
    }
}

/// Both waited for the broker's answer, and ended with 1 seconds later.
#[tokio::test]
async fn told_to_stop_while_the_broker_does_not_answer_for_the_log_a_part_ends_with_0_at_once() {
    for verb in ["up", "project", "ingest"] {
        let (url, heard) = deaf_broker().await;
        let scratch = Scratch::new("deaf");
        let mut command = Groupfold::command();
        command.arg(verb).args(&UP[1..]).args(["--nats-url", &url, "--data"]);
        command.arg(scratch.path().join("data"));
        let mut process = Process::spawn("groupfold", command, &scratch.path().join("log"));
        wait_until("the log is asked for", BOUND, async || {
            let heard = heard.lock().unwrap();
            if heard.contains("$JS.API") { Ok(()) } else { Err(heard.clone()) }
        })
        .await;
        process.signal("TERM");
        // Less than the broker's client waits for an answer.
        assert_eq!(process.wait(AT_ONCE).await.code(), Some(0), "{verb}: {}", process.log());
    }
}

/// It began an empty log, answered 200 for what nobody folds, and all partitions stopped.
#[tokio::test]
async fn a_log_of_its_own_is_refused_to_stores_that_follow_another_and_not_to_those_that_lost_theirs() {
    let nats = provisioned().await;
    let scratch = Scratch::new("elsewhere");
    let data = scratch.path().join("data");
    let on = Options { data: Some(data.clone()), ..Options::on(&nats) };
    let mut project = Groupfold::project(on.clone()).await;
    assert_eq!(project.terminate().await, 0);
    let server = nats_server_binary().display().to_string();
    let (code, said) = run(&data, &[&UP[..], &["--nats-server", &server]].concat());
    assert!(code == Some(2) && said.contains("follow a log elsewhere"), "{code:?} {said}");
    assert!(said.contains("--nats-url") && !data.join("nats").exists(), "{said}");
    assert_eq!(Groupfold::up(on.clone()).await.terminate().await, 0);

    // Nor by an address where no broker is.
    let nowhere = ["--nats-url", "nats://127.0.0.1:1"];
    assert_eq!(run(&data, &[&UP[..], &nowhere].concat()).0, Some(69));
    assert_eq!(std::fs::read_to_string(data.join("log-elsewhere")).unwrap(), nats.url());

    std::fs::rename(data.join("store"), data.join("store.aside")).unwrap();
    let own = Options { nats: Nats::Own, args: Vec::new(), ..on.clone() };
    let mut up = Groupfold::up(own).await;
    assert_eq!(up.terminate().await, 0);
    // Back to the other one, with the log of its own left behind: a start that lost the address went on with it.
    std::fs::remove_dir_all(data.join("store")).unwrap();
    assert_eq!(Groupfold::up(on).await.terminate().await, 0);
    for _ in 0..2 {
        let (code, said) = run(&data, &[&UP[..], &["--nats-server", &server]].concat());
        assert!(code == Some(2) && said.contains("the old one in"), "{code:?} {said}");
    }
    std::fs::remove_dir_all(data.join("store")).unwrap();
    up.restart().await;
    assert_eq!(up.terminate().await, 0);
    up.restart().await;
    assert_eq!(up.terminate().await, 0);
    // What a partition then says of a log that was lost is for the guard of each: it starts.
    std::fs::remove_dir_all(data.join("nats")).unwrap();
    up.start_anyhow().await;
}
