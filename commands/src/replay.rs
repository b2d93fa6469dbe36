//! `groupfold replay`: past events to somebody else, in the order of the log.

mod subject;
mod target;
mod watermark;
mod wrap;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::event::Kind;
use serde_json::json;
use tokio::time::Instant;

use self::target::{Delivered, Target};
use self::watermark::Watermark;
use crate::cli::Output;
use crate::events::reader::{self, Event, Next, Reader};
use crate::events::row;
use crate::events::select::{Filters, Range};
use crate::events::shape::COLUMNS;
use crate::exit::Failure;
use crate::log::LogReach;
use crate::pipeline::until_told_to_stop;
use crate::{print, progress};

/// Deliveries between two notes of the watermark: as many at most come twice after a crash.
const NOTE_EVERY: u64 = 100;
/// Longest pause that a speed keeps, so that a quiet night of the log is no quiet night now.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Past events to somebody else, in the order of the log.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Where to: an http(s) URL, or nats:SUBJECT on the log's broker
    ///
    /// Where a stream takes the subject an event is delivered once the stream has acknowledged it; elsewhere once the
    /// broker has it, whoever listens there. Where that is not known the replay ends with 75, and goes on after the last note
    #[arg(long, value_name = "URL|nats:SUBJECT")]
    to: String,
    /// max, or a multiple of the speed at which the log took them: 1x, 10x, 0.5x
    #[arg(long, default_value = "max", value_parser = speed)]
    speed: Speed,
    /// Most events in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// What to send; default: webhook to a URL, event to a subject
    #[arg(long, value_enum)]
    body: Option<Body>,
    /// Signs the bodies as Meta does: X-Hub-Signature-256
    #[arg(long, env = "GROUPFOLD_REPLAY_SECRET", hide_env_values = true, value_name = "SECRET", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    secret: Option<String>,
    /// File that notes how far it got; if it is there, the replay goes on after it. One replay has it at a time: another ends with 75
    #[arg(long, value_name = "FILE")]
    watermark: Option<PathBuf>,
    /// Count what the receiver refuses (4xx) and go on, instead of stopping there
    #[arg(long)]
    skip_refused: bool,
    /// Yes, into a groupfold receiver, be it this one
    #[arg(long)]
    into_groupfold: bool,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    range: Range,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    reach: LogReach,
}

/// What is sent.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// The item as the provider sent it, alone in a webhook of Meta's shape
    Webhook,
    /// The event as `events tail` prints it
    Event,
}

/// A multiple of the log's own speed; none: as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Speed(Option<f64>);

#[derive(Default)]
struct Counts {
    delivered: u64,
    refused: u64,
    retries: u64,
    /// Without an original that could be wrapped again.
    unwrappable: u64,
    unreadable: u64,
    stopped: bool,
}

/// Replays, and says what became of it.
pub(crate) async fn run(args: ReplayArgs) -> Result<(), Failure> {
    let args = ReplayArgs { filters: args.filters.resolved()?, ..args };
    target::check(&args.to, args.into_groupfold, &args.reach)?;
    let log = args.reach.open().await?;
    let mut target = Target::new(&args.to, &log).await?;
    let body = args.body.unwrap_or(if target.is_http() { Body::Webhook } else { Body::Event });
    let mut parts = reader::parts(&log, &args.filters, &args.range).await?;
    let mut watermark = Watermark::read(args.watermark.clone(), &log.context, &parts).await?;
    reader::after(&mut parts, watermark.at())?;
    let lowest = parts.iter().map(|part| part.partition).min().unwrap_or_default();
    let bar = progress::bar(reader::length(&parts), "events");
    let mut reader = Reader::new(&log.context, parts, args.filters.clone());
    let mut pace = Pace::new(args.speed.0, args.rate);
    let mut counts = Counts::default();
    let told = until_told_to_stop()?;
    let mut since = 0;
    let outcome = loop {
        let next = tokio::select! {
            biased;
            () = told.cancelled() => { counts.stopped = true; break Ok(()); }
            next = reader.next() => match next {
                Ok(Some(next)) => next,
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            },
        };
        bar.inc(1);
        let place = next.place();
        match next {
            Next::Event(event) if is_copy(&event, lowest) => {}
            Next::Event(event) => {
                let sent = tokio::select! {
                    biased;
                    () = told.cancelled() => { counts.stopped = true; break Ok(()); }
                    sent = deliver(&args, &mut target, body, &event, &mut pace, &mut counts) => sent,
                };
                if let Err(failure) = sent {
                    break Err(failure);
                }
                since += 1;
            }
            Next::Unreadable(_) => counts.unreadable += 1,
            Next::LeftOut(_) => {}
        }
        watermark.passed(place);
        if since >= NOTE_EVERY {
            since = 0;
            if let Err(failure) = note(&mut target, &mut watermark, &mut counts).await {
                break Err(failure);
            }
        }
    };
    let noted = note(&mut target, &mut watermark, &mut counts).await;
    bar.finish_and_clear();
    say(&args, &counts, watermark.noted())?;
    outcome.and(noted)?;
    if counts.stopped {
        let goes_on = if args.watermark.is_some() {
            "the same command goes on"
        } else {
            "with --watermark FILE it could go on"
        };
        return Err(Failure::Again(format!("told to stop before the end; {goes_on}")));
    }
    Ok(())
}

