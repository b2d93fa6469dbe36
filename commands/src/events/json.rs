//! A tree of JSON that borrows its texts from the event: it is made for each event of an export, and most of what it
//! says stands in the event already.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// A value. Fields of an object are in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Flag(bool),
    Number(i64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(&'static str, Json<'a>)>),
}

/// An object of fields, each whatever a [`Json`] can be made of.
macro_rules! object {
    ({ $($name:literal: $value:expr),* $(,)? }) => {
        $crate::events::json::Json::object(vec![$(($name, $crate::events::json::Json::from($value))),*])
    };
}

/// The same without what is null or an empty list.
macro_rules! given {
    ($fields:tt) => {
        $crate::events::json::object!($fields).given()
    };
}
pub(crate) use {given, object};

impl<'a> Json<'a> {
    pub(crate) fn object(mut fields: Vec<(&'static str, Self)>) -> Self {
        fields.sort_unstable_by_key(|(name, _)| *name);
        Self::Object(fields)
    }

    /// An object without what is null or an empty list.
    pub(crate) fn given(mut self) -> Self {
        if let Self::Object(fields) = &mut self {
            fields.retain(|(_, value)| match value {
                Self::Null => false,
                Self::List(list) => !list.is_empty(),
                _ => true,
            });
        }
        self
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Flag(flag) => to.serialize_bool(*flag),
            Self::Number(number) => to.serialize_i64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::List(list) => to.collect_seq(list),
            Self::Object(fields) => to.collect_map(fields.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a String> for Json<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Json<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a, T: Into<Json<'a>>> From<Option<T>> for Json<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> From<&'a Option<String>> for Json<'a> {
    fn from(text: &'a Option<String>) -> Self {
        text.as_ref().into()
    }
}

impl<'a> From<&'a Vec<String>> for Json<'a> {
    fn from(texts: &'a Vec<String>) -> Self {
        texts.iter().map(Self::from).collect()
    }
}

impl<'a> FromIterator<Json<'a>> for Json<'a> {
    fn from_iter<I: IntoIterator<Item = Self>>(list: I) -> Self {
        Self::List(list.into_iter().collect())
    }
}
