//! A report at the end of a person's history in a group: what it makes of the roster, without reading the group's again.
//!
//! Most reports are that. One that comes late behind others of the same person, a snapshot, a change of names, or a name that says who somebody else was
//! makes more different than the persons it names: the group is loaded anew then.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::v1::{self, Evidence, FactKind};

use super::{Roster, is_of_members};
use crate::entry::{FactAt, Prefix, Source};
use crate::identity::{Alias, AliasKind, PersonKey, names, spelled};

/// Where a history ends, and what its beginning leaves open.
#[derive(Debug)]
pub(super) struct End {
    /// The last fact of a member.
    last: Option<FactAt>,
    /// And of each: how one stands does not depend on what is told of others.
    last_of: BTreeMap<PersonKey, FactAt>,
    /// The last one that names nobody: whom it means depends on who asked before.
    last_unnamed: Option<FactAt>,
    /// Until when snapshots were read: what is reported of that while tells what they meant.
    read_until_ms: i64,
    /// Spellings that stand for somebody alone, and whether they say a whole name: a new name may say whom.
    spellings: BTreeSet<(Alias, bool)>,
}

impl End {
    /// Of a history in its order, and of whom its facts are.
    pub(super) fn of(
        facts: &[(FactAt, v1::Fact)],
        person: impl Fn(&v1::Fact, i64) -> Option<PersonKey>,
    ) -> Self {
        let taken = facts.iter().filter(|(_, fact)| fact.kind() == FactKind::SnapshotTaken);
        let read_until_ms = taken.map(|(at, fact)| at.time_ms.max(fact.read_until_ms)).max();
        let last = facts.iter().rev().find(|(_, fact)| is_of_members(fact)).map(|(at, _)| at.clone());
        let spellings = facts.iter().filter_map(|(_, fact)| spelling(fact)).collect();
        let (mut last_of, mut last_unnamed) = (BTreeMap::new(), None);
        for (at, fact) in facts.iter().filter(|(_, fact)| is_of_members(fact)) {
            match person(fact, at.time_ms) {
                Some(person) => drop(last_of.insert(person, at.clone())),
                None => last_unnamed = Some(at.clone()),
            }
        }
        Self { last, last_of, last_unnamed, read_until_ms: read_until_ms.unwrap_or(i64::MIN), spellings }
    }

    /// True if all that is known of a person, or where a fact names none of anybody, stands before it.
    fn is_before(&self, at: &FactAt, person: Option<&PersonKey>) -> bool {
        let last = person.map_or(self.last.as_ref(), |person| self.last_of.get(person));
        let mut before = last.into_iter().chain(&self.last_unnamed);
        before.all(|last| last < at) && self.read_until_ms < at.time_ms
    }

    fn add(&mut self, at: &FactAt, person: Option<PersonKey>) {
        self.last = self.last.take().max(Some(at.clone()));
        match person {
            Some(person) => drop(self.last_of.insert(person, at.clone())),
            None => self.last_unnamed = Some(at.clone()),
        }
    }
}

/// The spelling by which alone a fact names somebody, and whether that says a whole name.
fn spelling(fact: &v1::Fact) -> Option<(Alias, bool)> {
    let participant = fact.participant.as_ref().filter(|participant| participant.input.is_some())?;
    let first = names(participant).into_iter().next().filter(|name| name.kind == AliasKind::Input)?;
    Some((first, spelled(participant).is_some()))
}

fn has_no_renames<S: Source>(source: &S, account: &str, alias: Alias) -> Result<bool, S::Error> {
    Ok(source.scan(&Prefix::Renames { account: account.to_owned(), alias })?.is_empty())
}

/// What one event adds to a group, or moves in it.
#[derive(Debug, Default)]
pub(crate) struct News<'a> {
    /// New facts of members, in their order.
    pub(crate) facts: Vec<(&'a FactAt, &'a v1::Fact)>,
    /// Two names that were not linked, and when they are seen together.
    pub(crate) links: Vec<(&'a Alias, &'a Alias, i64)>,
    /// A name, when it was reported beside a user name before, if it was, and when now, and the user name.
    pub(crate) user_names: Vec<(&'a Alias, Option<i64>, i64, &'a str)>,
}

impl News<'_> {
    fn names(&self) -> BTreeSet<Alias> {
        let named = self.facts.iter().filter_map(|(_, fact)| fact.participant.as_ref()).flat_map(names);
        let linked = self.links.iter().flat_map(|(a, b, _)| [(*a).clone(), (*b).clone()]);
        named.chain(linked).collect()
    }
}

