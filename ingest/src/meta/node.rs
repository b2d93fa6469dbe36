//! A JSON object that knows where it stands: each member is read on its own, and a fault names it.
//!
//! Members stay raw text until asked for, so that digits keep every digit, and members that nobody
//! asks for can hold anything.

use std::collections::BTreeMap;

use groupfold_schemas::failure::Cause;
use groupfold_schemas::id;
use serde_json::value::RawValue;

use super::fault::{Fault, Result};

/// Longest text of an event: a description of 2,048 characters (Meta's bound) of four bytes each. Message bodies are
/// not read.
const TEXT_BYTES_MAX: usize = 8192;

/// WhatsApp lets 1,024 people into a group, Meta's Groups API eight. One event becomes one commit, which this bounds.
const OBJECTS_MAX: usize = 1024;

const ID: &str = "an id of 1 to 512 bytes without control characters";

pub(super) struct Node<'a> {
    pointer: String,
    raw: &'a RawValue,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> Node<'a> {
    pub(super) fn read(raw: &'a RawValue, pointer: impl Into<String>) -> Result<Self> {
        let pointer = pointer.into();
        match serde_json::from_str(raw.get()) {
            Ok(members) => Ok(Self { pointer, raw, members }),
            Err(_) => Err(Fault::new(Cause::MalformedField, pointer, "an object")),
        }
    }

    pub(super) fn pointer(&self) -> &str {
        &self.pointer
    }

    pub(super) fn raw(&self) -> &'a RawValue {
        self.raw
    }

    /// The pointer of a member. Names are ours and need no escape.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    /// A member that is there and is not `null`.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Members with names and types, for a fingerprint.
    pub(super) fn shape(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.members.iter().map(|(name, raw)| (name.as_str(), type_name(raw)))
    }

    pub(super) fn missing(&self, name: &str, expected: &'static str) -> Fault {
        Fault::new(Cause::MissingField, self.at(name), expected)
    }

    pub(super) fn malformed(&self, name: &str, expected: &'static str) -> Fault {
        Fault::new(Cause::MalformedField, self.at(name), expected)
    }

    /// A text, or a number as it is printed. Empty is missing.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        let text = match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw.get()).ok(),
            Some(b'-' | b'0'..=b'9') => Some(raw.get().to_owned()),
            _ => None,
        };
        match text {
            Some(text) if text.len() > TEXT_BYTES_MAX => {
                Err(self.malformed(name, "a text of at most 8192 bytes"))
            }
            Some(text) => Ok((!text.is_empty()).then_some(text)),
            None => Err(self.malformed(name, "a text or a number")),
        }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    /// A text that can be an id: bounded and printable.
    pub(super) fn id(&self, name: &str) -> Result<Option<String>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match id::MessageId::parse(&text) {
            Ok(_) => Ok(Some(text)),
            Err(_) => Err(self.malformed(name, ID)),
        }
    }

    pub(super) fn required_id(&self, name: &str) -> Result<String> {
        self.id(name)?.ok_or_else(|| self.missing(name, ID))
    }

    /// `true` or `false`, also as a text. Anything else says nothing.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.get() {
            "true" | "\"true\"" => Some(true),
            "false" | "\"false\"" => Some(false),
            _ => None,
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Node<'a>>> {
        self.get(name).map(|raw| Node::read(raw, self.at(name))).transpose()
    }

    /// The elements of a list; `None` if there is no list.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| self.malformed(name, "a list"))
    }

    /// The elements of a list of objects; none if there is no list.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Node<'a>>> {
        let list = self.list(name)?.unwrap_or_default();
        if list.len() > OBJECTS_MAX {
            return Err(self.malformed(name, "a list of at most 1024 objects"));
        }
        list.into_iter()
            .enumerate()
            .map(|(i, raw)| Node::read(raw, format!("{}/{name}/{i}", self.pointer)))
            .collect()
    }
}

fn type_name(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "list",
        Some(b'"') => "text",
        Some(b't' | b'f') => "flag",
        Some(b'n') => "null",
        _ => "number",
    }
}
