//! The rows of the fault table, by number.

mod hindrances;
mod kills;

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
}

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row!("1a", "kill -9 of the receiver at random", 3, kills::receiver),
    row!("1b", "receiver dies between two steps of an append", 4, kills::receiver_at_points),
    row!("2a", "kill -9 of the projector at random", 3, kills::projector),
    row!("2b", "projector dies between two steps of a commit", 9, kills::projector_at_points),
    row!("3", "kill -9 of nats-server at random", 3, kills::broker),
    row!("5", "SIGSTOP of receiver, projector or nats-server", 3, hindrances::pauses),
    row!(
        "6",
        "reset, stall, half-open, lost PubAck between receiver and nats-server",
        4,
        hindrances::network
    ),
];
