//! The streams of the log: what they must be, creating those that are missing, comparing those that are.
//!
//! A stream that is there is never changed. The number of partitions is fixed when the log is made: it
//! decides which stream a group's events stand in.

mod definition;

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{CreateStreamError, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{self, Context, ErrorCode};
use groupfold_schemas::log;

pub(crate) use definition::ALLOW_ATOMIC;
pub use definition::{Difference, FORMAT, MAX_BYTES, NUM_REPLICAS};

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
    /// How long the broker itself knows a duplicate.
    pub duplicate_window: Duration,
    /// Streams of events, by name, to make again though the log is not new: what was in them is given up.
    pub anew: Vec<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            partitions: log::PARTITIONS_DEFAULT,
            replicas: 1,
            max_bytes: None,
            duplicate_window: Duration::from_secs(120),
            anew: Vec::new(),
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
    /// Streams of events are gone from a log that is not new: empty ones in their place would hide what is lost, and take
    /// what a stream that is restored later does not have.
    #[error("{} missing, and the log is not new", .streams.join(", "))]
    Vanished {
        /// Their names.
        streams: Vec<String>,
    },
    /// A stream that is to be made again is there, or none of the log's streams of events.
    #[error("{stream} is no stream of events that is missing")]
    NotMissing {
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
    Counts(#[source] crate::bucket::Error),
    /// A stream cannot be made.
    #[error("the stream {stream} cannot be created")]
    Create {
        /// Its name.
        stream: String,
        /// Why.
        source: CreateStreamError,
    },
}

/// Makes the streams that are missing and compares the others. A stream of events is made in a new log alone, or where
/// the plan names it.
///
/// # Errors
/// The log has another number of partitions, a stream is foreign, one of events vanished, or the broker does not do it.
pub async fn provision(client: &Client, plan: &Plan) -> Result<Report, Error> {
    run(client, plan, true).await
}

/// Compares without making anything.
///
/// # Errors
/// As [`provision`], save that a stream that vanished is missing.
pub async fn check(client: &Client, plan: &Plan) -> Result<Report, Error> {
    run(client, plan, false).await
}

/// The number of partitions of the log that is there; `None` if there is none.
///
/// # Errors
/// The stream that tells is foreign or cannot be looked up.
pub async fn discover(client: &Client) -> Result<Option<u16>, Error> {
    let context = jetstream::new(client.clone());
    // The first stream may be the one that vanished.
    for name in [log::stream(0), log::FAILED_STREAM.to_owned()] {
        if let Some(config) = lookup(&context, &name).await? {
            return partitions_of(&config).map(Some).ok_or(Error::Foreign { stream: name });
        }
    }
    Ok(None)
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
    let wanted = definition::all(plan);
    let mut found = Vec::with_capacity(wanted.len());
    // From the last to the first, for they are made the other way round: of a log that another process is making nobody
    // sees a gap.
    for one in wanted.iter().rev() {
        found.insert(0, look(&context, &one.name).await?);
    }
    for (wanted, found) in wanted.iter().zip(&found) {
        match found {
            Some(found) => compare(&found.config, wanted, plan, &mut report)?,
            None => report.missing.push(wanted.name.clone()),
        }
    }
    if create {
        let ends: Vec<Option<u64>> =
            found.iter().map(|found| found.as_ref().map(|info| info.state.last_sequence)).collect();
        admit(plan, &ends)?;
        report.missing.clear();
        // In this order: the first stream tells the number of partitions, so whoever stops half-way is found out by the
        // next run.
        for wanted in wanted.into_iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(one, _)| one)
        {
            let name = wanted.name.clone();
            let created = context.create_stream(wanted).await;
            created.map_err(|source| Error::Create { stream: name.clone(), source })?;
            report.created.push(name);
        }
    }
    // Made when they are first needed, with as many copies as the log had then.
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

/// Refuses to make streams of events in a log that is not new. `ends` has the last sequence of each stream of the plan,
/// in their order, where it is there.
fn admit(plan: &Plan, ends: &[Option<u64>]) -> Result<(), Error> {
    let events = usize::from(plan.partitions);
    let is_missing = |name: &&String| {
        log::partition_of_stream(name).is_some_and(|id| ends.get(usize::from(id)) == Some(&None))
    };
    let is_planned = |name: &&String| log::partition_of_stream(name).is_some_and(|id| id < plan.partitions);
    if let Some(stream) = plan.anew.iter().find(|name| !(is_planned(name) && is_missing(name))) {
        return Err(Error::NotMissing { stream: stream.clone() });
    }
    let there = ends.iter().take_while(|end| end.is_some()).count();
    // One that is made stops with empty streams of events, the first ones, and nothing behind them.
    let is_begun = there <= events && ends[..there].iter().all(|end| *end == Some(0));
    if is_begun && ends[there..].iter().all(Option::is_none) {
        return Ok(());
    }
    let missing =
        (0..plan.partitions).filter(|id| ends.get(usize::from(*id)) == Some(&None)).map(log::stream);
    let streams: Vec<String> = missing.filter(|name| !plan.anew.contains(name)).collect();
    if streams.is_empty() { Ok(()) } else { Err(Error::Vanished { streams }) }
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
    Ok(look(context, name).await?.map(|info| info.config))
}

/// What the broker says of a stream; `None` if there is none of that name.
///
/// # Errors
/// The broker does not tell.
pub async fn look(context: &Context, name: &str) -> Result<Option<Info>, Error> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(source) => match source.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(Error::Lookup { stream: name.to_owned(), source }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused, of a log of three partitions: its streams of events, then four others.
    fn refused(ends: [Option<u64>; 7], anew: &[&str]) -> String {
        let anew = anew.iter().map(|name| (*name).to_owned()).collect();
        let plan = Plan { partitions: 3, anew, ..Plan::default() };
        admit(&plan, &ends).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_stream_of_events_is_made_in_a_new_log_or_on_an_operators_word_alone() {
        const N: Option<u64> = None;
        const E: Option<u64> = Some(0);
        let fine = [
            [N; 7],
            [E, N, N, N, N, N, N],
            [E, E, E, N, N, N, N],
            [E, E, E, E, E, N, N],
            // Others may be made again.
            [Some(9), Some(9), E, N, Some(1), N, N],
        ];
        for ends in fine {
            assert_eq!(refused(ends, &[]), "", "{ends:?}");
        }
        let second = "GROUPFOLD_EVENTS_1 missing, and the log is not new";
        // The one group that there is may have been in it.
        for ends in [
            [E, N, E, E, E, E, E],
            [Some(9), N, Some(9), E, E, E, E],
            [E, N, E, N, N, N, N],
            [E, N, E, N, N, N, E],
        ] {
            assert_eq!(refused(ends, &[]), second, "{ends:?}");
            assert_eq!(refused(ends, &["GROUPFOLD_EVENTS_1"]), "", "{ends:?}");
        }
        let last_two = "GROUPFOLD_EVENTS_1, GROUPFOLD_EVENTS_2 missing, and the log is not new";
        assert_eq!(refused([Some(9), N, N, N, N, N, N], &[]), last_two, "no first provisioning had events");
        let all =
            "GROUPFOLD_EVENTS_0, GROUPFOLD_EVENTS_1, GROUPFOLD_EVENTS_2 missing, and the log is not new";
        assert_eq!(refused([N, N, N, E, E, E, E], &[]), all);
        for name in ["GROUPFOLD_EVENTS_0", "GROUPFOLD_EVENTS_3", "GROUPFOLD_FAILED"] {
            let none = format!("{name} is no stream of events that is missing");
            assert_eq!(refused([E, N, E, N, N, N, N], &[name]), none);
        }
    }
}
