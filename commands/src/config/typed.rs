//! Settings with types; where texts become values and faults are found.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use groupfold_projector::Token;
use groupfold_schemas::log::PARTITIONS_MAX;

use super::{Fault, Flags, KEYS, Layers, Origin, tokens};
use crate::broker::{self, Access};
use crate::exit::Failure;
use crate::provider::{self, Tokens};
use crate::tls;

/// The settings that hold. Which verb needs which is the verb's matter.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) webhook_addr: SocketAddr,
    pub(crate) webhook_tls: Option<tls::Files>,
    pub(crate) api_addr: SocketAddr,
    pub(crate) api_tls: Option<tls::Files>,
    pub(crate) meta_app_secrets: Vec<String>,
    pub(crate) meta_verify_token: Option<String>,
    pub(crate) provider: provider::Settings,
    /// How often all groups are compared with the provider.
    pub(crate) reconcile_interval: Option<Duration>,
    pub(crate) command_deadline: Duration,
    pub(crate) api_tokens: Vec<Token>,
    /// Those of them that are not hashed.
    pub(crate) api_tokens_plain: Vec<String>,
    /// One that a verb with these settings may ask with: plain, and bound to no number.
    pub(crate) api_token_of_all: Option<String>,
    /// Files that the settings came from.
    pub(crate) files: Vec<PathBuf>,
    /// Keys whose values somebody gave, in whatever way.
    given: BTreeSet<&'static str>,
    pub(crate) nats_server: Option<PathBuf>,
    pub(crate) nats_url: Option<String>,
    pub(crate) nats_monitor_url: Option<String>,
    pub(crate) nats_access: Access,
    pub(crate) partitions: Option<u16>,
    pub(crate) replicas: usize,
    pub(crate) log_bytes_max: Option<u64>,
    pub(crate) own: Option<Vec<u16>>,
    pub(crate) batch_events_max: usize,
    pub(crate) cache_bytes: u64,
    pub(crate) rebuild_bytes: usize,
    pub(crate) wait_ms_max: u64,
    pub(crate) body_bytes_max: usize,
    pub(crate) requests_max: usize,
    pub(crate) bytes_in_flight_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) header_deadline: Duration,
    pub(crate) body_deadline: Duration,
    pub(crate) append_deadline: Duration,
    pub(crate) drain_budget: Duration,
    pub(crate) ignore_one_to_one: bool,
    pub(crate) ignore_other_fields: bool,
    pub(crate) log: String,
    pub(crate) log_json: bool,
}

impl Config {
    /// Reads flags, environment and file.
    pub(crate) fn load(flags: &Flags) -> Result<Self, Failure> {
        Self::from_layers(flags).map_err(failure)
    }

    pub(crate) fn from_layers(flags: &Flags) -> Result<Self, Vec<Fault>> {
        Self::from_environment(flags, super::variable)
    }

