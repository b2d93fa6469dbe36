//! The parts of the pipeline, put together from the settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use groupfold_ingest::provision::{self, Plan};
use groupfold_ingest::{Receiver, Settings as ReceiverSettings, StartError, Stream};
use groupfold_projector::{
    Connections, Entrance, Holder, Io, Ops, Projector, Settings as ProjectorSettings, Token,
};
use groupfold_schemas::log::PARTITIONS_DEFAULT;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::config::Config;
use crate::data::random_hex;
use crate::desk::Desk;
use crate::exit::{Failure, with_causes};
use crate::provider::Provider;
use crate::tls;

/// The version that failures, stores and answers carry.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of the token by which the owner's own verbs reach a guarded API.
pub(crate) const OWNER: &str = "owner";

/// Binds an address, or says which setting to change.
pub(crate) async fn bind(setting: &str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(&format!("{setting}: cannot listen on {addr}"), &error);
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

/// The shape of the log that the settings ask for. An existing log's number of partitions is taken over where
/// the settings name none. `anew`: streams that an operator gives up.
pub(crate) async fn plan(
    client: &async_nats::Client,
    config: &Config,
    anew: &[String],
) -> Result<Plan, Failure> {
    let partitions = match (config.partitions, discover(client).await?) {
        (Some(expected), Some(found)) if expected != found => return Err(other_partitions(found, expected)),
        (Some(partitions), _) => partitions,
        (None, found) => found.unwrap_or(PARTITIONS_DEFAULT),
    };
    let anew = anew.to_vec();
    Ok(Plan {
        partitions,
        replicas: config.replicas,
        max_bytes: config.log_bytes_max,
        anew,
        ..Plan::default()
    })
}

/// Creates the streams that are missing, says which, and compares those that are there.
pub(crate) async fn provision(
    client: &async_nats::Client,
    plan: &Plan,
) -> Result<provision::Report, Failure> {
    let report = provision::provision(client, plan).await.map_err(|error| match error {
        provision::Error::Vanished { streams } => vanished(&streams),
        provision::Error::NotMissing { .. } => Failure::Usage(format!("--anew: {error}")),
        error => Failure::failed("the log cannot be provisioned", &error),
    })?;
    if !report.created.is_empty() {
        let streams = report.created.join(", ");
        if report.unchanged.is_empty() && report.differences.is_empty() {
            tracing::info!(streams, "the log is new: its streams are made");
        } else {
            tracing::warn!(streams, "streams of the log were missing: they are made, and empty");
        }
    }
    Ok(report)
}

/// An empty stream in the place of the old one would take what is lost when the old one is restored.
fn vanished(streams: &[String]) -> Failure {
    let anew: Vec<String> = streams.iter().map(|stream| format!("--anew {stream}")).collect();
    Failure::Found(format!(
        "the log lost {}, and what was acknowledged with it: restore it from a backup (deploy/RUNBOOK.md, A stream that \
         vanished); the last resort is `groupfold provision {1}` (or `up {1}`): an empty one, and what was in it is given up",
        streams.join(", "),
        anew.join(" ")
    ))
}

/// Compares the streams without creating any.
pub(crate) async fn check(client: &async_nats::Client, plan: &Plan) -> Result<provision::Report, Failure> {
    provision::check(client, plan).await.map_err(|error| Failure::failed("the log cannot be checked", &error))
}

async fn discover(client: &async_nats::Client) -> Result<Option<u16>, Failure> {
    provision::discover(client).await.map_err(|error| Failure::failed("the log cannot be read", &error))
}

/// Partitions of the log as it was provisioned; settings that name another number are refused.
pub(crate) async fn partitions(client: &async_nats::Client, config: &Config) -> Result<u16, Failure> {
    let found = discover(client).await?.ok_or_else(|| {
        Failure::Missing("there is no log on this broker: run `groupfold provision` first".to_owned())
    })?;
    match config.partitions {
        Some(expected) if expected != found => Err(other_partitions(found, expected)),
        _ => Ok(found),
    }
}

/// Nothing that another start mends: the code of wrong settings keeps whoever supervises the process from trying.
fn other_partitions(found: u16, expected: u16) -> Failure {
    Failure::Usage(format!(
        "partitions: the log has {found}, the settings say {expected}; leave the setting out, or use another broker"
    ))
}

/// What no webhook can come in without and the settings do not have: its key, and why.
pub(crate) fn missing_for_receiver(config: &Config) -> Option<&'static str> {
    config.meta_app_secrets.is_empty().then_some(
        "meta_app_secret: is needed to tell Meta's webhooks from forged ones (--meta-app-secret, or GROUPFOLD_META_APP_SECRET)",
    )
}

