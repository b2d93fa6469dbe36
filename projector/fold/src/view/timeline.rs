//! The history of a group, or of an account, as lines for people.

use std::collections::HashSet;

use groupfold_schemas::v1::{self, FactKind, IdentityChangeKind};

use super::group::head;
use super::{Entry, EntryKind, Person};
use crate::entry::{FactAt, Key, Prefix, Source, Value};
use crate::identity::{Applied, PersonKey};
use crate::membership::{Line, Roster};

/// The whole history of a group, by time, rank and id; `None` if no event spoke of it.
///
/// # Errors
/// The source cannot be read.
pub fn timeline<S: Source>(source: &S, group_id: &str) -> Result<Option<Vec<Entry>>, S::Error> {
    let Some(head) = head(source, group_id)? else { return Ok(None) };
    let account = head.origin.unwrap_or_default().account;
    let roster = Roster::load(source, group_id, &account, [])?;
    let is_deletion = |line: &Line| line.fact.kind() == FactKind::GroupDeleted;
    // A deletion that was reported is not found out as well; of several findings the first is one.
    let reported = roster.lines.iter().find(|line| is_deletion(line) && line.between.is_none());
    let found = roster.lines.iter().find(|line| is_deletion(line)).filter(|_| reported.is_none());
    let is_found = |line: &Line| found.is_some_and(|found| found.at == line.at);
    let lines =
        roster.lines.iter().filter(|line| !is_deletion(line) || line.between.is_none() || is_found(line));
    let entries: Vec<(i64, u32, Entry)> = lines
        .map(|line| (line.fact.time_ms, line.at.rank, entry(&roster, line)))
        .chain(roster.changes.iter().map(|(change, person)| changed(&roster, change, person)))
        .collect();
    Ok(Some(in_order(entries)))
}

/// The events of an account that have no group, by time, rank and id, as those of a group are: those of the business
/// numbers that may be seen. What was reported for no number has an empty one.
///
/// # Errors
/// The source cannot be read.
pub fn account_timeline<S: Source>(
    source: &S,
    account: &str,
    may_see: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, S::Error> {
    let entries = source.scan(&Prefix::AccountFacts { account: account.to_owned() })?;
    let entry = |entry| match entry {
        (Key::AccountFact { at, .. }, Value::Fact(fact)) if may_see(&fact.phone_number_id) => {
            Some((fact.time_ms, at.rank, bare(&at, &fact)))
        }
        _ => None,
    };
    Ok(in_order(entries.into_iter().filter_map(entry).collect()))
}

/// By time (Unix milliseconds), rank and id: what pages are cut by.
fn in_order(mut entries: Vec<(i64, u32, Entry)>) -> Vec<Entry> {
    entries.sort_by(|(a_ms, a_rank, a), (b_ms, b_rank, b)| (a_ms, a_rank, &a.id).cmp(&(b_ms, b_rank, &b.id)));
    let mut entries: Vec<Entry> = entries.into_iter().map(|(_, _, entry)| entry).collect();
    // One event may say two things of one person, as that they were removed and were not.
    let mut ids = HashSet::new();
    for entry in &mut entries {
        if let (false, EntryKind::Fact(kind)) = (ids.insert(entry.id.clone()), entry.kind) {
            entry.id = format!("{}-{}", entry.id, about_id(kind.as_str_name()));
        }
    }
    entries
}

fn bare(at: &FactAt, fact: &v1::Fact) -> Entry {
    let id = if at.about.is_empty() {
        at.event_id.clone()
    } else {
        format!("{}-{}", at.event_id, about_id(&at.about))
    };
    Entry {
        id,
        at_ms: fact.time_ms,
        between: None,
        kind: EntryKind::Fact(fact.kind()),
        member: None,
        actor: fact.actor.as_ref().map(v1::Actor::kind).unwrap_or_default(),
        user_id: fact.actor.as_ref().and_then(|actor| actor.user_id.clone()),
        via: v1::JoinVia::Unknown,
        text: fact.text.clone(),
        errors: fact.errors.clone(),
    }
}

/// Tells the lines of one event apart without printing a phone number into an id.
fn about_id(about: &str) -> String {
    let hash = groupfold_schemas::id::sha256([about.as_bytes()]);
    groupfold_schemas::id::hex(&hash[..4])
}

fn entry(roster: &Roster, line: &Line) -> Entry {
    let joined = line.fact.kind() == FactKind::MemberJoined;
    // One event may speak of several persons, change several settings, find out several things of one person: its
    // kind is part of the id.
    let found = if line.between.is_some() { line.fact.kind().as_str_name() } else { "" };
    let about = format!("{}{}{found}", line.at.about, settings_suffix(&line.fact));
    let at = FactAt { about, ..line.at.clone() };
    let told = bare(&at, &line.fact);
    // Let in by whoever approved, whom Meta does not tell; a report that echoes no command reads as a join of their own.
    let approved = joined && line.via == v1::JoinVia::JoinRequest;
    Entry {
        member: line
            .person
            .as_ref()
            .map(|person| as_reported(roster, person, line.fact.participant.as_ref(), line.at.time_ms)),
        via: if joined { line.via } else { v1::JoinVia::Unknown },
        between: line.between,
        actor: match told.actor {
            v1::ActorKind::Participant if approved => v1::ActorKind::Unknown,
            actor => actor,
        },
        ..told
    }
}

fn settings_suffix(fact: &v1::Fact) -> &'static str {
    match fact.kind() {
        FactKind::SubjectChanged => "subject",
        FactKind::DescriptionChanged => "description",
        FactKind::PictureChanged => "picture",
        _ => "",
    }
}

