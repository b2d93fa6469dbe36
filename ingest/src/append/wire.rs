//! Publishing into one stream: many messages at once, and what the log says to each.
//!
//! Acknowledgements come to a subject of our own, numbered, so that a publish costs neither a request of the client's nor
//! a timer, and one look at the connection serves for all.

use groupfold_schemas::crash::{self, Point};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use async_nats::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Subject, Subscriber, client, header, jetstream,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::Error;
use crate::broker::Broker;
use crate::system::random_hex;

/// One message on its way into one stream.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) subject: Subject,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    /// How long an acknowledgement is waited for.
    pub(super) patience: Instant,
}

impl Outgoing {
    /// The log's duplicate key.
    pub(super) fn id(&self) -> &str {
        self.headers.get(header::NATS_MESSAGE_ID).map_or("", |id| id.as_str())
    }

    /// The same as one of a batch, numbered from 1; the last one ends it.
    fn part_of(&self, batch: &str, at: u64, count: u64) -> Self {
        let mut part = self.clone();
        part.headers.insert(NATS_BATCH_ID, batch);
        part.headers.insert(NATS_BATCH_SEQUENCE, at.to_string());
        if at == count {
            part.headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        }
        part
    }

    /// Bytes that count towards the broker's `max_payload`: payload and headers, as they are sent (`NATS/1.0`, a line each, an
    /// empty one).
    fn bytes(&self) -> usize {
        let line = |name: &str, value: &str| name.len() + ": ".len() + value.len() + "\r\n".len();
        let of = |(name, values): (&HeaderName, &Vec<HeaderValue>)| -> usize {
            values.iter().map(|value| line(name.as_ref(), value.as_str())).sum()
        };
        "NATS/1.0\r\n\r\n".len() + self.headers.iter().map(of).sum::<usize>() + self.payload.len()
    }
}

/// An acknowledgement of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) duplicate: bool,
}

/// What the log answers to a publish.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    /// Messages of the batch that it acknowledges.
    #[serde(default)]
    count: u64,
    error: Option<jetstream::Error>,
}

/// The way into one stream.
pub(super) struct Wire {
    broker: Arc<Broker>,
    stream: String,
    /// Where answers come in, each behind the number of its publish.
    inbox: String,
    answers: Subscriber,
    next: u64,
}

impl Wire {
    pub(super) async fn new(broker: Arc<Broker>, stream: String) -> Result<Self, client::SubscribeError> {
        let inbox = broker.client().new_inbox();
        let answers = broker.client().subscribe(format!("{inbox}.*")).await?;
        Ok(Self { broker, stream, inbox, answers, next: 0 })
    }

    /// The number of the next publish.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// What the log answers next, as much as is there, each behind the number of its publish; `None` if the client has
    /// ended.
    pub(super) async fn answers(&mut self) -> Option<Vec<(u64, Result<Stored, Error>)>> {
        let mut answers = Vec::new();
        let mut next = Some(self.answers.next().await?);
        while let Some(message) = next {
            if let Some(number) = number(&message) {
                answers.push((number, read(&self.stream, &message).map(|(stored, _)| stored)));
            }
            next = self.answers.next().now_or_never().flatten();
        }
        Some(answers)
    }

    /// Publishes messages whose ids differ as one, which the broker takes whole or not at all (an atomic batch, ADR-50).
    /// Returns the sequence of the first; the others follow it. An error that is not unknown means that none of them
    /// is in the log: for one duplicate among them the broker refuses them all.
    pub(super) async fn whole(&mut self, messages: &[Outgoing]) -> Result<u64, Error> {
        let (count, number_of_commit) = (messages.len() as u64, self.number());
        let (mut told, connection) = (self.broker.watch_connection(), self.broker.connection());
        if !connection.connected {
            return Err(Error::Disconnected);
        }
        let patience = messages.iter().map(|message| message.patience).max().unwrap_or_else(Instant::now);
        let id = random_hex::<16>();
        let parts: Vec<Outgoing> =
            messages.iter().zip(1..).map(|(message, at)| message.part_of(&id, at, count)).collect();
        // Before the first is sent: the broker keeps what it has of a batch that never ends for a while, and only so many.
        let payload_max = self.broker.client().max_payload();
        if parts.iter().any(|part| part.bytes() > payload_max) {
            return Err(Error::TooLarge);
        }
        let taken = async {
            for (part, at) in parts.into_iter().zip(1..) {
                if at < count {
                    let Outgoing { subject, headers, payload, .. } = part;
                    self.broker.client().publish_with_headers(subject, headers, payload).await?;
                } else {
                    self.send(part, number_of_commit).await?;
                }
            }
            crash::at(Point::AppendSent);
            while let Some(message) = self.answers.next().await {
                if number(&message) == Some(number_of_commit) {
                    return read(&self.stream, &message);
                }
            }
            Err(Error::Unacknowledged)
        };
        let (stored, taken) = tokio::select! {
            biased;
            taken = taken => taken?,
            () = connection.lost(&mut told) => return Err(Error::Unacknowledged),
            () = sleep_until(patience) => return Err(Error::Unacknowledged),
        };
        crash::at(Point::AppendOne);
        // Not acknowledged as this batch: a broker that knows no batches stores message by message.
        let first = stored.sequence.checked_sub(count - 1).filter(|_| taken == count);
        first.ok_or(Error::Unacknowledged)
    }

