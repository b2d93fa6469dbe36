//! Appending single messages: what a failure has become since a better adapter can read it, what settled it, and
//! events of ours that no webhook told.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, GetStreamError};
use async_nats::jetstream::message::PublishMessage;
use groupfold_schemas::position::Position;
use groupfold_schemas::{frame, log, v1};

use crate::append::{self, Fate, Message};
use crate::meta::Delivery;

/// How long one message may take to be acknowledged, all attempts together.
const DEADLINE: Duration = Duration::from_secs(10);
const ATTEMPT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// The writing side of a log, for one message at a time.
#[derive(Debug, Clone)]
pub struct Log {
    context: Context,
    partitions: u16,
}

/// Why a message is not known to be in the log. Trying again later changes nothing twice.
#[derive(Debug, thiserror::Error)]
#[error("the log did not take it: {reason}")]
pub struct Error {
    /// Stable name of the reason, as the receiver's 503 carries it.
    pub reason: &'static str,
    #[source]
    source: append::Error,
}

impl Error {
    /// True if this message alone is refused, not whatever comes.
    #[must_use]
    pub fn is_of_message(&self) -> bool {
        matches!(self.source, append::Error::TooLarge)
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Where it stands.
    pub position: Position,
    /// The broker knew it already, in every partition that it goes to.
    pub duplicate: bool,
}

impl Log {
    /// Nothing is asked of the broker yet.
    #[must_use]
    pub fn new(client: Client, partitions: u16) -> Self {
        let context = ContextBuilder::new().timeout(ATTEMPT).ack_timeout(ATTEMPT).build(client);
        Self { context, partitions }
    }

    /// Appends a record under its event id to those of its partitions that do not have it; `None` if it is too large for
    /// the broker: then nothing was appended.
    ///
    /// # Errors
    /// The log refuses, or does not acknowledge in time; it may be there, or in some partitions, all the same.
    pub async fn append(
        &self,
        record: v1::Record,
        delivery: &Delivery<'_>,
        missing: &[u16],
    ) -> Result<Option<Appended>, Error> {
        let Some(mut message) = self.message(record, delivery) else { return Ok(None) };
        message.destinations.retain(|to| to.partition.is_some_and(|partition| missing.contains(&partition)));
        self.everywhere(message).await.map(Some)
    }

    /// Appends a record that a partition has and nobody could read there. It goes in under the failure's id: under its own
    /// the broker takes it for the one that it remembers, and nothing comes after it.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_again(
        &self,
        record: v1::Record,
        delivery: &Delivery<'_>,
        partition: Option<u16>,
        failed_id: &str,
    ) -> Result<Option<Appended>, Error> {
        let Some(mut message) = self.message(record, delivery) else { return Ok(None) };
        // Each partition has a failure of its own.
        if message.destinations.iter().any(|to| to.partition == partition) {
            message.destinations.retain(|to| to.partition == partition);
        }
        self.everywhere(Message { id: format!("again-{failed_id}-{}", message.id), ..message })
            .await
            .map(Some)
    }

    /// An event's message, not the failure that the door would make of one that is too large.
    fn message(&self, record: v1::Record, delivery: &Delivery<'_>) -> Option<Message> {
        let payload_max = self.context.client().max_payload();
        let message = Message::of_event(record, self.partitions, payload_max, delivery);
        (message.fate == Fate::Event).then_some(message)
    }

    /// Appends an event of ours: one that no webhook told.
    ///
    /// # Errors
    /// As [`Self::append`]; and one that is too large for the broker is refused.
    pub async fn append_ours(&self, record: &v1::Record) -> Result<Appended, Error> {
        let payload_max = self.context.client().max_payload();
        let message = Message::of_ours(record, self.partitions, payload_max);
        let too_large =
            || Error { reason: append::Error::TooLarge.reason(), source: append::Error::TooLarge };
        self.everywhere(message.ok_or_else(too_large)?).await
    }

