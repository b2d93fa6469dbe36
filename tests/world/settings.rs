//! Settings that change what a process does, each seen in what it does.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Scratch, wait_until};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::feed::provisioned;
use crate::hook::{joined, participants};
use crate::laws::read_at;

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let scratch = Scratch::new("settings");
    let file = scratch.path().join("groupfold.toml");
    std::fs::write(&file, "batch_events_max = 11\nbody_bytes_max = 1000001\nconnections_max = 13\n").unwrap();
    let mut command = Groupfold::command();
    command.args(["config", "show", "--output", "json", "--batch-events-max", "31", "--config"]).arg(&file);
    command.env("GROUPFOLD_BATCH_EVENTS_MAX", "21").env("GROUPFOLD_BODY_BYTES_MAX", "1000002");
    let output = command.output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let values = ["batch_events_max", "body_bytes_max", "connections_max"].map(|key| &shown[key]["value"]);
    assert_eq!(values, [&json!("31"), &json!("1000002"), &json!("13")], "{shown}");
}

fn group_of(partition: u16) -> String {
    (0..).map(|n| format!("G{n}")).find(|group| log::partition_of(group, 8) == partition).unwrap()
}

fn owning(options: &Options, partitions: &str) -> Vec<String> {
    options.args.iter().take(2).cloned().chain(["--own".to_owned(), partitions.to_owned()]).collect()
}

#[tokio::test]
async fn partitions_are_one_projectors_each_and_are_handed_over_with_their_store() {
    let nats = NatsServer::start().await;
    let options = provisioned(&nats).await;
    let receiver = Groupfold::ingest(options.clone()).await;
    let owner = |partitions| Options { args: owning(&options, partitions), ..options.clone() };
    let mut one = Groupfold::project(owner("0,1,2,3")).await;
    let mut other = Groupfold::project(owner("4,5,6,7")).await;
    let (group, path) = (group_of(0), format!("/v1/groups/{}", group_of(0)));
    let told = receiver.post(&participants(&[joined(&group, "15550001111", T)])).await;
    let position = told.json["position"].as_str().unwrap();
    let read = read_at(&one, &path, position).await;
    assert_eq!((read.status, &read.json["counts"]["member"]), (200, &json!(1)), "{read}");
    let refused = other.get(&path).await;
    refused.says(421, "partition_not_owned");

    assert_eq!((one.terminate().await, other.terminate().await), (0, 0));
    std::fs::rename(one.data().join("store/0"), other.data().join("store/0")).unwrap();
    one.options().args = owning(&options, "1,2,3");
    other.options().args = owning(&options, "0,4,5,6,7");
    one.restart().await;
    other.restart().await;
    let read = read_at(&other, &path, position).await;
    assert_eq!((read.status, &read.json["counts"]["member"]), (200, &json!(1)), "{read}");
    assert_eq!(one.get(&path).await.status, 421);
    // From where the other one was, and not from the beginning.
    let reads = wait_until("it says from where on it reads", BOUND, async || {
        let log = other.process().log();
        let reads = log.lines().find(|line| line.contains("partition=0}") && line.contains("reading"));
        reads.map(str::to_owned).ok_or(log)
    })
    .await;
    assert!(reads.contains(" position=1 "), "{reads}");
}

#[tokio::test]
async fn the_data_folder_and_the_addresses_in_it_are_their_owners_alone() {
    let groupfold = Groupfold::up(Options::default()).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&groupfold.data()), 0o700);
    assert_eq!(mode(&groupfold.data().join("run.json")), 0o600);
}

#[tokio::test]
async fn up_says_that_its_broker_died() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let pid = std::fs::read_to_string(groupfold.data().join("nats/nats.pid")).unwrap();
    let killed = std::process::Command::new("kill").args(["-s", "KILL", pid.trim()]).status().unwrap();
    assert!(killed.success());
    wait_until("it says so", BOUND, async || {
        let log = groupfold.process().log();
        if log.contains("nats-server died, starting it again") { Ok(()) } else { Err(log) }
    })
    .await;
}

/// A webhook of which so many bytes have come, and one is still lacking. It holds them until it is dropped.
async fn begun(groupfold: &Groupfold, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(groupfold.addresses().webhook.as_deref().unwrap()).await.unwrap();
    let head = format!(
        "POST /webhooks/meta HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: sha256={}\r\ncontent-length: {}\r\n\r\n",
        "0".repeat(64),
        bytes + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; bytes]).await.unwrap();
    stream
}

/// Waits until a webhook is being worked on.
async fn in_work(groupfold: &Groupfold) {
    wait_until("the webhook is in work", BOUND, async || {
        let metrics = groupfold.get("/metrics").await.text;
        let line = metrics.lines().find(|line| line.starts_with("groupfold_ingest_in_flight"));
        if line.is_some_and(|line| !line.ends_with(" 0")) { Ok(()) } else { Err(format!("{line:?}")) }
    })
    .await;
}

fn patient(more: &[&str]) -> Options {
    let args = ["--body-deadline-ms", "60000"].iter().chain(more).map(|arg| (*arg).to_owned()).collect();
    Options { args, ..Options::default() }
}

#[tokio::test]
async fn a_second_signal_ends_what_is_still_draining() {
    let mut groupfold = Groupfold::up(patient(&[])).await;
    let held = begun(&groupfold, 1_000).await;
    in_work(&groupfold).await;
    let process = groupfold.process();
    process.signal("TERM");
    // Those that come at once are an echo of the first.
    let status = wait_until("it ends", BOUND, async || process.try_signal("TERM").ok_or("it drains")).await;
    drop(held);
    assert_eq!(status.code(), Some(1), "{}", process.log_tail());
    assert!(process.log().contains("told to stop twice"), "{}", process.log_tail());
}

/// Law 12: over the time for it, what is still under way is cut, and how many that were is said.
#[tokio::test]
async fn what_is_not_done_within_the_drain_budget_is_cut_and_said() {
    let mut groupfold = Groupfold::up(patient(&["--drain-budget-ms", "300"])).await;
    let held = begun(&groupfold, 1_000).await;
    in_work(&groupfold).await;
    let process = groupfold.process();
    process.signal("TERM");
    let status = wait_until("it ends", BOUND, async || process.exited().ok_or("it drains")).await;
    drop(held);
    assert_eq!(status.code(), Some(1), "{}", process.log_tail());
    let said = "1 webhook(s) were cut when the drain budget ended";
    assert!(process.log().contains(said), "{}", process.log_tail());
}

#[tokio::test]
async fn bodies_together_are_bounded_and_the_next_one_is_refused_with_its_reason() {
    let bound = "1048576";
    let options = patient(&["--bytes-in-flight-max", bound, "--body-bytes-max", bound]);
    let groupfold = Groupfold::up(options).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let held = wait_until("there is no room", BOUND, async || {
        // Where a webhook that was let in has a part of it yet, this one is refused: then another one.
        let held = begun(&groupfold, 1_000_000).await;
        in_work(&groupfold).await;
        let answer = groupfold.post(&body).await;
        let refused = answer.status == 503 && answer.json["code"] == "too_many_bytes";
        if refused && answer.header("retry-after").is_some() { Ok(held) } else { Err(answer) }
    })
    .await;
    drop(held);
    wait_until("there is room again", BOUND, async || {
        let answer = groupfold.post(&body).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
}
