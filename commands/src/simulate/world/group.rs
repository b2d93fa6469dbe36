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
    /// The id of the request to join, of whoever asked.
    pub(crate) join_request: Option<String>,
}

/// A pinned message and the second in which it comes off.
pub(crate) type Pin = (String, i64);

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) status: Status,
    /// Unix seconds.
    pub(crate) created_at: i64,
    pub(crate) subject: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) picture: Option<String>,
    pub(crate) join_approval_mode: Option<&'static str>,
    pub(crate) invite_link: Option<String>,
    pub(crate) members: BTreeMap<u64, Membership>,
    pub(crate) last_message_at: Option<i64>,
    /// Oldest first.
    pub(crate) pins: Vec<Pin>,
    /// Kind and second of each line; empty unless the truth is asked for.
    pub(crate) timeline: Vec<(&'static str, i64)>,
    stamps: BTreeMap<&'static str, Stamp>,
}

/// Most people in a group.
pub(crate) const MEMBERS_MAX: usize = 8;

impl Group {
    pub(crate) fn new(id: String, status: Status, created_at: i64) -> Self {
        Self {
            id,
            status,
            created_at,
            subject: None,
            description: None,
            picture: None,
            join_approval_mode: None,
            invite_link: None,
            members: BTreeMap::new(),
            last_message_at: None,
            pins: Vec::new(),
            timeline: Vec::new(),
            stamps: BTreeMap::new(),
        }
    }

    /// True if an event about something may be told now; then it counts as told.
    pub(crate) fn touch(&mut self, what: &'static str, stamp: Stamp) -> bool {
        let free = self.is_free(what, stamp);
        if free {
            self.stamps.insert(what, stamp);
        }
        free
    }

    /// True if an event about something may be told now.
    pub(crate) fn is_free(&self, what: &'static str, stamp: Stamp) -> bool {
        self.stamps.get(what).is_none_or(|last| *last < stamp)
    }

    pub(crate) fn count(&self, status: MemberStatus) -> usize {
        self.members.values().filter(|member| member.status == status).count()
    }

    pub(crate) fn asks_approval(&self) -> bool {
        self.join_approval_mode == Some("approval_required")
    }
}