    pub(super) async fn send(&self, message: Outgoing, number: u64) -> Result<(), Error> {
        let Outgoing { subject, headers, payload, .. } = message;
        let digits = number.checked_ilog10().unwrap_or_default() as usize + 1;
        // Of just that length it becomes a subject without another allocation.
        let mut reply = String::with_capacity(self.inbox.len() + 1 + digits);
        // Writing to a string cannot fail.
        let _ = write!(reply, "{}.{number}", self.inbox);
        Ok(self.broker.client().publish_with_reply_and_headers(subject, reply, headers, payload).await?)
    }
}

/// What an answer to a publish into a stream says, and of how many messages of a batch.
fn read(stream: &str, message: &async_nats::Message) -> Result<(Stored, u64), Error> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(Error::NoStream);
    }
    let answer: Answer<'_> = serde_json::from_slice(&message.payload).map_err(Error::Unreadable)?;
    match answer.error {
        Some(refusal) => Err(refusal.into()),
        // If subjects were ever bound to another stream, its acknowledgement is worth nothing here.
        None if answer.stream != stream => Err(Error::WrongStream),
        None => Ok((Stored { sequence: answer.seq, duplicate: answer.duplicate }, answer.count)),
    }
}

fn number(message: &async_nats::Message) -> Option<u64> {
    message.subject.rsplit('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(subject: &str, payload: &'static str) -> async_nats::Message {
        async_nats::Message {
            subject: subject.into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn headers_count_towards_what_the_broker_takes() {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_MESSAGE_ID, "id");
        let one = Outgoing { subject: "s".into(), headers, payload: "four".into(), patience: Instant::now() };
        assert_eq!(one.bytes(), "NATS/1.0\r\nNats-Msg-Id: id\r\n\r\nfour".len());
        let last = "Nats-Batch-Id: b\r\nNats-Batch-Sequence: 7\r\nNats-Batch-Commit: 1\r\n".len();
        assert_eq!(one.part_of("b", 7, 7).bytes(), one.bytes() + last);
        assert!(one.part_of("b", 6, 7).bytes() < one.part_of("b", 7, 7).bytes());
    }

    #[test]
    fn an_answer_comes_to_the_number_of_its_publish() {
        assert_eq!(number(&answer("_INBOX.abc.17", "")), Some(17));
        assert_eq!(number(&answer("_INBOX.abc.x", "")), None);
    }

    #[test]
    fn only_the_stream_of_the_message_acknowledges_it() {
        let read = |payload| read("S", &answer("i.1", payload));
        let stored = |sequence, duplicate| Stored { sequence, duplicate };
        assert_eq!(read(r#"{"stream":"S","seq":7}"#).unwrap(), (stored(7, false), 0));
        assert_eq!(read(r#"{"stream":"S","seq":7,"duplicate":true}"#).unwrap(), (stored(7, true), 0));
        assert_eq!(read(r#"{"stream":"S","seq":9,"batch":"b","count":3}"#).unwrap(), (stored(9, false), 3));
        assert!(matches!(read(r#"{"stream":"T","seq":7}"#), Err(Error::WrongStream)));
        let full = r#"{"stream":"S","error":{"code":503,"err_code":10077,"description":"d"}}"#;
        assert!(matches!(read(full), Err(Error::Full(_))));
        assert!(matches!(read("+OK"), Err(Error::Unreadable(_))));
        let nobody = async_nats::Message {
            status: Some(StatusCode::NO_RESPONDERS),
            ..answer("i.1", r#"{"stream":"S","seq":7}"#)
        };
        assert!(matches!(super::read("S", &nobody), Err(Error::NoStream)));
    }
}
