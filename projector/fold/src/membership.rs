//! Who is in a group: the state of each person, replayed from the group's facts in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use groupfold_schemas::v1::{self, Evidence, FactKind, JoinVia};

use crate::entry::{FactAt, Key, Prefix, Source, Value};
use crate::identity::{Alias, AliasKind, Applied, Identity, Known, PersonKey, names, spelled};
use crate::view::{Between, MemberStatus, is_policy};

mod follow;
mod meanwhile;
mod renames;
mod step;

pub(crate) use follow::News;
use meanwhile::Meanwhile;
pub(crate) use renames::Renames;
use step::step;

/// How a person stands to a group, see [`MemberStatus`].
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) status: MemberStatus,
    pub(crate) role: v1::Role,
    pub(crate) via: JoinVia,
    pub(crate) joined_at_ms: Option<i64>,
    pub(crate) left_at_ms: Option<i64>,
    /// Where no report tells of the begin, or of the end, but a snapshot.
    pub(crate) joined_between: Option<Between>,
    pub(crate) left_between: Option<Between>,
    pub(crate) join_request_id: Option<String>,
    /// When the request was told that stands: the next join answers it.
    pub(crate) requested_ms: Option<i64>,
    /// When last something was told of how the person stands.
    told_ms: i64,
    pub(crate) username: Option<String>,
    pub(crate) display_name: Option<String>,
}

/// A line of the history with the person it means.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: FactAt,
    pub(crate) fact: v1::Fact,
    pub(crate) person: Option<PersonKey>,
    pub(crate) via: JoinVia,
    /// When it happened, if only a snapshot tells that it did.
    pub(crate) between: Option<Between>,
}

/// What snapshots have told so far in the history.
#[derive(Default)]
struct Snapshots {
    /// The persons named by the snapshot of an event.
    named: BTreeMap<String, BTreeSet<PersonKey>>,
    /// When all members were listed last: who is no member since was none then.
    members_whole_ms: Option<i64>,
    requests_whole_ms: Option<i64>,
    meanwhile: Meanwhile,
}

