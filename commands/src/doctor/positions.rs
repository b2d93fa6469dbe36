//! How far the projection is, against what the log has.

use groupfold_schemas::log;

use super::broker::Log;
use super::{Findings, Patient};
use crate::health::{self, PartitionProgress};

const LAG_SECONDS_MAX: f64 = 60.0;

pub(super) async fn look(patient: &Patient, log: Option<&Log>, findings: &mut Findings) {
    let Some((api, token)) = &patient.api else {
        if log.is_some() {
            findings.warn(
                "positions",
                "not looked at: no API is known",
                "groupfold doctor --api-url http://HOST:PORT …",
            );
        }
        return;
    };
    match health::readiness(api).await {
        Ok(ready) if ready.reasons.is_empty() => {
            let claims = ready.durability.map(|name| format!(", durability {name}")).unwrap_or_default();
            findings.ok("ready", format!("{api} takes requests{claims}"));
        }
        Ok(ready) => {
            for reason in ready.reasons {
                findings.fail("ready", reason, "deploy/RUNBOOK.md, Health, names the way out of each reason");
            }
        }
        Err(failure) => {
            let mend = "is the address right, and does the process run? groupfold up, or --api-url";
            return findings.fail("ready", failure.to_string(), mend);
        }
    }
    let progress = match health::progress(api, token.as_deref()).await {
        Ok(Some(progress)) => progress,
        Ok(None) => return findings.ok("positions", "a receiver alone: it folds nothing"),
        Err(failure) => {
            return findings.fail("positions", failure.to_string(), "groupfold doctor --api-token …");
        }
    };
    let before = findings.0.len();
    for partition in &progress.partitions {
        judge(partition, log, findings).await;
    }
    if progress.lag_events > 0 && progress.lag_seconds > LAG_SECONDS_MAX {
        findings.warn(
            "positions",
            format!(
                "{} events wait to be folded, the oldest for {:.0} s",
                progress.lag_events, progress.lag_seconds
            ),
            "wait if it is catching up (groupfold check lag); else look at disk and CPU",
        );
    }
    if findings.0.len() == before {
        let (count, waits) = (progress.partitions.len(), progress.lag_events);
        findings.ok("positions", format!("{count} partitions within their streams, {waits} events wait"));
    }
}

async fn judge(partition: &PartitionProgress, log: Option<&Log>, findings: &mut Findings) {
    let PartitionProgress { partition: id, applied, state, reason, .. } = partition;
    if state == "stopped" {
        let code = reason.as_deref().unwrap_or("unknown");
        findings.fail(
            "positions",
            format!("partition {id} stopped at {applied}: {code}"),
            format!("deploy/RUNBOOK.md, `{code}`, then restart the process"),
        );
    } else if state != "running" {
        findings.warn(
            "positions",
            format!("partition {id} is {state}"),
            "bring the broker back; it reconnects by itself",
        );
    }
    let Some(log) = log else { return };
    let Ok(stream) = log.context.get_stream(log::stream(*id)).await else {
        return findings.fail(
            "positions",
            format!("partition {id} has no stream"),
            "restore the stream; groupfold provision",
        );
    };
    let ends = &stream.cached_info().state;
    let rescue = "deploy/RUNBOOK.md, Of the projector: restore the stream, or fold again";
    if *applied > ends.last_sequence {
        let reason = format!("partition {id} is at {applied}, its stream ends at {}", ends.last_sequence);
        findings.fail("positions", reason, rescue);
    } else if applied + 1 < ends.first_sequence {
        let reason = format!("partition {id} is at {applied}, its stream begins at {}", ends.first_sequence);
        findings.fail("positions", reason, rescue);
    }
    let gone = ends.deleted_count.unwrap_or(0);
    if gone > 0 {
        let reason = format!("{gone} messages within {} are gone", log::stream(*id));
        findings.fail(
            "positions",
            reason,
            "restore the stream from a backup; groupfold does not step over a hole",
        );
    }
}
