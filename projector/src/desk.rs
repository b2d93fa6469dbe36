//! The port for writes: what the API takes and somebody else puts into the log, or asks a provider for. The
//! projector only reads the log; who runs it decides what can be written, and hands a desk over.

use std::pin::Pin;

use bytes::Bytes;
use groupfold_fold::view;
use groupfold_schemas::command::text_digest;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::{self, CommandType};
use serde::{Deserialize, Serialize};

use crate::asked::Unanswered;

/// A call of a desk that is under way.
pub type Handed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Puts events of ours into the log, and takes what is to be asked of a provider.
pub trait Desk: std::fmt::Debug + Send + Sync {
    /// Appends records in their order, each under its event id. Done means durable, as far as the broker
    /// promises it; appending the same record again changes nothing.
    ///
    /// # Errors
    /// The log did not take one, or did not say so in time: it may be there all the same. Those before it are.
    fn append(&self, records: Vec<v1::Record>) -> Handed<'_, Result<Position, Unwritten>>;

    /// Takes a command: it is in the log when this returns, and will be sent once.
    ///
    /// # Errors
    /// It breaks a rule, or it is not known to be in the log.
    fn ask(&self, ask: Ask) -> Handed<'_, Result<Taken, Refusal>>;

    /// Reads from the provider what no webhook tells.
    ///
    /// # Errors
    /// The provider refuses, or does not answer.
    fn look(&self, group: view::Group, look: Look) -> Handed<'_, Result<Looked, Refusal>>;
}

/// Why a record is not known to be in the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the log did not take it: {reason}")]
pub struct Unwritten {
    /// Stable name of the reason, as a receiver's 503 carries it.
    pub reason: &'static str,
}

/// A command as the API took it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is wanted.
    pub wish: Wish,
    /// The group that it is about, as it was folded; none for a creation.
    pub group: Option<view::Group>,
    /// A picture to upload.
    pub upload: Option<Bytes>,
    /// Who asks, as the platform names them.
    pub actor: Option<String>,
    /// The same key means the same command.
    pub idempotency_key: Option<String>,
}

/// What a platform wants. It is kept in the log as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the API, whose document describes them")]
pub enum Wish {
    CreateGroup {
        phone_number_id: String,
        subject: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        join_approval_mode: Option<String>,
    },
    UpdateGroup {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// SHA-256 of the picture to upload, in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        picture_sha256: Option<String>,
    },
    DeleteGroup,
    ResetInviteLink,
    ApproveJoinRequests {
        join_requests: Vec<String>,
    },
    RejectJoinRequests {
        join_requests: Vec<String>,
    },
    RemoveMembers {
        members: Vec<String>,
    },
    SendMessage {
        message: Message,
    },
    PinMessage {
        message_id: String,
        expiration_days: u32,
    },
    UnpinMessage {
        message_id: String,
    },
    SendInvite {
        to: String,
        template: String,
        language: String,
    },
}

impl Wish {
    /// What kind of command it is.
    #[must_use]
    pub fn command_type(&self) -> CommandType {
        match self {
            Self::CreateGroup { .. } => CommandType::GroupCreate,
            Self::UpdateGroup { .. } => CommandType::GroupUpdate,
            Self::DeleteGroup => CommandType::GroupDelete,
            Self::ResetInviteLink => CommandType::LinkReset,
            Self::ApproveJoinRequests { .. } => CommandType::RequestsApprove,
            Self::RejectJoinRequests { .. } => CommandType::RequestsReject,
            Self::RemoveMembers { .. } => CommandType::MembersRemove,
            Self::SendMessage { .. } => CommandType::MessageSend,
            Self::PinMessage { .. } => CommandType::MessagePin,
            Self::UnpinMessage { .. } => CommandType::MessageUnpin,
            Self::SendInvite { .. } => CommandType::InviteSend,
        }
    }

