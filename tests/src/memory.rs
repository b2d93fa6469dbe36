//! Memory of a process, as the system counts it.

/// Memory that it holds now, in KiB. Zero where the system does not tell.
#[must_use]
pub fn now_kib(pid: u32) -> u64 {
    field(pid, "VmRSS:")
}

/// The most that it held at once, in KiB. Zero where the system does not tell.
#[must_use]
pub fn most_kib(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or_default()
}
