//! A JSON text that is checked once, cut once, and then walked without being read again.
//!
//! Values stay raw text until asked for, so that digits keep every digit, and what nobody asks for can hold anything.

mod cut;

use std::borrow::Cow;

use bytes::Bytes;
use cut::{Span, cut};
use serde::de::Error as _;
use serde_json::value::RawValue;

/// A text, and where each of its values begins and ends.
pub(super) struct Json<'a> {
    whole: &'a Bytes,
    text: &'a str,
    /// In the order in which they begin; an object's members are a name and a value each.
    spans: Vec<Span>,
}

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
        let text = std::str::from_utf8(whole).ok();
        match text.and_then(|text| Some((text, cut(text)?))) {
            Some((text, spans)) => Ok(Self { whole, text, spans }),
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

    /// True if a text says this.
    fn says(&self, text: Span, what: &str) -> bool {
        let bytes = self.text.as_bytes();
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

    /// As it stands in the text.
    pub(super) fn raw(self) -> &'a str {
        let Span { begin, end, .. } = self.span();
        self.json.text.get(begin..end).unwrap_or_default()
    }

    /// The same as a share of the text's own bytes.
    pub(super) fn bytes(self) -> Bytes {
        self.json.whole.slice_ref(self.raw().as_bytes())
    }

    fn first(self) -> Option<u8> {
        self.json.text.as_bytes().get(self.span().begin).copied()
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

    /// The text of a string; `None` for anything else, and for escapes that are no character.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        if self.first() != Some(b'"') {
            return None;
        }
        let Span { begin, end, escaped, .. } = self.span();
        if escaped {
            serde_json::from_str(self.raw()).ok().map(Cow::Owned)
        } else {
            self.json.text.get(begin + 1..end - 1).map(Cow::Borrowed)
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

    /// The JSON pointer to a value in this one.
    pub(super) fn pointer_to(self, target: Value<'_>) -> String {
        let (mut at, mut pointer) = (self, String::new());
        let holds = |value: &Value<'_>| (value.place..value.span().next).contains(&target.place);
        while at.place != target.place {
            let member = at.members().and_then(|mut all| all.find(|(_, value)| holds(value)));
            let element = || at.elements().and_then(|all| all.enumerate().find(|(_, value)| holds(value)));
            let (name, inner) = match member {
                Some((name, value)) => (name.string().unwrap_or_default(), value),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value, as the parser that others wrote reads it.
    fn walk(value: Value<'_>) {
        let whole: serde_json::Value = serde_json::from_str(value.raw()).unwrap();
        if let Some(members) = value.members() {
            let members: Vec<_> = members.collect();
            for (name, member) in &members {
                let name = name.string().unwrap();
                let last = members.iter().rfind(|(other, _)| other.string().unwrap() == name).unwrap().1;
                assert_eq!(whole[&*name], serde_json::from_str::<serde_json::Value>(last.raw()).unwrap());
                walk(*member);
            }
        } else if let Some(elements) = value.elements() {
            let elements: Vec<_> = elements.collect();
            assert_eq!(whole.as_array().unwrap().len(), elements.len());
            elements.into_iter().for_each(walk);
        } else {
            assert_eq!(whole.as_str(), value.string().as_deref());
        }
    }

    #[test]
    fn every_value_is_where_the_parser_sees_it() {
        for text in [
            r#" { "a" : [ 1 , -2.5e3,true ,null, "x\"],{" , "" ] , "b" : { } , "c":[[],[{}]],"\u0061":7,"é\\":"\\" } "#,
            "[]",
            "{}",
            " 12 ",
            r#""\\""#,
            "null",
            r#"{"a":{"b":{"c":[{"d":[0,1,{"e":"}"}]}]}}}"#,
        ] {
            let bytes = Bytes::from(text);
            let json = Json::read(&bytes).unwrap();
            assert_eq!(json.root().raw(), text.trim());
            assert_eq!(&json.root().bytes()[..], text.trim().as_bytes());
            walk(json.root());
        }
    }

    #[test]
    fn every_type_has_a_name() {
        let bytes = Bytes::from(r#"[{},[],"",true,false,null,-1,2]"#);
        let json = Json::read(&bytes).unwrap();
        let names: Vec<_> = json.root().elements().unwrap().map(Value::type_name).collect();
        assert_eq!(names, ["object", "list", "text", "flag", "flag", "null", "number", "number"]);
    }

    #[test]
    fn a_value_is_found_by_its_pointer() {
        let bytes = Bytes::from(r#"{"x":0,"a":[1,{"b":"here","c":2}]}"#);
        let json = Json::read(&bytes).unwrap();
        let place =
            json.spans.iter().position(|span| &json.text[span.begin..span.end] == r#""here""#).unwrap();
        assert_eq!(json.root().pointer_to(Value { json: &json, place }), "/a/1/b");
        assert_eq!(json.root().pointer_to(json.root()), "");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "[1,]", "nul", "\"\u{1}\"", "{\"a\" 1}", "1 2"] {
            assert!(Json::read(&Bytes::from(text)).is_err(), "{text:?}");
        }
        assert!(Json::read(&Bytes::from_static(b"\"\xff\"")).is_err());
    }
}
