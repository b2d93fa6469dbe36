//! Who received, read and saw a message.

use serde::Serialize;
use utoipa::ToSchema;

use super::ProviderError;

/// The furthest that a message got with a person.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReceiptStatus {
    Sent,
    Delivered,
    Read,
    Played,
}

/// What one person did with a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberReceipt {
    pub(crate) member_id: String,
    pub(crate) wa_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) delivered_at: Option<String>,
    /// The delivery was not reported, it follows from a later status.
    pub(crate) delivered_implied: bool,
    #[schema(format = DateTime)]
    pub(crate) read_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) played_at: Option<String>,
    pub(crate) status: ReceiptStatus,
}

/// Persons by what they did with a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceiptCounts {
    pub(crate) delivered: u64,
    pub(crate) read: u64,
    pub(crate) played: u64,
    /// Users of the platform who saw it.
    pub(crate) viewed: u64,
}

/// A user of the platform who saw a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// The platform's own id.
    pub(crate) user_id: String,
    /// The first time.
    #[schema(format = DateTime)]
    pub(crate) viewed_at: Option<String>,
}

/// Why a message failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SendFailure {
    pub(crate) errors: Vec<ProviderError>,
    #[schema(format = DateTime)]
    pub(crate) at: Option<String>,
}

/// Who received and read a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipts {
    pub(crate) message_id: String,
    pub(crate) group_id: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) sent_at: Option<String>,
    pub(crate) failed: Option<SendFailure>,
    /// What the members of the group did with it.
    pub(crate) members: Vec<MemberReceipt>,
    /// Users of the platform who saw it, by id.
    pub(crate) users: Vec<UserView>,
    pub(crate) counts: ReceiptCounts,
    pub(crate) position: String,
}
