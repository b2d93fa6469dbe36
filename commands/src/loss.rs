//! `groupfold accept-loss`: an operator's word that messages of the log are lost for good, so that all who read it go on.

use groupfold_ingest::replay;
use groupfold_schemas::{log, v1};
use serde_json::json;

use crate::audit::{self, missing};
use crate::cli::Output;
use crate::exit::Failure;
use crate::log::LogReach;
use crate::pipeline::VERSION;
use crate::print;

/// Go on without messages that the log lost for good
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Until somebody says this, a partition with a missing message stops (`missing_sequence`), verify and rebuild end \
                  with 3 where its store stands before it and fail where it stands behind it, and exports fail: nothing is passed \
                  over in silence. Restore the stream from a backup or another replica first, if \
                  there is one.\nWithout --execute nothing is changed: it says what is missing. With it, that is written down in \
                  GROUPFOLD_RESOLVED, with the reason; start the projector again then. Each message counts as an unreadable record \
                  (reason `lost`) from then on.\nA store that folded such messages before they were lost knows more than the log: \
                  leave it as it is, a rebuild would lose that.\nExit codes: 0 nothing is missing, or it is accepted; 1 failed; \
                  3 something is missing (without --execute)."
)]
pub(crate) struct AcceptLossArgs {
    /// The partition
    #[arg(long, value_name = "N")]
    partition: u16,
    /// Do it; without this it only says what is missing
    #[arg(long, requires = "why")]
    execute: bool,
    /// Why there is no other way; kept for ever
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    reach: LogReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) async fn run(args: AcceptLossArgs) -> Result<(), Failure> {
    let why = args.why.as_deref().unwrap_or_default().trim();
    if args.execute && why.is_empty() {
        return Err(Failure::Usage("--why: is empty; say why the messages cannot be restored".to_owned()));
    }
    let log = args.reach.open().await?;
    if args.partition >= log.partitions {
        let last = log.partitions - 1;
        return Err(Failure::Usage(format!("--partition: the log has the partitions 0 to {last}")));
    }
    let stream = log::stream(args.partition);
    let holes = audit::streams::each(&log, &stream, |_, _| {}).await?.holes;
    if args.execute {
        let writer = replay::Log::new(log.client.clone(), log.partitions);
        for (first, last) in &holes {
            let loss = v1::Loss {
                partition: args.partition.into(),
                first: *first,
                last: *last,
                why: why.to_owned(),
                time_ms: jiff::Timestamp::now().as_millisecond(),
                build: VERSION.to_owned(),
            };
            let written = writer.accept_loss(args.partition, &loss).await;
            written.map_err(|error| Failure::Again(format!("it is not written down: {error}")))?;
        }
    }
    let as_json = || {
        let hole = |(first, last): &(u64, u64)| json!({ "first": first, "last": last });
        json!({
            "stream": stream,
            "missing": holes.iter().map(hole).collect::<Vec<_>>(),
            "accepted": args.execute,
        })
        .to_string()
    };
    let as_text = || {
        if holes.is_empty() {
            return format!("{stream}: nothing is missing that is not accepted");
        }
        let hole = |hole: &(u64, u64)| format!("{stream}: {}", missing(*hole));
        let mut lines: Vec<String> = holes.iter().map(hole).collect();
        if args.execute {
            lines.push("accepted as lost; start the projector again if it stopped there".to_owned());
        }
        lines.join("\n")
    };
    print::either(args.output, as_json, as_text)?;
    if holes.is_empty() || args.execute {
        return Ok(());
    }
    Err(Failure::Found(
        "nothing is changed. If the stream cannot be restored: the same with --execute --why TEXT".to_owned(),
    ))
}
