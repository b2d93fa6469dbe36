//! Unix seconds, as a text or as a number.

use groupfold_schemas::failure::Cause;

use super::fault::{Fault, Result};
use super::node::Node;

const EXPECTED: &str = "Unix seconds after 1970 and before the year 9999, as a text of digits or a number";

/// From here on a number means milliseconds: as seconds it would lie in the year 33658.
const MILLISECONDS_FROM: i64 = 1_000_000_000_000;

/// 9999-01-01T00:00:00Z: the last year that RFC 3339 can print.
const END_MS: i64 = 253_370_764_800_000;

/// Reads a required time, as Unix milliseconds.
pub(super) fn required(node: &Node<'_, '_>, name: &str) -> Result<i64> {
    optional(node, name)?.ok_or_else(|| node.missing(name, EXPECTED))
}

/// Reads a time, as Unix milliseconds.
pub(super) fn optional(node: &Node<'_, '_>, name: &str) -> Result<Option<i64>> {
    let Some(text) = node.words(name)? else { return Ok(None) };
    match milliseconds(&text) {
        Some(ms) => Ok(Some(ms)),
        None => Err(Fault::new(Cause::MalformedField, node.at(name), EXPECTED)),
    }
}

fn milliseconds(text: &str) -> Option<i64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    let ms = if number >= MILLISECONDS_FROM { number } else { number.checked_mul(1000)? };
    (ms > 0 && ms < END_MS).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn seconds_and_milliseconds_are_told_apart_and_bounded() {
        assert_eq!(milliseconds("1767225600"), Some(1_767_225_600_000));
        assert_eq!(milliseconds("1767225600123"), Some(1_767_225_600_123));
        for bad in [
            "0",
            "-1",
            "TIMESTAMP",
            "1.5",
            "1e9",
            "253370764800",
            "253370764800000",
            "99999999999999999999",
            "",
        ] {
            assert_eq!(milliseconds(bad), None, "{bad:?}");
        }
    }
}
