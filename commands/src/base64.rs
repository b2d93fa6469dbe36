//! Bytes as text (RFC 4648).

pub(crate) const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Without padding.
pub(crate) fn unpadded(bytes: &[u8]) -> String {
    let alphabet = ALPHABET.as_bytes();
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(alphabet[(word >> (18 - 6 * i) & 63) as usize]));
        }
    }
    out
}

/// With padding, as most readers want it.
pub(crate) fn padded(bytes: &[u8]) -> String {
    let mut out = unpadded(bytes);
    out.extend(std::iter::repeat_n('=', (4 - out.len() % 4) % 4));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn bytes_are_padded_to_four_characters() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(padded(bytes.as_bytes()), text);
            assert_eq!(unpadded(bytes.as_bytes()), text.trim_end_matches('='));
        }
        assert_eq!(padded(&[0xfb, 0xff]), "+/8=");
    }
}
