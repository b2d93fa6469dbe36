//! An example of each kind.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    AccountError, Actor, ActorKind, ArchiveSet, BlockSet, CommandAnswered, CommandItem, CommandReconciled,
    CommandRefused, CommandRequested, CommandResult, CommandSent, CommandType, EndReason, Event, Evidence,
    GroupCreateFailed, GroupCreated, GroupDeleteFailed, GroupDeleted, GroupSnapshot, GroupSuspended,
    GroupSuspensionCleared, IdentityChangeKind, IdentityChanged, JoinRequestClosed, JoinRequestOutcome,
    JoinRequested, JoinVia, LabelSet, MessageMark, MessageReceived, MessageUnsupported, MessageViewed,
    ModeratorsSet, Outcome, Participant, ParticipantFailure, ParticipantsEnded, ParticipantsJoined, Pricing,
    Provider, ProviderError, Receipt, ReceiptScope, ReceiptStatus, Record, Role, RoleChanged, Setting,
    SettingChange, SettingValue, SettingsUpdated, SnapshotParticipant, TimeQuality, Visibility,
    VisibilitySet, setting_value,
};

use crate::events::reader;

/// 1 January 2026.
const TIME_MS: i64 = 1_767_225_600_000;
const AGENT: &str = "agent-7";
const MESSAGE: &str = "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUFERjg0NDEzNDdFODU3MUMxMAA=";

/// An event of this kind as it would be read from the log.
pub(super) fn event(name: &str, field: &str) -> reader::Event {
    let platform = field.starts_with("platform");
    let actor = Actor {
        kind: if platform { ActorKind::Business } else { ActorKind::Participant }.into(),
        user_id: platform.then(|| AGENT.to_owned()),
        ..Actor::default()
    };
    let record = Record {
        event_id: groupfold_schemas::id::EventId::hash([name.as_bytes()]).to_string(),
        provider: Provider::Meta.into(),
        account: "102290129340398".into(),
        phone_number_id: "106540352242922".into(),
        display_phone_number: "15550783881".into(),
        group_id: if matches!(name, "account_error" | "identity_changed" | "group_create_failed") {
            String::new()
        } else {
            "120363404694233820@g.us".into()
        },
        provider_time_ms: TIME_MS,
        time_quality: if platform { TimeQuality::Received } else { TimeQuality::Provider }.into(),
        received_time_ms: TIME_MS + 1_200,
        request_id: "0b9d7c1e5f2a4c68".into(),
        actor: (platform || name.contains("left")).then_some(actor),
        evidence: if platform { Evidence::Platform } else { Evidence::Webhook }.into(),
        field: field.split(' ').next().unwrap_or_default().into(),
        event: Some(Event { kind: Some(of(name)) }),
        ..Record::default()
    };
    reader::Event { partition: 1, sequence: 42, log_time_ms: TIME_MS + 1_203, record }
}

