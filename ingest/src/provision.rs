//! The streams of the log: what they must be, creating those that are missing, comparing those that are.
//!
//! A stream that is there is never changed. The number of partitions is fixed when the log is made: it
//! decides which stream a group's events stand in.

mod definition;

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{CreateStreamError, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context, ErrorCode};
use groupfold_schemas::log;

pub(crate) use definition::ALLOW_ATOMIC;
pub use definition::{Difference, FORMAT};

/// The streams of the buckets beside the log: receivers' counts, who sends a command and what idempotency keys mean,
/// pictures, who replays.
const BUCKETS: [&str; 4] =
    ["KV_groupfold_receivers", "KV_groupfold_commands", "OBJ_groupfold_uploads", "KV_groupfold_leases"];

/// The log to make or to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Streams of events.
    pub partitions: u16,
    /// Copies of each stream; 3 or 5 in a cluster.
    pub replicas: usize,
    /// Most bytes of each stream, after which it refuses; `None` for the disk's own limit.
    pub max_bytes: Option<u64>,
    /// Age after which events are forgotten; `None` for never.
    pub max_age: Option<Duration>,
    /// How long the broker itself knows a duplicate.
    pub duplicate_window: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            partitions: log::PARTITIONS_DEFAULT,
            replicas: 1,
            max_bytes: None,
            max_age: None,
            duplicate_window: Duration::from_secs(120),
        }
    }
}

/// What was found and done, by stream name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Made now.
    pub created: Vec<String>,
    /// There, and as planned.
    pub unchanged: Vec<String>,
    /// Not there, where nothing was to be made.
    pub missing: Vec<String>,
    /// There, and not as planned. Left alone.
    pub differences: Vec<Difference>,
}

/// Why the log cannot be made or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan itself is impossible.
    #[error("{found} partitions are planned, 1 to {max} are possible", max = log::PARTITIONS_MAX)]
    Plan {
        /// What the plan says.
        found: u16,
    },
    /// The log has another number of partitions, which never changes.
    #[error("the log has {found} partitions by its stream {stream}, {wanted} are planned")]
    Partitions {
        /// The stream that tells.
        stream: String,
        /// What it tells.
        found: String,
        /// What the plan says.
        wanted: u16,
    },
    /// A stream of that name is there and is none of ours.
    #[error("the stream {stream} does not say that it is of a log of groupfold, or of a newer one")]
    Foreign {
        /// Its name.
        stream: String,
    },
    /// A stream's state cannot be read.
    #[error("the stream {stream} cannot be looked up")]
    Lookup {
        /// Its name.
        stream: String,
        /// Why.
        source: GetStreamError,
    },
    /// The bucket of receivers' counts cannot be made.
    #[error("the receivers' counts have no place")]
    Counts(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stream cannot be made.
    #[error("the stream {stream} cannot be created")]
    Create {
        /// Its name.
        stream: String,
        /// Why.
        source: CreateStreamError,
    },
}

/// Makes the streams that are missing and compares the others.
///
/// # Errors
/// The log has another number of partitions, a stream is foreign, or the broker does not do it.
pub async fn provision(client: &Client, plan: &Plan) -> Result<Report, Error> {
    run(client, plan, true).await
}

/// Compares without making anything.
///
/// # Errors
/// As [`provision`].
pub async fn check(client: &Client, plan: &Plan) -> Result<Report, Error> {
    run(client, plan, false).await
}

/// The number of partitions of the log that is there; `None` if there is none.
///
/// # Errors
/// The first stream is foreign or cannot be looked up.
pub async fn discover(client: &Client) -> Result<Option<u16>, Error> {
    let context = jetstream::new(client.clone());
    let name = log::stream(0);
    let Some(config) = lookup(&context, &name).await? else { return Ok(None) };
    partitions_of(&config).map(Some).ok_or(Error::Foreign { stream: name })
}

/// The number of partitions of the log that a stream is of; `None` if it is none of ours.
pub(crate) fn partitions_of(config: &Config) -> Option<u16> {
    let partitions = definition::partitions(config)?.parse().ok();
    partitions.filter(|n| (1..=log::PARTITIONS_MAX).contains(n))
}

/// How many copies the log's streams have: as many as whatever is agreed on beside it must have, or the loss of a single
/// node of a cluster is the loss of that.
///
/// # Errors
/// The broker does not tell.
pub async fn replicas(context: &Context) -> Result<usize, GetStreamError> {
    Ok(context.get_stream(log::stream(0)).await?.cached_info().config.num_replicas)
}

async fn run(client: &Client, plan: &Plan, create: bool) -> Result<Report, Error> {
    if !(1..=log::PARTITIONS_MAX).contains(&plan.partitions) {
        return Err(Error::Plan { found: plan.partitions });
    }
    let context = jetstream::new(client.clone());
    let mut report = Report::default();
    // In this order: the first stream tells the number of partitions, so whoever stops half-way is
    // found out by the next run.
    for wanted in definition::all(plan) {
        match lookup(&context, &wanted.name).await? {
            Some(found) => compare(&found, &wanted, plan, &mut report)?,
            None if create => {
                let name = wanted.name.clone();
                context
                    .create_stream(wanted)
                    .await
                    .map_err(|source| Error::Create { stream: name.clone(), source })?;
                report.created.push(name);
            }
            None => report.missing.push(wanted.name),
        }
    }
    // Made when they are first needed, by builds of before with a single copy.
    for bucket in BUCKETS {
        if let Some(found) = lookup(&context, bucket).await? {
            report.differences.extend(definition::copies(&found, plan.replicas));
        }
    }
    if create {
        // Receivers keep their counts there, and may not be allowed to make it.
        crate::tally::bucket(client).await.map_err(Error::Counts)?;
    }
    Ok(report)
}

fn compare(found: &Config, wanted: &Config, plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let stream = wanted.name.clone();
    let partitions =
        definition::partitions(found).ok_or_else(|| Error::Foreign { stream: stream.clone() })?;
    if partitions != plan.partitions.to_string() {
        return Err(Error::Partitions { stream, found: partitions.to_owned(), wanted: plan.partitions });
    }
    let differences = definition::differences(found, wanted);
    if differences.is_empty() {
        report.unchanged.push(stream);
    }
    report.differences.extend(differences);
    Ok(())
}

pub(crate) async fn lookup(context: &Context, name: &str) -> Result<Option<Config>, Error> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
        Err(source) => match source.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(Error::Lookup { stream: name.to_owned(), source }),
        },
    }
}
