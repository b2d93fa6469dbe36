//! Outcomes on file, so that runs of many hours and seeds add up to one table.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::rows::{ROWS, Row};

/// Adds a line of JSON.
pub(crate) fn append(file: &Path, row: &Row, seed: u64, outcome: &Outcome) {
    let line = json!({
        "row": row.name, "seed": seed, "rounds": outcome.rounds, "faults": outcome.faults,
        "acknowledged": outcome.acknowledged, "unknown": outcome.unknown, "rejected": outcome.rejected,
        "lost": outcome.lost, "twice": outcome.twice, "wrong": outcome.wrong,
        "recovery_ms": outcome.recovery.iter().map(Duration::as_millis).map(|ms| ms as u64).collect::<Vec<_>>(),
        "ended_early": outcome.ended_early, "violations": outcome.violations, "notes": outcome.notes, "not_run": outcome.not_run,
    });
    let mut file =
        std::fs::File::options().create(true).append(true).open(file).expect("the record can be opened");
    writeln!(file, "{line}").expect("the record can be written");
}

/// All rows of a record, each added up.
pub(crate) fn sum(file: &Path) -> Vec<(&'static Row, Outcome)> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let of = |row: &'static Row| {
        let lines: Vec<&Value> = lines.iter().filter(|line| line["row"] == row.name).collect();
        (!lines.is_empty()).then(|| (row, added_up(&lines)))
    };
    ROWS.iter().filter_map(of).collect()
}

fn added_up(lines: &[&Value]) -> Outcome {
    let total = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    let texts = |name: &str| {
        let all = lines.iter().flat_map(|line| line[name].as_array().into_iter().flatten());
        all.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let times = lines.iter().flat_map(|line| line["recovery_ms"].as_array().into_iter().flatten());
    let mut outcome = Outcome {
        rounds: total("rounds").try_into().unwrap_or(u32::MAX),
        faults: total("faults"),
        acknowledged: total("acknowledged"),
        unknown: total("unknown"),
        rejected: total("rejected"),
        lost: total("lost"),
        twice: total("twice"),
        wrong: total("wrong"),
        ended_early: total("ended_early").try_into().unwrap_or(u32::MAX),
        recovery: times.filter_map(Value::as_u64).map(Duration::from_millis).collect(),
        ..Outcome::default()
    };
    texts("violations").into_iter().for_each(|what| outcome.violation(what));
    texts("notes").into_iter().for_each(|what| outcome.note(what));
    outcome
}
