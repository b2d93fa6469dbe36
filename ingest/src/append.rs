//! Items into the log: pipelined publishes, every one acknowledged before the webhook is.
//!
//! A publish ends acknowledged, rejected or unknown. Unknown is tried again with the same message id
//! inside the deadline; the log's duplicate window then keeps it single, and where it does not (a window
//! is a convenience), readers drop what they have seen.

mod message;
mod outcome;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream::FuturesUnordered;
use groupfold_schemas::position::Position;
use tokio::time::{Instant, sleep_until, timeout_at};

use message::Fate;
pub(crate) use message::{AROUND_BYTES, Destination, Message, destinations};
pub(crate) use outcome::Error;

use crate::broker::Broker;
use crate::meta::{Delivery, IgnoreCause, Item};
use crate::metrics::{AckOutcome, Metrics};
use crate::tally::Tally;

/// Publishes of one webhook under way at once. A publish holds a permit of the client until its
/// acknowledgement is awaited, so an unbounded pipeline would wait for itself.
const IN_FLIGHT_MAX: usize = 256;

/// First pause before a publish is tried again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What became of the items of one webhook.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) appended: u64,
    pub(crate) duplicate: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) position: Position,
    /// Messages that the log took as new: of events, and of failures.
    pub(crate) stored: u64,
    pub(crate) stored_failed: u64,
    /// Messages published more than once whose first copy may have been the new one.
    pub(crate) unsure: u64,
    /// Causes of the failed items, for counting.
    pub(crate) failed_causes: Vec<String>,
    pub(crate) ignored_causes: Vec<IgnoreCause>,
}

/// Where and how to append.
pub(crate) struct Appender<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) metrics: &'a Metrics,
    pub(crate) partitions: u16,
    pub(crate) deadline: Duration,
    /// Counts what becomes of messages over the receiver's life, which each of them names.
    pub(crate) tally: &'a Tally,
}

