//! What the receiver is told. Everything with a bound has a default; secrets have none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Meta posts at most 3 MB.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Webhooks worked on at once. Meta delivers concurrently; the broker's syncs, not this, set the pace.
const REQUESTS_MAX: usize = 2048;
/// Bytes of bodies held at once. Records and frames of them take about three times as much memory.
const BYTES_IN_FLIGHT_MAX: usize = 64 * 1024 * 1024;
const CONNECTIONS_MAX: usize = 4096;
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
const BODY_DEADLINE: Duration = Duration::from_secs(20);
const APPEND_DEADLINE: Duration = Duration::from_secs(5);
/// Half of the 30 s that Kubernetes grants by default.
const DRAIN_BUDGET: Duration = Duration::from_secs(15);

/// The certificate that holds, and who must show one; a connection takes what is there when it begins.
pub type Tls = watch::Receiver<Arc<tokio_rustls::rustls::ServerConfig>>;

/// What the receiver is told. `Default` sets the bounds and leaves the app secrets empty, which
/// [`crate::Receiver::start`] refuses.
#[derive(Clone)]
pub struct Settings {
    /// Secrets that sign webhooks. Several, so that one can be rotated and several apps can share a door.
    pub app_secrets: Vec<String>,
    /// Token that the provider repeats in the handshake; without one every handshake is refused.
    pub verify_token: Option<String>,
    /// TLS on the door; without it, it is spoken to in the clear.
    pub tls: Option<Tls>,
    /// Largest body accepted; above it 413.
    pub body_bytes_max: usize,
    /// Webhooks worked on at once; above it 503.
    pub requests_max: usize,
    /// Bytes of bodies held at once; above it 503.
    pub bytes_in_flight_max: usize,
    /// Connections held at once; above it 503 and closed.
    pub connections_max: usize,
    /// Time for a request's head, and for an idle connection's next one; after it 408, or closed if idle.
    pub header_deadline: Duration,
    /// Time for a request's body; after it 408.
    pub body_deadline: Duration,
    /// Time for a webhook of one item to be acknowledged, after it 503; 10 ms more for each further one, 9 s more at
    /// the most.
    pub append_deadline: Duration,
    /// Time that requests in flight get to finish when told to stop.
    pub drain_budget: Duration,
    /// One-to-one messages and receipts are counted and dropped; otherwise they are kept as failures.
    pub ignore_one_to_one: bool,
    /// Webhook fields outside groups are counted and dropped; otherwise they are kept as failures.
    pub ignore_other_fields: bool,
    /// The broker's monitoring address, such as `http://127.0.0.1:8222`: tells whether it syncs.
    pub monitor_url: Option<String>,
    /// Version of this build, kept with every failure.
    pub build: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            app_secrets: Vec::new(),
            verify_token: None,
            tls: None,
            body_bytes_max: BODY_BYTES_MAX,
            requests_max: REQUESTS_MAX,
            bytes_in_flight_max: BYTES_IN_FLIGHT_MAX,
            connections_max: CONNECTIONS_MAX,
            header_deadline: HEADER_DEADLINE,
            body_deadline: BODY_DEADLINE,
            append_deadline: APPEND_DEADLINE,
            drain_budget: DRAIN_BUDGET,
            ignore_one_to_one: true,
            ignore_other_fields: true,
            monitor_url: None,
            build: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl std::fmt::Debug for Settings {
    /// Without the secrets: settings end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("app_secrets", &self.app_secrets.len())
            .field("body_bytes_max", &self.body_bytes_max)
            .field("requests_max", &self.requests_max)
            .field("bytes_in_flight_max", &self.bytes_in_flight_max)
            .field("connections_max", &self.connections_max)
            .field("header_deadline", &self.header_deadline)
            .field("body_deadline", &self.body_deadline)
            .field("append_deadline", &self.append_deadline)
            .field("drain_budget", &self.drain_budget)
            .field("ignore_one_to_one", &self.ignore_one_to_one)
            .field("ignore_other_fields", &self.ignore_other_fields)
            .field("monitor_url", &self.monitor_url)
            .field("build", &self.build)
            .finish_non_exhaustive()
    }
}
