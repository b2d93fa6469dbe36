//! Items into the log: gathered publishes, every one acknowledged before the webhook is.
//!
//! A publish ends acknowledged, rejected or unknown. Unknown is tried again with the same message id
//! inside the deadline; the log's duplicate window then keeps it single, and where it does not (a window
//! is a convenience), readers drop what they have seen.

mod claim;
mod flight;
mod lane;
mod message;
mod outcome;
mod receipt;
mod wire;

use std::sync::atomic::Ordering;
use std::time::Duration;

use groupfold_schemas::crash::{self, Point};
use tokio::time::{Instant, sleep_until, timeout_at};

use claim::{Claim, HandedOver};
pub(crate) use lane::Lanes;
pub(crate) use message::{AROUND_BYTES, Destination, Fate, Message, destinations, fits};
pub(crate) use outcome::Error;
use receipt::Ack;
pub(crate) use receipt::Receipt;
use wire::Stored;

use crate::broker::Broker;
use crate::meta::{Delivery, Item};
use crate::metrics::{AckOutcome, Metrics};
use crate::tally::Tally;

/// Publishes of one webhook under way at once: as many as a lane takes.
const IN_FLIGHT_MAX: usize = lane::FLIGHT_MAX;

/// First pause before a publish is tried again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(400);

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
        let mut told = Told::default();
        if let Err((stream, error)) = self.publish_all(&messages, traceparent, deadline, &mut told).await {
            self.broker.refused(stream, &error);
            self.tally.unacknowledged(told.published);
            return Err(error);
        }
        self.broker.took(told.acks.iter().map(|(_, ack)| ack.partition));
        crash::at(Point::AppendAll);
        receipt.count(&messages, told.acks);
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
        told: &mut Told,
    ) -> Result<(), Refused> {
        told.acks.reserve(messages.len());
        let mut all = messages.iter().enumerate().flat_map(Sending::all);
        loop {
            let some: Vec<Sending<'_>> = all.by_ref().take(IN_FLIGHT_MAX).collect();
            if some.is_empty() {
                return told.too_large.take().map_or(Ok(()), Err);
            }
            self.publish_some(some, traceparent, deadline, told).await?;
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
        let (mut pause, mut before) = (PAUSE_MIN, None);
        loop {
            let Some(refused) = self.attempt(&mut left, traceparent, deadline, told).await? else {
                return Ok(());
            };
            let again_at = Instant::now() + pause;
            // What was published once may be in the log, though later it only waited for its turn: a broker that does not
            // answer holds up its lanes.
            let refused = match before {
                Some(before) if matches!(refused.1, Error::Crowded) => stronger(before, refused),
                _ => refused,
            };
            if again_at >= deadline {
                return Err(refused);
            }
            before = Some(refused);
            sleep_until(again_at).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One publish of each. What may succeed later is left, with the strongest of the reasons.
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
        let claims = Claim::some(left.len());
        for (sending, claim) in left.drain(..).zip(claims) {
            let message = sending.message.outgoing(sending.to, traceparent, self.tally.life(), patience);
            let handed_over = self.lanes.publish(sending.to.partition, message, claim);
            under_way.push((sending, timeout_at(patience, handed_over).await.ok()));
        }
        let mut reason = None;
        let mut under_way = under_way.into_iter();
        while let Some((mut sending, handed_over)) = under_way.next() {
            let outcome = match handed_over {
                Some(handed_over) => handed_over.outcome(patience).await,
                None => Err(Error::Crowded),
            };
            let error = match outcome {
                Ok(stored) => {
                    told.acknowledged(&sending, stored);
                    continue;
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Disconnected | Error::Crowded) {
                told.published(&mut sending);
                let outcome = if error.is_unknown() { AckOutcome::Unknown } else { AckOutcome::Rejected };
                self.metrics.acks(outcome, 1);
            }
            let refused = (sending.to.partition, error);
            if matches!(refused.1, Error::TooLarge) {
                told.too_large = Some(refused);
                continue;
            }
            if !refused.1.is_worth_retrying() {
                told.given_up(under_way);
                return Err(refused);
            }
            reason = Some(match reason {
                Some(before) => stronger(before, refused),
                None => refused,
            });
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

/// Of two reasons the one that says more of the log. Beside one message that was not acknowledged it does not matter how many
/// others waited for their turn: that is how a broker that does not answer looks.
fn stronger(one: Refused, other: Refused) -> Refused {
    let strength = |(_, error): &Refused| match error {
        Error::Disconnected => 0,
        Error::Crowded => 1,
        Error::Unacknowledged => 3,
        _ => 2,
    };
    if strength(&one) > strength(&other) { one } else { other }
}

/// What the log said so far to the messages of a webhook, each by its index.
#[derive(Default)]
struct Told {
    acks: Vec<(usize, Ack)>,
    /// One that it never takes.
    too_large: Option<Refused>,
    /// Messages that were published, whatever became of them: they may be in the streams.
    published: u64,
}

impl Told {
    fn acknowledged(&mut self, sending: &Sending<'_>, stored: Stored) {
        self.published += u64::from(!sending.unsure);
        let ack = Ack { partition: sending.to.partition, stored, unsure: sending.unsure };
        self.acks.push((sending.index, ack));
    }

    /// One was published, and is not known to be in the log.
    fn published(&mut self, sending: &mut Sending<'_>) {
        self.published += u64::from(!sending.unsure);
        sending.unsure = true;
    }

    /// Nobody waits for these any more, because another one ended all. Their lanes may have taken them up.
    fn given_up<'a>(&mut self, rest: impl Iterator<Item = (Sending<'a>, Option<HandedOver>)>) {
        for (mut sending, handed_over) in rest {
            if handed_over.is_some_and(|handed_over| !handed_over.give_up()) {
                self.published(&mut sending);
            }
        }
    }
}

/// A message on its way to one of its destinations.
struct Sending<'a> {
    index: usize,
    message: &'a Message,
    to: &'a Destination,
    /// It was published before: the message may have been new then.
    unsure: bool,
}

impl<'a> Sending<'a> {
    fn all((index, message): (usize, &'a Message)) -> impl Iterator<Item = Self> {
        message.destinations.iter().map(move |to| Self { index, message, to, unsure: false })
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