impl Roster {
    /// True if news stand at the end of the history, and make nobody different whom they do not concern.
    pub(crate) fn can_follow<S: Source>(
        &self,
        source: &S,
        account: &str,
        news: &News<'_>,
    ) -> Result<bool, S::Error> {
        let is_report =
            |fact: &v1::Fact| fact.evidence() != Evidence::Snapshot && fact.kind() != FactKind::SnapshotTaken;
        let is_last = |(at, fact): &(&FactAt, &v1::Fact)| {
            self.end.is_before(at, self.person(fact, at.time_ms).as_ref()) && is_report(fact)
        };
        if !news.facts.iter().all(is_last) {
            return Ok(false);
        }
        // Whom the spellings of a group mean depends on all of them.
        let is_old = |(spelling, is_whole): (Alias, bool)| {
            let has = |is_whole| self.end.spellings.contains(&(spelling.clone(), is_whole));
            has(true) || (!is_whole && has(false))
        };
        if !news.facts.iter().filter_map(|(_, fact)| spelling(fact)).all(is_old) {
            return Ok(false);
        }
        let is_same = |(name, old_ms, new_ms, _): &(&Alias, Option<i64>, i64, &str)| {
            let person = |time_ms| self.identity.person(&[(*name).clone()], time_ms);
            // A receipt that comes late may move it back.
            old_ms.is_none_or(|old_ms| old_ms <= *new_ms && person(old_ms) == person(*new_ms))
        };
        if !news.user_names.iter().all(is_same) {
            return Ok(false);
        }
        let new: BTreeSet<Alias> =
            news.names().into_iter().filter(|name| !self.identity.knows(name)).collect();
        if !news.links.iter().all(|(a, b, _)| new.contains(a) && new.contains(b)) {
            return Ok(false);
        }
        for name in new {
            if !self.is_nobodys(source, account, name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True if a name that the group did not know says nothing of anybody there.
    fn is_nobodys<S: Source>(&self, source: &S, account: &str, name: Alias) -> Result<bool, S::Error> {
        if name.kind == AliasKind::Input {
            return Ok(true);
        }
        let person = self.identity.person(std::slice::from_ref(&name), i64::MAX);
        let is_called = person.is_some_and(|person| self.user_names.contains_key(&person));
        let is_spelled = self.end.spellings.iter().any(|(spelling, _)| name.may_be_meant_by(spelling));
        if is_called || is_spelled {
            return Ok(false);
        }
        has_no_renames(source, account, name)
    }

    /// True if it is no matter for the persons of the group whether this name is asked about, beside those it knows.
    pub(crate) fn is_beside<S: Source>(
        &self,
        source: &S,
        account: &str,
        name: Alias,
    ) -> Result<bool, S::Error> {
        if name.kind == AliasKind::Input {
            return Ok(false);
        }
        Ok(self.identity.knows(&name) || has_no_renames(source, account, name)?)
    }

    /// About how many names and lines it holds: what it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        let beside = self.user_names.len() + self.end.spellings.len();
        self.identity.names_known() + beside + self.lines.len()
    }

    /// The persons whom news concern, as far as they are known by now.
    pub(crate) fn concerned(&self, news: &News<'_>) -> BTreeSet<PersonKey> {
        let of_facts = news
            .facts
            .iter()
            .filter_map(|(at, fact)| self.person(fact, at.time_ms).or_else(|| self.asker(fact)));
        let called = news
            .user_names
            .iter()
            .filter_map(|(name, _, time_ms, _)| self.identity.person(std::slice::from_ref(*name), *time_ms));
        of_facts.chain(called).collect()
    }

    /// Takes news that it can follow. They are no lines: a roster that follows has those of the policy alone.
    pub(crate) fn follow(&mut self, news: &News<'_>) {
        self.identity.meet(news.names(), &news.links);
        for (at, fact) in &news.facts {
            let Some(participant) = &fact.participant else { continue };
            self.identity.meet_again(&names(participant), at.time_ms);
        }
        for (at, fact) in &news.facts {
            drop(self.line((*at).clone(), (*fact).clone()));
            self.end.add(at, self.person(fact, at.time_ms));
        }
        for (name, _, time_ms, user_name) in &news.user_names {
            self.call((*name).clone(), *time_ms, (*user_name).to_owned());
        }
    }
}
