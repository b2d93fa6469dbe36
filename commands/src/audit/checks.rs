//! The sums that must hold. Pure: tested without a broker.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::streams::{Content, Streams};
use super::{End, Life, Stores};
use crate::print;

/// Ids named in one line.
const NAMED_MAX: usize = 5;

/// What is not looked at.
const NOT_LOOKED_AT: &str = "not looked at";

/// One thing that holds or does not.
#[derive(Debug, PartialEq)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) found: String,
    /// Nothing where it was not looked at, and nobody asked for that.
    pub(super) holds: Option<bool>,
}

impl Check {
    fn new(what: impl Into<String>, holds: bool, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), holds: Some(holds) }
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.holds == Some(false)
    }

    /// In a word or three.
    pub(super) fn state(&self) -> &'static str {
        match self.holds {
            Some(true) => "ok",
            Some(false) => "DIFFERS",
            None => NOT_LOOKED_AT,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "what": self.what, "found": self.found, "holds": self.holds })
    }
}

pub(super) fn all(lives: &[Life], streams: &Streams, position: &Stores) -> Vec<Check> {
    let mut checks = Vec::new();
    for life in lives {
        checks.push(conserved(life));
        checks.push(stored(life, streams));
    }
    for content in streams.events.iter().chain([&streams.failed]) {
        checks.push(whole(content));
    }
    checks.extend(unknown_lives(lives, streams));
    let own: u64 = streams.events.iter().map(|content| content.own).sum();
    if own > 0 {
        let found = format!("{own} event(s) of commands, of the platform, or read from the provider");
        checks.push(Check::new("events of our own", true, found));
    }
    let strangers: u64 = streams.events.iter().map(|content| content.strangers).sum();
    if strangers > 0 {
        let found = format!(
            "{strangers} webhook event(s) were appended by no receiver of this kind: an older build, or by hand"
        );
        checks.push(Check::new("events of no receiver", true, found));
    }
    let unreadable: u64 = streams.events.iter().map(|content| content.unreadable).sum();
    if unreadable > 0 {
        let found = format!("{unreadable} record(s) cannot be read by this build: groupfold failed list");
        checks.push(Check::new("records", true, found));
    }
    checks.push(settled(streams));
    match position {
        Stores::At(position) => checks.extend(stores(streams, position)),
        Stores::NotNamed => {
            let found = format!("{NOT_LOOKED_AT}: --api-url names who serves them");
            checks.push(Check { holds: None, ..Check::new("stores", true, found) });
        }
        Stores::Silent(why) => {
            checks.push(Check::new("stores", false, format!("{NOT_LOOKED_AT}: {why}")));
        }
    }
    checks
}

fn of_life(content: &Content, life: &str) -> u64 {
    content.by_life.get(life).copied().unwrap_or_default()
}

/// Every item has one fate.
fn conserved(life: &Life) -> Check {
    let counts = &life.counts;
    let sum = counts.appended + counts.duplicate + counts.failed + counts.ignored;
    let found = format!(
        "{} received, {} appended + {} duplicate + {} failed + {} ignored = {sum}",
        counts.received, counts.appended, counts.duplicate, counts.failed, counts.ignored
    );
    Check::new(format!("fates of receiver {}", life.id), counts.received == sum, found)
}

/// Messages of a life in the streams: of events, and of failures.
fn present(life: &Life, streams: &Streams) -> (u64, u64) {
    let in_events = streams.events.iter().map(|content| of_life(content, &life.id)).sum();
    (in_events, of_life(&streams.failed, &life.id))
}

/// Messages of a life beyond all that it counted.
pub(super) fn uncounted(life: &Life, streams: &Streams) -> u64 {
    let ((in_events, in_failed), counts) = (present(life, streams), &life.counts);
    (in_events + in_failed).saturating_sub(counts.stored + counts.stored_failed + counts.unsure)
}

/// What a receiver was acknowledged is there; what is there beyond that was never acknowledged to it.
fn stored(life: &Life, streams: &Streams) -> Check {
    let (counts, (in_events, in_failed)) = (&life.counts, present(life, streams));
    let (acknowledged, present) = (counts.stored + counts.stored_failed, in_events + in_failed);
    // Whose they were nobody knows.
    let lost: u64 = streams.events.iter().map(|content| content.lost).sum();
    let not_less = in_events + lost >= counts.stored && in_failed >= counts.stored_failed;
    let more = uncounted(life, streams);
    let at = print::time(counts.updated_ms);
    let state = match life.end {
        End::Closed => String::new(),
        End::Behind => format!(
            "; it was killed, or is still at a webhook, before it counted the {more} beyond that: its counts, of {at}, are lower bounds"
        ),
        End::Open if more > 0 => format!("; it runs, and counted last at {at}"),
        End::Open => format!("; it runs or was killed, counted last at {at}"),
    };
    let found = format!(
        "{present} message(s) in the log, {acknowledged} acknowledged, up to {} more may be there unacknowledged{state}",
        counts.unsure
    );
    let not_more = life.end != End::Closed || more == 0;
    Check::new(format!("messages of receiver {}", life.id), not_less && not_more, found)
}

