//! The projector as one thing: opens the stores, runs a loop per partition, answers questions.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use futures_util::FutureExt as _;
use groupfold_schemas::log::PARTITIONS_MAX;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::api::ops::Ops;
use crate::api::{Api, Feed, Past};
use crate::background;
use crate::desk::Desk;
use crate::failures;
use crate::feed::Publisher;
use crate::metrics::{Metrics, PartitionMetrics};
use crate::partition::{Loop, Partition};
use crate::reads::Reads;
use crate::rebuild::{MEMORY_DEFAULT, Rebuilds, Shares};
use crate::server::{self, Entrance};
use crate::status::{Run, Stop};
use crate::store::{self, Store};
use crate::token::Token;

/// What a projector needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder; stores are in `store/` below it.
    pub data: PathBuf,
    /// Partitions of the log.
    pub partitions: u16,
    /// The partitions that this process owns; `None` for all.
    pub owned: Option<Vec<u16>>,
    /// Bound of the cache of each partition's database.
    pub cache_bytes: u64,
    /// Most events that one batch takes from the log.
    pub batch_events_max: usize,
    /// Tokens that open the query API; without one it is open to whoever reaches it.
    pub api_tokens: Vec<Token>,
    /// Longest that a reader may wait for a position.
    pub wait_ms_max: u64,
    /// Memory that a rebuild may take beside what serves, in bytes, see [`Shares`].
    pub rebuild_bytes: usize,
    /// Version of the build, for the API's description.
    pub build: String,
}

impl Settings {
    /// Cache of each partition's database, where nothing else is set.
    pub const CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
    /// Events of a batch, where nothing else is set.
    pub const BATCH_EVENTS_DEFAULT: usize = 1_000;
    /// Longest wait of a reader, where nothing else is set.
    pub const WAIT_MS_DEFAULT: u64 = 30_000;

