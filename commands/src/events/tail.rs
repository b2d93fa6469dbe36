//! `groupfold events tail`: events as they stand in the log, and as they come.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use groupfold_schemas::position::Position;
use serde_json::Value;

use super::reader::{self, Next, Reader};
use super::row;
use super::select::{Filters, Range};
use super::shape::COLUMNS;
use crate::cli::Output;
use crate::exit::Failure;
use crate::log::{Log, LogReach};
use crate::print;
use crate::when::Moment;

/// How far back it begins without --from, as the help says.
const BACK: Duration = Duration::from_secs(15 * 60);
/// Between two looks for new events.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// Print events.
#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    range: Range,
    /// Go on with new events until it is interrupted; without --from this too begins 15 minutes back, with `--from now` at the end
    #[arg(long, conflicts_with = "until")]
    follow: bool,
    /// How to print; default: lines on a terminal, JSON lines in a pipe
    #[arg(long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    reach: LogReach,
}

/// Prints a range, and what comes after it if wanted.
pub(crate) async fn run(args: TailArgs) -> Result<(), Failure> {
    let args = TailArgs { filters: args.filters.resolved()?, ..args };
    let output = args
        .output
        .unwrap_or_else(|| if std::io::stdout().is_terminal() { Output::Table } else { Output::Json });
    let mut range = args.range.clone();
    if range.from.is_none() {
        let back = jiff::Timestamp::now().as_millisecond() - i64::try_from(BACK.as_millis()).unwrap_or(0);
        range.from = Some(Moment::Time(back));
    }
    let mut unreadable = 0;
    let outcome = follow(&args, &range, output, &mut unreadable).await;
    if unreadable > 0 {
        warn(&format!("{unreadable} messages of the log cannot be read"));
    }
    outcome
}

async fn follow(args: &TailArgs, range: &Range, output: Output, unreadable: &mut u64) -> Result<(), Failure> {
    let log = args.reach.open().await?;
    let mut parts = reader::parts(&log, &args.filters, range).await?;
    let chosen: Vec<u16> = parts.iter().map(|part| part.partition).collect();
    let mut read = Position::default();
    loop {
        // Where the broker's clock goes back an end may be before the last one.
        read.join(&parts.iter().map(|part| (part.partition, part.to)).collect());
        if !stretch(&log, parts, &args.filters, output, unreadable).await? || !args.follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        let range = Range { from: Some(Moment::Position(read.clone())), until: None };
        parts = reader::parts(&log, &args.filters, &range).await?;
        parts.retain(|part| chosen.contains(&part.partition));
    }
}

/// Prints what the parts hold; false if the reader of the output went away.
async fn stretch(
    log: &Log,
    parts: Vec<reader::Part>,
    filters: &Filters,
    output: Output,
    unreadable: &mut u64,
) -> Result<bool, Failure> {
    let mut reader = Reader::new(&log.context, parts, filters.clone());
    let mut out = std::io::BufWriter::new(std::io::stdout());
    while let Some(next) = reader.next().await? {
        let printed = match next {
            Next::Event(event) => {
                let row = row::json(COLUMNS, &row::row(&event));
                match output {
                    Output::Json => serde_json::to_string(&row).unwrap_or_default(),
                    Output::Table => print::harmless(&line(&Value::Object(row))).into_owned(),
                }
            }
            Next::Unreadable(reader::Place { partition, sequence, .. }) => {
                *unreadable += 1;
                warn(&format!("the message at {partition}:{sequence} cannot be read"));
                continue;
            }
            Next::LeftOut(_) => continue,
        };
        match writeln!(out, "{printed}") {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(false),
            Err(error) => return Err(Failure::failed("cannot print", &error)),
        }
    }
    match out.flush() {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed("cannot print", &error)),
        Ok(()) => Ok(true),
    }
}

/// Says something beside the events.
fn warn(line: &str) {
    // Nothing is left to tell it to if this fails.
    let _ = writeln!(std::io::stderr(), "groupfold: {line}");
}

/// `2026-11-25T06:46:12Z  3:1234  receipt_read  GROUP  wamid… by 55119…`.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let time = text("provider_time").parse::<jiff::Timestamp>();
    let time = time.map_or_else(|_| "-".to_owned(), |time| print::time(time.as_millisecond()));
    let position = format!("{}:{}", row["partition"], row["sequence"]);
    let mut about = Vec::new();
    if !text("message_id").is_empty() {
        about.push(text("message_id").to_owned());
    }
    let people: Vec<&str> = row["members"].as_array().into_iter().flatten().filter_map(name_of).collect();
    about.extend((!people.is_empty()).then(|| people.join(", ")));
    for name in ["subject", "reason", "via"] {
        about.extend(row["data"][name].as_str().map(str::to_owned));
    }
    for change in row["data"]["changes"].as_array().into_iter().flatten() {
        about.push(format!(
            "{} {}",
            change["setting"].as_str().unwrap_or_default(),
            change["outcome"].as_str().unwrap_or_default()
        ));
    }
    let codes: Vec<&str> =
        row["error_codes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    about.extend((!codes.is_empty()).then(|| format!("errors {}", codes.join(", "))));
    let group = if text("group_id").is_empty() { "-" } else { text("group_id") };
    let about = about.join("  ").replace('\n', " ");
    format!("{time}  {position:<9}  {:<26}  {group}  {about}", text("kind")).trim_end().to_owned()
}

fn name_of(person: &Value) -> Option<&str> {
    ["wa_id", "user_id", "username", "input", "lid"].iter().find_map(|name| person[name].as_str())
}