    /// The partition that a group lives in, or an account's events without a group.
    #[must_use]
    pub fn home_of(&self, key: &str) -> u16 {
        log::partition_of(key, self.partitions)
    }

    /// Last sequence of a partition as the broker has it now; zero if it has none yet.
    ///
    /// # Errors
    /// The broker does not answer in time, or the stream is not there.
    pub async fn end_of(&self, partition: u16) -> Result<u64, GetStreamError> {
        let stream = self.context.get_stream(log::stream(partition)).await?;
        Ok(stream.cached_info().state.last_sequence)
    }

    /// Partitions that a record goes to.
    #[must_use]
    pub fn partitions_of(&self, record: &v1::Record) -> Vec<u16> {
        partitions_of(record, self.partitions)
    }

    async fn everywhere(&self, message: Message) -> Result<Appended, Error> {
        let mut appended = Appended { position: Position::default(), duplicate: true };
        for to in &message.destinations {
            let ack = self.publish(&message.id, &to.subject, || message.publish_bare(to)).await?;
            appended.duplicate &= ack.1;
            if let Some(partition) = to.partition {
                appended.position.raise(partition, ack.0);
            }
        }
        Ok(appended)
    }

    /// Keeps a failure: an item of a body that failed whole and could be split since.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn keep(&self, failed: &v1::FailedWebhook) -> Result<(), Error> {
        let message = Message::of_failed(failed, self.context.client().max_payload());
        for to in &message.destinations {
            self.publish(&message.id, &to.subject, || message.publish_bare(to)).await?;
        }
        Ok(())
    }

    /// Appends what settled a failure.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn settle(&self, resolution: &v1::Resolution) -> Result<(), Error> {
        let subject = log::resolved_subject(&resolution.failed_id);
        let id = format!("resolved-{}-{}", resolution.failed_id, resolution.time_ms);
        self.resolve(&id, &subject, frame::encode(resolution)).await
    }

    /// Writes down that messages of a partition are lost for good: whoever reads the log goes on without them.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn accept_loss(&self, partition: u16, loss: &v1::Loss) -> Result<(), Error> {
        let subject = log::loss_subject(partition, loss.first);
        let id = format!("lost-{partition}-{}-{}", loss.first, loss.time_ms);
        self.resolve(&id, &subject, frame::encode(loss)).await
    }

    async fn resolve(&self, id: &str, subject: &str, payload: Vec<u8>) -> Result<(), Error> {
        let payload = bytes::Bytes::from(payload);
        let message = || {
            PublishMessage::build()
                .payload(payload.clone())
                .message_id(id)
                .expected_stream(log::RESOLVED_STREAM)
        };
        self.publish(id, subject, message).await.map(|_| ())
    }

    async fn publish(
        &self,
        id: &str,
        subject: &str,
        message: impl Fn() -> PublishMessage,
    ) -> Result<(u64, bool), Error> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let attempt = async {
                let ack = self.context.send_publish(subject.to_owned(), message()).await?;
                ack.await
            };
            let error = match attempt.await {
                Ok(ack) => return Ok((ack.sequence, ack.duplicate)),
                Err(error) => append::Error::from(error),
            };
            if !error.is_worth_retrying() || tokio::time::Instant::now() + PAUSE >= deadline {
                return Err(Error { reason: error.reason(), source: error });
            }
            tracing::debug!(id, reason = error.reason(), "published again");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// True if a broker whose messages have at most so many bytes takes the record, as [`Log::append`] finds.
#[must_use]
pub fn fits(record: &v1::Record, payload_max: usize) -> bool {
    append::fits(&frame::encode(record), payload_max)
}

/// Partitions that a record goes to.
#[must_use]
pub fn partitions_of(record: &v1::Record, partitions: u16) -> Vec<u16> {
    append::destinations(record, partitions).into_iter().filter_map(|to| to.partition).collect()
}
