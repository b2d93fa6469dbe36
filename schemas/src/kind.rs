//! The stable names of event kinds, providers, settings and outcomes: subject tokens, metric labels and JSON values.

use crate::v1::event::Kind;
use crate::v1::{EndReason, JoinRequestOutcome, Outcome, Provider, ReceiptStatus, Record, Role, Setting};

impl Kind {
    /// Stable snake-case name of what happened.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::GroupCreated(_) => "group_created",
            Self::GroupCreateFailed(_) => "group_create_failed",
            Self::GroupDeleted(_) => "group_deleted",
            Self::GroupDeleteFailed(_) => "group_delete_failed",
            Self::ParticipantsJoined(_) => "participants_joined",
            Self::ParticipantsEnded(e) if e.ended.is_empty() => "participants_remove_failed",
            Self::ParticipantsEnded(e) => match e.reason() {
                EndReason::Left => "participants_left",
                EndReason::Removed => "participants_removed",
                EndReason::Unknown => "participants_gone",
            },
            Self::JoinRequested(_) => "join_requested",
            Self::JoinRequestClosed(e) => match e.outcome() {
                JoinRequestOutcome::Rejected => "join_request_rejected",
                JoinRequestOutcome::Failed => "join_request_failed",
                JoinRequestOutcome::Revoked | JoinRequestOutcome::Unknown => "join_request_revoked",
            },
            Self::RoleChanged(e) if e.role() == Role::Admin => "participants_promoted",
            Self::RoleChanged(_) => "participants_demoted",
            Self::SettingsUpdated(_) => "settings_updated",
            Self::GroupSuspended(_) => "group_suspended",
            Self::GroupSuspensionCleared(_) => "group_unsuspended",
            Self::Receipt(e) => match e.status() {
                ReceiptStatus::Sent => "receipt_sent",
                ReceiptStatus::Delivered => "receipt_delivered",
                ReceiptStatus::Read => "receipt_read",
                ReceiptStatus::Played => "receipt_played",
                ReceiptStatus::Failed => "receipt_failed",
                ReceiptStatus::Unspecified => "receipt_unknown",
            },
            Self::MessageReceived(_) => "message_received",
            Self::MessageUnsupported(_) => "message_unsupported",
            Self::IdentityChanged(_) => "identity_changed",
            Self::AccountError(_) => "account_error",
            Self::GroupSnapshot(_) => "group_snapshot",
            Self::CommandRequested(_) => "command_requested",
            Self::CommandRefused(_) => "command_refused",
            Self::CommandSent(_) => "command_sent",
            Self::CommandAnswered(_) => "command_answered",
            Self::CommandReconciled(_) => "command_reconciled",
            Self::VisibilitySet(_) => "group_visibility_set",
            Self::ModeratorsSet(_) => "group_moderators_set",
            Self::LabelSet(e) if e.present => "group_label_added",
            Self::LabelSet(_) => "group_label_removed",
            Self::ArchiveSet(e) if e.archived => "group_archived",
            Self::ArchiveSet(_) => "group_unarchived",
            Self::BlockSet(e) if e.blocked => "group_blocked",
            Self::BlockSet(_) => "group_unblocked",
            Self::MessageViewed(_) => "message_viewed",
        }
    }
}

impl Record {
    /// What happened; `None` where this build knows of no such event.
    #[must_use]
    pub fn kind(&self) -> Option<&Kind> {
        self.event.as_ref()?.kind.as_ref()
    }

    /// The name of what happened, see [`Kind::name`]; `unknown` where there is none.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        self.kind().map_or("unknown", Kind::name)
    }
}

impl Provider {
    /// Stable lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Meta => "meta",
            Self::Sinch => "sinch",
            Self::Evolution => "evolution",
            Self::Waha => "waha",
            Self::Zapi => "zapi",
        }
    }
}

impl Setting {
    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Subject => "subject",
            Self::Description => "description",
            Self::Picture => "picture",
            Self::JoinApprovalMode => "join_approval_mode",
            Self::InviteLink => "invite_link",
            Self::Announce => "announce",
            Self::Locked => "locked",
            Self::MemberAddMode => "member_add_mode",
            Self::EphemeralSeconds => "ephemeral_seconds",
        }
    }
}

impl Outcome {
    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}
