//! What can be said against a call without asking anybody. The rules are Meta's: `whatsapp/groups` guide and reference.

use std::collections::BTreeSet;

use groupfold_schemas::command::spelling;

use super::call::{Call, Content, LIST_LIMIT_MAX, Message, Picture};

const SUBJECT_CHARS_MAX: usize = 128;
const DESCRIPTION_CHARS_MAX: usize = 2048;
const APPROVAL_MODES: [&str; 2] = ["auto_approve", "approval_required"];
/// Members of a group, and so the most that one call removes.
pub(crate) const PARTICIPANTS_MAX: usize = 8;
/// The provider states no bound; ours keeps a call, and the event that it becomes, small.
const JOIN_REQUESTS_MAX: usize = 64;
const PICTURE_BYTES_MAX: usize = 5 << 20;
const PICTURE_SIDE_MIN: usize = 192;
const PIN_DAYS: std::ops::RangeInclusive<u32> = 1..=30;
const TEXT_CHARS_MAX: usize = 4096;
const CAPTION_CHARS_MAX: usize = 1024;
const OPAQUE_CHARS_MAX: usize = 512;
const ID_BYTES_MAX: usize = 256;
const URL_BYTES_MAX: usize = 2048;
const TEMPLATE_BYTES_MAX: usize = 64 << 10;
const MEDIA: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

/// A field of a call and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldFault {
    /// Path of the field in the call: `subject`, `participants[2]`.
    pub(crate) field: String,
    /// The rule, in words.
    pub(crate) rule: String,
}

/// All that is wrong with a call by itself. Whether its group exists and may be changed is another's to say.
pub(crate) fn validate(call: &Call) -> Result<(), Vec<FieldFault>> {
    let mut faults = Faults(Vec::new());
    faults.group_of(call);
    match call {
        Call::CreateGroup { subject, description, join_approval_mode } => {
            faults.subject(Some(subject));
            faults.description(description.as_deref());
            let mode = join_approval_mode.as_deref();
            let known = mode.is_none_or(|mode| APPROVAL_MODES.contains(&mode));
            faults.must(known, "join_approval_mode", "auto_approve or approval_required");
        }
        Call::UpdateGroup { subject, description, picture, .. } => {
            let some = subject.is_some() || description.is_some() || picture.is_some();
            faults.must(some, "subject", "give at least one of subject, description and picture");
            faults.subject(subject.as_deref());
            faults.description(description.as_deref());
            if let Some(picture) = picture {
                faults.picture(picture);
            }
        }
        Call::ApproveJoinRequests { requests, .. } | Call::RejectJoinRequests { requests, .. } => {
            faults.list("join_requests", requests, JOIN_REQUESTS_MAX);
        }
        Call::RemoveParticipants { participants, .. } => {
            faults.list("participants", participants, PARTICIPANTS_MAX);
        }
        Call::Send { message, .. } => faults.message(message),
        Call::Pin { message_id, days, .. } => {
            faults.id("message_id", message_id);
            faults.must(PIN_DAYS.contains(days), "expiration_days", "1 to 30 days");
        }
        Call::Unpin { message_id, .. } => faults.id("message_id", message_id),
        Call::Invite { to, template, language, opaque, .. } => {
            faults.opaque(opaque.as_deref());
            faults.id("to", to);
            faults.id("template", template);
            faults.id("language", language);
        }
        Call::ListGroups { limit, .. } => {
            faults.must((1..=LIST_LIMIT_MAX).contains(limit), "limit", "1 to 1024");
        }
        Call::DeleteGroup { .. }
        | Call::GetInviteLink { .. }
        | Call::ResetInviteLink { .. }
        | Call::ListJoinRequests { .. }
        | Call::GroupInfo { .. } => {}
    }
    if faults.0.is_empty() { Ok(()) } else { Err(faults.0) }
}

struct Faults(Vec<FieldFault>);

impl Faults {
    fn must(&mut self, holds: bool, field: &str, rule: &str) {
        if !holds {
            self.0.push(FieldFault { field: field.to_owned(), rule: rule.to_owned() });
        }
    }

