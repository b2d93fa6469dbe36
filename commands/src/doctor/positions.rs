//! How far the projection is, against what the log has.

use groupfold_projector::loss;
use groupfold_schemas::log;

use super::broker::Log;
use super::{Findings, Patient};
use crate::api::Client;
use crate::broker::shown;
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
    let asked = async {
        let client = Client::new(api, token.clone())?;
        health::readiness(&client).await.map(|ready| (client, ready))
    };
    let (client, ready) = match asked.await {
        Ok(answered) => answered,
        Err(failure) => {
            let mend = "is the address right, and does the process run? groupfold up, or --api-url";
            return findings.fail("ready", failure.to_string(), mend);
        }
    };
    if ready.reasons.is_empty() {
        let claims = ready.durability.map(|name| format!(", durability {name}")).unwrap_or_default();
        findings.ok("ready", format!("{} takes requests{claims}", shown(api)));
    }
    for reason in ready.reasons {
        findings.fail("ready", reason, "deploy/RUNBOOK.md, Health, names the way out of each reason");
    }
    let progress = match health::progress(&client).await {
        Ok(Some(progress)) => progress,
        Ok(None) => return findings.ok("positions", "a receiver alone: it folds nothing"),
        Err(failure) => {
            let mend = "groupfold doctor --api-token …, one with the scope read; of the tokens in the settings one is sent that \
                        stands there as it is, no hash, and without phone_number_ids";
            return findings.fail("positions", failure.to_string(), mend);
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
    match (state.as_str(), reason.as_deref()) {
        ("stopped", code) => {
            let code = code.unwrap_or("unknown");
            findings.fail(
                "positions",
                format!("partition {id} stopped at {applied}: {code}"),
                format!("deploy/RUNBOOK.md, `{code}`, then restart the process"),
            );
        }
        // Whatever it does meanwhile: its store is opened anew again and again.
        (_, Some(code)) => findings.fail(
            "positions",
            format!("partition {id} takes nothing in after {applied}: {code}"),
            format!("deploy/RUNBOOK.md, `{code}`; it goes on by itself once the disk of --data takes writes"),
        ),
        ("running", None) => {}
        (state, None) => findings.warn(
            "positions",
            format!("partition {id} is {state}"),
            "bring the broker back; it reconnects by itself",
        ),
    }
    let Some(log) = log else { return };
    let Ok(stream) = log.context.get_stream(log::stream(*id)).await else {
        return findings.fail(
            "positions",
            format!("partition {id} has no stream"),
            "restore the stream from a backup: deploy/RUNBOOK.md, A stream that vanished",
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
        match loss::accepted_in(&log.context, *id, ends.first_sequence).await {
            Ok(accepted) if accepted >= gone => findings.ok("positions", format!("{reason}, accepted as lost")),
            _ => findings.fail(
                "positions",
                reason,
                format!("restore the stream from a backup; the last resort is `groupfold accept-loss --partition {id}`"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[tokio::test]
    async fn a_store_without_room_is_no_missing_broker() {
        let judged = async |state: &str, reason: Option<&str>| {
            let (state, reason) = (state.to_owned(), reason.map(str::to_owned));
            let partition = PartitionProgress { partition: 1, applied: 6, log_end: 7, state, reason };
            let mut findings = Findings::default();
            judge(&partition, None, &mut findings).await;
            findings.0.pop().map(|finding| (finding.level, finding.mend.unwrap_or_default()))
        };
        for state in ["running", "reconnecting"] {
            let (level, mend) = judged(state, Some("disk_full")).await.unwrap();
            assert!(
                level == Level::Fail && mend.contains("`disk_full`") && !mend.contains("broker"),
                "{mend}"
            );
        }
        assert!(judged("reconnecting", None).await.unwrap().1.contains("broker"));
        assert!(judged("stopped", Some("missing_sequence")).await.unwrap().1.contains("`missing_sequence`"));
        assert!(judged("running", None).await.is_none());
    }
}
