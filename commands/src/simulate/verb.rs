//! `groupfold simulate`: what is not named is taken from the `up` that runs on the data folder.

use std::path::Path;

use super::compare::compare;
use super::{Error, Report, SimulateArgs, run};
use crate::api::ApiReach;
use crate::cli::Output;
use crate::data::Run;
use crate::exit::Failure;
use crate::{config, pipeline, print};

/// A seeded provider: signed webhooks with duplicates, reorder, retries and bad items.
#[derive(clap::Args, Debug)]
pub(crate) struct SimulateVerb {
    #[command(flatten)]
    api: ApiReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    pub(crate) simulate: SimulateArgs,
}

/// The simulated provider, or the comparison of what it believes with the API. What is not named is taken from
/// the `up` that runs on the data folder.
pub(crate) async fn verb(args: SimulateVerb) -> Result<(), Failure> {
    let SimulateVerb { api, mut simulate, output } = args;
    let served = simulate.serve.serve;
    if let Some(addr) = served.filter(|addr| !addr.ip().is_loopback()) {
        return Err(Failure::Usage(format!(
            "--serve: {addr} is not loopback, and /simulator takes no token: use 127.0.0.1"
        )));
    }
    usable("--url", simulate.url.as_deref())?;
    usable("--api-url", api.elsewhere.named())?;
    if let Some(truth) = &simulate.check {
        return check(truth, &api, output).await;
    }
    if simulate.app_secret.is_none() {
        simulate.app_secret = config::of_file("meta_app_secret")?.map(|texts| texts.join(",").into());
    }
    let found = if simulate.url.is_none() { find(&mut simulate, &api.data)? } else { false };
    let listener = match served {
        Some(addr) => {
            let (listener, addr) = pipeline::bind("--serve", addr).await?;
            print::text(&format!(
                "the simulated provider serves\n  graph     http://{addr}/v25.0\n  control   http://{addr}/simulator"
            ))?;
            Some(listener)
        }
        None => None,
    };
    let report =
        run(simulate, listener, pipeline::until_told_to_stop()?).await.map_err(|error| match error {
            Error::NoSecret => Failure::Usage(no_secret(&api.data, found)),
            error => Failure::failed("the simulation ended", &error),
        })?;
    print::either(output, || report.to_json().to_string(), || report.to_string())?;
    if report.is_clean() {
        return Ok(());
    }
    Err(Failure::Found("the receiver did not answer as it must, see above".to_owned()))
}

/// Compares a truth with the API.
async fn check(truth: &Path, api: &ApiReach, output: Output) -> Result<(), Failure> {
    let differences = compare(truth, &api.client()?).await;
    let differences = differences.map_err(|error| Failure::failed("the simulation ended", &error))?;
    let report = Report { differences, ..Report::default() };
    let as_text = || match report.is_clean() {
        true => "the API agrees with the truth".to_owned(),
        false => report.differences.join("\n"),
    };
    print::either(output, || report.to_json().to_string(), as_text)?;
    if report.is_clean() {
        return Ok(());
    }
    let points = report.differences.len();
    Err(Failure::Found(format!("the API differs from the truth in {points} point(s)")))
}

/// Takes address and secret from what runs on the data folder; false if nothing does, and nobody needs it yet.
fn find(simulate: &mut SimulateArgs, data: &Path) -> Result<bool, Failure> {
    let run = match Run::find(data, "--url") {
        Ok(run) => run,
        // Webhooks of a served provider wait until it is told where they go.
        Err(_) if simulate.serve.serve.is_some() && !simulate.serve.story => return Ok(false),
        Err(failure) => return Err(failure),
    };
    simulate.app_secret = simulate.app_secret.take().or(run.demo_app_secret.map(Into::into));
    let addr = run.webhook_addr.ok_or_else(|| {
        Failure::Missing("what runs on the data folder takes no webhooks: name an address by --url".into())
    })?;
    simulate.url = Some(format!("http://{addr}/webhooks/meta"));
    Ok(true)
}

/// What to give to a simulation that has nothing to sign with. `found`: something runs on the folder, and keeps its secret.
fn no_secret(data: &Path, found: bool) -> String {
    let give = "give it by --app-secret (or GROUPFOLD_META_APP_SECRET)";
    match found {
        true => format!("app_secret: that of what runs on {} is told nobody: {give}", data.display()),
        false => format!("app_secret: is needed to sign webhooks with: {give}"),
    }
}

/// A typing error is no failure of the receiver.
fn usable(flag: &str, url: Option<&str>) -> Result<(), Failure> {
    let parsed = url.map(reqwest::Url::parse).transpose();
    match parsed {
        Ok(url)
            if url.as_ref().is_none_or(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) =>
        {
            Ok(())
        }
        _ => Err(Failure::Usage(format!(
            "{flag}: {:?} is no URL of a server: expected http://HOST:PORT/…",
            url.unwrap_or_default()
        ))),
    }
}