    fn id(&mut self, field: &str, id: &str) {
        let fine = !id.trim().is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control);
        self.must(fine, field, "not empty, at most 256 bytes");
    }

    fn group_of(&mut self, call: &Call) {
        match call {
            Call::CreateGroup { .. } | Call::ListGroups { .. } => {}
            Call::UpdateGroup { group, .. }
            | Call::DeleteGroup { group }
            | Call::GetInviteLink { group }
            | Call::ResetInviteLink { group }
            | Call::ListJoinRequests { group, .. }
            | Call::ApproveJoinRequests { group, .. }
            | Call::RejectJoinRequests { group, .. }
            | Call::RemoveParticipants { group, .. }
            | Call::Send { group, .. }
            | Call::Pin { group, .. }
            | Call::Unpin { group, .. }
            | Call::Invite { group, .. }
            | Call::GroupInfo { group } => self.id("group_id", group),
        }
    }

    fn subject(&mut self, subject: Option<&str>) {
        // The provider trims it; what is empty afterwards would be refused by it.
        let fine = subject.is_none_or(|text| (1..=SUBJECT_CHARS_MAX).contains(&text.trim().chars().count()));
        self.must(fine, "subject", "1 to 128 characters, not counting blanks around them");
    }

    fn description(&mut self, description: Option<&str>) {
        let fine = description.is_none_or(|text| text.chars().count() <= DESCRIPTION_CHARS_MAX);
        self.must(fine, "description", "at most 2048 characters");
    }

    fn list(&mut self, field: &str, items: &[String], max: usize) {
        self.must((1..=max).contains(&items.len()), field, &format!("1 to {max} items"));
        let mut seen = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            self.id(&format!("{field}[{i}]"), item);
            // `+1 786` and `1786` are one number to the provider.
            let fresh = seen.insert(spelling(item));
            self.must(fresh, &format!("{field}[{i}]"), "no duplicates");
        }
    }

    fn picture(&mut self, Picture(bytes): &Picture) {
        self.must(bytes.len() <= PICTURE_BYTES_MAX, "picture", "at most 5 MB");
        let is_jpeg = matches!(imagesize::image_type(bytes), Ok(imagesize::ImageType::Jpeg));
        match imagesize::blob_size(bytes) {
            Ok(size) if is_jpeg => {
                self.must(size.width == size.height, "picture", "square");
                let smallest = size.width.min(size.height);
                self.must(smallest >= PICTURE_SIDE_MIN, "picture", "at least 192 by 192 pixels");
            }
            _ => self.must(false, "picture", "a JPEG picture"),
        }
    }

    fn opaque(&mut self, text: Option<&str>) {
        let fine = text.is_none_or(|text| text.chars().count() <= OPAQUE_CHARS_MAX);
        self.must(fine, "opaque", "at most 512 characters");
    }

    fn message(&mut self, message: &Message) {
        let within =
            |text: &Option<String>, max: usize| text.as_ref().is_none_or(|text| text.chars().count() <= max);
        self.opaque(message.opaque.as_deref());
        if let Some(id) = &message.reply_to {
            self.id("reply_to", id);
        }
        match &message.content {
            Content::Text { body, .. } => {
                let fine = !body.trim().is_empty() && body.chars().count() <= TEXT_CHARS_MAX;
                self.must(fine, "text.body", "1 to 4096 characters");
            }
            Content::Media { kind, id, link, caption, .. } => {
                self.must(MEDIA.contains(&kind.as_str()), "type", NOT_IN_GROUPS);
                self.must(id.is_some() != link.is_some(), kind, "either id or link");
                if let Some(id) = id {
                    self.id(&format!("{kind}.id"), id);
                }
                let fetched = link.as_ref().is_none_or(|link| {
                    link.len() <= URL_BYTES_MAX
                        && reqwest::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
                });
                self.must(fetched, &format!("{kind}.link"), "an http or https URL of at most 2048 bytes");
                self.must(
                    within(caption, CAPTION_CHARS_MAX),
                    &format!("{kind}.caption"),
                    "at most 1024 characters",
                );
            }
            Content::Template { name, language, components } => {
                self.id("template.name", name);
                self.id("template.language", language);
                let shape = components.is_null() || components.is_array();
                self.must(shape, "template.components", "a list");
                let fine = components.to_string().len() <= TEMPLATE_BYTES_MAX;
                self.must(fine, "template.components", "at most 64 KiB");
            }
            Content::Other { kind } => {
                let lacks = format!("is needed for the type {kind}, and no other content");
                match kind.as_str() {
                    "text" | "template" => self.must(false, kind, &lacks),
                    file if MEDIA.contains(&file) => self.must(false, "media", &lacks),
                    _ => self.must(false, "type", NOT_IN_GROUPS),
                }
            }
        }
    }
}

const NOT_IN_GROUPS: &str =
    "text, image, video, audio, document, sticker or template: groups take no other kind";

#[cfg(test)]
mod tests;
