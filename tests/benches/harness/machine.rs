//! Where it was measured.

use std::process::Command;

use groupfold_tests::nats_server_binary;
use serde::{Deserialize, Serialize};

use crate::args::Args;

/// The machine and the versions of what ran on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) groupfold: String,
    pub(crate) nats_server: String,
    pub(crate) load_before: String,
    pub(crate) load_after: String,
}

impl Machine {
    pub(crate) fn here(args: &Args) -> Self {
        let folder = std::env::temp_dir();
        let file_system = says(Command::new("df").args(["--output=source,fstype"]).arg(&folder));
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: field("/proc/meminfo", "MemTotal")
                .trim_end_matches(" kB")
                .parse()
                .unwrap_or(f64::NAN)
                / (1024.0 * 1024.0),
            kernel: says(Command::new("uname").arg("-sr")),
            file_system: file_system.lines().last().unwrap_or_default().to_owned(),
            groupfold: says(Command::new(args.groupfold()).arg("--version")),
            nats_server: says(Command::new(nats_server_binary()).arg("--version")),
            load_before: load(),
            load_after: String::new(),
        }
    }
}

/// Processes that wanted to run, on average over 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
}

fn says(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