/// A line of history calls people as they were called then, and fills in what was not said of what was theirs then.
fn as_reported(roster: &Roster, key: &PersonKey, reported: Option<&v1::Participant>, time_ms: i64) -> Person {
    let then = roster.identity.names_at(key, time_ms);
    let reported = reported.cloned().unwrap_or_default();
    let username = roster.user_name(key);
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let names = v1::Participant {
        wa_id: filled(reported.wa_id).or(then.wa_id),
        user_id: filled(reported.user_id).or(then.user_id),
        parent_user_id: filled(reported.parent_user_id).or(then.parent_user_id),
        username: filled(reported.username).or(username).or(then.username),
        lid: filled(reported.lid).or(then.lid),
        input: filled(reported.input),
        display_name: filled(reported.display_name),
    };
    Person { member_id: roster.identity.member_id(key), names }
}

fn changed(roster: &Roster, change: &Applied, person: &PersonKey) -> (i64, u32, Entry) {
    let rename = &change.rename;
    let stamp = rename.stamp.clone().unwrap_or_default();
    let number = rename.kind() != IdentityChangeKind::UserId;
    let current = rename.current.clone().unwrap_or_default();
    // The moment before: where the old number was hidden, the new one is not it.
    let member = as_reported(roster, person, rename.previous.as_ref(), stamp.time_ms.saturating_sub(1));
    let entry = Entry {
        id: stamp.event_id,
        at_ms: stamp.time_ms,
        between: None,
        kind: if number { EntryKind::NumberChanged } else { EntryKind::UserIdChanged },
        member: Some(member),
        actor: v1::ActorKind::Participant,
        user_id: None,
        via: v1::JoinVia::Unknown,
        text: if number { current.wa_id } else { current.user_id },
        errors: Vec::new(),
    };
    (stamp.time_ms, FACTS_BEFORE_CHANGES, entry)
}

