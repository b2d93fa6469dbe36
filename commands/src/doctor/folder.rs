//! The data folder: who may read it, what is left over, what the store says of itself, room on the disk.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use groupfold_projector::store;

use super::{Findings, Level, Patient};
use crate::data::{others, start};

const FREE_SHARE_WARN: f64 = 0.10;
const FREE_SHARE_FAIL: f64 = 0.03;
const FREE_BYTES_WARN: u64 = 5 << 30;
const FREE_BYTES_FAIL: u64 = 512 << 20;
const OTHERS_NAMED_MAX: usize = 3;

/// Looks at the folder; `partitions` are those of the log, if it could be read.
pub(super) fn look(patient: &Patient, partitions: Option<u16>, findings: &mut Findings) {
    let data = &patient.data;
    if !data.is_dir() {
        if patient.run.is_none() && patient.api.is_none() {
            findings.warn("data folder", format!("there is no folder {}", data.display()), start(data));
        }
        return;
    }
    modes(data, findings);
    owners(data, findings);
    if patient.run.is_none() && data.join("run.json").exists() {
        findings.warn(
            "data folder",
            "run.json is there, and the process that left it is gone: it was killed",
            format!("{} (it takes over by itself)", start(data)),
        );
    }
    format(&data.join("store"), partitions, findings);
    disk(data, findings);
}

fn modes(data: &Path, findings: &mut Findings) {
    let files = ["", "run.json", "lock", "store", "nats", "nats/nats.conf"].map(|name| data.join(name));
    let open = |path: &&std::path::PathBuf| {
        std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
    };
    // What lies in a folder that nobody else may enter is safe whatever its own mode.
    let shut = !open(&&data.to_path_buf());
    let names: Vec<String> = files.iter().filter(open).map(|path| path.display().to_string()).collect();
    if shut || names.is_empty() {
        findings.ok("data folder", format!("{} is its owner's alone", data.display()));
    } else {
        findings.warn(
            "data folder",
            format!("others may read {}: phone numbers and tokens are in it", names.join(", ")),
            format!("chmod -R go= {}", data.display()),
        );
    }
}

/// Whoever else worked there, root say, leaves files that the owner of the stores cannot open at the next start.
fn owners(data: &Path, findings: &mut Findings) {
    let root = data.join("store");
    let uid = |path: &Path| std::fs::symlink_metadata(path).ok().map(|meta| meta.uid());
    let Some(owner) = uid(&root) else { return };
    let stores: Vec<PathBuf> = entries(&root);
    let files = stores.iter().flat_map(|store| entries(store));
    let beside = [data.join("lock"), data.join("run.json")];
    let all = stores.iter().cloned().chain(files).chain(beside);
    let mut others: Vec<String> = all
        .filter(|path| uid(path).is_some_and(|other| other != owner))
        .map(|path| path.display().to_string())
        .collect();
    if others.is_empty() {
        return;
    }
    let count = others.len();
    others.truncate(OTHERS_NAMED_MAX);
    findings.fail(
        "data folder",
        format!("{count} file(s) are not of user {owner}, whose the stores are: {} …", others.join(", ")),
        format!("stop the process, then chown -R --reference={} {}", root.display(), data.display()),
    );
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn format(root: &Path, partitions: Option<u16>, findings: &mut Findings) {
    let aside = format!("mv {0} {0}.aside, then restart: it is folded again from the log", root.display());
    match store::marker(root) {
        Ok(None) => {
            if root.is_dir() {
                findings.warn("store", format!("{} has no FORMAT", root.display()), aside);
            } else {
                findings.ok("store", "none here yet");
            }
        }
        Err(error) => {
            findings.fail("store", format!("FORMAT cannot be read: {error}"), unread(root, &error, aside))
        }
        Ok(Some(marker)) if marker.version != store::VERSION => {
            let (found, ours) = (marker.version, store::VERSION);
            findings.fail("store", format!("format {found:?}, this build reads {ours:?}"), aside);
        }
        Ok(Some(marker)) => match (marker.partitions, partitions) {
            (Some(found), Some(log)) if found != log => {
                findings.fail("store", format!("it is for {found} partitions, the log has {log}"), aside);
            }
            (None, _) => findings.fail("store", "FORMAT names no number of partitions", aside),
            (Some(found), _) => leftovers(root, found, findings),
        },
    }
}

/// What is not this user's to read, or what the disk does not give, is no reason to put a store aside.
fn unread(root: &Path, error: &std::io::Error, aside: String) -> String {
    match (error.kind(), others(&[&root.join("FORMAT"), root], error)) {
        (_, Some(belongs)) => format!("it {belongs}"),
        (ErrorKind::InvalidData | ErrorKind::IsADirectory, None) => aside,
        (_, None) => format!("ls -l {}, dmesg and smartctl -H", root.display()),
    }
}

fn leftovers(root: &Path, partitions: u16, findings: &mut Findings) {
    let listing = std::fs::read_dir(root).into_iter().flatten().flatten();
    let names: Vec<String> = listing.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let mut damaged: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.contains(".damaged-")).collect();
    damaged.sort_unstable();
    let folders = names.iter().filter(|name| name.parse::<u16>().is_ok_and(|id| id < partitions)).count();
    if !damaged.is_empty() {
        findings.warn(
            "store",
            format!(
                "damaged stores were set aside and folded again: {}; is the disk sound?",
                damaged.join(", ")
            ),
            format!("dmesg and smartctl -H, then rm -r {}/*.damaged-*", root.display()),
        );
    }
    findings.ok("store", format!("format {}, {folders} of {partitions} partitions here", store::VERSION));
}

