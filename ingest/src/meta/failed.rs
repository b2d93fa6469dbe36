//! What cannot be read, kept with all that is needed to read it later.

use bytes::Bytes;
use groupfold_schemas::failure::{Cause, fingerprint};
use groupfold_schemas::v1::{FailedWebhook, Record};

use super::contact::Contacts;
use super::draft::Origin;
use super::fault::{Fault, without_indices};
use super::json::Value;
use super::node::Node;
use super::{Delivery, Item, PROVIDER, event_id};

/// Members of an item that count for its shape. More differ in nothing that helps.
const SHAPE_MEMBERS_MAX: usize = 64;

/// A whole body that failed.
pub(super) fn body(raw: &Bytes, fault: Fault, delivery: &Delivery<'_>) -> Item {
    failed(raw.clone(), String::new(), None, fault, &Origin::default(), delivery)
}

/// A level above the items, or an item, that failed.
pub(super) fn level(
    raw: Value<'_>,
    at: String,
    fault: Fault,
    origin: &Origin<'_>,
    delivery: &Delivery<'_>,
) -> Item {
    let node = Node::read(raw, "").ok();
    failed(raw.bytes(), at, node.as_ref(), fault, origin, delivery)
}

/// An item that failed, with the contacts that seem to be its person's.
pub(super) fn item(
    raw: Value<'_>,
    at: String,
    fault: Fault,
    origin: &Origin<'_>,
    contacts: &Contacts<'_>,
    delivery: &Delivery<'_>,
) -> Item {
    let node = Node::read(raw, "").ok();
    let beside = contacts.beside(node.as_ref());
    let mut item = failed(raw.bytes(), at, node.as_ref(), fault, origin, delivery);
    if let Item::Failed(failed) = &mut item {
        failed.original_contacts = beside;
    }
    item
}

fn failed(
    raw: Bytes,
    item_pointer: String,
    node: Option<&Node<'_, '_>>,
    fault: Fault,
    origin: &Origin<'_>,
    delivery: &Delivery<'_>,
) -> Item {
    let group_id = node.and_then(|node| node.id("group_id").ok().flatten());
    Item::Failed(Box::new(FailedWebhook {
        failed_id: event_id::failed_id(
            [&origin.account, &origin.phone_number_id, &origin.field],
            &raw,
            &fault.pointer,
        )
        .as_str()
        .to_owned(),
        provider: PROVIDER.into(),
        account: origin.account.clone().into_owned(),
        phone_number_id: origin.phone_number_id.clone().into_owned(),
        display_phone_number: origin.display_phone_number.clone().into_owned(),
        group_id: group_id.unwrap_or_default(),
        cause: fault.cause.name().to_owned(),
        fingerprint: print_of(&fault, node),
        pointer: fault.pointer,
        expected: fault.expected.into_owned(),
        received_time_ms: delivery.received_time_ms,
        request_id: delivery.request_id.to_owned(),
        field: origin.field.clone().into_owned(),
        item_pointer,
        raw,
        headers: delivery.headers.copy(),
        build: delivery.build.to_owned(),
        entry_hash: origin.entry_hash.clone().into_owned(),
        entry_time_ms: origin.entry_time_ms,
        ..FailedWebhook::default()
    }))
}

fn print_of(fault: &Fault, node: Option<&Node<'_, '_>>) -> String {
    let pointer = without_indices(&fault.pointer);
    let members = node.map(Node::shape).unwrap_or_default();
    let shape = members.iter().take(SHAPE_MEMBERS_MAX).flat_map(|(name, kind)| [name.as_ref(), kind]);
    let parts = [fault.cause.name(), &pointer].into_iter().chain(shape);
    fingerprint(parts.map(str::as_bytes))
}

/// A record that is too large for the log, as a failure that fits: the parsed copy goes, the bytes stay.
pub(crate) fn oversize(record: Record, delivery: &Delivery<'_>) -> FailedWebhook {
    let fault = Fault::new(
        Cause::MalformedField,
        record.pointer.clone(),
        "an item whose record fits into one log message",
    );
    FailedWebhook {
        failed_id: event_id::failed_id(
            [&record.account, &record.phone_number_id, &record.field],
            &record.original_json,
            &fault.pointer,
        )
        .as_str()
        .to_owned(),
        provider: record.provider,
        account: record.account,
        phone_number_id: record.phone_number_id,
        display_phone_number: record.display_phone_number,
        group_id: record.group_id,
        cause: fault.cause.name().to_owned(),
        fingerprint: print_of(&fault, None),
        pointer: fault.pointer,
        expected: fault.expected.into_owned(),
        received_time_ms: record.received_time_ms,
        request_id: record.request_id,
        field: record.field,
        item_pointer: record.pointer,
        raw: record.original_json,
        headers: delivery.headers.copy(),
        build: delivery.build.to_owned(),
        original_contacts: record.original_contacts,
        ..FailedWebhook::default()
    }
}
