//! What is particular to an event's kind, as JSON; the catalogue in docs/events.md is made from the same.

mod command;

use groupfold_schemas::v1;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    IdentityChangeKind, JoinVia, Participant, ProviderError, Role, SettingChange, SettingValue, setting_value,
};

use super::json::{Json, given, object};

/// A person under the names that were given.
pub(crate) fn person(person: &Participant) -> Json<'_> {
    let names = [
        ("wa_id", &person.wa_id),
        ("user_id", &person.user_id),
        ("parent_user_id", &person.parent_user_id),
        ("username", &person.username),
        ("lid", &person.lid),
        ("input", &person.input),
        ("display_name", &person.display_name),
    ];
    Json::object(names.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?.into()))).collect())
}

/// All persons that the event speaks of, in the order in which it names them.
pub(crate) fn people(kind: &Kind) -> Vec<&Participant> {
    match kind {
        Kind::GroupCreated(e) => e.participants.iter().collect(),
        Kind::ParticipantsJoined(e) => e.participants.iter().collect(),
        Kind::ParticipantsEnded(e) => {
            let failed = e.failed.iter().filter_map(|failed| failed.participant.as_ref());
            e.ended.iter().chain(failed).collect()
        }
        Kind::JoinRequested(e) => e.participant.iter().collect(),
        Kind::JoinRequestClosed(e) => e.participant.iter().collect(),
        Kind::RoleChanged(e) => e.participants.iter().collect(),
        Kind::Receipt(e) => e.participant.iter().collect(),
        Kind::MessageReceived(e) => e.from.iter().collect(),
        Kind::MessageUnsupported(e) => e.from.iter().collect(),
        Kind::IdentityChanged(e) => e.previous.iter().chain(&e.current).collect(),
        Kind::GroupSnapshot(e) => e.participants.iter().filter_map(|p| p.participant.as_ref()).collect(),
        Kind::GroupCreateFailed(_)
        | Kind::GroupDeleted(_)
        | Kind::GroupDeleteFailed(_)
        | Kind::SettingsUpdated(_)
        | Kind::GroupSuspended(_)
        | Kind::GroupSuspensionCleared(_)
        | Kind::AccountError(_)
        | Kind::CommandRequested(_)
        | Kind::CommandRefused(_)
        | Kind::CommandSent(_)
        | Kind::CommandAnswered(_)
        | Kind::CommandReconciled(_)
        | Kind::VisibilitySet(_)
        | Kind::ModeratorsSet(_)
        | Kind::LabelSet(_)
        | Kind::ArchiveSet(_)
        | Kind::BlockSet(_)
        | Kind::MessageViewed(_) => Vec::new(),
    }
}

/// The message that the event speaks of.
pub(crate) fn message_id(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::Receipt(e) => Some(&e.message_id),
        Kind::CommandAnswered(e) => e.message_id.as_deref(),
        Kind::MessageReceived(e) => Some(&e.message_id),
        Kind::MessageUnsupported(e) => Some(&e.message_id),
        Kind::IdentityChanged(e) => e.message_id.as_deref(),
        Kind::MessageViewed(e) => Some(&e.message_id),
        _ => None,
    }
}

/// Codes of all errors in the event.
pub(crate) fn error_codes(kind: &Kind) -> Vec<&str> {
    let errors: Vec<&ProviderError> = match kind {
        Kind::GroupCreateFailed(e) => e.errors.iter().collect(),
        Kind::GroupDeleteFailed(e) => e.errors.iter().collect(),
        Kind::ParticipantsEnded(e) => {
            e.errors.iter().chain(e.failed.iter().flat_map(|failed| &failed.errors)).collect()
        }
        Kind::JoinRequestClosed(e) => e.errors.iter().collect(),
        Kind::SettingsUpdated(e) => {
            e.errors.iter().chain(e.changes.iter().flat_map(|change| &change.errors)).collect()
        }
        Kind::Receipt(e) => e.errors.iter().collect(),
        Kind::CommandAnswered(e) => {
            e.errors.iter().chain(e.items.iter().flat_map(|item| &item.errors)).collect()
        }
        Kind::MessageUnsupported(e) => e.errors.iter().collect(),
        Kind::AccountError(e) => e.errors.iter().collect(),
        _ => Vec::new(),
    };
    errors.into_iter().map(|error| error.code.as_str()).filter(|code| !code.is_empty()).collect()
}