impl Appender<'_> {
    /// Appends all items, or tells why not every one of them is known to be in the log.
    pub(crate) async fn append(
        &self,
        items: Vec<Item>,
        delivery: &Delivery<'_>,
        traceparent: &str,
    ) -> Result<Receipt, Error> {
        let deadline = Instant::now() + self.deadline;
        self.broker.admits()?;
        let mut receipt = Receipt::default();
        let payload_max = self.broker.client().max_payload();
        let received = items.len();
        let messages = self.messages(items, delivery, payload_max, &mut receipt);
        let acks = match self.publish_all(&messages, traceparent, deadline).await {
            Ok(acks) => acks,
            Err(error) => {
                let all: usize = messages.iter().map(|message| message.destinations.len()).sum();
                self.tally.unacknowledged(all as u64);
                return Err(error);
            }
        };
        receipt.count(&messages, acks);
        self.tally.acknowledged(received, &receipt);
        Ok(receipt)
    }

    /// Publishes up to [`IN_FLIGHT_MAX`] at once, in order; the first that fails ends all.
    async fn publish_all(
        &self,
        messages: &[Message],
        traceparent: &str,
        deadline: Instant,
    ) -> Result<Vec<(usize, Ack)>, Error> {
        let mut acks = Vec::with_capacity(messages.len());
        let mut in_flight = FuturesUnordered::new();
        for (index, message) in messages.iter().enumerate() {
            for to in &message.destinations {
                if in_flight.len() >= IN_FLIGHT_MAX
                    && let Some(ack) = in_flight.try_next().await?
                {
                    acks.push(ack);
                }
                in_flight.push(async move {
                    let ack = self.publish(message, to, traceparent, deadline).await?;
                    Ok::<_, Error>((index, ack))
                });
            }
        }
        while let Some(ack) = in_flight.try_next().await? {
            acks.push(ack);
        }
        Ok(acks)
    }

    /// The messages to publish. An item that stands twice in a webhook is published once.
    fn messages(
        &self,
        items: Vec<Item>,
        delivery: &Delivery<'_>,
        payload_max: usize,
        receipt: &mut Receipt,
    ) -> Vec<Message> {
        let mut seen = HashSet::new();
        let mut messages = Vec::with_capacity(items.len());
        for item in items {
            let message = match item {
                Item::Ignored(cause) => {
                    receipt.ignored += 1;
                    receipt.ignored_causes.push(cause);
                    continue;
                }
                Item::Event(record) => Message::of_event(*record, self.partitions, payload_max, delivery),
                Item::Failed(failed) => Message::of_failed(&failed, payload_max),
            };
            if let Fate::Failed(cause) = &message.fate {
                receipt.failed_causes.push(cause.clone());
            }
            if seen.insert(message.id.clone()) {
                messages.push(message);
            } else {
                receipt.count_repeated(&message.fate);
            }
        }
        messages
    }

    async fn publish(
        &self,
        message: &Message,
        to: &Destination,
        traceparent: &str,
        deadline: Instant,
    ) -> Result<Ack, Error> {
        let mut pause = PAUSE_MIN;
        let mut unsure = false;
        loop {
            let error = match self.attempt(message, to, traceparent, deadline).await {
                Ok(ack) => return Ok(Ack { unsure, ..ack }),
                Err(error) => error,
            };
            unsure |= !matches!(error, Error::Disconnected);
            match error {
                // Nothing was published.
                Error::Disconnected => {}
                _ if error.is_unknown() => self.metrics.acks(AckOutcome::Unknown),
                _ => self.metrics.acks(AckOutcome::Rejected),
            }
            let again_at = Instant::now() + pause;
            if !error.is_worth_retrying() || again_at >= deadline {
                return Err(error);
            }
            sleep_until(again_at).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One publish and its acknowledgement. Nothing is sent while the connection is down: the client
    /// would keep it in memory and send it at a time when nobody waits for it.
    async fn attempt(
        &self,
        message: &Message,
        to: &Destination,
        traceparent: &str,
        deadline: Instant,
    ) -> Result<Ack, Error> {
        let mut lost = self.broker.watch_connection();
        if !self.broker.is_connected() {
            return Err(Error::Disconnected);
        }
        // Half of what is left: time for one more attempt where an acknowledgement alone got lost.
        let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let publish = message.publish(to, traceparent, self.tally.life());
        let acknowledged = async {
            let ack = self.broker.context().send_publish(to.subject.clone(), publish).await?;
            ack.await
        };
        let ack = tokio::select! {
            biased;
            ack = timeout_at(patience, acknowledged) => ack.map_err(|_| Error::Unacknowledged)?.map_err(Error::from)?,
            _ = lost.changed() => return Err(Error::Unacknowledged),
        };
        self.metrics.acks(if ack.duplicate { AckOutcome::Duplicate } else { AckOutcome::Acknowledged });
        Ok(Ack { partition: to.partition, sequence: ack.sequence, duplicate: ack.duplicate, unsure: false })
    }
}

/// An acknowledgement of the log.
#[derive(Debug, Clone, Copy)]
struct Ack {
    partition: Option<u16>,
    sequence: u64,
    duplicate: bool,
    /// An attempt before this one ended unknown: the message may have been new then.
    unsure: bool,
}

impl Receipt {
    /// An event that goes to every partition counts once, and is a duplicate if it is one everywhere.
    fn count(&mut self, messages: &[Message], mut acks: Vec<(usize, Ack)>) {
        acks.sort_unstable_by_key(|(index, _)| *index);
        for (message, acks) in messages.iter().zip(acks.chunk_by(|a, b| a.0 == b.0)) {
            for (_, ack) in acks {
                if let Some(partition) = ack.partition {
                    self.position.raise(partition, ack.sequence);
                }
                let stored = if ack.partition.is_some() { &mut self.stored } else { &mut self.stored_failed };
                *stored += u64::from(!ack.duplicate);
                self.unsure += u64::from(ack.unsure);
            }
            match message.fate {
                Fate::Failed(_) => self.failed += 1,
                Fate::Event if acks.iter().all(|(_, ack)| ack.duplicate) => self.duplicate += 1,
                Fate::Event => self.appended += 1,
            }
        }
    }

    fn count_repeated(&mut self, fate: &Fate) {
        match fate {
            Fate::Failed(_) => self.failed += 1,
            Fate::Event => self.duplicate += 1,
        }
    }
}

impl Broker {
    /// Refuses at once what could only wait.
    fn admits(&self) -> Result<(), Error> {
        if !self.is_connected() {
            return Err(Error::Disconnected);
        }
        if self.stalled().load(Ordering::Relaxed) {
            return Err(Error::Stalled);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
