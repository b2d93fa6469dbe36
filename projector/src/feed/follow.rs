//! Following the stream of changes for one reader: from a place on, of some subjects, as long as the reader stays.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
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
}

/// What the broker says of the stream of changes.
pub(crate) async fn look(client: &async_nats::Client) -> Result<StreamInfo, String> {
    tail::look(&context(client), log::CHANGES_STREAM).await
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
        Self { context: context(client), subjects, created, next, messages: None }
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
            let Ok(sequence) = message.info().map(|info| info.stream_sequence) else { continue };
            if sequence >= self.next {
                self.next = sequence + 1;
                return Ok((sequence, message));
            }
        }
    }

    async fn connect(&mut self) -> Result<Result<(), String>, Gone> {
        let info = match tail::look(&self.context, log::CHANGES_STREAM).await {
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
        self.messages = Some(messages);
        Ok(())
    }
}
