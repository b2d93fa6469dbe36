//! Query parameters, parsed once. A wrong one is named with what is expected; of those that are not known see [`known`].

mod known;

use std::str::FromStr;

use axum::extract::{FromRequestParts, MatchedPath, Query};
use axum::http::request::Parts;
use groupfold_fold::view::{CommandStatus, MemberStatus, Status};
use groupfold_schemas::id;
use groupfold_schemas::position::Position;

use crate::problem::Problem;
use crate::reads::Freshness;
use crate::text::Lang;
use crate::usage::{By, Place};

/// Items of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Where nothing else is asked for.
    pub(crate) default: usize,
    /// At most.
    pub(crate) max: usize,
}

/// A moment to look back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// What the log had at this position.
    Position(Position),
    /// What the log had taken by this time of the broker's, Unix milliseconds.
    Time(i64),
}

impl FromStr for At {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Time(time.as_millisecond()));
        }
        match text.parse::<Position>() {
            Ok(position) if !position.is_empty() => Ok(Self::Position(position)),
            _ => Err(()),
        }
    }
}

/// The query string, not yet read.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // A query string that cannot be split is one without parameters that we know.
        let pairs: Vec<_> = Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default();
        if let Some(route) = parts.extensions.get::<MatchedPath>() {
            known::check(route, &pairs)?;
        }
        Ok(Self(pairs))
    }
}

