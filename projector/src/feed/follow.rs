//! Following the stream of changes for one reader: from a place on, of some subjects, as long as the reader stays.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, Context, Message};
use futures_util::StreamExt as _;
use groupfold_schemas::log;

use crate::tail::{self, StreamInfo};

/// Messages and bytes that the broker sends ahead of one reader.
const AHEAD_MESSAGES: usize = 256;
const AHEAD_BYTES: usize = 1024 * 1024;
/// The broker says that it is there at least this often; two missed and the consumer is made anew.
const HEARTBEAT: Duration = Duration::from_secs(5);
const CONSUMER_IDLE_MAX: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// Bound of one request to the broker.
const REQUEST_WAIT: Duration = Duration::from_secs(3);

/// Why there is nothing more to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The stream is not the one that the place is of.
    Recreated,
    /// Retention took what comes next.
    Overtaken,
}

/// The stream as one reader follows it.
pub(crate) struct Following {
    context: Context,
    subjects: Vec<String>,
    created: String,
    next: u64,
    messages: Option<pull::Stream>,
    /// What delivers them, and how many of them came.
    consumer: Option<PullConsumer>,
    came: u64,
}

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
        let context = context(client);
        Self { context, subjects, created, next, messages: None, consumer: None, came: 0 }
    }

    /// The next message and its sequence: waits until there is one. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<(u64, Message), Gone> {
        loop {
            if self.messages.is_none()
                && let Err(why) = self.connect().await?
            {
                tracing::debug!(reason = why, "changes cannot be followed");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let Some(messages) = self.messages.as_mut() else { continue };
            let Some(Ok(message)) = messages.next().await else {
                self.messages = None;
                continue;
            };
            self.came += 1;
            let Ok(sequence) = message.info().map(|info| info.stream_sequence) else { continue };
            if sequence >= self.next {
                self.next = sequence + 1;
                return Ok((sequence, message));
            }
        }
    }

    /// The sequence that comes next, past what is not asked for: up to the end of the stream, if all that is asked for has
    /// come by then. A place that stood still would be overtaken by retention, though nothing was missed.
    pub(crate) async fn moved_on(&mut self) -> u64 {
        if !self.subjects.is_empty()
            && let Ok(end) = look_at(&self.context).await
            && end.created == self.created
            && self.has_all().await
        {
            self.next = self.next.max(end.last_sequence + 1);
        }
        self.next
    }

    /// True if the broker has delivered all that there is of the subjects, and nothing of it is on its way.
    async fn has_all(&mut self) -> bool {
        let Some(consumer) = self.consumer.as_mut().filter(|_| self.messages.is_some()) else { return false };
        let info = consumer.info().await;
        info.is_ok_and(|info| info.num_pending == 0 && info.delivered.consumer_sequence == self.came)
    }

    async fn connect(&mut self) -> Result<Result<(), String>, Gone> {
        let info = match look_at(&self.context).await {
            Ok(info) => info,
            Err(why) => return Ok(Err(why)),
        };
        if info.created != self.created || info.last_sequence + 1 < self.next {
            return Err(Gone::Recreated);
        }
        if info.first_sequence > self.next {
            return Err(Gone::Overtaken);
        }
        Ok(self.consume().await)
    }

    async fn consume(&mut self) -> Result<(), String> {
        let stream = self.context.get_stream_no_info(log::CHANGES_STREAM).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let config = pull::Config {
            description: Some("groupfold change feed".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
            filter_subjects: self.subjects.clone(),
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_IDLE_MAX,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(AHEAD_MESSAGES)
            .max_bytes_per_batch(AHEAD_BYTES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| error.to_string())?;
        (self.messages, self.consumer, self.came) = (Some(messages), Some(consumer), 0);
        Ok(())
    }
}
