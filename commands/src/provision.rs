//! `groupfold provision`: the streams of the log.

use crate::broker::{self, Broker};
use crate::cli::Output;
use crate::config::{Config, Settings};
use crate::data::Run;
use crate::exit::Failure;
use crate::{pipeline, print, telemetry};

/// Create the streams, or check the ones that are there.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A stream of events that vanished from a log is not made again: restore it from a backup. Only where there is none, \
                  --anew gives up what was in it.\nThe shape of a new log is settings: --partitions, --replicas, --log-bytes-max."
)]
pub(crate) struct ProvisionArgs {
    /// Change nothing: exit 3 if a stream is missing or differs
    #[arg(long)]
    check: bool,
    /// Make this stream of events again, empty, though the log is not new: what was in it is given up
    #[arg(long, value_name = "STREAM", value_delimiter = ',', conflicts_with = "check")]
    anew: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    flags: Settings,
}

/// Creates what is missing, streams of events in a new log alone; what is there and differs is told, never changed.
pub(crate) async fn run(args: ProvisionArgs) -> Result<(), Failure> {
    let config = Config::load(&args.flags)?;
    telemetry::start(&config)?;
    let client = if config.nats_url.is_some() {
        Broker::elsewhere(&config)?.connect().await?
    } else {
        let run = Run::find(&config.data, "--nats-url")?;
        broker::connect(&run.nats_url, &run.nats_access).await?
    };
    let plan = pipeline::plan(&client, &config, &args.anew).await?;
    let report = if args.check {
        pipeline::check(&client, &plan).await?
    } else {
        pipeline::provision(&client, &plan).await?
    };
    let missing = report.missing.iter().map(|stream| format!("{stream} is missing"));
    let found: Vec<String> = missing.chain(report.differences.iter().map(ToString::to_string)).collect();
    let as_json = || {
        serde_json::json!({
            "partitions": plan.partitions,
            "created": report.created,
            "missing": report.missing,
            "differences": found,
        })
        .to_string()
    };
    let as_text = || {
        format!(
            "{} partitions: {} stream(s) created, {} as they should be, {} missing or different",
            plan.partitions,
            report.created.len(),
            report.unchanged.len(),
            found.len()
        )
    };
    print::either(args.output, as_json, as_text)?;
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = found.iter().map(|line| format!("\n  {line}")).collect();
    Err(Failure::Found(format!("the log is not as the settings say:{}", lines.concat())))
}
