//! `groupfold import` and `groupfold reconcile`: the provider's groups against the projection's.
//!
//! A reading is an event like any other (`evidence: snapshot`), stamped with the last moment that it surely speaks
//! of: it never overrides a newer webhook, and a webhook that comes late takes its place.

mod differ;
mod folded;
mod import;
mod known;
mod reading;
mod round;
pub(crate) mod schedule;
mod snapshot;

use std::time::Duration;

use groupfold_ingest::replay;
use reqwest::StatusCode;
use serde_json::json;

pub(crate) use self::differ::are_two;
pub(crate) use self::known::Known;
pub(crate) use self::reading::{Read, Reading, read};
use self::round::{Appended, Found, Round, append};
pub(crate) use self::snapshot::record as record_of;
use crate::api::{Answer, Client, Elsewhere, Request, token};
use crate::cli::Output;
use crate::config::{Config, Settings};
use crate::data::Run;
use crate::exit::Failure;
use crate::provider::{self, Provider};
use crate::{broker, pipeline, print};

/// List the provider's groups, and take in those that were there before
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Without --execute nothing is changed. Needs an access token (--meta-access-token, or \
                        GROUPFOLD_META_ACCESS_TOKEN).\nExit codes: 0 fine, 75 some groups could not be read, or the log is not folded yet."
)]
pub(crate) struct ImportArgs {
    /// The business number whose groups to list
    #[arg(long, value_name = "ID")]
    phone_number_id: String,
    /// Read the chosen groups and append what they are to the log
    #[arg(long)]
    execute: bool,
    /// Say what would be done, and do nothing, as without --execute
    #[arg(long = "preview", conflicts_with = "execute")]
    _preview: bool,
    /// A group to import; repeatable
    #[arg(long = "group", value_name = "GROUP", conflicts_with = "all")]
    groups: Vec<String>,
    /// All groups that are new
    #[arg(long)]
    all: bool,
    /// WhatsApp Business Account of the number, if no group of it is known yet
    #[arg(long, value_name = "WABA")]
    account: Option<String>,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    flags: Settings,
}

/// Read groups from the provider and compare them with the projection
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Without --execute nothing is changed. What differs is looked at twice, --settle-ms apart, so that \
                        webhooks under way are no difference.\nExit codes: 0 no difference (or all appended), 3 differences, 75 \
                        some groups could not be read, or the log is not folded yet."
)]
pub(crate) struct ReconcileArgs {
    /// A group to look at; repeatable (default: all that live)
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Only groups of this business number
    #[arg(long, value_name = "ID")]
    phone_number_id: Option<String>,
    /// Append what was read of the groups that differ to the log
    #[arg(long)]
    execute: bool,
    /// Say what would be done, and do nothing, as without --execute
    #[arg(long = "preview", conflicts_with = "execute")]
    _preview: bool,
    /// Compare invite links too: one call more for each group
    #[arg(long)]
    links: bool,
    /// How long a difference must last
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    settle_ms: u64,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    flags: Settings,
}

pub(crate) async fn import(args: ImportArgs) -> Result<(), Failure> {
    import::run(args).await
}

/// Both sides, and the log between them.
struct Both {
    provider: Provider,
    api: Client,
    config: Config,
}

impl Both {
    async fn of(flags: &Settings, elsewhere: &Elsewhere) -> Result<Self, Failure> {
        let mut config = Config::load(flags)?;
        if let (true, Some((url, token))) = (
            config.provider.tokens.is_empty(),
            Run::find(&config.data, "--nats-url").ok().and_then(Run::demo_provider),
        ) {
            config.provider.turn_to(&url, &token)?;
        }
        if config.provider.tokens.is_empty() {
            return Err(Failure::Usage(
                "meta_access_token: is needed to read the provider's groups (--meta-access-token, or \
                 GROUPFOLD_META_ACCESS_TOKEN)"
                    .to_owned(),
            ));
        }
        let settings = config.api_token_of_all.clone();
        let (url, token) = elsewhere.address(&config.data, |owner| token(None, owner, settings))?;
        let api = Client::new(&url, token)?;
        sees_all(&api).await?;
        Ok(Self { provider: Provider::new(config.provider.clone())?, api, config })
    }

    /// The writing side of the log where something may be appended. A preview does without it where it cannot be had, and
    /// then does not know which groups live in a partition that is behind.
    async fn log_for(&self, execute: bool) -> Result<Option<replay::Log>, Failure> {
        match self.log().await {
            Err(_) if !execute => Ok(None),
            log => log.map(Some),
        }
    }

    async fn log(&self) -> Result<replay::Log, Failure> {
        let client = match &self.config.nats_url {
            Some(url) => broker::connect(url, &self.config.nats_access).await?,
            None => {
                let run = Run::find(&self.config.data, "--nats-url")?;
                broker::connect(&run.nats_url, &run.nats_access).await?
            }
        };
        let partitions = pipeline::partitions(&client, &self.config).await?;
        Ok(replay::Log::new(client, partitions))
    }
}

