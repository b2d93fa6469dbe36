//! Who is in a group: the state of each person, replayed from the group's facts in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use groupfold_schemas::v1::{self, Evidence, FactKind, JoinVia};

use crate::entry::{FactAt, Key, Prefix, Source, Value};
use crate::identity::{Alias, Applied, Identity, PersonKey, names, names_of_rename};
use crate::view::MemberStatus;

/// How a person stands to a group, see [`MemberStatus`].
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) status: MemberStatus,
    pub(crate) role: v1::Role,
    pub(crate) via: JoinVia,
    pub(crate) joined_at_ms: Option<i64>,
    pub(crate) left_at_ms: Option<i64>,
    pub(crate) join_request_id: Option<String>,
    /// A request stands: the next join answers it.
    requested: bool,
    pub(crate) username: Option<String>,
    pub(crate) display_name: Option<String>,
}

/// A line of the history with the person it means.
pub(crate) struct Line {
    pub(crate) at: FactAt,
    pub(crate) fact: v1::Fact,
    pub(crate) person: Option<PersonKey>,
    pub(crate) via: JoinVia,
}

/// A group's persons and history.
pub(crate) struct Roster {
    pub(crate) identity: Identity,
    pub(crate) members: BTreeMap<PersonKey, Membership>,
    pub(crate) lines: Vec<Line>,
    /// Identity changes of persons who were in the group, or wanted to be, at the time.
    pub(crate) changes: Vec<(Applied, PersonKey)>,
}

impl Roster {
    /// Reads a group's facts, links and identity changes. `beside` are names from elsewhere, of receipts
    /// say, whose changes matter too.
    pub(crate) fn load<S: Source>(
        source: &S,
        group: &str,
        account: &str,
        beside: impl IntoIterator<Item = Alias>,
    ) -> Result<Self, S::Error> {
        let group = group.to_owned();
        let facts: Vec<(FactAt, v1::Fact)> = source
            .scan(&Prefix::Facts { group: group.clone() })?
            .into_iter()
            .filter_map(|entry| match entry {
                (Key::Fact { at, .. }, Value::Fact(fact)) => Some((at, fact)),
                _ => None,
            })
            .collect();
        let links: Vec<(Alias, Alias, i64)> = source
            .scan(&Prefix::Links { group })?
            .into_iter()
            .filter_map(|entry| match entry {
                (Key::Link { a, b, .. }, Value::Link(link)) => Some((a, b, link.first_seen_ms)),
                _ => None,
            })
            .collect();
        let named = facts.iter().filter_map(|(_, fact)| fact.participant.as_ref()).flat_map(names);
        let linked = links.iter().flat_map(|(a, b, _)| [a.clone(), b.clone()]);
        let mut known: BTreeSet<Alias> = named.chain(linked).collect();
        let own = renames(source, account, known.iter().cloned().collect())?;
        let all = renames(source, account, known.iter().cloned().chain(beside).collect())?;
        known.extend(own.iter().flat_map(names_of_rename));
        let uses = facts
            .iter()
            .filter_map(|(at, fact)| Some((names(fact.participant.as_ref()?), at.time_ms)))
            .collect::<Vec<_>>();
        let identity = Identity::derive(&links, &all, uses, known);
        let mut roster = Self { identity, members: BTreeMap::new(), lines: Vec::new(), changes: Vec::new() };
        roster.replay(facts);
        Ok(roster)
    }

    fn replay(&mut self, facts: Vec<(FactAt, v1::Fact)>) {
        // A change stands behind the facts of its second, which still speak of the old name.
        let mut changes: VecDeque<Applied> = self.identity.applied().to_vec().into();
        for (at, fact) in facts {
            while let Some(change) = changes.pop_front_if(|change| time_of(change) < at.time_ms) {
                self.changed(change);
            }
            self.line(at, fact);
        }
        changes.into_iter().for_each(|change| self.changed(change));
    }

    fn changed(&mut self, change: Applied) {
        let person = self.identity.person_of_change(&change);
        let stands = |m: &Membership| matches!(m.status, MemberStatus::Member | MemberStatus::Pending);
        if self.members.get(&person).is_some_and(stands) {
            self.changes.push((change, person));
        }
    }

