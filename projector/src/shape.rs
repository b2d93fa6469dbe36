//! The shapes of answers. Field names are a contract; what is not known is there as null.

pub(crate) mod convert;
mod receipts;
pub(crate) mod time;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use receipts::{MemberReceipt, ReceiptCounts, ReceiptStatus, Receipts, SendFailure, UserView};

/// State of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupStatus {
    /// Created, neither suspended nor deleted.
    Active,
    /// Suspended by the provider.
    Suspended,
    /// Deleted, for good.
    Deleted,
    /// Its creation failed.
    CreateFailed,
    /// Events speak of it, none tells of its creation.
    Unknown,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Group {
    pub(crate) group_id: String,
    /// Whose webhooks told of it.
    pub(crate) provider: &'static str,
    /// The provider's account (Meta: WhatsApp Business Account id).
    pub(crate) account: Option<String>,
    /// The business number that the group belongs to.
    pub(crate) phone_number_id: Option<String>,
    pub(crate) status: GroupStatus,
    /// Of a creation that failed the subject that was asked for.
    pub(crate) subject: Option<String>,
    /// Of a creation that failed none: what was asked for its event tells.
    pub(crate) description: Option<String>,
    pub(crate) picture: Option<Picture>,
    /// `auto_approve` or `approval_required`.
    pub(crate) join_approval_mode: Option<String>,
    /// Whoever has it can join.
    pub(crate) invite_link: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) deleted_at: Option<String>,
    /// All persons that ever stood to the group in some way, see their status.
    pub(crate) members: Vec<Member>,
    pub(crate) counts: MemberCounts,
    /// The last window that a member's message opened; it may be over.
    pub(crate) service_window: Option<ServiceWindow>,
    pub(crate) last_failure: Option<Failure>,
    /// What to know before asking more of the group.
    pub(crate) warnings: Vec<Warning>,
    /// Settings whose last change was reported without telling whether it succeeded.
    pub(crate) unconfirmed: Vec<SettingName>,
    /// Labels that the platform gave it, by text.
    pub(crate) labels: Vec<String>,
    /// The platform put it aside, and no newer message came.
    pub(crate) archived: bool,
    /// The platform forbids sending to it; what arrives is told as ever.
    pub(crate) blocked: bool,
    pub(crate) visibility: Visibility,
    /// Users of the platform who may command the group; empty: everybody may.
    pub(crate) moderators: Vec<String>,
    /// Digest of the entries that this was derived from, receipts apart: equal wherever the same events
    /// were folded, in whatever order.
    pub(crate) digest: Option<String>,
    /// The log position that the answer reflects.
    pub(crate) position: String,
}

/// Something that will be in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Warning {
    /// There is room for one more member.
    MembersNearLimit,
    /// Nobody can join.
    MembersAtLimit,
}

/// Who of the platform may see a group, beside its moderators. Ids are the platform's own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Visibility {
    /// Everybody.
    pub(crate) all: bool,
    pub(crate) teams: Vec<String>,
    pub(crate) users: Vec<String>,
}

/// A group's picture, by its hash.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Picture {
    pub(crate) mime_type: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// How a person stands to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberStatus {
    /// In the group.
    Member,
    /// Asked to join.
    Pending,
    /// Went.
    Left,
    /// Was put out.
    Removed,
    /// Asked to join, and took it back or was rejected.
    Revoked,
}

/// Role in a group.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Member,
    Admin,
}

/// How a membership began.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Via {
    InviteLink,
    JoinRequest,
    Added,
}

/// A person of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    /// Stays the same when number or user id change. It comes of the name that was known first: an event that comes
    /// late and tells of another name at an earlier time changes it.
    pub(crate) member_id: String,
    pub(crate) wa_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) status: MemberStatus,
    pub(crate) role: Role,
    pub(crate) via: Option<Via>,
    #[schema(format = DateTime)]
    pub(crate) joined_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) left_at: Option<String>,
    /// When the membership began, where nobody reported it and a snapshot shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) joined_between: Option<Between>,
    /// When it ended, where nobody reported it and a snapshot shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) left_between: Option<Between>,
    pub(crate) join_request_id: Option<String>,
}

/// When something must have happened that nobody reported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Between {
    /// After this; null where nothing is known of before.
    #[schema(format = DateTime)]
    pub(crate) after: Option<String>,
    /// Not after this.
    #[schema(format = DateTime)]
    pub(crate) by: String,
}

/// Persons by status; those of the last three only where there are any.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct MemberCounts {
    pub(crate) member: u64,
    pub(crate) pending: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) removed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) revoked: Option<u64>,
}

/// The 24 hours after a member's message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceWindow {
    /// Member id of who wrote.
    pub(crate) opened_by: String,
    #[schema(format = DateTime)]
    pub(crate) open_until: String,
}

/// What a reported failure was about: the `type` of the webhook that told it (Meta, groups webhooks); of what no webhook
/// tells, `join_request`: the provider's answer to an approval or a rejection, and `message`: a status of a message.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureType {
    GroupCreate,
    GroupDelete,
    GroupSettingsUpdate,
    GroupParticipantsRemove,
    JoinRequest,
    Message,
    Unknown,
}

/// A failure that the provider reported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Failure {
    /// The provider's id of the command that failed.
    pub(crate) request_id: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: FailureType,
    pub(crate) errors: Vec<ProviderError>,
    #[schema(format = DateTime)]
    pub(crate) at: Option<String>,
}

/// An error as the provider printed it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderError {
    pub(crate) code: ErrorCode,
    pub(crate) title: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) details: Option<String>,
}

/// A number where the provider printed digits, else its text.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ErrorCode {
    Number(i64),
    Text(String),
}

