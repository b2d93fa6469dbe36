//! The facts of a group in their order, each with what it meant then: a snapshot's list is news or not, and whoever
//! a whole list leaves out has gone.

use super::group::status;
use super::persons::Persons;
use super::said::{Said, TAKEN};

/// A fact and what it meant.
pub(crate) struct Lived {
    pub(crate) said: Said,
    pub(crate) person: Option<usize>,
    /// After and by when it happened, where it was found out and not reported.
    pub(crate) between: Option<(Option<i64>, i64)>,
    /// It was known already.
    pub(crate) silent: bool,
    /// It says nothing of how the person stands.
    idle: bool,
}

/// What the platform says: no time of the provider's.
const OURS: std::ops::RangeInclusive<u32> = 40..=47;

pub(crate) fn of(facts: &[Said], persons: &Persons) -> Vec<Lived> {
    let mut lived: Vec<Lived> = Vec::new();
    for said in facts {
        let said = said.clone();
        let person = said.who.as_ref().and_then(|who| persons.person(who, said.time));
        match (said.rank, person) {
            (TAKEN, _) => {
                let told = |one, rank| told_meanwhile(facts, persons, &said, one, rank);
                let gone = left_out(&lived, &said, told);
                let silent = Lived { said, person: None, between: None, silent: true, idle: false };
                lived.extend(gone);
                lived.push(silent);
            }
            (21, None) if said.read => {
                let last = lived
                    .iter()
                    .rev()
                    .find(|l| !l.silent && !OURS.contains(&l.said.rank))
                    .map(|l| l.said.time);
                let between = Some((last.max(whole(&lived, |whole| whole.0)), said.time));
                lived.push(Lived { said, person: None, between, silent: false, idle: false });
            }
            (8 | 11, Some(one)) if said.read && is_told_meanwhile(facts, persons, &said, one) => {
                lived.push(Lived { said, person, between: None, silent: true, idle: true });
            }
            (8 | 11, Some(one)) if said.read => {
                let before = of_person(&lived, one);
                let now = if said.rank == 8 { "Pending" } else { "Member" };
                let silent = status(&before) == Some(now);
                let listed = if said.rank == 8 { whole(&lived, |w| w.1) } else { whole(&lived, |w| w.0) };
                let between = Some((listed.max(last_told(&before)), said.time)).filter(|_| !silent);
                lived.push(Lived { said, person, between, silent, idle: false });
            }
            _ => {
                let silent = said.read;
                let idle = said.rank == 10 && person.is_some_and(|one| is_of_another(&lived, one, &said));
                lived.push(Lived { said, person, between: None, silent, idle });
            }
        }
    }
    lived
}

/// What was said of a person's membership so far.
pub(crate) fn of_person(lived: &[Lived], person: usize) -> Vec<&Lived> {
    let of = |l: &&Lived| l.person == Some(person) && (8..=16).contains(&l.said.rank) && !l.idle;
    lived.iter().filter(of).collect()
}

/// A rejection of somebody who is in, or of a request before the one that stands.
fn is_of_another(lived: &[Lived], person: usize, rejected: &Said) -> bool {
    let before = of_person(lived, person);
    match status(&before) {
        Some("Member") => true,
        Some("Pending") => super::group::request(&before)
            .is_some_and(|stands| rejected.join_request.as_ref().is_some_and(|closed| *closed != stands)),
        _ => false,
    }
}

/// When something was last told of somebody; a role alone tells nothing.
fn last_told(facts: &[&Lived]) -> Option<i64> {
    status(facts).and_then(|_| facts.last()).map(|last| last.said.time)
}

/// True if what a snapshot lists was reported while it was read.
fn is_told_meanwhile(facts: &[Said], persons: &Persons, listed: &Said, one: usize) -> bool {
    let mut taken = facts.iter().filter(|fact| fact.rank == TAKEN && fact.event == listed.event);
    taken.any(|taken| told_meanwhile(facts, persons, taken, one, listed.rank))
}

/// True if a report tells of somebody, while a snapshot was read, what the snapshot shows.
fn told_meanwhile(facts: &[Said], persons: &Persons, taken: &Said, one: usize, shown: u32) -> bool {
    let same: &[u32] = match shown {
        9 => &[9, 10, 11],
        14 => &[14, 15, 16],
        8 => &[8],
        _ => &[11],
    };
    facts.iter().any(|fact| {
        let meanwhile = !fact.read && taken.time < fact.time && fact.time <= taken.until;
        let of = || fact.who.as_ref().and_then(|who| persons.person(who, fact.time));
        meanwhile && same.contains(&fact.rank) && of() == Some(one)
    })
}

/// When a snapshot last listed all of a kind.
fn whole(lived: &[Lived], of: impl Fn((bool, bool)) -> bool) -> Option<i64> {
    lived.iter().filter(|l| l.said.rank == TAKEN && of(l.said.whole)).map(|l| l.said.time).max()
}

fn left_out(lived: &[Lived], taken: &Said, told: impl Fn(usize, u32) -> bool) -> Vec<Lived> {
    let mut people: Vec<usize> = lived.iter().filter_map(|l| l.person).collect();
    people.sort_unstable();
    people.dedup();
    let mut gone = Vec::new();
    for person in people {
        let facts = of_person(lived, person);
        let named = lived.iter().any(|l| l.person == Some(person) && l.said.event == taken.event);
        let rank = match (status(&facts), taken.whole) {
            (Some("Member"), (true, _)) => 14,
            (Some("Pending"), (true, true)) => 9,
            _ => continue,
        };
        if !named && !told(person, rank) {
            let said = Said { rank, whole: (false, false), ..taken.clone() };
            let between = Some((last_told(&facts), taken.time));
            gone.push(Lived { said, person: Some(person), between, silent: false, idle: false });
        }
    }
    gone
}
