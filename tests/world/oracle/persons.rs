//! Who is who, told from the beginning: which person holds which name, second by second. Numbers go from hand to hand;
//! any other name is one person's for ever.

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

/// By spelling and name: when first.
pub(super) type Learned = BTreeMap<(String, Name), i64>;

/// The persons of a group.
#[derive(Debug, Default)]
pub(crate) struct Persons {
    /// The holds of each name, by time; the first is for ever back.
    holds: BTreeMap<Name, Vec<Hold>>,
    /// Names that spellings may mean.
    known: BTreeSet<Name>,
    /// What names spellings were reported beside, and when first.
    learned: Learned,
    /// Persons so far, those included that turned out to be another.
    count: usize,
    /// Ids that gave way to others of their kind.
    former: BTreeSet<Name>,
    /// Changes that changed something, with the person.
    pub(crate) changes: Vec<(Change, usize)>,
}

impl Persons {
    /// `reports` are all reports of people of the group.
    pub(crate) fn new(reports: &[(i64, Who)], mut changes: Vec<Change>) -> Self {
        let mut persons = Self::default();
        let together = first_seen_together(reports);
        changes.sort_by(|a, b| (a.time, !a.of_number, &a.event).cmp(&(b.time, !b.of_number, &b.event)));
        let seconds: BTreeSet<i64> =
            changes.iter().map(|c| c.time).chain(together.values().copied()).collect();
        for second in seconds {
            let now: Vec<&Change> = changes.iter().filter(|c| c.time == second).collect();
            let given_up: Vec<(Name, usize)> = now.iter().flat_map(|change| persons.change(change)).collect();
            let pairs: Vec<&(Name, Name)> =
                together.iter().filter(|(_, time)| **time == second).map(|(pair, _)| pair).collect();
            pairs.iter().for_each(|(a, b)| persons.pass_on(a, b, second));
            pairs.iter().for_each(|(a, b)| persons.are_reported_as_one(a, b, second));
            given_up.iter().for_each(|(name, hold)| persons.give_up(name, *hold, second));
        }
        persons
    }

    /// Says which names a spelling may mean, and so who the history speaks of.
    pub(crate) fn know(&mut self, known: BTreeSet<Name>, learned: Learned, facts: &[Said]) {
        (self.known, self.learned) = (known, learned);
        for fact in facts {
            let name = fact.who.as_ref().and_then(Who::best).map(|name| self.meant(&name, fact.time));
            name.into_iter().for_each(|name| self.mention(&name, fact.time));
        }
    }

    /// The person that a report means.
    pub(crate) fn person(&self, who: &Who, time: i64) -> Option<usize> {
        let name = who.best()?;
        let name = self.meant(&name, time);
        Some(self.hold_at(&name, time).map_or_else(|| stranger(&name), |hold| hold.person))
    }

    /// Whose a receipt is that was told under a name which receipts of the message used first at another time. A number
    /// that was given up is whoever's had it, until it is taken or somebody came by it.
    pub(crate) fn receiver(
        &self,
        who: &Who,
        (first, time): (i64, i64),
        came: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let holds = self.holds.get(&who.best()?).map(Vec::as_slice).unwrap_or_default();
        let since =
            holds.iter().filter(|hold| hold.from > (first, Part::Used) && hold.from <= (time, Part::Used));
        let mut last = since.rev().filter(|hold| hold.from.1 != Part::GivenUp || came(hold.person));
        last.next().map(|hold| hold.person).or_else(|| self.person(who, first))
    }

    /// The names to call a person by: of each kind one that is held still before one that is not, and the one
    /// mentioned last. A number that was lost is told only where there is nothing else to tell.
    pub(crate) fn names(&self, person: usize, who: &Who) -> BTreeMap<char, String> {
        let mut best: BTreeMap<char, (bool, i64, &Name)> = BTreeMap::new();
        for (name, holds) in &self.holds {
            for (i, hold) in holds.iter().enumerate().filter(|(_, hold)| hold.person == person) {
                let Some(mentioned) = hold.mentioned else { continue };
                let rank = (i + 1 == holds.len() && !self.former.contains(name), mentioned, name);
                let best = best.entry(name.0).or_insert(rank);
                *best = rank.max(*best);
            }
        }
        if best.is_empty() {
            return who.best().into_iter().collect();
        }
        if best.len() > 1 && best.get(&'w').is_some_and(|(held, ..)| !held) {
            best.remove(&'w');
        }
        best.into_values().map(|(_, _, name)| name.clone()).collect()
    }