/// The fields of the kind; what was not given is not there.
pub(crate) fn of_kind(kind: &Kind) -> Json<'_> {
    match kind {
        Kind::GroupCreated(e) => given!({
            "subject": &e.subject, "description": &e.description, "invite_link": &e.invite_link,
            "join_approval_mode": &e.join_approval_mode, "participants": persons(&e.participants),
        }),
        Kind::GroupCreateFailed(e) => given!({
            "subject": &e.subject, "description": &e.description, "errors": errors(&e.errors),
        }),
        Kind::GroupDeleteFailed(e) => given!({ "errors": errors(&e.errors) }),
        Kind::ParticipantsJoined(e) => given!({
            "participants": persons(&e.participants), "via": via(e.via()), "reason": &e.reason,
        }),
        Kind::ParticipantsEnded(e) => {
            let failed = e.failed.iter().map(|failed| {
                let who = failed.participant.as_ref().map(person);
                given!({ "participant": who, "errors": errors(&failed.errors) })
            });
            given!({
                "ended": persons(&e.ended), "failed": failed.collect::<Json<'_>>(), "errors": errors(&e.errors),
            })
        }
        Kind::JoinRequested(e) => given!({
            "participant": e.participant.as_ref().map(person), "join_request_id": &e.join_request_id,
            "reason": &e.reason,
        }),
        Kind::JoinRequestClosed(e) => given!({
            "participant": e.participant.as_ref().map(person), "join_request_id": &e.join_request_id,
            "reason": &e.reason, "errors": errors(&e.errors),
        }),
        Kind::RoleChanged(e) => {
            given!({ "participants": persons(&e.participants), "role": role(e.role()) })
        }
        Kind::SettingsUpdated(e) => given!({
            "changes": e.changes.iter().map(change).collect::<Json<'_>>(), "errors": errors(&e.errors),
        }),
        Kind::GroupDeleted(_) | Kind::GroupSuspended(_) | Kind::GroupSuspensionCleared(_) => object!({}),
        Kind::AccountError(e) => given!({ "errors": errors(&e.errors) }),
        Kind::VisibilitySet(e) => {
            static NOBODY: v1::Visibility =
                v1::Visibility { all: false, teams: Vec::new(), users: Vec::new() };
            let v1::Visibility { all, teams, users } = e.visibility.as_ref().unwrap_or(&NOBODY);
            object!({ "all": *all, "teams": teams, "users": users })
        }
        Kind::ModeratorsSet(e) => object!({ "users": &e.users }),
        Kind::LabelSet(e) => object!({ "label": &e.label }),
        Kind::ArchiveSet(e) => given!({
            "newest_message_at": e.newest.as_ref().map(|newest| super::shape::rfc3339(newest.time_ms)),
        }),
        Kind::BlockSet(_) => object!({}),
        Kind::MessageViewed(e) => object!({ "user_id": &e.user_id }),
        Kind::Receipt(_) | Kind::MessageReceived(_) | Kind::MessageUnsupported(_) => of_message(kind),
        Kind::IdentityChanged(e) => given!({
            "change": match e.kind() {
                IdentityChangeKind::Unspecified => None,
                IdentityChangeKind::Number => Some("number"),
                IdentityChangeKind::UserId => Some("user_id"),
            },
            "previous": e.previous.as_ref().map(person), "current": e.current.as_ref().map(person),
            "body": &e.body,
        }),
        Kind::CommandRequested(_)
        | Kind::CommandRefused(_)
        | Kind::CommandSent(_)
        | Kind::CommandAnswered(_)
        | Kind::CommandReconciled(_) => command::of(kind),
        Kind::GroupSnapshot(e) => {
            let participants = e.participants.iter().map(|p| {
                given!({
                    "participant": p.participant.as_ref().map(person), "role": role(p.role()),
                    "pending": p.pending, "join_request_id": &p.join_request_id,
                })
            });
            given!({
                "subject": &e.subject, "description": &e.description, "join_approval_mode": &e.join_approval_mode,
                "invite_link": &e.invite_link, "suspended": e.suspended,
                "created_at": e.created_at_ms.map(super::shape::rfc3339),
                "participants_total": e.participants_total.map(i64::from), "participants": participants.collect::<Json<'_>>(),
                "participants_complete": e.participants_complete,
                "join_requests_complete": e.join_requests_complete,
                "read_until": (e.read_until_ms != 0).then(|| super::shape::rfc3339(e.read_until_ms)),
            })
        }
    }
}