/// From the first message to the last, none is missing but those that an operator said to go on without.
fn whole(content: &Content) -> Check {
    let Content { stream, last, messages, holes, lost, .. } = content;
    let what = format!("stream {stream}");
    if !holes.is_empty() {
        let named: Vec<String> = holes.iter().take(NAMED_MAX).map(|hole| missing(*hole)).collect();
        let more = holes.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(", {more} more hole(s)") };
        let found = format!("{}{more}, {messages} of {last} are there", named.join(", "));
        return Check::new(what, false, found);
    }
    let accepted = if *lost == 0 { "none missing".to_owned() } else { format!("{lost} accepted as lost") };
    Check::new(what, messages + lost == *last, format!("{messages} message(s), {accepted}"))
}

/// A hole in words.
pub(crate) fn missing((first, last): (u64, u64)) -> String {
    if first == last {
        format!("message {first} is missing")
    } else {
        format!("messages {first} to {last} are missing")
    }
}

/// Lives that messages name and that left no counts.
pub(super) fn unknown<'a>(lives: &[Life], streams: &'a Streams) -> BTreeSet<&'a String> {
    let contents = streams.events.iter().chain([&streams.failed]);
    let named = contents.flat_map(|content| content.by_life.keys());
    named.filter(|id| !lives.iter().any(|life| life.id == **id)).collect()
}

fn unknown_lives(lives: &[Life], streams: &Streams) -> Vec<Check> {
    unknown(lives, streams)
        .into_iter()
        .map(|id| {
            Check::new(
                format!("receiver {id}"),
                true,
                "left no counts: killed within a second of its first webhook, still at that, or the bucket was emptied",
            )
        })
        .collect()
}

fn settled(streams: &Streams) -> Check {
    let what = "failures and what settled them";
    if !streams.settled_of_nothing.is_empty() {
        return Check::new(
            what,
            false,
            format!("settled, but not there: {}", some(&streams.settled_of_nothing)),
        );
    }
    if !streams.replayed_missing.is_empty() {
        let found =
            format!("a replay appended events that are not there: {}", some(&streams.replayed_missing));
        return Check::new(what, false, found);
    }
    let waiting = streams.failures.saturating_sub(streams.settled);
    Check::new(
        what,
        true,
        format!("{} failure(s), {} settled, {waiting} waiting", streams.failures, streams.settled),
    )
}

fn some(ids: &BTreeSet<String>) -> String {
    let named: Vec<&str> = ids.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = ids.len() - named.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", named.join(", "))
}

