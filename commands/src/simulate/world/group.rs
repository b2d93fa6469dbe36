//! A group as the provider knows it.

use std::collections::BTreeMap;

/// State of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Suspended,
    Deleted,
    CreateFailed,
}

/// How a person stands to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberStatus {
    Member,
    Pending,
    Left,
    Removed,
    Revoked,
}

/// Second and rank of the last event about something; the next must be greater.
pub(crate) type Stamp = (i64, u32);

/// A person in a group, and the names that this group's events showed.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) status: MemberStatus,
    pub(crate) stamp: Stamp,
    pub(crate) knows_number: bool,
    pub(crate) knows_user_id: bool,
    pub(crate) knows_username: bool,
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) status: Status,
    pub(crate) subject: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) picture: Option<String>,
    pub(crate) join_approval_mode: Option<&'static str>,
    pub(crate) invite_link: Option<String>,
    pub(crate) members: BTreeMap<u64, Membership>,
    pub(crate) last_message_at: Option<i64>,
    /// Kind and second of each line; empty unless the truth is asked for.
    pub(crate) timeline: Vec<(&'static str, i64)>,
    stamps: BTreeMap<&'static str, Stamp>,
}

/// Most people in a group.
pub(crate) const MEMBERS_MAX: usize = 8;

impl Group {
    pub(crate) fn new(id: String, status: Status) -> Self {
        Self {
            id,
            status,
            subject: None,
            description: None,
            picture: None,
            join_approval_mode: None,
            invite_link: None,
            members: BTreeMap::new(),
            last_message_at: None,
            timeline: Vec::new(),
            stamps: BTreeMap::new(),
        }
    }

    /// True if an event about something may be told now; then it counts as told.
    pub(crate) fn touch(&mut self, what: &'static str, stamp: Stamp) -> bool {
        let free = self.stamps.get(what).is_none_or(|last| *last < stamp);
        if free {
            self.stamps.insert(what, stamp);
        }
        free
    }

    pub(crate) fn count(&self, status: MemberStatus) -> usize {
        self.members.values().filter(|member| member.status == status).count()
    }

    pub(crate) fn asks_approval(&self) -> bool {
        self.join_approval_mode == Some("approval_required")
    }
}
