//! The provider of a demo: a simulated WhatsApp that tells the receiver beside it of groups, and takes all commands.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{Client, PAGE};
use crate::cli::{Cli, Verb};
use crate::config::Config;
use crate::exit::Failure;
use crate::{health, pipeline, simulate};

/// How long a projector that starts is waited for, before its groups are asked for.
const READY_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The Graph API of the simulated provider.
pub(crate) struct Demo {
    listener: TcpListener,
    pub(crate) graph_url: String,
}

impl Demo {
    /// Turns all commands to it: nothing of a demo reaches a real provider, whatever the settings say.
    pub(crate) async fn bind(config: &mut Config) -> Result<Self, Failure> {
        let (listener, addr) = pipeline::bind("demo", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let graph_url = format!("http://{addr}/v25.0");
        config.provider.turn_to(&graph_url, simulate::DEMO_TOKEN)?;
        Ok(Self { listener, graph_url })
    }

    /// Lives until told to stop. Calls that come before the groups of before are back wait.
    pub(crate) fn run(
        self,
        config: &Config,
        webhook_addr: SocketAddr,
        api: Client,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let secret = config.meta_app_secrets.first().cloned().unwrap_or_default();
        async move {
            let Some(mut args) = arguments(webhook_addr, &secret) else {
                return tracing::error!("the demo's own arguments do not parse");
            };
            let before = tokio::select! {
                () = stop.cancelled() => return,
                before = groups_of_before(&api, &args.phone_number_id) => before,
            };
            args.before = before.unwrap_or_else(|error| {
                tracing::warn!(%error, "the simulated provider does not know the groups of a run before");
                Vec::new()
            });
            if let Err(error) = simulate::run(args, Some(self.listener), stop).await {
                tracing::error!(%error, "the simulated provider ended");
            }
        }
    }
}

/// All groups that the number had, as the projection has them: what is in the log at the start is waited for.
async fn groups_of_before(api: &Client, phone_number_id: &str) -> Result<Vec<Value>, Failure> {
    let ready = async {
        while !health::readiness(api).await.is_ok_and(|ready| ready.reasons.is_empty()) {
            sleep(LOOK_EVERY).await;
        }
    };
    // A partition that has stopped is never ready; what the others have is there.
    let _ = timeout(READY_MAX, ready).await;
    let mut groups = Vec::new();
    let query = [("phone_number_id", Some(phone_number_id.to_owned())), ("limit", Some(PAGE.to_owned()))];
    let page = |page: &Value| groups.extend(page["groups"].as_array().into_iter().flatten().cloned());
    api.pages(&["v1", "groups"], &query, (usize::MAX, Duration::ZERO), page).await?;
    Ok(groups)
}

fn arguments(webhook_addr: SocketAddr, secret: &str) -> Option<simulate::SimulateArgs> {
    let webhook_url = format!("http://{webhook_addr}/webhooks/meta");
    // A new run tells a new story, under an account of its own: what the log holds is never told again with other facts.
    let now = jiff::Timestamp::now().as_second().to_string();
    let words = [
        "groupfold",
        "simulate",
        "--quiet",
        "--serve",
        "127.0.0.1:0",
        "--story",
        "--access-token",
        simulate::DEMO_TOKEN,
        "--url",
        &webhook_url,
        "--app-secret",
        secret,
        "--seed",
        &now,
        "--start-time",
        &now,
        "--rate",
        "5",
        "--pace",
        "0.2",
        "--groups",
        "5",
        "--duplicates",
        "5",
        "--reorder",
        "5",
        "--bad",
        "0.5",
        "--wrong-signatures",
        "0.5",
    ];
    match Cli::try_parse_from(words) {
        Ok(Cli { verb: Verb::Simulate(args), .. }) => Some(args.simulate),
        _ => None,
    }
}
