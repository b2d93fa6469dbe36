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
    let group = &ask.group.as_ref()?.group;
    let broken = |code, rule| Some(Broken { code, field: "group_id", rule });
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
