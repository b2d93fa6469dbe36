//! Programs of others, and the references: started, found, ended.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use groupfold_tests::{Process, Scratch, wait_until};
use serde_json::Value;

use crate::args::beside;
use crate::process;

const START_WAIT: Duration = Duration::from_secs(20);
/// Longer than the longest turn.
const END_WAIT: Duration = Duration::from_secs(1800);

/// What a program that ran to its end did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran {
    /// Messages, writes or events.
    pub(crate) done: f64,
    /// The time that it took, by its own clock.
    pub(crate) seconds: f64,
    /// The most memory that it held.
    pub(crate) rss_mib: f64,
    /// CPU time.
    pub(crate) cpu: Duration,
}

/// A reference, not started yet.
pub(crate) fn reference(name: &str) -> Command {
    let mut command = Command::new(beside("groupfold-reference"));
    command.arg(name);
    command
}

/// Starts a server and waits for the line that says where it listens.
pub(crate) async fn serving(command: Command, log: &Path) -> (Process, String) {
    let mut process = Process::spawn("reference", command, log);
    let addr = wait_until("the reference listens", START_WAIT, async || {
        assert!(process.exited().is_none(), "the reference ended:\n{}", process.log_tail());
        let log = process.log();
        let addr = log.lines().find_map(|line| line.strip_prefix("listening "));
        addr.map(str::to_owned).ok_or("it does not say yet where")
    })
    .await;
    (process, addr)
}

/// Runs a reference to its end; it prints `{"done":…,"seconds":…}`.
pub(crate) async fn done(command: Command) -> Ran {
    let (log, ran) = to_its_end(command).await;
    let line = log.lines().rev().find(|line| line.starts_with('{')).expect("it says what it did");
    let json: Value = serde_json::from_str(line).expect("that is JSON");
    let number = |name: &str| json[name].as_f64().expect("a number");
    Ran { done: number("done"), seconds: number("seconds"), ..ran }
}

/// Runs a program to its end and returns what it printed; it must not fail.
pub(crate) async fn to_its_end(command: Command) -> (String, Ran) {
    let scratch = Scratch::new("bench-run");
    let log = scratch.path().join("log");
    let line = format!("{command:?}");
    let began = std::time::Instant::now();
    let mut process = Process::spawn("a program", command, &log);
    let pid = process.pid();
    let mut ran = Ran { done: 0.0, seconds: 0.0, rss_mib: 0.0, cpu: Duration::ZERO };
    let status = wait_until(&line, END_WAIT, async || {
        // Gone with the process: the last look before its end holds.
        ran.rss_mib = ran.rss_mib.max(process::rss_most_mib(pid));
        ran.cpu = ran.cpu.max(process::cpu(pid));
        process.exited().ok_or("it runs")
    })
    .await;
    ran.seconds = began.elapsed().as_secs_f64();
    assert!(status.success(), "{line}: {status}:\n{}", process.log_tail());
    (process.log(), ran)
}
