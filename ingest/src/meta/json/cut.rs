//! Checks a JSON text (RFC 8259) and cuts it into its values, in one walk over its bytes.

/// Where a value begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begin: usize,
    pub(super) end: usize,
    /// The place behind this value and all that is in it.
    pub(super) next: usize,
    /// A text with escapes: what it says is not what stands there.
    pub(super) escaped: bool,
}

/// What may stand next, beside blanks.
#[derive(Clone, Copy)]
enum Wanted {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

/// The values of a text in the order in which they begin, an object's members as a name and a value each; `None` if
/// it is no JSON. Of what is beyond ASCII, which stands in strings alone, anything is taken.
pub(super) fn cut(bytes: &[u8]) -> Option<Vec<Span>> {
    use Wanted::{Colon, CommaOrEnd, Name, NameOrEnd, Value, ValueOrEnd};
    // About right for webhooks, whose values have some twenty characters.
    let mut spans: Vec<Span> = Vec::with_capacity(bytes.len() / 16 + 8);
    // Lists and objects that have no end yet, each with what ends it.
    let mut open: Vec<(usize, u8)> = Vec::with_capacity(16);
    let (mut wanted, mut at) = (Value, 0);
    while let Some(&byte) = bytes.get(at) {
        let (mut end, mut escaped) = (at + 1, false);
        wanted = match (byte, wanted) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => {
                at = end;
                continue;
            }
            (b',', CommaOrEnd) => {
                (at, wanted) = (end, if open.last()?.1 == b'}' { Name } else { Value });
                continue;
            }
            (b':', Colon) => {
                (at, wanted) = (end, Value);
                continue;
            }
            (b'}', NameOrEnd | CommaOrEnd) | (b']', ValueOrEnd | CommaOrEnd) => {
                let (place, _) = open.pop().filter(|(_, ends)| *ends == byte)?;
                let next = spans.len();
                let span = spans.get_mut(place)?;
                (span.end, span.next) = (end, next);
                (at, wanted) = (end, CommaOrEnd);
                continue;
            }
            (b'"', Name | NameOrEnd) => {
                (end, escaped) = end_of_string(bytes, end)?;
                Colon
            }
            (b'"', Value | ValueOrEnd) => {
                (end, escaped) = end_of_string(bytes, end)?;
                CommaOrEnd
            }
            (b'{', Value | ValueOrEnd) => {
                open.push((spans.len(), b'}'));
                NameOrEnd
            }
            (b'[', Value | ValueOrEnd) => {
                open.push((spans.len(), b']'));
                ValueOrEnd
            }
            (_, Value | ValueOrEnd) => {
                end = at + length_of_bare(&bytes[at..])?;
                CommaOrEnd
            }
            _ => return None,
        };
        spans.push(Span { begin: at, end, next: spans.len() + 1, escaped });
        at = end;
    }
    (open.is_empty() && matches!(wanted, CommaOrEnd)).then_some(spans)
}

/// Where a string ends that begins behind its quote, and whether it has escapes.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        at += length_of_plain(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some((at + 1, escaped)),
            b'\\' => {
                at += 1 + length_of_escape(&bytes[at + 1..])?;
                escaped = true;
            }
            // Control characters stand in no string.
            _ => return None,
        }
    }
}

/// Bytes in front of the first quote, backslash or control character, eight at a time: most of a webhook is these.
fn length_of_plain(rest: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    const QUOTES: u64 = EACH * b'"' as u64;
    const BACKSLASHES: u64 = EACH * b'\\' as u64;
    const BLANKS: u64 = EACH * b' ' as u64;
    const HIGHEST: u64 = EACH << 7;
    let (words, _) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The highest bit of the lowest byte that is below `floor` is set; those of bytes above it mean nothing.
        let below = |word: u64, floor: u64| word.wrapping_sub(floor) & !word;
        let found = below(word ^ QUOTES, EACH) | below(word ^ BACKSLASHES, EACH) | below(word, BLANKS);
        if found & HIGHEST != 0 {
            return index * 8 + (found & HIGHEST).trailing_zeros() as usize / 8;
        }
    }
    let begin = words.len() * 8;
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    begin + rest[begin..].iter().position(ends).unwrap_or(rest.len() - begin)
}

