//! The projector's part in failures: parking log records that it cannot read where people look for failures, and
//! telling how many wait to be settled.

mod follow;
mod park;

use std::sync::Arc;

use async_nats::Client;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::partition::Partition;

/// Starts nothing by itself: both futures are to be run until `shutdown`.
pub(crate) fn tasks(
    client: Client,
    partitions: Vec<Partition>,
    met: Arc<Notify>,
    registry: &mut Registry,
    shutdown: CancellationToken,
) -> (impl Future<Output = ()> + use<>, impl Future<Output = ()> + use<>) {
    let waiting = follow::Waiting::register(registry);
    let context = async_nats::jetstream::new(client);
    let parking = park::run(context.clone(), partitions, met, shutdown.clone());
    (parking, follow::run(context, waiting, shutdown))
}