    fn line(&mut self, at: FactAt, fact: v1::Fact) {
        let participant = fact.participant.as_ref();
        let person = participant.and_then(|p| self.identity.person(&names(p), at.time_ms));
        let mut via = fact.via();
        if let Some(person) = &person {
            let old = self.members.get(person);
            if let Some(new) = step(old, &fact) {
                via = if fact.kind() == FactKind::MemberJoined { new.via } else { via };
                self.members.insert(person.clone(), new);
            }
        }
        self.lines.push(Line { at, fact, person, via });
    }
}

fn time_of(change: &Applied) -> i64 {
    change.rename.stamp.as_ref().map_or(0, |stamp| stamp.time_ms)
}

/// The one place where a membership changes; `None` where the fact is not about one.
fn step(old: Option<&Membership>, fact: &v1::Fact) -> Option<Membership> {
    let snapshot = fact.evidence() == Evidence::Snapshot;
    let time_ms = Some(fact.time_ms);
    let was = old.map(|old| old.status);
    let begun = old.cloned().unwrap_or(Membership {
        status: MemberStatus::Pending,
        role: v1::Role::Member,
        via: JoinVia::Unknown,
        joined_at_ms: None,
        left_at_ms: None,
        join_request_id: None,
        requested: false,
        username: None,
        display_name: None,
    });
    let mut next = begun.clone();
    match fact.kind() {
        FactKind::MemberJoined if snapshot && was == Some(MemberStatus::Member) => {}
        FactKind::MemberJoined => {
            next.status = MemberStatus::Member;
            next.role = v1::Role::Member;
            next.via = if begun.requested { JoinVia::JoinRequest } else { fact.via() };
            next.joined_at_ms = time_ms.filter(|_| !snapshot);
            next.left_at_ms = None;
            next.requested = false;
        }
        FactKind::JoinRequested => {
            next.status = MemberStatus::Pending;
            next.requested = true;
            next.join_request_id.clone_from(&fact.join_request_id);
        }
        FactKind::JoinRequestRevoked | FactKind::JoinRequestRejected => {
            next.status = MemberStatus::Revoked;
            next.requested = false;
            if fact.join_request_id.is_some() {
                next.join_request_id.clone_from(&fact.join_request_id);
            }
        }
        FactKind::MemberLeft | FactKind::MemberGone | FactKind::MemberRemoved => {
            let removed = fact.kind() == FactKind::MemberRemoved;
            next.status = if removed { MemberStatus::Removed } else { MemberStatus::Left };
            next.left_at_ms = time_ms;
            next.requested = false;
        }
        FactKind::MemberPromoted if old.is_some() => next.role = v1::Role::Admin,
        FactKind::MemberDemoted if old.is_some() => next.role = v1::Role::Member,
        _ => return None,
    }
    let named = fact.participant.as_ref();
    next.username = named.and_then(|p| p.username.clone()).or(next.username);
    next.display_name = named.and_then(|p| p.display_name.clone()).or(next.display_name);
    Some(next)
}

/// All identity changes that names take part in, followed through the names that those mention. Each once.
pub(crate) fn renames<S: Source>(
    source: &S,
    account: &str,
    from: Vec<Alias>,
) -> Result<Vec<v1::Rename>, S::Error> {
    let mut found: BTreeMap<String, v1::Rename> = BTreeMap::new();
    let mut asked: BTreeSet<Alias> = BTreeSet::new();
    let mut open = from;
    while let Some(alias) = open.pop() {
        if !asked.insert(alias.clone()) {
            continue;
        }
        let prefix = Prefix::Renames { account: account.to_owned(), alias };
        for (key, value) in source.scan(&prefix)? {
            if let (Key::Rename { event_id, .. }, Value::Rename(rename)) = (key, value) {
                open.extend(names_of_rename(&rename));
                found.insert(event_id, rename);
            }
        }
    }
    Ok(found.into_values().collect())
}
