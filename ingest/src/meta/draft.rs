//! An event on its way to be a record: what an item says, without what surrounds it.

use std::borrow::Cow;

use bytes::Bytes;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{Actor, ActorKind, Event, Evidence, Participant, Record, TimeQuality};

use super::contact::Contacts;
use super::json::Value;
use super::{Delivery, IgnoreCause, PROVIDER, event_id};

/// Where an item comes from, as far as the levels above it tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin<'a> {
    pub(super) account: Cow<'a, str>,
    pub(super) phone_number_id: Cow<'a, str>,
    pub(super) display_phone_number: Cow<'a, str>,
    /// The field as it was reported.
    pub(super) field: Cow<'a, str>,
    /// When the provider sent the entry, Unix milliseconds.
    pub(super) entry_time_ms: Option<i64>,
    /// Hash of the entry, which tells apart items that have neither id nor time.
    pub(super) entry_hash: Cow<'a, str>,
}

/// What surrounds an item.
pub(super) struct Around<'a, 'd> {
    pub(super) delivery: &'d Delivery<'d>,
    pub(super) origin: Origin<'a>,
    /// The documented spelling of the field.
    pub(super) field: &'static str,
    pub(super) contacts: Contacts<'a>,
}

/// What an item turned out to be.
pub(super) enum Read {
    Event(Box<Draft>),
    Ignored(IgnoreCause),
}

/// What an item says.
pub(super) struct Draft {
    pub(super) kind: Kind,
    /// What makes the event this one and no other, beside account, phone number and field.
    pub(super) key: Vec<String>,
    pub(super) group_id: Option<String>,
    pub(super) time_ms: Option<i64>,
    pub(super) provider_request_id: Option<String>,
    pub(super) actor: Option<Actor>,
    pub(super) contacts: Vec<Bytes>,
}

impl Draft {
    pub(super) fn into_record(self, around: &Around<'_, '_>, raw: Value<'_>, pointer: String) -> Record {
        let (origin, delivery) = (&around.origin, around.delivery);
        let id = event_id::event_id(&origin.account, &origin.phone_number_id, around.field, &self.key);
        let (provider_time_ms, time_quality) = match (self.time_ms, origin.entry_time_ms) {
            (Some(ms), _) => (ms, TimeQuality::Provider),
            (None, Some(ms)) => (ms, TimeQuality::Envelope),
            (None, None) => (delivery.received_time_ms, TimeQuality::Received),
        };
        Record {
            event_id: id.as_str().to_owned(),
            provider: PROVIDER.into(),
            account: origin.account.clone().into_owned(),
            phone_number_id: origin.phone_number_id.clone().into_owned(),
            display_phone_number: origin.display_phone_number.clone().into_owned(),
            group_id: self.group_id.unwrap_or_default(),
            provider_time_ms,
            time_quality: time_quality.into(),
            received_time_ms: delivery.received_time_ms,
            request_id: delivery.request_id.to_owned(),
            provider_request_id: self.provider_request_id,
            actor: self.actor,
            evidence: Evidence::Webhook.into(),
            field: around.field.to_owned(),
            pointer,
            original_json: raw.bytes(),
            original_contacts: self.contacts,
            replayed: delivery.replayed,
            event: Some(Event { kind: Some(self.kind) }),
        }
    }
}

/// The business itself did it.
pub(super) fn business() -> Actor {
    Actor { kind: ActorKind::Business.into(), ..Actor::default() }
}

/// A participant did it: the one, if it is one.
pub(super) fn participant(people: &[Participant]) -> Actor {
    let participant = if let [person] = people { Some(person.clone()) } else { None };
    Actor { kind: ActorKind::Participant.into(), participant, ..Actor::default() }
}
