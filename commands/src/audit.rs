//! `groupfold audit`: do the fates add up, from the counts of the receivers over the streams to the stores?

mod checks;
pub(crate) mod streams;

use async_nats::jetstream::kv;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use groupfold_ingest::tally::{BUCKET, Counts, LEFT_AFTER};
use serde_json::{Value, json};

use self::checks::Check;
pub(crate) use self::checks::missing;
use self::streams::Streams;
use crate::api::PipelineReach;
use crate::cli::Output;
use crate::data::Run;
use crate::exit::{Failure, with_causes};
use crate::log::Log;
use crate::print;

/// Counts of lives that are asked for at once.
const AT_ONCE: usize = 64;

/// Do the fates add up?
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Compared are what the receivers counted, what stands in the streams (every message is looked at), what settled the \
                        failures, and how far the stores are.\nExit codes: 0 all adds up, 3 something does not, by name."
)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    reach: PipelineReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

/// How a receiver's life ended, as far as its counts tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In order: nothing is missing from the counts.
    Closed,
    /// The log has more than it counted, and it does not count that: it was killed, or is at a webhook for longer than an
    /// audit waits.
    Behind,
    /// It runs, or was killed with all of it counted.
    Open,
}

/// The counts of a receiver's life.
pub(crate) struct Life {
    pub(crate) id: String,
    pub(crate) counts: Counts,
    pub(crate) end: End,
}

impl Life {
    fn new(id: String, counts: Counts) -> Self {
        let end = if counts.closed { End::Closed } else { End::Open };
        Self { id, counts, end }
    }
}

pub(crate) async fn run(args: AuditArgs) -> Result<(), Failure> {
    let log = args.reach.log().open().await?;
    // What was answered before is to be counted: a receiver that runs leaves its counts a moment later.
    tokio::time::sleep(LEFT_AFTER).await;
    // In this order: what a receiver has counted is in the streams, so looking there later can only find more; and the
    // stores, asked first, can only be behind.
    let position = position(&args.reach).await?;
    let mut lives = lives(&log).await?;
    let found = streams::read(&log).await?;
    find_behind(&log, &mut lives, &found).await?;
    let uncounted = checks::unknown(&lives, &found).len();
    let bounds = lives.iter().filter(|life| life.end == End::Behind).count() + uncounted;
    let checks = checks::all(&lives, &found, &position);
    let wrong: Vec<&Check> = checks.iter().filter(|check| check.is_wrong()).collect();
    print::either(
        args.output,
        || {
            json!({
                "holds": wrong.is_empty(),
                "checks": checks.iter().map(Check::to_json).collect::<Vec<_>>(),
                "totals": totals(&lives, bounds),
            })
            .to_string()
        },
        || table(&checks, &lives, bounds),
    )?;
    if wrong.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        wrong.iter().map(|check| format!("\n  {}: {}", check.what, check.found)).collect();
    Err(Failure::Found(format!("{} thing(s) do not add up:{}", wrong.len(), lines.concat())))
}

/// Whoever runs and has more in the log than it counted counts again a moment later, unless it is at a webhook and nothing
/// else: what it appends of that it counts with the answer.
async fn find_behind(log: &Log, lives: &mut [Life], found: &Streams) -> Result<(), Failure> {
    let behind = |life: &Life| life.end == End::Open && checks::uncounted(life, found) > 0;
    if !lives.iter().any(behind) {
        return Ok(());
    }
    tokio::time::sleep(LEFT_AFTER).await;
    let later = self::lives(log).await?;
    for life in lives.iter_mut().filter(|life| behind(life)) {
        if later.iter().any(|same| same.id == life.id && same.counts == life.counts) {
            life.end = End::Behind;
        }
    }
    Ok(())
}

async fn lives(log: &Log) -> Result<Vec<Life>, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::Failed(with_causes("cannot read the counts of the receivers", error))
    };
    // A log that no receiver of this build has written to has no bucket.
    if log.ends(&format!("KV_{BUCKET}")).await?.is_none() {
        return Ok(Vec::new());
    }
    let store = log.context.get_key_value(BUCKET).await.map_err(|error| failed(&error))?;
    let keys: Vec<String> = match store.keys().await {
        Ok(keys) => keys.try_collect().await.map_err(|error| failed(&error))?,
        Err(error) => return Err(failed(&error)),
    };
    // Lives are many where receivers die again and again.
    let read = stream::iter(keys).map(|id| read(&store, id)).buffer_unordered(AT_ONCE);
    let mut lives: Vec<Life> = read.try_filter_map(future::ok).try_collect().await?;
    lives.sort_by_key(|life| life.counts.started_ms);
    Ok(lives)
}

async fn read(store: &kv::Store, id: String) -> Result<Option<Life>, Failure> {
    let what = format!("the counts of receiver {id} cannot be read");
    let bytes = store.get(id.as_str()).await.map_err(|error| Failure::failed(&what, &error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let counts = serde_json::from_slice(&bytes).map_err(|error| Failure::failed(&what, &error))?;
    Ok(Some(Life::new(id, counts)))
}

/// How far the stores are.
pub(crate) enum Stores {
    /// As the API says it.
    At(Value),
    /// Nobody was named who serves them, and nobody does here.
    NotNamed,
    /// Why the API does not say.
    Silent(String),
}

async fn position(reach: &PipelineReach) -> Result<Stores, Failure> {
    if reach.api.elsewhere.named().is_none()
        && matches!(Run::find(&reach.api.data, "--api-url"), Err(Failure::Missing(_)))
    {
        return Ok(Stores::NotNamed);
    }
    let asked = async { reach.api.client()?.get(&["v1", "position"], &[]).await };
    match asked.await {
        Ok(position) => Ok(Stores::At(position)),
        Err(failure @ Failure::Usage(_)) => Err(failure),
        Err(failure) => Ok(Stores::Silent(failure.to_string())),
    }
}

/// `bounds`: lives that counted not all that they did, or left no counts.
fn totals(lives: &[Life], bounds: usize) -> Value {
    let sum = |count: fn(&Counts) -> u64| lives.iter().map(|life| count(&life.counts)).sum::<u64>();
    json!({
        "received": sum(|counts| counts.received),
        "appended": sum(|counts| counts.appended),
        "duplicate": sum(|counts| counts.duplicate),
        "failed": sum(|counts| counts.failed),
        "ignored": sum(|counts| counts.ignored),
        "receivers": lives.len(),
        "lower_bounds": bounds > 0,
    })
}

fn table(checks: &[Check], lives: &[Life], bounds: usize) -> String {
    let mut table = print::table(["", "WHAT", "FOUND"]);
    for check in checks {
        let state = check.state();
        // Said once is enough.
        let found = check.found.strip_prefix(&format!("{state}: ")).unwrap_or(&check.found);
        table.add_row([state, &check.what, found]);
    }
    let totals = totals(lives, bounds);
    let bounds = match bounds {
        0 => String::new(),
        some => format!(
            "; lower bounds: {some} was/were killed, or is/are still at a webhook, before all was counted"
        ),
    };
    let number = |name: &str| totals[name].as_u64().unwrap_or_default();
    format!(
        "{table}\n{} received = {} appended + {} duplicate + {} failed + {} ignored, by {} receiver life/lives{bounds}",
        number("received"),
        number("appended"),
        number("duplicate"),
        number("failed"),
        number("ignored"),
        number("receivers")
    )
}
