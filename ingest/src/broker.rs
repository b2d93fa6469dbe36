//! The connection to the broker and what is known of its health.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use groupfold_schemas::log;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::append;
use crate::durability::{self, Durability};
use crate::provision;

/// How often the connection is looked at; a lost one ends waits for its acknowledgements.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// How often the broker is asked whether it answers.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// The same while it does not.
const PROBE_INTERVAL_STALLED: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// A probe older than this says nothing: three missed in a row.
const PROBE_FRESH: Duration = Duration::from_secs(15);
/// How often durability is determined anew while nothing changes.
const DURABILITY_INTERVAL: Duration = Duration::from_secs(30);
/// The same while streams are missing: those that come may be of another log.
const MISSING_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at least.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long a refusal by the log keeps the receiver unready. Without traffic nobody would learn that
/// there is room again, so it ends by itself.
const REFUSAL_HOLDS: Duration = Duration::from_secs(10);

/// Which connection: changes whenever one is lost or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection {
    epoch: u64,
    pub(crate) connected: bool,
}

impl Connection {
    /// Waits until this one is lost. Connections are looked at now and then: what is told late of how it was made is no
    /// loss of it.
    pub(crate) async fn lost(self, told: &mut watch::Receiver<Self>) {
        while told.changed().await.is_ok() && *told.borrow_and_update() == self {}
    }
}

/// The broker as the receiver sees it.
pub(crate) struct Broker {
    client: Client,
    context: Context,
    partitions: u16,
    /// The streams take atomic batches.
    batches: bool,
    monitor_url: Option<String>,
    connection: watch::Sender<Connection>,
    /// Set when an acknowledgement stayed away, until the broker answers again. Meanwhile nothing is
    /// published: it would pile up in the client.
    stalled: AtomicBool,
    stalled_now: Notify,
    /// A probe begins.
    probing: Notify,
    is_other: AtomicBool,
    /// Asks for a look at the streams: one of them was not there.
    look_now: Notify,
    health: Mutex<Health>,
    durability: RwLock<Option<(u64, Durability)>>,
    fullness: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Default)]
