//! The desk: what the API takes to be written goes into the log from here.

use groupfold_ingest::replay::Log;
use groupfold_projector::desk::{Handed, Unwritten};
use groupfold_schemas::position::Position;
use groupfold_schemas::v1;

/// The writing hand behind the API of this process.
#[derive(Debug)]
pub(crate) struct Desk {
    log: Log,
}

impl Desk {
    pub(crate) fn new(client: async_nats::Client, partitions: u16) -> Self {
        Self { log: Log::new(client, partitions) }
    }
}

impl groupfold_projector::desk::Desk for Desk {
    fn append(&self, records: Vec<v1::Record>) -> Handed<'_, Result<Position, Unwritten>> {
        Box::pin(async move {
            let mut position = Position::default();
            for record in &records {
                let appended = self.log.append_ours(record).await.map_err(|error| {
                    tracing::warn!(error = %crate::exit::with_causes("append", &error), "an event of ours is not written");
                    Unwritten { reason: error.reason }
                })?;
                appended
                    .position
                    .iter()
                    .for_each(|(partition, sequence)| position.raise(partition, sequence));
            }
            Ok(position)
        })
    }
}
