//! `groupfold up`: receiver, log and projector in one process.

mod demo;

pub(crate) use self::demo::Demo;
use crate::broker::Broker;
use crate::config::{Config, Flags};
use crate::data::DataFolder;
use crate::exit::Failure;
use crate::process::{self, Process, Up};
use crate::{pipeline, telemetry};

/// Everything in one process, plus a nats-server of its own.
#[derive(clap::Args, Debug)]
pub(crate) struct UpArgs {
    /// Add a simulated WhatsApp that lives gently and for ever, and takes all commands
    #[arg(long)]
    demo: bool,
    /// Make this stream of events again, empty, though the log is not new: what was in it is given up
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    anew: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

/// Secret and token of a demo whose user gave none: it listens on loopback and signs its own webhooks.
pub(crate) const DEMO_SECRET: &str = "demo-app-secret";
pub(crate) const DEMO_VERIFY_TOKEN: &str = "demo-verify-token";

/// Runs until told to stop; the broker is started first and ended last.
pub(crate) async fn run(args: UpArgs) -> Result<(), Failure> {
    let (hang_up, told) = (pipeline::hang_up()?, pipeline::until_told_to_stop()?);
    let mut config = Config::load(&args.flags)?;
    telemetry::start(&config)?;
    if args.demo {
        if config.webhook_tls.is_some() {
            return Err(Failure::Usage("webhook_tls_cert: a demo speaks in the clear to itself".to_owned()));
        }
        if config.meta_app_secrets.is_empty() {
            if !config.webhook_addr.ip().is_loopback() {
                return Err(Failure::Usage(
                    "meta_app_secret: a demo that is open to others needs a secret of its own, or --webhook-addr 127.0.0.1:8080"
                        .to_owned(),
                ));
            }
            config.meta_app_secrets.push(DEMO_SECRET.to_owned());
        }
        config.meta_verify_token.get_or_insert_with(|| DEMO_VERIFY_TOKEN.to_owned());
    }
    let demo = if args.demo { Some(Demo::bind(&mut config).await?) } else { None };
    pipeline::check_receiver(&config)?;
    let data = DataFolder::take(&config.data)?;
    data.may_follow(config.nats_url.as_deref())?;
    let Some(broker) = Broker::start(&config, &data, &told).await? else { return Ok(()) };
    let up = Some(Up { anew: &args.anew, demo });
    let reload = (args.flags, hang_up);
    let process = Process { config: &config, reload, data: &data, broker: &broker, told, up };
    let outcome = process::run(process).await;
    broker.stop().await;
    outcome
}
