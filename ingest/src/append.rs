//! Items into the log: gathered publishes, every one acknowledged before the webhook is.
//!
//! A publish ends acknowledged, rejected or unknown. Unknown is tried again with the same message id
//! inside the deadline; the log's duplicate window then keeps it single, and where it does not (a window
//! is a convenience), readers drop what they have seen.

mod flight;
mod lane;
mod message;
mod outcome;
mod wire;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::position::Position;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(crate) use lane::Lanes;
pub(crate) use message::{AROUND_BYTES, Destination, Fate, Message, destinations, fits};
pub(crate) use outcome::Error;
use wire::Stored;

use crate::broker::Broker;
use crate::meta::{Delivery, IgnoreCause, Item};
use crate::metrics::{AckOutcome, Metrics};
use crate::tally::Tally;

/// Publishes of one webhook under way at once: as many as a lane takes.
const IN_FLIGHT_MAX: usize = lane::FLIGHT_MAX;

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
    pub(crate) lanes: &'a Lanes,
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
        traceparent: Option<&str>,
    ) -> Result<Receipt, Error> {
        let deadline = Instant::now() + self.deadline;
        let mut receipt = Receipt::default();
        let payload_max = self.broker.client().max_payload();
        let received = items.len();
        let messages = self.messages(items, delivery, payload_max, &mut receipt);
        if messages.is_empty() {
            // It needs no log, and says nothing of how that is.
            self.tally.acknowledged(received, &receipt);
            return Ok(receipt);
        }
        self.broker.admits()?;
        crash::at(Point::AppendBegin);
        let acks = match self.publish_all(&messages, traceparent, deadline).await {
            Ok(acks) => acks,
            Err((stream, error)) => {
                self.broker.refused(stream, &error);
                let all: usize = messages.iter().map(|message| message.destinations.len()).sum();
                self.tally.unacknowledged(all as u64);
                return Err(error);
            }
        };
        self.broker.took(acks.iter().map(|(_, ack)| ack.partition));
        crash::at(Point::AppendAll);
        receipt.count(&messages, acks);
        self.tally.acknowledged(received, &receipt);
        Ok(receipt)
    }

    /// Publishes up to [`IN_FLIGHT_MAX`] at once, in order; the first that fails ends all, but for one that is too large: those
    /// beside it land.
    async fn publish_all(
        &self,
        messages: &[Message],
        traceparent: Option<&str>,
        deadline: Instant,
    ) -> Result<Vec<(usize, Ack)>, Refused> {
        let mut told = Told { acks: Vec::with_capacity(messages.len()), too_large: None };
        let mut all = messages.iter().enumerate().flat_map(Sending::all);
        loop {
            let some: Vec<Sending<'_>> = all.by_ref().take(IN_FLIGHT_MAX).collect();
            if some.is_empty() {
                return told.too_large.map_or(Ok(told.acks), Err);
            }
            self.publish_some(some, traceparent, deadline, &mut told).await?;
        }
    }

    /// Publishes, and again what may succeed then, until all are acknowledged.
    async fn publish_some(
        &self,
        mut left: Vec<Sending<'_>>,
        traceparent: Option<&str>,
        deadline: Instant,
        told: &mut Told,
    ) -> Result<(), Refused> {
        let mut pause = PAUSE_MIN;
        loop {
            let Some(refused) = self.attempt(&mut left, traceparent, deadline, told).await? else {
                return Ok(());
            };
            let again_at = Instant::now() + pause;
            if again_at >= deadline {
                return Err(refused);
            }
            sleep_until(again_at).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One publish of each. What may succeed later is left, with one of the reasons.
    async fn attempt(
        &self,
        left: &mut Vec<Sending<'_>>,
        traceparent: Option<&str>,
        deadline: Instant,
        told: &mut Told,
    ) -> Result<Option<Refused>, Refused> {
        // Half of what is left: time for one more attempt where an acknowledgement alone got lost.
        let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let mut under_way = Vec::with_capacity(left.len());
        for sending in left.drain(..) {
            let message = sending.message.outgoing(sending.to, traceparent, self.tally.life(), patience);
            let handed_over = timeout_at(patience, self.lanes.publish(sending.to.partition, message)).await;
            under_way.push((sending, handed_over));
        }
        let mut reason = None;
        for (mut sending, handed_over) in under_way {
            let outcome = match handed_over {
                Ok(told) => timeout_at(patience, told).await.ok().and_then(Result::ok),
                Err(_) => Some(Err(Error::Crowded)),
            };
            let error = match outcome.unwrap_or(Err(Error::Unacknowledged)) {
                Ok(stored) => {
                    let partition = sending.to.partition;
                    told.acks.push((sending.index, Ack { partition, stored, unsure: sending.unsure }));
                    continue;
                }
                Err(error) => error,
            };
            let published = !matches!(error, Error::Disconnected | Error::Crowded);
            sending.unsure |= published;
            match error {
                _ if !published => {}
                _ if error.is_unknown() => self.metrics.acks(AckOutcome::Unknown, 1),
                _ => self.metrics.acks(AckOutcome::Rejected, 1),
            }
            if matches!(error, Error::TooLarge) {
                told.too_large = Some((sending.to.partition, error));
                continue;
            }
            if !error.is_worth_retrying() {
                return Err((sending.to.partition, error));
            }
            reason = Some((sending.to.partition, error));
            left.push(sending);
        }
        Ok(reason)
    }

    /// The messages to publish. An item that stands twice in a webhook is published once.
    fn messages(
        &self,
        items: Vec<Item>,
        delivery: &Delivery<'_>,
        payload_max: usize,
        receipt: &mut Receipt,
    ) -> Vec<Message> {
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
            messages.push(message);
        }
        receipt.count_repeated(&mut messages);
        messages
    }
}

