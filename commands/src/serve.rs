//! `groupfold ingest`, `groupfold project` and `groupfold simulate`: one part of the pipeline alone.

use std::io::Write;
use std::sync::{Arc, Mutex};

use groupfold_projector::{Ops, ops_router};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::cli::SimulateVerb;
use crate::config::{Config, Flags};
use crate::data::{DataFolder, Run};
use crate::exit::Failure;
use crate::reload::{Holders, Reload};
use crate::simulate;
use crate::{pipeline, print, telemetry};

/// The receiver alone. It keeps nothing, so several may run; health and metrics answer on the API address.
pub(crate) async fn ingest(flags: Flags) -> Result<(), Failure> {
    let (hang_up, told) = (pipeline::hang_up()?, pipeline::until_told_to_stop()?);
    let config = Config::load(&flags)?;
    telemetry::start(&config)?;
    pipeline::check_receiver(&config)?;
    let broker = Broker::elsewhere(&config)?;
    let reach = async {
        let client = broker.connect().await?;
        pipeline::partitions(&client, &config).await.map(|_| client)
    };
    let Some(client) = pipeline::unless_told(&told, reach).await? else { return Ok(()) };
    let (webhooks, webhook_addr) = pipeline::bind("webhook_addr", config.webhook_addr).await?;
    let ops_address = pipeline::ops_address(&config).await?;
    let mut registry = Registry::default();
    let starting = pipeline::receiver(&config, &broker, client, &mut registry);
    let Some(receiver) = pipeline::unless_told(&told, starting).await? else { return Ok(()) };
    let reload = Reload::new(flags, &config, hang_up, &mut registry);
    tokio::spawn(reload.run(Holders { receiver: Some(receiver.clone()), ..Holders::default() }));
    let router = ops_router(pipeline::ops(&receiver, registry));
    let stop_ops = CancellationToken::new();
    let mut ops_servers = tokio::task::JoinSet::new();
    for entrance in ops_address.entrances {
        ops_servers.spawn(groupfold_projector::serve(entrance, router.clone(), stop_ops.clone()));
    }
    let (scheme, ops_url) = (pipeline::scheme(config.webhook_tls.as_ref()), ops_address.url);
    say(&format!(
        "groupfold ingest is up (durability: {})\n  webhooks  {scheme}://{webhook_addr}/webhooks/meta\n  health    {ops_url}/readyz\n",
        receiver.durability().name()
    ));
    let report = receiver.serve(webhooks, told).await;
    tracing::info!(?report, "receiver is drained");
    stop_ops.cancel();
    ops_servers.join_all().await;
    if report.cut > 0 {
        return Err(Failure::Failed(format!(
            "{} webhook(s) were cut when the drain budget ended",
            report.cut
        )));
    }
    Ok(())
}

/// One projector alone.
pub(crate) async fn project(flags: Flags) -> Result<(), Failure> {
    let (hang_up, told) = (pipeline::hang_up()?, pipeline::until_told_to_stop()?);
    let config = Config::load(&flags)?;
    telemetry::start(&config)?;
    let broker = Broker::elsewhere(&config)?;
    let data = DataFolder::take(&config.data)?;
    let Some(client) = pipeline::unless_told(&told, broker.connect()).await? else { return Ok(()) };
    let api_address = pipeline::api_address(&config).await?;
    let (entrances, api_addr) = (api_address.entrances, api_address.local);
    let mut registry = Registry::default();
    // The loops go on while what is asked for is seen to its end.
    let fold = CancellationToken::new();
    let (tokens, own_token) = pipeline::tokens(&config)?;
    let (own, provider) = (own_token.clone(), pipeline::provider(&config, &mut registry)?);
    let beside =
        pipeline::beside(&config, client.clone(), api_addr, own, provider.clone(), &mut registry).await?;
    let reload = Reload::new(flags, &config, hang_up, &mut registry);
    let (projector, desk) =
        pipeline::projector(&config, client, tokens, provider.clone(), &mut registry, fold.clone()).await?;
    let api = Some((projector.clone(), own_token.clone()));
    tokio::spawn(reload.run(Holders { api, provider: Some(provider), ..Holders::default() }));
    data.announce(&Run {
        pid: std::process::id(),
        version: pipeline::VERSION.to_owned(),
        webhook_addr: None,
        api_addr: api_addr.to_string(),
        api_url: Some(api_address.url.clone()),
        nats_url: broker.url.clone(),
        monitor_url: broker.monitor_url.clone(),
        nats_access: broker.access.clone(),
        api_token: own_token,
        demo_app_secret: None,
        demo_graph_url: None,
        demo_access_token: None,
    })?;
    say(&format!("groupfold project is up\n  groups    {}/v1/groups\n", api_address.url));
    let ops = Ops::new(Arc::new(Mutex::new(registry)));
    let beside = tokio::spawn(beside.run(told.clone()));
    pipeline::serve_api(&projector, entrances, &ops, &told).await;
    let _ = beside.await;
    desk.stop().await;
    fold.cancel();
    projector.stopped().await;
    Ok(())
}

