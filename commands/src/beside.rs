//! What goes on beside a projector in its process, through the same doors as everybody: its own query API, and the log.

use std::net::SocketAddr;
use std::sync::Arc;

use groupfold_ingest::replay;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::api::Client;
use crate::config::Config;
use crate::exit::Failure;
use crate::limits;
use crate::provider::Provider;
use crate::reconcile::schedule::{self, Schedule};

/// Rounds of reconciling, if the settings ask for them, and the counting of groups near a limit.
pub(crate) struct Beside {
    rounds: Option<Schedule>,
    watch: limits::Watch,
}

impl Beside {
    pub(crate) fn new(
        config: &Config,
        log: replay::Log,
        api_addr: SocketAddr,
        own_token: Option<String>,
        provider: Arc<Provider>,
        registry: &mut Registry,
    ) -> Result<Self, Failure> {
        let api = Client::new(&format!("http://{api_addr}"), own_token)?;
        // What is measured is there whether or not there are rounds: an alert must not be blind by a setting.
        let metrics = schedule::Metrics::register(registry);
        let rounds = config
            .reconcile_interval
            .map(|interval| Schedule::new(interval, provider, api.clone(), log, metrics));
        Ok(Self { rounds, watch: limits::Watch::new(api, registry) })
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let rounds = async {
            if let Some(rounds) = self.rounds {
                rounds.run(stop.clone()).await;
            }
        };
        tokio::join!(rounds, self.watch.run(stop.clone()));
    }
}
