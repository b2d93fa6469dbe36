//! A process with a projector, from its beginning to its end: `groupfold up`, and without a receiver `groupfold project`.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use groupfold_ingest::Receiver;
use groupfold_projector::{Connections, Ops, Token};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::api::Client;
use crate::beside::Beside;
use crate::broker::Broker;
use crate::config::{Config, Flags};
use crate::data::{DataFolder, Ignores, Run};
use crate::exit::Failure;
use crate::link::Link;
use crate::pipeline::{self, ApiAddress};
use crate::provider::Provider;
use crate::reload::{Holders, Reload};
use crate::up::{DEMO_SECRET, Demo};
use crate::{simulate, telemetry};

/// What both have.
pub(crate) struct Process<'a> {
    pub(crate) config: &'a Config,
    /// What the settings are read again by.
    pub(crate) reload: (Flags, Signal),
    pub(crate) data: &'a DataFolder,
    pub(crate) broker: &'a Broker,
    pub(crate) told: CancellationToken,
    /// What `up` alone has.
    pub(crate) up: Option<Up<'a>>,
}

/// What a process that receives has besides.
pub(crate) struct Up<'a> {
    /// Streams that an operator gives up.
    pub(crate) anew: &'a [String],
    pub(crate) demo: Option<Demo>,
}

/// A receiver that may begin.
struct Door {
    receiver: Receiver,
    listener: TcpListener,
    addr: SocketAddr,
}

/// What there is before a store is opened.
struct Ready {
    connections: Connections,
    partitions: u16,
    door: Option<Door>,
    api: ApiAddress,
    tokens: Vec<Token>,
    own_token: Option<String>,
    provider: Arc<Provider>,
    beside: Beside,
    registry: Registry,
}

/// Lives until told to stop. What waits for the broker is given up when that comes first; stores that open are closed in
/// order whenever it comes.
pub(crate) async fn run(process: Process<'_>) -> Result<(), Failure> {
    let Some(ready) = pipeline::unless_told(&process.told, process.prepare()).await? else { return Ok(()) };
    let Process { config, reload: (flags, hang_up), data, broker, told, up } = process;
    let Ready { connections, partitions, door, api, tokens, own_token, provider, beside, mut registry } =
        ready;
    let demo = up.and_then(|up| up.demo);
    let own = Client::new(&format!("http://{}", api.local), own_token.clone())?;
    let reload = Reload::new(flags, config, hang_up, &mut registry);
    let (fold, api_ends) = (CancellationToken::new(), CancellationToken::new());
    let link = Link::new(connections.answers.clone());
    let with = (connections, partitions, tokens, provider.clone());
    data.follows(config.nats_url.as_deref())?;
    let (projector, desk) = pipeline::projector(config, with, &mut registry, fold.clone()).await?;
    // A demo has secrets and a provider of its own.
    if demo.is_none() {
        let receiver = door.as_ref().map(|door| door.receiver.clone());
        let api = Some((projector.clone(), own_token.clone()));
        tokio::spawn(reload.run(Holders { receiver, api, provider: Some(provider) }));
    }
    if let Err(failure) = data.announce(&left(config, broker, &api, own_token, door.as_ref(), demo.as_ref()))
    {
        desk.stop().await;
        fold.cancel();
        projector.stopped().await;
        return Err(failure);
    }
    say_where(config, &api.url, door.as_ref(), demo.as_ref());
    let ops = match &door {
        Some(door) => pipeline::ops(&door.receiver, registry),
        None => Ops::new(Arc::new(Mutex::new(registry))).with_health(Arc::new(move || link.reasons())),
    };
    let served = tokio::spawn({
        let (projector, ends) = (projector.clone(), api_ends.clone());
        async move { pipeline::serve_api(&projector, api.entrances, &ops, &ends).await }
    });
    let beside = tokio::spawn(beside.run(told.clone()));
    let simulated = demo
        .zip(door.as_ref())
        .map(|(demo, door)| tokio::spawn(demo.run(config, door.addr, own, told.clone())));

    let received = receive(door, told).await;
    let _ = beside.await;
    desk.stop().await;
    // Followers of changes end with the folding, and the API then waits for none of them.
    fold.cancel();
    projector.stopped().await;
    api_ends.cancel();
    let served = served.await.map_err(|error| Failure::failed("the API ended", &error));
    if let Some(simulated) = simulated {
        simulated.abort();
    }
    served.and(received)
}

