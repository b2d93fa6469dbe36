//! The bodies of what is asked for.

use serde::Deserialize;
use utoipa::ToSchema;

use super::Body;
use crate::desk::{Message, Wish};
use crate::problem::Problem;

/// A group to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateGroup {
    /// The business number that makes it.
    pub(crate) phone_number_id: String,
    /// 1 to 128 characters.
    pub(crate) subject: String,
    /// At most 2,048 characters.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// `auto_approve` or `approval_required`, for the group's whole life.
    #[serde(default)]
    pub(crate) join_approval_mode: Option<String>,
}

/// Settings to change: those that are given. With a picture, the same fields as `multipart/form-data`, the file as
/// part `picture`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateGroup {
    /// 1 to 128 characters.
    #[serde(default)]
    pub(crate) subject: Option<String>,
    /// At most 2,048 characters.
    #[serde(default)]
    pub(crate) description: Option<String>,
}

/// The same as a form, with a picture.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by the document alone, never made")]
pub(crate) struct UpdateGroupForm {
    /// 1 to 128 characters.
    subject: Option<String>,
    /// At most 2,048 characters.
    description: Option<String>,
    /// JPEG, square, at least 192 pixels a side, at most 5 MB.
    #[schema(value_type = Option<String>, format = Binary)]
    picture: Option<Vec<u8>>,
}

/// Requests to join.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinRequestIds {
    /// Ids as the provider or the members' `join_request_id` name them; at most 64.
    pub(crate) join_requests: Vec<String>,
}

/// Members to put out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveMembers {
    /// Phone numbers, wa_ids or user ids; 1 to 8, each once.
    pub(crate) members: Vec<String>,
}

/// An invitation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendInvite {
    /// Phone number of the one to invite.
    pub(crate) invite: String,
    /// Name of the template.
    pub(crate) template: String,
    /// Its language, like `en`.
    pub(crate) language: String,
}

/// What can be sent, for the document.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) enum Send {
    /// To the group.
    Message(Message),
    /// To one person: a template whose parameter becomes the group's current link.
    Invite(SendInvite),
}

/// How long to pin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinMessage {
    /// 1 to 30.
    pub(crate) expiration_days: u32,
}

/// A message to the group; or, with `invite`, a template to one person whose parameter becomes the group's link.
pub(crate) fn message(body: &Body) -> Result<Wish, Problem> {
    let value: serde_json::Value = body.json()?;
    let bad = |error: serde_json::Error| Problem::bad_body(&error.to_string());
    if value.get("invite").is_some() {
        let SendInvite { invite, template, language } = serde_json::from_value(value).map_err(bad)?;
        return Ok(Wish::SendInvite { to: invite, template, language });
    }
    let message: Message = serde_json::from_value(value).map_err(bad)?;
    Ok(Wish::SendMessage { message })
}
