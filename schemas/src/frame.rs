//! How every protobuf value is laid out wherever it is kept, in the log and in the store:
//!
//! ```text
//! [version: 1 byte][CRC-32 of the payload: 4 bytes, little endian][payload: protobuf]
//! ```
//!
//! Unreadable bytes are a named outcome, never a panic.

use prost::Message;
use prost::bytes::Bytes;

/// The version that [`encode`] writes.
pub const VERSION: u8 = 1;

const HEADER_BYTES: usize = 5;

/// Why bytes cannot be read. The names are stable: metrics and failures carry them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than a header has.
    #[error("{bytes} bytes are too few for a stored value")]
    Truncated {
        /// Length found.
        bytes: usize,
    },
    /// Written by a build that this one does not know.
    #[error("version {version} is unknown to this build, which reads version {VERSION}")]
    UnknownVersion {
        /// First byte found.
        version: u8,
    },
    /// The payload is not the one that was written.
    #[error("checksum is {found:08x}, {expected:08x} was written")]
    Checksum {
        /// Computed now.
        found: u32,
        /// Stored then.
        expected: u32,
    },
    /// The payload is no such message.
    #[error("payload cannot be decoded")]
    Decode(#[source] prost::DecodeError),
}

impl Error {
    /// Stable name of the kind of error.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::Checksum { .. } => "checksum",
            Self::Decode(_) => "undecodable",
        }
    }
}

/// Lays a value out, header first.
#[must_use]
pub fn encode(value: &impl Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + value.encoded_len());
    out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    value.encode_raw(&mut out);
    let crc = crc32fast::hash(&out[HEADER_BYTES..]);
    out[1..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    out
}

/// How many bytes [`encode`] makes of a value.
#[must_use]
pub fn encoded_len(value: &impl Message) -> usize {
    HEADER_BYTES + value.encoded_len()
}

/// Reads a value back.
///
/// # Errors
/// The bytes are cut, of another version, damaged, or of another message.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    M::decode(payload(bytes)?).map_err(Error::Decode)
}

/// As [`decode`]; what the message holds as bytes is not copied but shares these.
///
/// # Errors
/// As [`decode`].
pub fn decode_shared<M: Message + Default>(bytes: &Bytes) -> Result<M, Error> {
    let payload = payload(bytes)?;
    M::decode(bytes.slice_ref(payload)).map_err(Error::Decode)
}

fn payload(bytes: &[u8]) -> Result<&[u8], Error> {
    let Some((&[version, c0, c1, c2, c3], payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Error::Truncated { bytes: bytes.len() });
    };
    if version != VERSION {
        return Err(Error::UnknownVersion { version });
    }
    let expected = u32::from_le_bytes([c0, c1, c2, c3]);
    let found = crc32fast::hash(payload);
    if found != expected {
        return Err(Error::Checksum { found, expected });
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Link;

    #[test]
    fn a_value_reads_back_and_every_flipped_bit_is_noticed() {
        let value = Link { first_seen_ms: 1_767_225_600_000, last_seen_ms: 0 };
        let bytes = encode(&value);
        assert_eq!(decode::<Link>(&bytes).unwrap(), value);
        assert_eq!(encoded_len(&value), bytes.len());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Link>(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn short_bytes_are_named() {
        assert_eq!(decode::<Link>(&[1, 2]).unwrap_err().name(), "truncated");
        assert_eq!(decode::<Link>(&[9, 0, 0, 0, 0]).unwrap_err().name(), "unknown_version");
    }
}
