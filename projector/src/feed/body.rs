//! A change as it is told: one line of JSON, the same in the stream and in the events of the API.

use groupfold_schemas::v1;
use groupfold_schemas::v1::change_value::Value as Of;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::shape::convert;
use crate::shape::time::Time;

/// What one event made different about one thing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(crate) struct Change<'a> {
    /// Position of the event, and place among its changes: `3:1234:0`. The same in every telling.
    id: &'a str,
    /// What is different; a closed set, see `docs/consuming.md`.
    kind: &'static str,
    group_id: &'a str,
    /// Of kind `member`: whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<&'a str>,
    /// Of kinds `message_sent`, `message_failed` and `receipt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    /// Of kind `receipt`: the names that it was reported under.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<Names<'a>>,
    /// What was, in the shape that the query API has for it; null where there was nothing.
    #[schema(value_type = Value)]
    before: Side,
    /// What is; null where there is nothing any more.
    #[schema(value_type = Value)]
    after: Side,
    /// True where before and after are too long to be told: ask the query API.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    omitted: bool,
    event_id: &'a str,
    /// Position of the event: a query with it as `min_position` reflects the change.
    position: &'a str,
    /// Time of the provider.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// When the log took the event.
    #[schema(value_type = String, format = DateTime)]
    log_time: Time,
}

/// Names of a person, as reported.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Names)]
pub(crate) struct Names<'a> {
    wa_id: Option<&'a str>,
    user_id: Option<&'a str>,
    username: Option<&'a str>,
}

/// What was or is.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Side {
    /// Nearly all that is told: written without a tree in between.
    Receipt(Receipt),
    Value(Value),
}

/// Fields by name, as everywhere in the line.
#[derive(Debug, Serialize)]
struct Receipt {
    delivered_at: Option<Time>,
    delivered_implied: bool,
    played_at: Option<Time>,
    read_at: Option<Time>,
    status: &'static str,
}

/// Writes the line of a change that has this id, and is of an event at this position.
pub(super) fn write(
    change: v1::Change,
    id: &str,
    position: &str,
    to: impl std::io::Write,
) -> Result<(), serde_json::Error> {
    let kind = change.kind().name();
    let v1::Change { group_id, event_id, member_id, message_id, reported, before, after, .. } = change;
    let side = |value: Option<v1::ChangeValue>| match value.and_then(|value| value.value) {
        None => Side::Value(Value::Null),
        Some(Of::Receipt(receipt)) => Side::Receipt(receipt_of(&receipt)),
        Some(value) => Side::Value(value_of(value, member_id.as_deref().unwrap_or_default())),
    };
    let told = Change {
        id,
        kind,
        before: side(before),
        after: side(after),
        member_id: member_id.as_deref(),
        message_id: message_id.as_deref(),
        member: reported.as_ref().map(|names| Names {
            wa_id: names.wa_id.as_deref(),
            user_id: names.user_id.as_deref(),
            username: names.username.as_deref(),
        }),
        omitted: change.omitted,
        group_id: &group_id,
        event_id: &event_id,
        position,
        at: Time(change.at_ms),
        log_time: Time(change.log_time_ms),
    };
    serde_json::to_writer(to, &told)
}

fn value_of(value: Of, member_id: &str) -> Value {
    match value {
        Of::Text(text) => json!(text),
        Of::Picture(picture) => json!({ "mime_type": picture.mime_type, "sha256": picture.sha256 }),
        Of::Group(group) => json!({
            "status": group.status,
            "created_at": convert::known_time(group.created_at_ms),
            "deleted_at": convert::known_time(group.deleted_at_ms),
        }),
        Of::Origin(origin) => json!({
            "provider": origin.provider().name(),
            "account": origin.account,
            "phone_number_id": origin.phone_number_id,
        }),
        Of::Member(member) => json!(convert::member_state(member_id, *member)),
        Of::Window(window) => json!({
            "opened_by": window.opened_by,
            "open_until": convert::time(window.open_until_ms),
        }),
        Of::Failure(failure) => json!(convert::failure(*failure)),
        Of::TimeMs(ms) => json!({ "sent_at": convert::time(ms) }),
        Of::Receipt(receipt) => json!(receipt_of(&receipt)),
        Of::Secret(set) => json!({ "set": set }),
        Of::Visibility(visibility) => json!(convert::visibility(visibility)),
        Of::Texts(texts) => json!(texts.texts),
        Of::Flag(flag) => json!(flag),
        Of::View(view) => json!({ "user_id": view.user_id, "viewed_at": convert::time(view.viewed_at_ms) }),
        Of::Settings(settings) => settings.settings().map(v1::Setting::name).collect(),
    }
}

