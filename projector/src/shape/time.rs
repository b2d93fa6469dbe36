//! Times as they are written: three of them in most lines of the change feed.

use jiff::tz::Offset;
use serde::{Serialize, Serializer};

/// With milliseconds, which are left out where there are none.
const TEMPLATE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
/// Up to its seconds.
const SECONDS: usize = 19;

/// Unix milliseconds, written as RFC 3339 in UTC, with milliseconds only where there are any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    /// Zero stands for none.
    pub(crate) fn known(unix_ms: Option<i64>) -> Option<Self> {
        unix_ms.filter(|ms| *ms != 0).map(Self)
    }

    /// Gives its text to somebody who does not keep it.
    pub(crate) fn with<T>(self, give: impl FnOnce(&str) -> T) -> T {
        let mut text = *TEMPLATE;
        match self.write(&mut text).and_then(|len| std::str::from_utf8(text.get(..len)?).ok()) {
            Some(text) => give(text),
            None => give(&self.printed()),
        }
    }

    /// As the calendar prints it: at several times the cost.
    fn printed(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) if self.0.rem_euclid(1000) == 0 => format!("{time:.0}"),
            Ok(time) => format!("{time:.3}"),
            // Out of its range: nothing that a provider sends, and no reason to fail an answer.
            Err(_) => "1970-01-01T00:00:00Z".to_owned(),
        }
    }

    /// Writes over the template's digits; how long the text is. `None` of a year that has not four of them.
    fn write(self, text: &mut [u8; 24]) -> Option<usize> {
        let time = Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(self.0).ok()?);
        let year = time.year();
        if !(0..=9999).contains(&year) {
            return None;
        }
        let millis = self.0.rem_euclid(1000);
        let parts = [
            (0, 4, i64::from(year)),
            (5, 2, time.month().into()),
            (8, 2, time.day().into()),
            (11, 2, time.hour().into()),
            (14, 2, time.minute().into()),
            (17, 2, time.second().into()),
            (SECONDS + 1, 3, millis),
        ];
        for (at, digits, mut number) in parts {
            for place in text.get_mut(at..at + digits)?.iter_mut().rev() {
                *place = b'0' + u8::try_from(number % 10).ok()?;
                number /= 10;
            }
        }
        if millis > 0 {
            return Some(text.len());
        }
        text[SECONDS] = b'Z';
        Some(SECONDS + 1)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with(|text| serializer.serialize_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::convert::{known_time, time};

    #[test]
    fn times_are_utc_and_as_precise_as_known() {
        assert_eq!(time(1_767_225_600_000), "2026-01-01T00:00:00Z");
        assert_eq!(time(1_767_225_600_120), "2026-01-01T00:00:00.120Z");
        assert_eq!(known_time(Some(0)), None);
        assert_eq!(serde_json::to_string(&Time(-1)).unwrap(), "\"1969-12-31T23:59:59.999Z\"");
    }

    /// Also on either side of what has four digits of a year.
    #[test]
    fn times_are_written_as_the_calendar_prints_them() {
        let (first, last) = (-62_167_219_200_000, 253_402_207_200_999);
        let steps = (first..=last).step_by(999_999_999_989);
        for ms in steps.chain([first - 1, first, last, -1, 0, 1, 951_782_400_007, i64::MIN, i64::MAX]) {
            assert_eq!(time(ms), Time(ms).printed(), "{ms}");
        }
    }
}
