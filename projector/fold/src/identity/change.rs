//! Changes of numbers and user ids, as the provider tells them.

use groupfold_schemas::v1;

use super::{Alias, AliasKind, Identity, Node, PersonKey, Phase, is_of_number, names_of_links};

/// An identity change that was news.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The change.
    pub(crate) rename: v1::Rename,
    told: Told,
    /// A node of the person.
    node: Node,
}

/// What a change says of names.
#[derive(Debug, Clone)]
struct Told {
    previous: Vec<Alias>,
    current: Vec<Alias>,
    of_number: bool,
}

impl Told {
    fn of(rename: &v1::Rename) -> Self {
        let names = |who: &Option<v1::Participant>| who.as_ref().map(names_of_links).unwrap_or_default();
        let (previous, current) = (names(&rename.previous), names(&rename.current));
        Self { previous, current, of_number: is_of_number(rename) }
    }

    fn stands_against(name: &Alias, others: &[Alias]) -> bool {
        !others.contains(name) && others.iter().any(|other| other.kind == name.kind)
    }

    /// True for a number that was another before, or is another since. One that is told beside a new user id alone is
    /// theirs before and after.
    fn changes_hands(&self, name: &Alias, others: &[Alias]) -> bool {
        is_number(name) && !others.contains(name) && (self.of_number || Self::stands_against(name, others))
    }

    /// Names that are theirs since.
    fn since(&self) -> impl Iterator<Item = &Alias> {
        let is_new = |name: &&Alias| {
            self.changes_hands(name, &self.previous) || (!is_number(name) && !self.previous.contains(name))
        };
        self.current.iter().filter(is_new)
    }

    /// Ids that others of their kind stand for.
    fn replaced(&self) -> impl Iterator<Item = &Alias> {
        self.previous.iter().filter(|name| !is_number(name) && Self::stands_against(name, &self.current))
    }
}

fn time_of(rename: &v1::Rename) -> Option<i64> {
    rename.stamp.as_ref().map(|stamp| stamp.time_ms)
}

fn is_number(name: &Alias) -> bool {
    name.kind == AliasKind::WaId
}

impl Identity {
    /// The identity changes that were news, by time.
    pub(crate) fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// The person that an applied change concerns.
    pub(crate) fn person_of_change(&self, applied: &Applied) -> PersonKey {
        PersonKey(self.find(&applied.node))
    }

    /// Gives the current names to the person of the previous ones; returns the names to give up.
    pub(super) fn take(&mut self, rename: &v1::Rename, time_ms: i64) -> Vec<Node> {
        let told = Told::of(rename);
        if self.was_told(rename, &told) {
            return Vec::new();
        }
        self.note_first_told(&told, time_ms);
        let ids = told.previous.iter().chain(&told.current).filter(|name| !is_number(name));
        let mut nodes: Vec<Node> = ids.map(|id| self.current(id)).collect();
        self.unite(&nodes, time_ms);
        let now: Vec<Node> = told.current.iter().map(|name| self.current(name)).collect();
        let mut given_up = self.held_before(&told, &now, &mut nodes, time_ms);
        let Some(person) = nodes.first().or(now.first()).cloned() else { return Vec::new() };
        self.unite(&nodes, time_ms);
        let is_told = |name| self.is_told(&person, name, told.of_number);
        let again = given_up.is_empty() && told.since().all(is_told);
        let others = self.other_numbers(&told, &person);
        for number in told.current.iter().filter(|name| is_number(name)) {
            let is_new = told.changes_hands(number, &told.previous);
            if (is_new && again) || (!is_new && self.gave_up(number, &person)) {
                continue;
            }
            let is_theirs = self.find(&self.current(number)) == self.find(&person);
            // Who has a number already has another one now, whoever had that before.
            if !is_theirs && (is_new || !others.is_empty() || self.is_anothers(number, &person)) {
                self.cut(number, (time_ms, Phase::Take));
            }
            let node = self.current(number);
            if let Some(user_id) = told.current.iter().find(|name| name.kind == AliasKind::UserId) {
                self.user_ids.insert(node.clone(), user_id.clone());
            }
            self.unite(&[person.clone(), node], time_ms);
        }
        if again {
            return Vec::new();
        }
        told.since().for_each(|name| {
            self.former.remove(name);
        });
        if told.of_number && !told.previous.iter().any(is_number) {
            // Whoever has a new number has no other one, even where the old one is not told.
            given_up.extend(others);
        }
        given_up.extend(told.replaced().map(|id| self.current(id)));
        self.applied.push(Applied { rename: rename.clone(), told, node: person });
        given_up
    }

