//! `groupfold why`: the fate of one webhook, event, message or command, from the door to the state.

mod search;

use std::io::Write as _;

use serde_json::{Value, json};

use self::search::{EventHit, FailureHit, Hits};
use crate::api::PipelineReach;
use crate::audit::missing;
use crate::cli::Output;
use crate::exit::Failure;
use crate::failed::{settled, settled_in_words};
use crate::{print, when};

/// The fate of one webhook, event, message or command.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "An ID is an event id or failed id (32 digits), a position (2:10) or the id of a change (2:10:0), the Groupfold-Request-Id that the receiver answered, a \
                        message id (wamid…), a command's id (cmd_…), or the provider's request_id.\nAll of the log is searched; --since makes \
                        that shorter. Exit codes: 0 found, 1 nothing by that id is in the log."
)]
pub(crate) struct WhyArgs {
    /// Event id, position, id of a change, failed id, request id, message id, command id, or the provider's request_id
    id: String,
    /// Search what the log took at this time or later: 2026-01-31T12:00:00Z, or -1h
    #[arg(long, visible_alias = "from", value_name = "TIME", value_parser = when::time_ms, allow_hyphen_values = true)]
    since: Option<i64>,
    #[command(flatten)]
    reach: PipelineReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) async fn run(args: WhyArgs) -> Result<(), Failure> {
    let id = args.id.trim().to_owned();
    if id.is_empty() {
        return Err(Failure::Usage("the id is empty".to_owned()));
    }
    let log = args.reach.log().open().await?;
    let applied = Applied::ask(&args.reach).await;
    let at = search::at(&log, &id).await?;
    let hits = search::search(&log, &id, at.as_ref(), args.since).await?;
    for (stream, hole) in &hits.holes {
        let line = format!("groupfold: {stream}: {}, and was not looked at\n", missing(*hole));
        // Nothing is left to tell it to if this fails.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    if let Some(at) = &at
        && let Some(gone) = at.gone(applied.at(at.partition))
    {
        if hits.is_empty() {
            return Err(Failure::Failed(format!("{id}: {gone}")));
        }
        // What is parked for it is told all the same.
        let _ = writeln!(std::io::stderr(), "groupfold: {id}: {gone}");
    }
    if hits.is_empty() && at.is_some_and(|at| at.event_id.is_none()) {
        return Err(Failure::Failed(format!(
            "{id}: the message there is no record that this build can read, and is not parked: `groupfold audit`"
        )));
    }
    if hits.is_empty() {
        return Err(Failure::Failed(format!(
            "nothing by {id} is in the log ({} messages looked at): it never came, was refused (401, 503), was a duplicate, or was ignored: \
             no item that was ignored leaves a trace but a count, groupfold_ingest_items_total{{fate=\"ignored\"}} at the receiver's \
             /metrics by cause, and the sum of all receivers in `groupfold audit`; nor does a request of nothing but duplicates: what it told \
             again stands under the request that told it first, ask by event or message id; at the log level debug the receiver has a line \
             for each request id",
            hits.looked_at
        )));
    }
    print::either(args.output, || to_json(&id, &hits, &applied).to_string(), || in_words(&hits, &applied))
}

/// How far each partition is folded; unknown if no API answers.
pub(crate) struct Applied(Option<Vec<(u64, u64)>>);

impl Applied {
    async fn ask(reach: &PipelineReach) -> Self {
        let asked = async { reach.api.client()?.get(&["v1", "position"], &[]).await };
        let Ok(position) = asked.await else { return Self(None) };
        let partitions = position["partitions"].as_array().cloned().unwrap_or_default();
        let one = |one: &Value| Some((one["partition"].as_u64()?, one["applied"].as_u64()?));
        Self(Some(partitions.iter().filter_map(one).collect()))
    }

    fn at(&self, partition: u16) -> Option<u64> {
        let all = self.0.as_ref()?;
        all.iter().find(|(id, _)| *id == u64::from(partition)).map(|(_, applied)| *applied)
    }

    fn has(&self, hit: &EventHit) -> Option<bool> {
        self.at(hit.partition).map(|applied| applied >= hit.sequence)
    }
}

fn in_words(hits: &Hits, applied: &Applied) -> String {
    let mut lines = Vec::new();
    for hit in &hits.events {
        let record = &hit.record;
        lines.push(format!("event      {} {}", record.event_id, hit.kind()));
        lines.push(format!(
            "  door     {} in request {}",
            print::time(record.received_time_ms),
            record.request_id
        ));
        let replayed = if record.replayed { ", by a replay of a failure" } else { "" };
        lines.push(format!("  verdict  appended{replayed}"));
        lines.push(format!("  log      {} at {}", hit.position(), print::time(hit.log_time_ms)));
        let state = match (applied.at(hit.partition), applied.has(hit)) {
            (Some(at), Some(true)) => format!("folded (partition {} is at {at})", hit.partition),
            (Some(at), _) => format!("not folded yet: partition {} is at {at}", hit.partition),
            (None, _) => "unknown: no query API answers; give --api-url".to_owned(),
        };
        lines.push(format!("  state    {state}"));
        if !record.group_id.is_empty() {
            lines.push(format!("  group    {}", record.group_id));
        }
        if applied.has(hit) == Some(false) {
            // It has changed nothing yet.
        } else if let Some(reason) = hit.unreadable {
            lines.push(format!("  changed  nothing: the projector cannot read it ({reason})"));
        } else {
            let happened = print::time(record.provider_time_ms);
            lines
                .extend(hit.changed().into_iter().map(|what| format!("  changed  {what}, as of {happened}")));
        }
        for again in &hit.again {
            lines.push(format!("  again    {again} (the same event once more: changes nothing)"));
        }
    }
    for hit in &hits.failures {
        let failed = &hit.failed;
        lines.push(format!("failure    {}", failed.failed_id));
        lines.push(format!(
            "  door     {} in request {}",
            print::time(failed.received_time_ms),
            failed.request_id
        ));
        lines.push(format!("  verdict  failed: {} at {}", failed.cause, hit.field()));
        if !failed.log_position.is_empty() {
            lines.push(format!("  log      {}", failed.log_position));
        }
        lines.push(format!("  expected {}", failed.expected));
        lines.push(match &hit.resolution {
            Some(resolution) => format!("  settled  {}", settled_in_words(resolution)),
            None => format!("  repair   {}", hit.repair()),
        });
    }
    lines.join("\n")
}

fn to_json(id: &str, hits: &Hits, applied: &Applied) -> Value {
    let event = |hit: &EventHit| {
        let record = &hit.record;
        json!({
            "event_id": record.event_id,
            "kind": hit.kind(),
            "group_id": (!record.group_id.is_empty()).then_some(&record.group_id),
            "account": record.account,
            "request_id": record.request_id,
            "provider_request_id": record.provider_request_id,
            "received_at": print::time(record.received_time_ms),
            "provider_time": print::time(record.provider_time_ms),
            "verdict": "appended",
            "replayed": record.replayed,
            "position": hit.position(),
            "log_time": print::time(hit.log_time_ms),
            "applied": applied.has(hit),
            "projector_position": applied.at(hit.partition).map(|at| format!("{}:{at}", hit.partition)),
            "changed": match (hit.unreadable, applied.has(hit)) {
                (Some(_), _) | (_, Some(false)) => Vec::new(),
                (None, _) => hit.changed(),
            },
            "unreadable": hit.unreadable,
            "again": hit.again,
        })
    };
    let failure = |hit: &FailureHit| {
        let failed = &hit.failed;
        json!({
            "failed_id": failed.failed_id,
            "cause": failed.cause,
            "field": failed.pointer,
            "expected": failed.expected,
            "request_id": failed.request_id,
            "received_at": print::time(failed.received_time_ms),
            "verdict": "failed",
            "log_position": (!failed.log_position.is_empty()).then_some(&failed.log_position),
            "settled": hit.resolution.as_ref().map(settled_in_words),
            "resolution": hit.resolution.as_ref().map(settled),
            "repair": hit.resolution.is_none().then(|| hit.repair()),
        })
    };
    let hole = |(stream, (first, last)): &(String, (u64, u64))| json!({ "stream": stream, "first": first, "last": last });
    json!({
        "id": id,
        "events": hits.events.iter().map(event).collect::<Vec<_>>(),
        "failures": hits.failures.iter().map(failure).collect::<Vec<_>>(),
        "missing": hits.holes.iter().map(hole).collect::<Vec<_>>(),
    })
}
