//! `make bench`: groupfold and the least that could do the same job, in turn, on one broker and one disk.
//!
//! Every figure names the durability it was measured under, and counts only if what was acknowledged is in the
//! log. Absolute figures are the machine's; the ratios are the result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that cannot be made ends and says why"
)]

mod args;
mod bed;
mod child;
mod doors;
mod figures;
mod latency;
mod ledger;
mod load;
mod log;
mod machine;
mod print;
mod process;
mod report;

use clap::Parser;

use crate::args::{Args, Part};
use crate::bed::Mode;
use crate::report::Report;

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(measure(&args));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report).expect("a report prints"))
            .expect("the report is kept");
    }
    let earlier = args.compare.as_ref().map(|path| {
        let bytes = std::fs::read(path).expect("the earlier report can be read");
        serde_json::from_slice(&bytes).expect("it is a report")
    });
    print::report(&report, earlier.as_ref(), args.output);
}

async fn measure(args: &Args) -> Report {
    let mut report = Report::new(args);
    for mode in [Mode::PageCache, Mode::Fsync] {
        if args.wants(Part::Door) && args.wants_mode(mode) {
            doors::measure(args, mode, &mut report).await;
        }
    }
    if args.wants(Part::Memory) && args.wants_mode(Mode::PageCache) {
        doors::memory::measure(args, &mut report).await;
    }
    let of_the_ledger = [Part::CatchUp, Part::Rebuild, Part::Reads, Part::Export];
    if of_the_ledger.into_iter().any(|part| args.wants(part)) && args.wants_mode(Mode::PageCache) {
        ledger::measure(args, &mut report).await;
    }
    report.end();
    report
}
