//! The adapter for Meta's webhooks: pure functions from bytes to items. No clock, no I/O, no randomness.
//!
//! A body is split step by step, `entry × change × item`, keeping the raw text of each level, so that a
//! fault isolates: an item that cannot be read fails alone, with a pointer to the offending field, and
//! the rest land. A broken level fails whole.
//!
//! The adapter is strict about shapes and lenient about what the sources disagree on (text or number,
//! both spellings, both places). What it accepts and why is in the project's wire document; each
//! contradiction is a named test.

mod contact;
mod draft;
mod envelope;
mod event_id;
mod failed;
mod fault;
mod group;
mod headers;
mod json;
mod message;
mod node;
mod one_to_one;
mod participants;
mod person;
mod settings_update;
mod status;
mod time;

use bytes::Bytes;
use groupfold_schemas::v1;

pub(crate) use failed::oversize;
pub use headers::Headers;

/// Most items in one body: Meta sends up to 1,000 updates. A body with more fails whole, so that the
/// work for one POST is bounded whatever its bytes say.
pub const ITEMS_MAX: usize = 10_000;

/// What is known around a body, from outside it.
#[derive(Debug, Clone)]
pub struct Delivery<'a> {
    /// When the receiver got the body, Unix milliseconds.
    pub received_time_ms: i64,
    /// The receiver's own id of the POST.
    pub request_id: &'a str,
    /// Version of the build that reads the body.
    pub build: &'a str,
    /// Request headers to keep with failures.
    pub headers: Headers<'a>,
    /// One-to-one messages and receipts, save for those of invitations of ours, are ignored; otherwise they fail.
    pub ignore_one_to_one: bool,
    /// Fields outside groups are ignored; otherwise they fail.
    pub ignore_other_fields: bool,
    /// The body comes in again through a replay of a failure.
    pub replayed: bool,
}

/// The fate that the adapter gives to an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// It is an event.
    Event(Box<v1::Record>),
    /// It cannot be read.
    Failed(Box<v1::FailedWebhook>),
    /// It is of no concern, by configuration.
    Ignored(IgnoreCause),
}

/// Why an item is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IgnoreCause {
    /// A message, receipt or notice outside any group, as the documentation has it.
    OneToOne,
    /// A webhook field that is not about groups.
    OtherField,
}

impl IgnoreCause {
    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneToOne => "one_to_one",
            Self::OtherField => "other_field",
        }
    }
}

/// Reads a body whose signature held.
#[must_use]
pub fn adapt(body: &[u8], delivery: &Delivery<'_>) -> Vec<Item> {
    adapt_shared(&Bytes::copy_from_slice(body), delivery)
}

/// The same without a copy: what items keep of the body is a share of its bytes.
#[must_use]
pub fn adapt_shared(body: &Bytes, delivery: &Delivery<'_>) -> Vec<Item> {
    envelope::body(body, delivery)
}

/// Reads a failure again, at the level at which it failed, as a better adapter may now succeed. Ids of
/// events and failures come out as they would have from the whole body.
///
/// The delivery is the first one's: time, request id and headers are taken from the failure itself.
#[must_use]
pub fn readapt(failed: &v1::FailedWebhook, delivery: &Delivery<'_>) -> Vec<Item> {
    let first = Delivery {
        received_time_ms: failed.received_time_ms,
        request_id: &failed.request_id,
        headers: Headers::Kept(&failed.headers),
        replayed: true,
        ..delivery.clone()
    };
    envelope::again(failed, &first)
}

/// The sender of everything this adapter reads.
const PROVIDER: v1::Provider = v1::Provider::Meta;

#[cfg(test)]
mod tests;
