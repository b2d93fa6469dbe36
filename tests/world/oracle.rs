//! A slow and obvious fold, to hold the real one against. It shares no code with it: it looks at all records
//! at once, sorts them by time and tells the story from the beginning, for each question anew.
//!
//! Its answers are lines of text, one per thing that is true, so that a difference reads by itself.

mod group;
mod lived;
mod persons;
mod policy;
mod receipts;
mod said;

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::v1::Record;

use lived::Lived;
use persons::Persons;
use said::Said;

pub(crate) use said::Who;

/// All that is to be known of a set of records.
pub(crate) struct Oracle {
    /// Each event once, by time and id.
    records: Vec<Record>,
}

/// One group's story: what was said of it, and who is who in it.
struct Story<'a> {
    records: Vec<&'a Record>,
    facts: Vec<Said>,
    persons: Persons,
    /// The facts with what they meant when they were told.
    lived: Vec<Lived>,
}

impl Oracle {
    /// Duplicates and order are of no matter.
    pub(crate) fn new<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let each: BTreeMap<(i64, &str), &Record> =
            records.into_iter().map(|r| ((r.provider_time_ms, r.event_id.as_str()), r)).collect();
        Self { records: each.into_values().cloned().collect() }
    }

    /// Group ids that records name.
    pub(crate) fn groups(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.records.iter().map(|r| r.group_id.clone()).collect();
        ids.retain(|id| !id.is_empty());
        ids.sort();
        ids.dedup();
        ids
    }

    /// Message ids that receipts and views name.
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.records.iter().filter_map(|r| said::receipt(r).map(|receipt| receipt.message)).collect();
        ids.extend(self.records.iter().filter_map(|r| policy::view(r).map(|(message, _)| message)));
        ids.sort();
        ids.dedup();
        ids
    }

    /// A group and its members, as lines.
    pub(crate) fn group(&self, group: &str) -> Vec<String> {
        let story = self.story(group);
        let mut lines = group::head(&story);
        lines.extend(group::members(&story));
        lines.extend(policy::lines(&story.records));
        lines.sort();
        lines
    }

    /// A group's history, as lines.
    pub(crate) fn timeline(&self, group: &str) -> Vec<String> {
        group::timeline(&self.story(group))
    }

    /// A message's receipts, as lines.
    pub(crate) fn receipts(&self, message: &str) -> Vec<String> {
        let reported =
            self.records.iter().find(|r| said::receipt(r).is_some_and(|receipt| receipt.message == message));
        let viewed = self.records.iter().find(|r| policy::view(r).is_some_and(|(of, _)| of == message));
        let group = reported.or(viewed).map(|r| r.group_id.clone()).unwrap_or_default();
        receipts::of(&self.story(&group), message, &policy::views(&self.records, message, &group))
    }

    fn story(&self, group: &str) -> Story<'_> {
        let records: Vec<&Record> = self.records.iter().filter(|r| r.group_id == group).collect();
        let mut facts: Vec<Said> = records.iter().flat_map(|r| said::facts(r)).collect();
        facts.sort_by(|a, b| (a.time, a.rank, &a.event).cmp(&(b.time, b.rank, &b.event)));
        let reports: Vec<(i64, Who)> = records.iter().flat_map(|r| said::people(r)).collect();
        // A spelling means a name that the history uses, that was reported with another, or that came of those.
        let told: Vec<(i64, Who)> =
            facts.iter().filter_map(|fact| Some((fact.time, fact.who.clone()?))).collect();
        let several = reports.iter().filter(|(_, who)| who.firm().len() > 1).cloned();
        let spoken_of: Vec<(i64, Who)> = told.into_iter().chain(several).collect();
        let names = |changes: Vec<said::Change>| {
            changes.into_iter().flat_map(|c| [c.previous, c.current].concat()).collect::<Vec<_>>()
        };
        let firm = spoken_of.iter().flat_map(|(_, who)| who.firm());
        let best = facts.iter().filter_map(|fact| fact.who.as_ref()?.best());
        let mut known: BTreeSet<said::Name> =
            firm.chain(best).chain(names(self.changes_of(&spoken_of))).collect();
        // Else what it was reported beside, else the name that it spells.
        let learned = persons::learned(&reports);
        let mut of_group = reports.clone();
        let spelled: BTreeSet<said::Name> =
            facts.iter().filter_map(|fact| fact.who.as_ref()?.spelled()).collect();
        for name in spelled {
            let is_same = |other: &said::Name| match name.0 {
                'w' => persons::is_same_number(other, &name.1),
                _ => "upn".contains(other.0) && other.1 == name.1,
            };
            if !known.iter().any(is_same) && !learned.keys().any(|(spelling, _)| *spelling == name.1) {
                let named = (0, Who(vec![name.clone()]));
                known.extend(names(self.changes_of(std::slice::from_ref(&named))));
                known.insert(name);
                of_group.push(named);
            }
        }
        let mut persons = Persons::new(&reports, self.changes_of(&of_group));
        persons.know(known, learned, &facts);
        let lived = lived::of(&facts, &persons);
        Story { records, facts, persons, lived }
    }

    /// Changes of number and user id are told to the account. A group's own are those of the names that its
    /// reports use, of the names that those became, and so on.
    fn changes_of(&self, reports: &[(i64, Who)]) -> Vec<said::Change> {
        let mut known: BTreeSet<said::Name> = reports.iter().flat_map(|(_, who)| who.firm()).collect();
        loop {
            let changes: Vec<said::Change> = self
                .records
                .iter()
                .filter_map(said::change)
                .filter(|change| {
                    change.previous.iter().chain(&change.current).any(|name| known.contains(name))
                })
                .collect();
            let before = known.len();
            known.extend(changes.iter().flat_map(|c| c.previous.iter().chain(&c.current)).cloned());
            if known.len() == before {
                return changes;
            }
        }
    }
}
