//! Messages to a group, pins, and invitations by template.

use serde_json::{Value, json};

use super::{Case, Done};
use crate::simulate::graph::refusal::Refusal;

const TEXT_CHARS_MAX: usize = 4096;
const PINS_MAX: usize = 3;
const DAY_S: i64 = 86_400;
const MEDIA: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

impl Case<'_> {
    pub(super) fn send(&mut self) -> Result<Done, Refusal> {
        self.of_number()?;
        self.ask.is_of_whatsapp()?;
        let to = self.ask.text("to")?.ok_or_else(|| Refusal::new(131_008, "to is missing"))?.to_owned();
        let callback_data = self.ask.text("biz_opaque_callback_data")?.map(str::to_owned);
        match self.ask.text("recipient_type")? {
            Some("group") => self.send_to_group(&to, callback_data),
            None | Some("individual") => self.send_to_one(&to, callback_data.as_deref()),
            Some(_) => Err(Refusal::new(131_009, "recipient_type must be group or individual")),
        }
    }

    fn send_to_group(&mut self, to: &str, callback_data: Option<String>) -> Result<Done, Refusal> {
        let key = self.active(self.group_of(to)?)?;
        let kind = self.ask.text("type")?.unwrap_or("text").to_owned();
        self.content(&kind)?;
        if self.world.members_of(key).is_empty() {
            return Err(Refusal::new(131_020, "Nobody but you is in the group"));
        }
        let id = match kind.as_str() {
            "pin" => {
                self.pin(key)?;
                self.world.send_notice(key, self.fate.fails)
            }
            _ => self.world.send_to(key, self.fate.fails, self.rules.read_within_s, callback_data),
        };
        Ok(sent(to, to, &id, json!({ "id": id, "group_id": to, "message_status": "accepted" }), to))
    }

    /// Is it of a kind that groups take, and complete?
    fn content(&self, kind: &str) -> Result<(), Refusal> {
        let content = self.ask.body.get(kind);
        let text = |content: &Value, name: &str| content[name].as_str().is_some_and(|text| !text.is_empty());
        let complete = match (kind, content) {
            ("text" | "template" | "pin", None) => false,
            (kind, None) if MEDIA.contains(&kind) => false,
            ("text", Some(content)) => {
                let body = content["body"].as_str().unwrap_or_default();
                if body.chars().count() > TEXT_CHARS_MAX {
                    return Err(Refusal::new(131_009, "text.body must have at most 4096 characters"));
                }
                !body.is_empty()
            }
            ("template", Some(content)) => text(content, "name") && text(&content["language"], "code"),
            ("pin", Some(content)) => text(content, "type") && text(content, "message_id"),
            (kind, Some(content)) if MEDIA.contains(&kind) => text(content, "id") || text(content, "link"),
            _ => return Err(Refusal::new(131_051, format!("{kind} is not supported in groups"))),
        };
        if complete { Ok(()) } else { Err(Refusal::new(131_008, format!("{kind} is missing or incomplete"))) }
    }

    /// A fourth pin takes the oldest off.
    fn pin(&mut self, key: u64) -> Result<(), Refusal> {
        let pin = self.ask.body.get("pin").cloned().unwrap_or_default();
        let message = pin["message_id"].as_str().unwrap_or_default().to_owned();
        if !message.starts_with("wamid.") {
            return Err(Refusal::new(131_009, "pin.message_id must be the id of a message"));
        }
        let days = &pin["expiration_days"];
        let days = days.as_i64().or_else(|| days.as_str()?.parse().ok());
        let now = self.world.now();
        let Some(group) = self.world.groups.get_mut(&key) else { return Ok(()) };
        group.pins.retain(|(pinned, until)| *pinned != message && *until > now);
        match (pin["type"].as_str(), days) {
            (Some("unpin"), _) => Ok(()),
            (Some("pin"), Some(days)) if (1..=30).contains(&days) => {
                group.pins.push((message, now + days * DAY_S));
                let surplus = group.pins.len().saturating_sub(PINS_MAX);
                group.pins.drain(..surplus);
                Ok(())
            }
            (Some("pin"), _) => Err(Refusal::new(131_009, "pin.expiration_days must be from 1 to 30")),
            _ => Err(Refusal::new(131_009, "pin.type must be pin or unpin")),
        }
    }

    fn send_to_one(&mut self, to: &str, callback_data: Option<&str>) -> Result<Done, Refusal> {
        if self.world.find_group(to).is_some() {
            return Err(Refusal::new(100, "recipient_type must be group, as to is a group"));
        }
        let kind = self.ask.text("type")?.unwrap_or("text");
        if kind == "pin" {
            return Err(Refusal::new(100, "Messages can be pinned in groups alone"));
        }
        self.content(kind)?;
        let group =
            self.invited_to().map(|id| self.group_of(&id).and_then(|key| self.active(key))).transpose()?;
        let digits: String = to.chars().filter(char::is_ascii_digit).collect();
        let person = match self.world.find_person(to) {
            Some(person) => person,
            None if (7..=15).contains(&digits.len()) => self.world.somebody_new(Some(&digits), None),
            None => return Err(Refusal::new(131_026, "Nobody has this number or user id")),
        };
        let wa_id = self.world.people.get(&person).map(|p| p.number.wa_id.clone()).unwrap_or_default();
        let id = self.world.send_to_one(&wa_id, callback_data, self.fate.fails);
        let group_id = group.and_then(|key| self.stored(key)).map(|group| group.id.clone());
        let message = json!({ "id": id, "message_status": "accepted" });
        let done = sent(to, &wa_id, &id, message, &group_id.unwrap_or_default());
        let invited = group.filter(|_| !self.fate.fails).map(|key| (key, person));
        Ok(Done { invited, ..done })
    }

    /// The group that a template's parameter names.
    fn invited_to(&self) -> Option<String> {
        let components = self.ask.body.get("template")?.get("components")?.as_array()?;
        let parameters =
            components.iter().filter_map(|component| component["parameters"].as_array()).flatten();
        let mut groups = parameters.filter(|parameter| parameter["type"] == "group_id");
        groups.next()?["group_id"].as_str().map(str::to_owned)
    }
}

fn sent(input: &str, wa_id: &str, id: &str, message: Value, group_id: &str) -> Done {
    let body = json!({
        "messaging_product": "whatsapp", "contacts": [{ "input": input, "wa_id": wa_id }],
        "messages": [message],
    });
    Done { message_id: Some(id.to_owned()), group_id: Some(group_id.to_owned()), ..Done::answer(body) }
}
