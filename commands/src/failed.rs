//! `groupfold failed`: what could not be read, why, and the way back.
//!
//! Everything is read from the log itself: the stream of failures, and the stream of what settled them. A
//! failure is never deleted; it is settled by a replay or by a person's word.

mod catalog;
mod discard;
mod fate;
mod known;
mod lease;
mod list;
mod preview;
mod raw;
mod replay;
mod show;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use groupfold_schemas::v1::Provider;

use crate::cli::Output;
use crate::data::{Ignores, Run};
use crate::exit::Failure;
use crate::log::{Log, LogReach};
use crate::when;

pub(crate) use catalog::{settled, settled_in_words};

/// What could not be read, why, and the way back.
#[derive(Args, Debug)]
pub(crate) struct FailedArgs {
    #[command(subcommand)]
    verb: FailedVerb,
}

#[derive(Subcommand, Debug)]
enum FailedVerb {
    /// Failures that are not settled, grouped by what is wrong with them
    List(ListArgs),
    /// One failure in words: what was expected where, its JSON, and its fate with this build
    Show(ShowArgs),
    /// The bytes of one failure, as they came; as JSON with the encoding that they are in
    Raw(RawArgs),
    /// Read failures again: a preview, or with --execute the thing itself
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Settle failures without a replay, with a reason: those that are named, or a selection with --execute
    Discard(DiscardArgs),
}

const REPLAY_HELP: &str = "Without --execute nothing is changed: it says what each failure would become and how the state of \
     groups would differ.\nWith it, what can be read is appended to the log under the event id it would have had, and the \
     failure is settled.\nIt can be stopped (Ctrl-C) and started again: what is settled is not replayed twice. Exit codes: \
     0 all settled, 1 some failed again,\n\
     or a selection was refused since what settled failures is missing, 75 stopped, or another replay is running.";

/// Which failures; all that are given must hold.
#[derive(Args, Debug, Clone, Default)]
struct Filter {
    /// Failures of one kind: the fingerprint that `failed list` shows
    #[arg(long, value_name = "F", value_parser = NonEmptyStringValueParser::new())]
    fingerprint: Option<String>,
    /// not_json, malformed_envelope, unknown_object, unknown_field, unknown_type, missing_field,
    /// malformed_field or unreadable_record
    #[arg(long, value_name = "CAUSE", value_parser = cause)]
    cause: Option<String>,
    /// Received at this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or -1h
    #[arg(long, visible_alias = "from", value_name = "TIME", value_parser = when::time_ms, allow_hyphen_values = true)]
    since: Option<i64>,
    /// Received before this time
    #[arg(long, visible_alias = "to", value_name = "TIME", value_parser = when::time_ms, allow_hyphen_values = true)]
    until: Option<i64>,
    /// meta, or unknown: records of the log that tell no provider
    #[arg(long, value_name = "PROVIDER", value_parser = provider)]
    provider: Option<String>,
    /// Of one group
    #[arg(long, value_name = "GROUP_ID", value_parser = NonEmptyStringValueParser::new())]
    group: Option<String>,
}

fn cause(text: &str) -> Result<String, String> {
    use groupfold_schemas::failure::Cause;
    Cause::from_name(text).map(|cause| cause.name().to_owned()).ok_or_else(|| {
        let names: Vec<_> = Cause::ALL.into_iter().map(Cause::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// A typing error finds nothing, which says something else.
fn provider(text: &str) -> Result<String, String> {
    let names = (0..).map_while(|number| Provider::try_from(number).ok()).map(Provider::name);
    let names: Vec<_> = names.collect();
    if names.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected one of {}", names.join(", ")))
    }
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// Every single failure instead of kinds of failures
    #[arg(long)]
    all: bool,
    /// Those that are settled, and how, instead of those that are not
    #[arg(long)]
    resolved: bool,
    #[command(flatten)]
    reach: LogReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Args, Debug)]
struct OneArgs {
    /// The failure's id, or the beginning of it (six digits at least)
    id: String,
    #[command(flatten)]
    reach: LogReach,
}

#[derive(Args, Debug)]
struct RawArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Args, Debug)]
struct ShowArgs {
    #[command(flatten)]
    one: OneArgs,
    #[command(flatten)]
    reading: Reading,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Args, Debug)]
struct ReplayArgs {
    /// Ids of failures, or their beginnings
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All that are not settled
    #[arg(long, conflicts_with_all = ["ids", "fingerprint", "cause", "since", "until", "provider", "group"])]
    all: bool,
    /// Do it; without this it only says what would happen
    #[arg(long)]
    execute: bool,
    /// Do it for a selection though messages are missing that say what is settled: what was discarded by one of them is
    /// appended, too
    #[arg(long, requires = "execute")]
    despite_missing: bool,
    /// Most failures in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    reach: LogReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Args, Debug)]
struct DiscardArgs {
    /// Ids of failures, or their beginnings; or a selection of those that are not settled
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Do it for a selection; without this it only says what would be settled
    #[arg(long, requires = "why")]
    execute: bool,
    /// Why they need no replay, kept with them for ever; what is named by its id is settled at once by this
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    reach: LogReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

/// Whoever left the selection out by mistake does not mean all.
fn no_selection(last: &str) -> Failure {
    Failure::Usage(format!("say which: ids, --fingerprint, --cause, --since, --until, --provider, {last}"))
}

/// How a failure is read again: as the receiver reads now.
#[derive(Args, Debug, Clone, Copy)]
struct Reading {
    /// As the receiver's setting of this name: unless told that of what runs on the data folder, else true
    #[arg(long, value_name = "BOOL")]
    ignore_one_to_one: Option<bool>,
    /// Likewise
    #[arg(long, value_name = "BOOL")]
    ignore_other_fields: Option<bool>,
}

impl Reading {
    /// What would only be counted is settled so, and what the receiver would keep fails again.
    fn ignores(self, reach: &LogReach) -> Result<Ignores, Failure> {
        let here = if reach.url()?.is_some() { None } else { Run::find(&reach.data, "--nats-url").ok() };
        let receiver = here.map(|run| run.ignores).unwrap_or_default();
        Ok(Ignores {
            one_to_one: self.ignore_one_to_one.unwrap_or(receiver.one_to_one),
            other_fields: self.ignore_other_fields.unwrap_or(receiver.other_fields),
        })
    }
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Self { fingerprint, cause, since, until, provider, group } = self;
        [fingerprint, cause, provider, group].into_iter().all(Option::is_none)
            && since.is_none()
            && until.is_none()
    }
}

/// How many failures nothing has settled yet, and when the first of them came (Unix milliseconds).
pub(crate) async fn unresolved(log: &Log) -> Result<(u64, Option<i64>), Failure> {
    let entries = catalog::Catalog::read_quietly(log).await?.entries;
    let open = entries.iter().filter(|entry| entry.resolution.is_none());
    Ok((open.clone().count() as u64, open.map(|entry| entry.first_ms).min()))
}

/// Does what was typed.
pub(crate) async fn run(args: FailedArgs) -> Result<(), Failure> {
    match args.verb {
        FailedVerb::List(args) => list::run(args).await,
        FailedVerb::Show(args) => show::run(args).await,
        FailedVerb::Raw(args) => raw::run(args).await,
        FailedVerb::Replay(args) => replay::run(args).await,
        FailedVerb::Discard(args) => discard::run(args).await,
    }
}
