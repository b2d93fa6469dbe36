//! From the fold's views to the shapes of answers.

use groupfold_fold::apply::Digest;
use groupfold_fold::view;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::{self, ActorKind, FactKind, JoinVia};

use crate::shape;
use crate::shape::time::Time;
use crate::text::{self, Lang};

/// RFC 3339 in UTC, with milliseconds only where there are any.
pub(crate) fn time(unix_ms: i64) -> String {
    Time(unix_ms).with(str::to_owned)
}

pub(crate) fn known_time(unix_ms: Option<i64>) -> Option<String> {
    Time::known(unix_ms).map(|Time(ms)| time(ms))
}

fn known(text: impl Into<Option<String>>) -> Option<String> {
    text.into().filter(|text| !text.is_empty())
}

pub(crate) fn group(group: view::Group, position: &Position, digest: Option<Digest>) -> shape::Group {
    let counts = counts(&group.members);
    shape::Group {
        group_id: group.group_id,
        provider: group.origin.provider().name(),
        account: known(group.origin.account),
        phone_number_id: known(group.origin.phone_number_id),
        status: status(group.status),
        subject: group.subject,
        description: group.description,
        picture: group.picture.map(|picture| shape::Picture {
            mime_type: known(picture.mime_type),
            sha256: known(picture.sha256),
        }),
        join_approval_mode: known(group.join_approval_mode),
        invite_link: known(group.invite_link),
        created_at: known_time(group.created_at_ms),
        deleted_at: known_time(group.deleted_at_ms),
        members: group.members.into_iter().map(member).collect(),
        warnings: warnings(&counts),
        counts,
        service_window: group.window.map(|window| shape::ServiceWindow {
            opened_by: window.opened_by.member_id,
            open_until: time(window.open_until_ms),
        }),
        last_failure: group.last_failure.map(failure),
        unconfirmed: group.unconfirmed.into_iter().map(setting).collect(),
        labels: group.policy.labels.into_iter().collect(),
        archived: group.policy.archived,
        blocked: group.policy.blocked,
        visibility: visibility(group.policy.visibility),
        moderators: group.policy.moderators,
        digest: digest.map(|digest| digest.to_string()),
        position: position.to_string(),
    }
}

/// Members of a group, without the business (Meta, groups overview).
const MEMBERS_MAX: u64 = 8;

fn warnings(counts: &shape::MemberCounts) -> Vec<shape::Warning> {
    match counts.member {
        MEMBERS_MAX.. => vec![shape::Warning::MembersAtLimit],
        7 => vec![shape::Warning::MembersNearLimit],
        _ => Vec::new(),
    }
}

pub(crate) fn visibility(visibility: v1::Visibility) -> shape::Visibility {
    let v1::Visibility { all, teams, users } = visibility;
    shape::Visibility { all, teams, users }
}

fn status(status: view::Status) -> shape::GroupStatus {
    match status {
        view::Status::Unknown => shape::GroupStatus::Unknown,
        view::Status::Active => shape::GroupStatus::Active,
        view::Status::Suspended => shape::GroupStatus::Suspended,
        view::Status::Deleted => shape::GroupStatus::Deleted,
        view::Status::CreateFailed => shape::GroupStatus::CreateFailed,
    }
}

fn member_status(status: view::MemberStatus) -> shape::MemberStatus {
    match status {
        view::MemberStatus::Member => shape::MemberStatus::Member,
        view::MemberStatus::Pending => shape::MemberStatus::Pending,
        view::MemberStatus::Left => shape::MemberStatus::Left,
        view::MemberStatus::Removed => shape::MemberStatus::Removed,
        view::MemberStatus::Revoked => shape::MemberStatus::Revoked,
    }
}

pub(crate) fn counts(members: &[view::Member]) -> shape::MemberCounts {
    let count = |status| members.iter().filter(|member| member.status == status).count() as u64;
    let some = |status| Some(count(status)).filter(|count| *count > 0);
    shape::MemberCounts {
        member: count(view::MemberStatus::Member),
        pending: count(view::MemberStatus::Pending),
        left: some(view::MemberStatus::Left),
        removed: some(view::MemberStatus::Removed),
        revoked: some(view::MemberStatus::Revoked),
    }
}

pub(crate) fn member(member: view::Member) -> shape::Member {
    let names = member.names;
    shape::Member {
        member_id: member.member_id,
        wa_id: known(names.wa_id),
        user_id: known(names.user_id),
        username: known(names.username),
        status: member_status(member.status),
        role: if member.role == v1::Role::Admin { shape::Role::Admin } else { shape::Role::Member },
        via: via(member.via),
        joined_at: known_time(member.joined_at_ms),
        left_at: known_time(member.left_at_ms),
        joined_between: member.joined_between.map(between),
        left_between: member.left_between.map(between),
        join_request_id: known(member.join_request_id),
    }
}

