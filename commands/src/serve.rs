//! `groupfold ingest` and `groupfold project`: one part of the pipeline alone.

use std::io::Write;

use groupfold_projector::ops_router;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::config::{Config, Flags};
use crate::data::DataFolder;
use crate::exit::Failure;
use crate::process::{self, Process};
use crate::reload::{Holders, Reload};
use crate::{pipeline, telemetry};

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
    telemetry::register(&mut registry);
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
    let received = pipeline::receive(&receiver, webhooks, told).await;
    stop_ops.cancel();
    ops_servers.join_all().await;
    received
}

/// One projector alone.
pub(crate) async fn project(flags: Flags) -> Result<(), Failure> {
    let (hang_up, told) = (pipeline::hang_up()?, pipeline::until_told_to_stop()?);
    let config = Config::load(&flags)?;
    telemetry::start(&config)?;
    let broker = Broker::elsewhere(&config)?;
    let data = DataFolder::take(&config.data)?;
    let reload = (flags, hang_up);
    process::run(Process { config: &config, reload, data: &data, broker: &broker, told, up: None }).await
}

fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
