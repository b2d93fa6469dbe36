//! `value.statuses[]`: one receipt of one message by one person, or of the message as a whole.

use groupfold_schemas::command::of_callback;
use groupfold_schemas::failure::Cause;
use groupfold_schemas::id;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{Conversation, Participant, Pricing, Receipt, ReceiptScope, ReceiptStatus};

use super::draft::{Around, Draft, Read};
use super::fault::{Fault, Result};
use super::node::Node;
use super::{one_to_one, person, time};

/// Reads one element of `statuses[]`.
pub(super) fn read(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    let in_group = group_of(node)?;
    let to_one = in_group.is_none();
    let Some(group_id) = in_group.or_else(|| invited_to(node)) else {
        return one_to_one::status(node, around);
    };
    let message_id = node.required_id("id")?.into_owned();
    let status_text = node.required_text("status")?;
    let status = status_of(&status_text).ok_or_else(|| {
        Fault::new(Cause::UnknownType, node.at("status"), "sent, delivered, read, played or failed")
    })?;
    let time_ms = time::required(node, "timestamp")?;
    // Whoever is invited is no member, and this is no receipt of a member's.
    let mut person = if to_one { Participant::default() } else { recipient(node, &group_id)? };
    let known = person::has_name(&person);
    let key = vec![
        message_id.clone(),
        status_text.into_owned(),
        if known { person::key(&person) } else { String::new() },
        time_ms.to_string(),
    ];
    let contacts = if to_one { Vec::new() } else { around.contacts.complete(&mut person) };
    let conversation = beside(node.object("conversation"));
    let receipt = Receipt {
        message_id,
        status: status.into(),
        scope: scope(status, known).into(),
        participant: known.then_some(person),
        pricing: pricing(node, conversation.as_ref()),
        conversation: conversation.as_ref().map(read_conversation),
        errors: person::errors(node)?,
        opaque_callback_data: node.text("biz_opaque_callback_data")?,
        identity_key_hash: node.text("recipient_identity_key_hash")?,
    };
    Ok(Read::Event(Box::new(Draft {
        kind: Kind::Receipt(receipt),
        key,
        group_id: Some(group_id),
        time_ms: Some(time_ms),
        provider_request_id: None,
        actor: None,
        contacts,
    })))
}

/// The group is the recipient, or stands in a member of its own beside the person's phone.
fn group_of(node: &Node<'_, '_>) -> Result<Option<String>> {
    if let Some(group_id) = node.id("group_id")? {
        return Ok(Some(group_id));
    }
    if node.words("recipient_type")?.as_deref() == Some("group") {
        return node.required_id("recipient_id").map(|id| Some(id.into_owned()));
    }
    // Its id is no phone number, which a person's would be.
    if is_of_participant(node) && !node.has("recipient_type") {
        let recipient = node.id("recipient_id")?;
        return Ok(recipient.filter(|id| !is_phone_number(id)));
    }
    Ok(None)
}

/// Only a group has participants, whether or not its id is there.
pub(super) fn is_of_participant(node: &Node<'_, '_>) -> bool {
    OF_PARTICIPANT.iter().any(|member| node.has(member))
}

/// A number has at most 15 digits (ITU-T E.164).
fn is_phone_number(id: &str) -> bool {
    let digits = id.strip_prefix('+').unwrap_or(id);
    digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The group of an invitation of ours: it goes to one person, and its statuses bring back what was sent with it
/// (`biz_opaque_callback_data` of the Messages API). What is not ours may have any shape.
fn invited_to(node: &Node<'_, '_>) -> Option<String> {
    let callback_data = node.words("biz_opaque_callback_data").ok()??;
    let (_, group_id) = of_callback(&callback_data)?;
    group_id.filter(|group_id| id::check(group_id).is_ok()).map(str::to_owned)
}

/// Members that name the person of a group's receipt.
const OF_PARTICIPANT: [&str; 5] = [
    "recipient_participant_id",
    "participant_recipient_id",
    "recipient_participant_user_id",
    "recipient_participant_parent_user_id",
    "recipient_participant_username",
];

fn status_of(text: &str) -> Option<ReceiptStatus> {
    Some(match text {
        "sent" => ReceiptStatus::Sent,
        "delivered" => ReceiptStatus::Delivered,
        "read" => ReceiptStatus::Read,
        "played" => ReceiptStatus::Played,
        "failed" => ReceiptStatus::Failed,
        _ => return None,
    })
}

fn recipient(node: &Node<'_, '_>, group_id: &str) -> Result<Participant> {
    let mut person = person::read(node, &person::RECIPIENT)?;
    if person.wa_id.is_none() {
        // The same thing under another spelling, still printed in 2026.
        person.wa_id = node.id("participant_recipient_id")?;
    }
    if person.wa_id.is_none() && node.has("group_id") {
        person.wa_id = node.id("recipient_id")?.filter(|recipient| recipient != group_id);
    }
    Ok(person)
}

/// Only `sent` and `failed` speak for the message as a whole; others without a person are an aggregate
/// that must not be spread over members.
fn scope(status: ReceiptStatus, person_known: bool) -> ReceiptScope {
    match status {
        _ if person_known => ReceiptScope::Participant,
        ReceiptStatus::Sent | ReceiptStatus::Failed => ReceiptScope::Message,
        ReceiptStatus::Delivered
        | ReceiptStatus::Read
        | ReceiptStatus::Played
        | ReceiptStatus::Unspecified => ReceiptScope::Aggregate,
    }
}

/// Pricing stands in the status, or inside the conversation in the aggregated examples.
fn pricing(node: &Node<'_, '_>, conversation: Option<&Node<'_, '_>>) -> Option<Pricing> {
    let nested = conversation.and_then(|c| beside(c.object("pricing")));
    let pricing = beside(node.object("pricing")).or(nested)?;
    Some(Pricing {
        billable: pricing.flag("billable"),
        pricing_model: beside(pricing.text("pricing_model")),
        r#type: beside(pricing.text("type")),
        category: beside(pricing.text("category")),
    })
}

fn read_conversation(node: &Node<'_, '_>) -> Conversation {
    let origin = beside(node.object("origin"));
    Conversation {
        id: beside(node.text("id")),
        origin_type: origin.and_then(|origin| beside(origin.text("type"))),
        expires_at_s: beside(time::optional(node, "expiration_timestamp")).map(|ms| ms / 1000),
    }
}

/// What stands beside who got what, and when: where it cannot be read it is none, and the receipt counts all the same. The
/// original is kept.
fn beside<T>(read: Result<Option<T>>) -> Option<T> {
    read.ok().flatten()
}
