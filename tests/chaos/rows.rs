//! The rows of the fault table, by number.

mod flood;
mod fuzz;
mod hindrances;
mod kills;
mod logs;
mod power;
mod shortage;
mod stores;
mod stories;
mod supervised;

use std::pin::Pin;

use crate::args::Budget;
use crate::outcome::Outcome;

type Run = fn(Budget) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// One scenario of the table.
pub(crate) struct Row {
    /// Number in the table, and a letter where it has several scenarios.
    pub(crate) name: &'static str,
    pub(crate) fault: &'static str,
    /// Rounds in a run of all tests.
    pub(crate) quick: u32,
    /// True if it leaves out what its row relies on, and so must lose something.
    pub(crate) control: bool,
    pub(crate) run: Run,
}

macro_rules! row {
    ($name:literal, $fault:literal, $quick:literal, $run:path) => {
        Row {
            name: $name,
            fault: $fault,
            quick: $quick,
            control: false,
            run: |budget| Box::pin($run(budget)),
        }
    };
    ($name:literal, $fault:literal, $quick:literal, $run:path, must lose) => {
        Row { name: $name, fault: $fault, quick: $quick, control: true, run: |budget| Box::pin($run(budget)) }
    };
}

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row!("1a", "kill -9 of the receiver at random", 2, kills::receiver),
    row!("1b", "receiver dies between two steps of an append", 4, kills::receiver_at_points),
    row!("2a", "kill -9 of the projector at random", 2, kills::projector),
    row!("2b", "projector dies between two steps of a commit", 11, kills::projector_at_points),
    row!("3a", "kill -9 of nats-server at random", 2, kills::broker),
    row!("3b", "nats-server away for minutes (in `make test` for seconds)", 1, shortage::away),
    row!("4a", "power cut of the broker's disk", 2, power::broker),
    row!("4b", "the same with nats-server's own sync_interval", 1, power::broker_without_sync, must lose),
    row!("4c", "power cut of the projector's disk", 2, power::store),
    row!("4d", "the same with the database's flush alone", 2, power::store_without_sync, must lose),
    row!("5", "SIGSTOP of receiver, projector or nats-server", 3, hindrances::pauses),
    row!(
        "6",
        "reset, stall, half-open, lost PubAck between receiver and nats-server",
        4,
        hindrances::network
    ),
    row!("7a", "log's disk full, nobody restarts anything", 1, supervised::log_full),
    row!("7b", "store's disk full", 1, shortage::store_full),
    row!("7c", "streams at max_bytes", 1, shortage::at_max_bytes),
    row!("7d", "log's disk slow", 1, shortage::log_slow),
    row!("7e", "store's disk slow", 1, shortage::store_slow),
    row!("8a", "1 to 50 % duplicates, also after a restart", 1, stories::repeated),
    row!("8b", "a flood of items, duplicates and shuffled ones among them", 1, flood::flood),
    row!("9", "20 to 60 % of POSTs late", 1, stories::shuffled),
    row!("10", "1 to 5 % unreadable items", 1, stories::unreadable),
    row!("11a", "a bit of a store's file flipped, or the file cut", 3, stores::flipped),
    row!("11b", "a bit of a stream's file flipped", 1, logs::flipped),
    row!("12", "stream recreated, or restored from an older copy", 3, logs::another),
    row!("13", "two projectors on one store", 2, stores::two_at_once),
    row!("14", "rebuild dies between two steps, is resumed, swaps under load", 8, stores::rebuilt),
    row!("15", "three times as many senders as places, slow and endless bodies", 1, shortage::overload),
    row!("16a", "fuzz: bodies, headers, records, entries, subjects, cursors, requests", 3, fuzz::parsers),
    row!("16b", "fuzz over HTTP: bodies, signatures, paths, queries, cursors", 2, fuzz::over_http),
];

pub(crate) use fuzz::targets;

/// Faults of a row in a run that is to say how rarely it might not hold: 1,000 kills of each process, 200 power cuts of
/// each disk, 1,000 pauses, 1,000 faults of the network, 500 flipped bits. The other rows make no count of faults.
pub(crate) fn aim(row: &str) -> Option<u64> {
    match row {
        "1a" | "1b" | "2a" | "2b" => Some(500),
        "3a" | "5" | "6" => Some(1_000),
        "4a" | "4c" => Some(200),
        "11a" | "11b" => Some(250),
        _ => None,
    }
}
