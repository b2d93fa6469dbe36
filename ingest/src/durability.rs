//! What an acknowledgement of the log is worth.
//!
//! By default the broker acknowledges from the page cache. It tells whether it syncs on its monitoring
//! port alone, so without one nothing is claimed.

mod monitor;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Info, PersistenceMode};
use groupfold_schemas::log;

/// Replicas from which a majority outlives the loss of one machine.
const REPLICAS_SAFE: usize = 3;

/// What an acknowledgement is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// On the disk of one node (`sync_interval: always`).
    Fsync,
    /// In a majority of at least three nodes.
    Replicated,
    /// In one node's page cache: survives a crash of the process, not of the power.
    PageCache,
    /// The broker's setting cannot be read.
    Unverified,
}

impl Durability {
    /// Stable name, as in the answer to a webhook.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Replicated => "replicated",
            Self::PageCache => "page-cache",
            Self::Unverified => "unverified",
        }
    }
}

/// Reads the streams and, where those do not settle it, the broker's monitoring port
/// (`http://host:port`).
pub async fn determine(context: &Context, partitions: u16, monitor_url: Option<&str>) -> Durability {
    let streams = (0..partitions).map(log::stream).chain(log::SIDE_STREAMS.map(str::to_owned));
    let mut all_replicated = true;
    let server = context.client().server_info();
    for name in streams {
        let Ok(stream) = context.get_stream(name).await else { return Durability::Unverified };
        let info = stream.cached_info();
        if info.config.persist_mode == Some(PersistenceMode::Async) {
            // The stream itself asks not to be synced, whatever the server does.
            return Durability::PageCache;
        }
        all_replicated &= info.config.num_replicas >= REPLICAS_SAFE;
        if info.config.num_replicas < REPLICAS_SAFE && !is_on(info, &server.server_name) {
            return Durability::Unverified;
        }
    }
    if all_replicated {
        return Durability::Replicated;
    }
    let Some(url) = monitor_url else { return Durability::Unverified };
    match monitor::syncs_always(url, &server.server_id).await {
        Ok(true) => Durability::Fsync,
        Ok(false) => Durability::PageCache,
        Err(error) => {
            tracing::warn!(%error, "the broker's monitoring port cannot be read");
            Durability::Unverified
        }
    }
}

/// What the broker says of a stream that it holds: after a write that failed, for want of room say, it takes nothing
/// more until it is started again. `None` if there is none, or if the monitoring port does not tell.
pub async fn held_stream(monitor_url: &str) -> Option<String> {
    monitor::write_error(monitor_url).await.unwrap_or_default()
}

/// The share of its tightest bound that the log uses: a stream's, the account's, the server's. `None` if no
/// bound can be learned.
#[allow(clippy::cast_precision_loss, reason = "a share needs no last digits")]
pub(crate) async fn fullness(context: &Context, partitions: u16, monitor_url: Option<&str>) -> Option<f64> {
    let mut shares = Vec::new();
    let mut share = |bytes: u64, bytes_max: u64| {
        if bytes_max > 0 {
            shares.push(bytes as f64 / bytes_max as f64);
        }
    };
    for name in (0..partitions).map(log::stream).chain(log::SIDE_STREAMS.map(str::to_owned)) {
        if let Ok(stream) = context.get_stream(name).await {
            let info = stream.cached_info();
            share(info.state.bytes, u64::try_from(info.config.max_bytes).unwrap_or(0));
        }
    }
    if let Ok(account) = context.query_account().await {
        share(account.storage, account.limits.max_storage.and_then(|max| max.try_into().ok()).unwrap_or(0));
    }
    if let Some(url) = monitor_url
        && let Ok((bytes, bytes_max)) = monitor::storage(url, &context.client().server_info().server_id).await
    {
        share(bytes, bytes_max);
    }
    shares.into_iter().reduce(f64::max)
}

/// True if the stream lives on the server that is connected, whose monitoring port is asked.
fn is_on(info: &Info, server_name: &str) -> bool {
    match &info.cluster {
        None => true,
        Some(cluster) => cluster.leader.as_deref().is_none_or(|leader| leader == server_name),
    }
}