    pub(super) fn from_environment(
        flags: &Flags,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Fault>> {
        let (layers, mut faults) = Layers::collect(flags, environment);
        match Self::typed(&layers) {
            Ok(config) if faults.is_empty() => Ok(config),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }

    pub(super) fn typed(layers: &Layers) -> Result<Self, Vec<Fault>> {
        let mut read = Reader { layers, faults: Vec::new() };
        let (tokens, plain) = read.api_tokens();
        let of_all = tokens::of_all(&tokens, &plain);
        let config = Self {
            data: read.one("data", "a folder").unwrap_or_default(),
            webhook_addr: read.one("webhook_addr", "ADDRESS:PORT").unwrap_or(NOWHERE),
            webhook_tls: read.webhook_tls(),
            api_addr: read.one("api_addr", "ADDRESS:PORT").unwrap_or(NOWHERE),
            api_tls: read.api_tls(),
            meta_app_secrets: read.secrets("meta_app_secret"),
            meta_verify_token: read.secrets("meta_verify_token").into_iter().next(),
            provider: read.provider(),
            reconcile_interval: read.within("reconcile_interval_s", 1, 31_536_000).map(Duration::from_secs),
            command_deadline: read.time("command_deadline_ms"),
            api_tokens: tokens,
            api_tokens_plain: plain,
            api_token_of_all: of_all,
            files: read.files(),
            given: layers.given(),
            nats_server: read.one("nats_server", "a path"),
            // It may hold a password, and that it arrived empty is a fault, as of all secrets.
            nats_url: read.secrets("nats_url").pop(),
            nats_monitor_url: read.one("nats_monitor_url", "http://HOST:PORT"),
            nats_access: read.nats_access(),
            partitions: read
                .within("partitions", 1, u64::from(PARTITIONS_MAX))
                .and_then(|n| n.try_into().ok()),
            replicas: read.one::<Replicas>("replicas", "1, 3 or 5").map_or(1, |replicas| replicas.0),
            log_bytes_max: read.within("log_bytes_max", 1 << 20, 1 << 62),
            own: read.one::<Partitions>("own", "partitions such as 0,1,2").map(|own| own.0),
            batch_events_max: read.size("batch_events_max", 1, 10_000),
            cache_bytes: read.within("cache_bytes", 1 << 20, 1 << 40).unwrap_or_default(),
            rebuild_bytes: read.size("rebuild_bytes", 4096, 1 << 40),
            wait_ms_max: read.within("wait_ms_max", 0, 600_000).unwrap_or_default(),
            body_bytes_max: read.size("body_bytes_max", 1024, groupfold_ingest::BODY_BYTES_LIMIT as u64),
            requests_max: read.size("requests_max", 1, 100_000),
            bytes_in_flight_max: read.size("bytes_in_flight_max", 1 << 20, 1 << 36),
            connections_max: read.size("connections_max", 1, 1_000_000),
            header_deadline: read.time("header_deadline_ms"),
            body_deadline: read.time("body_deadline_ms"),
            append_deadline: read.time("append_deadline_ms"),
            drain_budget: read.time("drain_budget_ms"),
            ignore_one_to_one: read.one("ignore_one_to_one", "true or false").unwrap_or(true),
            ignore_other_fields: read.one("ignore_other_fields", "true or false").unwrap_or(true),
            log: read.one("log", "a level").unwrap_or_default(),
            log_json: read.one::<Format>("log_format", "text or json") == Some(Format::Json),
        };
        config.across(&mut read.faults);
        if read.faults.is_empty() { Ok(config) } else { Err(read.faults) }
    }

    /// True if a setting is not merely the default.
    pub(crate) fn gives(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// Faults that lie between keys.
    fn across(&self, faults: &mut Vec<Fault>) {
        if self.api_tokens.is_empty() && !self.api_addr.ip().is_loopback() {
            let addr = self.api_addr;
            faults.push(Fault(format!(
                "api_addr: {addr} is not loopback, and no api_token is set: give one, or bind 127.0.0.1"
            )));
        }
        if self.reconcile_interval.is_some() && self.provider.tokens.is_empty() {
            faults.push(Fault(
                "reconcile_interval_s: needs an access token to read the provider with (meta_access_token)"
                    .to_owned(),
            ));
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log) {
            faults.push(Fault(format!(
                "log: {:?} is no filter ({error}); expected info, or module=debug,…",
                self.log
            )));
        }
        if self.bytes_in_flight_max < self.body_bytes_max {
            faults.push(Fault(
                "bytes_in_flight_max: is less than body_bytes_max: no large body could ever come in"
                    .to_owned(),
            ));
        }
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[derive(PartialEq)]
enum Format {
    Text,
    Json,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// A bound; the thousands of a long one apart, as it were blacked out for a phone number otherwise.
fn legible(bound: u64) -> String {
    let digits = bound.to_string();
    if digits.len() < 10 {
        return digits;
    }
    let apart = |(place, digit): (usize, char)| {
        let comma = place > 0 && (digits.len() - place).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(apart).collect()
}

/// Where the access token is sent to: nowhere in the clear but to this machine.
struct GraphUrl(reqwest::Url);

impl GraphUrl {
    /// Stands in for a URL at fault, which is told before it is used.
    fn nowhere() -> reqwest::Url {
        #[expect(clippy::expect_used, reason = "a constant")]
        reqwest::Url::parse("http://127.0.0.1:9/").expect("a URL")
    }
}

impl FromStr for GraphUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = reqwest::Url::parse(text).map_err(|_| ())?;
        let host = url.host_str().unwrap_or_default();
        let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        let safe = url.scheme() == "https" || (url.scheme() == "http" && here);
        let plain = url.query().is_none() && url.fragment().is_none() && url.password().is_none();
        if safe && plain && !host.is_empty() { Ok(Self(url)) } else { Err(()) }
    }
}

struct Replicas(usize);

impl FromStr for Replicas {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().ok().filter(|n| [1, 3, 5].contains(n)).map(Self).ok_or(())
    }
}

struct Partitions(Vec<u16>);

impl FromStr for Partitions {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// How verbs that have no settings of their own reach the broker: as variables and the config file say.
///
/// # Errors
/// What they say of that has a fault, or the file cannot be read.
pub(crate) fn ambient_access() -> Result<Access, Failure> {
    let (layers, mut faults) = Layers::collect(&Flags::default(), super::variable);
    // What else is wrong is the matter of whoever uses it.
    faults.retain(|Fault(line)| line.starts_with("nats_") || line.starts_with("config:"));
    let mut read = Reader { layers: &layers, faults };
    let access = read.nats_access();
    if read.faults.is_empty() { Ok(access) } else { Err(failure(read.faults)) }
}

/// The texts of a secret from the file that its `GROUPFOLD_…_FILE` names, for verbs that read no other settings.
///
/// # Errors
/// The file cannot be used, or the secret is given in another way too.
pub(crate) fn of_file(name: &str) -> Result<Option<Vec<String>>, Failure> {
    let Some(key) = KEYS.iter().find(|key| key.name == name) else { return Ok(None) };
    let found = super::twin(key, super::variable).map_err(|fault| failure(vec![fault]))?;
    Ok(found.map(|(setting, _)| setting.values))
}

fn failure(faults: Vec<Fault>) -> Failure {
    let lines: Vec<String> = faults.into_iter().map(|Fault(line)| format!("\n  {line}")).collect();
    Failure::Usage(format!("the settings have {} fault(s):{}", lines.len(), lines.concat()))
}

struct Reader<'a> {
    layers: &'a Layers,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn one<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Option<T> {
        let setting = self.layers.get(name)?;
        let text = setting.values.last()?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(name, text, &setting.origin, expected);
        }
        parsed
    }

    fn within(&mut self, name: &'static str, min: u64, max: u64) -> Option<u64> {
        let expected = format!("a whole number from {min} to {}", legible(max));
        let number: u64 = self.one(name, &expected)?;
        if (min..=max).contains(&number) {
            return Some(number);
        }
        if let Some(setting) = self.layers.get(name) {
            self.fault(name, &number.to_string(), &setting.origin, &expected);
        }
        None
    }

    fn size(&mut self, name: &'static str, min: u64, max: u64) -> usize {
        self.within(name, min, max).and_then(|number| number.try_into().ok()).unwrap_or_default()
    }

    fn time(&mut self, name: &'static str) -> Duration {
        Duration::from_millis(self.within(name, 1, 3_600_000).unwrap_or_default())
    }

    fn provider(&mut self) -> provider::Settings {
        provider::Settings {
            meta_graph_url: self
                .one::<GraphUrl>("meta_graph_url", "https://HOST/VERSION, or http:// on this machine")
                .map_or_else(GraphUrl::nowhere, |url| url.0),
            tokens: self.tokens(),
            deadline: self.time("provider_deadline_ms"),
            patience: self.time("provider_patience_ms"),
            calls_max: self.size("provider_calls_max", 1, 10_000),
        }
    }

    /// Those of the files, then those given themselves, which win.
    fn tokens(&mut self) -> Tokens {
        let mut all = Vec::new();
        if let Some(setting) = self.layers.get("meta_access_token_file") {
            for path in &setting.values {
                match std::fs::read_to_string(path) {
                    Ok(text) => all.push(("meta_access_token_file", &setting.origin, text)),
                    Err(error) => self.faults.push(Fault(format!(
                        "meta_access_token_file: cannot read {path} (from {}): {error}",
                        setting.origin
                    ))),
                }
            }
        }
        if let Some(setting) = self.layers.get("meta_access_token") {
            all.extend(
                setting.values.iter().map(|text| ("meta_access_token", &setting.origin, text.clone())),
            );
        }
        let mut tokens = Tokens::default();
        for (name, origin, text) in all {
            let is_file = name == "meta_access_token_file";
            let lines = Tokens::lines(&text).map(str::to_owned);
            let lines: Vec<String> = if is_file { lines.collect() } else { vec![text.clone()] };
            match Tokens::parse(lines.iter().map(String::as_str)) {
                Ok(more) => tokens.add(more),
                Err(expected) => {
                    let shown = if is_file { "a line" } else { "****" };
                    self.faults.push(Fault(format!("{name}: {shown} (from {origin}); expected {expected}")));
                }
            }
        }
        tokens
    }

    fn files(&self) -> Vec<PathBuf> {
        let tokens =
            self.layers.get("meta_access_token_file").into_iter().flat_map(|setting| &setting.values);
        self.layers.files.iter().cloned().chain(tokens.map(PathBuf::from)).collect()
    }

    fn secrets(&mut self, name: &'static str) -> Vec<String> {
        let Some(setting) = self.layers.get(name) else { return Vec::new() };
        if setting.values.iter().any(|value| value.trim().is_empty()) {
            self.fault(name, "", &setting.origin, "a text that is not empty");
        }
        setting.values.clone()
    }

    fn webhook_tls(&mut self) -> Option<tls::Files> {
        let cert: Option<PathBuf> = self.one("webhook_tls_cert", "a PEM file");
        let key: Option<PathBuf> = self.one("webhook_tls_key", "a PEM file");
        let client_ca: Option<PathBuf> = self.one("webhook_tls_client_ca", "a PEM file");
        let names = self.layers.get("webhook_tls_client_name");
        let client_names: Vec<String> = names.map(|names| names.values.clone()).unwrap_or_default();
        if client_ca.is_none() && !client_names.is_empty() {
            self.faults.push(Fault("webhook_tls_client_name: needs webhook_tls_client_ca".to_owned()));
        }
        match (cert, key) {
            (Some(cert), Some(key)) => Some(tls::Files { cert, key, client_ca, client_names }),
            (None, None) if client_ca.is_none() => None,
            _ => self.half("webhook_tls"),
        }
    }

    fn api_tls(&mut self) -> Option<tls::Files> {
        let cert: Option<PathBuf> = self.one("api_tls_cert", "a PEM file");
        let key: Option<PathBuf> = self.one("api_tls_key", "a PEM file");
        match (cert, key) {
            (Some(cert), Some(key)) => {
                Some(tls::Files { cert, key, client_ca: None, client_names: Vec::new() })
            }
            (None, None) => None,
            _ => self.half("api_tls"),
        }
    }

    fn half(&mut self, tls: &str) -> Option<tls::Files> {
        self.faults.push(Fault(format!("{tls}: needs {tls}_cert and {tls}_key, both")));
        None
    }

    fn nats_access(&mut self) -> Access {
        Access {
            tls_ca: self.one("nats_tls_ca", "a PEM file"),
            creds: self.one("nats_creds", "a file"),
            nkey: self.one("nats_nkey", "a file"),
            user: self.one("nats_user", "a name"),
            password: self.secrets("nats_password").into_iter().next(),
            inbox: self.one("nats_inbox", "a subject"),
        }
    }

    /// All tokens of the API, and of them those that are not hashed.
    fn api_tokens(&mut self) -> (Vec<Token>, Vec<String>) {
        let mut plain = self.secrets("api_token");
        let each = self.within("api_requests_per_second", 0, 1_000_000).and_then(|n| u32::try_from(n).ok());
        let mut all = Vec::new();
        if let Some(setting) = self.layers.get("api_token") {
            all.extend(tokens::plain(setting, &mut self.faults));
        }
        if let Some(api) = &self.layers.api {
            let (more, texts) = tokens::of_file(&api.value, &mut self.faults);
            all.extend(more);
            plain.extend(texts);
        }
        plain.retain(|text| !text.starts_with(tokens::HASH));
        for token in &mut all {
            token.requests_per_second = token.requests_per_second.or(each.filter(|each| *each > 0));
        }
        (all, plain)
    }

    fn fault(&mut self, name: &str, value: &str, origin: &Origin, expected: &str) {
        let secret = KEYS.iter().any(|key| key.name == name && key.secret);
        let shown = if secret && !value.is_empty() {
            "****".to_owned()
        } else {
            format!("{:?}", broker::shown(value))
        };
        self.faults.push(Fault(format!("{name}: {shown} (from {origin}); expected {expected}")));
    }
}