/// Length of an escape behind its backslash.
fn length_of_escape(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
    }
}

/// Length of a number, a flag or `null`.
fn length_of_bare(rest: &[u8]) -> Option<usize> {
    let delimits = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    let length = rest.iter().position(delimits).unwrap_or(rest.len());
    let bare = &rest[..length];
    (matches!(bare, b"true" | b"false" | b"null") || is_number(bare)).then_some(length)
}

fn is_number(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = match rest.strip_prefix(b"0") {
        Some(rest) => Some(rest),
        None => behind_digits(rest),
    };
    if let Some(fraction) = rest.and_then(|rest| rest.strip_prefix(b".")) {
        rest = behind_digits(fraction);
    }
    if let Some([b'e' | b'E', exponent @ ..]) = rest {
        rest = behind_digits(exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent));
    }
    rest.is_some_and(<[u8]>::is_empty)
}

/// What follows digits; `None` if there are none.
fn behind_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// True if both say the same of it: this, and the parser that others wrote.
    fn agreed(text: &str) -> bool {
        cut(text.as_bytes()).is_some() == serde_json::from_str::<&RawValue>(text).is_ok()
    }

    const SAMPLES: [&str; 6] = [
        r#" {"object":"whatsapp","entry":[{"id":"1","changes":[{"value":{"n":[-0.5e+3,12,true,false,null]}}]}]} "#,
        r#"[[],{},"",0,-1,1.25,1E9,"a\u00e9\"\\\/\b\f\n\r\t",{"a":{}},[[0]]]"#,
        r#"{"long":"eight bytes and eight and more é ü 🙂","\u0061":"x\ud83d","":[ ]}"#,
        "\"0123456\"",
        "\t-10.0e-07\r\n",
        "null",
    ];

    #[test]
    fn what_is_json_and_what_is_not_others_see_alike_a_byte_away_from_it() {
        let others = "{}[],:\"\\0123456789+-.eEubtrnfalsx \t\n\r/\u{0}\u{1f}\u{7f}é";
        for sample in SAMPLES {
            assert!(cut(sample.as_bytes()).is_some(), "{sample}");
            let places: Vec<usize> = sample.char_indices().map(|(at, _)| at).chain([sample.len()]).collect();
            for ends in places.windows(2) {
                let (before, after) = (&sample[..ends[0]], &sample[ends[1]..]);
                let same = &sample[ends[0]..ends[1]];
                for text in
                    [before.to_owned(), format!("{before}{after}"), format!("{before}{same}{same}{after}")]
                {
                    assert!(agreed(&text), "{text}");
                }
                for other in others.chars() {
                    for text in [format!("{before}{other}{after}"), format!("{before}{other}{same}{after}")] {
                        assert!(agreed(&text), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_json_and_what_is_not_others_see_alike_of_whatever_is_short() {
        let of = ["{", "}", "[", "]", ",", ":", "\"", "\\", "0", "-", "1", ".", "e", "true", " ", "\"a\""];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts.iter().flat_map(|text| of.map(|more| format!("{text}{more}"))).collect();
            for text in &texts {
                assert!(agreed(text), "{text}");
            }
        }
    }

    #[test]
    fn what_ends_a_string_is_found_at_whatever_place() {
        for length in 0..40 {
            for end in ['"', '\\', '\u{0}', '\u{1f}'] {
                for plain in ['a', ' ', '!', '#', '[', ']', '\u{7f}', 'é', '¢', 'ÿ'] {
                    let text: String = std::iter::repeat_n(plain, length).chain([end, '"', 'a']).collect();
                    let found = length_of_plain(text.as_bytes());
                    assert_eq!(found, length * plain.len_utf8(), "{text:?}");
                    assert_eq!(length_of_plain(&text.as_bytes()[..found]), found, "{text:?}");
                }
            }
        }
    }
}
