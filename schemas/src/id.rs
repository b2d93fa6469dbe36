//! Ids, parsed once where they come in and trusted from there on.
//!
//! Group ids and `wamid`s stay opaque: their inner form is undocumented and differs between sources.

use ring::digest::{Context, SHA256};

/// Longest id accepted, in bytes. Keeps a subject with two percent-encoded ids under the broker's
/// 4,096-byte control line; the longest id documented by a provider has 256 characters.
pub const ID_BYTES_MAX: usize = 512;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text has no character.
    #[error("is empty")]
    Empty,
    /// The text is longer than [`ID_BYTES_MAX`].
    #[error("has {bytes} bytes, at most {ID_BYTES_MAX} are accepted")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// The text holds a control character.
    #[error("holds a control character at byte {at}")]
    Control {
        /// Where.
        at: usize,
    },
    /// The text is not 32 lower-case hex digits.
    #[error("is not 32 lower-case hex digits")]
    NotHex,
}

/// Whether a text can be an id: 1 to [`ID_BYTES_MAX`] bytes without control characters.
///
/// # Errors
/// What is wrong with the text.
pub fn check(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(Error::TooLong { bytes: text.len() });
    }
    match text.bytes().position(|b| b.is_ascii_control()) {
        Some(at) => Err(Error::Control { at }),
        None => Ok(()),
    }
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Accepts any text of 1 to [`ID_BYTES_MAX`] bytes without control characters.
            ///
            /// # Errors
            /// What is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, Error> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }

            /// The id as it was reported.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id! {
    /// A group, as its provider names it (Meta: `groups[].group_id`).
    GroupId
}
opaque_id! {
    /// The account a webhook was sent for (Meta: `entry[].id`, the WhatsApp Business Account).
    AccountId
}
opaque_id! {
    /// A message (Meta: the `wamid`).
    MessageId
}

/// The content hash that identifies an event or a failure: 32 lower-case hex digits, the first half of a
/// SHA-256 over length-prefixed parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(String);

impl EventId {
    /// Hashes parts so that no two lists of parts share their bytes.
    #[must_use]
    pub fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(hex(&sha256(parts)[..16]))
    }

    /// Reads an id back.
    ///
    /// # Errors
    /// [`Error::NotHex`] unless the text is 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let hex_digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if text.len() == 32 && hex_digits { Ok(Self(text.to_owned())) } else { Err(Error::NotHex) }
    }

    /// The 32 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over length-prefixed parts: the one hash of the project that is written down anywhere.
#[must_use]
pub fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Lower-case hex digits of bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = vec![0; bytes.len() * 2];
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    // Digits are ASCII.
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_not_confused_by_where_they_are_cut() {
        assert_ne!(EventId::hash([&b"ab"[..], b"c"]), EventId::hash([&b"a"[..], b"bc"]));
    }

    #[test]
    fn ids_are_bounded_and_printable() {
        assert_eq!(GroupId::parse(""), Err(Error::Empty));
        assert_eq!(GroupId::parse("a\nb"), Err(Error::Control { at: 1 }));
        assert_eq!(GroupId::parse(&"x".repeat(513)), Err(Error::TooLong { bytes: 513 }));
        assert_eq!(GroupId::parse("120363@g.us").unwrap().as_str(), "120363@g.us");
    }

    #[test]
    fn event_id_reads_back() {
        let id = EventId::hash([&b"x"[..]]);
        assert_eq!(EventId::parse(id.as_str()), Ok(id));
        assert_eq!(EventId::parse("XYZ"), Err(Error::NotHex));
    }
}
