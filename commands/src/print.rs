//! Printing to stdout, for people or for scripts.

use std::borrow::Cow;
use std::io::Write;

use comfy_table::{Table, presets};

use crate::cli::Output;
use crate::exit::Failure;

/// Prints what is laid out for people, and a line end.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    line(&harmless(text))
}

/// Prints JSON, or a script, as it is, and a line end: it goes to programs.
pub(crate) fn json(json: &str) -> Result<(), Failure> {
    line(json)
}

/// Prints one of both.
pub(crate) fn either(
    output: Output,
    as_json: impl FnOnce() -> String,
    as_text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match output {
        Output::Json => json(&as_json()),
        Output::Table => text(&as_text()),
    }
}

/// A reader that went away (`| head`) is no failure.
fn line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed("cannot print", &error))
        }
        _ => Ok(()),
    }
}

/// What is laid out for people moves no cursor and turns no line, whoever named a group or themselves in it.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let harms = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(harms) { text.replace(harms, "\u{fffd}").into() } else { text.into() }
}

/// A table with a header, as all verbs lay theirs out.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// A time as people and scripts read it, RFC 3339 in UTC with seconds; empty if unknown (zero).
pub(crate) fn time(time_ms: i64) -> String {
    if time_ms == 0 {
        return String::new();
    }
    let time = jiff::Timestamp::from_millisecond(time_ms);
    time.map_or_else(|_| time_ms.to_string(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_moves_no_cursor_and_turns_no_line() {
        assert_eq!(
            harmless("Tea\u{1b}[2J \r\u{202e}x\u{9b}0m\n"),
            "Tea\u{fffd}[2J \u{fffd}\u{fffd}x\u{fffd}0m\n"
        );
        let plain = "Fam\u{ed}lia \u{1f389}\n\u{1f469}\u{200d}\u{1f4bb} devs";
        assert!(matches!(harmless(plain), Cow::Borrowed(text) if text == plain));
    }

    /// It once went out as it was: by its first byte it was taken for JSON.
    #[test]
    fn a_text_that_begins_as_json_does_is_made_harmless_too() {
        for (text, shown) in [("[vip]\u{1b}[2J", "[vip]\u{fffd}[2J"), ("{\u{202e}x", "{\u{fffd}x")] {
            assert_eq!(harmless(text), shown);
        }
    }
}
