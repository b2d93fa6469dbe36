//! The tail of one partition's stream: batches of log messages, contiguous, from our own position.
//!
//! A plain pull consumer, made anew from our position whenever anything about it is in doubt: a missed
//! heartbeat, a reconnect, a hole in what it delivered, a log that grows while nothing comes. Before
//! each reading the stream is fenced (see [`fence`]), so that a stream that is not the one we know stops
//! the partition instead of leaving a gap.

mod fence;
mod patience;

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::consumer::{self, Ephemeral};
use crate::status::{Run, Status, Stop};
use crate::{loss, stream};

pub(crate) use fence::{Identity, differs, is_rewritten};
use patience::{LASTING, Patience};

/// Most bytes of payload in one batch; a batch ends with the message that passes it. Each partition may have one in memory,
/// whole and decoded, while it is committed piece by piece. Few commits take as much: a longer batch would save none.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that the broker sends ahead of us, save where a single message may have more. All partitions share a connection, and
/// the broker cuts one off that has more than 64 MiB waiting.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;
/// Messages asked for at once, however few are folded at once: what comes while one batch is on its way to the device.
const PULL_MESSAGES: usize = 2_000;
/// Most messages of a batch, whatever the settings say: each takes its place here before it is folded.
const BATCH_MESSAGES_MAX: usize = 10_000;
/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the stream is asked for its end and fenced again.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A log that grows while nothing comes for this long has lost our consumer.
const STALL_MAX: Duration = Duration::from_secs(4);
/// Bound of one request to the broker.
const REQUEST_WAIT: Duration = Duration::from_secs(3);
/// A stream must be missing this often in a row: a broker that starts may not know it yet.
const MISSING_MAX: u32 = 4;

/// A message of the log, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its sequence in the stream.
    pub(crate) sequence: u64,
    /// When the log took it, Unix milliseconds.
    pub(crate) log_time_ms: i64,
    /// The framed record; empty where one is lost, see [`crate::loss`].
    pub(crate) payload: bytes::Bytes,
    /// Trace id of the request that appended it.
    pub(crate) trace_id: Option<String>,
}

/// Why there is nothing to read at the moment.
enum Fault {
    /// Tried again.
    Retry(String),
    /// Not tried again.
    Stop(Stop),
    /// Another message came than the next one: to be looked into.
    Hole { expected: u64, found: u64 },
}

/// The tail of one stream.
pub(crate) struct Tail {
    client: async_nats::Client,
    context: jetstream::Context,
    stream: String,
    /// The stream that the store follows, once it is known.
    identity: Identity,
    batch_events_max: usize,
    status: watch::Sender<Status>,
    shutdown: CancellationToken,
    reading: Option<Reading>,
    look: Interval,
    patience: Patience,
    missing: u32,
    /// What comes next and is lost, as an operator said.
    lost: Option<RangeInclusive<u64>>,
}

/// A consumer that delivers.
struct Reading {
    messages: pull::Stream,
    _consumer: Ephemeral,
    connects: u64,
    asked: Instant,
    /// When something came last, or what had come was folded.
    delivered: Instant,
    begun: Instant,
    /// True once it delivered a message that was new.
    proved: bool,
}

impl Reading {
    fn is_good(&self) -> bool {
        self.proved || self.begun.elapsed() > LASTING
    }
}

