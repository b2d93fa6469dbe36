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
    // Where, only once there is one: without a way out the loop takes many bytes at once.
    if text.bytes().fold(false, |any, b| any | b.is_ascii_control()) {
        let at = text.bytes().position(|b| b.is_ascii_control()).unwrap_or_default();
        return Err(Error::Control { at });
    }
    Ok(())
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
    // Most parts are short, and each update costs as much as hashing them.
    let (mut gathered, mut len) = ([0; 512], 0);
    for part in parts {
        for bytes in [&(part.len() as u64).to_be_bytes()[..], part] {
            if bytes.len() > gathered.len() - len {
                context.update(&gathered[..len]);
                len = 0;
            }
            match gathered.get_mut(len..len + bytes.len()) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    len += bytes.len();
                }
                None => context.update(bytes),
            }
        }
    }
    context.update(&gathered[..len]);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Lower-case hex digits of bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let mut out = vec![0; bytes.len() * 2];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
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

    /// The same as if each length and each part were hashed by itself, however long they are.
    #[test]
    fn a_hash_is_that_of_its_parts_one_after_the_other() {
        let bytes: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        for lengths in
            [&[][..], &[0], &[3, 0, 1], &[504], &[505], &[496, 8], &[496, 9, 1], &[2_000, 1], &[60; 40]]
        {
            let mut context = Context::new(&SHA256);
            for length in lengths {
                context.update(&(*length as u64).to_be_bytes());
                context.update(&bytes[..*length]);
            }
            let parts = lengths.iter().map(|length| &bytes[..*length]);
            assert_eq!(sha256(parts), context.finish().as_ref(), "{lengths:?}");
        }
    }

    #[test]
    fn digits_are_those_of_each_byte() {
        for byte in 0..=255 {
            assert_eq!(hex(&[byte, 0]), format!("{byte:02x}00"));
        }
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