/// A member as a change tells of one.
pub(crate) fn member_state(member_id: &str, state: v1::MemberState) -> Option<shape::Member> {
    Some(member(view::Member {
        member_id: member_id.to_owned(),
        status: view::MemberStatus::ALL.into_iter().find(|status| status.name() == state.status)?,
        role: state.role(),
        via: state.via(),
        names: state.names.unwrap_or_default(),
        joined_at_ms: state.joined_at_ms,
        left_at_ms: state.left_at_ms,
        joined_between: found_between(state.joined_after_ms, state.joined_by_ms),
        left_between: found_between(state.left_after_ms, state.left_by_ms),
        join_request_id: state.join_request_id,
        request_told_ms: None,
    }))
}

fn found_between(after_ms: Option<i64>, by_ms: Option<i64>) -> Option<view::Between> {
    Some(view::Between { after_ms, by_ms: by_ms? })
}

fn between(between: view::Between) -> shape::Between {
    shape::Between { after: known_time(between.after_ms), by: time(between.by_ms) }
}

fn via(via: JoinVia) -> Option<shape::Via> {
    match via {
        JoinVia::Unknown => None,
        JoinVia::InviteLink => Some(shape::Via::InviteLink),
        JoinVia::JoinRequest => Some(shape::Via::JoinRequest),
        JoinVia::Added => Some(shape::Via::Added),
    }
}

pub(crate) fn failure(failure: v1::FailureRegister) -> shape::Failure {
    let kind = match failure.r#type() {
        v1::FailureType::Unspecified => shape::FailureType::Unknown,
        v1::FailureType::GroupCreate => shape::FailureType::GroupCreate,
        v1::FailureType::GroupDelete => shape::FailureType::GroupDelete,
        v1::FailureType::Settings => shape::FailureType::GroupSettingsUpdate,
        v1::FailureType::Remove => shape::FailureType::GroupParticipantsRemove,
        v1::FailureType::JoinRequest => shape::FailureType::JoinRequest,
        v1::FailureType::Message => shape::FailureType::Message,
    };
    shape::Failure {
        kind,
        request_id: known(failure.request_id),
        errors: failure.errors.into_iter().map(error).collect(),
        at: known_time(failure.stamp.map(|stamp| stamp.time_ms)),
    }
}

pub(crate) fn error(error: v1::ProviderError) -> shape::ProviderError {
    shape::ProviderError {
        code: code(error.code),
        title: known(error.title),
        message: known(error.message),
        details: known(error.details),
    }
}

/// A number only if printing it gives the same text back.
fn code(text: String) -> shape::ErrorCode {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => shape::ErrorCode::Number(number),
        _ => shape::ErrorCode::Text(text),
    }
}

fn setting(setting: v1::Setting) -> shape::SettingName {
    match setting {
        v1::Setting::Unspecified => shape::SettingName::Unknown,
        v1::Setting::Subject => shape::SettingName::Subject,
        v1::Setting::Description => shape::SettingName::Description,
        v1::Setting::Picture => shape::SettingName::Picture,
        v1::Setting::JoinApprovalMode => shape::SettingName::JoinApprovalMode,
        v1::Setting::InviteLink => shape::SettingName::InviteLink,
        v1::Setting::Announce => shape::SettingName::Announce,
        v1::Setting::Locked => shape::SettingName::Locked,
        v1::Setting::MemberAddMode => shape::SettingName::MemberAddMode,
        v1::Setting::EphemeralSeconds => shape::SettingName::EphemeralSeconds,
    }
}

pub(crate) fn entry(lang: Lang, entry: &view::Entry) -> shape::Entry {
    shape::Entry {
        id: entry.id.clone(),
        at: time(entry.at_ms),
        between: entry.between.map(between),
        kind: entry_kind(entry.kind),
        member: entry.member.as_ref().map(|person| shape::Person {
            member_id: person.member_id.clone(),
            wa_id: known(person.names.wa_id.clone()),
            user_id: known(person.names.user_id.clone()),
            username: known(person.names.username.clone()),
        }),
        actor: match entry.actor {
            ActorKind::Unknown => None,
            ActorKind::Business => Some(shape::Actor::Business),
            ActorKind::Participant => Some(shape::Actor::Participant),
        },
        user_id: known(entry.user_id.clone()),
        via: via(entry.via),
        text: text::line(lang, entry),
    }
}

