//! The present, and a moment as it is typed: a time, an age, a position of the log, or its beginning.

use std::str::FromStr;

use groupfold_schemas::position::Position;

/// Unix milliseconds by the system's clock.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A moment of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The first event.
    Beginning,
    /// Unix milliseconds.
    Time(i64),
    /// `partition:sequence`, several joined by commas.
    Position(Position),
}

impl Moment {
    /// As the query API takes it: a position, or RFC 3339.
    pub(crate) fn for_api(&self) -> String {
        let time_ms = match self {
            Self::Position(position) => return position.to_string(),
            Self::Beginning => 0,
            Self::Time(time_ms) => *time_ms,
        };
        // Every moment comes out of the calendar, see below.
        jiff::Timestamp::from_millisecond(time_ms).unwrap_or_default().to_string()
    }
}

impl FromStr for Moment {
    type Err = String;

    /// `beginning`, `now`, `2026-01-31T12:00:00Z`, `2026-01-31`, `-1h` or `1h` (an hour ago), `-3d`, or `3:1234,5:88`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "beginning" {
            return Ok(Self::Beginning);
        }
        if text == "now" {
            return Ok(Self::Time(now_ms()));
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Time(time.as_millisecond()));
        }
        if let Ok(date) = text.parse::<jiff::civil::Date>()
            && let Ok(midnight) = date.to_zoned(jiff::tz::TimeZone::UTC)
        {
            return Ok(Self::Time(midnight.timestamp().as_millisecond()));
        }
        if let Some(age) = age(text.strip_prefix('-').unwrap_or(text)) {
            let then = jiff::Timestamp::now().checked_sub(age).map_err(|error| error.to_string())?;
            return Ok(Self::Time(then.as_millisecond()));
        }
        match text.parse::<Position>() {
            Ok(position) if !position.is_empty() => Ok(Self::Position(position)),
            _ => Err("expected a time (2026-01-31T12:00:00Z), an age (-1h), a position (3:1234,5:88), \
                      `beginning` or `now`"
                .to_owned()),
        }
    }
}

/// Weeks, days, hours and less; a day is 24 hours.
fn age(text: &str) -> Option<jiff::SignedDuration> {
    let age = text.parse::<jiff::Span>().ok()?.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    (!age.is_negative()).then_some(age)
}

/// A time alone, for filters over what has no position: Unix milliseconds.
pub(crate) fn time_ms(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(Moment::Time(ms)) => Ok(ms),
        Ok(Moment::Beginning) => Ok(0),
        Ok(Moment::Position(_)) | Err(_) => {
            Err("expected a time (2026-01-31T12:00:00Z), a day (2026-01-31), an age (-1h) or `now`"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_ages_and_positions_are_told_apart() {
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Moment::Time(1000)));
        assert_eq!("1970-01-02".parse(), Ok(Moment::Time(86_400_000)));
        assert_eq!("beginning".parse(), Ok(Moment::Beginning));
        assert!(matches!("3:1234,5:88".parse(), Ok(Moment::Position(_))));
        for (age, hours) in
            [("now", 0), ("-1h", 1), ("1h", 1), ("-3d", 72), ("-1w", 168), ("-1d12h", 36), ("-PT1H", 1)]
        {
            let Ok(Moment::Time(then)) = age.parse() else { panic!("{age} is an age") };
            assert!(
                (jiff::Timestamp::now().as_millisecond() - then - hours * 3_600_000).abs() < 60_000,
                "{age}"
            );
        }
        for bad in ["", "yesterday", "3", "-", "-1mo", "1mo", "--1h"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
        assert!(time_ms("3:4").is_err());
    }
}
