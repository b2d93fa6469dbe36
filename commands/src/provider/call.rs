//! What can be asked of a provider, in words that are nobody's API.

/// Most groups on one page of a list.
pub(crate) const LIST_LIMIT_MAX: u32 = 1024;

/// One thing to ask. Texts are as the caller gave them; [`super::validate`] says what is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Make a group. The outcome, with the group's id, comes later.
    CreateGroup {
        subject: String,
        description: Option<String>,
        /// `auto_approve` or `approval_required`, for the group's life.
        join_approval_mode: Option<String>,
    },
    /// Change what is given. The outcome of each comes later.
    UpdateGroup {
        group: String,
        subject: Option<String>,
        description: Option<String>,
        picture: Option<Picture>,
    },
    /// Put everybody out and end the group. The outcome comes later.
    DeleteGroup { group: String },
    /// Read the invite link.
    GetInviteLink { group: String },
    /// Make a new invite link; all earlier ones die at once, and no webhook tells.
    ResetInviteLink { group: String },
    /// Read one page of the pending join requests.
    ListJoinRequests { group: String, after: Option<String> },
    /// Let people in. Answered at once, item by item; joins are told by webhook too.
    ApproveJoinRequests { group: String, requests: Vec<String> },
    /// Turn people down. Answered at once, and nowhere else.
    RejectJoinRequests { group: String, requests: Vec<String> },
    /// Put people out, each named as the caller knows them: a number, a `wa_id` or a user id. The outcome comes later.
    RemoveParticipants { group: String, participants: Vec<String> },
    /// Send a message to a group. What becomes of it comes later.
    Send { group: String, message: Message },
    /// Pin a message for some days.
    Pin { group: String, message_id: String, days: u32 },
    /// Take a pinned message down.
    Unpin { group: String, message_id: String },
    /// Invite one person by a template that carries the group's link; `opaque` comes back with each of its statuses.
    Invite { group: String, to: String, template: String, language: String, opaque: Option<String> },
    /// Read one page of the active groups.
    ListGroups { limit: u32, after: Option<String> },
    /// Read a group: settings and members.
    GroupInfo { group: String },
}

/// A picture's bytes, as they are to be uploaded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture(pub(crate) bytes::Bytes);

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} bytes)", self.0.len())
    }
}

/// A message to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) content: Content,
    /// Comes back with each of the message's statuses.
    pub(crate) opaque: Option<String>,
    /// The message that this one answers.
    pub(crate) reply_to: Option<String>,
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text {
        body: String,
        preview_url: bool,
    },
    Media {
        /// `image`, `video`, `audio`, `document` or `sticker`.
        kind: String,
        /// The provider's id of an uploaded file; either this or `link`.
        id: Option<String>,
        /// Where the provider fetches the file.
        link: Option<String>,
        caption: Option<String>,
        filename: Option<String>,
    },
    Template {
        name: String,
        language: String,
        /// The provider's own shape, passed on as it is; `Null` where the template has no parameters.
        components: serde_json::Value,
    },
    /// Any other kind, by its name. Groups take none of them.
    Other {
        kind: String,
    },
}

impl Call {
    /// Stable name, for logs, metrics and errors.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::CreateGroup { .. } => "create_group",
            Self::UpdateGroup { .. } => "update_group",
            Self::DeleteGroup { .. } => "delete_group",
            Self::GetInviteLink { .. } => "get_invite_link",
            Self::ResetInviteLink { .. } => "reset_invite_link",
            Self::ListJoinRequests { .. } => "list_join_requests",
            Self::ApproveJoinRequests { .. } => "approve_join_requests",
            Self::RejectJoinRequests { .. } => "reject_join_requests",
            Self::RemoveParticipants { .. } => "remove_participants",
            Self::Send { .. } => "send_message",
            Self::Pin { .. } => "pin_message",
            Self::Unpin { .. } => "unpin_message",
            Self::Invite { .. } => "invite",
            Self::ListGroups { .. } => "list_groups",
            Self::GroupInfo { .. } => "group_info",
        }
    }

    /// Changes nothing, so that it may be asked as often as one likes.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(
            self,
            Self::GetInviteLink { .. }
                | Self::ListJoinRequests { .. }
                | Self::ListGroups { .. }
                | Self::GroupInfo { .. }
        )
    }
}
