//! The fault table: each row a scenario against the real binary, a real nats-server and real files, with numbered
//! webhooks. `make test` runs each row a few rounds; `make chaos ROW=2a ROUNDS=1000 SEED=7` runs one for longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is test code: what cannot be done ends the row and says why"
)]

mod args;
mod disk;
mod outcome;
mod record;
mod rows;
mod table;
mod world;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use args::Args;
use outcome::Outcome;
use rows::{ROWS, Row};

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => return refused(&why),
    };
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    if let [unknown, ..] = args.unknown(&names)[..] {
        return refused(&format!("no row {unknown}; there are {}", names.join(", ")));
    }
    if let Some(target) = args.target.as_deref().filter(|target| !rows::targets().any(|one| one == *target)) {
        let known: Vec<&str> = rows::targets().collect();
        return refused(&format!("nothing of the name {target} is fuzzed; there are {}", known.join(", ")));
    }
    let mut wanted: Vec<&Row> = ROWS.iter().filter(|row| args.wants(row.name)).collect();
    if let Some(file) = &args.sum {
        table::print(&record::sum(file), args.seed);
        return ExitCode::SUCCESS;
    }
    if args.list {
        wanted.iter().for_each(|row| println!("row_{}: test", row.name));
        return ExitCode::SUCCESS;
    }
    if wanted.is_empty() {
        println!("no row meets the filter");
        return ExitCode::SUCCESS;
    }
    println!("{} row(s) of the fault table, seed {}", wanted.len(), args.seed);
    // Those of many rounds take longest: one that began last would run on alone.
    wanted.sort_by_key(|row| Reverse(row.quick));
    let left = Mutex::new(VecDeque::from(wanted));
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(row) = left.lock().expect("nobody panics with it").pop_front() else { return };
                    let begun = Instant::now();
                    let outcome = run(row, &args);
                    let (rounds, faults) = (outcome.rounds, outcome.faults);
                    let time = begun.elapsed();
                    println!("row {}: {faults} fault(s) in {rounds} round(s) in {time:.1?}", row.name);
                    if let Some(file) = &args.record {
                        record::append(file, row, args.seed, &outcome);
                    }
                    done.lock().expect("nobody panics with it").push((row, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(row, _)| ROWS.iter().position(|one| one.name == row.name));
    table::print(&done, args.seed);
    let broken = done.iter().any(|(row, outcome)| !outcome.is_as_it_must(row.control));
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn refused(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(2)
}

/// A row has a thread and a runtime of its own; what ends it by a panic is a violation.
fn run(row: &Row, args: &Args) -> Outcome {
    let budget = args.budget(row);
    let thread = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on((row.run)(budget))
        });
        worker.join()
    });
    thread.unwrap_or_else(|panic| {
        let mut outcome = Outcome::default();
        outcome.ended_early(panic.as_ref());
        outcome
    })
}
