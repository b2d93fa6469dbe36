//! A seeded provider over real HTTP: groups that live, told by webhooks that are escaped and signed as Meta
//! does, with the duplicates, disorder and damage of a real one.
//!
//! Payloads are written from the wire document alone, with none of the project's own types, so that the
//! simulator is an independent voice: what it believes in the end ([`truth`]) can be held against what the
//! query API says ([`compare`]).

mod args;
mod bad;
mod compare;
mod deliver;
mod dice;
mod graph;
mod ids;
mod numbers;
mod people;
mod plan;
mod report;
mod truth;
mod verb;
mod wire;
mod world;

use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use args::{Secret, SimulateArgs};
pub(crate) use graph::DEMO_TOKEN;
use report::Report;
pub(crate) use verb::{SimulateVerb, verb};
pub(crate) use wire::signature;

use plan::Plan;

/// Why a simulation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody told where to post.
    #[error("no webhook address: start `groupfold up`, or name one with --url")]
    NoUrl,
    /// Nobody told what to sign with.
    #[error("there is no app secret to sign with")]
    NoSecret,
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The receiver will never take it.
    #[error("the receiver answers {status}: {}", advice(*status))]
    Refused {
        /// Its answer.
        status: u16,
    },
    /// The truth cannot be written.
    #[error("cannot write {}", path.display())]
    WriteTruth {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The truth cannot be read.
    #[error("cannot read {}", path.display())]
    ReadTruth {
        /// Where from.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no truth.
    #[error("{} is not a truth file", path.display())]
    ParseTruth {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "is --app-secret the one it was started with?",
        _ => "is --url the address of a webhook?",
    }
}

/// Simulates until the duration or the number of events is over or `shutdown` is cancelled; or, with `--serve`, takes
/// commands on the listener.
///
/// # Errors
/// Something to work with is missing, the receiver refuses everything, or a file cannot be used.
pub(crate) async fn run(
    args: SimulateArgs,
    listener: Option<TcpListener>,
    shutdown: CancellationToken,
) -> Result<Report, Error> {
    // The variable may list several, as the receiver takes them; one is enough to sign with.
    let secrets = args.app_secret.as_ref().map(Secret::expose).unwrap_or_default();
    let secret = secrets.split(',').map(str::trim).find(|secret| !secret.is_empty());
    let begun = tokio::time::Instant::now();
    let mut report;
    let mut plan;
    if let Some(listener) = listener {
        plan = Plan::new(&args, secret.unwrap_or_default());
        let world = plan.shared_world();
        let serves = graph::serve(world, &args, secret, listener, shutdown.clone());
        let tells = async {
            match args.serve.story {
                true => tell_story(&mut plan, &args, shutdown.clone()).await,
                false => Ok(Report::default()),
            }
        };
        let (served, told) = tokio::join!(serves, tells);
        report = told?;
        report.absorb(served?);
        report.elapsed = begun.elapsed();
    } else {
        plan = Plan::new(&args, secret.ok_or(Error::NoSecret)?);
        report = tell_story(&mut plan, &args, shutdown).await?;
    }
    let world = plan.world();
    report.kinds.clone_from(&world.happened);
    if let Some(path) = &args.truth {
        let truth = truth::tell(&world, args.seed, &report);
        truth::write(path, &truth).map_err(|source| Error::WriteTruth { path: path.clone(), source })?;
    }
    Ok(report)
}

async fn tell_story(
    plan: &mut Plan,
    args: &SimulateArgs,
    shutdown: CancellationToken,
) -> Result<Report, Error> {
    let url = args.url.as_deref().ok_or(Error::NoUrl)?;
    deliver::deliver(plan, args, url, shutdown).await
}
