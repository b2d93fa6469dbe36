//! Stable pseudonyms for phone numbers, names, links and texts: equal values have equal ones under one key, so
//! that counting and joining still work, and nobody without the key can tell whose they are.
//!
//! Ids of groups and messages go too, because providers write phone numbers into them.

use std::borrow::Cow;

use groupfold_schemas::id::hex;
use ring::hmac;

use super::json::Json;
use super::row::{Cell, Row};
use super::shape::COLUMNS;
use crate::exit::Failure;
use crate::redact::{INVITE, link};

/// Fewest bytes of a key: there are few phone numbers, and a short key is soon guessed from them.
const KEY_BYTES_MIN: usize = 16;
/// Fewest digits that are taken for a phone number within a text.
const PHONE_DIGITS_MIN: usize = 7;

/// JSON fields whose text is replaced as a whole.
const HIDDEN: &[&str] = &[
    "wa_id",
    "user_id",
    "parent_user_id",
    "username",
    "lid",
    "input",
    "display_name",
    "invite_link",
    "subject",
    "description",
    "text",
    "body",
    "reason",
    "asked_by",
    "idempotency_key",
    "href",
    "opaque_callback_data",
    "identity_key_hash",
    "conversation_id",
    "context_message_id",
    "group_id",
    "message_id",
    "join_request_id",
    "label",
    "teams",
    "users",
];

/// JSON fields that name what a command is about: persons and requests to join, which are replaced, or settings.
const ABOUT: &[&str] = &["about", "name"];
const SETTINGS: &[&str] = &["subject", "description", "picture"];

/// JSON fields that stay as they are, though they may hold as many digits as a number: ids and codes of nobody.
const KEPT: &[&str] = &["command_id", "request_id", "code", "sender", "sha256"];

/// Columns that are replaced as a whole.
const HIDDEN_COLUMNS: &[&str] =
    &["display_phone_number", "group_id", "message_id", "member_wa_ids", "member_user_ids", "actor_user_id"];

/// Replaces what tells who somebody is.
pub(crate) struct Redactor(hmac::Key);

impl Redactor {
    pub(crate) fn new(key: &str) -> Result<Self, Failure> {
        if key.len() < KEY_BYTES_MIN {
            return Err(Failure::Usage(format!("--redact-key needs {KEY_BYTES_MIN} bytes or more")));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
    }

    /// Tells two keys apart without telling the key.
    pub(crate) fn fingerprint(&self) -> String {
        self.tag("fingerprint of the key")
    }

    /// The pseudonym of a value.
    pub(crate) fn pseudonym(&self, value: &str) -> String {
        // One person's number is spelled in several ways.
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        let number = digits.len() >= PHONE_DIGITS_MIN
            && value.chars().all(|c| c.is_ascii_digit() || "+ -()".contains(c));
        format!("p_{}", self.tag(if number { &digits } else { value }))
    }

    fn tag(&self, value: &str) -> String {
        hex(&hmac::sign(&self.0, value.as_bytes()).as_ref()[..8])
    }

    /// Replaces in all cells of a row.
    pub(crate) fn row(&self, row: &mut Row<'_>) {
        for (column, cell) in COLUMNS.iter().zip(row) {
            match cell {
                Cell::Text(Some(text)) if HIDDEN_COLUMNS.contains(&column.name) => self.hide(text),
                Cell::Texts(texts) if HIDDEN_COLUMNS.contains(&column.name) => {
                    texts.iter_mut().for_each(|text| self.hide(text));
                }
                Cell::Json(value) => self.json(value),
                _ => {}
            }
        }
    }

    fn hide(&self, text: &mut Cow<'_, str>) {
        *text = self.pseudonym(text).into();
    }

    fn json(&self, value: &mut Json<'_>) {
        match value {
            Json::Object(fields) => {
                for (name, value) in fields {
                    let hide = |value: &mut Json<'_>| match value {
                        Json::Text(text) if ABOUT.contains(name) && SETTINGS.contains(&text.as_ref()) => {}
                        Json::Text(text) => self.hide(text),
                        value => self.json(value),
                    };
                    let hidden = HIDDEN.contains(name) || ABOUT.contains(name);
                    match value {
                        Json::List(values) if hidden => values.iter_mut().for_each(hide),
                        value if hidden => hide(value),
                        Json::Text(_) if KEPT.contains(name) => {}
                        value => self.json(value),
                    }
                }
            }
            Json::List(values) => values.iter_mut().for_each(|value| self.json(value)),
            // Times are of digits too.
            Json::Text(text) if is_time(text) => {}
            Json::Text(text) => *text = self.text(text).into(),
            Json::Null | Json::Flag(_) | Json::Number(_) => {}
        }
    }

