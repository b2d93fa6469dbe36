//! What a platform wants, as a call of the provider.

use bytes::Bytes;
use groupfold_projector::desk::{Message, Wish};
use groupfold_schemas::command;

use crate::provider::{self, Call, Content, Picture};

/// The call that a wish is. `command_id` comes back with the statuses of a message.
pub(super) fn of(wish: &Wish, group: &str, upload: Option<&Bytes>, command_id: &str) -> Call {
    let group = group.to_owned();
    match wish.clone() {
        Wish::CreateGroup { subject, description, join_approval_mode, .. } => {
            Call::CreateGroup { subject, description, join_approval_mode }
        }
        Wish::UpdateGroup { subject, description, .. } => {
            Call::UpdateGroup { group, subject, description, picture: upload.cloned().map(Picture) }
        }
        Wish::DeleteGroup => Call::DeleteGroup { group },
        Wish::ResetInviteLink => Call::ResetInviteLink { group },
        Wish::ApproveJoinRequests { join_requests } => {
            Call::ApproveJoinRequests { group, requests: join_requests }
        }
        Wish::RejectJoinRequests { join_requests } => {
            Call::RejectJoinRequests { group, requests: join_requests }
        }
        Wish::RemoveMembers { members } => Call::RemoveParticipants { group, participants: members },
        Wish::SendMessage { message } => Call::Send { group, message: sent(message, command_id) },
        Wish::PinMessage { message_id, expiration_days } => {
            Call::Pin { group, message_id, days: expiration_days }
        }
        Wish::UnpinMessage { message_id } => Call::Unpin { group, message_id },
        Wish::SendInvite { to, template, language } => {
            // Its statuses are those of a message to one person, and name no group.
            let opaque = Some(command::callback(command_id, &group));
            Call::Invite { group, to, template, language, opaque }
        }
    }
}

fn sent(message: Message, command_id: &str) -> provider::Message {
    let Message { kind, text, media, template, reply_to } = message;
    let content = match (text, media, template) {
        (Some(text), None, None) if kind == "text" => {
            Content::Text { body: text.body, preview_url: text.preview_url }
        }
        (None, Some(media), None) => Content::Media {
            kind,
            id: media.id,
            link: media.link,
            caption: media.caption,
            filename: media.filename,
        },
        (None, None, Some(template)) if kind == "template" => Content::Template {
            name: template.name,
            language: template.language,
            components: template.components,
        },
        // The check says what is wrong with it.
        _ => Content::Other { kind },
    };
    provider::Message { content, opaque: Some(command_id.to_owned()), reply_to }
}

/// The field of the API that a field of a call comes from.
pub(super) fn field(of_call: &str) -> String {
    of_call.replacen("participants", "members", 1)
}
