//! Where a reader of the feed begins.

use axum::http::HeaderMap;
use groupfold_schemas::id::{hex, sha256};
use groupfold_schemas::position::Position;

use super::super::params::Params;
use crate::feed::follow::Spot;
use crate::problem::Problem;
use crate::stream::Info;

const LAST_EVENT_ID: &str = "last-event-id";

/// Digits of a tag that name the stream; those behind them name the message, where one is known to stand there.
const STREAM_DIGITS: usize = 8;

/// The id of an event: the sequence in the stream of changes, and a tag that says which stream that is, as one that was made
/// anew counts from one again, and which message, as one put back from an older copy grows over what it lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) sequence: u64,
    pub(super) tag: String,
}

/// A short name of what was made at this time.
fn digits(time: &str) -> String {
    hex(&sha256([time.as_bytes()])[..STREAM_DIGITS / 2])
}

impl EventId {
    /// Of what stands before a place in the stream that was created at this time.
    pub(super) fn before(spot: Spot, created: &str) -> Self {
        let message = spot.before_ms.map(|taken_ms| digits(&taken_ms.to_string()));
        Self { sequence: spot.next - 1, tag: digits(created) + &message.unwrap_or_default() }
    }

    /// True if it is of the stream that was created at this time and took the message of its sequence then. A message that is
    /// there no longer tells nothing.
    fn is_of(&self, created: &str, taken_ms: Option<i64>) -> bool {
        let Some((stream, message)) = self.tag.split_at_checked(STREAM_DIGITS) else { return false };
        let is_same = |taken_ms: i64| digits(&taken_ms.to_string()) == message;
        stream == digits(created) && (message.is_empty() || taken_ms.is_none_or(is_same))
    }

    fn read(text: &str) -> Option<Self> {
        let (sequence, tag) = text.trim().split_once('-')?;
        let sequence = sequence.parse().ok()?;
        (!tag.is_empty()).then(|| Self { sequence, tag: tag.to_owned() })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.sequence, self.tag)
    }
}

/// Where a reader wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    After(EventId),
    Beginning,
    Now,
    Position(Position),
}

/// Where that is in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The first message that may be told is behind it.
    pub(super) spot: Spot,
    /// Whether all that follow it must be there; else the first that is kept will do.
    pub(super) exact: bool,
    /// Only what is after this is told.
    pub(super) after: After,
}

/// What is left out, though it stands in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct After {
    position: Option<Position>,
    /// Up to here in the stream, all of the partitions that the position does not name.
    now: u64,
}

impl After {
    /// True if a change of this position, at this sequence of the stream, is to be told.
    pub(super) fn admits(&self, sequence: u64, partition: u16, position: u64) -> bool {
        match self.position.as_ref().map(|after| after.get(partition)) {
            None => true,
            Some(Some(after)) => position > after,
            Some(None) => sequence > self.now,
        }
    }

    /// True if an id may be told of whoever is told from this sequence on. What is before the stream's end as it was at the
    /// start is searched for what the position does not reflect: an id from there would have all the rest of it told.
    pub(super) fn is_found(&self, next: u64) -> bool {
        self.position.is_none() || next > self.now
    }
}

impl Wanted {
    /// Of a request. The id of the last event goes before `from`, and may be what `from` is: a reader that keeps one place
    /// keeps a position until it has an event.
    pub(super) fn read(headers: &HeaderMap, params: &Params) -> Result<Self, Problem> {
        let id = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?"));
        if let Some(text) = id.map(str::trim).filter(|text| !text.is_empty()) {
            let expected = "the `id` of an event of this feed, as it was, like 1234-5f3a21bc, or what `from` takes: now, \
                            beginning, or a position like 3:1234,5:88";
            let place = EventId::read(text).map(Self::After).or_else(|| Self::of(text));
            return place.ok_or_else(|| Problem::parameter("bad_event_id", "Last-Event-ID", text, expected));
        }
        let Some(text) = params.get("from") else { return Ok(Self::Now) };
        let expected = "now, beginning, or a position like 3:1234,5:88";
        Self::of(text).ok_or_else(|| Problem::parameter("bad_from", "from", text, expected))
    }

    fn of(text: &str) -> Option<Self> {
        match text {
            "now" => Some(Self::Now),
            "beginning" => Some(Self::Beginning),
            _ => match text.parse::<Position>().ok()? {
                // As an answer to a webhook says it that put nothing into the log.
                nowhere if nowhere.is_empty() => Some(Self::Now),
                position => Some(Self::Position(position)),
            },
        }
    }

    /// The position to begin after.
    pub(super) fn position(&self) -> Option<&Position> {
        if let Self::Position(position) = self { Some(position) } else { None }
    }

    /// Sequence of the message to begin after, if it is to be the one that it was.
    pub(super) fn sequence(&self) -> Option<u64> {
        if let Self::After(id) = self { Some(id.sequence).filter(|sequence| *sequence > 0) } else { None }
    }

