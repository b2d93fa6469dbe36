//! What a process used so far, as the system counts it.

use std::time::Duration;

use groupfold_tests::memory;

/// Ticks per second of `/proc/PID/stat`, the same on every Linux that one meets.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of all its threads, its own and the system's for it. Zero where the system does not tell.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks =
        |field: usize| after_name.split_whitespace().nth(field).and_then(|text| text.parse::<u64>().ok());
    let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Memory that it holds now, in MiB.
pub(crate) fn rss_mib(pid: u32) -> f64 {
    mib(memory::now_kib(pid))
}

/// The most that it held at once, in MiB.
pub(crate) fn rss_most_mib(pid: u32) -> f64 {
    mib(memory::most_kib(pid))
}

#[allow(clippy::cast_precision_loss, reason = "kibibytes of a process")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