/// Within a second a change of names stands behind the facts, which still use the old ones.
const FACTS_BEFORE_CHANGES: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Memory;
    use crate::story::{GROUP, changed, ended, joined, renamed};

    #[test]
    fn a_line_calls_people_as_they_were_called_then() {
        let mut memory = Memory::default();
        memory.apply(&[joined(1, &["w:1"]), renamed(2, &["w:1"], &["w:2"])]).unwrap();
        let lines = timeline(&memory, GROUP).unwrap().unwrap();
        let member = lines[0].member.as_ref().unwrap();
        assert_eq!(member.names.wa_id.as_deref(), Some("1"));
    }

    /// A line that told an id alone was filled with the number that came years later.
    #[test]
    fn what_a_line_did_not_say_is_what_was_theirs_then() {
        let mut memory = Memory::default();
        let number = |line: &Entry| line.member.as_ref().unwrap().names.wa_id.clone();
        let left = |second| ended(second, v1::EndReason::Left, &["u:A"]);
        memory
            .apply(&[
                joined(1, &["u:A"]),
                left(2),
                joined(5, &["u:A", "w:1"]),
                left(6),
                renamed(7, &["w:1", "u:A"], &["w:2", "u:B"]),
                joined(8, &["u:B"]),
                joined(9, &["w:1"]),
            ])
            .unwrap();
        let lines = timeline(&memory, GROUP).unwrap().unwrap();
        let numbers: Vec<_> = lines.iter().map(|line| (line.at_ms / 1000, number(line))).collect();
        let told = |second, number: &str| (second, Some(number.to_owned()));
        assert_eq!(
            numbers,
            [told(1, "1"), told(2, "1"), told(5, "1"), told(6, "1"), told(8, "2"), told(9, "1")],
            "a number that was told late is theirs from the beginning"
        );
        let user_id = |line: &Entry| line.member.as_ref().unwrap().names.user_id.clone();
        assert_eq!(user_id(&lines[2]).as_deref(), Some("A"));
        assert_eq!(user_id(&lines[4]).as_deref(), Some("B"));
        assert_eq!(user_id(&lines[5]), None, "somebody else has the old number");
    }

    #[test]
    fn a_change_of_user_id_that_names_the_number_alone_is_from_the_id_that_was_known() {
        let mut memory = Memory::default();
        let change = changed(2, v1::IdentityChangeKind::UserId, &["w:1"], &["u:B"], "m");
        memory.apply(&[joined(1, &["u:A", "w:1"]), change]).unwrap();
        let line = timeline(&memory, GROUP).unwrap().unwrap().pop().unwrap();
        let names = line.member.unwrap().names;
        assert_eq!((names.user_id.as_deref(), line.text.as_deref()), (Some("A"), Some("B")));
    }

    /// The fuzzer found two lines with one id.
    #[test]
    fn who_is_removed_and_not_removed_in_one_event_has_two_lines_with_ids_of_their_own() {
        let mut record = ended(2, v1::EndReason::Removed, &["w:1"]);
        if let Some(v1::event::Kind::ParticipantsEnded(event)) =
            record.event.as_mut().and_then(|event| event.kind.as_mut())
        {
            let participant = event.ended.first().cloned();
            event.failed = vec![v1::ParticipantFailure { participant, errors: Vec::new() }];
        }
        let mut memory = Memory::default();
        memory.apply(&[joined(1, &["w:1"]), record]).unwrap();
        let lines = timeline(&memory, GROUP).unwrap().unwrap();
        let ids: HashSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
        assert_eq!((lines.len(), ids.len()), (3, 3));
    }

    #[test]
    fn nobody_changes_from_the_number_that_is_new() {
        let mut memory = Memory::default();
        memory.apply(&[joined(1, &["u:A"]), renamed(2, &["u:A"], &["w:2", "u:B"])]).unwrap();
        let line = timeline(&memory, GROUP).unwrap().unwrap().pop().unwrap();
        let names = line.member.unwrap().names;
        assert_eq!(
            (names.wa_id, names.user_id.as_deref(), line.text.as_deref()),
            (None, Some("A"), Some("2"))
        );
    }
}
