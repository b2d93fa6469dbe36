//! `groupfold check`: one number against two bounds, for a monitor.

use serde_json::json;

use crate::api::{Client, PipelineReach};
use crate::exit::Failure;
use crate::{failed, health, print};

/// One number against two bounds, for a monitor.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "lag and stalled are asked of the API, failed of the broker.\nExit codes: 0 fine, 3 over a bound, 69 nothing runs or \
                        answers, or the projector does not hear the log. With --format nagios those of \
                        Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
)]
pub(crate) struct CheckArgs {
    /// What to measure
    #[arg(value_enum)]
    what: What,
    /// From here on it is a warning [default: lag 60, failed 1, stalled 1]
    #[arg(long, value_name = "X")]
    warn: Option<f64>,
    /// From here on it is critical [default: lag 300, failed 100, stalled 1]
    #[arg(long, value_name = "Y")]
    crit: Option<f64>,
    /// How to say it
    #[arg(long, visible_alias = "output", value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reach: PipelineReach,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Seconds by which the projection is behind the log
    Lag,
    /// Failures that nothing has settled yet
    Failed,
    /// Partitions that do not read the log, or make no progress
    Stalled,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A line for people
    #[value(alias = "table")]
    Text,
    /// For scripts
    Json,
    /// For Nagios and its kin, with their exit codes
    Nagios,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Critical,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Failed => "failed",
            Self::Stalled => "stalled",
        }
    }

    fn unit(self) -> &'static str {
        if self == Self::Lag { "s" } else { "" }
    }

    fn bounds(self) -> (f64, f64) {
        match self {
            Self::Lag => (60.0, 300.0),
            Self::Failed => (1.0, 100.0),
            Self::Stalled => (1.0, 1.0),
        }
    }
}

