//! Groups are made, listed, read, changed and deleted, and their links replaced.

use serde_json::{Map, Value, json};

use super::{Case, Done, page};
use crate::simulate::graph::ask::jpeg_size;
use crate::simulate::graph::refusal::Refusal;
use crate::simulate::ids;
use crate::simulate::people::Person;
use crate::simulate::world::{Group, MemberStatus, Outcome, SETTINGS, Status, Wanted};

const SUBJECT_CHARS_MAX: usize = 128;
const DESCRIPTION_CHARS_MAX: usize = 2048;
const PICTURE_BYTES_MAX: usize = 5 << 20;
const PICTURE_PIXELS_MIN: u16 = 192;

impl Case<'_> {
    pub(super) fn create(&mut self) -> Result<Done, Refusal> {
        self.of_number()?;
        self.ask.is_of_whatsapp()?;
        let subject = self.subject()?.ok_or_else(|| Refusal::new(131_008, "subject is missing"))?;
        let join_approval_mode = match self.ask.text("join_approval_mode")? {
            None | Some("auto_approve") => "auto_approve",
            Some("approval_required") => "approval_required",
            Some(_) => {
                return Err(Refusal::new(
                    131_009,
                    "join_approval_mode must be auto_approve or approval_required",
                ));
            }
        };
        let wanted = Wanted { subject, description: self.description()?, join_approval_mode };
        if self.world.groups_there().count() >= self.rules.groups_max {
            return Err(Refusal::new(131_211, "The number has as many groups as it may have"));
        }
        let request_id = self.world.request_id();
        let mut opened = None;
        if self.fate.fails {
            self.world.fail_to_open_group(&wanted, &request_id, 131_000);
        } else {
            opened = Some(self.world.open_group(&wanted, &request_id, false));
        }
        let group_id = opened.and_then(|key| self.stored(key)).map(|group| group.id.clone());
        let body = json!({ "messaging_product": "whatsapp" });
        let done = Done::answer_to(body, request_id, true, self.fate);
        Ok(Done { opened, group_id: group_id.or(Some(String::new())), ..done })
    }

    fn subject(&self) -> Result<Option<String>, Refusal> {
        let Some(subject) = self.ask.text("subject")?.map(str::trim) else { return Ok(None) };
        if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(Refusal::new(131_009, "subject must have 1 to 128 characters"));
        }
        Ok(Some(subject.to_owned()))
    }

    fn description(&self) -> Result<Option<String>, Refusal> {
        let Some(text) = self.ask.text("description")? else { return Ok(None) };
        if text.chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(Refusal::new(131_009, "description must have at most 2048 characters"));
        }
        Ok(Some(text.to_owned()))
    }

    pub(super) fn list(&mut self) -> Result<Done, Refusal> {
        self.of_number()?;
        let one = |(key, group): (u64, &Group)| {
            let item = json!({
                "id": group.id, "subject": group.subject, "created_at": group.created_at.to_string(),
            });
            (ids::base64(format!("groups:{key}").as_bytes()), item)
        };
        let all = self.world.groups_there().map(one).collect();
        Ok(Done::answer(page(self.ask, all, |groups| json!({ "groups": groups }))?))
    }

    pub(super) fn info(&mut self) -> Result<Done, Refusal> {
        let key = self.group()?;
        let mut body = json!({ "id": self.ask.id, "messaging_product": "whatsapp" });
        let fields = self.ask.query.get("fields").map(String::as_str).unwrap_or_default();
        for field in fields.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            let Some(value) = self.field(key, field) else {
                return Err(Refusal::new(100, format!("Tried accessing nonexisting field ({field})")));
            };
            if !value.is_null() {
                body[field] = value;
            }
        }
        Ok(Done::answer(body))
    }

    /// A field of a group; null if it is not set, `None` if there is no such field.
    fn field(&self, key: u64, field: &str) -> Option<Value> {
        let group = self.stored(key)?;
        let people = |of: fn(&Person) -> Map<String, Value>| -> Vec<Value> {
            let members = self.world.members_of(key);
            let people = members.iter().filter_map(|person| self.world.people.get(person));
            people.map(|person| Value::Object(of(person))).collect()
        };
        Some(match field {
            "id" => json!(group.id),
            "messaging_product" => json!("whatsapp"),
            "subject" => json!(group.subject),
            "description" => json!(group.description),
            "join_approval_mode" => json!(group.join_approval_mode),
            "suspended" => json!(group.status == Status::Suspended),
            "creation_timestamp" => json!(group.created_at),
            "total_participant_count" => json!(group.count(MemberStatus::Member)),
            "participants" => json!(people(Person::fields)),
            _ => return None,
        })
    }

    pub(super) fn update(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        self.ask.is_of_whatsapp()?;
        if self.ask.body.contains_key("join_approval_mode") {
            return Err(Refusal::new(100, "join_approval_mode is fixed when a group is created"));
        }
        if self.ask.body.contains_key("profile_picture_file") {
            return Err(Refusal::new(100, "upload a picture by multipart/form-data as the part file"));
        }
        let texts = [self.subject()?, self.description()?, self.picture()?];
        let mut changes: Vec<_> = SETTINGS
            .into_iter()
            .zip(texts)
            .filter_map(|(setting, text)| text.map(|text| (setting, text, Outcome::Done)))
            .collect();
        if changes.is_empty() {
            return Err(Refusal::new(131_008, "subject, description or file is missing"));
        }
        // In part: all but the first, or the only one.
        let kept = if self.fate.fails || changes.len() == 1 { 0 } else { 1 };
        if self.fate.fails || self.fate.partial {
            changes.iter_mut().skip(kept).for_each(|(.., outcome)| *outcome = Outcome::Failed);
        }
        let request_id = self.world.request_id();
        self.world.change_to(key, &request_id, changes);
        Ok(Done::answer_to(json!({ "success": true }), request_id, false, self.fate))
    }

    /// The hash of the uploaded picture.
    fn picture(&self) -> Result<Option<String>, Refusal> {
        let Some(file) = &self.ask.file else { return Ok(None) };
        let size = jpeg_size(&file.bytes).filter(|_| file.mime_type == "image/jpeg");
        let Some((width, height)) = size else {
            return Err(Refusal::new(131_053, "The picture must be of the type image/jpeg"));
        };
        if file.bytes.len() > PICTURE_BYTES_MAX {
            return Err(Refusal::new(131_053, "The picture must have at most 5 MB"));
        }
        if width != height {
            return Err(Refusal::new(131_209, "The picture must be square"));
        }
        if width < PICTURE_PIXELS_MIN {
            return Err(Refusal::new(131_210, "The picture must have at least 192 pixels"));
        }
        Ok(Some(ids::picture_of(&file.bytes)))
    }

    pub(super) fn delete(&mut self) -> Result<Done, Refusal> {
        let key = self.group()?;
        let request_id = self.world.request_id();
        match self.fate.fails {
            true => self.world.fail_to_close_group(key, &request_id),
            false => self.world.close_group(key, &request_id),
        }
        Ok(Done::answer_to(json!({ "success": true }), request_id, false, self.fate))
    }

    pub(super) fn link(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        let link = self.stored(key).and_then(|group| group.invite_link.clone());
        let link = link.ok_or_else(|| Refusal::new(100, "The group has no invite link: reset it"))?;
        Ok(Done::answer(json!({ "messaging_product": "whatsapp", "invite_link": link })))
    }

    pub(super) fn reset_link(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        self.ask.is_of_whatsapp()?;
        let link = self.world.new_link(key);
        Ok(Done::answer(json!({ "messaging_product": "whatsapp", "invite_link": link })))
    }

    pub(super) fn delete_link(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        self.ask.is_of_whatsapp()?;
        if let Some(group) = self.world.groups.get_mut(&key) {
            group.invite_link = None;
        }
        // A text, not a flag.
        Ok(Done::answer(json!({ "messaging_product": "whatsapp", "success": "true" })))
    }
}
