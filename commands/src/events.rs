//! `groupfold events`: the log as a stream of events, for people, files and programs.

mod alias;
mod catalogue;
pub(crate) mod data;
mod export;
mod json;
pub(crate) mod reader;
mod redact;
pub(crate) mod row;
pub(crate) mod same;
pub(crate) mod select;
pub(crate) mod shape;
mod tail;

use clap::{Arg, Args, Subcommand};

use crate::exit::Failure;

/// The event stream: follow it, or write it to files.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    verb: EventsVerb,
}

#[derive(Subcommand, Debug)]
enum EventsVerb {
    /// Print events, of the last 15 minutes without --from: lines on a terminal, JSON lines in a pipe
    #[command(mut_arg("until", to))]
    Tail(tail::TailArgs),
    /// Write events to a file, with a manifest beside it, or to stdout
    #[command(mut_arg("until", to))]
    Export(Box<export::ExportArgs>),
    /// Every kind of event and what it says, as Markdown; with --out also as JSON Schemas
    Catalogue(catalogue::CatalogueArgs),
}

/// Of a range, `--to` is its end; of a replay it is where to.
fn to(until: Arg) -> Arg {
    until.visible_alias("to")
}

/// Runs one of them.
pub(crate) async fn run(args: EventsArgs) -> Result<(), Failure> {
    match args.verb {
        EventsVerb::Tail(args) => tail::run(args).await,
        EventsVerb::Export(args) => export::run(*args).await,
        EventsVerb::Catalogue(args) => catalogue::run(&args),
    }
}