/// What a receiver starts without, though not all goes well then.
pub(crate) fn lacking_for_receiver(config: &Config) -> Option<&'static str> {
    config.meta_verify_token.is_none().then_some(
        "meta_verify_token: there is none, so Meta's handshake gets 403, and no address can be subscribed (--meta-verify-token, or GROUPFOLD_META_VERIFY_TOKEN)",
    )
}

/// Refuses settings by which no webhook can come in.
pub(crate) fn check_receiver(config: &Config) -> Result<(), Failure> {
    missing_for_receiver(config).map_or(Ok(()), |missing| Err(Failure::Usage(missing.to_owned())))
}

/// Warns of settings by which Meta sends no webhook: once all else stands, for what is refused is told in one line.
pub(crate) fn warn_receiver(config: &Config) {
    if let Some(lacking) = lacking_for_receiver(config) {
        tracing::warn!("{lacking}");
    }
}

/// What an address begins with.
pub(crate) fn scheme(tls: Option<&tls::Files>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}

/// The API address, bound.
pub(crate) struct ApiAddress {
    pub(crate) entrances: Vec<Entrance>,
    /// As everybody reaches it.
    pub(crate) url: String,
    /// As this process and verbs of the same owner on this machine reach it, in the clear.
    pub(crate) local: SocketAddr,
}

/// Binds the API address.
pub(crate) async fn api_address(config: &Config) -> Result<ApiAddress, Failure> {
    entrances(config, bind("api_addr", config.api_addr).await?).await
}

/// Where a receiver tells health and metrics unless told otherwise: a projector beside it answers queries on the default.
const OPS_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8082);

/// The same of a part whose health and metrics alone are asked for there: where no address is given and its default is
/// somebody else's already, a free port will do.
pub(crate) async fn ops_address(config: &Config) -> Result<ApiAddress, Failure> {
    if config.gives("api_addr") {
        return api_address(config).await;
    }
    if let Ok(bound) = bind("api_addr", OPS_ADDR).await {
        return entrances(config, bound).await;
    }
    let free = bind("api_addr", SocketAddr::new(OPS_ADDR.ip(), 0)).await?;
    tracing::warn!("{OPS_ADDR} is taken: health and metrics answer at {}; --api-addr says where", free.1);
    entrances(config, free).await
}

