//! What must not get through: items that no receiver can read, and items with a wrong signature. All would
//! change something that the truth tells, so that an acceptance shows.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::wire::{Change, signature};

type Spoil = fn(&mut Map<String, Value>);

const PARTICIPANTS: &str = "group_participants_update";

/// Ways to spoil a join.
const JOINS: [Spoil; 10] = [
    |item| drop(item.insert("type".into(), json!("group_participants_something_new"))),
    |item| drop(item.remove("type")),
    |item| drop(item.remove("timestamp")),
    |item| drop(item.insert("timestamp".into(), json!("yesterday"))),
    |item| drop(item.insert("timestamp".into(), json!(true))),
    |item| drop(item.remove("group_id")),
    |item| drop(item.insert("group_id".into(), json!({ "id": 1 }))),
    |item| drop(item.insert("added_participants".into(), json!("everybody"))),
    |item| drop(item.remove("added_participants")),
    |item| drop(item.insert("type".into(), json!(7))),
];

/// Ways to spoil a receipt.
const STATUSES: [Spoil; 4] = [
    |item| drop(item.remove("id")),
    |item| drop(item.insert("status".into(), json!("teleported"))),
    |item| drop(item.remove("status")),
    |item| drop(item.insert("timestamp".into(), json!("soon"))),
];

/// Ways to spoil a message.
const MESSAGES: [Spoil; 3] = [
    |item| drop(item.remove("id")),
    |item| drop(item.remove("timestamp")),
    |item| drop(item.insert("timestamp".into(), json!([1]))),
];

fn join(dice: &mut Dice, group: &str, now: i64) -> Map<String, Value> {
    let intruder = format!("1900555{}", dice.text("0123456789", 8));
    object(json!({
        "timestamp": now.to_string(), "type": "group_participants_add", "group_id": group,
        "reason": "invite_link", "added_participants": [{ "wa_id": intruder }],
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An item that must fail, alone.
pub(crate) fn unreadable(dice: &mut Dice, group: &str, now: i64) -> Change {
    let mark = dice.text("abcdefghijklmnopqrstuvwxyz", 12);
    let spoiled = |dice: &mut Dice, ways: &[Spoil], mut item: Map<String, Value>| {
        dice.pick(ways).into_iter().for_each(|spoil| spoil(&mut item));
        Value::Object(item)
    };
    match dice.below(10) {
        0 => Change::bad(PARTICIPANTS, "groups", json!(format!("not an object {mark}"))),
        1..6 => {
            let item = join(dice, group, now);
            Change::bad(PARTICIPANTS, "groups", spoiled(dice, &JOINS, item))
        }
        6..8 => {
            let item = object(json!({
                "id": format!("wamid.BAD{mark}"), "status": "sent", "timestamp": now.to_string(),
                "recipient_id": group, "recipient_type": "group", "biz_opaque_callback_data": mark,
            }));
            Change::bad("messages", "statuses", spoiled(dice, &STATUSES, item))
        }
        _ => {
            let item = object(json!({
                "from": "16505550199", "group_id": group, "id": format!("wamid.BAD{mark}"),
                "timestamp": (now + 864_000).to_string(), "type": "text", "text": { "body": mark },
            }));
            Change::bad("messages", "messages", spoiled(dice, &MESSAGES, item))
        }
    }
}

/// A signed body that is not JSON.
pub(crate) fn not_json(dice: &mut Dice) -> Vec<u8> {
    let mark = dice.text("abcdefghijklmnopqrstuvwxyz", 12);
    format!("{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"{mark}").into_bytes()
}

/// A readable item that only a forger sends.
pub(crate) fn forged(dice: &mut Dice, group: &str, now: i64) -> Change {
    match dice.below(3) {
        0 => Change::one(PARTICIPANTS, "groups", Value::Object(join(dice, group, now))),
        1 => {
            let item = json!({
                "timestamp": (now + 864_000).to_string(), "type": "group_settings_update", "group_id": group,
                "request_id": dice.text("0123456789ABCDEF", 32),
                "group_subject": { "text": "forged", "update_successful": true },
            });
            Change::one("group_settings_update", "groups", item)
        }
        _ => {
            let item = json!({
                "timestamp": now.to_string(), "type": "group_delete", "group_id": group,
                "request_id": dice.text("0123456789ABCDEF", 32),
            });
            Change::one("group_lifecycle_update", "groups", item)
        }
    }
}

/// A signature that does not hold; `None` is a missing header.
pub(crate) fn wrong_signature(dice: &mut Dice, secret: &str, body: &[u8]) -> Option<String> {
    let right = signature(secret, body);
    match dice.below(5) {
        0 => None,
        1 => Some(signature(&format!("{secret}x"), body)),
        2 => Some(signature("", body)),
        3 => Some(right.trim_start_matches("sha256=").to_owned()),
        _ => Some(format!("sha256={}", dice.text("0123456789abcdef", 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_signature_never_equals_the_right_one() {
        let mut dice = Dice::new(1, "forger");
        for _ in 0..100 {
            assert_ne!(wrong_signature(&mut dice, "s", b"body"), Some(signature("s", b"body")));
        }
        assert!(serde_json::from_slice::<Value>(&not_json(&mut dice)).is_err());
    }
}
