//! The world around groupfold, for tests: a real nats-server per test, the `groupfold` binary as its users
//! run it, and signed webhooks.
//!
//! ```no_run
//! # use groupfold_tests::{Groupfold, Options, fixture};
//! # async fn a_test() {
//! let groupfold = Groupfold::up(Options::default()).await;
//! let answer = groupfold.post(&fixture("meta/group_status_update-group_suspend.json")).await;
//! assert_eq!(answer.status, 200, "{answer}");
//! # }
//! ```
//!
//! What a test starts is its own: it listens on ports that the system chose, or that no other test takes, keeps its
//! files in a folder of its own, and is gone when the test ends. Nothing waits for a fixed time; everything waits for
//! a condition, and for no longer than a bound.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is test code: what cannot be done ends the test and says why"
)]

pub mod certs;
mod checker;
mod command_line;
mod connection;
mod groupfold;
pub mod http;
pub mod memory;
mod nats;
pub mod numbered;
mod paths;
mod ports;
mod process;
mod provider;
mod proxy;
pub mod receipts;
mod rng;
mod scratch;
pub mod targets;
mod told;
mod wait;
mod webhook;

pub use checker::{Checked, Log, Seen, check_lists, check_log, check_looks, check_state, sum_of};
pub use command_line::{CommandLine, ends};
pub use connection::Connection;
pub use groupfold::{Addresses, Groupfold, Nats, Options};
pub use http::{Answer, shows};
pub use nats::{NatsOptions, NatsServer};
pub use numbered::{History, Load, LoadOptions};
pub use paths::{groupfold_binary, nats_server_binary, workspace};
pub use process::Process;
pub use provider::Provider;
pub use proxy::{Proxy, Way};
pub use rng::Rng;
pub use scratch::Scratch;
pub use told::Told;
pub use wait::wait_until;
pub use webhook::{fixture, fixtures, post, post_signed, sign};

/// Says that something was not tried, and why, past what the harness keeps to itself of tests that pass. On a line of its
/// own, whatever stands there.
pub fn not_run(why: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("\nNOT RUN: {why}\n").as_bytes());
}