fn receipt_of(receipt: &v1::ReceiptState) -> Receipt {
    Receipt {
        delivered_at: Time::known(receipt.delivered_at_ms),
        delivered_implied: receipt.delivered_implied,
        played_at: Time::known(receipt.played_at_ms),
        read_at: Time::known(receipt.read_at_ms),
        status: status_of(receipt),
    }
}

fn status_of(receipt: &v1::ReceiptState) -> &'static str {
    match receipt {
        v1::ReceiptState { played_at_ms: Some(_), .. } => "played",
        v1::ReceiptState { read_at_ms: Some(_), .. } => "read",
        _ => "delivered",
    }
}

#[cfg(test)]
pub(crate) use tests::samples;

#[cfg(test)]
mod tests {
    use super::*;

    /// One change with all that a member has, one with all that a receipt has.
    pub(crate) fn samples() -> Vec<Value> {
        let value = |value| Some(v1::ChangeValue { value: Some(value) });
        let member = v1::MemberState {
            status: "member".into(),
            role: v1::Role::Admin.into(),
            via: v1::JoinVia::Added.into(),
            joined_at_ms: Some(1_767_225_600_000),
            ..Default::default()
        };
        let receipt = v1::ReceiptState { read_at_ms: Some(1_767_225_600_000), ..Default::default() };
        let base = v1::Change {
            sequence: 1234,
            index: 1,
            group_id: "G".into(),
            event_id: "e".into(),
            at_ms: 1_767_225_600_000,
            log_time_ms: 1_767_225_600_120,
            ..Default::default()
        };
        let member = v1::Change {
            kind: v1::ChangeKind::Member.into(),
            member_id: Some("mbr_1".into()),
            after: value(Of::Member(Box::new(member))),
            ..base.clone()
        };
        let receipt = v1::Change {
            kind: v1::ChangeKind::Receipt.into(),
            message_id: Some("M".into()),
            reported: Some(v1::Participant { wa_id: Some("1555".into()), ..Default::default() }),
            after: value(Of::Receipt(receipt)),
            omitted: true,
            ..base
        };
        let line = |change| {
            let mut line = Vec::new();
            write(change, "3:1234:1", "3:1234", &mut line).unwrap();
            serde_json::from_slice(&line).unwrap()
        };
        [member, receipt].map(line).into()
    }

    #[test]
    fn a_change_tells_where_it_is_and_both_sides() {
        let [member, receipt] = samples().try_into().unwrap();
        assert_eq!(
            member,
            json!({
                "id": "3:1234:1", "kind": "member", "group_id": "G", "member_id": "mbr_1", "event_id": "e",
                "before": null,
                "after": { "member_id": "mbr_1", "wa_id": null, "user_id": null, "username": null,
                    "status": "member", "role": "admin", "via": "added", "joined_at": "2026-01-01T00:00:00Z",
                    "left_at": null, "join_request_id": null },
                "position": "3:1234", "at": "2026-01-01T00:00:00Z", "log_time": "2026-01-01T00:00:00.120Z",
            })
        );
        assert_eq!(receipt["after"]["status"], "read");
        assert_eq!(receipt["member"]["wa_id"], "1555");
    }

    #[test]
    fn an_invite_link_is_told_of_but_not_told() {
        assert_eq!(value_of(Of::Secret(true), ""), json!({ "set": true }));
    }
}