    /// The persons, join requests or settings that it is about, each of which gets an outcome.
    #[must_use]
    pub fn items(&self) -> Vec<String> {
        match self {
            Self::UpdateGroup { subject, description, picture_sha256 } => {
                let settings = [
                    ("subject", subject.is_some()),
                    ("description", description.is_some()),
                    ("picture", picture_sha256.is_some()),
                ];
                settings.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()).collect()
            }
            Self::ApproveJoinRequests { join_requests } | Self::RejectJoinRequests { join_requests } => {
                join_requests.clone()
            }
            Self::RemoveMembers { members } => members.clone(),
            _ => Vec::new(),
        }
    }

    /// What tells the texts among the items from others, in their order; empty for what is no text.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let Self::UpdateGroup { subject, description, picture_sha256 } = self else { return Vec::new() };
        let text = |text: &Option<String>| text.as_deref().map(text_digest);
        let picture = picture_sha256.as_ref().map(|_| String::new());
        [text(subject), text(description), picture].into_iter().flatten().collect()
    }
}

/// A message to a group, in the provider's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `text`, `image`, `video`, `audio`, `document`, `sticker` or `template`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text, of type `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The file, of the other types but `template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// The template, of type `template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// At most 4,096 characters.
    pub body: String,
    /// Whether the first link is shown with a preview.
    #[serde(default)]
    pub preview_url: bool,
}

/// A file: by the provider's id of an upload, or by an address that the provider fetches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// The provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Shown beneath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Name of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// A template that the provider has approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its language, like `pt_BR`.
    pub language: String,
    /// Its parameters, in the provider's shape.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    #[schema(value_type = Object)]
    pub components: serde_json::Value,
}

/// A command that is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub command_id: String,
    /// Where it stands; empty if an earlier request with the same key put it there.
    pub position: Position,
}

/// What can be read from a provider about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The invite link.
    InviteLink,
    /// Who asks to be let in.
    JoinRequests,
}

/// What was read.
#[derive(Clone, PartialEq)]
pub enum Looked {
    /// Whoever has it can join.
    InviteLink(String),
    /// All of them.
    JoinRequests(Vec<JoinRequest>),
}

/// A link is not printed by accident.
impl std::fmt::Debug for Looked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InviteLink(_) => f.write_str("InviteLink(****)"),
            Self::JoinRequests(requests) => write!(f, "JoinRequests({} of them)", requests.len()),
        }
    }
}

/// Somebody who asks to be let in, as the provider tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRequest {
    /// The provider's id.
    pub join_request_id: String,
    /// Who asks.
    pub participant: v1::Participant,
    /// Since when, Unix milliseconds.
    pub created_at_ms: Option<i64>,
}

/// Why something is not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Fields of the request break rules: each with the rule.
    #[error("{}", .0.iter().map(|(field, rule)| format!("{field}: {rule}")).collect::<Vec<_>>().join("; "))]
    Fields(Vec<(String, String)>),
    /// The state of the group does not allow it; told in the log.
    #[error("{detail}")]
    Rule {
        /// Stable name of the rule.
        code: &'static str,
        /// What would be right.
        detail: String,
        /// The command that was refused; `None` of what was only to be read.
        command_id: Option<String>,
    },
    /// The idempotency key was used for another request.
    #[error("the Idempotency-Key was used for another request: choose a new one")]
    KeyReused,
    /// This process cannot reach the provider on behalf of the number.
    #[error("{0}")]
    NoProvider(String),
    /// Something that it depends on cannot be read now.
    #[error("{what} cannot be read now: {why}")]
    NotKnown {
        /// What that is, in words.
        what: &'static str,
        /// Why.
        #[source]
        why: Unanswered,
    },
    /// As many commands as allowed are under way.
    #[error("as many commands as allowed are under way")]
    Busy,
    /// The log did not take it.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The provider said no, or nothing.
    #[error("the provider: {code} ({advice})")]
    Provider {
        /// Stable name of the error.
        code: String,
        /// What to do.
        advice: &'static str,
    },
}
