//! What the state of a group allows.

use groupfold_fold::view::{Command, CommandStatus, Status};
use groupfold_projector::desk::{Ask, Refusal, Wish};

/// Names of all rules.
const CODES: [&str; 5] =
    [NOT_MODERATOR, "group_blocked", "group_deleted", "group_not_created", "group_suspended"];
const NOT_MODERATOR: &str = "not_moderator";

/// A rule that is broken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    /// Stable name.
    pub(super) code: &'static str,
    pub(super) field: &'static str,
    pub(super) rule: &'static str,
}

/// The first rule that a command breaks by the state of its group.
pub(super) fn broken(ask: &Ask) -> Option<Broken> {
    let group = ask.group.as_ref()?;
    let broken = |code, rule| Some(Broken { code, field: "group_id", rule });
    if !group.policy.may(ask.actor.as_deref()) {
        return Some(Broken {
            code: NOT_MODERATOR,
            field: "Groupfold-Actor",
            rule: "the group has moderators, and the actor is none of them",
        });
    }
    // A pin is a message to the group too.
    let sends = matches!(
        ask.wish,
        Wish::SendMessage { .. }
            | Wish::SendInvite { .. }
            | Wish::PinMessage { .. }
            | Wish::UnpinMessage { .. }
    );
    if group.policy.blocked && sends {
        return broken("group_blocked", "the platform has forbidden sending to the group");
    }
    // All that a suspended group still allows is to end it.
    ended(group.status).filter(|_| group.status != Status::Suspended || ask.wish != Wish::DeleteGroup)
}

/// Why the provider has nothing to tell of a group, or to do for it.
pub(super) fn ended(status: Status) -> Option<Broken> {
    let (code, rule) = match status {
        Status::Deleted => ("group_deleted", "the group is deleted"),
        Status::CreateFailed => ("group_not_created", "the group was never created"),
        Status::Suspended => ("group_suspended", "the provider has suspended the group"),
        Status::Active | Status::Unknown => return None,
    };
    Some(Broken { code, field: "group_id", rule })
}

/// The refusal of a command that broke a rule when it was asked for: who asks again under the same key is told the same.
pub(super) fn refused_before(command: &Command) -> Option<Refusal> {
    let refused = command.state.refused.as_ref().filter(|_| command.status == CommandStatus::Refused)?;
    let refused = refused.value.as_ref()?;
    let code = CODES.into_iter().find(|code| *code == refused.code)?;
    let (detail, command_id) = (refused.rule.clone(), Some(command.command_id.clone()));
    Some(Refusal::Rule { code, detail, command_id })
}
