//! What people ask for, derived from entries.

mod command;
mod group;
mod policy;
mod receipts;
mod timeline;
mod usage;

use groupfold_schemas::v1;

pub use command::{CLOCKS_MS, Command, CommandPage, CommandStatus, command, commands, outcomes_since};
pub(crate) use group::{Loaded, account_of, bare};
pub use group::{group, status_of};
pub(crate) use policy::is_policy;
pub use policy::{Policy, policy, policy_of};
pub(crate) use receipts::receipt_state;
pub use receipts::receipts;
pub use timeline::{account_timeline, timeline};
pub use usage::{Delivery, deliveries, window_until};

/// The state of a group.
///
/// ```text
///             create ok            suspend
///   Unknown ────────────▶ Active ◀─────────▶ Suspended
///      │  a fact about it             clear      │
///      │                                         │
///      ├── create failed ──▶ CreateFailed        │ (suspend, clear: last by time)
///      └───────────┬─────────────────────────────┘
///                  ▼ delete ok
///               Deleted (terminal)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Facts about the group are known, its creation is not.
    Unknown,
    /// Created, neither suspended nor deleted.
    Active,
    /// Suspended by the provider.
    Suspended,
    /// Deleted; terminal.
    Deleted,
    /// Its creation failed.
    CreateFailed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Active, Self::Suspended, Self::Deleted, Self::CreateFailed, Self::Unknown];

    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::CreateFailed => "create_failed",
        }
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Group id.
    pub group_id: String,
    /// Where it belongs.
    pub origin: v1::OriginRegister,
    /// Its state.
    pub status: Status,
    /// Name.
    pub subject: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Picture.
    pub picture: Option<v1::Picture>,
    /// `auto_approve` or `approval_required` (Meta), fixed at creation.
    pub join_approval_mode: Option<String>,
    /// A bearer secret: whoever has it can join.
    pub invite_link: Option<String>,
    /// When that link was told, by the provider's clock, Unix milliseconds.
    pub invite_link_told_ms: Option<i64>,
    /// Unix milliseconds.
    pub created_at_ms: Option<i64>,
    /// Unix milliseconds.
    pub deleted_at_ms: Option<i64>,
    /// All persons with a membership fact, by [`Member::member_id`].
    pub members: Vec<Member>,
    /// The service window that the last message of a member opened.
    pub window: Option<ServiceWindow>,
    /// The last failure reported.
    pub last_failure: Option<v1::FailureRegister>,
    /// Settings whose last reported change has an unknown outcome.
    pub unconfirmed: Vec<v1::Setting>,
    /// What the platform laid down.
    pub policy: Policy,
}

/// How a person stands to a group.
///
/// ```text
///             request            join (approved)
///   (none) ────────────▶ Pending ──────────────▶ Member ──▶ Left | Removed
///      │                    │ revoke                ▲            │
///      │                    ▼                       │            │
///      │                 Revoked ─── request ──▶ …  │            │
///      └──────────────────────── join ──────────────┴────────────┘
/// ```
///
/// The last fact by (time, rank, event id) decides; but a rejection, which an answer alone tells, closes no other request than its
/// own, and puts nobody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberStatus {
    /// In the group.
    Member,
    /// Asked to join.
    Pending,
    /// Went by themselves, or it is not known how.
    Left,
    /// Was put out.
    Removed,
    /// Took the request back, or it was rejected.
    Revoked,
}

impl MemberStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Member, Self::Pending, Self::Left, Self::Removed, Self::Revoked];

    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Pending => "pending",
            Self::Left => "left",
            Self::Removed => "removed",
            Self::Revoked => "revoked",
        }
    }
}

/// When something happened that nobody reported: a snapshot of the group shows that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// After this, Unix milliseconds; unknown if nothing was known before.
    pub after_ms: Option<i64>,
    /// Not after this, Unix milliseconds: the time of the snapshot.
    pub by_ms: i64,
}

/// A person of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Stable id of the person, derived from the first name known.
    pub member_id: String,
    /// Present names.
    pub names: v1::Participant,
    /// How the person stands to the group.
    pub status: MemberStatus,
    /// Member or admin.
    pub role: v1::Role,
    /// How the last membership began.
    pub via: v1::JoinVia,
    /// Begin of the last membership, Unix milliseconds.
    pub joined_at_ms: Option<i64>,
    /// End of the last membership, Unix milliseconds.
    pub left_at_ms: Option<i64>,
    /// When it began, where only a snapshot tells that it did.
    pub joined_between: Option<Between>,
    /// When it ended, where only a snapshot tells that it did.
    pub left_between: Option<Between>,
    /// The last request to join.
    pub join_request_id: Option<String>,
    /// When the request was told that waits for an answer, by the provider's clock, Unix milliseconds.
    pub request_told_ms: Option<i64>,
}

/// The 24 hours after a member's message.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceWindow {
    /// The person who wrote.
    pub opened_by: Person,
    /// Unix milliseconds.
    pub open_until_ms: i64,
}

/// A person as far as a name tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// Stable id of the person.
    pub member_id: String,
    /// Names: the present ones of a member, else the reported ones.
    pub names: v1::Participant,
}

/// A line of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Stable id: the event's, and the person's name where an event has several lines.
    pub id: String,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// When it happened, where only a snapshot tells that it did.
    pub between: Option<Between>,
    /// What happened.
    pub kind: EntryKind,
    /// Whom it concerns.
    pub member: Option<Person>,
    /// Who did it.
    pub actor: v1::ActorKind,
    /// The platform's id of its user who did it.
    pub user_id: Option<String>,
    /// How a membership began.
    pub via: v1::JoinVia,
    /// New subject or description; new number.
    pub text: Option<String>,
    /// What the provider said of a failure.
    pub errors: Vec<v1::ProviderError>,
}

/// What a line of a history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A fact as it was reported.
    Fact(v1::FactKind),
    /// A member has a new number.
    NumberChanged,
    /// A member has a new user id.
    UserIdChanged,
}

/// Who received and read a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipts {
    /// Message id.
    pub message_id: String,
    /// The group it belongs to, if a receipt told, or who told of a view.
    pub group_id: Option<String>,
    /// True if a receipt told the group: what a view alone tells is the word of whoever told it.
    pub is_reported: bool,
    /// Earliest `sent`, Unix milliseconds.
    pub sent_at_ms: Option<i64>,
    /// The failure, if one was reported.
    pub failed: Option<v1::FailureRegister>,
    /// One line per person, by [`Person::member_id`].
    pub members: Vec<MemberReceipt>,
    /// Users of the platform who saw it, by id.
    pub users: Vec<UserView>,
}

/// That a user of the platform saw a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// The platform's id.
    pub user_id: String,
    /// The first time, Unix milliseconds.
    pub viewed_at_ms: i64,
}

/// What one person did with a message.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberReceipt {
    /// Who.
    pub person: Person,
    /// Earliest delivery, Unix milliseconds; of the earliest `read` or `played` if none was reported.
    pub delivered_at_ms: Option<i64>,
    /// The delivery was never reported, only followed from a later status.
    pub delivered_implied: bool,
    /// Earliest reading, Unix milliseconds.
    pub read_at_ms: Option<i64>,
    /// Earliest playing, Unix milliseconds.
    pub played_at_ms: Option<i64>,
}
