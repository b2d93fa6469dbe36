//! The broker: whether it answers, what it is, whether it syncs, what time it has.

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use groupfold_ingest::durability::{self, Durability};
use groupfold_ingest::{PAYLOAD_SHIPPED, payload_wanted, provision};
use groupfold_schemas::log;
use serde_json::Value;

use super::{Findings, Patient};
use crate::broker::{Access, NATS_VERSION, connect, shown};
use crate::exit::with_causes;
use crate::health;

/// A body of 3 MiB that is not JSON is kept whole in one message.
const MAX_PAYLOAD_BYTES_MIN: usize = 8 * 1000 * 1000;
/// Clocks further apart than this make ages and lag wrong to the eye.
const CLOCK_APART_MS: i64 = 2_000;
/// Before this the clock was not set: 2025.
const CLOCK_FIRST_MS: i64 = 1_735_689_600_000;
const REPLICAS_SAFE: usize = 3;

/// A broker that answers.
pub(super) struct Log {
    pub(super) client: Client,
    pub(super) context: Context,
    /// Of the log as it was provisioned; absent without one.
    pub(super) partitions: Option<u16>,
    /// Bytes that the server itself may store for all streams, if it tells.
    pub(super) server_bytes_max: Option<u64>,
}

pub(super) async fn look(patient: &Patient, findings: &mut Findings) -> Option<Log> {
    let configured = patient.config.as_ref();
    let url = configured
        .and_then(|config| config.nats_url.clone())
        .or_else(|| patient.run.as_ref().map(|run| run.nats_url.clone()));
    let Some(url) = url else {
        if patient.api.is_some() {
            findings.warn(
                "broker",
                "not looked at: no address is known",
                "groupfold doctor --nats-url nats://HOST:PORT …",
            );
        }
        return None;
    };
    let access = match (configured.filter(|config| config.nats_url.is_some()), &patient.run) {
        (None, Some(run)) => run.nats_access.clone(),
        (Some(config), _) => config.nats_access.clone(),
        (None, None) => Access::default(),
    };
    let client = match connect(&url, &access).await {
        Ok(client) => client,
        Err(failure) => {
            let own = configured.is_none_or(|config| config.nats_url.is_none())
                && patient.data.join("nats/nats.conf").exists();
            let mend = if own {
                "restart groupfold up: it ends its nats-server and starts it anew"
            } else {
                "start the broker, or give its address by --nats-url"
            };
            findings.fail("broker", failure.to_string(), mend);
            return None;
        }
    };
    server(&client, &url, configured.map(|config| config.body_bytes_max), findings);
    let context = jetstream::new(client.clone());
    let partitions = partitions(&client, patient, findings).await;
    let monitor_url = configured
        .and_then(|config| config.nats_monitor_url.clone())
        .or_else(|| patient.run.as_ref().and_then(|run| run.monitor_url.clone()));
    if let Some(partitions) = partitions {
        let found = durability::determine(&context, partitions, monitor_url.as_deref()).await;
        let missing =
            if found == Durability::Unverified { missing(&context, partitions).await } else { None };
        match missing {
            Some(stream) => findings.warn(
                "durability",
                format!("unverified: the stream {stream} is missing"),
                super::streams::mend_missing(&stream),
            ),
            None => judge_durability(found, patient, monitor_url.is_some(), findings),
        }
    }
    let report = match &monitor_url {
        Some(monitor) => health::monitor(monitor).await.unwrap_or_default(),
        None => Value::Null,
    };
    clock(&context, partitions, &report, findings).await;
    let server_bytes_max = report["config"]["max_storage"].as_u64();
    Some(Log { client, context, partitions, server_bytes_max })
}

/// The first stream of the log that is not there.
async fn missing(context: &Context, partitions: u16) -> Option<String> {
    for name in (0..partitions).map(log::stream).chain(log::SIDE_STREAMS.map(str::to_owned)) {
        if let Ok(None) = provision::look(context, &name).await {
            return Some(name);
        }
    }
    None
}

fn server(client: &Client, url: &str, body_bytes_max: Option<usize>, findings: &mut Findings) {
    let info = client.server_info();
    findings.ok("broker", format!("{} answers as {:?}", shown(url), info.server_name));
    let (found, wanted) = (numbers(&info.version), numbers(NATS_VERSION));
    if info.version == NATS_VERSION {
        findings.ok("nats-server", format!("version {NATS_VERSION}, the one that is tested"));
    } else {
        let side = if found < wanted { "behind" } else { "not" };
        findings.warn(
            "nats-server",
            format!("version {}, {side} the tested {NATS_VERSION}", info.version),
            "deploy/nats/install, then restart the broker with the program it names",
        );
    }
    let wanted = body_bytes_max.map_or(0, payload_wanted);
    if info.max_payload < wanted.max(MAX_PAYLOAD_BYTES_MIN) {
        let set = if wanted <= PAYLOAD_SHIPPED { "8MB".to_owned() } else { wanted.to_string() };
        findings.fail(
            "max_payload",
            format!("{} bytes: longer items, and longer bodies that cannot be read, are refused for ever", info.max_payload),
            format!("set `max_payload: {set}` in the broker's configuration (deploy/nats/single.conf), then restart it: who is connected hears of it no sooner"),
        );
    }
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}

