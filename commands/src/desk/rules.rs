//! What the state of a group allows.

use groupfold_fold::view::Status;
use groupfold_projector::desk::{Ask, Wish};

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
            code: "not_moderator",
            field: "Groupfold-Actor",
            rule: "the group has moderators, and the actor is none of them",
        });
    }
    if group.policy.blocked && matches!(ask.wish, Wish::SendMessage { .. } | Wish::SendInvite { .. }) {
        return broken("group_blocked", "the platform has forbidden sending to the group");
    }
    match group.status {
        Status::Deleted => broken("group_deleted", "the group is deleted"),
        Status::CreateFailed => broken("group_not_created", "the group was never created"),
        // All that a suspended group still allows is to end it.
        Status::Suspended if ask.wish != Wish::DeleteGroup => {
            broken("group_suspended", "the provider has suspended the group")
        }
        Status::Suspended | Status::Active | Status::Unknown => None,
    }
}
