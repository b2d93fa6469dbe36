//! What can be typed.

use clap::builder::{OsStr, Resettable};
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::config::Flags;
use crate::events::EventsArgs;
use crate::failed::FailedArgs;
use crate::group::GroupArgs;
use crate::replay::ReplayArgs;
use crate::simulate::SimulateVerb;
use crate::{audit, check, config, doctor, provision, up, why};

/// Dependable WhatsApp group webhooks: verified, logged in NATS JetStream, folded into state you can query.
#[derive(Parser, Debug)]
#[command(
    name = "groupfold",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 fine, 1 failed, 2 usage, 3 a check found something, 69 a dependency is missing, \
                  75 try again.\nEvery setting is a flag, a GROUPFOLD_* variable and a line of the --config file, \
                  in this order of precedence; `groupfold config show` tells what holds and why."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Cli {
    /// What was typed, and what variables say of the flags that have one.
    pub(crate) fn typed() -> Self {
        let mut command = heard(Self::command());
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// Flags do not look at variables that do not count.
fn heard(command: Command) -> Command {
    let flags = |arg: Arg| {
        let name = arg.get_env().and_then(std::ffi::OsStr::to_str);
        // What is no text is for whoever reads it to take or refuse.
        let text = name.and_then(|name| Some((name, std::env::var(name).ok()?)));
        let is_heard = text.is_none_or(|(name, text)| config::counts(name, &text));
        if is_heard { arg } else { arg.env(Resettable::<OsStr>::Reset) }
    };
    command.mut_args(flags).mut_subcommands(heard)
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Everything in one process, plus a nats-server of its own
    Up(up::UpArgs),
    /// The receiver alone: webhooks into the log
    Ingest(Flags),
    /// One projector alone: the log into state, and the query API
    Project(Flags),
    /// Create the streams, or check the ones that are there
    Provision(provision::ProvisionArgs),
    /// Read the state of groups, ask a group to change, say who may see and command it
    Group(GroupArgs),
    /// The event stream: follow it, or write it to files
    Events(EventsArgs),
    /// Past events to somebody else, in order: an endpoint (with --secret signed), or a subject
    Replay(Box<ReplayArgs>),
    /// What could not be read: list, show, raw, replay, discard
    Failed(FailedArgs),
    /// The fate of one webhook, event, message or command, from the door to the state
    Why(why::WhyArgs),
    /// Do the fates add up? Receivers' counts, streams and stores compared
    Audit(audit::AuditArgs),
    /// Go on without messages that the log lost for good
    AcceptLoss(crate::loss::AcceptLossArgs),
    /// Count deliveries, billable and free
    Usage(crate::usage::UsageArgs),
    /// Groups that were there before: list the provider's, and take them in
    Import(Box<crate::reconcile::ImportArgs>),
    /// Read groups from the provider, compare them with the projection, append what was missed
    Reconcile(Box<crate::reconcile::ReconcileArgs>),
    /// Fold stores anew from the log beside the live ones, compare, swap
    Rebuild(crate::rebuild::RebuildArgs),
    /// Fold the log anew and compare it with what is served
    Verify(crate::verify::VerifyArgs),
    /// A seeded provider: signed webhooks with duplicates, reorder, retries and bad items
    Simulate(Box<SimulateVerb>),
    /// Look at broker, streams, store, settings, disk and clock: what is wrong, and the command that mends it
    Doctor(doctor::DoctorArgs),
    /// One number against two bounds, for a monitor: lag, failed, stalled
    Check(check::CheckArgs),
    /// Tokens of the API: make one, hash one
    Token(crate::token::TokenArgs),
    /// Check or show the settings that hold
    Config(config::ConfigArgs),
    /// A script by which bash, zsh or fish completes what is typed
    Completions(crate::completions::CompletionsArgs),
}

/// How to print.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For scripts
    Json,
}