/// A group's persons and history.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) identity: Identity,
    pub(crate) members: BTreeMap<PersonKey, Membership>,
    /// Of each person the user name that was reported last, and when.
    user_names: BTreeMap<PersonKey, (i64, String)>,
    pub(crate) lines: Vec<Line>,
    /// Identity changes of persons who were in the group, or wanted to be, at the time.
    pub(crate) changes: Vec<(Applied, PersonKey)>,
    end: follow::End,
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
        let (mut links, mut user_names, mut known) = (Vec::new(), Vec::new(), Known::default());
        for entry in source.scan(&Prefix::Links { group })? {
            match entry {
                (Key::Link { a, b, .. }, Value::Link(link)) if b.kind == AliasKind::Username => {
                    user_names.push((a, link.first_seen_ms.max(link.last_seen_ms), b.text));
                }
                (Key::Link { a, b, .. }, Value::Link(link)) if b.kind == AliasKind::Input => {
                    known.learn(b.text, link.first_seen_ms, a);
                }
                (Key::Link { a, b, .. }, Value::Link(link)) => links.push((a, b, link.first_seen_ms)),
                _ => {}
            }
        }
        let named = facts.iter().filter_map(|(_, fact)| fact.participant.as_ref()).flat_map(names);
        let linked = links.iter().flat_map(|(a, b, _)| [a.clone(), b.clone()]);
        known.extend(named.chain(linked));
        let mut renames = Renames::default();
        let mentioned = renames.follow(source, account, known.iter().cloned())?;
        known.extend(mentioned);
        // A name that nobody is known by, but spelled whole, is that of somebody whose join was missed.
        let spelled: BTreeSet<(Alias, Alias)> =
            facts.iter().filter_map(|(_, fact)| spelled(fact.participant.as_ref()?)).collect();
        for (name, input) in spelled {
            if known.meant(&input, i64::MAX).is_none() {
                known.extend(renames.follow(source, account, [name.clone()])?);
                known.extend([name]);
            }
        }
        renames.follow(source, account, beside)?;
        let uses = facts
            .iter()
            .filter_map(|(at, fact)| Some((names(fact.participant.as_ref()?), at.time_ms)))
            .collect::<Vec<_>>();
        let identity = Identity::derive(&links, renames.found(), uses, known);
        let of = |fact: &v1::Fact, time_ms| identity.person(&names(fact.participant.as_ref()?), time_ms);
        let mut roster = Self {
            end: follow::End::of(&facts, of),
            identity,
            members: BTreeMap::new(),
            user_names: BTreeMap::new(),
            lines: Vec::new(),
            changes: Vec::new(),
        };
        roster.replay(facts);
        for (alias, time_ms, text) in user_names {
            roster.call(alias, time_ms, text);
        }
        Ok(roster)
    }

    /// Takes note that somebody had a user name.
    fn call(&mut self, alias: Alias, time_ms: i64, user_name: String) {
        let Some(person) = self.identity.person(&[alias], time_ms) else { return };
        let reported = (time_ms, user_name);
        let last = self.user_names.entry(person).or_insert_with(|| reported.clone());
        *last = reported.max(std::mem::take(last));
    }

    /// The user name that was reported last for a person, be it by a message or a receipt.
    pub(crate) fn user_name(&self, person: &PersonKey) -> Option<String> {
        let told = || self.members.get(person)?.username.clone();
        self.user_names.get(person).map(|(_, text)| text.clone()).or_else(told)
    }

    /// Who received what was reported under a name at a time, after it had been reported at another. A number may be
    /// somebody else's by then; as long as nobody is known to have it, the report came late.
    pub(crate) fn receiver(&self, alias: &Alias, first_ms: i64, told_ms: i64) -> Option<PersonKey> {
        let came = |person: &PersonKey| {
            let comes =
                |line: &&Line| matches!(line.fact.kind(), FactKind::MemberJoined | FactKind::JoinRequested);
            let mut lines = self.lines.iter().filter(comes);
            lines.any(|line| line.person.as_ref() == Some(person) && line.at.time_ms <= told_ms)
        };
        let mut holders = self.identity.holders(alias, first_ms, told_ms);
        let taker = holders.find(|(person, is_taken)| *is_taken || came(person)).map(|(person, _)| person);
        taker.or_else(|| self.identity.person(std::slice::from_ref(alias), first_ms))
    }

    fn replay(&mut self, facts: Vec<(FactAt, v1::Fact)>) {
        // A change stands behind the facts of its second, which still speak of the old name.
        let mut changes: VecDeque<Applied> = self.identity.applied().to_vec().into();
        let meanwhile = Meanwhile::of(&facts, |fact, time_ms| self.person(fact, time_ms));
        let mut snapshots = Snapshots { meanwhile, ..Snapshots::default() };
        for (at, fact) in facts {
            while let Some(change) = changes.pop_front_if(|change| time_of(change) < at.time_ms) {
                self.changed(change);
            }
            match (fact.kind(), fact.evidence()) {
                (FactKind::SnapshotTaken, _) => self.taken(&at, &fact, &mut snapshots),
                (_, Evidence::Snapshot) => self.listed(at, fact, &mut snapshots),
                _ => {
                    let line = self.line(at, fact);
                    self.lines.push(line);
                }
            }
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

    /// The person that a fact is about.
    fn person(&self, fact: &v1::Fact, time_ms: i64) -> Option<PersonKey> {
        fact.participant.as_ref().and_then(|participant| self.identity.person(&names(participant), time_ms))
    }

    /// Whoever asks by the request that a rejection closes: it may name nobody else.
    fn asker(&self, fact: &v1::Fact) -> Option<PersonKey> {
        let closed =
            fact.join_request_id.as_ref().filter(|_| fact.kind() == FactKind::JoinRequestRejected)?;
        let asks = |m: &Membership| m.requested_ms.is_some() && m.join_request_id.as_ref() == Some(closed);
        self.members.iter().find(|(_, membership)| asks(membership)).map(|(person, _)| person.clone())
    }

    /// What a report says in the history, of how somebody stands since.
    fn line(&mut self, at: FactAt, fact: v1::Fact) -> Line {
        let person = self.person(&fact, at.time_ms).or_else(|| self.asker(&fact));
        let mut via = fact.via();
        if let Some(person) = &person {
            let old = self.members.get(person);
            if let Some(new) = step(old, &fact, None) {
                via = if fact.kind() == FactKind::MemberJoined { new.via } else { via };
                self.members.insert(person.clone(), new);
            }
        }
        Line { at, fact, person, via, between: None }
    }

    /// What a snapshot lists is a line only where it is news: that somebody stands otherwise than was known.
    fn listed(&mut self, at: FactAt, fact: v1::Fact, snapshots: &mut Snapshots) {
        if fact.participant.is_none() {
            // Of the group itself: that it is no more.
            // What the platform says stands before all that the provider's clock tells, and tells nothing of it.
            let last = self.lines.last().filter(|line| !is_policy(line.fact.kind()));
            let after_ms = snapshots.members_whole_ms.max(last.map(|line| line.at.time_ms));
            let between = Some(Between { after_ms, by_ms: at.time_ms });
            return self.lines.push(Line { at, via: JoinVia::Unknown, person: None, fact, between });
        }
        let Some(person) = self.person(&fact, at.time_ms) else { return };
        snapshots.named.entry(at.event_id.clone()).or_default().insert(person.clone());
        if snapshots.meanwhile.tells(&at.event_id, &person, fact.kind()) {
            return;
        }
        let old = self.members.get(&person);
        let was = old.map(|old| old.status);
        let whole_ms = match fact.kind() {
            FactKind::JoinRequested => snapshots.requests_whole_ms,
            _ => snapshots.members_whole_ms,
        };
        let between = Between { after_ms: whole_ms.max(old.map(|old| old.told_ms)), by_ms: at.time_ms };
        let Some(new) = step(old, &fact, Some(between)) else { return };
        let news = was != Some(new.status);
        let via = new.via;
        self.members.insert(person.clone(), new);
        if news {
            self.lines.push(Line { at, fact, person: Some(person), via, between: Some(between) });
        }
    }

    /// Whoever a whole list does not name is not there any more.
    fn taken(&mut self, at: &FactAt, fact: &v1::Fact, snapshots: &mut Snapshots) {
        let named = snapshots.named.remove(&at.event_id).unwrap_or_default();
        let missing = |(person, membership): (&PersonKey, &Membership)| {
            let kind = match membership.status {
                MemberStatus::Member if fact.members_whole => FactKind::MemberGone,
                // Somebody who is neither asking nor in: let in and gone again reads the same.
                MemberStatus::Pending if fact.members_whole && fact.requests_whole => {
                    FactKind::JoinRequestRevoked
                }
                _ => return None,
            };
            let told = || snapshots.meanwhile.tells(&at.event_id, person, kind);
            (!named.contains(person) && !told()).then(|| (person.clone(), kind))
        };
        let gone: Vec<(PersonKey, FactKind)> = self.members.iter().filter_map(missing).collect();
        for (person, kind) in gone {
            let Some(old) = self.members.get(&person) else { continue };
            let between = Between { after_ms: Some(old.told_ms), by_ms: at.time_ms };
            let fact = v1::Fact { kind: kind.into(), ..fact.clone() };
            let Some(new) = step(Some(old), &fact, Some(between)) else { continue };
            self.members.insert(person.clone(), new);
            let about = self.identity.member_id(&person);
            let at = FactAt { rank: kind as u32, about, ..at.clone() };
            let (via, between) = (JoinVia::Unknown, Some(between));
            self.lines.push(Line { at, fact, person: Some(person), via, between });
        }
        let later = |known: &mut Option<i64>, whole: bool| {
            *known = (*known).max(whole.then_some(at.time_ms));
        };
        later(&mut snapshots.members_whole_ms, fact.members_whole);
        later(&mut snapshots.requests_whole_ms, fact.requests_whole);
    }
}

/// True if who is in a group may be another with a fact: it names somebody, or a request and so whoever asked, or tells
/// how whole a list is.
pub(crate) fn is_of_members(fact: &v1::Fact) -> bool {
    fact.participant.is_some() || fact.join_request_id.is_some() || fact.kind() == FactKind::SnapshotTaken
}

fn time_of(change: &Applied) -> i64 {
    change.rename.stamp.as_ref().map_or(0, |stamp| stamp.time_ms)
}
