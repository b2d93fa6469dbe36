//! What groupfold is measured against: the least that could do each job. Small on purpose, and nobody's product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot be made ends and says why"
)]

mod consumer;
mod door;
mod fsync;
mod json;
mod publish;
mod serve;

use clap::Parser;

/// The least that could do each job.
#[derive(Parser, Debug)]
#[command(name = "groupfold-reference")]
enum Reference {
    /// Bare hyper: one JetStream publish per POST, 200 once it is acknowledged; nothing checked or parsed
    Door(door::Args),
    /// Bare pull consumers: reads streams to their ends and counts
    Consumer(consumer::Args),
    /// Bare hyper: answers any GET with a JSON document, printed anew each time
    Json(json::Args),
    /// JetStream publishing without HTTP
    Publish(publish::Args),
    /// One file, one fdatasync per write
    Fsync(fsync::Args),
}

fn main() {
    let reference = Reference::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match reference {
            Reference::Door(args) => door::run(args).await,
            Reference::Consumer(args) => consumer::run(args).await,
            Reference::Json(args) => json::run(args).await,
            Reference::Publish(args) => publish::run(args).await,
            Reference::Fsync(args) => fsync::run(&args),
        }
    });
}
