//! The stations of a command, as JSON.

use groupfold_schemas::v1::CommandItem;
use groupfold_schemas::v1::event::Kind;

use super::errors;
use crate::events::json::{Json, given, object};
use crate::events::shape::rfc3339;

pub(super) fn of(kind: &Kind) -> Json<'_> {
    match kind {
        Kind::CommandRequested(e) => given!({
            "command_id": &e.command_id, "type": e.r#type().name(), "body": String::from_utf8_lossy(&e.body),
            "asked_by": &e.asked_by, "idempotency_key": &e.idempotency_key, "deadline_at": rfc3339(e.deadline_ms),
            "about": &e.items,
        }),
        Kind::CommandRefused(e) => given!({
            "command_id": &e.command_id, "code": &e.code, "field": &e.field, "rule": &e.rule,
        }),
        Kind::CommandSent(e) => given!({ "command_id": &e.command_id, "sender": &e.sender }),
        Kind::CommandAnswered(e) => given!({
            "command_id": &e.command_id, "result": e.result().name(), "request_id": &e.request_id,
            "message_id": &e.message_id, "items": items(&e.items), "errors": errors(&e.errors),
            "code": &e.code, "advice": &e.advice,
        }),
        Kind::CommandReconciled(e) => given!({
            "command_id": &e.command_id, "result": e.result().name(), "seen": &e.reason,
            "items": items(&e.items), "group_id": &e.group_id,
        }),
        _ => object!({}),
    }
}

fn items(items: &[CommandItem]) -> Json<'_> {
    items.iter().map(item).collect()
}

fn item(item: &CommandItem) -> Json<'_> {
    given!({ "name": &item.name, "outcome": item.outcome().name(), "errors": errors(&item.errors) })
}
