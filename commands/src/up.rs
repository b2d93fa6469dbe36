//! `groupfold up`: receiver, log and projector in one process.

mod demo;

use std::io::Write;
use std::net::SocketAddr;

use prometheus_client::registry::Registry;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use self::demo::Demo;
use crate::api::Client;
use crate::broker::Broker;
use crate::config::{Config, Flags};
use crate::data::{DataFolder, Run};
use crate::exit::Failure;
use crate::reload::{Holders, Reload};
use crate::{pipeline, simulate, telemetry};

/// Everything in one process, plus a nats-server of its own.
#[derive(clap::Args, Debug)]
pub(crate) struct UpArgs {
    /// Add a simulated WhatsApp that lives gently and for ever, and takes all commands
    #[arg(long)]
    demo: bool,
    /// Make this stream of events again, empty, though the log is not new: what was in it is given up
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    anew: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

/// Secret and token of a demo whose user gave none: it listens on loopback and signs its own webhooks.
pub(crate) const DEMO_SECRET: &str = "demo-app-secret";
pub(crate) const DEMO_VERIFY_TOKEN: &str = "demo-verify-token";

/// Runs until told to stop; the broker is started first and ended last.
pub(crate) async fn run(args: UpArgs) -> Result<(), Failure> {
    let (hang_up, told) = (pipeline::hang_up()?, pipeline::until_told_to_stop()?);
    let mut config = Config::load(&args.flags)?;
    telemetry::start(&config)?;
    if args.demo {
        if config.webhook_tls.is_some() {
            return Err(Failure::Usage("webhook_tls_cert: a demo speaks in the clear to itself".to_owned()));
        }
        if config.meta_app_secrets.is_empty() {
            if !config.webhook_addr.ip().is_loopback() {
                return Err(Failure::Usage(
                    "meta_app_secret: a demo that is open to others needs a secret of its own, or --webhook-addr 127.0.0.1:8080"
                        .to_owned(),
                ));
            }
            config.meta_app_secrets.push(DEMO_SECRET.to_owned());
        }
        config.meta_verify_token.get_or_insert_with(|| DEMO_VERIFY_TOKEN.to_owned());
    }
    let demo = if args.demo { Some(Demo::bind(&mut config).await?) } else { None };
    pipeline::check_receiver(&config)?;
    let data = DataFolder::take(&config.data)?;
    let Some(broker) = Broker::start(&config, &data, &told).await? else { return Ok(()) };
    let reload = (args.flags, hang_up);
    let outcome = serve(&config, reload, &args.anew, &data, &broker, told, demo).await;
    broker.stop().await;
    outcome
}

async fn serve(
    config: &Config,
    (flags, hang_up): (Flags, Signal),
    anew: &[String],
    data: &DataFolder,
    broker: &Broker,
    told: CancellationToken,
    demo: Option<Demo>,
) -> Result<(), Failure> {
    let Some(client) = pipeline::unless_told(&told, broker.connect()).await? else { return Ok(()) };
    let plan = pipeline::plan(&client, config, anew).await?;
    for difference in pipeline::provision(&client, &plan).await?.differences {
        tracing::warn!(%difference, "a stream differs from the settings; it was left as it is");
    }
    let (webhooks, webhook_addr) = pipeline::bind("webhook_addr", config.webhook_addr).await?;
    let api_address = pipeline::api_address(config).await?;
    let (entrances, api_addr) = (api_address.entrances, api_address.local);
    let mut registry = Registry::default();
    let receiver = pipeline::receiver(config, broker, client.clone(), &mut registry).await?;
    let reload = Reload::new(flags, config, hang_up, &mut registry);

    let (tokens, own_token) = pipeline::tokens(config)?;
    let (fold, api) = (CancellationToken::new(), CancellationToken::new());
    let (own, provider) = (own_token.clone(), pipeline::provider(config, &mut registry)?);
    let beside =
        pipeline::beside(config, client.clone(), api_addr, own, provider.clone(), &mut registry).await?;
    let (projector, desk) =
        pipeline::projector(config, client, tokens, provider.clone(), &mut registry, fold.clone()).await?;
    // A demo has secrets and a provider of its own.
    if demo.is_none() {
        let api = Some((projector.clone(), own_token.clone()));
        let holders = Holders { receiver: Some(receiver.clone()), api, provider: Some(provider) };
        tokio::spawn(reload.run(holders));
    }
    data.announce(&Run {
        pid: std::process::id(),
        version: pipeline::VERSION.to_owned(),
        webhook_addr: Some(webhook_addr.to_string()),
        api_addr: api_addr.to_string(),
        api_url: Some(api_address.url.clone()),
        nats_url: broker.url.clone(),
        monitor_url: broker.monitor_url.clone(),
        nats_access: broker.access.clone(),
        api_token: own_token.clone(),
        demo_graph_url: demo.as_ref().map(|demo| demo.graph_url.clone()),
        demo_access_token: demo.as_ref().map(|_| simulate::DEMO_TOKEN.to_owned()),
        demo_app_secret: config.meta_app_secrets.iter().find(|secret| *secret == DEMO_SECRET).cloned(),
    })?;
    let api_server = tokio::spawn({
        let (projector, stop) = (projector.clone(), api.clone());
        let ops = pipeline::ops(&receiver, registry);
        async move { pipeline::serve_api(&projector, entrances, &ops, &stop).await }
    });
    say_where(config, &webhook_addr, &api_address.url, receiver.durability().name(), demo.as_ref());
    let beside = tokio::spawn(beside.run(told.clone()));
    let own = Client::new(&format!("http://{api_addr}"), own_token)?;
    let provider = demo.map(|demo| tokio::spawn(demo.run(config, webhook_addr, own, told.clone())));

    let report = receiver.serve(webhooks, told).await;
    tracing::info!(?report, "receiver is drained");
    let _ = beside.await;
    desk.stop().await;
    fold.cancel();
    projector.stopped().await;
    api.cancel();
    let served = api_server.await;
    if let Some(provider) = provider {
        provider.abort();
    }
    match served {
        Err(error) => Err(Failure::failed("the API ended", &error)),
        Ok(()) if report.cut > 0 => {
            Err(Failure::Failed(format!("{} webhook(s) were cut when the drain budget ended", report.cut)))
        }
        Ok(()) => Ok(()),
    }
}

/// The line that says where everything is; on stdout, so that logs do not bury it.
fn say_where(config: &Config, webhook_addr: &SocketAddr, api: &str, durability: &str, demo: Option<&Demo>) {
    let (data, scheme) = (config.data.display(), pipeline::scheme(config.webhook_tls.as_ref()));
    let mut lines = format!(
        "groupfold is up (durability: {durability})\n  \
         webhooks  {scheme}://{webhook_addr}/webhooks/meta\n  \
         groups    {api}/v1/groups\n  \
         health    {api}/readyz   metrics {api}/metrics   API {api}/openapi.json\n  \
         data      {data}\n"
    );
    if let Some(Demo { graph_url, .. }) = demo {
        lines.push_str("A simulated WhatsApp sends webhooks and takes commands. Try, in another terminal:\n");
        lines.push_str(&format!("  graph     {graph_url}   access token {}\n", simulate::DEMO_TOKEN));
        lines.push_str(&format!("  curl -s '{api}/v1/groups?limit=1'\n"));
        lines.push_str(&format!("  groupfold group list --data {data}\n"));
    }
    let _ = std::io::stdout().write_all(lines.as_bytes());
}
