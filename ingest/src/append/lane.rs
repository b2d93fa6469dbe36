//! Gathering: one lane per stream. What webhooks hand over at about the same time goes out together, so that the broker
//! wakes once for many messages. A broker that syncs has a few on their way, enough to keep its disk busy; once as many
//! wait as make a batch worth it, they go as one. So the more there is to do, the more is done at once, and many share
//! a sync.
//!
//! ```text
//! webhooks ─▶ waiting ─▶ some ─┬─ each by itself ─▶ flight ─▶ each its outcome
//!                              └─ many, and the broker syncs ─▶ as one ─┬─ taken ─▶ all acknowledged
//!                                                each by itself ◀───────┴─ refused (a duplicate among them, no room …)
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::log;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::Error;
use super::claim::{Claim, HandedOver};
use super::flight::{Flight, Outcome};
use super::wire::{Outgoing, Stored, Wire};
use crate::broker::{Broker, Connection};
use crate::metrics::{AckOutcome, Metrics};

/// Messages that may wait for a lane; a webhook with more waits with them.
const WAITING_MAX: usize = 4_096;
/// Messages of a stream on their way at once, and so of a batch: the broker's own bound of a batch.
pub(super) const FLIGHT_MAX: usize = 1_000;
/// From this many on, one batch costs a broker that syncs less than a sync for each: a batch makes about five.
const BATCH_MIN: usize = 24;
/// Messages on their way each by itself to a broker that syncs: a batch waits for so many syncs at most, and with fewer
/// the disk would at times have nothing to do.
const ALONE_MAX: usize = 8;
/// How often all who can run have their turn before a lane sends what it has: a request is read, worked on and handed over
/// in about as many.
const GATHER_TURNS: usize = 3;
/// Bytes of a batch, about: the broker holds them twice while it commits.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A message, who waits for it, and who may take it.
type Waiting = (Outgoing, Outcome, Claim);

/// One that is the lane's.
type TakenUp = (Outgoing, Outcome);

/// One lane for each partition, and the last for the failures.
pub(crate) struct Lanes(Vec<mpsc::Sender<Waiting>>);

impl Lanes {
    /// Lanes run until these are dropped and nothing waits any more.
    pub(crate) fn start(broker: &Arc<Broker>, metrics: &Metrics, partitions: u16) -> Self {
        let streams = (0..partitions).map(log::stream).chain([log::FAILED_STREAM.to_owned()]);
        let lane = |stream| {
            let (sender, waiting) = mpsc::channel(WAITING_MAX);
            tokio::spawn(run(Arc::clone(broker), metrics.clone(), stream, waiting));
            sender
        };
        Self(streams.map(lane).collect())
    }

    /// One lane, whose other end a test holds.
    #[cfg(test)]
    pub(super) fn of(lane: mpsc::Sender<Waiting>) -> Self {
        Self(vec![lane])
    }

    /// Hands a message over to the lane of its stream. What is told never comes if the lane has ended.
    pub(super) async fn publish(
        &self,
        partition: Option<u16>,
        message: Outgoing,
        claim: Claim,
    ) -> HandedOver {
        let (outcome, told) = oneshot::channel();
        if let Some(lane) = self.0.get(partition.map_or(self.0.len() - 1, usize::from)) {
            // Where the lane has ended, the outcome is dropped with what could not be handed over.
            let _ = lane.send((message, outcome, claim.clone())).await;
        }
        HandedOver { told, claim }
    }
}

