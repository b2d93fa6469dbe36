//! The tests of the world that need nothing but the fold, as a test of the fold itself: built and run in seconds, for
//! each of the mutants that `tests/mutants/run` makes. Nothing else builds this file.
#![allow(
    dead_code,
    unused,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, and some of it is for others"
)]

extern crate self as groupfold_tests;

mod fold_laws;
mod golden;
mod oracle;
#[path = "../src/rng.rs"]
mod rng;

pub use rng::Rng;
