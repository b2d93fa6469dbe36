//! Who is who: persons, derived from the names that a group's reports used.
//!
//! A report calls a person by one name or several. Facts stay under the names they were reported with;
//! persons are computed from the links between names (two names in one report) and from identity changes
//! (a number or user id was given up for another), so the result is the same for any order of arrival.
//!
//! A name can change hands. Its life is therefore cut into *epochs*, and a person is a connected component
//! of (name, epoch) nodes. Within one second a name is taken first, used then, and given up last. An epoch
//! ends
//! * when an identity change gives the name up, and begins when one takes it;
//! * when a `wa_id` that was seen with one user id is first seen with another: the provider gives a number
//!   to somebody else without telling.

mod alias;

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::id::{hex, sha256};
use groupfold_schemas::v1;

pub use alias::{Alias, AliasKind, names, names_of_links};

use alias::canonical_number;

/// Where in a second something happens to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Take,
    Use,
    GiveUp,
}

type At = (i64, Phase);

/// One name in one epoch.
type Node = (Alias, usize);

/// An identity change that had an effect.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The change.
    pub(crate) rename: v1::Rename,
    /// A node of the person.
    node: Node,
}

/// A person, as far as a name and a time tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PersonKey(Node);

/// The persons of a group.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Begins of the epochs of a name but the first, in order.
    epochs: BTreeMap<Alias, Vec<At>>,
    parents: BTreeMap<Node, Node>,
    /// First and last time a node was named.
    seen: BTreeMap<Node, (i64, i64)>,
    /// The user id that a number was seen with in an epoch.
    user_ids: BTreeMap<Node, Alias>,
    applied: Vec<Applied>,
    /// Names that spellings in commands may mean.
    known: BTreeSet<Alias>,
    /// The nodes of each person, by root.
    persons: BTreeMap<Node, Vec<Node>>,
}

enum Step<'a> {
    Take(&'a v1::Rename),
    Link(&'a Alias, &'a Alias),
    GiveUp(Vec<Alias>),
}

impl Identity {
    /// Computes the persons from links (two names and when first seen together), from identity changes (each
    /// once, any order) and from the names and times of facts. `known` are the names that spellings in
    /// commands may mean: the same for every question about a group, else its persons would differ.
    pub(crate) fn derive(
        links: &[(Alias, Alias, i64)],
        renames: &[v1::Rename],
        uses: impl IntoIterator<Item = (Vec<Alias>, i64)>,
        known: BTreeSet<Alias>,
    ) -> Self {
        let mut identity = Self { known, ..Self::default() };
        let mut steps: BTreeMap<(At, String, String), Step<'_>> = BTreeMap::new();
        for (a, b, time_ms) in links {
            // A number that changes hands does so before anything else is linked to it in that second.
            let rank = if number_and_user_id(a, b).is_some() { '0' } else { '1' };
            steps.insert(
                ((*time_ms, Phase::Use), format!("{rank}{}", a.encode()), b.encode()),
                Step::Link(a, b),
            );
        }
        for rename in renames {
            let stamp = rename.stamp.clone().unwrap_or_default();
            let at = (stamp.time_ms, Phase::Take);
            steps.insert((at, stamp.event_id, String::new()), Step::Take(rename));
        }
        while let Some(((at, id, _), step)) = steps.pop_first() {
            match step {
                Step::Link(a, b) => identity.link(a, b, at.0),
                Step::GiveUp(aliases) => aliases.iter().for_each(|alias| identity.give_up(alias, at.0)),
                Step::Take(rename) => {
                    let given_up = identity.take(rename, at.0);
                    steps.insert(((at.0, Phase::GiveUp), id, String::new()), Step::GiveUp(given_up));
                }
            }
        }
        for (aliases, time_ms) in uses {
            if let Some(node) = identity.node_of(&aliases, time_ms) {
                identity.see(&node, time_ms);
            }
        }
        for node in identity.seen.keys() {
            identity.persons.entry(identity.find(node)).or_default().push(node.clone());
        }
        identity
    }

    /// The identity changes that had an effect, by time.
    pub(crate) fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// The person that an applied change concerns.
    pub(crate) fn person_of_change(&self, applied: &Applied) -> PersonKey {
        PersonKey(self.find(&applied.node))
    }

    /// The person that a report means by these names at this time; `None` without a name.
    pub(crate) fn person(&self, aliases: &[Alias], time_ms: i64) -> Option<PersonKey> {
        self.node_of(aliases, time_ms).map(|node| PersonKey(self.find(&node)))
    }

