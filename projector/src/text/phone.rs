//! Phone numbers as people write them.

use phonenumber::Mode;

/// Formats a number internationally: `+55 11 90000-0000`. What only looks like a number is printed with
/// a plus; anything else stays as it is.
pub(super) fn format(number: &str) -> String {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let plain: String = digits.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return number.to_owned();
    }
    let plain = format!("+{plain}");
    match phonenumber::parse(None, &plain) {
        Ok(parsed) => parsed.format().mode(Mode::International).to_string(),
        Err(_) => plain,
    }
}
