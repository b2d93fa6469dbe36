//! What can be asked of the simulator.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::graph::ServeArgs;
use super::wire::Business;

/// Act as WhatsApp: signed webhooks of groups that live, over HTTP, from a seed.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct SimulateArgs {
    /// Where to post; absent: to the `groupfold up` that runs here
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// App secret to sign with
    #[arg(
        long,
        visible_alias = "meta-app-secret",
        env = "GROUPFOLD_META_APP_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub(crate) app_secret: Option<Secret>,
    /// The same seed tells the same story
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Items per second; 0 is as fast as answers come
    #[arg(long, default_value_t = 50.0, value_parser = not_negative)]
    pub(crate) rate: f64,
    /// Stop after this time (30s, 5m, 2h)
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Stop after so many items
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
    /// Groups alive at once
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) groups: u32,
    /// POSTs sent a second time, at once or much later
    #[arg(long, default_value = "0", value_name = "PCT")]
    pub(crate) duplicates: Percent,
    /// POSTs held back until later ones have gone
    #[arg(long, default_value = "0", value_name = "PCT")]
    pub(crate) reorder: Percent,
    /// Send again what was not answered 200, as Meta does
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) retries: bool,
    /// Unreadable items: unknown types, missing fields, wrong types
    #[arg(long, default_value = "0", value_name = "PCT")]
    pub(crate) bad: Percent,
    /// POSTs more, with a wrong signature, which must be refused
    #[arg(long, default_value = "0", value_name = "PCT")]
    pub(crate) wrong_signatures: Percent,
    /// Most items in a POST
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) batch: u16,
    /// POSTs under way at once
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: u16,
    /// Write what must be true afterwards
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// Send nothing: compare a truth file with the API
    #[arg(long, value_name = "FILE", conflicts_with = "truth")]
    pub(crate) check: Option<PathBuf>,
    /// WhatsApp Business Account that the webhooks speak of; absent: one per seed, because a number that
    /// changes does so in the whole account
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Business number that the groups belong to
    #[arg(long, default_value = "106540352242922", value_name = "ID")]
    pub(crate) phone_number_id: String,
    /// The same number for people, digits alone
    #[arg(long, default_value = "15550783881", value_name = "DIGITS")]
    pub(crate) display_phone_number: String,
    /// Provider time of the first event, Unix seconds
    #[arg(long, default_value_t = 1_767_225_600, value_name = "SECONDS")]
    pub(crate) start_time: i64,
    /// Provider time that passes from one event to the next, on average
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = not_negative)]
    pub(crate) pace: f64,
    /// No progress on stderr
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Groups of a world before, as the query API shows them
    #[arg(skip)]
    pub(crate) before: Vec<serde_json::Value>,
}

const ACCOUNT_OF_SEED_0: u64 = 102_290_129_340_397;

impl SimulateArgs {
    pub(super) fn business(&self) -> Business {
        Business {
            account: self
                .account
                .clone()
                .unwrap_or_else(|| (ACCOUNT_OF_SEED_0 + self.seed % 1_000_000_000).to_string()),
            phone_number_id: self.phone_number_id.clone(),
            display_phone_number: self.display_phone_number.clone(),
        }
    }
}

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// So many of a hundred: `10` or `10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        match number.parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self(percent)),
            _ => Err("a percentage from 0 to 100 is expected, like 10 or 10%".to_owned()),
        }
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("a number of at least 0 is expected".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("a time is expected, like 500ms, 30s, 5m or 2h".to_owned()),
    };
    let number = number.parse::<f64>().map_err(|_| "a time is expected, like 30s".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_written_with_and_without_a_sign() {
        assert_eq!("10".parse(), Ok(Percent(10.0)));
        assert_eq!("0.5%".parse(), Ok(Percent(0.5)));
        assert!("101".parse::<Percent>().is_err() && "x".parse::<Percent>().is_err());
        assert!("NaN".parse::<Percent>().is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("5 weeks").is_err() && duration("").is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::from("hush".to_owned())), "***");
    }
}