/// An example of a kind.
pub(super) fn of(name: &str) -> Kind {
    let subject = Some("Trip to Salvador".to_owned());
    let participants = vec![person()];
    let participant = Some(person());
    match name {
        "group_created" => Kind::GroupCreated(GroupCreated {
            subject,
            description: Some("Who brings what".into()),
            invite_link: Some("https://chat.whatsapp.com/AbCdEf123".into()),
            join_approval_mode: Some("auto_approve".into()),
            participants: Vec::new(),
        }),
        "group_create_failed" => {
            Kind::GroupCreateFailed(GroupCreateFailed { subject, description: None, errors: errors() })
        }
        "group_deleted" => Kind::GroupDeleted(GroupDeleted {}),
        "group_delete_failed" => Kind::GroupDeleteFailed(GroupDeleteFailed { errors: errors() }),
        "participants_joined" => Kind::ParticipantsJoined(ParticipantsJoined {
            participants,
            via: JoinVia::InviteLink.into(),
            reason: Some("invite_link".into()),
        }),
        "participants_left" => ended(EndReason::Left, true),
        "participants_removed" => ended(EndReason::Removed, true),
        "participants_gone" => ended(EndReason::Unknown, true),
        "participants_remove_failed" => ended(EndReason::Removed, false),
        "join_requested" => Kind::JoinRequested(JoinRequested {
            participant,
            join_request_id: Some("join-request-1".into()),
            reason: None,
        }),
        "join_request_revoked" => closed(JoinRequestOutcome::Revoked, Vec::new()),
        "join_request_rejected" => closed(JoinRequestOutcome::Rejected, Vec::new()),
        "join_request_failed" => closed(JoinRequestOutcome::Failed, errors()),
        "participants_promoted" => Kind::RoleChanged(RoleChanged { participants, role: Role::Admin.into() }),
        "participants_demoted" => Kind::RoleChanged(RoleChanged { participants, role: Role::Member.into() }),
        "settings_updated" => Kind::SettingsUpdated(SettingsUpdated {
            changes: vec![SettingChange {
                setting: Setting::Subject.into(),
                old: None,
                new: subject.map(|text| SettingValue { value: Some(setting_value::Value::Text(text)) }),
                outcome: Outcome::Succeeded.into(),
                errors: Vec::new(),
            }],
            errors: Vec::new(),
        }),
        "group_suspended" => Kind::GroupSuspended(GroupSuspended {}),
        "group_unsuspended" => Kind::GroupSuspensionCleared(GroupSuspensionCleared {}),
        "receipt_sent" => receipt(ReceiptStatus::Sent),
        "receipt_delivered" => receipt(ReceiptStatus::Delivered),
        "receipt_read" => receipt(ReceiptStatus::Read),
        name if name.starts_with("command_") => command(name),
        "receipt_played" => receipt(ReceiptStatus::Played),
        "receipt_failed" => receipt(ReceiptStatus::Failed),
        "receipt_unknown" => receipt(ReceiptStatus::Unspecified),
        "message_received" => Kind::MessageReceived(MessageReceived {
            message_id: MESSAGE.into(),
            from: participant,
            r#type: "text".into(),
            context_message_id: None,
        }),
        "message_unsupported" => Kind::MessageUnsupported(MessageUnsupported {
            message_id: MESSAGE.into(),
            from: participant,
            r#type: Some("unsupported".into()),
            errors: errors(),
        }),
        "identity_changed" => Kind::IdentityChanged(IdentityChanged {
            kind: IdentityChangeKind::Number.into(),
            previous: participant,
            current: Some(Participant { wa_id: Some("5511900005678".into()), ..Participant::default() }),
            message_id: Some(MESSAGE.into()),
            body: Some("User A changed from 5511900001234 to 5511900005678".into()),
        }),
        "group_snapshot" => Kind::GroupSnapshot(GroupSnapshot {
            subject,
            created_at_ms: Some(TIME_MS),
            participants_total: Some(1),
            participants: vec![SnapshotParticipant {
                participant,
                role: Role::Member.into(),
                ..SnapshotParticipant::default()
            }],
            participants_complete: true,
            join_requests_complete: true,
            ..GroupSnapshot::default()
        }),
        "group_visibility_set" => Kind::VisibilitySet(VisibilitySet {
            visibility: Some(Visibility { teams: vec!["sales".into()], ..Visibility::default() }),
        }),
        "group_moderators_set" => Kind::ModeratorsSet(ModeratorsSet { users: vec![AGENT.into()] }),
        "group_label_added" => Kind::LabelSet(LabelSet { label: "vip".into(), present: true }),
        "group_label_removed" => Kind::LabelSet(LabelSet { label: "vip".into(), present: false }),
        "group_archived" => Kind::ArchiveSet(ArchiveSet {
            archived: true,
            newest: Some(MessageMark { time_ms: TIME_MS, event_id: String::new() }),
        }),
        "group_unarchived" => Kind::ArchiveSet(ArchiveSet::default()),
        "group_blocked" => Kind::BlockSet(BlockSet { blocked: true }),
        "group_unblocked" => Kind::BlockSet(BlockSet::default()),
        "message_viewed" => {
            Kind::MessageViewed(MessageViewed { message_id: MESSAGE.into(), user_id: AGENT.into() })
        }
        _ => Kind::AccountError(AccountError { errors: errors() }),
    }
}

