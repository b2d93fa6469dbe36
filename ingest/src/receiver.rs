//! The receiver: started once, cheap to clone, served on a listener.

use std::sync::{Arc, OnceLock};

use async_nats::Client;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::append::{AROUND_BYTES, Lanes};
use crate::broker::Broker;
use crate::durability::Durability;
use crate::handshake::VerifyToken;
use crate::metrics::Metrics;
use crate::server::{self, DrainReport};
use crate::settings::Settings;
use crate::tally::Tally;
use crate::verify::{SecretError, Secrets};
use crate::{meta, provision};

/// Why the receiver does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without secrets, or with an empty one, anyone could write to the log.
    #[error("the app secrets cannot be used")]
    Secrets(#[source] SecretError),
    /// The handshake would let anyone claim the address.
    #[error("the verify token is empty")]
    VerifyToken,
    /// A bound is zero, or above what can be counted.
    #[error("the bound {name} must be 1 to {max}")]
    Bound {
        /// The setting.
        name: &'static str,
        /// Its largest value.
        max: usize,
    },
    /// The streams are not those of a log of ours, or the broker does not tell.
    #[error("the log cannot be used")]
    Log(#[source] provision::Error),
    /// Not even what one item brings with it fits into a message: changes of long descriptions are told before and after.
    #[error(
        "the broker takes messages of {found} bytes, {PAYLOAD_MIN} are the least: set `max_payload: 8MB` in its configuration"
    )]
    Payload {
        /// The broker's `max_payload`.
        found: usize,
    },
    /// There is no log yet.
    #[error("there is no log on this broker: run `groupfold provision` first")]
    NoLog,
    /// Some streams of the log are missing.
    #[error("the log is not whole: {} missing; `groupfold provision` makes what may be made again", .streams.join(", "))]
    Missing {
        /// Their names.
        streams: Vec<String>,
    },
}

/// The door, ready to be served. Clones share everything.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

/// What requests share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) secrets: watch::Sender<Secrets>,
    pub(crate) verify_token: watch::Sender<Option<VerifyToken>>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) lanes: Lanes,
    pub(crate) partitions: u16,
    pub(crate) metrics: Metrics,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) bytes: Arc<Semaphore>,
    pub(crate) tally: Arc<Tally>,
    /// What tells the door to close, once it is open.
    closing: OnceLock<CancellationToken>,
    /// Ends the watch over the broker with the last clone.
    _watch: DropGuard,
}

impl Receiver {
    /// Checks settings and log and starts to watch the broker. The client must be connected.
    ///
    /// # Errors
    /// What would let nothing, or too much, through the door.
    pub async fn start(
        client: Client,
        settings: Settings,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let secrets = Secrets::new(&settings.app_secrets).map_err(StartError::Secrets)?;
        let verify_token = verify_token(settings.verify_token.as_deref())?;
        check_bounds(&settings)?;
        let (partitions, batches) = check_log(&client).await?;
        check_payload(client.max_payload(), settings.body_bytes_max)?;
        let monitor_url = settings.monitor_url.clone();
        let broker = Broker::new(client, partitions, batches, monitor_url, settings.append_deadline);
        let broker = Arc::new(broker);
        // Before the first webhook, so that none is answered "unverified" for want of a look.
        broker.probe().await;
        broker.look_for_held().await;
        broker.determine_durability().await;
        let help = "Share of the log's tightest bound that is used; zero while none is known";
        registry.register("groupfold_log_full_ratio", help, broker.fullness());
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&broker).watch(stop.clone()));
        let tally = Arc::new(Tally::new(&settings.build));
        tokio::spawn({
            let (tally, client, stop) = (Arc::clone(&tally), broker.client().clone(), stop.clone());
            async move { tally.keep(client, stop).await }
        });
        let metrics = Metrics::register(registry);
        metrics.secrets(secrets.count());
        Ok(Self(Arc::new(Inner {
            secrets: watch::Sender::new(secrets),
            verify_token: watch::Sender::new(verify_token),
            lanes: Lanes::start(&broker, &metrics, partitions),
            broker,
            partitions,
            metrics,
            requests: Arc::new(Semaphore::new(settings.requests_max)),
            bytes: Arc::new(Semaphore::new(settings.bytes_in_flight_max)),
            settings,
            tally,
            closing: OnceLock::new(),
            _watch: stop.drop_guard(),
        })))
    }

    /// Accepts until `shutdown`, then finishes what is in flight within the drain budget.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> DrainReport {
        let _ = self.0.closing.set(shutdown.clone());
        let report = server::serve(Arc::clone(&self.0), listener, shutdown).await;
        if report.cut == 0 {
            self.0.tally.close(self.0.broker.client()).await;
        }
        report
    }

    /// Believes these secrets and this verify token from now on, and no others; settings of the start that were replaced
    /// are forgotten.
    ///
    /// # Errors
    /// No secret, an empty one, or an empty verify token; nothing has changed.
    pub fn replace_secrets(
        &self,
        app_secrets: &[String],
        verify_token: Option<&str>,
    ) -> Result<(), StartError> {
        let secrets = Secrets::new(app_secrets).map_err(StartError::Secrets)?;
        let verify_token = self::verify_token(verify_token)?;
        self.0.metrics.secrets(secrets.count());
        self.0.secrets.send_replace(secrets);
        self.0.verify_token.send_replace(verify_token);
        Ok(())
    }

    /// Why the receiver should get no traffic; empty when it should.
    #[must_use]
    pub fn readiness(&self) -> Vec<String> {
        let mut reasons = self.0.broker.reasons();
        if self.0.closing.get().is_some_and(CancellationToken::is_cancelled) {
            reasons.push("receiver: stopping".to_owned());
        }
        reasons
    }

    /// What an acknowledgement is worth now.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.0.broker.durability()
    }

    /// Partitions of the log.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.0.partitions
    }
}