impl Params {
    /// Of names and values that are decoded.
    #[cfg(feature = "probe")]
    pub(crate) fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The parameter's text; an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values.next_back().filter(|value| !value.is_empty())
    }

    /// All values of a filter, which may be repeated. An empty one is refused: whoever had nothing to put there would be told
    /// everything.
    pub(super) fn all(&self, name: &str) -> Result<Vec<String>, Problem> {
        let values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone());
        let values: Vec<String> = values.collect();
        if values.iter().any(String::is_empty) {
            let expected = "a value; without the parameter nothing is left out";
            return Err(Problem::parameter("empty_filter", name, "", expected));
        }
        Ok(values)
    }

    /// A filter that is true or false.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.all(name)?;
        self.parse(name, "bad_flag", "true or false")
    }

    pub(super) fn parse<T: FromStr>(
        &self,
        name: &str,
        code: &'static str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let value = text.parse().map_err(|_| Problem::parameter(code, name, text, expected))?;
        Ok(Some(value))
    }

    /// `min_position` and `wait_ms`.
    pub(crate) fn freshness(&self) -> Result<Freshness, Problem> {
        let expected = "partition:sequence, several joined by commas, like 3:1234,5:88";
        Ok(Freshness {
            min_position: self.parse("min_position", "bad_position", expected)?,
            wait_ms: self.parse("wait_ms", "bad_wait", "a number of milliseconds")?,
        })
    }

    /// `limit`.
    pub(crate) fn limit(&self, Limit { default, max }: Limit) -> Result<usize, Problem> {
        let expected = format!("a whole number from 1 to {max}");
        let limit = self.parse("limit", "bad_limit", &expected)?.unwrap_or(default);
        if (1..=max).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::parameter("bad_limit", "limit", &limit.to_string(), &expected))
    }

    /// `lang`.
    pub(crate) fn lang(&self) -> Result<Lang, Problem> {
        let tag = self.get("lang").unwrap_or("en");
        Lang::parse(tag).ok_or_else(|| Problem::parameter("bad_lang", "lang", tag, Lang::TAGS))
    }

    /// `status` of groups.
    pub(crate) fn group_status(&self) -> Result<Option<Status>, Problem> {
        self.status(Status::ALL, Status::name)
    }

    /// `status` of members.
    pub(crate) fn member_status(&self) -> Result<Option<MemberStatus>, Problem> {
        self.status(MemberStatus::ALL, MemberStatus::name)
    }

    /// `status` of commands.
    pub(crate) fn command_status(&self) -> Result<Option<CommandStatus>, Problem> {
        self.status(CommandStatus::ALL, CommandStatus::name)
    }

    fn status<T: Copy, const N: usize>(
        &self,
        all: [T; N],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get("status") else { return Ok(None) };
        let found = all.into_iter().find(|status| name(*status) == text);
        let wrong = || {
            let expected = format!("one of {}", all.map(name).join(", "));
            Problem::parameter("bad_status", "status", text, &expected)
        };
        found.map(Some).ok_or_else(wrong)
    }

    /// `partition`.
    pub(crate) fn partition(&self) -> Result<Option<u16>, Problem> {
        self.parse("partition", "bad_partition", "the number of a partition")
    }

    /// `force`.
    pub(crate) fn force(&self) -> Result<bool, Problem> {
        Ok(self.parse("force", "bad_force", "true or false")?.unwrap_or(false))
    }

    /// `sample`, in ten-thousandths.
    pub(crate) fn sample(&self) -> Result<Option<u64>, Problem> {
        let expected = "a number of ten-thousandths, from 1 to 10000";
        let parts: Option<u64> = self.parse("sample", "bad_sample", expected)?;
        match parts {
            Some(parts) if !(1..=10_000).contains(&parts) => {
                Err(Problem::parameter("bad_sample", "sample", &parts.to_string(), expected))
            }
            parts => Ok(parts),
        }
    }

    /// `group`.
    pub(crate) fn group(&self) -> Result<Option<String>, Problem> {
        Ok(self.all("group")?.pop())
    }

    /// `phone_number_id`.
    pub(crate) fn phone_number_id(&self) -> Option<String> {
        self.get("phone_number_id").map(str::to_owned)
    }

    /// `at`: the moment that the answer is to reflect; the present if absent. What is still to come is none.
    pub(crate) fn at(&self) -> Result<Option<At>, Problem> {
        let expected = "a time that is over, like 2026-01-31T12:00:00Z, or a position, like 3:1234";
        let at = self.parse("at", "bad_at", expected)?;
        match (&at, self.get("at")) {
            (Some(At::Time(time_ms)), Some(text)) if *time_ms >= jiff::Timestamp::now().as_millisecond() => {
                Err(Problem::parameter("bad_at", "at", text, expected))
            }
            _ => Ok(at),
        }
    }

    /// `from` and `to`: a time or a day in UTC each, Unix milliseconds; all time where they are absent.
    pub(crate) fn time_range(&self) -> Result<(i64, i64), Problem> {
        let expected = "a time (2026-01-31T12:00:00Z) or a day (2026-01-31)";
        let from = self.parse::<Time>("from", "bad_time", expected)?.map_or(i64::MIN, |time| time.0);
        let to = self.parse::<Time>("to", "bad_time", expected)?.map_or(i64::MAX, |time| time.0);
        match self.get("to") {
            Some(text) if to <= from => {
                Err(Problem::parameter("bad_time", "to", text, "a time after `from`"))
            }
            _ => Ok((from, to)),
        }
    }

    /// `by` of usage.
    pub(crate) fn usage_by(&self) -> Result<By, Problem> {
        match self.get("by") {
            None | Some("day") => Ok(By::Day),
            Some("group") => Ok(By::Group),
            Some("category") => Ok(By::Category),
            Some("country") => Ok(By::Country),
            Some(text) => Err(Problem::parameter("bad_by", "by", text, "day, group, category or country")),
        }
    }

    /// `cursor` of usage: where the page before ended.
    pub(crate) fn cursor_usage(&self) -> Result<Option<Place>, Problem> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let place = unhex(text).and_then(|plain| {
            let (partition, message) = plain.strip_prefix("u:")?.split_once(':')?;
            Some(Place { partition: partition.parse().ok()?, message: message.to_owned() })
        });
        let place = place.filter(|place| usage_cursor(place) == text);
        place.map(Some).ok_or_else(|| bad_cursor(text))
    }

    /// `cursor` of a list by id: the last id of the page before. That of another list is none.
    pub(crate) fn cursor_id(&self, list: IdList) -> Result<Option<String>, Problem> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let id = unhex(text).and_then(|id| id.strip_prefix(list.tag()).map(str::to_owned));
        let id = id.filter(|id| id_cursor(list, id) == text);
        id.map(Some).ok_or_else(|| bad_cursor(text))
    }

    /// `cursor` of a history: where the page before ended.
    pub(crate) fn cursor_entry(&self) -> Result<Option<EntryCursor>, Problem> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let cursor = unhex(text).and_then(|plain| EntryCursor::read(&plain));
        let cursor = cursor.filter(|cursor| cursor.print() == text);
        cursor.map(Some).ok_or_else(|| bad_cursor(text))
    }
}

