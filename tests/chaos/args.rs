//! What can be asked of the harness: `cargo test --test chaos -- --row 3 --rounds 100 --seed 7`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rounds and time that a row may take: whichever ends first.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) seed: u64,
    rounds: u32,
    until: Option<Instant>,
}

impl Budget {
    /// True while another round may begin.
    pub(crate) fn allows(&self, done: u32) -> bool {
        done < self.rounds && self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// Names of rows, or their beginnings; empty for all.
    pub(crate) rows: Vec<String>,
    pub(crate) seed: u64,
    /// Rows at once.
    pub(crate) jobs: usize,
    rounds: Option<u32>,
    seconds: Option<u64>,
    /// File that outcomes are added to, one line of JSON each.
    pub(crate) record: Option<PathBuf>,
    /// Run nothing: print the table of such a file.
    pub(crate) sum: Option<PathBuf>,
    /// `cargo test` asks for the names alone.
    pub(crate) list: bool,
}

impl Args {
    /// What is not known is none of ours: `cargo test` hands its arguments to every target.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Self {
        let mut args = Self { seed: 1, jobs: 4, ..Self::default() };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let mut value = || words.next().filter(|value| !value.is_empty());
            match word.as_str() {
                "--row" => args.rows.extend(value()),
                "--seed" => args.seed = value().map_or(args.seed, |value| number("--seed", &value)),
                "--jobs" => args.jobs = value().map_or(args.jobs, |value| number("--jobs", &value)),
                "--rounds" => args.rounds = value().map(|value| number("--rounds", &value)),
                "--seconds" => args.seconds = value().map(|value| number("--seconds", &value)),
                "--record" => args.record = value().map(PathBuf::from),
                "--sum" => args.sum = value().map(PathBuf::from),
                "--list" => args.list = true,
                _ if word.starts_with('-') => {}
                _ => args.rows.push(word),
            }
        }
        args
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| name == row || family(row) == name)
    }

    pub(crate) fn budget(&self, quick: u32) -> Budget {
        let rounds = self.rounds.unwrap_or(if self.seconds.is_some() { u32::MAX } else { quick });
        let until = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Budget { seed: self.seed, rounds, until }
    }
}

/// The number of a row of the fault table, without the letter that tells its scenarios apart.
fn family(row: &str) -> &str {
    row.trim_end_matches(|c: char| !c.is_ascii_digit())
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> T {
    value.parse().unwrap_or_else(|_| panic!("{name} {value}: expected a number"))
}