/// Where the API address speaks TLS there is a second one on loopback, which no certificate is made out for.
async fn entrances(
    config: &Config,
    (listener, addr): (TcpListener, SocketAddr),
) -> Result<ApiAddress, Failure> {
    let url = format!("{}://{addr}", scheme(config.api_tls.as_ref()));
    let Some(files) = config.api_tls.clone() else {
        return Ok(ApiAddress { entrances: vec![listener.into()], url, local: addr });
    };
    let tls = tls::start("api_tls", files)?;
    let outer = Entrance::new(listener, move |stream| {
        let tls = tls.clone();
        Box::pin(async move { Ok(Box::new(Stream::open(stream, Some(&tls)).await?) as Box<dyn Io>) })
    });
    let (inner, local) = bind("api_addr", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    Ok(ApiAddress { entrances: vec![outer, inner.into()], url, local })
}

/// Serves the query API on all its entrances.
pub(crate) async fn serve_api(
    projector: &Projector,
    entrances: Vec<Entrance>,
    ops: &Ops,
    stop: &CancellationToken,
) {
    let each = entrances.into_iter().map(|entrance| projector.serve(entrance, ops.clone(), stop.clone()));
    futures_util::future::join_all(each).await;
}

/// Starts the receiver, whose settings are checked already.
pub(crate) async fn receiver(
    config: &Config,
    broker: &Broker,
    client: async_nats::Client,
    registry: &mut Registry,
) -> Result<Receiver, Failure> {
    let settings = ReceiverSettings {
        app_secrets: config.meta_app_secrets.clone(),
        verify_token: config.meta_verify_token.clone(),
        tls: config.webhook_tls.clone().map(|files| tls::start("webhook_tls", files)).transpose()?,
        body_bytes_max: config.body_bytes_max,
        requests_max: config.requests_max,
        bytes_in_flight_max: config.bytes_in_flight_max,
        connections_max: config.connections_max,
        header_deadline: config.header_deadline,
        body_deadline: config.body_deadline,
        append_deadline: config.append_deadline,
        drain_budget: config.drain_budget,
        ignore_one_to_one: config.ignore_one_to_one,
        ignore_other_fields: config.ignore_other_fields,
        monitor_url: broker.monitor_url.clone(),
        build: VERSION.to_owned(),
    };
    let started = Receiver::start(client, settings, registry).await.inspect(|_| warn_receiver(config));
    started.map_err(|error| match error {
        StartError::NoLog | StartError::Missing { .. } => Failure::Missing(with_causes("", &error)),
        error => Failure::failed("the receiver cannot start", &error),
    })
}

/// The tokens of the API, and among them one by which verbs of the same owner reach a guarded one; it lives as long
/// as this process.
pub(crate) fn tokens(config: &Config) -> Result<(Vec<Token>, Option<String>), Failure> {
    let mut tokens = config.api_tokens.clone();
    if tokens.is_empty() {
        return Ok((tokens, None));
    }
    let own = random_hex()?;
    tokens.push(owner(&own));
    Ok((tokens, Some(own)))
}

/// The token of verbs of the same owner.
pub(crate) fn owner(text: &str) -> Token {
    Token { holder: Holder::Process, ..Token::all(OWNER, text) }
}

/// Starts the projector on the data folder, and the desk that writes for its API. No broker is waited for.
pub(crate) async fn projector(
    config: &Config,
    (connections, partitions, api_tokens, provider): (Connections, u16, Vec<Token>, Arc<Provider>),
    registry: &mut Registry,
    shutdown: CancellationToken,
) -> Result<(Projector, Desk), Failure> {
    let settings = ProjectorSettings {
        data: config.data.clone(),
        partitions,
        owned: config.own.clone(),
        cache_bytes: config.cache_bytes,
        batch_events_max: config.batch_events_max,
        api_tokens,
        wait_ms_max: config.wait_ms_max,
        rebuild_bytes: config.rebuild_bytes,
        build: VERSION.to_owned(),
    };
    let client = connections.answers.clone();
    let projector = Projector::start(connections, settings, registry, shutdown)
        .await
        .map_err(|error| Failure::failed("the projector cannot start", &error))?;
    let desk = Desk::start(client, partitions, provider, projector.clone(), config.command_deadline);
    Ok((projector.with_desk(Arc::new(desk.clone())), desk))
}

/// The provider's API; one for the whole process, so that all calls of a number pass one gate.
pub(crate) fn provider(config: &Config, registry: &mut Registry) -> Result<Arc<Provider>, Failure> {
    let provider = Arc::new(Provider::new(config.provider.clone())?);
    provider.register(registry);
    Ok(provider)
}

/// Takes webhooks until told to stop, and fails if not all that were under way then are done.
pub(crate) async fn receive(
    receiver: &Receiver,
    listener: TcpListener,
    told: CancellationToken,
) -> Result<(), Failure> {
    let report = receiver.serve(listener, told).await;
    tracing::info!(?report, "receiver is drained");
    match report.cut {
        0 => Ok(()),
        cut => Err(Failure::Failed(format!("{cut} webhook(s) were cut when the drain budget ended"))),
    }
}

/// Health, durability and metrics of a process with a receiver, for the operator's address.
pub(crate) fn ops(receiver: &Receiver, registry: Registry) -> Ops {
    let (healthy, durable) = (receiver.clone(), receiver.clone());
    Ops::new(Arc::new(Mutex::new(registry)))
        .with_health(Arc::new(move || healthy.readiness()))
        .with_durability(Arc::new(move || Some(durable.durability().name().to_owned())))
}

/// Signals that come so soon after one are its echo: GNU timeout, and whoever ends a group of processes as well as their
/// first, send two in one breath and mean one.
const ECHO: Duration = Duration::from_secs(1);

/// What SIGHUP is told by. To be called first of all: from then on it ends no process, whatever is still being started, and
/// what comes meanwhile is read later.
pub(crate) fn hang_up() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|error| Failure::failed("cannot listen for signals", &error))
}

/// What is begun, or nothing when told to stop before it is done: there is nothing to drain.
pub(crate) async fn unless_told<T>(
    told: &CancellationToken,
    begun: impl Future<Output = Result<T, Failure>>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        biased;
        () = told.cancelled() => Ok(None),
        done = begun => done.map(Some),
    }
}

/// A token that is cancelled by Ctrl-C or SIGTERM. A second signal ends the process at once, but for an echo.
pub(crate) fn until_told_to_stop() -> Result<CancellationToken, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::failed("cannot listen for signals", &error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let told = CancellationToken::new();
    let stop = told.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                tracing::warn!("told to stop twice: ending at once");
                std::process::exit(1);
            }
            tracing::info!("told to stop: draining");
            stop.cancel();
            tokio::time::sleep(ECHO).await;
            let _ = (terminate.recv().now_or_never(), interrupt.recv().now_or_never());
        }
    });
    Ok(told)
}
