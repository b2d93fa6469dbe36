//! A projector that runs on its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use groupfold_tests::{Groupfold, Process, http, wait_until};
use serde_json::Value;

use crate::args::Args;
use crate::bed::Bed;

/// A store of ten million keys is read once when it is opened.
const START_WAIT: Duration = Duration::from_secs(300);
const STOP_WAIT: Duration = Duration::from_secs(60);
/// Longer than any log takes to be folded.
const FOLD_WAIT: Duration = Duration::from_secs(7200);

pub(super) struct Project {
    process: Process,
    pub(super) addr: SocketAddr,
    /// From its start until it listened.
    pub(super) opened: Duration,
    client: groupfold_tests::http::Client,
}

/// How far it is.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) at: Instant,
    /// The last sequence applied, by partition.
    pub(super) applied: Vec<u64>,
    pub(super) lag_events: u64,
}

impl Project {
    /// Starts one and waits until its API answers: it has opened its stores then.
    pub(super) async fn start(args: &Args, bed: &Bed, data: &Path) -> Self {
        let options = bed.options(args);
        let mut command = Groupfold::command_of(options.binary.as_deref());
        command.arg("project").arg("--data").arg(data).args([
            "--api-addr",
            "127.0.0.1:0",
            "--nats-url",
            &bed.url(),
        ]);
        command.envs(options.env);
        let began = Instant::now();
        let mut process =
            Process::spawn("groupfold project", command, &bed.scratch.path().join("project.log"));
        let pid = process.pid();
        let client = http::client();
        let addr: SocketAddr = wait_until("the projector serves", START_WAIT, async || {
            assert!(process.exited().is_none(), "the projector ended:\n{}", process.log_tail());
            let addr = left(data, pid).ok_or_else(|| "it does not say yet where".to_owned())?;
            let answer = client.get(format!("http://{addr}/v1/position")).send().await;
            answer.map_err(|error| error.to_string())?;
            addr.parse::<SocketAddr>().map_err(|error| error.to_string())
        })
        .await;
        Self { process, addr, opened: began.elapsed(), client }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) async fn position(&self) -> Position {
        let url = format!("http://{}/v1/position", self.addr);
        let response = self.client.get(url).send().await.expect("the projector answers");
        let json: Value = response.json().await.expect("it is JSON");
        let partitions = json["partitions"].as_array().expect("partitions");
        Position {
            at: Instant::now(),
            applied: partitions.iter().map(|one| one["applied"].as_u64().unwrap_or(0)).collect(),
            lag_events: json["lag_events"].as_u64().unwrap_or(u64::MAX),
        }
    }

    /// Waits until so many events are applied; returns how far it was at first, and the time from then.
    pub(super) async fn caught_up(&self, events: u64) -> (u64, Duration) {
        let first = self.position().await;
        let what = format!("{events} events are applied");
        let last = wait_until(&what, FOLD_WAIT, async || {
            let now = self.position().await;
            let applied: u64 = now.applied.iter().sum();
            if applied >= events { Ok(now) } else { Err(format!("{applied} are")) }
        })
        .await;
        (first.applied.iter().sum(), last.at - first.at)
    }

    pub(super) async fn stop(mut self) {
        let status = self.process.terminate(STOP_WAIT).await;
        assert!(status.success(), "{status}:\n{}", self.process.log_tail());
    }

    pub(super) fn kill9(mut self) {
        self.process.kill9();
    }
}

/// What this very process left in its data folder.
fn left(data: &Path, pid: u32) -> Option<String> {
    let json: Value = serde_json::from_slice(&std::fs::read(data.join("run.json")).ok()?).ok()?;
    (json["pid"] == pid).then(|| json["api_addr"].as_str().map(str::to_owned))?
}
