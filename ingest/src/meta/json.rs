//! A JSON text that is checked once, cut once, and then walked without being read again.
//!
//! Values stay raw text until asked for, so that digits keep every digit, and what nobody asks for can hold anything.
//!
//! Where values begin and end does not depend on what is in texts. So a body is cut that is not all UTF-8, and whoever
//! reads it asks of each part whether that is.

mod cut;

use std::borrow::Cow;

use bytes::Bytes;
use cut::{Span, cut};
use serde::de::Error as _;
use serde_json::value::RawValue;

/// A text, and where each of its values begins and ends.
pub(super) struct Json<'a> {
    whole: &'a Bytes,
    /// All of it, where it is UTF-8; else each text is looked at when it is asked for.
    text: Option<&'a str>,
    /// In the order in which they begin; an object's members are a name and a value each.
    spans: Vec<Span>,
}

/// Longest name of a member that a pointer repeats.
const NAME_BYTES_MAX: usize = 64;

const NOWHERE: Span = Span { begin: 0, end: 0, next: 0, escaped: false };

/// A value of a text.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    json: &'a Json<'a>,
    place: usize,
}

impl<'a> Json<'a> {
    /// Checks and cuts a text.
    pub(super) fn read(whole: &'a Bytes) -> serde_json::Result<Self> {
        match cut(whole) {
            Some(spans) => Ok(Self { whole, text: std::str::from_utf8(whole).ok(), spans }),
            // Where it breaks, a parser says that minds its lines. Both know the same grammar (see the tests of `cut`).
            None => Err(match serde_json::from_slice::<&RawValue>(whole) {
                Err(error) => error,
                Ok(_) => serde_json::Error::custom("no JSON"),
            }),
        }
    }

    pub(super) fn root(&'a self) -> Value<'a> {
        Value { json: self, place: 0 }
    }

    /// Line and column of a place, both from 1.
    pub(super) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.whole.get(..at).unwrap_or_default();
        let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        (1 + before.iter().filter(|byte| **byte == b'\n').count(), 1 + at - line)
    }

    /// A part of it, if that is UTF-8.
    fn text(&self, begin: usize, end: usize) -> Option<&'a str> {
        match self.text {
            Some(text) => text.get(begin..end),
            None => std::str::from_utf8(self.whole.get(begin..end)?).ok(),
        }
    }

    /// True if a text says this.
    fn says(&self, text: Span, what: &str) -> bool {
        let bytes: &[u8] = self.whole;
        if text.escaped {
            let raw = bytes.get(text.begin..text.end).unwrap_or_default();
            return serde_json::from_slice::<String>(raw).is_ok_and(|said| said == what);
        }
        // Between its quotes.
        bytes.get(text.begin + 1..text.end - 1) == Some(what.as_bytes())
    }
}

impl<'a> Value<'a> {
    fn span(self) -> Span {
        // Places are made by `cut` alone; a text has at least one value.
        self.json.spans.get(self.place).copied().unwrap_or(NOWHERE)
    }

