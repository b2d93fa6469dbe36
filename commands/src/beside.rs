//! What goes on beside a projector in its process, through the same doors as everybody: its own query API, and the log.

use std::net::SocketAddr;
use std::sync::Arc;

use groupfold_ingest::replay;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::cli::Output;
use crate::config::Config;
use crate::exit::Failure;
use crate::group::Reach;
use crate::limits;
use crate::provider::Provider;
use crate::reconcile::schedule::Schedule;

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
        registry: &mut Registry,
    ) -> Result<Self, Failure> {
        let reach = Reach {
            data: config.data.clone(),
            api_url: Some(format!("http://{api_addr}")),
            api_token: own_token,
            min_position: None,
            wait_ms: None,
            output: Output::Json,
        };
        let rounds = match config.reconcile_interval {
            Some(interval) => {
                let provider = Arc::new(Provider::new(config.provider.clone())?);
                Some(Schedule::new(interval, provider, reach.clone(), log, registry))
            }
            None => None,
        };
        Ok(Self { rounds, watch: limits::Watch::new(reach, registry) })
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