async fn run(broker: Arc<Broker>, metrics: Metrics, stream: String, mut waiting: mpsc::Receiver<Waiting>) {
    let wire = match Wire::new(Arc::clone(&broker), stream).await {
        Ok(wire) => wire,
        Err(error) => return tracing::error!(%error, "nothing can be published: the client has ended"),
    };
    let (told, connection) = (broker.watch_connection(), broker.connection());
    let mut lane = Lane { broker, metrics, wire, told, connection, flight: Flight::default() };
    let mut some = Vec::new();
    loop {
        let room = lane.room();
        let more = tokio::select! {
            biased;
            () = lane.hear(), if !lane.flight.is_empty() => continue,
            more = waiting.recv_many(&mut some, room), if room > 0 => more,
        };
        if more == 0 {
            return lane.settle().await;
        }
        gather(&mut some, room, &mut waiting).await;
        if lane.broker.batches() && some.len() + waiting.len() >= BATCH_MIN {
            lane.settle().await;
            gather(&mut some, FLIGHT_MAX, &mut waiting).await;
            lane.as_batches(&mut some).await;
        } else {
            lane.each(take_up(some.drain(..))).await;
        }
    }
}

/// Takes up all but those whom nobody waits for any more: who gave up publishes again by himself. From here on they count as
/// published.
fn take_up(some: impl Iterator<Item = Waiting>) -> Vec<TakenUp> {
    let awaited = |(message, outcome, claim): Waiting| {
        (!outcome.is_closed() && claim.take()).then_some((message, outcome))
    };
    some.filter_map(awaited).collect()
}

/// Lets those who are about to hand something over do it first. It takes no time when nobody is.
async fn gather(some: &mut Vec<Waiting>, room: usize, waiting: &mut mpsc::Receiver<Waiting>) {
    for _ in 0..GATHER_TURNS {
        tokio::task::yield_now().await;
    }
    while some.len() < room
        && let Ok(one) = waiting.try_recv()
    {
        some.push(one);
    }
}

struct Lane {
    broker: Arc<Broker>,
    metrics: Metrics,
    wire: Wire,
    /// Of connections lost and made.
    told: watch::Receiver<Connection>,
    /// The one over which the first in flight went.
    connection: Connection,
    flight: Flight,
}

impl Lane {
    /// How many more may be on their way now. The broker drops what a stream of its own has too much of.
    fn room(&self) -> usize {
        let most = if self.broker.batches() { ALONE_MAX } else { FLIGHT_MAX };
        most.saturating_sub(self.flight.len())
    }

    /// Publishes all, each by itself. Nothing is sent while the connection is down: the client would keep it in memory
    /// and send it at a time when nobody waits for it.
    async fn each(&mut self, some: Vec<TakenUp>) {
        if self.flight.is_empty() {
            self.told.mark_unchanged();
            self.connection = self.broker.connection();
        }
        if !self.broker.is_connected() {
            for (_, outcome) in some {
                let _ = outcome.send(Err(Error::Disconnected));
            }
            return;
        }
        let mut outgoing = Vec::with_capacity(some.len());
        for (message, outcome) in some {
            let number = self.wire.number();
            self.flight.take_up(number, outcome, message.patience);
            outgoing.push((number, message));
        }
        let patience = self.flight.patience().unwrap_or_else(Instant::now);
        let sent = async {
            for (number, message) in outgoing {
                if let Err(error) = self.wire.send(message, number).await {
                    self.flight.tell(number, Err(error));
                }
            }
        };
        let sent = tokio::select! {
            biased;
            () = sent => true,
            () = self.connection.lost(&mut self.told) => false,
            () = sleep_until(patience) => false,
        };
        if !sent {
            self.flight.lose();
        }
        crash::at(Point::AppendSent);
    }

    /// Waits until nothing is open any more.
    async fn settle(&mut self) {
        while !self.flight.is_empty() {
            self.hear().await;
        }
    }

    /// Waits for answers to what is open, and tells them; or for the end of all hope for them.
    async fn hear(&mut self) {
        let patience = self.flight.patience().unwrap_or_else(Instant::now);
        let answers = tokio::select! {
            biased;
            answers = self.wire.answers() => answers,
            () = self.connection.lost(&mut self.told) => None,
            () = sleep_until(patience) => None,
        };
        let Some(answers) = answers else { return self.flight.lose() };
        for (number, result) in answers {
            crash::at(Point::AppendOne);
            let duplicate = result.as_ref().ok().map(|stored| stored.duplicate);
            if self.flight.tell(number, result)
                && let Some(duplicate) = duplicate
            {
                let outcome = if duplicate { AckOutcome::Duplicate } else { AckOutcome::Acknowledged };
                self.metrics.acks(outcome, 1);
            }
        }
    }

