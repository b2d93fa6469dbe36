//! The `groupfold` binary as a process, run as its users run it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use groupfold_schemas::position::Position;
use serde_json::Value;

use crate::{
    Answer, CommandLine, NatsServer, Process, Scratch, groupfold_binary, http, nats_server_binary,
    wait_until, webhook,
};

/// Time to be ready, with a nats-server of its own, eight streams and a store to open.
const START_WAIT: Duration = Duration::from_secs(60);
/// Longest that a read waits for what was posted: the most that the product allows where nothing else is set.
const READ_WAIT_MS: u32 = 30_000;
/// Time to drain and end: more than the product's own budget for it.
const STOP_WAIT: Duration = Duration::from_secs(40);
/// Where a running groupfold leaves its addresses in its data folder.
const RUN_FILE: &str = "run.json";
/// A shorter one may be a part of anything.
const SECRET_CHARS_MIN: usize = 8;

/// The broker that a groupfold uses.
#[derive(Debug, Clone)]
pub enum Nats {
    /// One that it starts itself; `up` alone can.
    Own,
    /// One that is there.
    Url(String),
}

impl From<&NatsServer> for Nats {
    fn from(server: &NatsServer) -> Self {
        Self::Url(server.url())
    }
}

/// How to run a groupfold.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its data folder; absent: one of its own, removed when dropped.
    pub data: Option<PathBuf>,
    /// Its broker.
    pub nats: Nats,
    /// The secret that [`Groupfold::post`] signs with; empty where it is told another way.
    pub app_secret: String,
    /// The token of the handshake; empty where it is told another way.
    pub verify_token: String,
    /// Further arguments.
    pub args: Vec<String>,
    /// The program; absent: the one of the same build as the test.
    pub binary: Option<PathBuf>,
    /// Environment variables. Those of the test run that begin with `GROUPFOLD_` are not passed on.
    pub env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: None,
            nats: Nats::Own,
            app_secret: "app-secret-of-a-test".to_owned(),
            verify_token: "verify-token-of-a-test".to_owned(),
            args: Vec::new(),
            binary: None,
            env: Vec::new(),
        }
    }
}

impl Options {
    /// With a broker that is there, and the address on which it tells how durable it is.
    #[must_use]
    pub fn on(server: &NatsServer) -> Self {
        let args = vec!["--nats-monitor-url".to_owned(), server.monitor_url()];
        Self { nats: server.into(), args, ..Self::default() }
    }
}

/// Where a running groupfold listens, as it says itself. What a verb does not serve is absent.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// `host:port` of the receiver.
    pub webhook: Option<String>,
    /// `host:port` of the query API.
    pub api: Option<String>,
    /// The broker.
    pub nats_url: Option<String>,
    /// The broker's monitoring address.
    pub monitor_url: Option<String>,
    /// Opens a guarded query API to whoever may read the data folder.
    pub api_token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Up,
    Ingest,
    Project,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Ingest => "ingest",
            Self::Project => "project",
        }
    }
}

/// A running `groupfold`. Killed when dropped, and its broker with it.
#[derive(Debug)]
pub struct Groupfold {
    // Before the folder that it writes to: fields are dropped in this order.
    process: Option<Process>,
    scratch: Scratch,
    verb: Verb,
    options: Options,
    addresses: Addresses,
    /// How often it was started: each run has a log of its own.
    runs: u32,
    /// How far the log goes that [`Self::post`] was told of: what a test has posted it reads.
    told: Mutex<Position>,
}

impl Groupfold {
    /// Starts everything in one process and waits until it is ready.
    pub async fn up(options: Options) -> Self {
        Self::start(Verb::Up, options).await
    }

    /// Starts the receiver alone and waits until it is ready.
    pub async fn ingest(options: Options) -> Self {
        Self::start(Verb::Ingest, options).await
    }