/// What to give to a simulation that has nothing to sign with. `found`: something runs on the folder, and keeps its secret.
fn no_secret(data: &std::path::Path, found: bool) -> String {
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

fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The simulated provider, or the comparison of what it believes with the API. What is not named is taken from
/// the `up` that runs on the data folder.
pub(crate) async fn simulate(args: SimulateVerb) -> Result<(), Failure> {
    let SimulateVerb { data, mut simulate, output } = args;
    let served = simulate.serve.serve;
    if let Some(addr) = served.filter(|addr| !addr.ip().is_loopback()) {
        return Err(Failure::Usage(format!(
            "--serve: {addr} is not loopback, and /simulator takes no token: use 127.0.0.1"
        )));
    }
    let checks = simulate.check.is_some();
    let mut found = false;
    if checks && simulate.api_url.is_none() {
        let run = Run::find(&data, "--api-url")?;
        simulate.api_url = Some(format!("http://{}", run.api_addr));
        simulate.api_token = simulate.api_token.or(run.api_token.map(Into::into));
    } else if !checks && simulate.url.is_none() {
        match Run::find(&data, "--url") {
            Ok(run) => {
                found = true;
                simulate.app_secret = simulate.app_secret.or(run.demo_app_secret.map(Into::into));
                let addr = run.webhook_addr.ok_or_else(|| {
                    Failure::Missing(
                        "what runs on the data folder takes no webhooks: name an address by --url".into(),
                    )
                })?;
                simulate.url = Some(format!("http://{addr}/webhooks/meta"));
            }
            // Webhooks of a served provider wait until it is told where they go.
            Err(_) if served.is_some() && !simulate.serve.story => {}
            Err(failure) => return Err(failure),
        }
    }
    for (flag, url) in [("--url", &simulate.url), ("--api-url", &simulate.api_url)] {
        usable(flag, url.as_deref())?;
    }
    let listener = match served {
        Some(addr) => {
            let (listener, addr) = pipeline::bind("--serve", addr).await?;
            say(&format!(
                "the simulated provider serves\n  graph     http://{addr}/v25.0\n  control   http://{addr}/simulator\n"
            ));
            Some(listener)
        }
        None => None,
    };
    let report = simulate::run(simulate, listener, pipeline::until_told_to_stop()?).await.map_err(
        |error| match error {
            simulate::Error::NoSecret => Failure::Usage(no_secret(&data, found)),
            error => Failure::failed("the simulation ended", &error),
        },
    )?;
    let as_text = || match (checks, report.is_clean()) {
        (true, true) => "the API agrees with the truth".to_owned(),
        (true, false) => report.differences.join("\n"),
        (false, _) => report.to_string(),
    };
    print::either(output, || report.to_json().to_string(), as_text)?;
    match (report.is_clean(), checks) {
        (true, _) => Ok(()),
        (false, true) => {
            let points = report.differences.len();
            Err(Failure::Found(format!("the API differs from the truth in {points} point(s)")))
        }
        (false, false) => Err(Failure::Found("the receiver did not answer as it must, see above".to_owned())),
    }
}