fn of_message(kind: &Kind) -> Json<'_> {
    match kind {
        Kind::Receipt(e) => {
            let conversation = e.conversation.as_ref();
            given!({
                "conversation_id": conversation.and_then(|c| c.id.as_ref()),
                "conversation_origin": conversation.and_then(|c| c.origin_type.as_ref()),
                "conversation_expires_at":
                    conversation.and_then(|c| c.expires_at_s).map(|s| super::shape::rfc3339(s.saturating_mul(1000))),
                "opaque_callback_data": &e.opaque_callback_data, "identity_key_hash": &e.identity_key_hash,
                "errors": errors(&e.errors),
            })
        }
        Kind::MessageReceived(e) => given!({
            "type": Some(&e.r#type).filter(|t| !t.is_empty()), "context_message_id": &e.context_message_id,
        }),
        Kind::MessageUnsupported(e) => given!({ "type": &e.r#type, "errors": errors(&e.errors) }),
        _ => object!({}),
    }
}

fn change(change: &SettingChange) -> Json<'_> {
    given!({
        "setting": change.setting().name(),
        "old": change.old.as_ref().map(setting_value),
        "new": change.new.as_ref().map(setting_value),
        "outcome": change.outcome().name(),
        "errors": errors(&change.errors),
    })
}

fn setting_value(value: &SettingValue) -> Json<'_> {
    match &value.value {
        None => Json::Null,
        Some(setting_value::Value::Text(text)) => object!({ "text": text }),
        Some(setting_value::Value::Picture(picture)) => {
            given!({ "mime_type": &picture.mime_type, "sha256": &picture.sha256 })
        }
        Some(setting_value::Value::Flag(flag)) => object!({ "flag": *flag }),
        Some(setting_value::Value::Number(number)) => object!({ "number": *number }),
    }
}

fn persons(people: &[Participant]) -> Json<'_> {
    people.iter().map(person).collect()
}

fn errors(errors: &[ProviderError]) -> Json<'_> {
    errors.iter().map(provider_error).collect()
}

fn provider_error(error: &ProviderError) -> Json<'_> {
    let parts = [
        ("code", &error.code),
        ("title", &error.title),
        ("message", &error.message),
        ("details", &error.details),
        ("href", &error.href),
    ];
    let filled = parts.into_iter().filter(|(_, text)| !text.is_empty());
    Json::object(filled.map(|(name, text)| (name, text.into())).collect())
}

fn via(via: JoinVia) -> Option<&'static str> {
    match via {
        JoinVia::Unknown => None,
        JoinVia::InviteLink => Some("invite_link"),
        JoinVia::JoinRequest => Some("join_request"),
        JoinVia::Added => Some("added"),
    }
}

fn role(role: Role) -> Option<&'static str> {
    match role {
        Role::Unspecified => None,
        Role::Member => Some("member"),
        Role::Admin => Some("admin"),
    }
}