/// A store has folded every message up to its position, each once, and none that is not there.
fn stores(streams: &Streams, position: &Value) -> Vec<Check> {
    let partitions = position["partitions"].as_array().cloned().unwrap_or_default();
    let one = |one: &Value| {
        let (id, applied) = (one["partition"].as_u64()?, one["applied"].as_u64()?);
        let content = streams.events.get(usize::try_from(id).ok()?)?;
        let what = format!("store {id}");
        if applied > content.last {
            let found = format!("{applied} applied, the stream ends at {}", content.last);
            return Some(Check::new(what, false, found));
        }
        let (events, unreadable) = (one["events_applied"].as_u64(), one["records_unreadable"].as_u64());
        if let (Some(events), Some(unreadable)) = (events, unreadable)
            && events + unreadable != applied
        {
            let found = format!("position {applied}, but {events} event(s) and {unreadable} unreadable");
            return Some(Check::new(what, false, found));
        }
        if let Some(reason) = one["reason"].as_str() {
            return Some(Check::new(what, false, format!("stopped at {applied}: {reason}")));
        }
        Some(Check::new(what, true, format!("{applied} of {} folded", content.last)))
    };
    partitions.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use groupfold_ingest::tally::Counts;

    use super::*;

    fn life(counts: Counts) -> Life {
        Life::new("aa".to_owned(), counts)
    }

    fn content(messages: u64) -> Content {
        let by_life = [("aa".to_owned(), messages)].into_iter().collect();
        Content { stream: "S".to_owned(), last: messages, messages, by_life, ..Content::default() }
    }

    fn wrong(lives: &[Life], streams: &Streams, position: Option<&Value>) -> Vec<String> {
        let position = position.map_or(Stores::NotNamed, |position| Stores::At(position.clone()));
        let checks = all(lives, streams, &position).into_iter().filter(Check::is_wrong);
        checks.map(|check| format!("{}: {}", check.what, check.found)).collect()
    }

    fn five() -> Counts {
        Counts {
            received: 8,
            appended: 5,
            duplicate: 1,
            failed: 1,
            ignored: 1,
            stored: 5,
            closed: true,
            ..Counts::default()
        }
    }

    #[test]
    fn what_adds_up_is_fine_and_each_difference_is_named() {
        let streams = |events, failed| Streams {
            events: vec![content(events)],
            failed: content(failed),
            ..Streams::default()
        };
        assert_eq!(wrong(&[life(five())], &streams(5, 0), None), Vec::<String>::new());
        let lost = wrong(&[life(Counts { ignored: 0, ..five() })], &streams(5, 0), None);
        assert!(lost[0].starts_with("fates of receiver aa: 8 received"), "{lost:?}");
        let fewer = wrong(&[life(five())], &streams(4, 0), None);
        assert!(fewer[0].starts_with("messages of receiver aa: 4"), "{fewer:?}");
        let more = wrong(&[life(five())], &streams(6, 0), None);
        assert!(more[0].starts_with("messages of receiver aa: 6"), "{more:?}");
        assert_eq!(
            wrong(&[life(Counts { unsure: 1, ..five() })], &streams(6, 0), None),
            Vec::<String>::new()
        );
        assert_eq!(
            wrong(&[life(Counts { closed: false, ..five() })], &streams(9, 0), None),
            Vec::<String>::new()
        );
    }

    /// More in the log than was counted was called ok without a word.
    #[test]
    fn counts_of_a_receiver_that_was_killed_are_called_lower_bounds() {
        let streams = Streams { events: vec![content(9)], ..Streams::default() };
        let open = life(Counts { closed: false, ..five() });
        assert_eq!(uncounted(&open, &streams), 4);
        let told = stored(&open, &streams).found;
        assert!(told.contains("it runs, and counted last") && !told.contains("killed"), "{told}");
        // Nor is it known to be dead by that: one webhook may take it longer.
        let told = stored(&Life { end: End::Behind, ..open }, &streams);
        let either = "was killed, or is still at a webhook, before it counted the 4 beyond that";
        assert!(told.found.contains(either), "{told:?}");
        assert!(told.found.ends_with("are lower bounds") && told.holds == Some(true), "{told:?}");
    }

    #[test]
    fn stores_that_nobody_serves_are_neither_right_nor_wrong() {
        let checks = all(&[], &Streams::default(), &Stores::NotNamed);
        let stores = checks.iter().find(|check| check.what == "stores").unwrap();
        assert_eq!((stores.holds, stores.state(), stores.is_wrong()), (None, "not looked at", false));
        assert_eq!(stores.to_json()["holds"], Value::Null);
    }

    #[test]
    fn a_message_that_is_missing_is_named() {
        let holes = |holes: &[(u64, u64)]| Streams {
            events: vec![Content { holes: holes.to_vec(), ..content(20) }],
            ..Streams::default()
        };
        let found = |streams: &Streams| wrong(&[], streams, None)[0].clone();
        assert!(found(&holes(&[(17, 17)])).starts_with("stream S: message 17 is missing, 20 of 20"));
        let two = found(&holes(&[(3, 7), (9, 9)]));
        assert!(two.starts_with("stream S: messages 3 to 7 are missing, message 9 is missing,"), "{two}");
        let seven = found(&holes(&(0..7).map(|n| (2 * n + 1, 2 * n + 1)).collect::<Vec<_>>()));
        assert!(seven.contains("message 9 is missing, 2 more hole(s),"), "{seven}");
    }

    #[test]
    fn what_was_accepted_as_lost_adds_up() {
        let streams =
            |lost| Streams { events: vec![Content { lost, last: 5, ..content(4) }], ..Streams::default() };
        assert_eq!(wrong(&[life(five())], &streams(1), None), Vec::<String>::new());
        assert_eq!(wrong(&[life(five())], &streams(0), None).len(), 2);
    }

    #[test]
    fn a_store_that_miscounts_is_named() {
        let streams = Streams { events: vec![content(5)], ..Streams::default() };
        let position = |applied: u64, events: u64| json!({ "partitions": [{ "partition": 0, "applied": applied, "events_applied": events, "records_unreadable": 1 }] });
        assert_eq!(wrong(&[], &streams, Some(&position(5, 4))), Vec::<String>::new());
        assert!(wrong(&[], &streams, Some(&position(5, 5)))[0].starts_with("store 0: position 5"));
        assert!(wrong(&[], &streams, Some(&position(6, 5)))[0].starts_with("store 0: 6 applied"));
    }
}
