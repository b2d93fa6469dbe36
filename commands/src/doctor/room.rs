//! When the log is full, at the rate it grew so far.

use async_nats::jetstream::stream::Info;

use super::Findings;
use super::broker::Log;

const SECONDS_OF_DAY: f64 = 86_400.0;
const WARN_DAYS: f64 = 30.0;
const FAIL_DAYS: f64 = 2.0;
const WARN_SHARE: f64 = 0.80;
const FAIL_SHARE: f64 = 0.95;
/// A younger log has no rate yet.
const YOUNG_SECONDS: f64 = 600.0;

/// Bytes of one thing that has a bound.
struct Room {
    name: String,
    bytes: u64,
    bytes_max: u64,
    /// `None` where it is too young to tell.
    bytes_per_second: Option<f64>,
}

pub(super) async fn look(log: &Log, streams: &[Info], findings: &mut Findings) {
    let account = log.context.query_account().await.ok();
    let account_max = account.as_ref().and_then(|account| account.limits.max_storage);
    let account_max = account_max.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    let whole = Room {
        name: "the broker's file store".to_owned(),
        bytes: account
            .as_ref()
            .map_or_else(|| streams.iter().map(|info| info.state.bytes).sum(), |a| a.storage),
        bytes_max: account_max.into_iter().chain(log.server_bytes_max).min().unwrap_or(0),
        bytes_per_second: streams.iter().filter_map(rate).reduce(|sum, rate| sum + rate),
    };
    let bounded = streams.iter().filter_map(|info| {
        let bytes_max = u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0)?;
        let name = info.config.name.clone();
        Some(Room { name, bytes: info.state.bytes, bytes_max, bytes_per_second: rate(info) })
    });
    let mut rooms: Vec<Room> = bounded.collect();
    if whole.bytes_max > 0 {
        rooms.push(whole);
    }
    if rooms.is_empty() {
        return findings.warn(
            "log room",
            "no bound of the log is known, so the time until it is full is not",
            "give --nats-monitor-url http://HOST:8222, or set max_file_store in the broker's configuration",
        );
    }
    let count = rooms.len();
    let mut fine = None;
    for room in rooms {
        if let Some(text) = judge(&room, findings) {
            fine = Some(text);
        }
    }
    if let Some(text) = fine {
        let all = if count == 1 { String::new() } else { format!(" ({count} bounds looked at)") };
        findings.ok("log room", format!("{text}{all}"));
    }
}

/// The text of what is fine, or a finding.
fn judge(room: &Room, findings: &mut Findings) -> Option<String> {
    let share = room.bytes as f64 / room.bytes_max as f64;
    let left = room.bytes_max.saturating_sub(room.bytes) as f64;
    let days = room.bytes_per_second.filter(|rate| *rate > 0.0).map(|rate| left / rate / SECONDS_OF_DAY);
    let when = match days {
        Some(days) if days > 3_650.0 => "more than ten years to go at its rate so far".to_owned(),
        Some(days) if days < 1.0 => format!("{:.1} hours to go at its rate so far", days * 24.0),
        Some(days) => format!("{days:.0} days to go at its rate so far"),
        None => "too young for a rate".to_owned(),
    };
    let text = format!("{} is {:.1} % full, {when}", room.name, share * 100.0);
    let mend = "raise max_file_store or the disk and restart the broker; raise a stream's bound by `nats stream edit NAME --max-bytes …`";
    if share > FAIL_SHARE || days.is_some_and(|days| days < FAIL_DAYS) {
        findings.fail("log room", text, mend);
    } else if share > WARN_SHARE || days.is_some_and(|days| days < WARN_DAYS) {
        findings.warn("log room", text, mend);
    } else {
        return Some(text);
    }
    None
}

/// Bytes per second since the first message that is there.
fn rate(info: &Info) -> Option<f64> {
    let state = &info.state;
    let seconds =
        jiff::Timestamp::now().as_second().saturating_sub(state.first_timestamp.unix_timestamp()) as f64;
    (state.messages > 0 && seconds > YOUNG_SECONDS).then(|| state.bytes as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn level(bytes: u64, bytes_per_second: Option<f64>) -> Level {
        let mut findings = Findings::default();
        let room = Room { name: "x".to_owned(), bytes, bytes_max: 1_000_000, bytes_per_second };
        match judge(&room, &mut findings) {
            Some(_) => Level::Ok,
            None => findings.0[0].level,
        }
    }

    #[test]
    fn a_log_is_nearly_full_by_share_or_by_time() {
        assert_eq!(level(100_000, None), Level::Ok);
        assert_eq!(level(100_000, Some(0.1)), Level::Ok);
        assert_eq!(level(850_000, None), Level::Warn);
        assert_eq!(level(100_000, Some(1.0)), Level::Warn);
        assert_eq!(level(100_000, Some(100.0)), Level::Fail);
        assert_eq!(level(960_000, None), Level::Fail);
    }
}
