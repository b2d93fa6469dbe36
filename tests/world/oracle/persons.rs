//! Who is who, told from the beginning: which person holds which name, second by second.

use std::collections::{BTreeMap, BTreeSet};

use super::said::{Change, Name, Said, Who};

/// Where in a second something happens to a name: it is taken, then used, then given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Taken,
    Used,
    GivenUp,
}

/// A time that somebody holds a name.
#[derive(Debug)]
struct Hold {
    from: (i64, Part),
    person: usize,
    /// The user id that a number was last reported with.
    user_id: Option<Name>,
    mentioned: Option<i64>,
}

/// The persons of a group.
#[derive(Debug, Default)]
pub(crate) struct Persons {
    /// The holds of each name, by time; the first is for ever back.
    holds: BTreeMap<Name, Vec<Hold>>,
    /// Names that spellings may mean.
    known: BTreeSet<Name>,
    /// Persons so far, those included that turned out to be another.
    count: usize,
    /// Changes that changed something, with the person.
    pub(crate) changes: Vec<(Change, usize)>,
}

impl Persons {
    /// `reports` are all reports of people of the group.
    pub(crate) fn new(reports: &[(i64, Who)], mut changes: Vec<Change>) -> Self {
        let mut persons = Self::default();
        let together = first_seen_together(reports);
        changes.sort_by(|a, b| (a.time, &a.event).cmp(&(b.time, &b.event)));
        let seconds: BTreeSet<i64> =
            changes.iter().map(|c| c.time).chain(together.values().copied()).collect();
        for second in seconds {
            let now: Vec<&Change> = changes.iter().filter(|c| c.time == second).collect();
            let given_up: Vec<Name> = now.iter().flat_map(|change| persons.change(change)).collect();
            let pairs: Vec<&(Name, Name)> =
                together.iter().filter(|(_, time)| **time == second).map(|(pair, _)| pair).collect();
            pairs.iter().for_each(|(a, b)| persons.pass_on(a, b, second));
            pairs.iter().for_each(|(a, b)| persons.are_one(a, b, second));
            given_up.iter().for_each(|name| persons.give_up(name, second));
        }
        persons
    }

    /// Says which names a spelling may mean, and so who the history speaks of.
    pub(crate) fn know(&mut self, known: BTreeSet<Name>, facts: &[Said]) {
        self.known = known;
        for fact in facts {
            let name = fact.who.as_ref().and_then(Who::best).map(|name| self.meant(&name));
            name.into_iter().for_each(|name| self.mention(&name, fact.time));
        }
    }

    /// The person that a report means.
    pub(crate) fn person(&self, who: &Who, time: i64) -> Option<usize> {
        let name = who.best()?;
        let name = self.meant(&name);
        Some(self.hold_at(&name, time).map_or_else(|| stranger(&name), |hold| hold.person))
    }

    /// The names to call a person by: of each kind one that is held still before one that is not, and the one
    /// mentioned last.
    pub(crate) fn names(&self, person: usize, who: &Who) -> BTreeMap<char, String> {
        let mut best: BTreeMap<char, (bool, i64, &Name)> = BTreeMap::new();
        for (name, holds) in &self.holds {
            for (i, hold) in holds.iter().enumerate().filter(|(_, hold)| hold.person == person) {
                let Some(mentioned) = hold.mentioned else { continue };
                let rank = (i + 1 == holds.len(), mentioned, name);
                let best = best.entry(name.0).or_insert(rank);
                *best = rank.max(*best);
            }
        }
        if best.is_empty() {
            return who.best().into_iter().collect();
        }
        best.into_values().map(|(_, _, name)| name.clone()).collect()
    }

    /// Applies a change; returns the names that are free after its second.
    fn change(&mut self, change: &Change) -> Vec<Name> {
        let Change { previous, current, time, .. } = change;
        // A name without a counterpart of its kind changes no hands: it only says more of the person.
        let against = |name: &Name, others: &[Name]| {
            !others.contains(name) && others.iter().any(|other| other.0 == name.0)
        };
        let taken: Vec<&Name> = current.iter().filter(|name| against(name, previous)).collect();
        let freed: Vec<&Name> = previous.iter().filter(|name| against(name, current)).collect();
        let told_just_now = self
            .changes
            .iter()
            .any(|(other, _)| (other.time, &other.previous, &other.current) == (*time, previous, current));
        if told_just_now || self.holds_already(&freed, &taken) {
            return Vec::new();
        }
        let first = previous.first().expect("a change has a previous name");
        previous.iter().for_each(|name| self.are_one(first, name, *time));
        let person = self.last(first).person;
        for name in taken {
            if self.last(name).person != person {
                self.begin(name, (*time, Part::Taken), person);
            }
        }
        current.iter().for_each(|name| self.are_one(first, name, *time));
        let user_id = current.iter().find(|(kind, _)| *kind == 'u');
        if let (Some(number), Some(user_id)) = (current.iter().find(|(kind, _)| *kind == 'w'), user_id) {
            self.last(number).user_id = Some(user_id.clone());
        }
        let person = self.last(first).person;
        self.changes.push((change.clone(), person));
        freed.into_iter().cloned().collect()
    }

