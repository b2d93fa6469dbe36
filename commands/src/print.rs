//! Printing to stdout, for people or for scripts.

use std::io::Write;

use comfy_table::{Table, presets};

use crate::exit::Failure;

/// Prints a text and a line end; a reader that went away (`| head`) is no failure.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed("cannot print", &error))
        }
        _ => Ok(()),
    }
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
