//! Records that could not be read, parked in the stream of failures with their bytes. The store knows them (they were
//! committed with the position), the stream of failures knows which of them are parked: so a crash in between, a store
//! folded anew or another build neither lose one nor park it under two ids.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use groupfold_schemas::failure::Cause;
use groupfold_schemas::id::EventId;
use groupfold_schemas::{frame, log, v1};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::loss::LOST;
use crate::partition::Partition;
use crate::scan::{self, From, Scan, Stretch};

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
    let mut parking = Parking { context, done: BTreeMap::new(), waiting: BTreeMap::new(), parked: None };
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
    /// Up to which sequence all is parked or waits, by partition.
    done: BTreeMap<u16, u64>,
    /// What could not be fetched, such as from a stream without a leader: by partition, tried again in each round.
    waiting: BTreeMap<u16, Vec<v1::Unreadable>>,
    /// Ids that were parked before this process; read when the first one is met.
    parked: Option<HashSet<String>>,
}

impl Parking {
    /// Parks what is found and what could not be parked before; true if there may be more. The stream of failures may
    /// refuse for all; what cannot be fetched holds up nothing else.
    async fn round(&mut self, partitions: &[Partition]) -> Result<bool, Error> {
        let mut more = false;
        for partition in partitions {
            let after = self.done.get(&partition.id).copied().unwrap_or_default();
            let (mut found, created) = {
                // A store that is closed for a moment is looked at in the next round.
                let Ok(view) = partition.store.view() else { continue };
                (view.unreadable_after(after, ROUND_MAX)?, view.progress().stream_created)
            };
            more |= found.len() == ROUND_MAX;
            let waiting = self.waiting.remove(&partition.id).unwrap_or_default();
            found.splice(..0, waiting);
            let mut found = found.into_iter();
            while let Some(record) = found.next() {
                // Of what is lost there are no bytes to keep.
                if record.reason == LOST {
                    self.passed(partition.id, record.sequence);
                    continue;
                }
                match self.park(partition.id, &created, &record).await {
                    Ok(Ok(())) => self.passed(partition.id, record.sequence),
                    Ok(Err(error)) => {
                        let sequence = record.sequence;
                        tracing::warn!(partition = partition.id, sequence, %error, "a record that cannot be read is not parked yet");
                        self.passed(partition.id, sequence);
                        self.waiting.entry(partition.id).or_default().push(record);
                    }
                    Err(error) => {
                        let seen = self.done.get(&partition.id).copied().unwrap_or_default();
                        // Those that are beyond are found again by the store.
                        let left = [record].into_iter().chain(found).filter(|record| record.sequence <= seen);
                        self.waiting.entry(partition.id).or_default().extend(left);
                        return Err(error);
                    }
                }
            }
        }
        Ok(more)
    }

    fn passed(&mut self, partition: u16, sequence: u64) {
        let done = self.done.entry(partition).or_default();
        *done = sequence.max(*done);
    }

    /// The inner error is why the record's message cannot be had.
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
        let fetched = async {
            let stream = self.context.get_stream_no_info(log::stream(partition)).await?;
            Ok::<_, Error>(stream.direct_get(sequence).await?)
        };
        let message = match fetched.await {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let at = format!("{partition}:{sequence}");
        let log_time_ms = crate::tail::millis(message.time);
        let mut failed = failure(&failed_id, record, &at, message.subject.as_str(), log_time_ms);
        // What does not fit a second time is still in the log, at the position that the failure names.
        if message.payload.len() + AROUND_BYTES <= self.context.client().max_payload() {
            failed.raw = message.payload;
        }
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

/// The ids of all records that are parked.
async fn known(context: &Context) -> Result<HashSet<String>, Error> {
    let to = scan::ends(context, log::FAILED_STREAM).await?.last;
    let subject = log::failed_subject("*", Cause::UnreadableRecord.name());
    let stream = log::FAILED_STREAM.to_owned();
    let stretch = Stretch { stream, from: From::Sequence(1), to, subjects: vec![subject] };
    let mut scan = Scan::new(context.clone(), stretch);
    let mut ids = HashSet::new();
    while let Some(batch) = scan.next_batch(BATCH).await? {
        let read = |found: &scan::Found| frame::decode::<v1::FailedWebhook>(&found.payload).ok();
        ids.extend(batch.iter().filter_map(read).map(|failed| failed.failed_id));
    }
    Ok(ids)
}

fn failure(
    failed_id: &str,
    record: &v1::Unreadable,
    at: &str,
    subject: &str,
    log_time_ms: i64,
) -> v1::FailedWebhook {
    let told = log::read_event_subject(subject);
    let kind = told.as_ref().map_or("", |(_, _, kind, _)| kind.as_str());
    let cause = Cause::UnreadableRecord.name();
    let expected = match record.reason.as_str() {
        "unknown_version" => "a record of a version that this build reads: was it written by a newer one?",
        "checksum" | "truncated" | "undecodable" => {
            "the bytes that were written: are the broker's files well?"
        }
        "value_too_large" => "an event whose texts keep within the bounds of the store",
        _ => "a record with an event that this build knows",
    };
    v1::FailedWebhook {
        failed_id: failed_id.to_owned(),
        account: told.as_ref().map(|(_, account, _, _)| account.clone()).unwrap_or_default(),
        group_id: told.as_ref().and_then(|(_, _, _, group)| group.clone()).unwrap_or_default(),
        cause: cause.to_owned(),
        expected: format!("{}: {expected}", record.reason),
        fingerprint: log::fingerprint([cause, &record.reason, kind].map(str::as_bytes)),
        received_time_ms: log_time_ms,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        log_position: at.to_owned(),
        log_subject: subject.to_owned(),
        ..v1::FailedWebhook::default()
    }
}
