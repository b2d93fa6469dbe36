//! What the door keeps to itself, opened to tests that throw bytes at it. There with the feature `probe` alone.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::append;
use crate::handshake::VerifyToken;
use crate::meta::{Delivery, Item};
use crate::trace::Trace;
use crate::verify::{RawWebhook, SIGNATURE, Secrets};

/// The index of the secret that signed a body, by the values of its signature headers; `None` if none did. Values
/// that can stand in no header are left out.
#[must_use]
pub fn signed_by(secrets: &[String], signatures: &[&[u8]], body: &Bytes) -> Option<usize> {
    let headers = headers(&SIGNATURE, signatures);
    let secrets = Secrets::new(secrets).ok()?;
    let verified = RawWebhook::new(body.clone(), &headers).verify(&secrets).ok()?;
    Some(verified.secret())
}

/// What a handshake with this query string is answered under a verify token; `None` if it is refused.
#[must_use]
pub fn challenge(token: &str, query: &str) -> Option<Vec<u8>> {
    VerifyToken::new(token)?.answer(query).ok()
}

/// The trace context that a request's records carry on, and the id of its trace.
#[must_use]
pub fn trace(sent: &[u8]) -> (Option<String>, String) {
    let trace = Trace::of(&headers(&HeaderName::from_static("traceparent"), &[sent]));
    let id = trace.trace_id().to_owned();
    (trace.traceparent, id)
}

/// What an item is published as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The log's duplicate key.
    pub id: String,
    /// Where to: partition, `None` for failures, and subject.
    pub to: Vec<(Option<u16>, String)>,
    /// Cause, if it is a failure.
    pub failed: Option<String>,
    /// What is written, framed.
    pub payload: Bytes,
}

/// What an item of a webhook is published as, by a broker that takes messages of so many bytes; `None` if it is
/// ignored.
#[must_use]
pub fn publish(item: Item, partitions: u16, payload_max: usize, delivery: &Delivery<'_>) -> Option<Publish> {
    let message = match item {
        Item::Event(record) => append::Message::of_event(*record, partitions, payload_max, delivery),
        Item::Failed(failed) => append::Message::of_failed(&failed, payload_max),
        Item::Ignored(_) => return None,
    };
    let to = message.destinations.iter().map(|to| (to.partition, to.subject.to_string())).collect();
    let failed = if let append::Fate::Failed(cause) = message.fate { Some(cause) } else { None };
    Some(Publish { id: message.id, to, failed, payload: message.payload })
}

fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        headers.append(name, value);
    }
    headers
}
