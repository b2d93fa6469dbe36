//! `value.messages[]` and `value.errors[]`: messages of people, notices of the system, account errors.

use bytes::Bytes;
use groupfold_schemas::failure::Cause;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    AccountError, IdentityChangeKind, IdentityChanged, MessageReceived, MessageUnsupported, Participant,
};

use super::draft::{Around, Draft, Read, participant};
use super::fault::{Fault, Result};
use super::node::Node;
use super::{event_id, one_to_one, person, time};

/// Codes of "this type is not supported": the groups page's and the generic page's.
const UNSUPPORTED_CODES: [&str; 2] = ["130501", "131051"];

/// Reads one element of `messages[]`.
pub(super) fn read(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    let kind = node.text("type")?;
    if kind.as_deref() == Some("system") {
        return system(node, around);
    }
    let Some(group_id) = node.id("group_id")? else { return one_to_one::message(node, around) };
    let message_id = node.required_id("id")?.into_owned();
    let time_ms = time::required(node, "timestamp")?;
    let kind = kind.ok_or_else(|| node.missing("type", "a type of message"))?;
    let errors = person::errors(node)?;
    let (from, contacts) = sender(node, around)?;
    let unsupported = matches!(kind.as_str(), "unsupported" | "unknown")
        || errors.iter().any(|error| UNSUPPORTED_CODES.contains(&error.code.as_str()));
    let key = vec![message_id.clone()];
    let actor = participant(std::slice::from_ref(&from));
    let kind = if unsupported {
        let inner = node.object("unsupported")?;
        let r#type = inner.map(|inner| inner.text("type")).transpose()?.flatten();
        Kind::MessageUnsupported(MessageUnsupported { message_id, from: Some(from), r#type, errors })
    } else {
        let context = node.object("context")?;
        let context_message_id = context.map(|context| context.id("id")).transpose()?.flatten();
        Kind::MessageReceived(MessageReceived {
            message_id,
            from: Some(from),
            r#type: kind,
            context_message_id,
        })
    };
    Ok(Read::Event(Box::new(Draft {
        kind,
        key,
        group_id: Some(group_id),
        time_ms: Some(time_ms),
        provider_request_id: None,
        actor: Some(actor),
        contacts,
    })))
}

/// The sender, under all names known here. A message that names nobody is by its only contact.
fn sender(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<(Participant, Vec<Bytes>)> {
    let mut from = person::read(node, &person::FROM)?;
    if !person::has_name(&from) {
        let contact = around.contacts.only().filter(|contact| person::has_name(contact));
        from = contact.cloned().ok_or_else(|| node.missing("from", person::EXPECTED))?;
    }
    let contacts = around.contacts.complete(&mut from);
    Ok((from, contacts))
}

fn system(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    let system = node.object("system")?;
    let kind = system.as_ref().map(|system| system.text("type")).transpose()?.flatten();
    let change = match (&system, kind.as_deref()) {
        (Some(system), Some("user_changed_number")) => number_changed(node, system)?,
        (Some(system), Some("user_changed_user_id")) => user_id_changed(node, system)?,
        (_, Some("customer_identity_changed")) => return one_to_one::message(node, around),
        // An older print has no type inside, only the identity beside.
        (None, None) if node.has("identity") => return one_to_one::message(node, around),
        (None, _) => return Err(node.missing("system", "an object")),
        (Some(system), None) => return Err(system.missing("type", "a type of system message")),
        (Some(system), Some(_)) => {
            return Err(Fault::new(Cause::UnknownType, system.at("type"), "a known type of system message"));
        }
    };
    let message_id = node.required_id("id")?.into_owned();
    let time_ms = time::required(node, "timestamp")?;
    let body = system.map(|system| system.text("body")).transpose()?.flatten();
    let event = IdentityChanged { message_id: Some(message_id.clone()), body, ..change };
    Ok(Read::Event(Box::new(Draft {
        kind: Kind::IdentityChanged(event),
        key: vec![message_id],
        group_id: None,
        time_ms: Some(time_ms),
        provider_request_id: None,
        actor: None,
        contacts: Vec::new(),
    })))
}

fn number_changed(node: &Node<'_, '_>, system: &Node<'_, '_>) -> Result<IdentityChanged> {
    let previous = Participant { wa_id: node.id("from")?, ..previous_ids(system)? };
    let mut current = person::read(system, &person::PLAIN)?;
    if current.wa_id.is_none() {
        current.wa_id = system.id("new_wa_id")?;
    }
    if current.wa_id.is_none() && current.user_id.is_none() {
        return Err(system.missing("wa_id", "the new number or user id"));
    }
    if !person::has_name(&previous) {
        return Err(node.missing("from", "the old number or user id"));
    }
    Ok(change(IdentityChangeKind::Number, previous, current))
}

/// The number, if it is told, stays: it is a name of the person before and after.
fn user_id_changed(node: &Node<'_, '_>, system: &Node<'_, '_>) -> Result<IdentityChanged> {
    let number = match system.id("wa_id")? {
        Some(number) => Some(number),
        None => node.id("from")?,
    };
    let mut previous = previous_ids(system)?;
    if !person::has_name(&previous) {
        // Before August 2026 the old user id stood in the prose of `body` alone.
        previous.wa_id.clone_from(&number);
    }
    let current = Participant { wa_id: number, ..person::read(system, &person::PLAIN)? };
    if current.user_id.is_none() && current.parent_user_id.is_none() {
        return Err(system.missing("user_id", "the new user id"));
    }
    if !person::has_name(&previous) {
        return Err(system.missing("previous_user_id", "the old user id, or the number"));
    }
    Ok(change(IdentityChangeKind::UserId, previous, current))
}

fn previous_ids(system: &Node<'_, '_>) -> Result<Participant> {
    Ok(Participant {
        user_id: system.id("previous_user_id")?,
        parent_user_id: system.id("previous_parent_user_id")?,
        ..Participant::default()
    })
}

fn change(kind: IdentityChangeKind, previous: Participant, current: Participant) -> IdentityChanged {
    IdentityChanged {
        kind: kind.into(),
        previous: Some(previous),
        current: Some(current),
        message_id: None,
        body: None,
    }
}

/// Reads one element of `value.errors[]`. It has neither id nor time: the entry around it tells it from
/// an equal one.
pub(super) fn read_error(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    let error = person::error(node)?;
    if error.code.is_empty() && error.title.is_empty() && error.message.is_empty() {
        return Err(node.missing("code", "a code, a title or a message"));
    }
    let key = vec![
        "error".to_owned(),
        event_id::of_json(node.value()),
        around.origin.entry_hash.clone().into_owned(),
    ];
    Ok(Read::Event(Box::new(Draft {
        kind: Kind::AccountError(AccountError { errors: vec![error] }),
        key,
        group_id: None,
        time_ms: None,
        provider_request_id: None,
        actor: None,
        contacts: Vec::new(),
    })))
}