fn bad_cursor(text: &str) -> Problem {
    Problem::parameter("bad_cursor", "cursor", text, "the cursor of an earlier page, as it was")
}

/// A time, or the begin of a day in UTC; Unix milliseconds.
struct Time(i64);

impl FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(time.as_millisecond()));
        }
        let day: jiff::civil::Date = text.parse().map_err(|_| ())?;
        let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| ())?;
        Ok(Self(midnight.timestamp().as_millisecond()))
    }
}

/// The cursor after the messages counted.
pub(crate) fn usage_cursor(place: &Place) -> String {
    id::hex(format!("u:{}:{}", place.partition, place.message).as_bytes())
}

/// What is listed by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdList {
    Groups,
    Commands,
}

impl IdList {
    fn tag(self) -> &'static str {
        match self {
            Self::Groups => "g:",
            Self::Commands => "c:",
        }
    }
}

/// The cursor after the one of this id.
pub(crate) fn id_cursor(list: IdList, id: &str) -> String {
    id::hex(format!("{}{id}", list.tag()).as_bytes())
}

/// The place of an entry in a history, so that entries which come in late shift no page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryCursor {
    pub(crate) at_ms: i64,
    pub(crate) rank: u32,
    pub(crate) id: String,
}

impl EntryCursor {
    pub(crate) fn print(&self) -> String {
        id::hex(format!("t:{}:{}:{}", self.at_ms, self.rank, self.id).as_bytes())
    }

    fn read(plain: &str) -> Option<Self> {
        let mut parts = plain.strip_prefix("t:")?.splitn(3, ':');
        let at_ms = parts.next()?.parse().ok()?;
        let rank = parts.next()?.parse().ok()?;
        Some(Self { at_ms, rank, id: parts.next()?.to_owned() })
    }
}

