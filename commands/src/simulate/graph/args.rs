//! What can be asked of the served provider.

use std::net::SocketAddr;
use std::time::Duration;

use super::faults::Fault;
use crate::simulate::args::{Secret, duration};

/// The access token of a provider that was given none: no secret of anybody's.
pub(crate) const DEMO_TOKEN: &str = "demo-access-token";

/// How the Graph API of the simulated provider behaves.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct ServeArgs {
    /// Be a provider that takes commands: its Graph API, and /simulator for tests, on this loopback address
    #[arg(long, value_name = "ADDR", conflicts_with = "check")]
    pub(crate) serve: Option<SocketAddr>,
    /// With --serve, also tell the seeded story (--rate, --groups, --events …)
    #[arg(long, requires = "serve")]
    pub(crate) story: bool,
    /// Bearer token that --serve wants [default: demo-access-token]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) access_token: Option<Secret>,
    /// Time from what happens to its webhook, on average
    #[arg(long, default_value = "300ms", value_name = "TIME", value_parser = duration)]
    pub(crate) webhook_delay: Duration,
    /// People who come by themselves into each group that --serve creates
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) joiners: u8,
    /// Time until the first of them comes, and from one to the next, on average
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration)]
    pub(crate) join_after: Duration,
    /// Everybody has read a message after this time
    #[arg(long, default_value = "6s", value_name = "TIME", value_parser = duration)]
    pub(crate) read_within: Duration,
    /// Groups that the number may have
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) groups_max: usize,
    /// Changes to groups in a second, more get 131208; Meta publishes no number; 0 is no limit
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) group_operations_per_s: u32,
    /// Messages in a second, more get 130429; 0 is no limit
    #[arg(long, default_value_t = 80, value_name = "N")]
    pub(crate) messages_per_s: u32,
    // Brackets are no links.
    #[arg(
        help = "What goes wrong, as OPERATION=FAULT[@PERCENT][xTIMES]: create=timeout, any=429@5; see docs/simulator.md",
        long,
        value_name = "FAULT"
    )]
    pub(crate) fault: Vec<Fault>,
}

impl ServeArgs {
    pub(super) fn token(&self) -> &str {
        self.access_token.as_ref().map_or(DEMO_TOKEN, Secret::expose)
    }
}
