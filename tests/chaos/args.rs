//! What can be asked of the harness: `cargo test --test chaos -- --row 3 --rounds 100 --seed 7`.
//!
//! `cargo test` hands the arguments that it was given to every target: a filter, `--list`, flags of libtest. Rows are
//! therefore asked for by `--row` alone; a bare word is a filter over their names as tests, `row_3a`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::rows::{Row, aim};

/// Flags of libtest that are followed by a value of theirs.
const WITH_A_VALUE: [&str; 6] =
    ["--skip", "--test-threads", "--color", "--format", "--logfile", "--shuffle-seed"];

/// Items of a flood in a run of all tests.
const ITEMS: u64 = 6_000;

/// Rounds, faults and time that a row may take: whichever ends first.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) seed: u64,
    rounds: u32,
    faults: u64,
    until: Option<Instant>,
    /// More than the few rounds of a run of all tests: a fault may last as long as it does in life.
    pub(crate) is_long: bool,
    /// Items of a round of the flood.
    pub(crate) items: u64,
    /// What alone is fuzzed.
    pub(crate) target: Option<String>,
}

impl Budget {
    /// True while another round may begin.
    pub(crate) fn allows(&self, done: &Outcome) -> bool {
        done.rounds < self.rounds
            && done.faults < self.faults
            && self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// Names of rows, or their numbers alone; empty for all.
    rows: Vec<String>,
    /// Words that a row's name as a test has one of; empty for all.
    filters: Vec<String>,
    /// The names of the filters are whole.
    exact: bool,
    skip: Vec<String>,
    pub(crate) seed: u64,
    /// Rows at once.
    pub(crate) jobs: usize,
    /// As many faults of each row as issue and table aim at, where they name a number.
    aim: bool,
    items: Option<u64>,
    pub(crate) target: Option<String>,
    rounds: Option<u32>,
    faults: Option<u64>,
    seconds: Option<u64>,
    /// File that outcomes are added to, one line of JSON each.
    pub(crate) record: Option<PathBuf>,
    /// Run nothing: print the table of such a file.
    pub(crate) sum: Option<PathBuf>,
    /// `cargo test` asks for the names alone.
    pub(crate) list: bool,
}

impl Args {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self { seed: 1, jobs: 4, ..Self::default() };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            // As make gives them: `--seed=` and `--seed ''` ask for nothing.
            let (word, mut given) = match word.split_once('=') {
                Some((word, value)) => (word.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut value = || given.take().or_else(|| words.next()).filter(|value| !value.is_empty());
            match word.as_str() {
                "--row" => args.rows.extend(value()),
                "--seed" => args.seed = number("--seed", value())?.unwrap_or(args.seed),
                "--jobs" => args.jobs = number("--jobs", value())?.unwrap_or(args.jobs),
                "--rounds" => args.rounds = number("--rounds", value())?,
                "--faults" => args.faults = number("--faults", value())?,
                "--target" => args.target = value(),
                "--items" => args.items = number("--items", value())?,
                "--seconds" => args.seconds = number("--seconds", value())?,
                "--record" => args.record = value().map(PathBuf::from),
                "--sum" => args.sum = value().map(PathBuf::from),
                "--aim" => args.aim = true,
                "--list" => args.list = true,
                "--exact" => args.exact = true,
                "--skip" => args.skip.extend(value()),
                flag if WITH_A_VALUE.contains(&flag) => drop(value()),
                flag if flag.starts_with('-') => {}
                filter => args.filters.push(filter.to_owned()),
            }
        }
        Ok(args)
    }

    /// Names that were asked for and that no row has.
    pub(crate) fn unknown<'a>(&'a self, known: &[&str]) -> Vec<&'a str> {
        let is_known = |name: &&String| known.iter().any(|row| row == name || family(row) == name.as_str());
        self.rows.iter().filter(|name| !is_known(name)).map(String::as_str).collect()
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        let test = format!("row_{row}");
        let meets =
            |filter: &String| if self.exact { test == *filter } else { test.contains(filter.as_str()) };
        (self.rows.is_empty() || self.rows.iter().any(|name| name == row || family(row) == name))
            && (self.filters.is_empty() || self.filters.iter().any(meets))
            && !self.skip.iter().any(meets)
    }

    pub(crate) fn budget(&self, row: &Row) -> Budget {
        let quick = row.quick;
        let faults = self.faults.or_else(|| aim(row.name).filter(|_| self.aim));
        let bounded = self.seconds.is_some() || faults.is_some();
        let rounds = self.rounds.unwrap_or(if bounded { u32::MAX } else { quick });
        let items = self.items.unwrap_or(ITEMS);
        let until = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Budget {
            seed: self.seed,
            rounds,
            faults: faults.unwrap_or(u64::MAX),
            until,
            is_long: bounded,
            items,
            target: self.target.clone(),
        }
    }
}

/// The number of a row of the fault table, without the letter that tells its scenarios apart.
fn family(row: &str) -> &str {
    row.trim_end_matches(|c: char| !c.is_ascii_digit())
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<T>, String> {
    let parsed = value.map(|text| text.parse().map_err(|_| format!("{name} {text}: expected a number")));
    parsed.transpose()
}
