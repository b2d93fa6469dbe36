//! A nats-server of our own: started, watched, started again when it dies or holds a stream, ended last.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use groupfold_ingest::{PAYLOAD_SHIPPED, payload_wanted};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::{held, orphan};
use crate::data::{random_hex, write_private};
use crate::exit::Failure;

/// A server that recovers a large log takes its time; how often to say that it does.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// It writes where it listens in one go: a file that is there and cannot be read for so long will never be.
const PORTS_WAIT: Duration = Duration::from_secs(5);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const RESTART_WAIT_MIN: Duration = Duration::from_millis(100);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);
/// A child that lived so long starts again without a wait.
const STEADY: Duration = Duration::from_secs(60);

/// In the broker's folder; open for as long as the server runs.
pub(super) const LOG_FILE: &str = "nats.log";

const USER: &str = "groupfold";

/// The keeper of the child.
#[derive(Debug)]
pub(crate) struct Supervisor {
    ports: Ports,
    stop: CancellationToken,
    watch: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Ports {
    url: String,
    monitor_url: String,
    client: u16,
    monitor: u16,
}

#[derive(Debug)]
struct Home {
    program: PathBuf,
    folder: PathBuf,
    /// Keeps other users of the machine out of the log.
    password: String,
    /// The longest webhook body that comes in.
    body_bytes_max: usize,
}

impl Supervisor {
    /// Ends what a former run left, starts the server on ports of its own choice, and waits until it answers. Nothing if told
    /// to stop before that: the server has ended too.
    pub(crate) async fn start(
        program: PathBuf,
        folder: PathBuf,
        body_bytes_max: usize,
        told: &CancellationToken,
    ) -> Result<Option<Self>, Failure> {
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::failed(&format!("cannot create {}", folder.display()), &error))?;
        let home = Home { program, folder, password: random_hex()?, body_bytes_max };
        orphan::end(&home.config_file(), &home.folder.join("nats.pid")).await?;
        let Some((child, ports)) = home.first_start(told).await? else { return Ok(None) };
        tracing::info!(port = ports.client, program = %home.program.display(), "nats-server is up");
        let stop = CancellationToken::new();
        let watch = tokio::spawn(watch(home, child, ports.clone(), stop.clone()));
        Ok(Some(Self { ports, stop, watch }))
    }

    pub(crate) fn url(&self) -> &str {
        &self.ports.url
    }

    pub(crate) fn monitor_url(&self) -> &str {
        &self.ports.monitor_url
    }

    /// Ends the server and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let _ = self.watch.await;
    }
}

/// Waits for the child's death, for a stream that it holds, or for the word to end it.
async fn watch(home: Home, mut child: Child, ports: Ports, stop: CancellationToken) {
    let mut wait = RESTART_WAIT_MIN;
    let mut starts = held::Starts::default();
    loop {
        let begin = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return end(child).await,
            ended = child.wait() => {
                let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(%status, log = %home.folder.join(LOG_FILE).display(), "nats-server died, starting it again");
            }
            () = held::until_room(&ports.monitor_url, &home.folder, &mut starts) => end(child).await,
        }
        if begin.elapsed() > STEADY {
            wait = RESTART_WAIT_MIN;
        }
        child = loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RESTART_WAIT_MAX);
            match home.spawn(Some(&ports)) {
                Ok(child) => break child,
                Err(failure) => tracing::error!(%failure, "nats-server does not start"),
            }
        };
    }
}

async fn end(mut child: Child) {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_DEADLINE, child.wait()).await.is_err() {
        tracing::warn!("nats-server does not end by itself, killing it");
        let _ = child.kill().await;
    }
}

/// How a start went.
enum Up {
    At(Ports),
    /// It runs, and does not say where it listens.
    Mute,
}

impl Home {
    /// Starts the server until it says where it listens, or until told to stop.
    async fn first_start(&self, told: &CancellationToken) -> Result<Option<(Child, Ports)>, Failure> {
        let mut wait = RESTART_WAIT_MIN;
        loop {
            let mut child = self.spawn(None)?;
            let up = tokio::select! {
                up = self.wait_until_up(&mut child) => up,
                () = told.cancelled() => {
                    end(child).await;
                    return Ok(None);
                }
            };
            match up {
                Ok(Up::At(ports)) => return Ok(Some((child, ports))),
                Ok(Up::Mute) => end(child).await,
                Err(failure) => {
                    end(child).await;
                    return Err(failure);
                }
            }
            let (folder, free) = (self.folder.display(), held::free(&self.folder));
            tracing::error!(
                %folder, free_bytes = free,
                "nats-server runs and could not write where it listens: is the disk full? Starting it again"
            );
            tokio::select! {
                () = told.cancelled() => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RESTART_WAIT_MAX);
        }
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("nats.conf")
    }

