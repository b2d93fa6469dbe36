//! The bytes of keys: their order is the order of what they say.

use super::FactAt;
use crate::identity::Alias;

const TIME_SIGN: u64 = 1 << 63;

/// Writes a key.
pub(super) struct KeyWriter(pub(super) Vec<u8>);

impl KeyWriter {
    pub(super) fn new(prefix: u8) -> Self {
        Self(vec![prefix])
    }

    /// Text ends in `00 01`; a zero byte within is `00 ff`: order of keys is order of texts.
    pub(super) fn text(mut self, text: &str) -> Self {
        for &b in text.as_bytes() {
            self.0.push(b);
            if b == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
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
        let mut out = Vec::new();
        loop {
            let (&b, rest) = self.0.split_first()?;
            self.0 = rest;
            if b != 0 {
                out.push(b);
                continue;
            }
            let (&mark, rest) = self.0.split_first()?;
            self.0 = rest;
            match mark {
                0xff => out.push(0),
                1 => return String::from_utf8(out).ok(),
                _ => return None,
            }
        }
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