impl Process<'_> {
    async fn prepare(&self) -> Result<Ready, Failure> {
        let (config, mut registry) = (self.config, Registry::default());
        telemetry::register(&mut registry);
        let client = self.broker.connect().await?;
        let log = self.broker.connect_on(&groupfold_projector::background()).await?;
        if let Some(up) = &self.up {
            let plan = pipeline::plan(&client, config, up.anew).await?;
            for difference in pipeline::provision(&client, &plan).await?.differences {
                tracing::warn!(%difference, "a stream differs from the settings; it was left as it is");
            }
        }
        let partitions = pipeline::partitions(&client, config).await?;
        let webhooks = match &self.up {
            Some(_) => Some(pipeline::bind("webhook_addr", config.webhook_addr).await?),
            None => None,
        };
        let api = pipeline::api_address(config).await?;
        let door = match webhooks {
            Some((listener, addr)) => {
                let receiver = pipeline::receiver(config, self.broker, client.clone(), &mut registry).await?;
                Some(Door { receiver, listener, addr })
            }
            None => None,
        };
        let (tokens, own_token) = pipeline::tokens(config)?;
        let provider = pipeline::provider(config, &mut registry)?;
        let records = groupfold_ingest::replay::Log::new(client.clone(), partitions);
        let own = own_token.clone();
        let beside = Beside::new(config, records, api.local, own, provider.clone(), &mut registry)?;
        let connections = Connections { answers: client, log };
        Ok(Ready { connections, partitions, door, api, tokens, own_token, provider, beside, registry })
    }
}

/// Takes webhooks, if there is a door for them, until told to stop.
async fn receive(door: Option<Door>, told: CancellationToken) -> Result<(), Failure> {
    match door {
        Some(Door { receiver, listener, .. }) => pipeline::receive(&receiver, listener, told).await,
        None => {
            told.cancelled().await;
            Ok(())
        }
    }
}

/// What other verbs find on the data folder.
fn left(
    config: &Config,
    broker: &Broker,
    api: &ApiAddress,
    api_token: Option<String>,
    door: Option<&Door>,
    demo: Option<&Demo>,
) -> Run {
    Run {
        pid: std::process::id(),
        version: pipeline::VERSION.to_owned(),
        webhook_addr: door.map(|door| door.addr.to_string()),
        api_addr: api.local.to_string(),
        api_url: Some(api.url.clone()),
        nats_url: broker.url.clone(),
        monitor_url: broker.monitor_url.clone(),
        nats_access: broker.access.clone(),
        api_token,
        demo_graph_url: demo.map(|demo| demo.graph_url.clone()),
        demo_access_token: demo.map(|_| simulate::DEMO_TOKEN.to_owned()),
        ignores: Ignores { one_to_one: config.ignore_one_to_one, other_fields: config.ignore_other_fields },
        demo_app_secret: config
            .meta_app_secrets
            .iter()
            .find(|secret| door.is_some() && *secret == DEMO_SECRET)
            .cloned(),
    }
}

/// The lines that say where everything is; on stdout, so that logs do not bury them.
fn say_where(config: &Config, api: &str, door: Option<&Door>, demo: Option<&Demo>) {
    let (data, scheme) = (config.data.display(), pipeline::scheme(config.webhook_tls.as_ref()));
    let mut lines = match door {
        None => format!("groupfold project is up\n  groups    {api}/v1/groups\n"),
        Some(Door { receiver, addr, .. }) => format!(
            "groupfold is up (durability: {})\n  \
             webhooks  {scheme}://{addr}/webhooks/meta\n  \
             groups    {api}/v1/groups\n  \
             health    {api}/readyz   metrics {api}/metrics   API {api}/openapi.json\n  \
             data      {data}\n",
            receiver.durability().name()
        ),
    };
    if let Some(Demo { graph_url, .. }) = demo {
        lines.push_str("A simulated WhatsApp sends webhooks and takes commands. Try, in another terminal:\n");
        lines.push_str(&format!("  graph     {graph_url}   access token {}\n", simulate::DEMO_TOKEN));
        lines.push_str(&format!("  curl -s '{api}/v1/groups?limit=1'\n"));
        lines.push_str(&format!("  groupfold group list --data {data}\n"));
    }
    let _ = std::io::stdout().write_all(lines.as_bytes());
}