/// A change of a person's names stands in every partition; it is sent once.
fn is_copy(event: &Event, lowest: u16) -> bool {
    let kind = event.record.kind();
    matches!(kind, Some(Kind::IdentityChanged(_))) && event.partition != lowest
}

async fn deliver(
    args: &ReplayArgs,
    target: &mut Target,
    body: Body,
    event: &Event,
    pace: &mut Pace,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let bytes = match body {
        Body::Event => serde_json::to_vec(&row::json(COLUMNS, &row::row(event))).unwrap_or_default(),
        Body::Webhook => match wrap::webhook(&event.record) {
            Some(bytes) => bytes,
            None => {
                counts.unwrappable += 1;
                return Ok(());
            }
        },
    };
    pace.wait(event.log_time_ms).await;
    let message = target::Message {
        signature: args.secret.as_ref().map(|secret| crate::simulate::signature(secret, &bytes)),
        event_id: event.record.event_id.clone(),
        position: format!("{}:{}", event.partition, event.sequence),
        bytes: bytes.into(),
    };
    match target.send(&message, &mut counts.retries).await? {
        Delivered::Taken => counts.delivered += 1,
        Delivered::Sent => {}
        Delivered::Refused(_) if args.skip_refused => counts.refused += 1,
        Delivered::Refused(status) => {
            return Err(Failure::Failed(format!(
                "the receiver refuses the event at {} with {status}: mend it and go on with --watermark, or --skip-refused",
                message.position
            )));
        }
    }
    Ok(())
}

/// When the next one may go.
struct Pace {
    speed: Option<f64>,
    between: Option<Duration>,
    last_log_time_ms: Option<i64>,
    next: Instant,
}

impl Pace {
    fn new(speed: Option<f64>, rate: Option<u32>) -> Self {
        let between = rate.map(|rate| Duration::from_secs(1) / rate);
        Self { speed, between, last_log_time_ms: None, next: Instant::now() }
    }

    async fn wait(&mut self, log_time_ms: i64) {
        let mut pause = self.between.unwrap_or_default();
        if let (Some(speed), Some(last)) = (self.speed, self.last_log_time_ms) {
            let apart_ms = u64::try_from(log_time_ms - last).unwrap_or_default();
            pause = pause.max(Duration::from_millis(apart_ms).div_f64(speed).min(PAUSE_MAX));
        }
        self.last_log_time_ms = Some(log_time_ms);
        self.next = (self.next + pause).max(Instant::now());
        tokio::time::sleep_until(self.next).await;
    }
}

/// `max` is none.
fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed(None));
    }
    let times = text.strip_suffix('x').and_then(|times| times.parse::<f64>().ok());
    match times {
        Some(times) if (0.01..=10_000.0).contains(&times) => Ok(Speed(Some(times))),
        _ => Err("expected max, or a multiple between 0.01x and 10000x".to_owned()),
    }
}

/// Once everything up to there has come.
async fn note(target: &mut Target, watermark: &mut Watermark, counts: &mut Counts) -> Result<(), Failure> {
    counts.delivered += target.confirm().await?;
    watermark.write()
}

fn say(args: &ReplayArgs, counts: &Counts, at: &Position) -> Result<(), Failure> {
    if args.output == Output::Json {
        let said = json!({
            "delivered": counts.delivered, "refused": counts.refused, "retries": counts.retries,
            "unwrappable": counts.unwrappable, "unreadable": counts.unreadable, "stopped": counts.stopped,
            "position": at.to_string(),
        });
        return print::json(&said.to_string());
    }
    let mut line = format!("{} events delivered", counts.delivered);
    for (count, what) in [
        (counts.retries, "attempts were repeated"),
        (counts.refused, "were refused"),
        (counts.unwrappable, "have no webhook to wrap again"),
        (counts.unreadable, "messages of the log cannot be read"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} {what}"));
        }
    }
    if counts.stopped {
        line.push_str("; stopped before the end");
    }
    print::text(&line)?;
    print::text(&format!("position: {at}"))
}

#[cfg(test)]
mod tests {
    use super::{Speed, speed};

    #[test]
    fn speeds_are_max_or_multiples() {
        assert_eq!(speed("max"), Ok(Speed(None)));
        assert_eq!(speed("10x"), Ok(Speed(Some(10.0))));
        for bad in ["10", "0x", "-1x", "fast", "NaNx", "infx"] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
