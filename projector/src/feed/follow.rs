//! Following the stream of changes for one reader: from a place on, of some subjects, as long as the reader stays.

use std::pin::Pin;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Context, Message};
use futures_util::StreamExt as _;
use groupfold_schemas::log;

use crate::consumer::{self, Ephemeral};
use crate::tail::{self, StreamInfo};

/// Messages and bytes that the broker sends ahead of one reader.
const AHEAD_MESSAGES: usize = 256;
const AHEAD_BYTES: usize = 1024 * 1024;
/// The broker says that it is there at least this often; two missed and the consumer is made anew.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How long attempts may fail before the reader is told.
const UNFOLLOWED_MAX: Duration = Duration::from_secs(10);
/// Bound of one request to the broker.
const REQUEST_WAIT: Duration = Duration::from_secs(3);

/// Why there is nothing more to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The stream is not the one that the place is of.
    Recreated,
    /// Retention took what comes next.
    Overtaken,
    /// The broker does not let it be followed, and says why.
    Unavailable(String),
}

/// The stream as one reader follows it.
pub(crate) struct Following {
    place: Place,
    connected: Option<Connected>,
    /// Kept where a reader has something to do meanwhile: begun anew each time it might never end.
    connecting: Option<Connecting>,
    /// Since when attempts have failed.
    failing: Option<Instant>,
}

/// What to read, and from where on.
#[derive(Clone)]
struct Place {
    context: Context,
    subjects: Vec<String>,
    created: String,
    next: u64,
}

/// What delivers, and how many messages came.
struct Connected {
    messages: pull::Stream,
    consumer: Ephemeral,
    came: u64,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Connected, Gone>> + Send>>;

/// What the broker says of the stream of changes.
pub(crate) async fn look(client: &async_nats::Client) -> Result<StreamInfo, String> {
    look_at(&context(client)).await
}

async fn look_at(context: &Context) -> Result<StreamInfo, String> {
    tail::look(context, log::CHANGES_STREAM).await
}

fn context(client: &async_nats::Client) -> Context {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(REQUEST_WAIT);
    context
}

impl Following {
    /// From a sequence of the stream created at that time.
    pub(crate) fn new(
        client: &async_nats::Client,
        created: String,
        next: u64,
        subjects: Vec<String>,
    ) -> Self {
        let place = Place { context: context(client), subjects, created, next };
        Self { place, connected: None, connecting: None, failing: None }
    }

    /// Has the broker begin to deliver, or says at once why it does not.
    pub(crate) async fn begin(&mut self) -> Result<(), Gone> {
        self.connected = Some(self.place.clone().connect().await?);
        Ok(())
    }

    /// The next message and its sequence: waits until there is one. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<(u64, Message), Gone> {
        loop {
            let Some(connected) = self.connected.as_mut() else {
                self.connect().await?;
                continue;
            };
            let Some(Ok(message)) = connected.messages.next().await else {
                self.connected = None;
                continue;
            };
            connected.came += 1;
            let Ok(sequence) = message.info().map(|info| info.stream_sequence) else { continue };
            if sequence >= self.place.next {
                self.place.next = sequence + 1;
                return Ok((sequence, message));
            }
        }
    }

    /// The sequence that comes next, past what is not asked for: up to the end of the stream, if all that is asked for has
    /// come by then. A place that stood still would be overtaken by retention, though nothing was missed.
    pub(crate) async fn moved_on(&mut self) -> u64 {
        if !self.place.subjects.is_empty()
            && let Ok(end) = look_at(&self.place.context).await
            && end.created == self.place.created
            && let Some(connected) = self.connected.as_mut()
            && connected.consumer.has_delivered_all(connected.came).await
        {
            self.place.next = self.place.next.max(end.last_sequence + 1);
        }
        self.place.next
    }

    /// One attempt, or what is left of it. An error when they have failed for too long.
    async fn connect(&mut self) -> Result<(), Gone> {
        let place = &self.place;
        let connecting = self.connecting.get_or_insert_with(|| Box::pin(place.clone().connect()));
        let connected = connecting.await;
        self.connecting = None;
        match connected {
            Ok(connected) => (self.connected, self.failing) = (Some(connected), None),
            Err(Gone::Unavailable(why)) => {
                if self.failing.get_or_insert_with(Instant::now).elapsed() >= UNFOLLOWED_MAX {
                    return Err(Gone::Unavailable(why));
                }
                tracing::debug!(reason = why, "changes cannot be followed");
                let place = self.place.clone();
                self.connecting = Some(Box::pin(async {
                    tokio::time::sleep(PAUSE).await;
                    place.connect().await
                }));
            }
            Err(gone) => return Err(gone),
        }
        Ok(())
    }
}

impl Place {
    async fn connect(self) -> Result<Connected, Gone> {
        let info = look_at(&self.context).await.map_err(Gone::Unavailable)?;
        if info.created != self.created || info.last_sequence + 1 < self.next {
            return Err(Gone::Recreated);
        }
        if info.first_sequence > self.next {
            return Err(Gone::Overtaken);
        }
        let config = pull::Config {
            description: Some("groupfold change feed".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
            filter_subjects: self.subjects,
            inactive_threshold: consumer::IDLE_MAX,
            ..pull::Config::default()
        };
        let consumer = Ephemeral::make(&self.context, log::CHANGES_STREAM, config).await;
        let consumer = consumer.map_err(|error| Gone::Unavailable(error.to_string()))?;
        let messages = consumer.messages(AHEAD_MESSAGES, AHEAD_BYTES, HEARTBEAT).await;
        let messages = messages.map_err(|error| Gone::Unavailable(error.to_string()))?;
        Ok(Connected { messages, consumer, came: 0 })
    }
}
