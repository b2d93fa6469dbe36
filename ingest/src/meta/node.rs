//! A JSON object that knows where it stands: each member is read on its own, and a fault names it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use groupfold_schemas::failure::Cause;
use groupfold_schemas::id;

use super::fault::{Fault, Result};
use super::json::Value;

/// Longest text of an event: a description of 2,048 characters (Meta's bound) of four bytes each. Message bodies are
/// not read.
const TEXT_BYTES_MAX: usize = 8192;

/// WhatsApp lets 1,024 people into a group, Meta's Groups API eight. One event becomes one commit, which this bounds.
const OBJECTS_MAX: usize = 1024;

/// A subject has 128 characters at most (Meta's bound), here of up to seven bytes each: characters outside the basic
/// plane with what is joined to them. The projector keeps three of a group side by side, so it takes no more.
const SUBJECT_BYTES_MAX: usize = 896;

/// Links, modes, types and hashes: the same goes for these.
const SHORT_BYTES_MAX: usize = 384;

const ID: &str = "an id of 1 to 512 bytes without control characters";

#[derive(Clone, Copy)]
pub(super) struct Node<'a, 'p> {
    value: Value<'a>,
    /// The object from which it was come to, and that one's pointer: the rest is worked out for a fault alone.
    root: Value<'a>,
    root_pointer: &'p str,
}

impl<'a, 'p> Node<'a, 'p> {
    pub(super) fn read(value: Value<'a>, pointer: &'p str) -> Result<Self> {
        Self { value, root: value, root_pointer: pointer }.checked()
    }

    fn checked(self) -> Result<Self> {
        match self.value.members() {
            Some(_) => Ok(self),
            None => Err(Fault::new(Cause::MalformedField, self.pointer(), "an object")),
        }
    }

    pub(super) fn pointer(&self) -> String {
        format!("{}{}", self.root_pointer, self.root.pointer_to(self.value))
    }

    pub(super) fn value(&self) -> Value<'a> {
        self.value
    }

    /// The pointer of a member. Names are ours and need no escape.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer())
    }

    /// A member that is there and is not `null`. Of two with one name the last counts.
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.value.member(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Members with names and types, for a fingerprint.
    pub(super) fn shape(&self) -> BTreeMap<Cow<'a, str>, &'static str> {
        let members = self.value.members().into_iter().flatten();
        members.filter_map(|(name, value)| Some((name.string()?, value.type_name()))).collect()
    }

    pub(super) fn missing(&self, name: &str, expected: &'static str) -> Fault {
        Fault::new(Cause::MissingField, self.at(name), expected)
    }

    pub(super) fn malformed(&self, name: &str, expected: &'static str) -> Fault {
        Fault::new(Cause::MalformedField, self.at(name), expected)
    }

    /// A text, or a number as it is printed. Empty is missing.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.words(name)?.map(Cow::into_owned))
    }

    /// The same, not copied where it stands as it is said.
    pub(super) fn words(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = match value.type_name() {
            "text" => value.string(),
            "number" => value.text().map(Cow::Borrowed),
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

    /// The text of a group's name.
    pub(super) fn subject(&self, name: &str) -> Result<Option<String>> {
        self.within(name, SUBJECT_BYTES_MAX, "a text of at most 896 bytes")
    }

    /// A link, a mode, a type or a hash.
    pub(super) fn short(&self, name: &str) -> Result<Option<String>> {
        self.within(name, SHORT_BYTES_MAX, "a text of at most 384 bytes")
    }

    fn within(&self, name: &str, bytes_max: usize, expected: &'static str) -> Result<Option<String>> {
        match self.text(name)? {
            Some(text) if text.len() > bytes_max => Err(self.malformed(name, expected)),
            text => Ok(text),
        }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<Cow<'a, str>> {
        self.words(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    /// A text that can be an id: bounded and printable.
    pub(super) fn id(&self, name: &str) -> Result<Option<String>> {
        Ok(self.id_words(name)?.map(Cow::into_owned))
    }

    /// The same, not copied where it stands as it is said.
    pub(super) fn id_words(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        let Some(text) = self.words(name)? else { return Ok(None) };
        match id::check(&text) {
            Ok(()) => Ok(Some(text)),
            Err(_) => Err(self.malformed(name, ID)),
        }
    }

    pub(super) fn required_id(&self, name: &str) -> Result<Cow<'a, str>> {
        self.id_words(name)?.ok_or_else(|| self.missing(name, ID))
    }

    /// `true` or `false`, also as a text. Anything else says nothing.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.raw() {
            b"true" | b"\"true\"" => Some(true),
            b"false" | b"\"false\"" => Some(false),
            _ => None,
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>> {
        self.get(name).map(|value| Self { value, ..*self }.checked()).transpose()
    }

    /// The elements of a list; `None` if there is no list.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<Value<'a>>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let elements = value.elements().ok_or_else(|| self.malformed(name, "a list"))?;
        Ok(Some(elements.collect()))
    }

    /// The elements of a list of objects; none if there is no list.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>> {
        let list = self.list(name)?.unwrap_or_default();
        if list.len() > OBJECTS_MAX {
            return Err(self.malformed(name, "a list of at most 1024 objects"));
        }
        list.into_iter().map(|value| Self { value, ..*self }.checked()).collect()
    }
}