    /// Adds the numbers that a change tells as had before to the person's nodes; returns those that it gives up.
    fn held_before(&mut self, told: &Told, now: &[Node], nodes: &mut Vec<Node>, time_ms: i64) -> Vec<Node> {
        let has_ids = told.previous.iter().any(|name| !is_number(name));
        let mut given_up = Vec::new();
        for number in told.previous.iter().filter(|name| is_number(name)) {
            if now.iter().any(|node| self.gave_up(number, node)) {
                continue;
            }
            let gives = told.changes_hands(number, &told.current);
            let is_taken = gives && self.is_taken_now(number, nodes.first(), time_ms);
            let (alias, epoch) = self.current(number);
            let mut node = (alias, if is_taken { epoch - 1 } else { epoch });
            // Who is named by an id as well had a number of which nobody told that it was not another's any more.
            if has_ids && self.was_anothers(&node, &nodes[0]) {
                if is_taken {
                    continue;
                }
                self.cut(number, (time_ms, Phase::Take));
                node = self.current(number);
            }
            if gives {
                given_up.push(node.clone());
            }
            nodes.push(node);
        }
        given_up
    }

    /// True if another change of this second gave a number to somebody else: who gives it up had it before that one,
    /// whichever of the two is read first.
    fn is_taken_now(&self, number: &Alias, person: Option<&Node>, time_ms: i64) -> bool {
        let (node, at) = (self.current(number), (time_ms, Phase::Take));
        let taker = self.find(&node);
        let took = |change: &Applied| {
            time_of(&change.rename) == Some(time_ms)
                && change.told.since().any(|name| name == number)
                && self.find(&change.node) == taker
        };
        self.epochs.get(number).and_then(|cuts| cuts.last()) == Some(&at)
            && person.is_none_or(|person| self.find(person) != taker)
            && self.applied.iter().any(took)
    }

    /// True if the same change was applied in this second: each number of a business hears of it.
    fn was_told(&self, rename: &v1::Rename, told: &Told) -> bool {
        self.applied.iter().any(|other| {
            time_of(&other.rename) == time_of(rename)
                && other.told.previous == told.previous
                && other.told.current == told.current
        })
    }

    /// True if the last change of this person's names of the kind told this one: the same change, reported again.
    /// One of user ids does not tell of the number.
    fn is_told(&self, person: &Node, name: &Alias, of_number: bool) -> bool {
        let person = self.find(person);
        let theirs =
            |change: &&Applied| (change.told.of_number || !of_number) && self.find(&change.node) == person;
        let of_kind = |change: &Applied| change.told.since().find(|new| new.kind == name.kind).cloned();
        self.applied.iter().rev().filter(theirs).find_map(of_kind).as_ref() == Some(name)
    }

    /// Numbers that somebody has and that a change does not tell as theirs.
    fn other_numbers(&self, told: &Told, person: &Node) -> Vec<Node> {
        let person = self.find(person);
        let is_other = |node: &&Node| {
            is_number(&node.0)
                && !told.current.contains(&node.0)
                && self.is_held(node)
                && self.find(node) == person
        };
        self.seen.keys().filter(is_other).cloned().collect()
    }

    /// Remembers when an id was first told that is another's, or nobody's, as far as was known.
    fn note_first_told(&mut self, told: &Told, time_ms: i64) {
        let Some(person) = told.previous.first().map(|name| self.find(&self.current(name))) else { return };
        for id in told.current.iter().filter(|name| !is_number(name)) {
            if Told::stands_against(id, &told.previous) && self.find(&self.current(id)) != person {
                self.told.entry(id.clone()).or_insert(time_ms);
            }
        }
    }

    fn unite(&mut self, nodes: &[Node], time_ms: i64) {
        for node in nodes {
            self.see(node, time_ms);
            self.union(&nodes[0], node);
        }
    }
}