/// Why a message is not in the log, and the partition of its stream, none for the failures.
type Refused = (Option<u16>, Error);

/// What the log said so far to the messages of a webhook, each by its index.
struct Told {
    acks: Vec<(usize, Ack)>,
    /// One that it never takes.
    too_large: Option<Refused>,
}

/// A message on its way to one of its destinations.
struct Sending<'a> {
    index: usize,
    message: &'a Message,
    to: &'a Destination,
    /// An attempt ended unknown: the message may have been new then.
    unsure: bool,
}

impl<'a> Sending<'a> {
    fn all((index, message): (usize, &'a Message)) -> impl Iterator<Item = Self> {
        message.destinations.iter().map(move |to| Self { index, message, to, unsure: false })
    }
}

/// An acknowledgement of the log.
#[derive(Debug, Clone, Copy)]
struct Ack {
    partition: Option<u16>,
    stored: Stored,
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
                    self.position.raise(partition, ack.stored.sequence);
                }
                let stored = if ack.partition.is_some() { &mut self.stored } else { &mut self.stored_failed };
                *stored += u64::from(!ack.stored.duplicate);
                self.unsure += u64::from(ack.unsure);
            }
            match message.fate {
                Fate::Failed(_) => self.failed += 1,
                Fate::Event if acks.iter().all(|(_, ack)| ack.stored.duplicate) => self.duplicate += 1,
                Fate::Event => self.appended += 1,
            }
        }
    }

    /// Takes out what stands there a second time.
    fn count_repeated(&mut self, messages: &mut Vec<Message>) {
        if messages.len() < 2 {
            return;
        }
        let mut seen = HashSet::with_capacity(messages.len());
        let mut first =
            messages.iter().map(|message| seen.insert(message.id.as_str())).collect::<Vec<_>>().into_iter();
        messages.retain(|message| {
            let first = first.next().unwrap_or(true);
            match message.fate {
                _ if first => {}
                Fate::Failed(_) => self.failed += 1,
                Fate::Event => self.duplicate += 1,
            }
            first
        });
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
        if self.is_other() {
            return Err(Error::OtherLog);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