impl Inner {
    /// Webhooks being worked on, from their head to their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.settings.requests_max.saturating_sub(self.requests.available_permits())
    }

    /// What the adapter is told around a body.
    pub(crate) fn delivery<'a>(
        &'a self,
        request_id: &'a str,
        received_time_ms: i64,
        headers: meta::Headers<'a>,
    ) -> meta::Delivery<'a> {
        meta::Delivery {
            received_time_ms,
            request_id,
            build: &self.settings.build,
            headers,
            ignore_one_to_one: self.settings.ignore_one_to_one,
            ignore_other_fields: self.settings.ignore_other_fields,
            replayed: false,
        }
    }
}

/// An empty one is one that did not arrive.
fn verify_token(token: Option<&str>) -> Result<Option<VerifyToken>, StartError> {
    token.map(|token| VerifyToken::new(token).ok_or(StartError::VerifyToken)).transpose()
}

fn check_bounds(settings: &Settings) -> Result<(), StartError> {
    // Bytes are counted by a semaphore that hands them out in portions of 32 bits.
    const BYTES_MAX: usize = u32::MAX as usize >> 3;
    let bounds = [
        ("body_bytes_max", settings.body_bytes_max, settings.bytes_in_flight_max.min(BYTES_MAX)),
        ("requests_max", settings.requests_max, Semaphore::MAX_PERMITS),
        ("bytes_in_flight_max", settings.bytes_in_flight_max, Semaphore::MAX_PERMITS),
        ("connections_max", settings.connections_max, Semaphore::MAX_PERMITS),
    ];
    match bounds.into_iter().find(|(_, value, max)| !(1..=*max).contains(value)) {
        Some((name, _, max)) => Err(StartError::Bound { name, max }),
        None => Ok(()),
    }
}

/// The least `max_payload` of a broker, in bytes: the longest change of the feed with room.
const PAYLOAD_MIN: usize = 128 * 1024;

/// What the shipped configurations of a broker say, `8MB`, in bytes.
pub const PAYLOAD_SHIPPED: usize = 8 << 20;

/// The longest body that there is any sense in letting in, in bytes: nats-server keeps no message of more than 32 MiB on
/// disk, whatever its `max_payload` says.
pub const BODY_BYTES_LIMIT: usize = (32 << 20) - AROUND_BYTES;

/// Each item is a message of its own, so that long webhooks come in all the same, but for those of a single long item, or of
/// nothing that can be read.
fn check_payload(max_payload: usize, body_bytes_max: usize) -> Result<(), StartError> {
    if max_payload < PAYLOAD_MIN {
        return Err(StartError::Payload { found: max_payload });
    }
    let wanted = payload_wanted(body_bytes_max);
    if max_payload < wanted {
        let set = if wanted <= PAYLOAD_SHIPPED { "8MB".to_owned() } else { wanted.to_string() };
        tracing::warn!(
            max_payload,
            wanted,
            "the broker takes no message as long as a webhook may be: a longer item gets 503 (message_too_large) each time it \
             is sent; set `max_payload: {set}` in the broker's configuration, and restart the broker"
        );
    }
    Ok(())
}

/// The `max_payload` of a broker, in bytes, by which any body of at most `body_bytes_max` bytes comes in, whatever is in it:
/// one that cannot be read is kept whole in one message.
#[must_use]
pub fn payload_wanted(body_bytes_max: usize) -> usize {
    body_bytes_max.saturating_add(AROUND_BYTES)
}

/// The number of partitions, and whether their streams take batches: one made before batches were used does not.
async fn check_log(client: &Client) -> Result<(u16, bool), StartError> {
    let partitions = provision::discover(client).await.map_err(StartError::Log)?.ok_or(StartError::NoLog)?;
    let plan = provision::Plan { partitions, ..provision::Plan::default() };
    let report = provision::check(client, &plan).await.map_err(StartError::Log)?;
    if !report.missing.is_empty() {
        return Err(StartError::Missing { streams: report.missing });
    }
    let batches = !report.differences.iter().any(|difference| difference.setting == provision::ALLOW_ATOMIC);
    // A log of other settings is taken, as an operator may want it so; which ones, they should hear. Bounds and copies are
    // theirs to choose, and no setting of a receiver's.
    let known = [provision::ALLOW_ATOMIC, provision::MAX_BYTES, provision::NUM_REPLICAS];
    for difference in report.differences.iter().filter(|one| !known.contains(&one.setting)) {
        tracing::warn!(%difference, "the log is not as it is provisioned: `groupfold provision --check` shows all");
    }
    Ok((partitions, batches))
}
