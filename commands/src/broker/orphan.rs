//! A nats-server that outlived its `up`, killed with -9 say. The next `up` ends it before it starts its own:
//! two servers on one folder would destroy it. Ours is the one whose command line names our config file;
//! nobody else's can be hit.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::exit::Failure;

const END_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends every process that runs on this config file.
pub(crate) async fn end(config_file: &Path, pid_file: &Path) -> Result<(), Failure> {
    for pid in candidates(pid_file) {
        if runs_on(pid, config_file) {
            tracing::warn!(pid = pid.as_raw_nonzero().get(), "ending a nats-server that a former run left");
            end_one(pid, config_file).await?;
        }
    }
    Ok(())
}

async fn end_one(pid: Pid, config_file: &Path) -> Result<(), Failure> {
    let begin = Instant::now();
    let _ = kill_process(pid, Signal::TERM);
    while runs_on(pid, config_file) && test_kill_process(pid).is_ok() {
        if begin.elapsed() > END_DEADLINE * 2 {
            let pid = pid.as_raw_nonzero();
            return Err(Failure::Failed(format!(
                "process {pid}, a nats-server of a former run, does not end"
            )));
        }
        if begin.elapsed() > END_DEADLINE {
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// All processes where the system lists them as files; else the one that the server wrote down.
fn candidates(pid_file: &Path) -> Vec<Pid> {
    let pid = |text: &str| Pid::from_raw(text.trim().parse().ok()?);
    match std::fs::read_dir("/proc") {
        Ok(processes) => processes.flatten().filter_map(|entry| pid(entry.file_name().to_str()?)).collect(),
        Err(_) => std::fs::read_to_string(pid_file).ok().and_then(|text| pid(&text)).into_iter().collect(),
    }
}

fn runs_on(pid: Pid, config_file: &Path) -> bool {
    let raw = pid.as_raw_nonzero();
    let Some(config_file) = config_file.to_str() else { return false };
    match std::fs::read(format!("/proc/{raw}/cmdline")) {
        Ok(words) => words.split(|b| *b == 0).any(|word| word == config_file.as_bytes()),
        Err(_) if Path::new("/proc").is_dir() => false,
        Err(_) => std::process::Command::new("ps")
            .args(["-o", "command=", "-p", &raw.to_string()])
            .output()
            .is_ok_and(|ps| String::from_utf8_lossy(&ps.stdout).contains(config_file)),
    }
}
