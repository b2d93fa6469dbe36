//! What became of an export, in a line or as its manifest.

use std::io::Write as _;

use super::ExportArgs;
use super::manifest::Manifest;
use crate::cli::Output;
use crate::exit::Failure;
use crate::print;

/// Says what there is now.
pub(super) fn say(args: &ExportArgs, manifest: &Manifest) -> Result<(), Failure> {
    let Some(out) = &args.out else { return say_beside(args.output, manifest) };
    if args.output == Output::Json {
        return print::json(&manifest.json());
    }
    let place = format!("in {} file(s): {}", manifest.files.len(), out.display());
    print::text(&outcome(&place, manifest))?;
    print::text(&format!("manifest: {}", manifest.path().display()))
}

/// The outcome where stdout has the events.
fn say_beside(output: Output, manifest: &Manifest) -> Result<(), Failure> {
    let line = match output {
        Output::Json => manifest.json(),
        Output::Table => format!("groupfold: {}", outcome("to stdout", manifest)),
    };
    // Nothing is left to tell it to if this fails.
    let _ = writeln!(std::io::stderr(), "{line}");
    Ok(())
}

fn outcome(place: &str, manifest: &Manifest) -> String {
    let mut line = format!("{} events {place}", manifest.events);
    if manifest.duplicates > 0 {
        line.push_str(&format!("; {} duplicates left out", manifest.duplicates));
    }
    if manifest.unreadable > 0 {
        line.push_str(&format!("; {} messages of the log cannot be read", manifest.unreadable));
    }
    line
}
