//! The tests of the whole, in one binary so that they are linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is test code: what cannot be done ends the test and says why"
)]

mod append;
mod attacks;
mod between;
mod broker;
mod codegen;
mod commands;
mod consumers;
mod consuming;
mod deploy;
mod doctor;
mod door;
mod endpoint;
mod events;
mod failed;
mod families;
mod fates;
mod faults;
mod feed;
mod fold_laws;
mod gather;
mod golden;
mod graph;
mod hook;
mod laws;
mod life;
mod lost;
mod model;
mod openapi;
mod oracle;
mod permissions;
mod plain;
mod platform;
mod reach;
mod readme;
mod rebuild;
mod reconcile;
mod reload;
mod secrets;
mod security;
mod settings;
mod simulated;
mod start;
mod supply;
mod tenants;
mod tidy;
mod time_travel;
mod tls;
mod transcript;
mod unlogged;
mod usage;
mod vanished;