    /// Applies a change; returns the names that are given up at the end of its second, each with the hold that ends.
    fn change(&mut self, change: &Change) -> Vec<(Name, usize)> {
        let Change { previous, current, time, .. } = change;
        let told_just_now = |(other, _): &(Change, usize)| {
            (other.time, &other.previous, &other.current) == (*time, previous, current)
        };
        if self.changes.iter().any(told_just_now) {
            return Vec::new();
        }
        let ids: Vec<Name> = previous.iter().chain(current).filter(|name| name.0 != 'w').cloned().collect();
        ids.iter().for_each(|id| self.are_one(&ids[0], id, *time));
        // Whom it is about: who has these ids, else who has the old number, else who has the new one.
        let mut subject = ids.first().map(|id| self.last(id).person);
        let mut gives = Vec::new();
        for number in numbers(previous) {
            if current.iter().any(|name| self.let_go_by(number, name)) {
                continue;
            }
            let last = self.holds_of(number) - 1;
            // Of two changes of one second, to a number and away from it, the latter is of who had it before.
            let taken = change.moves(number) && self.is_taken(number, subject, *time);
            let mut hold = if taken { last - 1 } else { last };
            let named = previous.iter().any(|name| name.0 != 'w');
            if named && subject.is_some_and(|person| self.was_of_another(number, hold, person)) {
                if taken {
                    continue;
                }
                self.count += 1;
                self.begin(number, (*time, Part::Taken), self.count);
                hold += 1;
            }
            let holder = &mut self.holds.get_mut(number).expect("it has holds")[hold];
            holder.mentioned = holder.mentioned.max(Some(*time));
            let other = holder.person;
            self.merge(*subject.get_or_insert(other), other);
            if change.moves(number) {
                gives.push((number.clone(), hold));
            }
        }
        let Some(person) = subject.or_else(|| Some(self.last(current.first()?).person)) else {
            return Vec::new();
        };
        let heard = gives.is_empty()
            && change
                .since()
                .iter()
                .all(|name| self.last_heard(person, name.0, change.of_number) == Some(*name));
        let holds = |(name, holds): (&Name, &Vec<Hold>)| {
            let last = holds.last().filter(|hold| hold.mentioned.is_some())?;
            let theirs = name.0 == 'w' && last.person == person && !current.contains(name);
            theirs.then(|| (name.clone(), holds.len() - 1))
        };
        let others: Vec<(Name, usize)> = self.holds.iter().filter_map(holds).collect();
        if !heard && change.of_number && numbers(previous).next().is_none() {
            gives.extend(others.iter().cloned());
        }
        for number in numbers(current) {
            let new = change.moves(number);
            if (new && heard) || (!new && self.let_go(number, person)) {
                continue;
            }
            let theirs = self.last(number).person == person;
            if !theirs && (new || !others.is_empty() || self.is_of_another(number, person)) {
                self.count += 1;
                self.begin(number, (*time, Part::Taken), self.count);
            }
            if let Some(user_id) = current.iter().find(|name| name.0 == 'u') {
                self.last(number).user_id = Some(user_id.clone());
            }
            let hold = self.last(number);
            hold.mentioned = hold.mentioned.max(Some(*time));
            let other = hold.person;
            self.merge(person, other);
        }
        if heard {
            return Vec::new();
        }
        change.since().into_iter().for_each(|name| {
            self.former.remove(name);
        });
        let replaced = |name: &&Name| {
            name.0 != 'w' && !current.contains(name) && current.iter().any(|other| other.0 == name.0)
        };
        gives.extend(previous.iter().filter(replaced).map(|name| (name.clone(), 0)));
        self.changes.push((change.clone(), person));
        gives
    }

    /// The name of a kind that the last change told of somebody.
    fn last_heard(&self, person: usize, kind: char, of_number: bool) -> Option<&Name> {
        let theirs = self.changes.iter().rev().filter(|(_, whose)| *whose == person);
        let such = theirs.filter(|(change, _)| change.of_number || !of_number);
        such.flat_map(|(change, _)| change.since()).find(|name| name.0 == kind)
    }

    /// True if the last that is known of a number is that somebody gave it up.
    fn let_go(&self, number: &Name, person: usize) -> bool {
        match self.holds.get(number).map(Vec::as_slice) {
            Some([.., before, free]) => free.from.1 == Part::GivenUp && before.person == person,
            _ => false,
        }
    }

    fn let_go_by(&mut self, number: &Name, name: &Name) -> bool {
        let person = self.last(name).person;
        self.let_go(number, person)
    }

    /// True if a number was last reported with a user id of somebody else.
    fn is_of_another(&mut self, number: &Name, person: usize) -> bool {
        let last = self.holds_of(number) - 1;
        self.was_of_another(number, last, person)
    }

    fn was_of_another(&mut self, number: &Name, hold: usize, person: usize) -> bool {
        let user_id = self.holds[number][hold].user_id.clone();
        user_id.is_some_and(|user_id| self.last(&user_id).person != person)
    }

    /// True if a change of this second gave a number to somebody else.
    fn is_taken(&mut self, number: &Name, person: Option<usize>, time: i64) -> bool {
        let (from, taker) = (self.last(number).from, self.last(number).person);
        let gave = |(change, whose): &(Change, usize)| {
            change.time == time && *whose == taker && change.since().contains(&number)
        };
        from == (time, Part::Taken) && person != Some(taker) && self.changes.iter().any(gave)
    }

