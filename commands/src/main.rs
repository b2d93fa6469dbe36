//! `groupfold`: dependable WhatsApp group webhooks, from a signed POST to queryable state.
//!
//! This file is the table of contents; each verb has a room of its own.

mod api;
mod audit;
mod beside;
mod broker;
mod check;
mod cli;
mod completions;
mod config;
mod crash;
mod data;
mod desk;
mod doctor;
mod events;
mod exit;
mod failed;
mod group;
mod health;
mod http;
mod limits;
mod link;
mod lock;
mod log;
mod loss;
mod operate;
mod pipeline;
mod print;
mod process;
mod progress;
mod provider;
mod provision;
mod rebuild;
mod reconcile;
mod redact;
mod reload;
mod replay;
mod serve;
mod simulate;
mod telemetry;
mod tls;
mod token;
mod up;
mod usage;
mod verify;
mod when;
mod why;

use crate::cli::{Cli, Verb};

/// A fold and a door of many small values: with the system's allocator a quarter more processor time for each event, and
/// memory of a rebuild that is not given back (docs/PERFORMANCE.md). Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    let cli = Cli::typed();
    if let Err(failure) = crash::arm() {
        return exit::code(Err(failure));
    }
    // What is created holds phone numbers: for its owner alone, whatever the folder's own mode is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    redact::panics();
    // Both TLS libraries of the tree are built on ring; say so once, for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(exit::Failure::runtime)
        .and_then(|runtime| runtime.block_on(run(cli)));
    exit::code(outcome)
}

async fn run(cli: Cli) -> Result<(), exit::Failure> {
    match cli.verb {
        Verb::Up(args) => up::run(args).await,
        Verb::Ingest(flags) => serve::ingest(flags).await,
        Verb::Project(flags) => serve::project(flags).await,
        Verb::Provision(args) => provision::run(args).await,
        Verb::Why(args) => why::run(args).await,
        Verb::Audit(args) => audit::run(args).await,
        Verb::AcceptLoss(args) => loss::run(args).await,
        Verb::Failed(args) => failed::run(args).await,
        Verb::Group(args) => group::run(args).await,
        Verb::Usage(args) => usage::run(args).await,
        Verb::Events(args) => events::run(args).await,
        Verb::Replay(args) => replay::run(*args).await,
        Verb::Import(args) => reconcile::import(*args).await,
        Verb::Reconcile(args) => reconcile::run(*args).await,
        Verb::Rebuild(args) => rebuild::run(args).await,
        Verb::Verify(args) => verify::run(args).await,
        Verb::Simulate(args) => simulate::verb(*args).await,
        Verb::Doctor(args) => doctor::run(args).await,
        Verb::Check(args) => check::run(args).await,
        Verb::Token(args) => token::run(args),
        Verb::Config(args) => config::run(args),
        Verb::Completions(args) => completions::run(&args),
    }
}