    /// Starts the server: on any free ports the first time, on the same ones ever after.
    fn spawn(&self, ports: Option<&Ports>) -> Result<Child, Failure> {
        let failed = |error: std::io::Error| {
            Failure::failed(&format!("cannot start {}", self.program.display()), &error)
        };
        let ports_folder = self.folder.join("ports");
        let _ = std::fs::remove_dir_all(&ports_folder);
        std::fs::create_dir_all(&ports_folder).map_err(failed)?;
        let text = self.config_text(ports, &ports_folder);
        write_private(&self.config_file(), text.as_bytes()).map_err(failed)?;
        Command::new(&self.program)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal is for us; the child is told last.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
    }

    fn config_text(&self, ports: Option<&Ports>, ports_folder: &Path) -> String {
        let port = |port: Option<u16>| port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let file = |name: &str| quoted(&self.folder.join(name));
        // The server's own choice goes by what is free as it starts: too little for ever after a start on a full disk.
        let bound = held::log_bytes_max(&self.folder).map(|bytes| format!(", max_file_store: {bytes}"));
        let bound = bound.unwrap_or_default();
        [
            "# Written by `groupfold up` at every start; changes are lost.".to_owned(),
            "server_name: groupfold".to_owned(),
            format!("listen: \"127.0.0.1:{}\"", port(ports.map(|ports| ports.client))),
            format!("http: \"127.0.0.1:{}\"", port(ports.map(|ports| ports.monitor))),
            format!("ports_file_dir: {}", quoted(ports_folder)),
            format!("pid_file: {}", file("nats.pid")),
            format!("log_file: {}", file(LOG_FILE)),
            "logfile_size_limit: 64MB".to_owned(),
            format!("authorization {{ user: {USER}, password: {:?} }}", self.password),
            "# A webhook that is not JSON is kept whole in one message.".to_owned(),
            format!("max_payload: {}", PAYLOAD_SHIPPED.max(payload_wanted(self.body_bytes_max))),
            "# Acknowledged means on the device.".to_owned(),
            format!("jetstream {{ store_dir: {}, sync_interval: always{bound} }}", file("jetstream")),
        ]
        .join("\n")
    }

    /// As long as the child lives and has not begun to say where it listens it may become ready.
    async fn wait_until_up(&self, child: &mut Child) -> Result<Up, Failure> {
        let log = self.folder.join(LOG_FILE);
        let mut said = Instant::now();
        let mut unreadable = None;
        loop {
            if let Some(file) = self.ports_file() {
                if let Some(ports) = self.read_ports(&file) {
                    return Ok(Up::At(ports));
                }
                if unreadable.get_or_insert_with(Instant::now).elapsed() > PORTS_WAIT {
                    return Ok(Up::Mute);
                }
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(Failure::Failed(format!(
                    "nats-server ended at once ({status}); see {}",
                    log.display()
                )));
            }
            if said.elapsed() > SAY_EVERY {
                said = Instant::now();
                tracing::info!(log = %log.display(), "waiting for nats-server, which recovers the log");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The server leaves its ports in a file named after itself, once it listens.
    fn ports_file(&self) -> Option<PathBuf> {
        Some(std::fs::read_dir(self.folder.join("ports")).ok()?.flatten().next()?.path())
    }

    fn read_ports(&self, file: &Path) -> Option<Ports> {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let first = |kind: &str| json.get(kind)?.get(0)?.as_str().map(str::to_owned);
        let port = |url: &str| url.rsplit(':').next()?.parse().ok();
        let (url, monitor_url) = (first("nats")?, first("monitoring")?);
        let (client, monitor) = (port(&url)?, port(&monitor_url)?);
        let url = format!("nats://{USER}:{}@127.0.0.1:{client}", self.password);
        Some(Ports { url, monitor_url, client, monitor })
    }
}
