//! Gathering: one lane per stream, one round at a time. What comes while a round is under way makes up the next, so the
//! more there is to do, the more is done at once: the broker wakes once for many messages, and where it syncs them, many
//! share a sync.
//!
//! ```text
//! webhooks ─▶ waiting ─▶ round ─┬─ each by itself ─▶ each its outcome
//!                               └─ many, and the broker syncs ─▶ as one ─┬─ taken ─▶ all acknowledged
//!                                                 each by itself ◀───────┴─ refused (a duplicate among them, no room …)
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use groupfold_schemas::log;
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::wire::{Outgoing, Stored, Wire};
use crate::broker::Broker;
use crate::metrics::{AckOutcome, Metrics};

/// Messages that may wait for a lane; a webhook with more waits with them.
const WAITING_MAX: usize = 4_096;
/// Messages of a round, and so of a batch: the broker's own bound.
pub(super) const ROUND_MAX: usize = 1_000;
/// From this many on, one batch costs a broker that syncs less than a sync for each: a batch makes about five.
const BATCH_MIN: usize = 48;
/// Bytes of a batch, about: the broker holds them twice while it commits.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Who waits for the outcome of a message.
type Outcome = oneshot::Sender<Result<Stored, Error>>;

/// A message and who waits for it.
type Waiting = (Outgoing, Outcome);

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

    /// Hands a message over for the next round of its stream. What is told never comes if the lane has ended.
    pub(super) async fn publish(
        &self,
        partition: Option<u16>,
        message: Outgoing,
    ) -> oneshot::Receiver<Result<Stored, Error>> {
        let (outcome, told) = oneshot::channel();
        if let Some(lane) = self.0.get(partition.map_or(self.0.len() - 1, usize::from)) {
            // Where the lane has ended, the outcome is dropped with what could not be handed over.
            let _ = lane.send((message, outcome)).await;
        }
        told
    }
}

async fn run(broker: Arc<Broker>, metrics: Metrics, stream: String, mut waiting: mpsc::Receiver<Waiting>) {
    let wire = match Wire::new(Arc::clone(&broker), stream).await {
        Ok(wire) => wire,
        Err(error) => return tracing::error!(%error, "nothing can be published: the client has ended"),
    };
    let mut lane = Lane { broker, metrics, wire };
    let mut round = Vec::new();
    while waiting.recv_many(&mut round, ROUND_MAX).await > 0 {
        // Who waits no longer publishes again by himself.
        round.retain(|(_, outcome)| !outcome.is_closed());
        if round.len() >= BATCH_MIN && lane.broker.batches() {
            lane.as_batches(std::mem::take(&mut round)).await;
        } else {
            lane.each(std::mem::take(&mut round)).await;
        }
    }
}

struct Lane {
    broker: Arc<Broker>,
    metrics: Metrics,
    wire: Wire,
}

impl Lane {
    async fn each(&mut self, round: Vec<Waiting>) {
        let (messages, outcomes): (Vec<_>, Vec<_>) = round.into_iter().unzip();
        let mut outcomes: Vec<_> = outcomes.into_iter().map(Some).collect();
        let metrics = &self.metrics;
        let tell = |place: usize, result: Result<Stored, Error>| {
            if let Ok(stored) = &result {
                let duplicate = stored.duplicate;
                metrics.acks(if duplicate { AckOutcome::Duplicate } else { AckOutcome::Acknowledged }, 1);
            }
            if let Some(outcome) = outcomes.get_mut(place).and_then(Option::take) {
                // Who waits no longer has nobody to tell.
                let _ = outcome.send(result);
            }
        };
        self.wire.each(messages, tell).await;
    }

    async fn as_batches(&mut self, mut round: Vec<Waiting>) {
        while !round.is_empty() {
            let rest = round.split_off(fitting(&round));
            self.batch(std::mem::replace(&mut round, rest)).await;
        }
    }

    async fn batch(&mut self, part: Vec<Waiting>) {
        // The broker refuses a batch with one id twice. By itself, behind the batch, the second is a duplicate.
        let mut seen = HashSet::new();
        let (part, repeated): (Vec<_>, Vec<_>) =
            part.into_iter().partition(|(message, _)| seen.insert(message.id().to_owned()));
        if part.len() < BATCH_MIN {
            return self.each(part.into_iter().chain(repeated).collect()).await;
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
            }
        }
        if !repeated.is_empty() {
            self.each(repeated).await;
        }
    }
}

/// How many of these one batch takes: at least one.
fn fitting(round: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fits = round.iter().take_while(|(message, _)| {
        bytes += message.payload.len();
        bytes <= BATCH_BYTES_MAX
    });
    fits.count().max(1)
}