    /// Starts a projector alone and waits until it is ready.
    pub async fn project(options: Options) -> Self {
        Self::start(Verb::Project, options).await
    }

    async fn start(verb: Verb, options: Options) -> Self {
        let scratch = Scratch::new(verb.name());
        let addresses = Addresses::default();
        let told = Mutex::default();
        let mut groupfold = Self { process: None, scratch, verb, options, addresses, runs: 0, told };
        groupfold.run().await;
        groupfold
    }

    /// A `groupfold` command without the settings of the test run's environment.
    #[must_use]
    pub fn command() -> CommandLine {
        CommandLine::of(Self::command_of(None))
    }

    /// The same of a binary; absent: the one of the same build as the test.
    #[must_use]
    pub fn command_of(binary: Option<&Path>) -> Command {
        let mut command = Command::new(binary.unwrap_or_else(|| groupfold_binary()));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GROUPFOLD_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.scratch.path().join("data"))
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The address that webhooks are posted to.
    ///
    /// # Panics
    /// It has no receiver.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("http://{}/webhooks/meta", self.addresses.webhook.as_deref().expect("a receiver"))
    }

    /// The address of a path of the query API, such as `/v1/groups`.
    ///
    /// # Panics
    /// It has no query API.
    #[must_use]
    pub fn api_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.api.as_deref().expect("a query API"))
    }

    /// Posts a signed webhook. What [`Self::get`] then answers reflects it.
    ///
    /// # Panics
    /// Nobody answers.
    pub async fn post(&self, body: &[u8]) -> Answer {
        let answer = self.try_post(body).await;
        let answer = answer.unwrap_or_else(|error| panic!("POST {}: {error:?}", self.webhook_url()));
        if let Some(position) = answer.position().and_then(|text| text.parse().ok()) {
            self.told.lock().expect("nobody panicked").join(&position);
        }
        answer
    }

    /// Posts a signed webhook, and remembers nothing of it.
    ///
    /// # Errors
    /// Nobody answers, or the connection breaks: the webhook's fate is unknown.
    pub async fn try_post(&self, body: &[u8]) -> Result<Answer, reqwest::Error> {
        webhook::post(&self.webhook_url(), &self.options.app_secret, body).await
    }

    /// Asks the query API, with the token that the process left for its owner if it is guarded. Reads that name no
    /// position of their own wait for all that [`Self::post`] was told of.
    ///
    /// # Panics
    /// Nobody answers.
    pub async fn get(&self, path: &str) -> Answer {
        let url = self.api_url(&self.reflecting(path));
        let mut request = http::one_shot().get(&url);
        if let Some(token) = &self.addresses.api_token {
            request = request.bearer_auth(token);
        }
        let answered = async { http::read(request.send().await?).await };
        answered.await.unwrap_or_else(|error| panic!("GET {url}: {error:?}"))
    }

    fn reflecting(&self, path: &str) -> String {
        let told = self.told.lock().expect("nobody panicked").to_string();
        // Of a command `wait_ms` means its end.
        let other = ["min_position=", "wait_ms=", "?at=", "&at=", "/v1/commands/", "/v1/ops/"];
        let reads = path.starts_with("/v1/") && !other.iter().any(|part| path.contains(part));
        if !reads || told.is_empty() {
            return path.to_owned();
        }
        let mark = if path.contains('?') { '&' } else { '?' };
        format!("{path}{mark}min_position={told}&wait_ms={READ_WAIT_MS}")
    }

    /// `/v1/position` once it reflects all that the broker has taken so far. A lag of zero alone does not say so: it
    /// counts what the projector has heard of.
    ///
    /// # Panics
    /// The broker or the API does not answer, or the log is not folded within a bound.
    pub async fn caught_up(&self) -> Answer {
        let given = || self.options.args.windows(2).find(|pair| pair[0] == "--nats-monitor-url");
        let monitor = self.addresses.monitor_url.as_deref().or_else(|| Some(given()?[1].as_str()));
        let monitor = monitor.expect("a broker with a monitoring address");
        let streams = http::get(&format!("{monitor}/jsz?streams=1")).await.json;
        let details = streams["account_details"].as_array().into_iter().flatten();
        let ends = details.flat_map(|account| account["stream_detail"].as_array().into_iter().flatten());
        let ends = ends.filter_map(|stream| {
            let partition = stream["name"].as_str()?.strip_prefix("GROUPFOLD_EVENTS_")?;
            match stream["state"]["last_seq"].as_u64()? {
                0 => None,
                last => Some(format!("{partition}:{last}")),
            }
        });
        let all = ends.collect::<Vec<_>>().join(",");
        let freshness = if all.is_empty() { all } else { format!("?min_position={all}&wait_ms=5000") };
        wait_until("all is folded", START_WAIT, async || {
            let answer = self.get(&format!("/v1/position{freshness}")).await;
            if answer.status == 200 { Ok(answer) } else { Err(answer) }
        })
        .await
    }

    /// The running process.
    ///
    /// # Panics
    /// It does not run.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("groupfold runs")
    }

    /// Ends it at once, as `kill -9` does. A broker of its own is left to itself.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill9(&mut self) {
        self.process.take().expect("groupfold runs").kill9();
    }

    /// Asks it to end (SIGTERM) and returns its exit code.
    ///
    /// # Panics
    /// It does not run, does not end within a bound, or was ended by a signal.
    pub async fn terminate(&mut self) -> i32 {
        let mut process = self.process.take().expect("groupfold runs");
        let status = process.terminate(STOP_WAIT).await;
        status.code().unwrap_or_else(|| panic!("{status}:\n{}", process.log_tail()))
    }

    /// Starts it again on the same data folder; ends it first (SIGTERM) if it runs. Its addresses are new.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            self.terminate().await;
        }
        self.run().await;
    }

    /// How it is run the next time.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Starts it again as [`Self::restart`] does, and says whether it became ready: one that is told to crash may end
    /// before.
    pub async fn try_restart(&mut self) -> bool {
        if self.process.is_some() {
            self.terminate().await;
        }
        self.try_run().await.is_none()
    }

    /// Starts it again and waits until it answers, whether it is ready or not.
    ///
    /// # Panics
    /// It ends.
    pub async fn start_anyhow(&mut self) {
        if let Some(status) = self.try_run_until(false).await {
            panic!("groupfold ended: {status}:\n{}", self.process().log_tail());
        }
    }

    async fn run(&mut self) {
        if let Some(status) = self.try_run().await {
            panic!("groupfold ended: {status}:\n{}", self.process().log_tail());
        }
    }

    /// Its exit status, if it ends instead of being ready.
    async fn try_run(&mut self) -> Option<std::process::ExitStatus> {
        self.try_run_until(true).await
    }

    /// Starts it again and waits for nothing: whoever does so kills it while it begins.
    pub fn begin(&mut self) {
        let data = self.data();
        let command = self.command_line(&data);
        self.runs += 1;
        let log = self.scratch.path().join(format!("log.{}", self.runs));
        self.process = Some(Process::spawn("groupfold", command, &log).keeping(self.secrets()));
    }

    async fn try_run_until(&mut self, must_be_ready: bool) -> Option<std::process::ExitStatus> {
        let data = self.data();
        self.begin();
        let verb = self.verb;
        let process = self.process();
        let pid = process.pid();

        let what = format!("groupfold {} is ready (data: {})", verb.name(), data.display());
        let ready = wait_until(&what, START_WAIT, async || {
            if let Some(status) = process.exited() {
                return Ok(Err(status));
            }
            let found = match verb {
                Verb::Up | Verb::Project => left_addresses(&data, pid),
                Verb::Ingest => printed_addresses(&process.log()),
            };
            let addresses = found.ok_or("it does not say yet where it listens")?;
            let health = addresses.api.as_deref().ok_or("it serves no health")?;
            match http::try_get(&format!("http://{health}/readyz")).await {
                Ok(answer) if answer.status == 200 || !must_be_ready => Ok(Ok(addresses)),
                Ok(answer) => Err(answer.to_string()),
                Err(error) => Err(format!("{error:?}")),
            }
        })
        .await;
        match ready {
            Ok(addresses) => {
                self.addresses = addresses;
                None
            }
            Err(status) => Some(status),
        }
    }

    /// What this process was told and must tell nobody.
    fn secrets(&self) -> Vec<String> {
        // Those on its command line are found by themselves.
        let named = [self.options.app_secret.clone(), self.options.verify_token.clone()];
        named.into_iter().filter(|secret| secret.len() >= SECRET_CHARS_MIN).collect()
    }

    fn command_line(&self, data: &Path) -> Command {
        let mut command = Self::command_of(self.options.binary.as_deref());
        command.current_dir(self.scratch.path()).arg(self.verb.name()).arg("--data").arg(data);
        if self.verb != Verb::Project {
            command.args(["--webhook-addr", "127.0.0.1:0"]);
            let secrets = [
                ("--meta-app-secret", &self.options.app_secret),
                ("--meta-verify-token", &self.options.verify_token),
            ];
            for (flag, secret) in secrets.into_iter().filter(|(_, secret)| !secret.is_empty()) {
                command.args([flag, secret]);
            }
        }
        command.args(["--api-addr", "127.0.0.1:0"]);
        match &self.options.nats {
            Nats::Own => command.arg("--nats-server").arg(nats_server_binary()),
            Nats::Url(url) => command.args(["--nats-url", url]),
        };
        command.args(&self.options.args).envs(self.options.env.iter().cloned());
        command
    }
}

