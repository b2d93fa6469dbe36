//! The life of a process before it is up: signals that come early, a log that is not as the settings say, and a folder
//! that was moved.

use std::path::Path;
use std::time::Duration;

use groupfold_tests::{Groupfold, NatsServer, Options, Process, Scratch, wait_until};
use tokio::net::TcpListener;

const BOUND: Duration = Duration::from_secs(60);
const STRONG: &str = "0123456789abcdef0123456789abcdef";

/// A part of the pipeline with a broker of that address.
fn part(verb: &str, scratch: &Scratch, broker: &str, args: &[&str]) -> Process {
    let mut command = Groupfold::command();
    command.args([verb, "--nats-url", broker, "--webhook-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"]);
    command.args(["--meta-app-secret", STRONG, "--meta-verify-token", STRONG]).args(args);
    command.arg("--data").arg(scratch.path().join(verb));
    Process::spawn("groupfold", command, &scratch.path().join(format!("{verb}.log")))
}

/// Signals that come while it waits for a broker that says nothing: its exit code, if none of them killed it.
async fn told(verb: &str, signals: &[&str]) -> Option<i32> {
    let scratch = Scratch::new("early");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = format!("nats://{}", silent.local_addr().unwrap());
    let mut process = part(verb, &scratch, &broker, &[]);
    let _connecting = silent.accept().await.unwrap();
    for signal in signals {
        process.signal(signal);
    }
    process.wait(BOUND).await.code()
}

/// It once killed whatever was not up yet, and left the nats-server of an `up` behind.
#[tokio::test]
async fn sighup_while_it_starts_ends_no_process() {
    for verb in ["up", "ingest", "project"] {
        assert_eq!(told(verb, &["HUP", "TERM"]).await, Some(0), "{verb}");
    }
}

/// It once said that it drains, waited for the broker all the same, and ended with 69.
#[tokio::test]
async fn told_to_stop_while_it_connects_it_ends_with_0() {
    for verb in ["up", "ingest", "project"] {
        assert_eq!(told(verb, &["TERM"]).await, Some(0), "{verb}");
    }
}

#[tokio::test]
async fn on_a_log_of_other_partitions_every_part_ends_with_2() {
    let server = NatsServer::start().await;
    let scratch = Scratch::new("partitions");
    let url = server.url();
    let provisioned =
        Groupfold::command().args(["provision", "--partitions", "2", "--nats-url", &url]).output();
    assert!(provisioned.unwrap().status.success());
    for verb in ["up", "ingest", "project"] {
        let mut process = part(verb, &scratch, &url, &["--partitions", "4"]);
        let ended = process.wait(BOUND).await;
        assert_eq!(ended.code(), Some(2), "{verb}: {}", process.log());
        assert!(process.log().contains("the log has 2, the settings say 4"), "{verb}: {}", process.log());
    }
}

/// Two servers once ran on one folder then.
#[tokio::test]
async fn the_nats_server_that_a_killed_up_left_is_ended_though_its_folder_was_moved() {
    let scratch = Scratch::new("moved");
    let (here, there) = (scratch.path().join("here"), scratch.path().join("there"));
    let mut groupfold = Groupfold::up(Options { data: Some(here.clone()), ..Options::default() }).await;
    let left = std::fs::read_to_string(here.join("nats/nats.pid")).unwrap();
    let left = Path::new("/proc").join(left.trim());
    groupfold.kill9();
    assert!(left.exists(), "it outlives its process");
    std::fs::rename(&here, &there).unwrap();
    groupfold.options().data = Some(there);
    groupfold.restart().await;
    wait_until(
        "one server is left",
        BOUND,
        async || {
            if left.exists() { Err("the one before runs") } else { Ok(()) }
        },
    )
    .await;
    assert_eq!(groupfold.terminate().await, 0);
}