    /// Settings for a data folder and a log; the rest as it is by default.
    #[must_use]
    pub fn new(data: PathBuf, partitions: u16) -> Self {
        Self {
            data,
            partitions,
            owned: None,
            cache_bytes: Self::CACHE_BYTES_DEFAULT,
            batch_events_max: Self::BATCH_EVENTS_DEFAULT,
            api_tokens: Vec::new(),
            wait_ms_max: Self::WAIT_MS_DEFAULT,
            rebuild_bytes: MEMORY_DEFAULT,
            build: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Why a projector cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A log has 1 to [`PARTITIONS_MAX`] partitions.
    #[error("{found} partitions, a log has 1 to {PARTITIONS_MAX}")]
    Partitions {
        /// What was asked for.
        found: u16,
    },
    /// A partition to own is none of the log's.
    #[error("partition {partition} is to be owned, the log has partitions 0 to {last}")]
    NoSuchPartition {
        /// What was asked for.
        partition: u16,
        /// The last one.
        last: u16,
    },
    /// Nothing is to be owned.
    #[error("no partition is to be owned")]
    NothingOwned,
    /// An empty token would open the API to everyone.
    #[error("an API token is empty")]
    EmptyToken,
    /// A store cannot be opened.
    #[error("a store cannot be opened")]
    Store(#[from] store::Error),
    /// A store broke its opener.
    #[error("a store cannot be opened")]
    Opener(#[source] tokio::task::JoinError),
    /// The system has no randomness to give.
    #[error("the system's random source failed")]
    Random,
}

/// A running projector.
#[derive(Debug, Clone)]
pub struct Projector {
    api: Api,
    stores: Arc<Vec<Arc<Store>>>,
    loops: TaskTracker,
}

/// Two connections to the broker, so that neither waits behind what the other carries.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Of what is asked for.
    pub answers: async_nats::Client,
    /// Of the log and of changes, thousands of messages at a time. Made on a thread of [`crate::background()`], its work is done
    /// by threads that give way to those that answer.
    pub log: async_nats::Client,
}

impl Projector {
    /// Opens the stores and starts a loop per owned partition. The loops read the log by themselves, and end
    /// when `shutdown` is cancelled.
    ///
    /// # Errors
    /// The settings make no sense, or a store cannot be opened.
    pub async fn start(
        Connections { answers, log: client }: Connections,
        settings: Settings,
        registry: &mut Registry,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let owned = owned(&settings)?;
        let ended = shutdown.clone();
        let metrics = Metrics::register(registry);
        let mut partitions = open(&settings, owned).await?;
        PartitionMetrics::register(registry, &partitions);

        let loops = TaskTracker::new();
        let met = Arc::new(tokio::sync::Notify::new());
        for partition in &mut partitions {
            partition.unreadable = Arc::clone(&met);
        }
        let (parking, following) =
            failures::tasks(client.clone(), partitions.clone(), met, registry, shutdown.clone());
        let background = background::handle();
        loops.spawn_on(parking, &background);
        loops.spawn_on(following, &background);
        for partition in &partitions {
            let span = tracing::info_span!("partition", partition = partition.id);
            let (partition, client) = (partition.clone(), client.clone());
            // Of this partition alone: what goes on without the other half ends with it.
            let (metrics, ended) = (metrics.clone(), shutdown.child_token());
            let publisher = Publisher::new(partition.clone(), client.clone(), ended.clone());
            let publishing = watched(partition.clone(), ended.clone(), publisher.run());
            loops.spawn_on(publishing.instrument(span.clone()), &background);
            let one =
                Loop::new(partition.clone(), client, settings.batch_events_max, metrics, ended.clone())?;
            loops.spawn_on(watched(partition, ended, one.run()).instrument(span), &background);
        }
        loops.close();
        let stores = Arc::new(partitions.iter().map(|partition| Arc::clone(&partition.store)).collect());
        let shares = Shares::beside(settings.rebuild_bytes);
        let rebuilds = Rebuilds::new(partitions.clone(), settings.partitions, client, shares, ended);
        let log = async_nats::jetstream::new(answers.clone());
        let reads = Reads::new(settings.partitions, partitions, settings.wait_ms_max);
        let reads = Arc::new(reads.of_log(log.clone(), shutdown.clone()));
        let api =
            Api::new(reads, &settings.api_tokens, metrics, &settings.build).ok_or(StartError::Random)?;
        let api = api.with_feed(Feed::new(answers, settings.partitions, shutdown));
        let api = api.with_past(Past::new(log)).with_rebuilds(rebuilds);
        Ok(Self { api, stores, loops })
    }

    /// The same, with somebody who writes what the API is asked to.
    #[must_use]
    pub fn with_desk(self, desk: Arc<dyn Desk>) -> Self {
        Self { api: self.api.with_desk(desk), ..self }
    }

    /// Opens the query API by these tokens from now on, and by no others: whoever follows changes by one that is not
    /// among them is cut. An API that began without tokens stays open to whoever reaches it.
    ///
    /// # Errors
    /// A token is empty; nothing has changed.
    pub fn replace_tokens(&self, tokens: &[Token]) -> Result<(), StartError> {
        if tokens.iter().any(Token::is_empty) {
            return Err(StartError::EmptyToken);
        }
        self.api.tokens.replace(tokens);
        Ok(())
    }

    /// The query API, with health and metrics of the process around.
    pub fn router(&self, ops: Ops) -> Router {
        self.api.router(ops)
    }

    /// Serves the query API until `shutdown` is cancelled and what is under way is answered, or a bound
    /// is over.
    pub async fn serve(&self, entrance: impl Into<Entrance>, ops: Ops, shutdown: CancellationToken) {
        server::serve(entrance, self.router(ops), shutdown).await;
    }

    pub(crate) fn reads(&self) -> &Reads {
        &self.api.reads
    }

    /// Waits until all loops have ended, then closes the stores. Answers under way are waited for; later
    /// ones are refused.
    pub async fn stopped(&self) {
        self.loops.wait().await;
        let stores = Arc::clone(&self.stores);
        let closed = tokio::task::spawn_blocking(move || stores.iter().for_each(|store| store.close()));
        if let Err(error) = closed.await {
            tracing::warn!(%error, "a store did not close");
        }
    }
}

/// A partition whose work ends by a panic stopped, and says so: it must not look as if it were waiting for events.
async fn watched(partition: Partition, ended: CancellationToken, work: impl Future<Output = ()>) {
    let Err(panic) = AssertUnwindSafe(work).catch_unwind().await else { return };
    let why = store::panic_text(&*panic);
    tracing::error!(reason = "panicked", detail = why, "partition stopped");
    ended.cancel();
    partition.status.send_modify(|status| status.run = Run::Stopped(Stop::Panicked { sequence: None, why }));
}

fn owned(settings: &Settings) -> Result<Vec<u16>, StartError> {
    let total = settings.partitions;
    if !(1..=PARTITIONS_MAX).contains(&total) {
        return Err(StartError::Partitions { found: total });
    }
    if settings.api_tokens.iter().any(Token::is_empty) {
        return Err(StartError::EmptyToken);
    }
    let mut owned = settings.owned.clone().unwrap_or_else(|| (0..total).collect());
    owned.sort_unstable();
    owned.dedup();
    match owned.last() {
        None => Err(StartError::NothingOwned),
        Some(&partition) if partition >= total => {
            Err(StartError::NoSuchPartition { partition, last: total - 1 })
        }
        Some(_) => Ok(owned),
    }
}

/// Opens all stores side by side: each reads itself once.
async fn open(settings: &Settings, owned: Vec<u16>) -> Result<Vec<Partition>, StartError> {
    let root = settings.data.join("store");
    let (check_root, total) = (root.clone(), settings.partitions);
    let check = tokio::task::spawn_blocking(move || Store::check_format(&check_root, total));
    check.await.map_err(StartError::Opener)??;
    let open_one = |partition| {
        let settings = store::Settings { root: root.clone(), partition, cache_bytes: settings.cache_bytes };
        tokio::task::spawn_blocking(move || Partition::new(Store::open(settings)?))
    };
    let opening: Vec<_> = owned.into_iter().map(open_one).collect();
    let mut partitions = Vec::with_capacity(opening.len());
    for one in opening {
        partitions.push(one.await.map_err(StartError::Opener)??);
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[tokio::test]
    async fn a_partition_whose_work_panics_has_stopped_and_says_so() {
        let folder = Folder::new();
        let partition = folder.open(1);
        let ended = CancellationToken::new();
        watched(partition.clone(), ended.clone(), async {}).await;
        assert!(!ended.is_cancelled());
        let work = async { std::panic::panic_any(format!("{} is no page", 7)) };
        watched(partition.clone(), ended.clone(), work).await;
        assert!(ended.is_cancelled(), "the other half ends");
        let Run::Stopped(stop) = partition.status.borrow().run.clone() else { panic!("it runs") };
        assert_eq!(
            (stop.code(), stop.to_string()),
            ("panicked", "a fault of groupfold: 7 is no page".into())
        );
    }
}