    fn holds_of(&mut self, name: &Name) -> usize {
        self.last(name);
        self.holds[name].len()
    }

    /// A number reported with another person's user id than before is that person's from then on.
    fn pass_on(&mut self, a: &Name, b: &Name, time: i64) {
        let (number, user_id) = match (a.0, b.0) {
            ('w', 'u') => (a, b),
            ('u', 'w') => (b, a),
            _ => return,
        };
        if self.let_go_by(number, user_id) {
            return;
        }
        let person = self.last(user_id).person;
        if self.is_of_another(number, person) {
            self.begin(number, (time, Part::Taken), person);
        }
        self.last(number).user_id = Some(user_id.clone());
    }

    /// Two names reported together. A number that its holder gave up says nothing new of them.
    fn are_reported_as_one(&mut self, a: &Name, b: &Name, time: i64) {
        let late = [(a, b), (b, a)].into_iter().find(|(number, name)| self.let_go_by(number, name));
        let Some((number, name)) = late else { return self.are_one(a, b, time) };
        let hold = self.holds.get_mut(number).and_then(|holds| holds.iter_mut().rev().nth(1));
        hold.into_iter().for_each(|hold| hold.mentioned = hold.mentioned.max(Some(time)));
        let hold = self.last(name);
        hold.mentioned = hold.mentioned.max(Some(time));
    }

    fn are_one(&mut self, a: &Name, b: &Name, time: i64) {
        let (a_person, b_person) = (self.last(a).person, self.last(b).person);
        self.merge(a_person, b_person);
        for name in [a, b] {
            let hold = self.last(name);
            hold.mentioned = hold.mentioned.max(Some(time));
        }
    }

    /// One person that was taken for two.
    fn merge(&mut self, person: usize, other: usize) {
        for hold in self.holds.values_mut().flatten().filter(|hold| hold.person == other) {
            hold.person = person;
        }
        for (_, whose) in self.changes.iter_mut().filter(|(_, whose)| *whose == other) {
            *whose = person;
        }
    }

    /// Whoever has the number by now keeps it.
    fn give_up(&mut self, name: &Name, hold: usize, time: i64) {
        if name.0 != 'w' {
            self.former.insert(name.clone());
        } else if self.last(name).person == self.holds[name][hold].person {
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

    /// The name that a spelling means among those known, else that it was reported beside; a name that is no spelling means itself.
    fn meant(&self, name: &Name, time: i64) -> Name {
        let (kind, text) = name;
        if *kind != 'i' {
            return name.clone();
        }
        let known = |kind: char| self.known.get(&(kind, text.clone())).cloned();
        let meant = if text.chars().all(|c| c.is_ascii_digit()) {
            let same = |other: &&Name| is_same_number(other, text);
            known('w').or_else(|| self.known.iter().find(same).cloned())
        } else {
            known('u').or(known('p')).or(known('n'))
        };
        let mut beside: Vec<(i64, &Name)> = self
            .learned
            .iter()
            .filter(|((spelling, _), _)| spelling == text)
            .map(|((_, name), time)| (*time, name))
            .collect();
        beside.sort();
        let learned = beside.iter().rev().find(|(told, _)| *told <= time).or(beside.first());
        meant.or_else(|| learned.map(|(_, name)| (*name).clone())).unwrap_or_else(|| name.clone())
    }
}

impl Change {
    /// True for a number that is another's before or after. Beside a new user id it is theirs all along.
    fn moves(&self, number: &Name) -> bool {
        let (old, new) = (self.previous.contains(number), self.current.contains(number));
        let both = numbers(&self.previous).next().is_some() && numbers(&self.current).next().is_some();
        old != new && (self.of_number || both)
    }

    fn since(&self) -> Vec<&Name> {
        let is_new =
            |name: &&Name| if name.0 == 'w' { self.moves(name) } else { !self.previous.contains(name) };
        self.current.iter().filter(is_new).collect()
    }
}

fn numbers(names: &[Name]) -> impl Iterator<Item = &Name> {
    names.iter().filter(|name| name.0 == 'w')
}

/// True for a number that is spelled so, with or without what some countries put before a mobile's.
pub(super) fn is_same_number(number: &Name, digits: &str) -> bool {
    number.0 == 'w' && bare(&number.1) == bare(digits)
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

/// Spellings that a report gave beside a name.
pub(super) fn learned(reports: &[(i64, Who)]) -> Learned {
    let mut learned = Learned::new();
    for (time, who) in reports {
        if let (Some(name), Some(spelling)) = (who.firm().first(), who.spelling()) {
            let first = learned.entry((spelling, name.clone())).or_insert(*time);
            *first = (*time).min(*first);
        }
    }
    learned
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
