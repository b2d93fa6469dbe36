//! A progress bar on stderr for long work, when a person looks.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar over `total` things, with rate and remaining time; invisible where stderr is no terminal.
pub(crate) fn bar(total: u64, what: &'static str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
    let style = "{msg} [{wide_bar}] {pos}/{len} {rate} {eta} to go";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style.with_key("rate", rate)),
        Err(_) => bar,
    }
}

/// Fractions of a thing tell nobody anything.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // Nothing is left to tell it to if this fails.
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
