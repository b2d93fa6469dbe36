//! The streams: as planned, and when they are full.

use std::collections::BTreeSet;

use groupfold_ingest::provision::{self, Plan};
use groupfold_schemas::log::{self, SIDE_STREAMS};

use super::broker::Log;
use super::{Findings, Patient, room};
use crate::exit::with_causes;

pub(super) async fn look(patient: &Patient, log: &Log, findings: &mut Findings) {
    let Some(partitions) = log.partitions else { return };
    let configured = patient.config.as_ref();
    let plan = Plan {
        partitions,
        replicas: configured.map_or(1, |config| config.replicas),
        max_bytes: configured.and_then(|config| config.log_bytes_max),
        ..Plan::default()
    };
    match provision::check(&log.client, &plan).await {
        Ok(report) => {
            for stream in &report.missing {
                findings.fail("streams", format!("{stream} is missing"), mend_missing(stream));
            }
            // What nobody said here may well have been said to the process that runs.
            let said = |setting: &str| match setting {
                provision::MAX_BYTES => configured.is_some_and(|config| config.gives("log_bytes_max")),
                provision::NUM_REPLICAS => configured.is_some_and(|config| config.gives("replicas")),
                _ => true,
            };
            let differences: Vec<_> =
                report.differences.iter().filter(|difference| said(difference.setting)).collect();
            for difference in &differences {
                judge(difference, findings);
            }
            if report.missing.is_empty() && differences.is_empty() {
                let others: BTreeSet<_> = report.differences.iter().map(|one| &one.stream).collect();
                let count = report.unchanged.len() + others.len();
                findings.ok("streams", format!("{count} as planned: they refuse rather than forget"));
            }
        }
        Err(error) => {
            findings.fail(
                "streams",
                with_causes("they cannot be compared", &error),
                "groupfold provision --check",
            );
        }
    }
    let names = (0..partitions).map(log::stream).chain(SIDE_STREAMS.map(str::to_owned));
    let mut streams = Vec::new();
    for name in names {
        if let Ok(stream) = log.context.get_stream(name).await {
            streams.push(stream.cached_info().clone());
        }
    }
    room::look(log, &streams, findings).await;
}

/// An empty stream of events hides what is lost; the others hold nobody's only copy, or what can be told again.
pub(super) fn mend_missing(stream: &str) -> String {
    if log::partition_of_stream(stream).is_none() {
        return "groupfold provision".to_owned();
    }
    format!(
        "restore {stream} from a backup (deploy/RUNBOOK.md, A stream that vanished); the last resort: groupfold provision --anew {stream}"
    )
}

/// What makes the log forget is worse than what makes it bigger or slower.
fn judge(difference: &provision::Difference, findings: &mut Findings) {
    let provision::Difference { stream, setting, found, wanted } = difference;
    let reason = format!("{stream}: {setting} is {found}, {wanted} is wanted");
    let edit = |flag: &str| format!("nats stream edit {stream} {flag}");
    let fix = |flag: &str, why: &str| (format!("{reason}: {why}"), edit(flag));
    let (reason, mend) = match *setting {
        "discard" if wanted == "New" => {
            fix("--discard new", "a full log forgets the oldest instead of refusing")
        }
        "discard" => fix("--discard old", "full, it takes nothing more instead of forgetting the oldest"),
        "retention" | "storage" => (
            format!("{reason}: it does not keep what it acknowledged"),
            format!("copy {stream} into a new stream; it cannot be changed"),
        ),
        "deny_delete" | "deny_purge" => (
            format!("{reason}: somebody can remove events"),
            format!("copy {stream} into a new stream; it cannot be changed"),
        ),
        "max_age" if wanted == "none" => fix("--max-age 0s", "events expire"),
        "max_msgs" => fix("--max-msgs=-1", "it is bounded"),
        "max_msgs_per_subject" => fix("--max-msgs-per-subject=-1", "a group's history is bounded"),
        "persist_mode" | "no_ack" | "sealed" | "subjects" | "max_msg_size" | "allow_direct" => {
            (reason, format!("nats stream edit {stream}, then groupfold provision --check"))
        }
        _ => {
            let flag = match *setting {
                provision::MAX_BYTES => "--max-bytes …, or set --log-bytes-max to what it is",
                "duplicate_window" => "--dupe-window 2m",
                provision::NUM_REPLICAS => "--replicas …, or set --replicas of the settings to what it is",
                _ => "",
            };
            return findings.warn("streams", reason, edit(flag));
        }
    };
    findings.fail("streams", reason, mend);
}