fn entry_kind(kind: view::EntryKind) -> shape::EntryKind {
    use shape::EntryKind as To;
    let fact = match kind {
        view::EntryKind::NumberChanged => return To::NumberChanged,
        view::EntryKind::UserIdChanged => return To::UserIdChanged,
        view::EntryKind::Fact(fact) => fact,
    };
    match fact {
        // A snapshot by itself is no line.
        FactKind::Unspecified | FactKind::SnapshotTaken => To::Unknown,
        FactKind::GroupCreated => To::GroupCreated,
        FactKind::GroupCreateFailed => To::GroupCreateFailed,
        FactKind::SubjectChanged => To::SubjectChanged,
        FactKind::DescriptionChanged => To::DescriptionChanged,
        FactKind::PictureChanged => To::PictureChanged,
        FactKind::SettingChanged => To::SettingChanged,
        FactKind::SettingsFailed => To::SettingsFailed,
        FactKind::JoinRequested => To::JoinRequested,
        FactKind::JoinRequestRevoked => To::JoinRequestRevoked,
        FactKind::JoinRequestRejected => To::JoinRequestRejected,
        FactKind::MemberJoined => To::MemberJoined,
        FactKind::MemberPromoted => To::MemberPromoted,
        FactKind::MemberDemoted => To::MemberDemoted,
        FactKind::MemberGone => To::MemberGone,
        FactKind::MemberLeft => To::MemberLeft,
        FactKind::MemberRemoved => To::MemberRemoved,
        FactKind::RemoveFailed => To::RemoveFailed,
        FactKind::GroupUnsuspended => To::GroupUnsuspended,
        FactKind::GroupSuspended => To::GroupSuspended,
        FactKind::GroupDeleteFailed => To::GroupDeleteFailed,
        FactKind::GroupDeleted => To::GroupDeleted,
        FactKind::AccountError => To::AccountError,
        FactKind::VisibilityChanged => To::VisibilityChanged,
        FactKind::ModeratorsChanged => To::ModeratorsChanged,
        FactKind::LabelAdded => To::LabelAdded,
        FactKind::LabelRemoved => To::LabelRemoved,
        FactKind::Archived => To::Archived,
        FactKind::Unarchived => To::Unarchived,
        FactKind::Unblocked => To::Unblocked,
        FactKind::Blocked => To::Blocked,
    }
}

pub(crate) fn receipts(receipts: view::Receipts, position: &Position) -> shape::Receipts {
    let count = |has: fn(&view::MemberReceipt) -> bool| {
        receipts.members.iter().filter(|member| has(member)).count() as u64
    };
    shape::Receipts {
        counts: shape::ReceiptCounts {
            delivered: count(|member| member.delivered_at_ms.is_some()),
            read: count(|member| member.read_at_ms.is_some()),
            played: count(|member| member.played_at_ms.is_some()),
            viewed: receipts.users.len() as u64,
        },
        message_id: receipts.message_id,
        group_id: receipts.group_id,
        sent_at: known_time(receipts.sent_at_ms),
        failed: receipts.failed.map(|failed| shape::SendFailure {
            errors: failed.errors.into_iter().map(error).collect(),
            at: known_time(failed.stamp.map(|stamp| stamp.time_ms)),
        }),
        members: receipts.members.into_iter().map(member_receipt).collect(),
        users: receipts.users.into_iter().map(user_view).collect(),
        position: position.to_string(),
    }
}

fn user_view(view: view::UserView) -> shape::UserView {
    shape::UserView { user_id: view.user_id, viewed_at: known_time(Some(view.viewed_at_ms)) }
}

fn member_receipt(receipt: view::MemberReceipt) -> shape::MemberReceipt {
    let status = match &receipt {
        view::MemberReceipt { played_at_ms: Some(_), .. } => shape::ReceiptStatus::Played,
        view::MemberReceipt { read_at_ms: Some(_), .. } => shape::ReceiptStatus::Read,
        view::MemberReceipt { delivered_at_ms: Some(_), .. } => shape::ReceiptStatus::Delivered,
        view::MemberReceipt { .. } => shape::ReceiptStatus::Sent,
    };
    let names = receipt.person.names;
    shape::MemberReceipt {
        member_id: receipt.person.member_id,
        wa_id: known(names.wa_id),
        user_id: known(names.user_id),
        username: known(names.username),
        delivered_at: known_time(receipt.delivered_at_ms),
        delivered_implied: receipt.delivered_implied,
        read_at: known_time(receipt.read_at_ms),
        played_at: known_time(receipt.played_at_ms),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_with_little_room_says_so() {
        let of = |member| warnings(&shape::MemberCounts { member, ..Default::default() });
        assert_eq!((of(6), of(7)), (vec![], vec![shape::Warning::MembersNearLimit]));
        assert_eq!(
            (of(8), of(9)),
            (vec![shape::Warning::MembersAtLimit], vec![shape::Warning::MembersAtLimit])
        );
    }

    #[test]
    fn an_error_code_is_a_number_only_if_nothing_is_lost() {
        assert_eq!(code("131201".to_owned()), shape::ErrorCode::Number(131_201));
        for text in ["007", "+1", "ERROR_CODE", "", "99999999999999999999"] {
            assert_eq!(code(text.to_owned()), shape::ErrorCode::Text(text.to_owned()));
        }
    }
}
