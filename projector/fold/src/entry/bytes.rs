//! The bytes of keys: their order is the order of what they say.

use super::FactAt;
use crate::identity::Alias;

const TIME_SIGN: u64 = 1 << 63;

/// Room for most keys, so that writing one does not make it grow again and again.
const KEY_BYTES: usize = 120;

/// Writes a key.
pub(super) struct KeyWriter(pub(super) Vec<u8>);

impl KeyWriter {
    pub(super) fn new(prefix: u8) -> Self {
        let mut key = Vec::with_capacity(KEY_BYTES);
        key.push(prefix);
        Self(key)
    }

    /// Text ends in `00 01`; a zero byte within is `00 ff`: order of keys is order of texts.
    pub(super) fn text(mut self, text: &str) -> Self {
        // Texts with a zero byte are rare, and looking for it in the whole is quick.
        let mut rest = text;
        while let Some((part, after)) = rest.split_once('\0') {
            self.0.extend_from_slice(part.as_bytes());
            self.0.extend_from_slice(&[0, 0xff]);
            rest = after;
        }
        self.0.extend_from_slice(rest.as_bytes());
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    /// As the text that [`Alias::encode`] makes of it.
    pub(super) fn alias(mut self, alias: &Alias) -> Self {
        self.0.extend_from_slice(&[alias.tag(), b':']);
        self.text(&alias.text)
    }

    pub(super) fn time(mut self, time_ms: i64) -> Self {
        self.0.extend_from_slice(&(time_ms.cast_unsigned() ^ TIME_SIGN).to_be_bytes());
        self
    }

    pub(super) fn rank(mut self, rank: u32) -> Self {
        self.0.extend_from_slice(&rank.to_be_bytes());
        self
    }

    pub(super) fn fact_at(self, at: &FactAt) -> Self {
        self.time(at.time_ms).rank(at.rank).text(&at.event_id).text(&at.about)
    }
}

/// Reads one back.
pub(super) struct KeyReader<'a>(pub(super) &'a [u8]);

impl KeyReader<'_> {
    pub(super) fn text(&mut self) -> Option<String> {
        let mut parts = self.written_text()?.split(|byte| *byte == 0);
        let mut text = parts.next()?.to_vec();
        for part in parts {
            text.push(0);
            text.extend_from_slice(part.strip_prefix(&[0xff])?);
        }
        String::from_utf8(text).ok()
    }

    /// A text as it is written, without its end.
    pub(super) fn written_text(&mut self) -> Option<&[u8]> {
        let (whole, mut end) = (self.0, 0);
        loop {
            end += whole.get(end..)?.iter().position(|byte| *byte == 0)?;
            match whole.get(end + 1)? {
                0xff => end += 2,
                1 => break,
                _ => return None,
            }
        }
        self.0 = whole.get(end + 2..)?;
        whole.get(..end)
    }

    pub(super) fn alias(&mut self) -> Option<Alias> {
        Alias::decode(&self.text()?)
    }

    pub(super) fn time(&mut self) -> Option<i64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some((u64::from_be_bytes(*head) ^ TIME_SIGN).cast_signed())
    }

    pub(super) fn rank(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    pub(super) fn fact_at(&mut self) -> Option<FactAt> {
        Some(FactAt {
            time_ms: self.time()?,
            rank: self.rank()?,
            event_id: self.text()?,
            about: self.text()?,
        })
    }
}
