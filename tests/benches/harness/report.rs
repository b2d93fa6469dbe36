//! What was found: measurements, and what they say of the aims.

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::figures::{Line, Spread};
use crate::machine::{self, Machine};

/// All of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) aims: Vec<Aim>,
    /// Lines that belong beside the tables.
    pub(crate) notes: Vec<String>,
    pub(crate) fits: Vec<Fit>,
}

/// One contestant under one condition, over all rounds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) part: String,
    pub(crate) condition: String,
    pub(crate) durability: String,
    pub(crate) who: String,
    pub(crate) unit: String,
    pub(crate) rate: Option<Spread>,
    pub(crate) p50_ms: Option<Spread>,
    pub(crate) p99_ms: Option<Spread>,
    /// CPU time of its process and of the broker, microseconds per item.
    pub(crate) cpu_own_us: Option<Spread>,
    pub(crate) cpu_broker_us: Option<Spread>,
    /// Memory at the end of the last round.
    pub(crate) rss_mib: Option<f64>,
    /// Items acknowledged, and items that the log took.
    pub(crate) acknowledged: Option<u64>,
    pub(crate) landed: Option<u64>,
    /// Why it counts for nothing.
    pub(crate) void: Option<String>,
}

/// One figure and what is wanted of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Aim {
    pub(crate) aim: u8,
    pub(crate) what: String,
    pub(crate) durability: String,
    pub(crate) found: Option<Spread>,
    pub(crate) wanted: Wanted,
    pub(crate) verdict: Verdict,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Met,
    NotMet,
    /// A row that it needs counts for nothing.
    Void,
    /// It is wanted of so many events, and the run had fewer: what is found is for the most part start and end.
    SmallRun(u64),
}

impl Aim {
    /// It is wanted of so many events; a run of fewer says neither that it is met nor that it is not.
    pub(crate) fn of_events(&mut self, wanted: u64, had: u64) {
        if had < wanted && self.verdict != Verdict::Void {
            self.verdict = Verdict::SmallRun(wanted);
        }
    }
}

/// How time grows with size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fit {
    pub(crate) what: String,
    /// Events and seconds.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) line: Option<Line>,
}

impl Report {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            machine: Machine::here(args),
            rounds: args.rounds(),
            measurements: Vec::new(),
            aims: Vec::new(),
            notes: Vec::new(),
            fits: Vec::new(),
        }
    }

    /// Adds what was found for an aim. Nothing found, or a void row below it: the aim is void too.
    pub(crate) fn aim(
        &mut self,
        aim: u8,
        what: &str,
        durability: &str,
        found: Option<Spread>,
        wanted: Wanted,
    ) -> &mut Aim {
        let verdict = match (found, wanted) {
            (None, _) => Verdict::Void,
            (Some(found), Wanted::AtLeast(bound)) if found.median >= bound => Verdict::Met,
            (Some(found), Wanted::AtMost(bound)) if found.median <= bound => Verdict::Met,
            _ => Verdict::NotMet,
        };
        let (what, durability) = (what.to_owned(), durability.to_owned());
        self.aims.push_mut(Aim { aim, what, durability, found, wanted, verdict })
    }

    /// Takes note of the load at the end.
    pub(crate) fn end(&mut self) {
        self.machine.load_after = machine::load();
        self.aims.sort_by_key(|aim| aim.aim);
    }
}
