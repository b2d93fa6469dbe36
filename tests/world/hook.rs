//! Webhook bodies, briefly.

use serde_json::{Value, json};

pub(crate) const ACCOUNT: &str = "102290129340398";
pub(crate) const NUMBER: &str = "106540352242922";

/// A body with one change.
pub(crate) fn body(field: &str, list: &str, items: &[Value]) -> Vec<u8> {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": ACCOUNT, "changes": [{ "field": field, "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550783881", "phone_number_id": NUMBER },
            list: items,
        }}]}],
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn participants(items: &[Value]) -> Vec<u8> {
    body("group_participants_update", "groups", items)
}

pub(crate) fn lifecycle(items: &[Value]) -> Vec<u8> {
    body("group_lifecycle_update", "groups", items)
}

pub(crate) fn settings(items: &[Value]) -> Vec<u8> {
    body("group_settings_update", "groups", items)
}

pub(crate) fn statuses(items: &[Value]) -> Vec<u8> {
    body("messages", "statuses", items)
}

pub(crate) fn messages(items: &[Value]) -> Vec<u8> {
    body("messages", "messages", items)
}

pub(crate) fn created(group: &str, subject: &str, second: i64) -> Value {
    json!({ "timestamp": second.to_string(), "group_id": group, "type": "group_create", "request_id": format!("req-{group}"),
            "subject": subject, "invite_link": "https://chat.whatsapp.com/LINKID", "join_approval_mode": "auto_approve" })
}

pub(crate) fn joined(group: &str, wa_id: &str, second: i64) -> Value {
    json!({ "timestamp": second.to_string(), "group_id": group, "type": "group_participants_add",
            "reason": "invite_link", "added_participants": [{ "wa_id": wa_id }] })
}

pub(crate) fn left(group: &str, wa_id: &str, second: i64) -> Value {
    json!({ "timestamp": second.to_string(), "group_id": group, "type": "group_participants_remove",
            "initiated_by": "participant", "removed_participants": [{ "wa_id": wa_id }] })
}

pub(crate) fn renamed(group: &str, subject: &str, second: i64) -> Value {
    json!({ "timestamp": second.to_string(), "group_id": group, "type": "group_settings_update",
            "request_id": format!("set-{group}-{second}"), "group_subject": { "text": subject, "update_successful": true } })
}

pub(crate) fn status(group: &str, message: &str, status: &str, wa_id: Option<&str>, second: i64) -> Value {
    let mut item = json!({ "id": message, "status": status, "timestamp": second.to_string(),
                           "recipient_id": group, "recipient_type": "group" });
    if let Some(wa_id) = wa_id {
        item["recipient_participant_id"] = json!(wa_id);
    }
    item
}

pub(crate) fn number_changed(message: &str, old: &str, new: &str, second: i64) -> Value {
    json!({ "from": old, "id": message, "timestamp": second.to_string(), "type": "system",
            "system": { "body": "User changed", "wa_id": new, "type": "user_changed_number" } })
}
