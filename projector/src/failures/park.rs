//! Records that could not be read, parked in the stream of failures with their bytes. The store knows them (they were
//! committed with the position), the stream of failures knows which of them are parked: so a crash in between, a store
//! folded anew or another build neither lose one nor park it under two ids.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind};
use groupfold_schemas::failure::{Cause, fingerprint};
use groupfold_schemas::id::EventId;
use groupfold_schemas::{frame, log, v1};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::loss::LOST;
use crate::partition::Partition;
use crate::scan::{self, Over};
use crate::store;

/// Records looked at in one round of one partition.
const ROUND_MAX: usize = 500;
const BATCH: usize = 1_000;
/// How often what could not be parked is tried again.
const AGAIN: Duration = Duration::from_secs(5);
const ACK_WAIT: Duration = Duration::from_secs(5);
/// Room for a failure's own fields below the broker's bound of a message.
const AROUND_BYTES: usize = 4 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn run(
    mut context: Context,
    partitions: Vec<Partition>,
    met: Arc<Notify>,
    shutdown: CancellationToken,
) {
    context.set_timeout(ACK_WAIT);
    let mut parking = Parking { context, done: BTreeMap::new(), parked: None };
    loop {
        let round = async {
            let more = parking.round(&partitions).await;
            match more {
                Ok(true) => {}
                Ok(false) => tokio::select! {
                    () = met.notified() => {}
                    () = tokio::time::sleep(AGAIN * 12) => {}
                },
                Err(error) => {
                    tracing::warn!(%error, "records that cannot be read are not parked yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = round => {}
        }
    }
}

struct Parking {
    context: Context,
    /// Up to which sequence all is parked, by partition.
    done: BTreeMap<u16, u64>,
    /// Ids that were parked before this process; read when the first one is met.
    parked: Option<HashSet<String>>,
}

impl Parking {
    /// Parks what is found; true if there may be more. The stream of failures may refuse for all. A store that cannot be
    /// read and a stream that does not answer hold up their own partition alone, until the next round.
    async fn round(&mut self, partitions: &[Partition]) -> Result<bool, Error> {
        let mut more = false;
        for partition in partitions {
            let id = partition.id;
            let after = self.done.get(&id).copied().unwrap_or_default();
            let looked_at = partition.clone();
            // On a thread that may block: while a store is opened anew it answers nobody.
            let looked = tokio::task::spawn_blocking(move || unreadable(&looked_at, after)).await;
            let looked = looked.unwrap_or_else(|panic| {
                partition.report(&store::panicked(id, Box::new(panic)));
                None
            });
            let Some((found, created)) = looked else { continue };
            more |= self.park_all(id, &created, &found).await? && found.len() == ROUND_MAX;
        }
        Ok(more)
    }

    /// Parks them in order; false if the log does not give one of them now.
    async fn park_all(
        &mut self,
        partition: u16,
        created: &str,
        found: &[v1::Unreadable],
    ) -> Result<bool, Error> {
        for record in found {
            // Of what is lost there are no bytes to keep.
            if record.reason != LOST
                && let Err(error) = self.park(partition, created, record).await?
            {
                let sequence = record.sequence;
                tracing::warn!(partition, sequence, %error, "a record that cannot be read is not parked yet");
                return Ok(false);
            }
            self.done.insert(partition, record.sequence);
        }
        Ok(true)
    }

    /// The inner error is why the log does not say what it has.
    async fn park(
        &mut self,
        partition: u16,
        created: &str,
        record: &v1::Unreadable,
    ) -> Result<Result<(), Error>, Error> {
        let sequence = record.sequence;
        let parts = ["unreadable", created, &partition.to_string(), &sequence.to_string()];
        let failed_id = EventId::hash(parts.map(str::as_bytes)).as_str().to_owned();
        let parked = match &mut self.parked {
            Some(parked) => parked,
            none => none.insert(known(&self.context).await?),
        };
        if parked.contains(&failed_id) {
            return Ok(Ok(()));
        }
        let failed = match fetch(&self.context, partition, sequence).await {
            Ok(message) => {
                failure(&failed_id, record, partition, message, self.context.client().max_payload())
            }
            Err(error) => return Ok(Err(error)),
        };
        let publish = PublishMessage::build()
            .payload(frame::encode(&failed).into())
            .message_id(&failed_id)
            .expected_stream(log::FAILED_STREAM);
        let subject = log::failed_subject(failed.provider().name(), &failed.cause);
        self.context.send_publish(subject, publish).await?.await?;
        tracing::warn!(partition, sequence, reason = record.reason, failed_id, "record parked as a failure");
        parked.insert(failed_id);
        Ok(Ok(()))
    }
}

/// What a store could not read, behind a sequence, and of which stream; `None` of one that cannot be asked now.
fn unreadable(partition: &Partition, after: u64) -> Option<(Vec<v1::Unreadable>, String)> {
    // A store that is closed for a moment is looked at in the next round.
    let view = partition.store.view().ok()?;
    match view.unreadable_after(after, ROUND_MAX) {
        Ok(found) => Some((found, view.progress().stream_created.clone())),
        Err(error) => {
            partition.report(&error);
            None
        }
    }
}

/// A record's message; `None` if the log has it no more.
async fn fetch(context: &Context, partition: u16, sequence: u64) -> Result<Option<StreamMessage>, Error> {
    let stream = context.get_stream_no_info(log::stream(partition)).await?;
    match stream.direct_get(sequence).await {
        Ok(message) => return Ok(Some(message)),
        Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    // Any copy answered, and may be behind: the leader knows.
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The ids of all records that are parked, over what is missing: one that is not known is parked once more, under the
/// same id.
async fn known(context: &Context) -> Result<HashSet<String>, Error> {
    let scan::Ends { first, last, .. } = scan::ends(context, log::FAILED_STREAM).await?;
    let mut scan = Over::new(context.clone(), log::FAILED_STREAM.to_owned(), first, last);
    let mut ids = HashSet::new();
    while let Some(batch) = scan.next_batch(BATCH).await? {
        let read = |found: &scan::Found| frame::decode::<v1::FailedWebhook>(&found.payload).ok();
        let parked = |failed: &v1::FailedWebhook| failed.cause == Cause::UnreadableRecord.name();
        ids.extend(batch.iter().filter_map(read).filter(parked).map(|failed| failed.failed_id));
    }
    Ok(ids)
}

/// What is kept of a record. Of one that the log has no more that it was there, and why it could not be read: nothing is
/// passed over in silence.
fn failure(
    failed_id: &str,
    record: &v1::Unreadable,
    partition: u16,
    message: Option<StreamMessage>,
    max_payload: usize,
) -> v1::FailedWebhook {
    let subject = message.as_ref().map(|message| message.subject.as_str()).unwrap_or_default();
    let told = log::read_event_subject(subject);
    let kind = told.as_ref().map_or("", |(_, _, kind, _)| kind.as_str());
    let cause = Cause::UnreadableRecord.name();
    let expected = match record.reason.as_str() {
        _ if message.is_none() => "its message, which the log has no more: there is nothing to read again",
        "unknown_version" => "a record of a version that this build reads: was it written by a newer one?",
        "checksum" | "truncated" | "undecodable" => {
            "the bytes that were written: are the broker's files well?"
        }
        "value_too_large" => "an event whose texts keep within the bounds of the store",
        _ => "a record with an event that this build knows",
    };
    let mut failed = v1::FailedWebhook {
        failed_id: failed_id.to_owned(),
        account: told.as_ref().map(|(_, account, _, _)| account.clone()).unwrap_or_default(),
        group_id: told.as_ref().and_then(|(_, _, _, group)| group.clone()).unwrap_or_default(),
        cause: cause.to_owned(),
        expected: format!("{}: {expected}", record.reason),
        fingerprint: fingerprint([cause, &record.reason, kind].map(str::as_bytes)),
        // When the log took it, or else when it was found to be gone.
        received_time_ms: message.as_ref().map_or_else(
            || jiff::Timestamp::now().as_millisecond(),
            |message| crate::stream::millis(message.time),
        ),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        log_position: format!("{partition}:{}", record.sequence),
        log_subject: subject.to_owned(),
        ..v1::FailedWebhook::default()
    };
    // What does not fit a second time is still in the log, at the position that the failure names.
    if let Some(message) = message.filter(|message| message.payload.len() + AROUND_BYTES <= max_payload) {
        failed.raw = message.payload;
    }
    failed
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::testing::{Folder, nobodys_client, taken, with_one_thread};

    /// A store that was opened anew had a thread wait for it that others needed.
    #[test]
    fn a_store_is_looked_at_where_nobody_else_waits_for_it() {
        with_one_thread(async {
            let folder = Folder::new();
            let partitions = [folder.open(3)];
            let context = async_nats::jetstream::new(nobodys_client().await);
            let mut parking = Parking { context, done: BTreeMap::new(), parked: None };
            let let_go = taken();
            assert!(parking.round(&partitions).now_or_never().is_none());
            drop(let_go);
            assert!(!parking.round(&partitions).await.unwrap());
        });
    }
}