fn unhex(text: &str) -> Option<String> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    String::from_utf8((0..text.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { default: 50, max: 1000 };

    fn params(query: &str) -> Params {
        let uri = format!("/x?{query}").parse().unwrap();
        Params(Query::try_from_uri(&uri).unwrap().0)
    }

    fn code<T>(result: Result<T, Problem>) -> &'static str {
        result.err().unwrap().code()
    }

    #[test]
    fn each_wrong_parameter_has_its_code() {
        for limit in ["0", "1001", "x", "-1", "99999999999999999999"] {
            assert_eq!(code(params(&format!("limit={limit}")).limit(LIMIT)), "bad_limit");
        }
        assert_eq!(params("limit=1000").limit(LIMIT).unwrap(), 1000);
        assert_eq!(code(params("lang=de").lang()), "bad_lang");
        assert_eq!(code(params("status=x").group_status()), "bad_status");
        assert_eq!(code(params("status=active").member_status()), "bad_status");
        assert_eq!(code(params("min_position=3").freshness()), "bad_position");
        assert_eq!(code(params("wait_ms=-3").freshness()), "bad_wait");
        for at in ["2026-01-01", "x", "3", ":", "2999-01-01T00:00:00Z"] {
            assert_eq!(code(params(&format!("at={at}")).at()), "bad_at", "{at}");
        }
        assert_eq!(params("at=1970-01-01T00:00:01Z").at().unwrap(), Some(At::Time(1000)));
        assert!(matches!(params("at=3:4,5:6").at().unwrap(), Some(At::Position(_))));
        for cursor in ["x", "6", "zz", "673a", "é"].map(|text| format!("cursor={text}")) {
            let entry = params(&cursor).cursor_entry();
            assert_eq!(code(entry), "bad_cursor", "{cursor}");
        }
        assert_eq!(code(params("cursor=743a").cursor_id(IdList::Groups)), "bad_cursor");
    }

    #[test]
    fn unknown_and_empty_parameters_are_as_good_as_none() {
        let params = params("limit=&colour=red&lang=pt-BR");
        assert_eq!(params.limit(LIMIT).unwrap(), 50);
        assert_eq!(params.lang().unwrap(), Lang::Portuguese);
    }

    #[test]
    fn an_empty_filter_is_refused_where_the_last_page_or_any_status_is_meant_it_is_not() {
        for name in ["group", "kind", "label", "visible_to"] {
            assert_eq!(code(params(&format!("{name}=x&{name}=")).all(name)), "empty_filter", "{name}");
            assert!(params("x=").all(name).unwrap().is_empty());
        }
        assert_eq!(code(params("archived=").flag("archived")), "empty_filter");
        let listed = params("status=&phone_number_id=&limit=&cursor=");
        assert!(listed.group_status().unwrap().is_none() && listed.phone_number_id().is_none());
        assert!(listed.limit(LIMIT).is_ok() && listed.cursor_id(IdList::Groups).unwrap().is_none());
    }

    #[test]
    fn a_range_is_of_times_or_days_and_not_backwards() {
        let day = 86_400_000;
        assert_eq!(
            params("from=1970-01-02&to=1970-01-02T00:00:01Z").time_range().unwrap(),
            (day, day + 1000)
        );
        assert_eq!(params("").time_range().unwrap(), (i64::MIN, i64::MAX));
        for bad in ["from=x", "to=3:4", "from=2026-01-02&to=2026-01-01", "from=2026-01-01&to=2026-01-01"] {
            assert_eq!(code(params(bad).time_range()), "bad_time", "{bad}");
        }
        assert_eq!(code(params("by=month").usage_by()), "bad_by");
    }

    /// Digits of either case, and numbers with a sign, were once other cursors of the same place.
    #[test]
    fn a_cursor_is_taken_as_it_was_printed_alone() {
        for text in ["673A78", "67+a78", "673a7"] {
            assert_eq!(
                code(params(&format!("cursor={text}")).cursor_id(IdList::Groups)),
                "bad_cursor",
                "{text}"
            );
        }
        for plain in ["t:+5:7:x", "t:5:07:x"] {
            let cursor = id::hex(plain.as_bytes());
            assert_eq!(code(params(&format!("cursor={cursor}")).cursor_entry()), "bad_cursor", "{plain}");
        }
        let cursor = id::hex(b"u:+3:m");
        assert_eq!(code(params(&format!("cursor={cursor}")).cursor_usage()), "bad_cursor");
    }

    #[test]
    fn cursors_read_back() {
        let place = Place { partition: 7, message: "wamid:ção".to_owned() };
        let query = params(&format!("cursor={}", usage_cursor(&place)));
        assert_eq!(query.cursor_usage().unwrap(), Some(place));
        assert_eq!(code(params("cursor=753a").cursor_usage()), "bad_cursor");
        let cursor = EntryCursor { at_ms: -5, rank: 7, id: "a:b-ção".to_owned() };
        let query = params(&format!("cursor={}", cursor.print()));
        assert_eq!(query.cursor_entry().unwrap(), Some(cursor));
        let query = params(&format!("cursor={}", id_cursor(IdList::Groups, "g:1@/=%")));
        assert_eq!(query.cursor_id(IdList::Groups).unwrap().as_deref(), Some("g:1@/=%"));
        assert_eq!(code(query.cursor_id(IdList::Commands)), "bad_cursor", "a cursor of another list");
    }
}
