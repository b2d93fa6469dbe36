//! What the platform laid down, as lines.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{Record, Visibility};

use super::said::{self, Said};

/// What is known of a group beside what WhatsApp tells.
pub(super) fn lines(records: &[&Record]) -> Vec<String> {
    let last = |ranks: &[u32]| {
        let words = records.iter().filter_map(|r| Some((rank(r)?, *r)));
        let words = words.filter(|(rank, _)| ranks.contains(rank));
        words.max_by_key(|(rank, r)| (r.provider_time_ms, *rank, r.event_id.clone()))
    };
    let visibility = match last(&[40]).map(|(_, r)| said::kind(r)) {
        Some(Kind::VisibilitySet(e)) => e.visibility.clone().expect("histories say who"),
        _ => Visibility { all: true, ..Default::default() },
    };
    let moderators = match last(&[41]).map(|(_, r)| said::kind(r)) {
        Some(Kind::ModeratorsSet(e)) => e.users.clone(),
        _ => Vec::new(),
    };
    let archived = match last(&[44, 45]).map(|(_, r)| said::kind(r)) {
        Some(Kind::ArchiveSet(e)) if e.archived => {
            let known = e.newest.clone().map(|newest| (newest.time_ms, newest.event_id));
            let messages = records.iter().filter(|r| said::sender(r).is_some());
            messages.map(|r| Some((r.provider_time_ms, r.event_id.clone()))).max().flatten() <= known
        }
        _ => false,
    };
    let blocked = last(&[46, 47]).is_some_and(|(rank, _)| rank == 47);
    let Visibility { all, teams, users } = visibility;
    vec![
        format!("visible to all {all} teams {teams:?} users {users:?}"),
        format!("moderators {moderators:?}"),
        format!("labels {:?}", labels(records)),
        format!("archived {archived} blocked {blocked}"),
    ]
}

fn labels(records: &[&Record]) -> BTreeSet<String> {
    let mut words: Vec<_> = records
        .iter()
        .filter_map(|r| match said::kind(r) {
            Kind::LabelSet(e) => Some(((r.provider_time_ms, !e.present, r.event_id.clone()), e)),
            _ => None,
        })
        .collect();
    words.sort_by(|(a, _), (b, _)| a.cmp(b));
    let last: BTreeMap<&String, bool> = words.into_iter().map(|(_, e)| (&e.label, e.present)).collect();
    last.into_iter().filter(|(_, present)| *present).map(|(label, _)| label.clone()).collect()
}

fn rank(record: &Record) -> Option<u32> {
    Some(match said::kind(record) {
        Kind::VisibilitySet(_) => 40,
        Kind::ModeratorsSet(_) => 41,
        Kind::LabelSet(e) => 43 - u32::from(e.present),
        Kind::ArchiveSet(e) => 45 - u32::from(e.archived),
        Kind::BlockSet(e) => 46 + u32::from(e.blocked),
        _ => return None,
    })
}

/// The line of history that a word of the platform adds.
pub(super) fn fact(record: &Record, blank: &Said) -> Vec<Said> {
    let text = match said::kind(record) {
        Kind::LabelSet(e) => Some(e.label.clone()),
        _ => None,
    };
    rank(record).into_iter().map(|rank| Said { rank, text: text.clone(), ..blank.clone() }).collect()
}

/// The message and the user of a view.
pub(super) fn view(record: &Record) -> Option<(String, String)> {
    let Kind::MessageViewed(e) = said::kind(record) else { return None };
    Some((e.message_id.clone(), e.user_id.clone()))
}

/// Who of the platform saw a message, as told in its group, and when first.
pub(super) fn views(records: &[Record], message: &str, group: &str) -> Vec<String> {
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for record in records.iter().filter(|record| record.group_id == group) {
        if let Some((_, user)) = view(record).filter(|(of, _)| of == message) {
            let time = first.entry(user).or_insert(record.provider_time_ms);
            *time = record.provider_time_ms.min(*time);
        }
    }
    first.into_iter().map(|(user, time)| format!("seen by {user} at {time}")).collect()
}