    /// True if whoever gave up the old names is who holds the new ones.
    fn holds_already(&mut self, freed: &[&Name], taken: &[&Name]) -> bool {
        let givers: Vec<Option<usize>> = freed
            .iter()
            .map(|name| {
                self.last(name);
                let holds = &self.holds[*name];
                holds.len().checked_sub(2).map(|before| holds[before].person)
            })
            .collect();
        !freed.is_empty()
            && !taken.is_empty()
            && givers.iter().all(|giver| taken.iter().all(|name| *giver == Some(self.last(name).person)))
    }

    /// A number reported with another user id than before is somebody else's from then on.
    fn pass_on(&mut self, a: &Name, b: &Name, time: i64) {
        let (number, user_id) = match (a.0, b.0) {
            ('w', 'u') => (a, b),
            ('u', 'w') => (b, a),
            _ => return,
        };
        let hold = self.last(number);
        if hold.user_id.as_ref().is_some_and(|known| known != user_id) {
            let person = self.last(user_id).person;
            self.begin(number, (time, Part::Taken), person);
        }
        self.last(number).user_id = Some(user_id.clone());
    }

    fn are_one(&mut self, a: &Name, b: &Name, time: i64) {
        let (a_person, b_person) = (self.last(a).person, self.last(b).person);
        for hold in self.holds.values_mut().flatten().filter(|hold| hold.person == b_person) {
            hold.person = a_person;
        }
        for (_, person) in self.changes.iter_mut().filter(|(_, person)| *person == b_person) {
            *person = a_person;
        }
        for name in [a, b] {
            let hold = self.last(name);
            hold.mentioned = hold.mentioned.max(Some(time));
        }
    }

    fn give_up(&mut self, name: &Name, time: i64) {
        if self.last(name).from != (time, Part::GivenUp) {
            self.count += 1;
            self.begin(name, (time, Part::GivenUp), self.count);
        }
    }

    fn begin(&mut self, name: &Name, from: (i64, Part), person: usize) {
        self.last(name);
        let hold = Hold { from, person, user_id: None, mentioned: None };
        self.holds.entry(name.clone()).or_default().push(hold);
    }

    /// The present hold of a name; a name not met before is a person not met before.
    fn last(&mut self, name: &Name) -> &mut Hold {
        let holds = self.holds.entry(name.clone()).or_default();
        if holds.is_empty() {
            self.count += 1;
            let from = (i64::MIN, Part::Taken);
            holds.push(Hold { from, person: self.count, user_id: None, mentioned: None });
        }
        let last = holds.len() - 1;
        &mut holds[last]
    }

    fn hold_at(&self, name: &Name, time: i64) -> Option<&Hold> {
        self.holds.get(name)?.iter().rev().find(|hold| hold.from <= (time, Part::Used))
    }

    fn mention(&mut self, name: &Name, time: i64) {
        self.last(name);
        let holds = self.holds.entry(name.clone()).or_default();
        let hold = holds.iter_mut().rev().find(|hold| hold.from <= (time, Part::Used));
        hold.into_iter().for_each(|hold| hold.mentioned = hold.mentioned.max(Some(time)));
    }

    /// The name that a spelling means among those known; a name that is no spelling means itself.
    fn meant(&self, name: &Name) -> Name {
        let (kind, text) = name;
        if *kind != 'i' {
            return name.clone();
        }
        let known = |kind: char| self.known.get(&(kind, text.clone())).cloned();
        let meant = if text.chars().all(|c| c.is_ascii_digit()) {
            let same = |other: &&Name| other.0 == 'w' && bare(&other.1) == bare(text);
            known('w').or_else(|| self.known.iter().find(same).cloned())
        } else {
            known('u').or(known('p')).or(known('n'))
        };
        meant.unwrap_or_else(|| name.clone())
    }
}

/// Somebody who is named by receipts or messages alone; the same name is the same stranger.
fn stranger(name: &Name) -> usize {
    let hash = format!("{name:?}").bytes().fold(7_usize, |hash, b| hash.wrapping_mul(31) + usize::from(b));
    usize::MAX / 2 + hash % (usize::MAX / 4)
}

/// A number without the digit that some countries put before a mobile's.
fn bare(number: &str) -> String {
    let rest = |prefix: &str| number.strip_prefix(prefix).filter(|_| number.len() == 13);
    if let Some(rest) = rest("55")
        && &rest[2..3] == "9"
    {
        return format!("55{}{}", &rest[..2], &rest[3..]);
    }
    match (rest("521"), rest("549")) {
        (Some(rest), _) => format!("52{rest}"),
        (_, Some(rest)) => format!("54{rest}"),
        _ => number.to_owned(),
    }
}

/// All pairs of names that one report gave to one person, and when first.
fn first_seen_together(reports: &[(i64, Who)]) -> BTreeMap<(Name, Name), i64> {
    let mut together: BTreeMap<(Name, Name), i64> = BTreeMap::new();
    for (time, who) in reports {
        let mut names = who.firm();
        names.sort();
        for (i, a) in names.iter().enumerate() {
            for b in &names[i + 1..] {
                let first = together.entry((a.clone(), b.clone())).or_insert(*time);
                *first = (*time).min(*first);
            }
        }
    }
    together
}