    /// As it stands there.
    pub(super) fn raw(self) -> &'a [u8] {
        let Span { begin, end, .. } = self.span();
        self.json.whole.get(begin..end).unwrap_or_default()
    }

    /// The same, if it is UTF-8.
    pub(super) fn text(self) -> Option<&'a str> {
        let Span { begin, end, .. } = self.span();
        self.json.text(begin, end)
    }

    /// As it stands there, as a share of the whole's own bytes.
    pub(super) fn bytes(self) -> Bytes {
        self.json.whole.slice_ref(self.raw())
    }

    /// Where this is no UTF-8, but for what it has in these members, and in the elements of those that are lists: they are
    /// looked at by themselves. Nearly every body is all UTF-8, and looked at no second time.
    pub(super) fn spoiled_beside(self, members: &[&str]) -> Option<usize> {
        if self.json.text.is_some() {
            return None;
        }
        let inner = members.iter().filter_map(|name| self.member(name));
        let mut inside: Vec<Span> = Vec::new();
        for value in inner {
            match value.elements() {
                Some(elements) => inside.extend(elements.map(Self::span)),
                None if value.members().is_some() => inside.push(value.span()),
                None => {}
            }
        }
        inside.sort_unstable_by_key(|span| span.begin);
        let Span { begin, end, .. } = self.span();
        let begins = std::iter::once(begin).chain(inside.iter().map(|span| span.end));
        let ends = inside.iter().map(|span| span.begin).chain([end]);
        begins.zip(ends).find_map(|(begin, end)| {
            let broken = std::str::from_utf8(self.json.whole.get(begin..end)?).err()?;
            Some(begin + broken.valid_up_to())
        })
    }

    /// The innermost value in this one that a place is in.
    pub(super) fn at(self, place: usize) -> Value<'a> {
        let holds = |value: &Value<'_>| (value.span().begin..value.span().end).contains(&place);
        let mut all = (self.place..self.span().next).map(|place| Value { place, ..self });
        all.rfind(holds).unwrap_or(self)
    }

    fn first(self) -> Option<u8> {
        self.json.whole.get(self.span().begin).copied()
    }

    pub(super) fn is_null(self) -> bool {
        self.first() == Some(b'n')
    }

    pub(super) fn type_name(self) -> &'static str {
        match self.first() {
            Some(b'{') => "object",
            Some(b'[') => "list",
            Some(b'"') => "text",
            Some(b't' | b'f') => "flag",
            Some(b'n') => "null",
            _ => "number",
        }
    }

    /// The text of a string; `None` for anything else, and for what is no UTF-8 and escapes that are no character.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        if self.first() != Some(b'"') {
            return None;
        }
        let Span { begin, end, escaped, .. } = self.span();
        if escaped {
            serde_json::from_str(self.text()?).ok().map(Cow::Owned)
        } else {
            self.json.text(begin + 1, end - 1).map(Cow::Borrowed)
        }
    }

    /// What is directly in a list or an object.
    fn inner(self) -> impl Iterator<Item = Value<'a>> {
        let Span { next: end, .. } = self.span();
        let at = move |place| (place < end).then_some(Value { place, ..self });
        std::iter::successors(at(self.place + 1), move |value| at(value.span().next))
    }

    /// The elements of a list; `None` for anything else.
    pub(super) fn elements(self) -> Option<impl Iterator<Item = Value<'a>>> {
        (self.first() == Some(b'[')).then(|| self.inner())
    }

    /// Names and values of an object; `None` for anything else.
    pub(super) fn members(self) -> Option<impl Iterator<Item = (Value<'a>, Value<'a>)>> {
        (self.first() == Some(b'{')).then(|| {
            let mut inner = self.inner();
            std::iter::from_fn(move || Some((inner.next()?, inner.next()?)))
        })
    }

    /// A member of an object by its name, which needs no escape; of two with one name the last.
    pub(super) fn member(self, name: &str) -> Option<Value<'a>> {
        if self.first() != Some(b'{') {
            return None;
        }
        // Some thirty are looked for in each receipt, so this makes nothing of those that are passed by.
        let (mut found, mut at, end) = (None, self.place + 1, self.span().next);
        while let Some([of_name, of_value, ..]) = self.json.spans.get(at..end) {
            if self.json.says(*of_name, name) {
                found = Some(Value { place: at + 1, ..self });
            }
            at = of_value.next;
        }
        found
    }

    /// The JSON pointer to a value in this one. A name in it that is none like those of documented members is `*`: it may be
    /// anything, a person's number, too, and of any length.
    pub(super) fn pointer_to(self, target: Value<'_>) -> String {
        let (mut at, mut pointer) = (self, String::new());
        let holds = |value: &Value<'_>| (value.place..value.span().next).contains(&target.place);
        while at.place != target.place {
            let member = at.members().and_then(|mut all| all.find(|(_, value)| holds(value)));
            let element = || at.elements().and_then(|all| all.enumerate().find(|(_, value)| holds(value)));
            let (name, inner) = match member {
                Some((name, value)) => {
                    (name.string().filter(|name| is_plain(name)).unwrap_or("*".into()), value)
                }
                None => match element() {
                    Some((index, value)) => (index.to_string().into(), value),
                    None => break,
                },
            };
            pointer.push('/');
            pointer.push_str(&name);
            at = inner;
        }
        pointer
    }
}

/// True for a name like those of documented members, which neither tells nor weighs much.
fn is_plain(name: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(of_name)
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