    /// Finds the place in a stream that took the message of [`Self::sequence`] at this time, if it has it, or says that it is
    /// there no longer.
    pub(super) fn place(self, info: &Info, taken_ms: Option<i64>) -> Result<Place, Problem> {
        let everything = |spot, exact| Place { spot, exact, after: After::default() };
        let beginning = Spot { next: info.first_sequence.max(1), before_ms: None };
        match self {
            Self::Now => Ok(everything(Spot::end(info), true)),
            Self::Beginning => Ok(everything(beginning, false)),
            Self::Position(position) => Ok(Place {
                spot: beginning,
                exact: false,
                after: After { position: Some(position), now: info.last_sequence },
            }),
            Self::After(id) if !id.is_of(&info.created, taken_ms) || id.sequence > info.last_sequence => {
                let why = "the stream of changes was made anew since, or put back from an older copy";
                Err(Problem::place_gone(&format!("event {id}"), why))
            }
            Self::After(id) if id.sequence + 1 < info.first_sequence => Err(Problem::place_gone(
                &format!("event {id}"),
                "changes that follow it are not kept any more",
            )),
            Self::After(id) => Ok(everything(Spot { next: id.sequence + 1, before_ms: taken_ms }, true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(first_sequence: u64, last_sequence: u64) -> Info {
        Info { created: "c".to_owned(), first_sequence, last_sequence, last_ms: 5 }
    }

    fn id(sequence: u64, created: &str, before_ms: Option<i64>) -> EventId {
        EventId::before(Spot { next: sequence + 1, before_ms }, created)
    }

    fn after(sequence: u64, created: &str) -> Wanted {
        Wanted::After(id(sequence, created, Some(5)))
    }

    #[test]
    fn an_event_that_is_gone_is_told_from_one_to_go_on_after() {
        let next = |wanted: Wanted, info: &Info| wanted.place(info, Some(5)).map(|place| place.spot.next);
        assert_eq!(next(after(7, "c"), &info(3, 9)).unwrap(), 8);
        assert_eq!(next(after(2, "c"), &info(3, 9)).unwrap(), 3);
        assert_eq!(next(after(9, "c"), &info(10, 9)).unwrap(), 10, "all of it is too old by now");
        for (wanted, info) in
            [(after(1, "c"), info(3, 9)), (after(10, "c"), info(3, 9)), (after(7, "d"), info(3, 9))]
        {
            assert_eq!(wanted.place(&info, Some(5)).unwrap_err().code(), "event_gone");
        }
        let taken = |taken_ms| after(7, "c").place(&info(3, 9), taken_ms);
        assert_eq!(taken(Some(6)).unwrap_err().code(), "event_gone", "another past of the same stream");
        assert_eq!(taken(None).unwrap().spot.next, 8, "retention took it meanwhile");
        let unknown = Wanted::After(id(7, "c", None));
        assert_eq!(next(unknown, &info(3, 9)).unwrap(), 8, "which message it was is not known");
        assert_eq!(next(Wanted::Now, &info(3, 9)).unwrap(), 10);
        assert_eq!(next(Wanted::Beginning, &info(0, 0)).unwrap(), 1);
    }

    #[test]
    fn a_position_leaves_out_what_it_reflects_and_the_past_of_what_it_does_not_name() {
        let wanted = Wanted::Position("3:10".parse().unwrap());
        let Place { spot, after, .. } = wanted.place(&info(1, 50), None).unwrap();
        assert_eq!(spot.next, 1);
        assert!(!after.admits(20, 3, 10) && after.admits(20, 3, 11));
        assert!(!after.admits(50, 4, 99) && after.admits(51, 4, 1));
    }

    /// A position that names some of the partitions was refused, though the receiver answers just that.
    #[test]
    fn a_last_event_id_may_be_whatever_from_is_and_means_the_same() {
        let read = |text: &str| {
            let headers = [(LAST_EVENT_ID.parse().unwrap(), text.parse().unwrap())].into_iter().collect();
            Wanted::read(&headers, &Params::default())
        };
        for text in ["7:122", " 1:75", "3:1234,5:88"] {
            assert_eq!(read(text).unwrap(), Wanted::Position(text.trim().parse().unwrap()), "{text}");
        }
        assert_eq!(read("now").unwrap(), Wanted::Now);
        assert_eq!(read("beginning").unwrap(), Wanted::Beginning);
        assert_eq!(read("12-5f3a21bc").unwrap(), Wanted::After(EventId::read("12-5f3a21bc").unwrap()));
        for bad in ["7:", ":", "7:x", "122", "yesterday", "3:1234,x"] {
            assert_eq!(read(bad).unwrap_err().code(), "bad_event_id", "{bad}");
        }
    }

    #[test]
    fn who_begins_after_a_position_has_a_place_once_the_search_for_it_is_over() {
        let after = |wanted: Wanted| wanted.place(&info(1, 50), None).unwrap().after;
        let searched = after(Wanted::Position("3:10".parse().unwrap()));
        assert!(!searched.is_found(1) && !searched.is_found(50) && searched.is_found(51));
        assert!(after(Wanted::Beginning).is_found(1) && after(Wanted::Now).is_found(51));
    }

    #[test]
    fn an_id_reads_back() {
        for id in [id(12, "x", Some(5)), id(12, "x", None)] {
            assert_eq!(EventId::read(&id.to_string()), Some(id));
        }
        for bad in ["", "12", "12-", "x-y"] {
            assert_eq!(EventId::read(bad), None, "{bad}");
        }
    }
}