fn disk(data: &Path, findings: &mut Findings) {
    let found = match rustix::fs::statvfs(data) {
        Ok(found) => found,
        Err(error) => {
            return findings.fail(
                "disk",
                format!("cannot be asked: {error}"),
                format!("df {}", data.display()),
            );
        }
    };
    let of = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let (level, text) = room(of(found.f_bavail), of(found.f_blocks), data);
    match level {
        Level::Ok => findings.ok("disk", text),
        level => {
            findings.add(level, "disk", text, "make room on it: a log that cannot grow refuses webhooks")
        }
    }
}

/// Whether the free room of a disk will do, and which bound it is under.
fn room(free: u64, all: u64, data: &Path) -> (Level, String) {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let share = free as f64 / all.max(1) as f64;
    let under = |bytes: u64, least: f64| {
        let bytes = (free < bytes).then(|| format!("{:.1} GiB", gib(bytes)));
        let least = (share < least).then(|| format!("{:.0} %", least * 100.0));
        [bytes, least].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    };
    let (fails, warns) = (under(FREE_BYTES_FAIL, FREE_SHARE_FAIL), under(FREE_BYTES_WARN, FREE_SHARE_WARN));
    let (level, under) = match (fails.is_empty(), warns.is_empty()) {
        (false, _) => (Level::Fail, format!(", less than {fails}")),
        (true, false) => (Level::Warn, format!(", less than {warns}")),
        (true, true) => (Level::Ok, String::new()),
    };
    let (data, percent) = (data.display(), share * 100.0);
    let of = format!("of the {:.1} GiB of the disk of {data}", gib(all));
    (level, format!("{:.1} GiB free, {percent:.0} % {of}{under}", gib(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `0.3 GiB free, 72 %` failed, and nobody saw why.
    #[test]
    fn a_disk_without_room_is_told_with_the_bound_that_it_is_under() {
        const MIB: u64 = 1 << 20;
        let told = |free: u64, all: u64| room(free * MIB, all * MIB, Path::new("/d"));
        for (free, all, level, under) in [
            (300, 417, Level::Fail, ", less than 0.5 GiB"),
            (10_000, 1_000_000, Level::Fail, ", less than 3 %"),
            (100, 100_000, Level::Fail, ", less than 0.5 GiB and 3 %"),
            (4_000, 10_000, Level::Warn, ", less than 5.0 GiB"),
            (50_000, 1_000_000, Level::Warn, ", less than 10 %"),
            (50_000, 100_000, Level::Ok, "the disk of /d"),
        ] {
            let (found, text) = told(free, all);
            assert!(found == level && text.ends_with(under), "{free} of {all}: {found:?} {text}");
        }
        assert_eq!(
            told(300, 417).1,
            "0.3 GiB free, 72 % of the 0.4 GiB of the disk of /d, less than 0.5 GiB"
        );
    }
}