    /// Replaces invite links and phone numbers within a text.
    fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, link, behind)) = split_at_link(rest) {
            out.push_str(&self.numbers(before));
            out.push_str(&self.pseudonym(link));
            rest = behind;
        }
        out.push_str(&self.numbers(rest));
        out
    }

    /// Replaces phone numbers within a text.
    fn numbers(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut run = String::new();
        let close = |run: &mut String, out: &mut String| {
            let digits = run.chars().filter(char::is_ascii_digit).count();
            let kept = run.trim_end_matches([' ', '-', '(', ')']).len();
            let (number, tail) = run.split_at(kept);
            if digits >= PHONE_DIGITS_MIN {
                out.push_str(&self.pseudonym(number))
            } else {
                out.push_str(number)
            }
            out.push_str(tail);
            run.clear();
        };
        for c in text.chars() {
            if c.is_ascii_digit() || (c == '+' && run.is_empty()) || (!run.is_empty() && " -()".contains(c)) {
                run.push(c);
            } else {
                close(&mut run, &mut out);
                out.push(c);
            }
        }
        close(&mut run, &mut out);
        out
    }
}

/// What is before an invite link, the link as fields hold it, and what is behind it.
fn split_at_link(text: &str) -> Option<(&str, &str, &str)> {
    let host = text.find(INVITE)?;
    let (until, behind) = text.split_at(host + link(&text[host..])?);
    let before = &text[..host];
    let scheme =
        ["https://", "http://"].into_iter().find(|scheme| before.ends_with(scheme)).unwrap_or_default();
    let (before, link) = until.split_at(host - scheme.len());
    Some((before, link, behind))
}

/// True for a time as `rfc3339` writes it, wherever it stands.
fn is_time(text: &str) -> bool {
    text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::json::object;

    #[test]
    fn one_number_has_one_pseudonym_however_it_is_spelled() {
        let redactor = Redactor::new("0123456789abcdef").unwrap();
        let number = redactor.pseudonym("5511900001234");
        assert_eq!(redactor.pseudonym("+55 (11) 90000-1234"), number);
        assert_ne!(redactor.pseudonym("5511900001235"), number);
        assert_ne!(Redactor::new("0123456789abcdeg").unwrap().pseudonym("5511900001234"), number);
        assert!(Redactor::new("short").is_err());
        assert_eq!(redactor.numbers("to +55 11 90000-1234, 3 times"), format!("to {number}, 3 times"));
    }

    /// A provider's error text may tell the link that it is about.
    #[test]
    fn a_link_within_a_text_has_the_pseudonym_of_its_field() {
        let redactor = Redactor::new("0123456789abcdef").unwrap();
        let link = "https://chat.whatsapp.com/AbC-12_345678901";
        let one = redactor.pseudonym(link);
        let text = format!("it has {link}, and (chat.whatsapp.com/XyZ) of +55 11 90000-1234");
        let (bare, number) =
            (redactor.pseudonym("chat.whatsapp.com/XyZ"), redactor.pseudonym("5511900001234"));
        assert_eq!(redactor.text(&text), format!("it has {one}, and ({bare}) of {number}"));
        assert_eq!(redactor.text("none"), "none");
    }

    #[test]
    fn ids_that_hold_numbers_go_wherever_they_stand_and_ids_of_nobody_stay() {
        let redactor = Redactor::new("0123456789abcdef").unwrap();
        // Meta's: base64 of a person's number and the group, of the group, of the message.
        let (request, group, message) =
            ("NTUxMTkwMDAwMDAwMDpUVTFORGcyTkRFeE5ERVpEZD", "Y2FwaV9ncm91cDox", "wamid.HBgd");
        let person = "BR.agent".to_owned();
        let about =
            vec![request.to_owned(), person.clone(), "5511900000000".to_owned(), "subject".to_owned()];
        let items: Json<'_> = about.iter().map(|name| object!({ "name": name })).collect();
        let kept = object!({
            "command_id": "cmd_01a2249f562e12345678df29ad4defa8a423f29e2", "code": "2494055",
            "request_id": "784D93D0C468593037EA0B1ECA245D9C", "sender": "process 4194304",
        });
        let mut value = object!({
            "about": &about, "group_id": group, "items": items, "join_request_id": request, "kept": kept.clone(),
            "message_id": message,
        });
        redactor.json(&mut value);
        let names = [request, &person, "5511900000000"].map(|name| redactor.pseudonym(name));
        let about: Vec<String> = names.into_iter().chain(["subject".to_owned()]).collect();
        let items: Json<'_> = about.iter().map(|name| object!({ "name": name })).collect();
        let redacted = object!({
            "about": &about, "group_id": redactor.pseudonym(group), "items": items,
            "join_request_id": redactor.pseudonym(request), "kept": kept, "message_id": redactor.pseudonym(message),
        });
        assert_eq!(value, redacted);
    }

    #[test]
    fn nested_names_go_and_the_rest_stays() {
        let redactor = Redactor::new("0123456789abcdef").unwrap();
        let users = vec!["agent@example.org".to_owned()];
        let previous = vec![object!({ "wa_id": "5511900001234" })];
        let mut value = object!({
            "users": &users, "previous": previous.into_iter().collect::<Json<'_>>(),
            "code": "131026", "at": 5, "created_at": "2026-01-31T12:00:00.000Z",
        });
        redactor.json(&mut value);
        let text = value.to_string();
        assert!(
            !text.contains("agent@")
                && !text.contains("5511900001234")
                && text.contains("131026")
                && text.contains("2026-01-31T12"),
            "{text}"
        );
    }
}
