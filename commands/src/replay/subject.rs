//! A subject on the log's broker, as whoever receives a replay.
//!
//! Where a stream takes the subject it says of each message that it has it. Where none does, the broker hands messages to
//! whoever listens just then, and says nothing. So it is asked something behind them: an answer by the connection that they
//! went by says that it had them. What was under way when a connection broke nobody knows.

use std::sync::atomic::Ordering;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{GetStreamByNameErrorKind, PublishAckFuture};
use groupfold_projector::scan;
use groupfold_schemas::log as words;

use super::target::Message;
use crate::exit::{Failure, with_causes};

/// A subject, and what was sent to it.
pub(super) struct Subject {
    context: Context,
    name: String,
    /// The stream that takes it, if it acknowledges.
    stream: Option<String>,
    /// What it was sent since the last confirmation, where it acknowledges.
    acks: Vec<PublishAckFuture>,
    /// Messages sent since then.
    sent: u64,
    /// Connections that were made when the first of all messages was sent.
    connects: u64,
    /// Why it is not known what of them came: nothing after is confirmed.
    lost: Option<String>,
}

impl Subject {
    /// Looks whether a stream takes it.
    ///
    /// # Errors
    /// The broker does not tell.
    pub(super) async fn find(name: &str, context: &Context) -> Result<Self, Failure> {
        let unknown = |error: &dyn std::error::Error| {
            Failure::Again(with_causes(&format!("cannot tell whether a stream takes {name}"), error))
        };
        let stream = match context.stream_by_subject(name).await {
            Ok(stream) => {
                let found = context.get_stream(&stream).await.map_err(|error| unknown(&error))?;
                (!found.cached_info().config.no_ack).then_some(stream)
            }
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => None,
            Err(error) => return Err(unknown(&error)),
        };
        let (context, name) = (context.clone(), name.to_owned());
        let mut subject = Self { context, name, stream, acks: Vec::new(), sent: 0, connects: 0, lost: None };
        subject.connects = subject.connections();
        Ok(subject)
    }

    /// Sends one behind the others. Whether it came [`Self::confirm`] says.
    ///
    /// # Errors
    /// The client is closed, or the message too large.
    pub(super) async fn publish(&mut self, message: &Message) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("Groupfold-Replay", "true");
        headers.insert("Groupfold-Position", message.position.as_str());
        headers.insert("Nats-Msg-Id", message.event_id.as_str());
        if let Some(signature) = &message.signature {
            headers.insert("X-Hub-Signature-256", signature.as_str());
        }
        let refused =
            |error: &dyn std::error::Error| Failure::Again(with_causes("the broker does not take it", error));
        let (name, bytes) = (self.name.clone(), message.bytes.clone());
        if self.stream.is_some() {
            let ack = self.context.publish_with_headers(name, headers, bytes).await;
            self.acks.push(ack.map_err(|error| refused(&error))?);
        } else {
            let sent = self.context.client().publish_with_headers(name, headers, bytes).await;
            sent.map_err(|error| refused(&error))?;
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits until everything that was sent is known to have come; how many these were since the last time.
    ///
    /// # Errors
    /// It is not known, and from then on not of anything.
    pub(super) async fn confirm(&mut self) -> Result<u64, Failure> {
        if self.lost.is_none() {
            self.lost = self.doubt().await;
        }
        match &self.lost {
            Some(why) => Err(Failure::Again(why.clone())),
            None => Ok(std::mem::take(&mut self.sent)),
        }
    }

    /// Why something may not have come.
    async fn doubt(&mut self) -> Option<String> {
        if let Some(stream) = &self.stream {
            for ack in self.acks.drain(..) {
                if let Err(error) = ack.await {
                    return Some(with_causes(
                        &format!("the stream {stream} did not take all events"),
                        &error,
                    ));
                }
            }
            return None;
        }
        if self.sent == 0 {
            return None;
        }
        if let Err(error) = scan::ends(&self.context, &words::stream(0)).await {
            return Some(with_causes("the broker does not say that it took all events", &error));
        }
        let broke = self.connections() != self.connects;
        broke.then(|| "the connection to the broker broke: some events may not have come".to_owned())
    }

    fn connections(&self) -> u64 {
        self.context.client().statistics().connects.load(Ordering::Relaxed)
    }
}
