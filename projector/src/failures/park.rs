//! Records that could not be read, parked in the stream of failures with their bytes. The store knows them (they were
//! committed with the position), the stream of failures knows which of them are parked: so a crash in between, a store
//! folded anew or another build neither lose one nor park it under two ids.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind};
use groupfold_schemas::failure::{Cause, fingerprint};
use groupfold_schemas::id::EventId;
use groupfold_schemas::{frame, log, v1};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::loss::LOST;
use crate::partition::Partition;
use crate::scan::{self, From, Scan, Stretch};
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

/// Records behind a sequence that could not be read, and when their stream was created; `None` while the store is closed.
/// On a thread that may block: while a store is opened anew it answers nobody.
async fn look(
    partition: &Partition,
    after: u64,
    room: usize,
) -> Result<Option<(Vec<v1::Unreadable>, String)>, Error> {
    let store = Arc::clone(&partition.store);
    let looked = tokio::task::spawn_blocking(move || {
        let Ok(view) = store.view() else { return Ok(None) };
        Ok::<_, store::Error>(Some((view.unreadable_after(after, room)?, view.progress().stream_created)))
    });
    Ok(looked.await??)
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
    /// refuse for all. A record that the log has no more holds up nothing else, a stream that does not answer its own alone,
    /// until the next round.
    async fn round(&mut self, partitions: &[Partition]) -> Result<bool, Error> {
        let mut more = false;
        for partition in partitions {
            let id = partition.id;
            let after = self.done.get(&id).copied().unwrap_or_default();
            let room = ROUND_MAX.saturating_sub(self.waiting.get(&id).map_or(0, Vec::len));
            // A store that is closed for a moment is looked at in the next round.
            let Some((found, created)) = look(partition, after, room).await? else { continue };
            let mut records = self.waiting.remove(&id).unwrap_or_default();
            let full = room > 0 && found.len() == room;
            records.extend(found);
            let mut records = records.into_iter();
            let mut answers = true;
            while let Some(record) = records.next() {
                let sequence = record.sequence;
                // Of what is lost there are no bytes to keep.
                let parked =
                    if record.reason == LOST { Ok(Ok(())) } else { self.park(id, &created, &record).await };
                match parked {
                    Ok(Ok(())) => self.passed(id, sequence),
                    Ok(Err(error)) => {
                        tracing::warn!(partition = id, sequence, %error, "a record that cannot be read is not parked yet");
                        answers = is_gone(&error);
                        if answers {
                            self.passed(id, sequence);
                            self.waiting.entry(id).or_default().push(record);
                        } else {
                            self.leave(id, [record].into_iter().chain(records));
                            break;
                        }
                    }
                    Err(error) => {
                        self.leave(id, [record].into_iter().chain(records));
                        return Err(error);
                    }
                }
            }
            more |= full && answers;
        }
        Ok(more)
    }

    /// Keeps for the next round what was passed before; the store tells of the others again.
    fn leave(&mut self, partition: u16, records: impl Iterator<Item = v1::Unreadable>) {
        let done = self.done.get(&partition).copied().unwrap_or_default();
        let left = records.filter(|record| record.sequence <= done);
        self.waiting.entry(partition).or_default().extend(left);
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
        let log_time_ms = crate::stream::millis(message.time);
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

/// True if the log says that it has the message no more, not that it does not say.
fn is_gone(error: &Error) -> bool {
    error
        .downcast_ref::<DirectGetError>()
        .is_some_and(|error| matches!(error.kind(), DirectGetErrorKind::NotFound))
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
        fingerprint: fingerprint([cause, &record.reason, kind].map(str::as_bytes)),
        received_time_ms: log_time_ms,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        log_position: at.to_owned(),
        log_subject: subject.to_owned(),
        ..v1::FailedWebhook::default()
    }
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
            let (done, waiting) = (BTreeMap::new(), BTreeMap::new());
            let mut parking = Parking { context, done, waiting, parked: None };
            let let_go = taken();
            assert!(parking.round(&partitions).now_or_never().is_none());
            drop(let_go);
            assert!(!parking.round(&partitions).await.unwrap());
        });
    }
}
