//! What can be asked of the harness.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::bed::Mode;

/// groupfold against the least that could do the same job, in turn, on one broker and one disk.
#[derive(Parser, Debug)]
#[command(name = "groupfold-bench", max_term_width = 110)]
pub(crate) struct Args {
    /// Few rows, short and small: under two minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// A hundredth of that: does the harness work? Its figures mean nothing
    #[arg(long, conflicts_with = "quick")]
    pub(crate) smoke: bool,
    /// These parts alone
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    pub(crate) only: Vec<Part>,
    /// This durability alone
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Connections of the door's rows, instead of the aims' own
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(crate) connections: Vec<usize>,
    /// Items per POST of the door's rows, instead of 1 and 100
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(crate) items: Vec<usize>,
    /// Rounds: in each, everyone has a turn
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Length of a turn at the door, in seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// Events of the log that is read, folded and exported
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// The groupfold to measure; absent: the one beside this program
    #[arg(long, value_name = "PATH")]
    groupfold: Option<PathBuf>,
    /// Further settings of its receiver, as NAME=VALUE of its environment
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) setting: Vec<String>,
    /// A Vector to measure beside it
    #[arg(long, env = "VECTOR", value_name = "PATH", value_parser = given)]
    pub(crate) vector: Option<PathBuf>,
    /// A Redpanda Connect to measure beside it
    #[arg(long, env = "RPCONNECT", value_name = "PATH", value_parser = given)]
    pub(crate) rpconnect: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    /// Keep the report here as JSON too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// An earlier report, to be compared with
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
}

/// How to print.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For scripts
    Json,
}

/// What is measured.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Aims 1 to 3: webhooks into the log
    Door,
    /// Aim 3: the receiver's memory, webhook after webhook
    Memory,
    /// Aim 4: the live projector
    CatchUp,
    /// Aims 5 and 6: stores folded anew, and their size
    Rebuild,
    /// Aim 7: the query API
    Reads,
    /// Aim 8: files
    Export,
}

impl Args {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn wants_mode(&self, mode: Mode) -> bool {
        self.mode.is_none_or(|wanted| wanted == mode)
    }

    /// One of three, by how much is asked for.
    pub(crate) fn sized<T>(&self, smoke: T, quick: T, full: T) -> T {
        match (self.smoke, self.quick) {
            (true, _) => smoke,
            (_, true) => quick,
            _ => full,
        }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(self.sized(1, 2, 3)).max(1)
    }

    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(self.sized(0.2, 1.0, 4.0)))
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.unwrap_or(self.sized(1_000, 60_000, 1_000_000))
    }

    /// Webhooks over which the receiver's memory is to stay as it is.
    pub(crate) fn webhooks(&self) -> u64 {
        self.sized(1_000, 50_000, 1_000_000)
    }

    /// Groups that the events are about.
    pub(crate) fn groups(&self) -> u64 {
        self.sized(50, 1_000, 1_000)
    }

    /// Events that the projector is behind when it is asked while it catches up.
    pub(crate) fn backlog(&self) -> u64 {
        // More than can be folded within the two turns.
        let some = self.turn().as_secs() * 200_000;
        self.sized(1_000, some, some)
    }

    /// The program that is measured.
    pub(crate) fn groupfold(&self) -> PathBuf {
        self.groupfold.clone().unwrap_or_else(|| beside("groupfold"))
    }
}

/// A program of the same build as this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let path = own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(Path::is_file(&path), "{} is not there: build it, or name another by a flag", path.display());
    path
}

/// `make` hands over what was not given as an empty text.
fn given(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.is_empty() || path.is_file() { Ok(path) } else { Err("no such file".to_owned()) }
}