struct Health {
    answered_at: Option<Instant>,
    /// By the partition of the stream, none for the failures: what another one takes says nothing of it.
    refused: BTreeMap<Option<u16>, (Instant, &'static str)>,
    /// A stream of the log that is not there: emptied broker, or the wrong one.
    missing: Option<String>,
    /// How many partitions the log has, where it was made anew with other ones than we know.
    other_partitions: Option<u16>,
    /// What the broker says of a stream that takes nothing any more.
    held: Option<String>,
}

impl Broker {
    pub(crate) fn new(
        client: Client,
        partitions: u16,
        batches: bool,
        monitor_url: Option<String>,
        append_deadline: Duration,
    ) -> Self {
        let context = ContextBuilder::new().timeout(append_deadline).build(client.clone());
        let connection = watch::Sender::new(connection_of(&client));
        Self {
            client,
            context,
            partitions,
            batches,
            monitor_url,
            connection,
            stalled: AtomicBool::new(false),
            stalled_now: Notify::new(),
            probing: Notify::new(),
            is_other: AtomicBool::new(false),
            look_now: Notify::new(),
            health: Mutex::default(),
            durability: RwLock::new(None),
            fullness: Gauge::default(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The connection at hand.
    pub(crate) fn connection(&self) -> Connection {
        connection_of(&self.client)
    }

    /// Changes when the connection at hand is lost.
    pub(crate) fn watch_connection(&self) -> watch::Receiver<Connection> {
        self.connection.subscribe()
    }

    pub(crate) fn stalled(&self) -> &AtomicBool {
        &self.stalled
    }

    /// Takes note that a webhook is in the log, in streams of these partitions, none for the failures.
    pub(crate) fn took(&self, streams: impl Iterator<Item = Option<u16>>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.answered_at = Some(Instant::now());
        if !health.refused.is_empty() {
            for stream in streams {
                health.refused.remove(&stream);
            }
        }
        self.stalled.store(false, Ordering::Relaxed);
    }

    /// Takes note of why a webhook is not in the log, and which stream is to blame.
    pub(crate) fn refused(&self, stream: Option<u16>, error: &append::Error) {
        match error {
            append::Error::Unacknowledged => {
                self.stalled.store(true, Ordering::Relaxed);
                self.stalled_now.notify_one();
            }
            // The next one may fit: what is said of one item says nothing of the log.
            append::Error::Disconnected | append::Error::Stalled | append::Error::TooLarge => {}
            error => {
                if matches!(error, append::Error::NoStream) {
                    self.look_now.notify_one();
                }
                let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
                health.refused.insert(stream, (Instant::now(), error.reason()));
            }
        }
    }

    /// Why the receiver should get no traffic; none if it should.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let state = self.client.connection_state();
        if state != State::Connected {
            reasons.push(format!("broker: {state}"));
        }
        if self.stalled.load(Ordering::Relaxed) {
            reasons.push("broker: does not answer".to_owned());
        }
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.answered_at.is_none_or(|at| at.elapsed() >= PROBE_FRESH) {
            reasons.push("log: no answer yet or for a while".to_owned());
        }
        let lately = health.refused.values().filter(|(at, _)| at.elapsed() < REFUSAL_HOLDS);
        let refused: BTreeSet<&str> = lately.map(|(_, reason)| *reason).collect();
        reasons.extend(refused.into_iter().map(|reason| format!("log: {reason}")));
        if let Some(stream) = &health.missing {
            reasons.push(format!("log: the stream {stream} is missing"));
        }
        if let Some(found) = health.other_partitions {
            let known = self.partitions;
            reasons.push(format!("log: it was made anew with {found} partitions, not {known}: start again"));
        }
        if let Some(error) = &health.held {
            reasons.push(format!("log: the broker holds a stream until it is started again: {error}"));
        }
        reasons
    }

    /// What an acknowledgement on the connection at hand is worth.
    pub(crate) fn durability(&self) -> Durability {
        let known = *self.durability.read().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some((epoch, durability)) if epoch == connection_of(&self.client).epoch => durability,
            _ => Durability::Unverified,
        }
    }

    /// Whether many messages are better published as one: a batch costs more than they do where nothing is synced.
    pub(crate) fn batches(&self) -> bool {
        self.batches && self.durability() == Durability::Fsync
    }

    /// How full the log is, from 0 to 1, looked at as often as its durability.
    pub(crate) fn fullness(&self) -> Gauge<f64, AtomicU64> {
        self.fullness.clone()
    }

    /// Determines durability for the connection at hand, and how full the log is.
    pub(crate) async fn determine_durability(&self) {
        let epoch = connection_of(&self.client).epoch;
        let monitor_url = self.monitor_url.as_deref();
        let found = durability::determine(&self.context, self.partitions, monitor_url).await;
        if let Some(full) = durability::fullness(&self.context, self.partitions, monitor_url).await {
            self.fullness.set(full);
        }
        let mut known = self.durability.write().unwrap_or_else(PoisonError::into_inner);
        if *known != Some((epoch, found)) {
            tracing::info!(durability = found.name(), "durability determined");
        }
        *known = Some((epoch, found));
    }

    /// Looks whether all streams are there, and are those of as many partitions as we know; a broker that does not tell
    /// leaves open what was known.
    async fn look_for_streams(&self) {
        let streams = (0..self.partitions).map(log::stream).chain(log::SIDE_STREAMS.map(str::to_owned));
        let (mut missing, mut other) = (None, None);
        for stream in streams {
            match provision::lookup(&self.context, &stream).await {
                Ok(Some(config)) => {
                    let partitions = provision::partitions_of(&config);
                    other = other.or(partitions.filter(|partitions| *partitions != self.partitions));
                }
                Ok(None) => missing = missing.or(Some(stream)),
                Err(_) => return,
            }
        }
        self.is_other.store(other.is_some(), Ordering::Relaxed);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        (health.missing, health.other_partitions) = (missing, other);
    }

    /// True if the log was made anew with another number of partitions: events would go where nobody looks for them.
    pub(crate) fn is_other(&self) -> bool {
        self.is_other.load(Ordering::Relaxed)
    }

    /// Asks the broker's other port whether it holds a stream.
    pub(crate) async fn look_for_held(&self) {
        if let Some(url) = &self.monitor_url {
            let held = durability::held_stream(url).await;
            self.health.lock().unwrap_or_else(PoisonError::into_inner).held = held;
        }
    }

    /// Asks the broker whether it answers.
    pub(crate) async fn probe(&self) {
        let asked = tokio::time::timeout(PROBE_TIMEOUT, self.context.query_account()).await;
        if matches!(asked, Ok(Ok(_))) {
            self.health.lock().unwrap_or_else(PoisonError::into_inner).answered_at = Some(Instant::now());
            self.stalled.store(false, Ordering::Relaxed);
        }
    }

    /// Watches until told to stop.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        // Beside the probe: a port that nobody answers at must not keep the door shut.
        let held = async {
            loop {
                self.probing.notified().await;
                self.look_for_held().await;
            }
        };
        let tasks = async {
            tokio::join!(self.watch_epochs(), self.probe_for_ever(), self.follow_durability(), held)
        };
        tokio::select! {
            _ = tasks => {}
            () = stop.cancelled() => {}
        }
    }

    async fn watch_epochs(&self) {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let now = connection_of(&self.client);
            let changed = self.connection.send_if_modified(|seen| std::mem::replace(seen, now) != now);
            if changed {
                tracing::info!(connected = now.connected, "broker connection changed");
            }
        }
    }

    async fn probe_for_ever(&self) {
        loop {
            let stalled = self.stalled.load(Ordering::Relaxed);
            let interval = if stalled { PROBE_INTERVAL_STALLED } else { PROBE_INTERVAL };
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.stalled_now.notified() => {}
            }
            // A probe while disconnected would only queue up in the client.
            if self.is_connected() {
                self.probing.notify_one();
                self.probe().await;
            }
        }
    }

    async fn follow_durability(&self) {
        let mut connection = self.connection.subscribe();
        loop {
            let missing = self.health.lock().unwrap_or_else(PoisonError::into_inner).missing.is_some();
            let interval = if missing { MISSING_INTERVAL } else { DURABILITY_INTERVAL };
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.look_now.notified() => {}
                _ = connection.changed() => {}
            }
            if self.is_connected() {
                self.look_for_streams().await;
                self.determine_durability().await;
            }
            // Each webhook that finds no stream asks for a look.
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

fn connection_of(client: &Client) -> Connection {
    let epoch = client.statistics().connects.load(Ordering::Relaxed);
    Connection { epoch, connected: client.connection_state() == State::Connected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_lost_once_it_is_not_the_one_and_not_when_it_is_told_of_late() {
        let of = |epoch, connected| Connection { epoch, connected };
        let lost = |tell: &[Connection]| {
            // What was known when the connection was made already.
            let (teller, mut told) = watch::channel(of(1, false));
            for now in tell {
                teller.send_replace(*now);
            }
            futures_util::FutureExt::now_or_never(of(2, true).lost(&mut told)).is_some()
        };
        assert!(!lost(&[]) && !lost(&[of(2, true)]));
        assert!(lost(&[of(2, false)]) && lost(&[of(3, true)]) && lost(&[of(2, true), of(2, false)]));
    }
}
