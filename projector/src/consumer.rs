//! Consumers that end with whoever reads by them.
//!
//! The broker has room for so many consumers of a stream (1,000), and keeps one that nobody reads by for a while. So each is
//! taken away when its reader ends, also where its making was given up half way: its name is ours, and known before.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, StreamError, pull};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use tokio::runtime::Handle;

/// How long the broker keeps a consumer that was not taken away: that of a process that was killed. Longer than a request
/// for messages lasts (30 s), so that a reader who is slow to take what came keeps it.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(35);
/// The same of one that is only asked where it stands, and could not be taken away.
pub(crate) const ASKED_IDLE_MAX: Duration = Duration::from_secs(5);

/// The broker says that it is there at least this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// What the broker counts of a message beside its payload and headers: subjects, and room to spare.
const AROUND_BYTES: usize = 64 * 1024;

/// Bytes to have sent ahead: these, or as many as the largest message has that the broker takes. One larger than what is
/// asked for at once would never come.
pub(crate) fn room_for_any(bytes_ahead: usize, max_payload: usize) -> usize {
    bytes_ahead.max(max_payload.saturating_add(AROUND_BYTES))
}

/// A pull consumer without acknowledgements. Taken away when it is dropped, as well as that can be done.
#[derive(Debug)]
pub(crate) struct Ephemeral {
    consumer: PullConsumer,
    _end: End,
}

impl Ephemeral {
    /// Has the broker make one. May be dropped while it waits.
    pub(crate) async fn make(
        context: &Context,
        stream: &str,
        config: pull::Config,
    ) -> Result<Self, ConsumerError> {
        let name = context.client().new_inbox();
        let name = name.rsplit('.').next().unwrap_or(&name).to_owned();
        let config = pull::Config {
            name: Some(name.clone()),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            ..config
        };
        // Before it is asked for: of an answer that does not come nobody knows whether there is a consumer.
        let mut end = End { context: context.clone(), stream: stream.to_owned(), name };
        match context.create_consumer_on_stream(config, stream).await {
            Ok(consumer) => Ok(Self { consumer, _end: end }),
            Err(error) => {
                if matches!(error.kind(), ConsumerErrorKind::JetStream(_)) {
                    end.name.clear();
                }
                Err(error)
            }
        }
    }

    /// What the broker said of it last.
    pub(crate) fn cached_info(&self) -> &async_nats::jetstream::consumer::Info {
        self.consumer.cached_info()
    }

    /// True if the broker has delivered so many messages, and there are no more.
    pub(crate) async fn has_delivered_all(&mut self, count: u64) -> bool {
        let info = self.consumer.info().await;
        info.is_ok_and(|info| info.num_pending == 0 && info.delivered.consumer_sequence == count)
    }

    /// Its messages: so many, and so many bytes of them, are sent ahead. Two missed heartbeats are an error.
    pub(crate) async fn messages(
        &self,
        messages_ahead: usize,
        bytes_ahead: usize,
    ) -> Result<pull::Stream, StreamError> {
        let stream = self.consumer.stream();
        let stream = stream.max_messages_per_batch(messages_ahead).max_bytes_per_batch(bytes_ahead);
        stream.heartbeat(HEARTBEAT).messages().await
    }
}

/// Takes a consumer away when it is dropped. The name is empty if there is none.
#[derive(Debug)]
struct End {
    context: Context,
    stream: String,
    name: String,
}

impl Drop for End {
    fn drop(&mut self) {
        // Where everything ends it ends by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        let (context, stream, name) =
            (self.context.clone(), std::mem::take(&mut self.stream), std::mem::take(&mut self.name));
        if name.is_empty() {
            return;
        }
        runtime.spawn(async move {
            if let Err(error) = context.delete_consumer_from_stream(&name, &stream).await {
                tracing::debug!(stream, %error, "a consumer is left to end by itself");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_of_the_broker_fits_into_what_is_asked_for_at_once() {
        const AHEAD_BYTES: usize = 4 * 1024 * 1024;
        assert_eq!(room_for_any(AHEAD_BYTES, 1024 * 1024), AHEAD_BYTES);
        assert!(room_for_any(AHEAD_BYTES, 64 * 1024 * 1024) > 64 * 1024 * 1024);
    }
}