    /// One batch after the other: those of the next one still wait for their turn.
    async fn as_batches(&mut self, some: &mut Vec<Waiting>) {
        while !some.is_empty() {
            let part = take_up(some.drain(..fitting(some)));
            self.batch(part).await;
        }
    }

    async fn batch(&mut self, part: Vec<TakenUp>) {
        // The broker refuses a batch with one id twice. By itself, behind the batch, the second is a duplicate.
        let mut seen = HashSet::new();
        let (part, repeated): (Vec<_>, Vec<_>) =
            part.into_iter().partition(|(message, _)| seen.insert(message.id().to_owned()));
        if part.len() < BATCH_MIN {
            self.each(part.into_iter().chain(repeated).collect()).await;
            return self.settle().await;
        }
        let (messages, outcomes): (Vec<_>, Vec<_>) = part.into_iter().unzip();
        match self.wire.whole(&messages).await {
            Ok(first) => {
                self.metrics.acks(AckOutcome::Acknowledged, messages.len() as u64);
                for (outcome, sequence) in outcomes.into_iter().zip(first..) {
                    let _ = outcome.send(Ok(Stored { sequence, duplicate: false }));
                }
            }
            Err(error) if error.is_unknown() => {
                for outcome in outcomes {
                    let _ = outcome.send(Err(Error::Unacknowledged));
                }
            }
            Err(error) => {
                tracing::debug!(messages = messages.len(), reason = error.reason(), "batch refused");
                self.metrics.acks(AckOutcome::BatchRejected, 1);
                self.each(messages.into_iter().zip(outcomes).collect()).await;
                self.settle().await;
            }
        }
        if !repeated.is_empty() {
            self.each(repeated).await;
            self.settle().await;
        }
    }
}

/// How many of these one batch takes: at least one.
fn fitting(some: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fits = some.iter().take_while(|(message, ..)| {
        bytes += message.payload.len();
        bytes <= BATCH_BYTES_MAX
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: &str, bytes: usize) -> Waiting {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        let payload = vec![0; bytes].into();
        let patience = tokio::time::Instant::now();
        let claim = Claim::some(1).next().unwrap();
        (Outgoing { subject: "s".into(), headers, payload, patience }, oneshot::channel().0, claim)
    }

    #[test]
    fn a_batch_takes_as_many_as_fit_and_at_least_one() {
        let some = |bytes: &[usize]| bytes.iter().map(|bytes| waiting("e", *bytes)).collect::<Vec<_>>();
        assert_eq!(fitting(&some(&[BATCH_BYTES_MAX + 1, 1])), 1);
        assert_eq!(fitting(&some(&[1, BATCH_BYTES_MAX - 1, 1])), 2);
        assert_eq!(fitting(&some(&[1, BATCH_BYTES_MAX, 1])), 1);
        assert_eq!(fitting(&some(&[1, 2, 3])), 3);
    }

    #[tokio::test]
    async fn what_is_handed_over_is_gathered_as_far_as_there_is_room() {
        let (hand_over, mut waiting_ones) = mpsc::channel(8);
        for id in ["a", "b", "c", "d"] {
            hand_over.send(waiting(id, 1)).await.unwrap();
        }
        let mut some = vec![waiting_ones.recv().await.unwrap()];
        gather(&mut some, 3, &mut waiting_ones).await;
        let ids: Vec<_> = some.iter().map(|(message, ..)| message.id()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        gather(&mut some, 9, &mut waiting_ones).await;
        assert_eq!(some.len(), 4);
    }
}