impl Drop for Groupfold {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill9();
        }
        if matches!(self.options.nats, Nats::Own) {
            end_orphan(&self.data());
        }
        // Last, for it may find that something was printed that nobody may read.
        drop(self.process.take());
    }
}

/// A broker outlives an `up` that is killed. Ours is the one that wrote its process id into the data folder
/// and whose command line names that folder; nobody else's can be hit.
fn end_orphan(data: &Path) {
    let Ok(pid) = std::fs::read_to_string(data.join("nats/nats.pid")) else { return };
    let pid = pid.trim();
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).or_else(|_| {
        Command::new("ps").args(["-o", "command=", "-p", pid]).output().map(|output| output.stdout)
    });
    let names_us = |line: Vec<u8>| String::from_utf8_lossy(&line).contains(&*data.to_string_lossy());
    if command_line.is_ok_and(names_us) {
        let _ = Command::new("kill").args(["-s", "KILL", pid]).status();
    }
}

/// What this very process left in its data folder: that of one that ran before is of no use.
fn left_addresses(data: &Path, pid: u32) -> Option<Addresses> {
    let json: Value = serde_json::from_slice(&std::fs::read(data.join(RUN_FILE)).ok()?).ok()?;
    if json["pid"] != pid {
        return None;
    }
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    Some(Addresses {
        webhook: text("webhook_addr"),
        api: text("api_addr"),
        nats_url: text("nats_url"),
        monitor_url: text("monitor_url"),
        api_token: text("api_token"),
    })
}

/// What a process without a data folder printed: `webhooks  http://…/webhooks/meta` and
/// `health    http://…/readyz`.
fn printed_addresses(log: &str) -> Option<Addresses> {
    let address = |label: &str, path: &str| {
        let url = log.lines().find_map(|line| line.trim().strip_prefix(label))?.trim();
        let address = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        Some(address.split_once(path)?.0.to_owned())
    };
    Some(Addresses {
        webhook: Some(address("webhooks ", "/webhooks/meta")?),
        api: Some(address("health ", "/readyz")?),
        ..Addresses::default()
    })
}