fn command(name: &str) -> Kind {
    let command_id = groupfold_schemas::command::command_id(TIME_MS, [7; 10]);
    let items =
        vec![CommandItem { name: "5511900001234".into(), outcome: Outcome::Failed.into(), errors: errors() }];
    let result = CommandResult::Partly.into();
    match name {
        "command_refused" => Kind::CommandRefused(CommandRefused {
            command_id,
            code: "group_deleted".into(),
            field: "group_id".into(),
            rule: "the group is deleted".into(),
        }),
        "command_sent" => Kind::CommandSent(CommandSent {
            command_id,
            sender: "process 4711".into(),
            ..CommandSent::default()
        }),
        "command_answered" => Kind::CommandAnswered(CommandAnswered {
            command_id,
            result,
            request_id: Some("784D93D0C468593037EA0B1ECA245D9C".into()),
            items,
            ..CommandAnswered::default()
        }),
        "command_reconciled" => Kind::CommandReconciled(CommandReconciled {
            command_id,
            result,
            reason: "one of two is still a member".into(),
            items,
            group_id: None,
        }),
        _ => Kind::CommandRequested(CommandRequested {
            command_id,
            r#type: CommandType::MembersRemove.into(),
            body: br#"{"members":["5511900001234"]}"#.to_vec().into(),
            asked_by: Some("agent-7".into()),
            idempotency_key: Some("8f14e45f".into()),
            deadline_ms: TIME_MS + 120_000,
            items: vec!["5511900001234".into()],
            texts: Vec::new(),
        }),
    }
}

fn person() -> Participant {
    Participant {
        wa_id: Some("5511900001234".into()),
        user_id: Some("BR.1234567890123456".into()),
        ..Participant::default()
    }
}

fn errors() -> Vec<ProviderError> {
    vec![ProviderError {
        code: "131201".into(),
        title: "Something failed".into(),
        ..ProviderError::default()
    }]
}

fn ended(reason: EndReason, any: bool) -> Kind {
    let failure = ParticipantFailure { participant: Some(person()), errors: errors() };
    Kind::ParticipantsEnded(ParticipantsEnded {
        reason: reason.into(),
        ended: if any { vec![person()] } else { Vec::new() },
        failed: if any { Vec::new() } else { vec![failure] },
        errors: Vec::new(),
    })
}

fn closed(outcome: JoinRequestOutcome, errors: Vec<ProviderError>) -> Kind {
    Kind::JoinRequestClosed(JoinRequestClosed {
        participant: Some(person()),
        join_request_id: Some("join-request-1".into()),
        outcome: outcome.into(),
        reason: None,
        errors,
    })
}

fn receipt(status: ReceiptStatus) -> Kind {
    let to_all = matches!(status, ReceiptStatus::Sent | ReceiptStatus::Failed | ReceiptStatus::Unspecified);
    let billed = matches!(status, ReceiptStatus::Delivered | ReceiptStatus::Read);
    Kind::Receipt(Receipt {
        message_id: MESSAGE.into(),
        status: status.into(),
        scope: if to_all { ReceiptScope::Message } else { ReceiptScope::Participant }.into(),
        participant: (!to_all).then(person),
        pricing: billed.then(|| Pricing {
            billable: Some(true),
            pricing_model: Some("PMP".into()),
            r#type: Some("regular".into()),
            category: Some("utility".into()),
        }),
        errors: if status == ReceiptStatus::Failed { errors() } else { Vec::new() },
        ..Receipt::default()
    })
}
