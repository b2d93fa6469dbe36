//! The fault table, filled.

use std::time::Duration;

use crate::outcome::Outcome;
use crate::rows::Row;

const HEAD: [&str; 10] = [
    "row",
    "fault",
    "rounds",
    "faults",
    "acknowledged",
    "lost",
    "twice",
    "wrong",
    "recovery p50 / p99",
    "again",
];

/// Prints the rows as one table, and under it what was broken and what was not run.
pub(crate) fn print(done: &[(&Row, Outcome)], seed: u64) {
    let lines: Vec<[String; 10]> = done.iter().map(|(row, outcome)| line(row, outcome, seed)).collect();
    let widths: [usize; 10] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).chain([HEAD[column].len()]).max().unwrap_or(0)
    });
    print_line(&HEAD.map(str::to_owned), &widths);
    print_line(&widths.map(|width| "-".repeat(width)), &widths);
    for line in &lines {
        print_line(line, &widths);
    }
    println!();
    for (row, outcome) in done {
        if let Some(why) = &outcome.not_run {
            println!("NOT RUN: row {} ({}): {why}", row.name, row.fault);
        }
        if let (messages @ 1.., in_batches) = outcome.messages {
            println!("row {}: {in_batches} of {messages} messages came in atomic batches", row.name);
        }
        if outcome.changes > 0 {
            println!("row {}: {} changes were published, and told anew", row.name, outcome.changes);
        }
        for note in &outcome.notes {
            println!("row {}: {note}", row.name);
        }
        for violation in &outcome.violations {
            println!("BROKEN: row {}: {violation}", row.name);
        }
        if outcome.rounds == 0 && outcome.not_run.is_none() {
            println!("BROKEN: row {}: no round came to its end", row.name);
        } else if row.control && !outcome.is_as_it_must(true) {
            println!("CONTROL PASSED: row {} must lose something, else its row proves nothing", row.name);
        }
    }
}

fn line(row: &Row, outcome: &Outcome, seed: u64) -> [String; 10] {
    let again = format!("make chaos ROW={} SEED={seed} ROUNDS={}", row.name, outcome.rounds.max(1));
    let fault = if row.control { format!("{} (must lose)", row.fault) } else { row.fault.to_owned() };
    if outcome.not_run.is_some() {
        let mut line = [const { String::new() }; 10];
        (line[0], line[1], line[2], line[9]) = (row.name.to_owned(), fault, "NOT RUN".to_owned(), again);
        return line;
    }
    let at = |share| outcome.recovery_at(share).map_or_else(|| "-".to_owned(), time);
    [
        row.name.to_owned(),
        fault,
        outcome.rounds.to_string(),
        outcome.faults.to_string(),
        format!("{} (+{} unknown, {} rejected)", outcome.acknowledged, outcome.unknown, outcome.rejected),
        outcome.lost.to_string(),
        outcome.twice.to_string(),
        outcome.wrong.to_string(),
        format!("{} / {}", at(0.5), at(0.99)),
        again,
    ]
}

fn print_line(cells: &[String; 10], widths: &[usize; 10]) {
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    println!("| {} |", padded.collect::<Vec<_>>().join(" | "));
}

fn time(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 10_000 { format!("{ms} ms") } else { format!("{:.1} s", duration.as_secs_f64()) }
}
