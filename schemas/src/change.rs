//! Names of the kinds of changes: subject tokens, event names of the feed and JSON values, for ever.

use crate::v1::ChangeKind;

impl ChangeKind {
    /// All kinds that are told.
    pub const ALL: [Self; 20] = [
        Self::GroupStatus,
        Self::GroupOrigin,
        Self::Subject,
        Self::Description,
        Self::Picture,
        Self::JoinApprovalMode,
        Self::InviteLink,
        Self::UnconfirmedSettings,
        Self::Member,
        Self::ServiceWindow,
        Self::GroupFailure,
        Self::MessageSent,
        Self::MessageFailed,
        Self::Receipt,
        Self::Visibility,
        Self::Moderators,
        Self::Labels,
        Self::Archived,
        Self::Blocked,
        Self::MessageView,
    ];

    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::GroupStatus => "group_status",
            Self::GroupOrigin => "group_origin",
            Self::Subject => "subject",
            Self::Description => "description",
            Self::Picture => "picture",
            Self::JoinApprovalMode => "join_approval_mode",
            Self::InviteLink => "invite_link",
            Self::UnconfirmedSettings => "unconfirmed_settings",
            Self::Member => "member",
            Self::ServiceWindow => "service_window",
            Self::GroupFailure => "group_failure",
            Self::MessageSent => "message_sent",
            Self::MessageFailed => "message_failed",
            Self::Receipt => "receipt",
            Self::Visibility => "visibility",
            Self::Moderators => "moderators",
            Self::Labels => "labels",
            Self::Archived => "archived",
            Self::Blocked => "blocked",
            Self::MessageView => "message_view",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The place of a change in its partition: sequence of its event, and place among the changes of that event.
/// Printed with the partition, `3:1234:0`, it is the change's id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Sequence of the event.
    pub sequence: u64,
    /// Place among its changes.
    pub index: u32,
}

impl Mark {
    /// The id of the change at this place of a partition.
    #[must_use]
    pub fn id(self, partition: u16) -> String {
        format!("{partition}:{}:{}", self.sequence, self.index)
    }

    /// Reads [`Mark::id`] back, with its partition; `None` for anything that it does not print.
    #[must_use]
    pub fn from_id(id: &str) -> Option<(u16, Self)> {
        let mut parts = id.splitn(3, ':');
        let partition = parts.next()?.parse().ok()?;
        let sequence = parts.next()?.parse().ok()?;
        let mark = Self { sequence, index: parts.next()?.parse().ok()? };
        (mark.id(partition) == id).then_some((partition, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own_that_reads_back() {
        for kind in ChangeKind::ALL {
            assert_eq!(ChangeKind::from_name(kind.name()), Some(kind));
            assert!(kind.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", kind.name());
        }
        assert_eq!(ChangeKind::from_name("unknown"), None);
    }

    #[test]
    fn the_id_of_a_change_reads_back() {
        let mark = Mark { sequence: 1234, index: 2 };
        assert_eq!(mark.id(3), "3:1234:2");
        assert_eq!(Mark::from_id("3:1234:2"), Some((3, mark)));
        for bad in ["", "3:1", "x:1:2", "70000:1:2", "3:1:2:4", "3:+1:2", "03:1:2"] {
            assert_eq!(Mark::from_id(bad), None, "{bad}");
        }
    }
}
