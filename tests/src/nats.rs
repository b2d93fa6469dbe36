//! A real nats-server with JetStream for a test of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::ports::Ports;
use crate::{Process, Scratch, http, nats_server_binary, wait_until};

/// Time that a server gets to be up and healthy, recovery of its streams included.
const START_WAIT: Duration = Duration::from_secs(30);
/// Time that a server gets to end.
const STOP_WAIT: Duration = Duration::from_secs(20);
const ADDRESS_IN_USE: &str = "address already in use";

/// How to run a server.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Sync before every acknowledgement, as `deploy/nats/single.conf` does.
    pub sync_always: bool,
    /// Keep the streams here instead of in the server's own folder, and leave them behind.
    pub store_dir: Option<PathBuf>,
    /// Bound of all streams together, in bytes.
    pub max_file_store: Option<u64>,
    /// Further lines of the configuration.
    pub config: String,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self { sync_always: true, store_dir: None, max_file_store: None, config: String::new() }
    }
}

/// A nats-server on ports that are its own, the same after each restart: while it is gone nobody else is given them. Gone when
/// dropped.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder that it writes to: fields are dropped in this order.
    process: Option<Process>,
    scratch: Scratch,
    options: NatsOptions,
    ports: Ports,
}

impl NatsServer {
    /// Starts one that syncs before it acknowledges.
    pub async fn start() -> Self {
        Self::start_with(NatsOptions::default()).await
    }

    /// Starts one.
    pub async fn start_with(options: NatsOptions) -> Self {
        let (scratch, ports) = (Scratch::new("nats"), Ports::take());
        let mut server = Self { process: None, scratch, options, ports };
        server.run().await;
        server
    }

    /// Where clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.client_port())
    }

    /// Where it tells how it is.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port())
    }

    /// The folder of its streams.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.options.store_dir.clone().unwrap_or_else(|| self.scratch.path().join("store"))
    }

    /// A client of its own.
    ///
    /// # Panics
    /// The server does not answer.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("nats-server answers")
    }

    /// The running server.
    ///
    /// # Panics
    /// It does not run.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("nats-server runs")
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill9(&mut self) {
        self.process.take().expect("nats-server runs").kill9();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// It does not run, or does not end within a bound.
    pub async fn stop(&mut self) {
        self.process.take().expect("nats-server runs").terminate(STOP_WAIT).await;
    }

    /// Starts it again on the same ports and the same store; ends it first (SIGTERM) if it runs.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            self.stop().await;
        }
        self.run().await;
    }

    fn client_port(&self) -> u16 {
        self.ports.port(0)
    }

    fn monitor_port(&self) -> u16 {
        self.ports.port(1)
    }

    /// Where a system gives such ports to connections, ours may be somebody else's for a moment: then again.
    async fn run(&mut self) {
        let start = Instant::now();
        while !self.try_run().await {
            assert!(start.elapsed() < START_WAIT, "{:?}: {ADDRESS_IN_USE}", self.ports);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts it again and waits for nothing: whoever does so kills it while it begins.
    pub fn begin(&mut self) {
        remove_trials(&self.store_dir().join("jetstream"));
        let folder = self.scratch.path();
        let config = folder.join("nats.conf");
        std::fs::write(&config, self.config()).expect("configuration can be written");
        let mut command = Command::new(nats_server_binary());
        command.arg("--config").arg(&config);
        self.process = Some(Process::spawn("nats-server", command, &folder.join("log")));
    }

    /// False if a port is taken.
    async fn try_run(&mut self) -> bool {
        self.begin();
        let folder = self.scratch.path().to_owned();
        let health = format!("{}/healthz", self.monitor_url());
        let process = self.process.as_mut().expect("it was started");
        let ports_file = folder.join(format!("nats-server_{}.ports", process.pid()));

        let healthy = wait_until("nats-server is healthy", START_WAIT, async || {
            if let Some(status) = process.exited() {
                let log = process.log_tail();
                if log.contains(ADDRESS_IN_USE) {
                    return Ok(false);
                }
                panic!("nats-server ended: {status}:\n{log}");
            }
            // It is there once this very process listens.
            if !ports_file.exists() {
                return Err("no ports file yet".to_owned());
            }
            match http::try_get(&health).await {
                Ok(answer) if answer.status == 200 => Ok(true),
                Ok(answer) => Err(answer.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        if !healthy {
            self.process = None;
            let _ = std::fs::remove_file(folder.join("log"));
        }
        healthy
    }

    fn config(&self) -> String {
        let mut jetstream = format!("store_dir: {}\n", quoted(&self.store_dir()));
        if self.options.sync_always {
            jetstream.push_str("sync_interval: always\n");
        }
        if let Some(bytes) = self.options.max_file_store {
            jetstream.push_str(&format!("max_file_store: {bytes}\n"));
        }
        format!(
            "server_name: test\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\nports_file_dir: {}\n\
             max_payload: 8MB\njetstream {{\n{jetstream}}}\n{}\n",
            self.client_port(),
            self.monitor_port(),
            quoted(self.scratch.path()),
            self.options.config,
        )
    }
}

/// nats-server tries by a file `_test_…` whether its folder can be written. Killed just then it leaves that file behind, takes
/// it for an account from then on, and is never healthy again: whoever runs it removes the file (deploy/RUNBOOK.md).
fn remove_trials(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_trial = entry.file_name().to_string_lossy().starts_with("_test_");
        if is_trial && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::remove_file(entry.path()).expect("a file of nats-server's can be removed");
        }
    }
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}