impl Tail {
    /// A tail that goes on after what the store has.
    pub(crate) fn new(
        client: async_nats::Client,
        stream: String,
        identity: Identity,
        batch_events_max: usize,
        status: watch::Sender<Status>,
        shutdown: CancellationToken,
    ) -> Self {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(REQUEST_WAIT);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            client,
            context,
            stream,
            identity,
            batch_events_max: batch_events_max.clamp(1, BATCH_MESSAGES_MAX),
            status,
            shutdown,
            reading: None,
            look,
            patience: Patience::new(),
            missing: 0,
            lost: None,
        }
    }

    /// The stream that the store follows: known once a batch has come.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Tells how far the store is now. While it was folding nothing could come: that is no silence.
    pub(crate) fn applied(&mut self, sequence: u64, log_time_ms: i64) {
        self.identity.sequence = sequence;
        self.identity.log_time_ms = log_time_ms;
        if let Some(reading) = self.reading.as_mut() {
            reading.delivered = Instant::now();
        }
    }

    /// Begins again from another position of the same stream.
    pub(crate) fn start_over(&mut self, identity: Identity) {
        self.identity = identity;
        self.reading = None;
        self.lost = None;
    }

    /// The next messages after our position: the first is waited for, all that are there already come
    /// with it. `None` when it is time to end. May be dropped while it waits; nothing is lost.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<Vec<Item>>, Stop> {
        let shutdown = self.shutdown.clone();
        loop {
            if let Some(lost) = self.lost.take() {
                return Ok(Some(self.pass(lost)));
            }
            let Some(reading) = self.reading.as_mut() else {
                let connected = tokio::select! {
                    () = shutdown.cancelled() => return Ok(None),
                    connected = self.connect() => connected,
                };
                self.settle(connected).await?;
                continue;
            };
            let outcome = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(None),
                _ = self.look.tick() => self.look().await,
                message = reading.messages.next() => match self.gather(message) {
                    Ok(items) if items.is_empty() => Ok(()),
                    Ok(items) => return Ok(Some(items)),
                    Err(fault) => Err(fault),
                },
            };
            self.settle(outcome).await?;
        }
    }

    /// Stops for good, or says why nothing is read and waits before the next attempt.
    async fn settle(&mut self, outcome: Result<(), Fault>) -> Result<(), Stop> {
        let outcome = match outcome {
            Err(Fault::Hole { expected, found }) => self.look_into(expected, Some(found)).await,
            other => other,
        };
        let why = match outcome {
            Ok(()) => return Ok(()),
            Err(Fault::Stop(stop)) => return Err(stop),
            Err(Fault::Retry(why)) => why,
            Err(Fault::Hole { expected, found }) => absent(expected, Some(found)),
        };
        let good = self.reading.take().is_some_and(|reading| reading.is_good());
        let now = Instant::now();
        let (since, wait) = if good { self.patience.first_fault(now) } else { self.patience.fault(now) };
        tracing::debug!(reason = why, ?wait, "not reading");
        self.status.send_modify(|status| status.run = Run::Connecting { since, why });
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        Ok(())
    }

    /// Fences the stream and makes a consumer from our position.
    async fn connect(&mut self) -> Result<(), Fault> {
        self.connected()?;
        let connects = self.connects();
        let end = self.fence(true).await?;
        if self.lost.is_some() {
            return Ok(());
        }
        let config = pull::Config {
            description: Some("groupfold projector".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next_sequence() },
            inactive_threshold: consumer::IDLE_MAX,
            ..pull::Config::default()
        };
        let consumer = Ephemeral::make(&self.context, &self.stream, config).await.map_err(retry)?;
        let most = self.batch_events_max.max(PULL_MESSAGES);
        let messages =
            consumer.messages(most, consumer::room_for_any(AHEAD_BYTES, self.client.max_payload())).await;
        let messages = messages.map_err(retry)?;
        let now = Instant::now();
        self.reading = Some(Reading {
            messages,
            _consumer: consumer,
            connects,
            asked: now,
            delivered: now,
            begun: now,
            proved: false,
        });
        let position = self.identity.sequence;
        tracing::info!(position, log_end = end, "reading");
        self.status.send_modify(|status| status.run = Run::Running);
        Ok(())
    }

    /// Looks whether the consumer still is to be trusted.
    async fn look(&mut self) -> Result<(), Fault> {
        self.connected()?;
        let connects = self.connects();
        let Some(reading) = self.reading.as_mut() else { return Ok(()) };
        if reading.connects != connects {
            return Err(Fault::Retry("connected anew".to_owned()));
        }
        if reading.is_good() {
            self.patience.proved();
        }
        if reading.asked.elapsed() < ASK_EVERY {
            return Ok(());
        }
        reading.asked = Instant::now();
        let quiet = reading.delivered.elapsed();
        let end = self.fence(false).await?;
        if self.lost.is_some() {
            self.reading = None;
            return Ok(());
        }
        if end > self.identity.sequence && quiet > STALL_MAX {
            return self.look_into(self.next_sequence(), None).await;
        }
        Ok(())
    }

    /// Asks the broker for the stream and checks that it is ours; returns its end. What comes next may turn out to be lost.
    async fn fence(&mut self, anew: bool) -> Result<u64, Fault> {
        let info = match stream::ask(&self.context, &self.stream).await {
            Ok(info) => info,
            Err(stream::Asked::Missing) if self.missing < MISSING_MAX => {
                self.missing += 1;
                return Err(Fault::Retry(format!("stream {} does not exist", self.stream)));
            }
            Err(stream::Asked::Missing) => {
                return Err(Fault::Stop(Stop::StreamMissing { stream: self.stream.clone() }));
            }
            Err(stream::Asked::Unreachable(why)) => return Err(Fault::Retry(why)),
        };
        self.missing = 0;
        self.lost = fence::check(&self.context, &self.stream, &mut self.identity, &info).await?;
        if anew {
            fence::check_message(&self.context, &self.stream, &self.identity).await?;
        }
        self.status.send_if_modified(|status| {
            let before = (status.log_end, status.caught_up);
            status.fenced(info.last_sequence);
            before != (status.log_end, status.caught_up)
        });
        Ok(info.last_sequence)
    }

    /// Tells a message that the log does not have, which stops unless an operator said to go on without it, from one lost
    /// on the way here, which a fresh consumer heals. `found` came instead of it, or nothing.
    async fn look_into(&mut self, expected: u64, found: Option<u64>) -> Result<(), Fault> {
        self.fence(false).await?;
        if self.lost.is_some() {
            self.reading = None;
            return Ok(());
        }
        if stream::has_message(&self.context, &self.stream, expected).await.map_err(Fault::Retry)? {
            return Err(Fault::Retry(absent(expected, found)));
        }
        let lost = loss::accepted(&self.context, &self.stream, expected, found).await;
        self.lost = lost.map_err(Fault::Retry)?;
        if self.lost.is_none() {
            return Err(Fault::Stop(Stop::MissingSequence { expected, found }));
        }
        self.reading = None;
        Ok(())
    }

    /// Takes what is lost, as many at once as would be read.
    fn pass(&mut self, lost: RangeInclusive<u64>) -> Vec<Item> {
        let (first, last) = lost.into_inner();
        let end = last.min(first.saturating_add(self.batch_events_max as u64 - 1));
        tracing::warn!(first, last = end, "lost messages are passed over, as an operator said");
        self.lost = (end < last).then(|| end + 1..=last);
        let log_time_ms = self.identity.log_time_ms;
        let item = |sequence| Item { sequence, log_time_ms, payload: bytes::Bytes::new(), trace_id: None };
        (first..=end).map(item).collect()
    }

    /// Takes a message and all that are there behind it, up to the limits.
    fn gather(&mut self, first: Option<Result<Message, pull::MessagesError>>) -> Result<Vec<Item>, Fault> {
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut log_end = 0;
        let mut next = first;
        let fault = loop {
            let message = match next {
                Some(Ok(message)) => message,
                Some(Err(error)) => break Some(retry(error)),
                None => break Some(Fault::Retry("the consumer ended".to_owned())),
            };
            let expected = self.next_sequence() + items.len() as u64;
            match Self::accept(&message, expected) {
                Ok(None) => {}
                Ok(Some((item, end))) => {
                    bytes += item.payload.len();
                    log_end = end;
                    items.push(item);
                }
                Err(fault) => break Some(fault),
            }
            if items.len() >= self.batch_events_max || bytes >= BATCH_BYTES_MAX {
                break None;
            }
            // Not by the runtime's leave, which ends after 128 messages: it would bound every batch.
            let ready = self.reading.as_mut();
            let ready = ready.and_then(|reading| unconstrained(reading.messages.next()).now_or_never());
            match ready {
                Some(message) => next = message,
                None => break None,
            }
        };
        if !items.is_empty() {
            self.patience.proved();
        }
        match fault {
            // What came before the fault is good; the fault comes up again when it is gone.
            Some(Fault::Retry(_) | Fault::Hole { .. }) if !items.is_empty() => self.reading = None,
            Some(fault) => return Err(fault),
            None => {}
        }
        if let Some(reading) = self.reading.as_mut() {
            reading.delivered = Instant::now();
            reading.proved |= !items.is_empty();
        }
        self.status.send_if_modified(|status| {
            let grown = log_end > status.log_end;
            status.saw_end(log_end);
            grown
        });
        Ok(items)
    }

    /// Checks that a message is the next one. One that was applied before is skipped.
    fn accept(message: &Message, expected: u64) -> Result<Option<(Item, u64)>, Fault> {
        let info = message.info().map_err(|error| Fault::Retry(error.to_string()))?;
        let found = info.stream_sequence;
        if found < expected {
            return Ok(None);
        }
        if found > expected {
            return Err(Fault::Hole { expected, found });
        }
        let item = Item {
            sequence: found,
            log_time_ms: stream::millis(info.published),
            payload: message.payload.clone(),
            trace_id: trace_id(message),
        };
        Ok(Some((item, found.saturating_add(info.pending))))
    }

    fn next_sequence(&self) -> u64 {
        self.identity.sequence + 1
    }

    /// A request without a connection would wait for its whole bound.
    fn connected(&self) -> Result<(), Fault> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => {
                Err(Fault::Retry("the broker is not connected".to_owned()))
            }
        }
    }

    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

/// The trace id of a W3C `traceparent`: `version-trace-span-flags`.
fn trace_id(message: &Message) -> Option<String> {
    let header = message.headers.as_ref()?.get("traceparent")?;
    let id = header.as_str().split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
}

fn absent(expected: u64, found: Option<u64>) -> String {
    match found {
        Some(found) => format!("{found} came instead of {expected}"),
        None => "the log grows and nothing comes".to_owned(),
    }
}

/// async-nats prints the cause of an error with it, so its text alone says all.
fn retry(error: impl std::error::Error) -> Fault {
    Fault::Retry(error.to_string())
}
