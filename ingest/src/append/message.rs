//! One log message and where it goes.

use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderName, Subject, header};
use bytes::Bytes;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{FailedWebhook, Provider, Record};
use groupfold_schemas::{frame, log};

use tokio::time::Instant;

use super::wire::Outgoing;
use crate::meta::{self, Delivery};
use crate::tally::RECEIVER_HEADER;

/// Room for the headers of a message: message id, stream, trace, and what the client adds.
const HEADER_BYTES: usize = 1024;

/// The W3C trace that a message belongs to.
const TRACE: HeaderName = HeaderName::from_static("traceparent");
/// The life of the receiver that publishes it.
const RECEIVER: HeaderName = HeaderName::from_static(RECEIVER_HEADER);

/// Room that a body's bound leaves below the broker's `max_payload` for everything around an item.
pub(crate) const AROUND_BYTES: usize = 64 * 1024;

/// The fate of an item whose message is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Event,
    /// With the name of its cause.
    Failed(String),
}

/// A stream and the subject in it.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// `None` for the stream of failures, which readers do not wait for.
    pub(crate) partition: Option<u16>,
    pub(crate) subject: Subject,
}

impl Destination {
    pub(crate) fn stream(&self) -> String {
        self.partition.map_or_else(|| log::FAILED_STREAM.to_owned(), log::stream)
    }
}

/// One log message, for one stream or for several.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The log's duplicate key.
    pub(crate) id: String,
    pub(crate) fate: Fate,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) payload: Bytes,
}

impl Message {
    /// An event's message; a failure's if the record is too large for the broker, because answering
    /// 503 to it would have the provider send it for days and never succeed.
    pub(crate) fn of_event(
        record: Record,
        partitions: u16,
        payload_max: usize,
        delivery: &Delivery<'_>,
    ) -> Self {
        let payload = frame::encode(&record);
        if !fits(&payload, payload_max) {
            return Self::of_failed(&meta::oversize(record, delivery), payload_max);
        }
        Self {
            destinations: destinations(&record, partitions),
            id: record.event_id,
            fate: Fate::Event,
            payload: payload.into(),
        }
    }

    /// An event of ours; `None` if it is too large for the broker.
    pub(crate) fn of_ours(record: &Record, partitions: u16, payload_max: usize) -> Option<Self> {
        let payload = frame::encode(record);
        fits(&payload, payload_max).then(|| Self {
            destinations: destinations(record, partitions),
            id: record.event_id.clone(),
            fate: Fate::Event,
            payload: payload.into(),
        })
    }

    pub(crate) fn of_failed(failed: &FailedWebhook, payload_max: usize) -> Self {
        let mut payload = frame::encode(failed);
        if !fits(&payload, payload_max) {
            // Contacts only add names; the item itself is what must not be lost.
            let bare = FailedWebhook { original_contacts: Vec::new(), ..failed.clone() };
            payload = frame::encode(&bare);
        }
        let subject = log::failed_subject(Provider::Meta.name(), &failed.cause);
        Self {
            id: failed.failed_id.clone(),
            fate: Fate::Failed(failed.cause.clone()),
            destinations: vec![Destination { partition: None, subject: subject.into() }],
            payload: payload.into(),
        }
    }

    /// On its way to one of its streams, under the receiver's life and the trace that the sender gave it.
    pub(super) fn outgoing(
        &self,
        to: &Destination,
        traceparent: Option<&str>,
        life: &str,
        patience: Instant,
    ) -> Outgoing {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_MESSAGE_ID, self.id.as_str());
        headers.insert(RECEIVER, life);
        if let Some(traceparent) = traceparent {
            headers.insert(TRACE, traceparent);
        }
        Outgoing { subject: to.subject.clone(), headers, payload: self.payload.clone(), patience }
    }

    /// The same for what comes in by no request. The stream is named: if subjects were ever bound to another one, the
    /// broker refuses.
    pub(crate) fn publish_bare(&self, to: &Destination) -> PublishMessage {
        PublishMessage::build()
            .payload(self.payload.clone())
            .message_id(&self.id)
            .expected_stream(to.stream())
    }
}

/// True if the broker takes a message of this, with its headers.
pub(crate) fn fits(payload: &[u8], payload_max: usize) -> bool {
    payload.len() + HEADER_BYTES <= payload_max
}

/// A group's events live in its partition, those without a group in their account's; a change of a
/// person's names concerns every group and goes everywhere.
pub(crate) fn destinations(record: &Record, partitions: u16) -> Vec<Destination> {
    let group = (!record.group_id.is_empty()).then_some(record.group_id.as_str());
    let everywhere = matches!(record.kind(), Some(Kind::IdentityChanged(_)));
    let name = record.kind_name();
    let to = |partition: u16| Destination {
        partition: Some(partition),
        subject: log::event_subject(partition, &record.account, name, group).into(),
    };
    if everywhere {
        (0..partitions).map(to).collect()
    } else {
        vec![to(log::partition_of(group.unwrap_or(&record.account), partitions))]
    }
}