async fn partitions(client: &Client, patient: &Patient, findings: &mut Findings) -> Option<u16> {
    match provision::discover(client).await {
        Ok(Some(found)) => {
            match patient.config.as_ref().and_then(|config| config.partitions) {
                Some(wanted) if wanted != found => findings.fail(
                    "partitions",
                    format!("the log has {found} partitions for ever, the settings say {wanted}"),
                    format!("leave out --partitions (GROUPFOLD_PARTITIONS), or set it to {found}"),
                ),
                _ => findings.ok("partitions", format!("{found}, as provisioned")),
            }
            Some(found)
        }
        Ok(None) => {
            findings.fail(
                "streams",
                "there is no log on this broker",
                "was there one? Restore its streams from a backup; else groupfold provision --nats-url …",
            );
            None
        }
        Err(error) => {
            findings.fail(
                "streams",
                with_causes("the log cannot be read", &error),
                "groupfold provision --check",
            );
            None
        }
    }
}

/// What an acknowledgement is worth, against what the settings mean it to be.
fn judge_durability(found: Durability, patient: &Patient, monitored: bool, findings: &mut Findings) {
    let replicas = patient.config.as_ref().map_or(1, |config| config.replicas);
    let wanted = if replicas >= REPLICAS_SAFE { Durability::Replicated } else { Durability::Fsync };
    match found {
        Durability::PageCache => findings.fail(
            "durability",
            format!("page-cache: a power cut loses acknowledged webhooks; {} is wanted", wanted.name()),
            "set `sync_interval: always` in the broker's jetstream block (deploy/nats/single.conf) and restart it, or groupfold provision --replicas 3 on a cluster",
        ),
        Durability::Unverified if monitored => findings.warn(
            "durability",
            "unverified: the monitoring address does not answer, or belongs to another server than the leader",
            "give --nats-monitor-url of the server that leads the streams",
        ),
        Durability::Unverified => findings.warn(
            "durability",
            "unverified: the broker tells whether it syncs on its monitoring port alone",
            "give --nats-monitor-url http://HOST:8222 (in the broker's configuration: `http: 127.0.0.1:8222`)",
        ),
        found if wanted == Durability::Replicated && found != wanted => findings.fail(
            "durability",
            format!("{}: the settings claim {replicas} replicas, the streams have fewer", found.name()),
            format!("set num_replicas of the streams by the broker's own tools (nats stream edit --replicas {replicas})"),
        ),
        found => findings.ok("durability", format!("{}: acknowledged means safe", found.name())),
    }
}

/// Ours against the broker's, where it tells; and no event may be of the future.
async fn clock(context: &Context, partitions: Option<u16>, report: &Value, findings: &mut Findings) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mend = "chronyc makestep (or timedatectl set-ntp true), here and on the broker's machine";
    if now_ms < CLOCK_FIRST_MS {
        return findings.fail("clock", format!("it says {}", crate::print::time(now_ms)), mend);
    }
    let theirs = report["now"].as_str().and_then(|now| now.parse::<jiff::Timestamp>().ok());
    let apart_ms = theirs.map(|theirs| theirs.as_millisecond().abs_diff(now_ms));
    let mut newest_ms = i64::MIN;
    for partition in 0..partitions.unwrap_or(0) {
        if let Ok(stream) = context.get_stream(groupfold_schemas::log::stream(partition)).await {
            newest_ms = newest_ms.max(stream.cached_info().state.last_timestamp.unix_timestamp() * 1000);
        }
    }
    let ahead_ms = newest_ms.saturating_sub(jiff::Timestamp::now().as_millisecond());
    match apart_ms {
        Some(apart_ms) if apart_ms > CLOCK_APART_MS.unsigned_abs() => {
            findings.warn("clock", format!("{apart_ms} ms apart from the broker's"), mend);
        }
        _ if ahead_ms > CLOCK_APART_MS => {
            findings.warn("clock", format!("the log's newest event is {ahead_ms} ms in our future"), mend);
        }
        Some(apart_ms) => findings.ok("clock", format!("{apart_ms} ms apart from the broker's")),
        None => findings.ok("clock", "plausible; the broker does not tell its own"),
    }
}