/// A setting of a group.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SettingName {
    Subject,
    Description,
    Picture,
    JoinApprovalMode,
    InviteLink,
    Announce,
    Locked,
    MemberAddMode,
    EphemeralSeconds,
    Unknown,
}

/// A page of groups, by group id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupPage {
    pub(crate) groups: Vec<Group>,
    /// Asks for the next page; null on the last one.
    pub(crate) cursor: Option<String>,
    pub(crate) position: String,
}

/// The persons of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberList {
    pub(crate) members: Vec<Member>,
    /// Of all persons, whatever was filtered.
    pub(crate) counts: MemberCounts,
    pub(crate) position: String,
}

/// What a line of a history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryKind {
    MemberJoined,
    MemberLeft,
    MemberRemoved,
    MemberGone,
    MemberPromoted,
    MemberDemoted,
    JoinRequested,
    JoinRequestRevoked,
    JoinRequestRejected,
    SubjectChanged,
    DescriptionChanged,
    PictureChanged,
    SettingChanged,
    SettingsFailed,
    RemoveFailed,
    GroupCreated,
    GroupCreateFailed,
    GroupDeleted,
    GroupDeleteFailed,
    GroupSuspended,
    GroupUnsuspended,
    NumberChanged,
    UserIdChanged,
    AccountError,
    VisibilityChanged,
    ModeratorsChanged,
    LabelAdded,
    LabelRemoved,
    Archived,
    Unarchived,
    Blocked,
    Unblocked,
    Unknown,
}

/// Who did it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Actor {
    Business,
    Participant,
}

/// The names of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Person {
    pub(crate) member_id: String,
    pub(crate) wa_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) username: Option<String>,
}

/// A line of a history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Comes from its event: replays and rebuilds yield the same.
    pub(crate) id: String,
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// When it must have happened, where nobody reported it and a snapshot shows it; `at` is the snapshot's time then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) between: Option<Between>,
    pub(crate) kind: EntryKind,
    pub(crate) member: Option<Person>,
    pub(crate) actor: Option<Actor>,
    /// The platform's id of its user who did it.
    pub(crate) user_id: Option<String>,
    pub(crate) via: Option<Via>,
    /// One sentence, in the language asked for.
    pub(crate) text: String,
}

/// A page of a history, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Timeline {
    pub(crate) entries: Vec<Entry>,
    /// Asks for the next page; null on the last one.
    pub(crate) cursor: Option<String>,
    pub(crate) position: String,
}

/// What deliveries are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UsageBy {
    /// Day of the delivery, UTC.
    Day,
    Group,
    /// The pricing's category without `group_` before it.
    Category,
    /// Of the member's number, as ISO 3166 has it; a calling code where that tells none.
    Country,
}

/// Deliveries: `delivered` is the sum of `billable`, `free` and `unpriced`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsageCounts {
    pub(crate) delivered: u64,
    pub(crate) billable: u64,
    pub(crate) free: u64,
    /// Of the free ones, those in a group's service window.
    pub(crate) free_in_window: u64,
    /// No report told a price.
    pub(crate) unpriced: u64,
}

/// The deliveries of one day, group, category or country.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageRow {
    /// Which; `unknown` where no report tells.
    pub(crate) key: String,
    pub(crate) counts: UsageCounts,
    /// Counted by group: when the 24 hours after the last message of a member end; may be over.
    #[schema(format = DateTime)]
    pub(crate) window_open_until: Option<String>,
}

/// Deliveries and what they cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    pub(crate) by: UsageBy,
    /// By key.
    pub(crate) rows: Vec<UsageRow>,
    /// Of all rows.
    pub(crate) total: UsageCounts,
    /// Messages with a delivery in the time asked for.
    pub(crate) messages: u64,
    /// Asks for the rest, whose counts are to be added; null at the end.
    pub(crate) cursor: Option<String>,
    pub(crate) position: String,
}

/// What was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Written {
    /// The event; the same for the same `Idempotency-Key`.
    pub(crate) event_id: String,
    pub(crate) group_id: String,
    /// True if reads show it; else they do with `position` as `min_position`.
    pub(crate) folded: bool,
    pub(crate) position: String,
}

/// What a partition's loop does.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartitionState {
    Running,
    Reconnecting,
    Stopped,
}

/// How far one partition is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartitionPosition {
    pub(crate) partition: u16,
    /// Last sequence that is folded and on the device.
    pub(crate) applied: u64,
    /// Last sequence of the log, as the broker says it now; where it does not, as far as is known.
    pub(crate) log_end: u64,
    pub(crate) state: PartitionState,
    /// Stable code of why it stopped, or of why its store takes no writes now: `disk_full` or `store_unwritable`.
    pub(crate) reason: Option<String>,
    /// Digest of all entries, independent of their order.
    pub(crate) digest: String,
    /// Events folded; with `records_unreadable` one for each sequence applied.
    pub(crate) events_applied: u64,
    /// Records that could not be read, and are kept as failures.
    pub(crate) records_unreadable: u64,
}

/// How far the projection is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    pub(crate) lag_events: u64,
    pub(crate) lag_seconds: f64,
    /// Sum of the digests of all partitions.
    pub(crate) digest: String,
    pub(crate) partitions: Vec<PartitionPosition>,
    /// The group that was asked for, see `group`.
    pub(crate) groups: Vec<GroupDigest>,
}

/// Digest of one group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupDigest {
    pub(crate) group_id: String,
    /// As in the group itself; zeros for a group that is not known.
    pub(crate) digest: String,
}

/// Whether to send requests here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    /// Why not; empty if ready.
    pub(crate) reasons: Vec<String>,
    /// What an acknowledged webhook survives; where a receiver runs in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) durability: Option<String>,
}
