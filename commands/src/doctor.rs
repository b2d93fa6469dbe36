//! `groupfold doctor`: a look at everything that is known to go wrong, with the command that mends it.
//!
//! Nothing is changed. What cannot be looked at is itself a finding: a doctor that stays silent about what it
//! did not see would be worse than none.

mod broker;
mod folder;
mod limits;
mod positions;
mod room;
mod settings;
mod streams;

use std::path::PathBuf;

use serde_json::json;

use crate::api::{Client, Elsewhere, token};
use crate::cli::Output;
use crate::config::{Config, Fault, Layers, Settings};
use crate::data::Run;
use crate::exit::Failure;
use crate::{data, health, pipeline, print};

/// Look at everything that is known to go wrong.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Give it the settings of the process it is to judge (the same --config and variables). One line \
                        each: ok, warn or fail, the reason,\nand the command that mends it. Exit codes: 0 nothing fails (there may \
                        be warnings), 3 something does, 1 it could not look."
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    api: Elsewhere,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    flags: Settings,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    level: Level,
    what: &'static str,
    reason: String,
    mend: Option<String>,
}

/// All that was looked at, in the order of looking.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: &'static str, reason: impl Into<String>) {
        self.0.push(Finding { level: Level::Ok, what, reason: reason.into(), mend: None });
    }

    fn warn(&mut self, what: &'static str, reason: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Warn, what, reason, mend);
    }

    fn fail(&mut self, what: &'static str, reason: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Fail, what, reason, mend);
    }

    fn add(&mut self, level: Level, what: &'static str, reason: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { level, what, reason: reason.into(), mend: Some(mend.into()) });
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}

/// What is to be looked at.
struct Patient {
    /// The settings; absent if they have faults, which are findings.
    config: Option<Config>,
    data: PathBuf,
    /// What runs on the data folder.
    run: Option<Run>,
    api: Option<(String, Option<String>)>,
}

/// Looks at everything and says what is wrong.
pub(crate) async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let mut findings = Findings::default();
    let mut patient = Patient::of(&args, &mut findings)?;
    patient.look_for_api(&mut findings).await;
    if let Some(config) = &patient.config {
        settings::look(config, &patient, &mut findings);
    }
    let log = broker::look(&patient, &mut findings).await;
    if let Some(log) = &log {
        streams::look(&patient, log, &mut findings).await;
    }
    positions::look(&patient, log.as_ref(), &mut findings).await;
    limits::look(&patient, &mut findings).await;
    folder::look(&patient, log.as_ref().and_then(|log| log.partitions), &mut findings);
    tell(&findings, args.output)
}

impl Patient {
    fn of(args: &DoctorArgs, findings: &mut Findings) -> Result<Self, Failure> {
        let config = match Config::from_layers(&args.flags) {
            Ok(config) => Some(config),
            Err(faults) => {
                for Fault(fault) in faults {
                    findings.fail(
                        "settings",
                        fault,
                        "correct the setting; `groupfold config check` looks again",
                    );
                }
                None
            }
        };
        let data = config.as_ref().map(|config| config.data.clone()).or_else(|| Layers::data(&args.flags));
        let data = data.unwrap_or_else(|| PathBuf::from("./groupfold-data"));
        let elsewhere =
            args.api.named().is_some() || config.as_ref().is_some_and(|config| config.nats_url.is_some());
        let run = match Run::find(&data, "--nats-url") {
            Ok(run) => {
                findings.ok("process", format!("groupfold {} runs as process {}", run.version, run.pid));
                Some(run)
            }
            Err(Failure::Missing(_)) if elsewhere => None,
            Err(Failure::Missing(_)) => {
                findings.fail(
                    "process",
                    format!(
                        "nothing runs on {}: broker, streams and positions were not looked at",
                        data.display()
                    ),
                    format!(
                        "{}, or name a pipeline elsewhere by --nats-url and --api-url",
                        data::start(&data)
                    ),
                );
                None
            }
            Err(Failure::Again(line)) => {
                findings.warn("process", line, "groupfold doctor, in a moment");
                None
            }
            Err(failure) => return Err(failure),
        };
        let settings = config.as_ref().and_then(|config| config.api_token_of_all.clone());
        let api = match (args.api.url()?, &run) {
            (Some(url), _) => Some((url.trim_end_matches('/').to_owned(), token(None, None, settings))),
            (None, Some(run)) => {
                let token = token(None, run.api_token.clone(), settings);
                Some((format!("http://{}", run.api_addr), token))
            }
            (None, None) => None,
        };
        Ok(Self { config, data, run, api })
    }
}

impl Patient {
    /// A receiver leaves no word in any folder, and a projector that does not run neither: the address of the settings is
    /// tried where no other is known.
    async fn look_for_api(&mut self, findings: &mut Findings) {
        let Some(config) = &self.config else { return };
        if self.api.is_some() || config.nats_url.is_none() {
            return;
        }
        let (scheme, mut addr) = (pipeline::scheme(config.api_tls.as_ref()), config.api_addr);
        if addr.ip().is_unspecified() {
            addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let url = format!("{scheme}://{addr}");
        let token = config.api_token_of_all.clone();
        if let Ok(api) = Client::new(&url, token.clone())
            && health::readiness(&api).await.is_ok()
        {
            findings.ok("process", format!("a groupfold answers at {url}, the api_addr of the settings"));
            self.api = Some((url, token));
            return;
        }
        findings.warn(
            "process",
            format!(
                "nothing runs on {}, nothing answers at {url}, and no other API is known: receivers and projectors were not looked at",
                self.data.display()
            ),
            format!("groupfold doctor --api-url http://HOST:PORT …, for each of them; or {}", data::start(&self.data)),
        );
    }
}

fn tell(findings: &Findings, output: Output) -> Result<(), Failure> {
    let (fail, warn) = (findings.count(Level::Fail), findings.count(Level::Warn));
    let as_json = || {
        let each = |finding: &Finding| {
            json!({ "level": finding.level.name(), "what": finding.what, "reason": finding.reason,
                    "mend": finding.mend })
        };
        let list: Vec<_> = findings.0.iter().map(each).collect();
        json!({ "fail": fail, "warn": warn, "ok": findings.count(Level::Ok), "findings": list }).to_string()
    };
    let as_text = || {
        let each = |finding: &Finding| {
            let mend = finding.mend.as_ref().map(|mend| format!("; mend: {mend}")).unwrap_or_default();
            format!("{:<4}  {:<12} — {}{mend}", finding.level.name(), finding.what, finding.reason)
        };
        findings.0.iter().map(each).collect::<Vec<_>>().join("\n")
    };
    print::either(output, as_json, as_text)?;
    // What is to be looked at some day is nothing that a script should stop at.
    if fail == 0 {
        return Ok(());
    }
    Err(Failure::Found(format!("{fail} to mend, {warn} to look at, see above")))
}