    /// The stable id of a person: a hash of the name that was known first. Epochs of a name that changed
    /// hands hash apart.
    pub(crate) fn member_id(&self, person: &PersonKey) -> String {
        let first_seen = |node: &Node| self.seen.get(node).map_or(i64::MAX, |seen| seen.0);
        let first = self.nodes_of(person).iter().min_by_key(|node| (first_seen(node), *node));
        let (alias, epoch) = first.unwrap_or(&person.0);
        let begin = match epoch.checked_sub(1).and_then(|i| self.epochs.get(alias)?.get(i)) {
            // Within a second a name may begin two epochs.
            Some((time_ms, Phase::GiveUp)) => format!("{time_ms} free"),
            Some((time_ms, Phase::Take | Phase::Use)) => time_ms.to_string(),
            None => String::new(),
        };
        let hash = sha256([&b"member"[..], alias.encode().as_bytes(), begin.as_bytes()]);
        format!("mbr_{}", hex(&hash[..8]))
    }

    /// The present names of a person: of each kind the one held last.
    pub(crate) fn names(&self, person: &PersonKey) -> v1::Participant {
        let mut best: BTreeMap<AliasKind, (bool, i64, &Node)> = BTreeMap::new();
        for node in self.nodes_of(person) {
            let held = self.epochs.get(&node.0).map_or(0, Vec::len) == node.1;
            let last = self.seen.get(node).map_or(i64::MIN, |seen| seen.1);
            let rank = (held, last, node);
            let best = best.entry(node.0.kind).or_insert(rank);
            *best = rank.max(*best);
        }
        let mut names = v1::Participant::default();
        for (_, _, (alias, _)) in best.into_values() {
            alias.put_into(&mut names);
        }
        names
    }

    /// Never empty: a person that no entry of the group names is the one name asked for.
    fn nodes_of<'a>(&'a self, person: &'a PersonKey) -> &'a [Node] {
        self.persons.get(&person.0).map_or(std::slice::from_ref(&person.0), Vec::as_slice)
    }

    fn link(&mut self, a: &Alias, b: &Alias, time_ms: i64) {
        if let Some((number, user_id)) = number_and_user_id(a, b) {
            self.pass_on(number, user_id, time_ms);
        }
        let (a, b) = (self.current(a), self.current(b));
        self.see(&a, time_ms);
        self.see(&b, time_ms);
        self.union(&a, &b);
    }

    /// Begins a new epoch of a number that is now seen with another user id than before.
    fn pass_on(&mut self, number: &Alias, user_id: &Alias, time_ms: i64) {
        let node = self.current(number);
        match self.user_ids.get(&node) {
            Some(known) if known == user_id => return,
            Some(_) => self.cut(number, (time_ms, Phase::Take)),
            None => {}
        }
        self.user_ids.insert(self.current(number), user_id.clone());
    }

    /// Gives the current names to the person of the previous ones; returns the names to give up.
    fn take(&mut self, rename: &v1::Rename, time_ms: i64) -> Vec<Alias> {
        let previous = rename.previous.as_ref().map(names_of_links).unwrap_or_default();
        let current = rename.current.as_ref().map(names_of_links).unwrap_or_default();
        // Only a name that stands against another of its kind changes hands. One without a counterpart, such
        // as the number in a report of a new user id, is theirs before and after.
        let stands_against = |name: &Alias, others: &[Alias]| {
            !others.contains(name) && others.iter().any(|other| other.kind == name.kind)
        };
        let given_up: Vec<Alias> =
            previous.iter().filter(|old| stands_against(old, &current)).cloned().collect();
        let taken: Vec<&Alias> = current.iter().filter(|new| stands_against(new, &previous)).collect();
        let Some(first) = previous.first().or(current.first()) else { return Vec::new() };

        let known = !given_up.is_empty() && given_up.iter().all(|old| self.was_given_up_for(old, &taken));
        if known || self.was_told(rename, time_ms) {
            return Vec::new();
        }
        let whole: Vec<Node> = previous.iter().map(|old| self.current(old)).collect();
        let person = whole.first().map(|node| self.find(node));
        for new in taken {
            if person != Some(self.find(&self.current(new))) {
                self.cut(new, (time_ms, Phase::Take));
            }
        }
        let all: Vec<Node> = whole.into_iter().chain(current.iter().map(|new| self.current(new))).collect();
        for node in &all {
            self.see(node, time_ms);
            self.union(&all[0].clone(), node);
        }
        if let Some(user_id) = current.iter().find(|alias| alias.kind == AliasKind::UserId) {
            for number in current.iter().filter(|alias| alias.kind == AliasKind::WaId) {
                self.user_ids.insert(self.current(number), user_id.clone());
            }
        }
        let node = self.current(first);
        self.applied.push(Applied { rename: rename.clone(), node });
        given_up
    }

