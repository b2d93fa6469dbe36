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
use crate::when::{self, Moment};

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
    for line in empty(range, args.range.from.is_some(), &parts, when::now_ms()) {
        warn(&line);
    }
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

/// Why nothing can be in a range, or nothing of a partition: whoever mistyped an end would wait for what never comes.
fn empty(range: &Range, given: bool, parts: &[reader::Part], now_ms: i64) -> Vec<String> {
    let mut lines = Vec::new();
    match (&range.from, &range.until) {
        (Some(Moment::Time(from)), Some(Moment::Time(until))) if from >= until => {
            let begins = if given { "--from" } else { "--from, 15 minutes ago where none is given" };
            lines.push(format!("nothing is in this range: --until is not later than {begins}"));
        }
        (Some(Moment::Position(from)), Some(Moment::Position(until))) => {
            let before = from.iter().filter(|(id, after)| until.get(*id).is_some_and(|last| last <= *after));
            lines.extend(before.map(|(id, after)| {
                format!(
                    "nothing of partition {id} is in this range: --until is not behind --from {id}:{after}"
                )
            }));
        }
        _ => {}
    }
    match &range.from {
        Some(Moment::Time(from)) if *from > now_ms => {
            lines.push("nothing is in this range yet: --from is in the future".to_owned());
        }
        Some(Moment::Position(from)) => {
            let beyond = parts.iter().filter_map(|part| {
                let after = from.get(part.partition).filter(|after| *after > part.last)?;
                Some((part.partition, after, part.last))
            });
            lines.extend(beyond.map(|(id, after, last)| {
                format!(
                    "--from {id}:{after} is beyond the end of the log: partition {id} ends with {id}:{last}"
                )
            }));
        }
        _ => {}
    }
    lines
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

#[cfg(test)]
mod tests {
    use groupfold_projector::scan;

    use super::*;

    /// It printed nothing and said nothing.
    #[test]
    fn a_range_that_nothing_can_be_in_is_told() {
        let part = |partition, last| reader::Part {
            partition,
            from: scan::From::Sequence(1),
            first: 1,
            last,
            created: String::new(),
            to: last,
            before_ms: None,
        };
        let parts = [part(3, 10), part(5, 0)];
        let told = |from: &str, until: Option<&str>, given| {
            let moment = |text: &str| text.parse::<Moment>().unwrap();
            let range = Range { from: Some(moment(from)), until: until.map(moment) };
            empty(&range, given, &parts, when::now_ms()).join("; ")
        };
        let (day, next) = ("2026-01-31", Some("2026-02-01"));
        for (from, until) in [(day, next), (day, None), ("beginning", next), ("3:10,5:0", Some("3:11,5:1"))] {
            assert_eq!(told(from, until, true), "", "{from} {until:?}");
        }
        assert!(told("2026-02-01", Some(day), true).contains("not later than --from"));
        assert!(told(day, Some("2026-01-30"), false).contains("15 minutes ago"));
        assert!(told("2999-01-01", None, true).contains("in the future"));
        assert!(told("3:9", Some("3:9"), true).contains("not behind --from 3:9"));
        assert!(told("3:11,5:0", None, true).ends_with("partition 3 ends with 3:10"));
    }
}
