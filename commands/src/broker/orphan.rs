//! A nats-server that outlived its `up`, killed with -9 say. The next `up` ends it before it starts its own:
//! two servers on one folder would destroy it. Ours is the one that was started as we start it, on our config file, or
//! that has our folder's log open: the folder may have been moved since, and a command line tells where it was.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::child::LOG_FILE;
use crate::exit::Failure;

const END_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends every process that runs on the folder of this config file.
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

/// True for a process that was started as we start ours, `PROGRAM --config FILE`, on this very folder. An editor that
/// shows the file, or a server in a container that has a file of the same name, is somebody else's.
fn runs_on(pid: Pid, config_file: &Path) -> bool {
    let raw = pid.as_raw_nonzero();
    let Some(name) = config_file.to_str() else { return false };
    if !Path::new("/proc").is_dir() {
        let ps = std::process::Command::new("ps").args(["-o", "command=", "-p", &raw.to_string()]).output();
        return ps.is_ok_and(|ps| {
            String::from_utf8_lossy(&ps.stdout).trim_end().ends_with(&format!("--config {name}"))
        });
    }
    let process = PathBuf::from(format!("/proc/{raw}"));
    let Ok(words) = std::fs::read(process.join("cmdline")) else { return false };
    let words: Vec<&[u8]> = words.split(|b| *b == 0).filter(|word| !word.is_empty()).collect();
    let [_, b"--config", file] = words[..] else { return false };
    let theirs = process.join("root").join(config_file.strip_prefix("/").unwrap_or(config_file));
    let same = file == name.as_bytes() && identity(config_file).is_some();
    (same && identity(config_file) == identity(&theirs))
        || has_open(&process, &config_file.with_file_name(LOG_FILE))
}

/// True if a process has this very file open, under whatever name.
fn has_open(process: &Path, file: &Path) -> bool {
    let Some(ours) = identity(file) else { return false };
    let open = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    open.into_iter().any(|open| identity(&open.path()) == Some(ours))
}

/// What a file is, whatever its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok()
}