    /// True if the same change was applied in this second: each number of a business hears of it.
    fn was_told(&self, rename: &v1::Rename, time_ms: i64) -> bool {
        let names = |who: &Option<v1::Participant>| who.as_ref().map(names_of_links).unwrap_or_default();
        self.applied.iter().map(|applied| &applied.rename).any(|other| {
            other.stamp.as_ref().is_some_and(|stamp| stamp.time_ms == time_ms)
                && names(&other.previous) == names(&rename.previous)
                && names(&other.current) == names(&rename.current)
        })
    }

    /// True if the last holder of a name gave it up for names they hold now: the same change reported again.
    fn was_given_up_for(&self, old: &Alias, taken: &[&Alias]) -> bool {
        let (_, epoch) = self.current(old);
        let Some(before) = epoch.checked_sub(1) else { return false };
        let holder = self.find(&(old.clone(), before));
        !taken.is_empty() && taken.iter().all(|new| self.find(&self.current(new)) == holder)
    }

    fn give_up(&mut self, alias: &Alias, time_ms: i64) {
        let at = (time_ms, Phase::GiveUp);
        if self.epochs.get(alias).and_then(|cuts| cuts.last()) != Some(&at) {
            self.cut(alias, at);
        }
    }

    fn cut(&mut self, alias: &Alias, at: At) {
        let cuts = self.epochs.entry(alias.clone()).or_default();
        let at = cuts.last().map_or(at, |last| at.max(*last));
        cuts.push(at);
    }

    fn current(&self, alias: &Alias) -> Node {
        (alias.clone(), self.epochs.get(alias).map_or(0, Vec::len))
    }

    fn at(&self, alias: &Alias, time_ms: i64) -> Node {
        let begun = |cuts: &Vec<At>| cuts.partition_point(|cut| *cut <= (time_ms, Phase::Use));
        (alias.clone(), self.epochs.get(alias).map_or(0, begun))
    }

    fn node_of(&self, aliases: &[Alias], time_ms: i64) -> Option<Node> {
        let alias = aliases.first()?;
        let meant = if alias.kind == AliasKind::Input { self.resolve_input(alias) } else { None };
        Some(self.at(meant.as_ref().unwrap_or(alias), time_ms))
    }

    /// The name that the spelling in a command means, among the names known.
    fn resolve_input(&self, input: &Alias) -> Option<Alias> {
        let text = &input.text;
        let known = |kind| {
            let alias = Alias { kind, text: text.clone() };
            self.known.contains(&alias).then_some(alias)
        };
        if !input.is_number() {
            return known(AliasKind::UserId)
                .or_else(|| known(AliasKind::ParentUserId))
                .or_else(|| known(AliasKind::Username));
        }
        known(AliasKind::WaId).or_else(|| {
            let canonical = canonical_number(text);
            self.known
                .iter()
                .find(|alias| alias.kind == AliasKind::WaId && canonical_number(&alias.text) == canonical)
                .cloned()
        })
    }

    fn see(&mut self, node: &Node, time_ms: i64) {
        let seen = self.seen.entry(node.clone()).or_insert((time_ms, time_ms));
        *seen = (seen.0.min(time_ms), seen.1.max(time_ms));
    }

    fn find(&self, node: &Node) -> Node {
        let mut node = node;
        while let Some(parent) = self.parents.get(node) {
            node = parent;
        }
        node.clone()
    }

    /// The lesser root stays: which one does is no matter of arrival.
    fn union(&mut self, a: &Node, b: &Node) {
        let (a, b) = (self.find(a), self.find(b));
        if a != b {
            let (root, child) = if a < b { (a, b) } else { (b, a) };
            self.parents.insert(child, root);
        }
    }
}

/// The two of them in this order, if that is what they are. Of a link the lesser name is the first: the user id.
fn number_and_user_id<'a>(a: &'a Alias, b: &'a Alias) -> Option<(&'a Alias, &'a Alias)> {
    (a.kind == AliasKind::UserId && b.kind == AliasKind::WaId).then_some((b, a))
}

/// The names mentioned by renames, for looking up further renames.
pub(crate) fn names_of_rename(rename: &v1::Rename) -> BTreeSet<Alias> {
    [&rename.previous, &rename.current].into_iter().flatten().flat_map(names_of_links).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_is_linked_to_a_user_id_may_change_hands() {
        use AliasKind::{Lid, ParentUserId, UserId, WaId};
        let alias = |kind| Alias { kind, text: "x".to_owned() };
        for (a, b) in [(UserId, ParentUserId), (UserId, Lid), (ParentUserId, WaId), (WaId, Lid)] {
            assert_eq!(number_and_user_id(&alias(a), &alias(b)), None, "{a:?} {b:?}");
        }
        let (user_id, number) = (alias(UserId), alias(WaId));
        assert_eq!(number_and_user_id(&user_id, &number), Some((&number, &user_id)));
    }
}