impl Level {
    fn of(value: f64, warn: f64, crit: f64) -> Self {
        if value >= crit {
            Self::Critical
        } else if value >= warn {
            Self::Warning
        } else {
            Self::Ok
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A number and what it means.
struct Measure {
    value: f64,
    words: String,
    details: serde_json::Value,
    /// Why it may be worse than the number says.
    doubt: Option<String>,
}

/// Measures and judges.
pub(crate) async fn run(args: CheckArgs) -> Result<(), Failure> {
    let (warn_default, crit_default) = args.what.bounds();
    let warn = args.warn.unwrap_or_else(|| args.crit.map_or(warn_default, |crit| warn_default.min(crit)));
    let crit = args.crit.unwrap_or_else(|| crit_default.max(warn));
    let measured = match warn <= crit {
        true => measure(&args).await,
        false => Err(Failure::Usage(format!("--warn {warn} is above --crit {crit}"))),
    };
    // What is known to be bad enough is told whatever else is not known.
    let measured = measured.and_then(|measure| match &measure.doubt {
        Some(doubt) if Level::of(measure.value, warn, crit) != Level::Critical => {
            Err(Failure::Missing(doubt.clone()))
        }
        _ => Ok(measure),
    });
    match (measured, args.format) {
        (Ok(measure), format) => tell(args.what, &measure, (warn, crit), format),
        (Err(failure), Format::Nagios) => {
            let line = crate::redact::redact(&failure.to_string()).replace(['|', '\n'], " ");
            print::text(&format!("GROUPFOLD {} UNKNOWN - {line}", args.what.name().to_uppercase()))?;
            Err(Failure::Monitor(3))
        }
        (Err(failure), _) => Err(failure),
    }
}

async fn measure(args: &CheckArgs) -> Result<Measure, Failure> {
    match args.what {
        What::Lag => lag(args).await,
        What::Failed => failures(args).await,
        What::Stalled => stalled(args).await,
    }
}

async fn progress(args: &CheckArgs) -> Result<(Client, health::Progress), Failure> {
    let api = args.reach.api.client()?;
    let progress = health::progress(&api).await?;
    let progress = progress.ok_or_else(|| {
        let base = api.base();
        Failure::Missing(format!("{base} is a receiver alone: name the API of a projector by --api-url"))
    })?;
    Ok((api, progress))
}

async fn lag(args: &CheckArgs) -> Result<Measure, Failure> {
    let (_, progress) = progress(args).await?;
    let health::Progress { lag_events, lag_seconds, partitions } = progress;
    let behind: Vec<_> = partitions.iter().filter(|p| p.applied < p.log_end).map(|p| p.partition).collect();
    let deaf: Vec<_> = partitions.iter().filter(|p| p.state != "running").collect();
    // Whoever does not read the log does not hear how far it is.
    let doubt = deaf.first().map(|first| {
        format!(
            "{} of {} partitions do not read the log ({} is {}): how far they are behind is not known",
            deaf.len(),
            partitions.len(),
            first.partition,
            first.state
        )
    });
    Ok(Measure {
        value: lag_seconds,
        words: format!("{lag_seconds:.1} s behind the log, {lag_events} events to go"),
        details: json!({ "lag_events": lag_events, "partitions_behind": behind }),
        doubt,
    })
}

async fn failures(args: &CheckArgs) -> Result<Measure, Failure> {
    let (count, oldest_ms) = failed::unresolved(&args.reach.log().open().await?).await?;
    let oldest = oldest_ms.map(print::time);
    let since = oldest.as_ref().map(|time| format!(", the oldest since {time}")).unwrap_or_default();
    Ok(Measure {
        value: count as f64,
        words: format!("{count} failures to settle{since}"),
        details: json!({ "oldest": oldest }),
        doubt: None,
    })
}

async fn stalled(args: &CheckArgs) -> Result<Measure, Failure> {
    let (api, progress) = progress(args).await?;
    let reasons = health::readiness(&api).await?.reasons;
    let is_stalled = |partition: &&health::PartitionProgress| {
        let begin = format!("partition {}: ", partition.partition);
        let stuck = |reason: &String| {
            let why = reason.strip_prefix(&begin).unwrap_or_default();
            ["no progress", "disk_full", "store_unwritable"].iter().any(|word| why.starts_with(word))
        };
        partition.state != "running" || reasons.iter().any(stuck)
    };
    let stalled: Vec<u16> = progress.partitions.iter().filter(is_stalled).map(|p| p.partition).collect();
    let why = reasons.iter().filter(|reason| reason.starts_with("partition ")).cloned().collect::<Vec<_>>();
    let (count, all) = (stalled.len(), progress.partitions.len());
    let because = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    Ok(Measure {
        value: count as f64,
        words: format!("{count} of {all} partitions stand still{because}"),
        details: json!({ "partitions": stalled, "reasons": why }),
        doubt: None,
    })
}

fn tell(what: What, measure: &Measure, (warn, crit): (f64, f64), format: Format) -> Result<(), Failure> {
    let level = Level::of(measure.value, warn, crit);
    let Measure { value, words, details, .. } = measure;
    let (name, unit) = (what.name(), what.unit());
    match format {
        Format::Text => print::text(&format!("{}  {name}  — {words}", level.name()))?,
        Format::Json => print::json(
            &json!({ "check": name, "level": level.name(), "value": value, "unit": unit, "warn": warn, "crit": crit,
                     "text": words, "details": details })
            .to_string(),
        )?,
        Format::Nagios => {
            let (shout, state) = (name.to_uppercase(), level.name().to_uppercase());
            let words = words.replace('|', " ");
            print::text(&format!("GROUPFOLD {shout} {state} - {words} | {name}={value}{unit};{warn};{crit};0"))?;
            return match level {
                Level::Ok => Ok(()),
                Level::Warning => Err(Failure::Monitor(1)),
                Level::Critical => Err(Failure::Monitor(2)),
            };
        }
    }
    match level {
        Level::Ok => Ok(()),
        _ => Err(Failure::Found(format!("{name} is {}", level.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_reached_not_passed() {
        assert_eq!(Level::of(0.9, 1.0, 2.0), Level::Ok);
        assert_eq!(Level::of(1.0, 1.0, 2.0), Level::Warning);
        assert_eq!(Level::of(2.0, 1.0, 2.0), Level::Critical);
        assert_eq!(Level::of(1.0, 1.0, 1.0), Level::Critical);
    }
}