/// Refuses to conclude from what a token for some numbers is told: all else would be taken for gone, or for new. What none
/// of those may ask for tells.
async fn sees_all(api: &Client) -> Result<(), Failure> {
    let probe = Request { path: &["v1", "ops", "verify"], ..Request::default() };
    match api.send(probe).await? {
        Answer { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => {
            Err(Failure::Usage(format!(
                "the API at {} wants a token with the scope operate that is bound to no number, for it must see all groups \
             (--api-token, or GROUPFOLD_API_TOKEN)",
                api.base()
            )))
        }
        _ => Ok(()),
    }
}

/// Names one run in the records that it appends.
fn run_id() -> String {
    format!("reconcile-{}", jiff::Timestamp::now().as_millisecond())
}

fn unreadable(what: &str, answer: &provider::Answer) -> Failure {
    let line = format!("{what} cannot be read: {}", reading::reason(answer));
    match answer {
        provider::Answer::Unknown(_) => Failure::Again(line),
        _ => Failure::Failed(line),
    }
}

/// Compares, shows, and appends if told to.
pub(crate) async fn run(args: ReconcileArgs) -> Result<(), Failure> {
    let both = Both::of(&args.flags, &args.elsewhere).await?;
    let log = both.log_for(args.execute).await?;
    let behind = folded::fold_up(&both.api, log.as_ref()).await?;
    let groups = groups(&both.api, &args).await?;
    let round = Round { provider: &both.provider, api: &both.api, log: log.as_ref(), links: args.links };
    let found = round.compare(groups, &behind, Duration::from_millis(args.settle_ms)).await?;
    let differing: Vec<&Found> = found.iter().filter(|found| !found.differences.is_empty()).collect();
    let mut appended = Appended::default();
    if let Some(log) = log.as_ref().filter(|_| args.execute) {
        appended = append(log, &differing, &run_id()).await;
    }
    let failed: Vec<(&str, &str)> = found
        .iter()
        .filter_map(|found| match &found.read {
            Read::Failed(why) => Some((found.known.group_id.as_str(), why.as_str())),
            _ => None,
        })
        .collect();
    let position = Some(appended.position.to_string()).filter(|position| !position.is_empty());
    print::either(
        args.output,
        || {
            json!({
            "groups": found.len(),
            "differing": differing.iter().map(|found| json!({
                "group_id": found.known.group_id,
                "differences": found.differences.iter().map(differ::Difference::to_json).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "failed": failed.iter().map(|(group, why)| json!({ "group_id": group, "reason": why })).collect::<Vec<_>>(),
            "appended": appended.count,
            "not_appended": appended.refused.iter().map(|(group, why)| json!({ "group_id": group, "reason": why })).collect::<Vec<_>>(),
            "position": position,
        })
        .to_string()
        },
        || text(&found, &differing, &failed, &appended.refused, position.as_deref()),
    )?;
    if !failed.is_empty() {
        return Err(Failure::Again(format!("{} group(s) could not be read", failed.len())));
    }
    if !appended.refused.is_empty() {
        return Err(Failure::Again(format!("{} group(s) were not appended", appended.refused.len())));
    }
    if differing.is_empty() || args.execute {
        return Ok(());
    }
    Err(Failure::Found(format!(
        "{} group(s) differ; --execute appends what the provider has to the log",
        differing.len()
    )))
}

/// The groups named, or all that live.
async fn groups(api: &Client, args: &ReconcileArgs) -> Result<Vec<Known>, Failure> {
    if args.groups.is_empty() {
        let mut all = known::groups(api, args.phone_number_id.as_deref()).await?;
        all.retain(Known::lives);
        return Ok(all);
    }
    let mut groups = Vec::new();
    for group in &args.groups {
        groups.push(known::group(api, group).await?);
    }
    Ok(groups)
}

fn text(
    found: &[Found],
    differing: &[&Found],
    failed: &[(&str, &str)],
    refused: &[(String, String)],
    position: Option<&str>,
) -> String {
    let mut lines = Vec::new();
    if !differing.is_empty() {
        let mut table = print::table(["GROUP", "WHAT", "KNOWN", "PROVIDER"]);
        for found in differing {
            for difference in &found.differences {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
                table.add_row([
                    found.known.group_id.clone(),
                    difference.what.to_owned(),
                    side(&difference.known),
                    side(&difference.provider),
                ]);
            }
        }
        lines.push(table.to_string());
    }
    lines.extend(failed.iter().map(|(group, why)| format!("{group}: not read: {why}")));
    lines.push(format!("{} group(s) compared, {} differ", found.len() - failed.len(), differing.len()));
    lines.extend(refused.iter().map(|(group, why)| format!("{group}: not appended: {why}")));
    lines.extend(position.map(|position| format!("appended, at position {position}")));
    lines.join("\n")
}
