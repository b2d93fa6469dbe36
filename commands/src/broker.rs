//! The broker: one elsewhere, or a nats-server of our own.

mod access;
mod child;
mod find;
mod held;
mod orphan;

use std::time::Duration;

use async_nats::{Client, ServerAddr};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::data::DataFolder;
use crate::exit::{Failure, with_causes};

pub(crate) use access::Access;
pub(crate) use find::VERSION as NATS_VERSION;

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(2);

/// What is missing where no broker is named and none is started.
pub(crate) const NO_BROKER: &str =
    "nats_url: is needed here (--nats-url nats://HOST:PORT); `groupfold up` brings its own";

/// A broker that can be talked to.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) url: String,
    /// Where the server tells whether it syncs.
    pub(crate) monitor_url: Option<String>,
    pub(crate) access: Access,
    child: Option<child::Supervisor>,
}

impl Broker {
    /// The broker of the settings, or a child of our own; nothing if told to stop before that is up.
    pub(crate) async fn start(
        config: &Config,
        data: &DataFolder,
        told: &CancellationToken,
    ) -> Result<Option<Self>, Failure> {
        if let Some(url) = &config.nats_url {
            return Ok(Some(Self::at(url.clone(), config)));
        }
        let program = find::nats_server(config.nats_server.as_deref())?;
        let folder = data.path().join("nats");
        let child = child::Supervisor::start(program, folder, config.body_bytes_max, told).await?;
        Ok(child.map(|child| Self {
            url: child.url().to_owned(),
            monitor_url: Some(child.monitor_url().to_owned()),
            access: Access::default(),
            child: Some(child),
        }))
    }

    /// The broker elsewhere that the settings name; verbs that start none of their own need one.
    pub(crate) fn elsewhere(config: &Config) -> Result<Self, Failure> {
        let url = config.nats_url.clone().ok_or_else(|| Failure::Usage(NO_BROKER.to_owned()))?;
        Ok(Self::at(url, config))
    }

    fn at(url: String, config: &Config) -> Self {
        let (monitor_url, access) = (config.nats_monitor_url.clone(), config.nats_access.clone());
        Self { url, monitor_url, access, child: None }
    }

    /// A connection that comes back by itself for as long as the process lives.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        connect(&self.url, &self.access).await.map_err(|failure| self.while_starting(failure))
    }

    /// The same, worked by the threads of another runtime.
    pub(crate) async fn connect_on(&self, threads: &Handle) -> Result<Client, Failure> {
        let (url, access) = (self.url.clone(), self.access.clone());
        let connecting = threads.spawn(async move { connect(&url, &access).await });
        let connected = connecting.await.map_err(|error| Failure::failed("connecting broke down", &error))?;
        connected.map_err(|failure| self.while_starting(failure))
    }

    /// A child that does not answer yet is no missing dependency.
    fn while_starting(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Missing(line) if self.child.is_some() => Failure::Again(line),
            failure => failure,
        }
    }

    /// Ends the child, if there is one: last of all.
    pub(crate) async fn stop(self) {
        if let Some(child) = self.child {
            child.stop().await;
        }
    }
}

/// Connects to a broker by URL.
pub(crate) async fn connect(url: &str, access: &Access) -> Result<Client, Failure> {
    let servers: Vec<ServerAddr> =
        url.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>().map_err(
            |error: std::io::Error| {
                Failure::Usage(format!("nats_url: {} is no address of a broker: {error}", shown(url)))
            },
        )?;
    let options = access.options(&servers)?;
    let options =
        options.name("groupfold").connection_timeout(CONNECT_DEADLINE).reconnect_delay_callback(|attempts| {
            let wait_ms = 50_u64.saturating_mul(1 << attempts.min(6));
            Duration::from_millis(wait_ms).min(RECONNECT_WAIT_MAX)
        });
    tokio::time::timeout(CONNECT_DEADLINE, options.connect(servers)).await.map_or_else(
        |_| Err(Failure::Missing(format!("the broker at {} does not answer", shown(url)))),
        |connected| {
            connected.map_err(|error| {
                Failure::Missing(with_causes(&format!("cannot reach the broker at {}", shown(url)), &error))
            })
        },
    )
}

/// A URL without its password.
pub(crate) fn shown(url: &str) -> String {
    let mask = |url: &str| match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://****@{}", &url[..scheme], &url[at + 1..]),
        _ => url.to_owned(),
    };
    url.split(',').map(mask).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(super::shown("nats://u:p@h:1,nats://h:2"), "nats://****@h:1,nats://h:2");
    }
}
