//! Who is who: persons, derived from the names that a group's reports used.
//!
//! A report calls a person by one name or several. Facts stay under the names they were reported with;
//! persons are computed from the links between names (two names in one report) and from identity changes
//! (a number or user id was given up for another), so the result is the same for any order of arrival.
//!
//! User ids, parent user ids and linked ids are one person's at any time: whatever became of them, nobody else
//! gets them. A number can change hands. Its life is therefore cut into *epochs*, and a person is a connected
//! component of (name, epoch) nodes. Within one second a number is taken first, used then, and given up last; where two
//! changes of one second give it up and take it, it is the taker's. An epoch ends
//! * when an identity change gives the number up, and begins when one takes it;
//! * when a number that was seen with one person's user id is first seen with another's: the provider gives a
//!   number to somebody else without telling.

mod alias;
mod change;
mod follow;

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::id::{hex, sha256};
use groupfold_schemas::v1;

pub use alias::{Alias, AliasKind, first_name, names, names_of_links};
pub(crate) use alias::{Known, learned, spelled};
pub(crate) use change::Applied;

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

/// A person, as far as a name and a time tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PersonKey(Node);

/// How well a name says who somebody was at a time: one that is held before one that is not, then one that was seen
/// before one that was seen later, then the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    held: bool,
    seen: bool,
    near: i64,
}

/// The persons of a group.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Begins of the epochs of a number but the first, in order.
    epochs: BTreeMap<Alias, Vec<At>>,
    parents: BTreeMap<Node, Node>,
    /// First and last time a node was named.
    seen: BTreeMap<Node, (i64, i64)>,
    /// The user id that a number was seen with in an epoch.
    user_ids: BTreeMap<Node, Alias>,
    /// Ids that a change gave up for others of their kind.
    former: BTreeSet<Alias>,
    /// When a change told an id that was not known to be this person's, first.
    told: BTreeMap<Alias, i64>,
    applied: Vec<Applied>,
    known: Known,
    /// The nodes of each person, by root.
    persons: BTreeMap<Node, Vec<Node>>,
}

enum Step<'a> {
    Take(&'a v1::Rename),
    Link(&'a Alias, &'a Alias),
    GiveUp(Vec<Node>),
}

impl Identity {
    /// Computes the persons from links (two names and when first seen together), from identity changes (each
    /// once, any order) and from the names and times of facts. `known` are the names that spellings in
    /// commands may mean: the same for every question about a group, else its persons would differ.
    pub(crate) fn derive<'a>(
        links: &'a [(Alias, Alias, i64)],
        renames: impl IntoIterator<Item = &'a v1::Rename>,
        uses: impl IntoIterator<Item = (Vec<Alias>, i64)>,
        known: Known,
    ) -> Self {
        let mut identity = Self { known, ..Self::default() };
        let mut steps: BTreeMap<(At, String, String), Step<'_>> = BTreeMap::new();
        for (a, b, time_ms) in links {
            let (first, second) = place_of_link(a, b);
            steps.insert(((*time_ms, Phase::Use), first, second), Step::Link(a, b));
        }
        for rename in renames {
            let stamp = rename.stamp.clone().unwrap_or_default();
            let at = (stamp.time_ms, Phase::Take);
            // A change of number tells the new user id as well: what tells that alone is no news after it.
            let rank = if is_of_number(rename) { '0' } else { '1' };
            steps.insert((at, format!("{rank}{}", stamp.event_id), String::new()), Step::Take(rename));
        }
        while let Some(((at, id, _), step)) = steps.pop_first() {
            match step {
                Step::Link(a, b) => identity.link(a, b, at.0),
                Step::GiveUp(names) => names.into_iter().for_each(|name| identity.give_up(name, at.0)),
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

    /// The person that a report means by these names at this time; `None` without a name.
    pub(crate) fn person(&self, aliases: &[Alias], time_ms: i64) -> Option<PersonKey> {
        self.node_of(aliases, time_ms).map(|node| PersonKey(self.find(&node)))
    }

    /// Who had a number after one time and until another, the last one first, and whether it is told that they took it.
    pub(crate) fn holders(
        &self,
        number: &Alias,
        after_ms: i64,
        until_ms: i64,
    ) -> impl Iterator<Item = (PersonKey, bool)> {
        let [(_, first), (_, last)] = [after_ms, until_ms].map(|time_ms| self.at(number, time_ms));
        (first..last).rev().map(move |cut| {
            let begin = self.epochs.get(number).and_then(|cuts| cuts.get(cut));
            let node = (number.clone(), cut + 1);
            (PersonKey(self.find(&node)), matches!(begin, Some((_, Phase::Take))))
        })
    }

    /// The stable id of a person: a hash of the name that was known first. Epochs of a number that changed
    /// hands hash apart, and so does an id that a change was the first to tell.
    pub(crate) fn member_id(&self, person: &PersonKey) -> String {
        let first_seen = |node: &Node| self.seen.get(node).map_or(i64::MAX, |seen| seen.0);
        let first = self.nodes_of(person).iter().min_by_key(|node| (first_seen(node), *node));
        let (alias, epoch) = first.unwrap_or(&person.0);
        let told = self.told.get(alias).filter(|time_ms| first.is_some_and(|n| first_seen(n) == **time_ms));
        let begin = match epoch.checked_sub(1).and_then(|i| self.epochs.get(alias)?.get(i)) {
            // Within a second a number may begin two epochs.
            Some((time_ms, Phase::GiveUp)) => format!("{time_ms} free"),
            Some((time_ms, Phase::Take | Phase::Use)) => time_ms.to_string(),
            None => told.map(ToString::to_string).unwrap_or_default(),
        };
        let hash = sha256([&b"member"[..], alias.encode().as_bytes(), begin.as_bytes()]);
        format!("mbr_{}", hex(&hash[..8]))
    }

    /// The present names of a person: of each kind the one held last. A number that is not theirs any more is no
    /// name, unless it is all that there is.
    pub(crate) fn names(&self, person: &PersonKey) -> v1::Participant {
        self.names_at(person, i64::MAX)
    }

    /// The names that a person had at a time, Unix milliseconds, as far as is known by now: what was theirs later alone
    /// is left out.
    pub(crate) fn names_at(&self, person: &PersonKey, time_ms: i64) -> v1::Participant {
        let mut best = self.best(person, time_ms);
        if best.len() > 1 {
            best.retain(|kind, (rank, _)| rank.held || *kind != AliasKind::WaId);
        }
        let mut names = v1::Participant::default();
        for (_, (alias, _)) in best.into_values() {
            alias.put_into(&mut names);
        }
        names
    }

    /// The number that a person had last, be it somebody else's by now.
    pub(crate) fn last_number(&self, person: &PersonKey) -> Option<String> {
        self.best(person, i64::MAX).remove(&AliasKind::WaId).map(|(_, (number, _))| number.text.clone())
    }

    fn best<'a>(&'a self, person: &'a PersonKey, time_ms: i64) -> BTreeMap<AliasKind, (Rank, &'a Node)> {
        let mut best = BTreeMap::new();
        for node in self.nodes_of(person).iter().filter(|node| !self.is_later(node, time_ms)) {
            let ranked = (self.rank(node, time_ms), node);
            let best = best.entry(node.0.kind).or_insert(ranked);
            *best = ranked.max(*best);
        }
        best
    }

    /// True for a name that became this person's after a time.
    fn is_later(&self, (alias, epoch): &Node, time_ms: i64) -> bool {
        let begin = epoch.checked_sub(1).and_then(|i| self.epochs.get(alias)?.get(i));
        begin.is_some_and(|begin| *begin > (time_ms, Phase::Use))
            || self.told.get(alias).is_some_and(|told_ms| *told_ms > time_ms)
    }

    fn rank(&self, node: &Node, time_ms: i64) -> Rank {
        let (first, last) = self.seen.get(node).copied().unwrap_or((i64::MIN, i64::MIN));
        let seen = first <= time_ms;
        Rank {
            held: self.is_held_at(node, time_ms),
            seen,
            near: if seen { last.min(time_ms) } else { first.saturating_neg() },
        }
    }

    /// Never empty: a person that no entry of the group names is the one name asked for.
    fn nodes_of<'a>(&'a self, person: &'a PersonKey) -> &'a [Node] {
        self.persons.get(&person.0).map_or(std::slice::from_ref(&person.0), Vec::as_slice)
    }

    fn link(&mut self, a: &Alias, b: &Alias, time_ms: i64) {
        let (first, second) = (self.node_beside(a, b), self.node_beside(b, a));
        // Who gave a number up and is called by it once more has it no more: the report came late.
        let is_late = first != self.current(a) || second != self.current(b);
        if let (Some((number, user_id)), false) = (number_and_user_id(a, b), is_late) {
            self.pass_on(number, user_id, time_ms);
        }
        let (first, second) = if is_late { (first, second) } else { (self.current(a), self.current(b)) };
        self.see(&first, time_ms);
        self.see(&second, time_ms);
        self.union(&first, &second);
    }

    /// The node of a name that is reported beside another one.
    fn node_beside(&self, alias: &Alias, other: &Alias) -> Node {
        let (alias, epoch) = self.current(alias);
        let late = self.gave_up(&alias, &self.current(other));
        (alias, if late { epoch - 1 } else { epoch })
    }

    /// Begins a new epoch of a number that is now seen with another person's user id than before.
    fn pass_on(&mut self, number: &Alias, user_id: &Alias, time_ms: i64) {
        if self.is_anothers(number, &self.current(user_id)) {
            self.cut(number, (time_ms, Phase::Take));
        }
        self.user_ids.insert(self.current(number), user_id.clone());
    }

    /// True if a number was seen last with a user id of somebody else.
    fn is_anothers(&self, number: &Alias, person: &Node) -> bool {
        self.was_anothers(&self.current(number), person)
    }

    fn was_anothers(&self, number: &Node, person: &Node) -> bool {
        let known = self.user_ids.get(number);
        known.is_some_and(|known| self.find(&self.current(known)) != self.find(person))
    }

    /// True if it was this person who gave a number up, and nobody is told to have taken it since.
    fn gave_up(&self, number: &Alias, person: &Node) -> bool {
        let cuts = self.epochs.get(number).map_or(&[][..], Vec::as_slice);
        let is_free = matches!(cuts.last(), Some((_, Phase::GiveUp)));
        is_free && self.find(&(number.clone(), cuts.len() - 1)) == self.find(person)
    }

    /// Ends that somebody has a name. A number that is another's by now, be it of this second, stays theirs.
    fn give_up(&mut self, node: Node, time_ms: i64) {
        if node.0.kind != AliasKind::WaId {
            self.former.insert(node.0);
        } else if self.find(&self.current(&node.0)) == self.find(&node) {
            self.cut(&node.0, (time_ms, Phase::GiveUp));
        }
    }

    /// True if nobody else has a name by now, and no change gave it up.
    fn is_held(&self, node: &Node) -> bool {
        self.is_held_at(node, i64::MAX)
    }

    /// True if a number was nobody else's yet at a time. Of an id it is not known when it was given up, if it was.
    fn is_held_at(&self, (alias, epoch): &Node, time_ms: i64) -> bool {
        let end = self.epochs.get(alias).and_then(|cuts| cuts.get(*epoch));
        end.is_none_or(|end| *end > (time_ms, Phase::Use)) && !self.former.contains(alias)
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
        let is_spelling = alias.kind == AliasKind::Input;
        let meant = if is_spelling { self.known.meant(alias, time_ms) } else { None };
        Some(self.at(meant.unwrap_or(alias), time_ms))
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

/// Where a link stands among those of its second: a number that changes hands does so before anything else is linked to it.
fn place_of_link(a: &Alias, b: &Alias) -> (String, String) {
    let rank = if number_and_user_id(a, b).is_some() { '0' } else { '1' };
    (format!("{rank}{}", a.encode()), b.encode())
}

/// The two of them in this order, if that is what they are. Of a link the lesser name is the first: the user id.
fn number_and_user_id<'a>(a: &'a Alias, b: &'a Alias) -> Option<(&'a Alias, &'a Alias)> {
    (a.kind == AliasKind::UserId && b.kind == AliasKind::WaId).then_some((b, a))
}

fn is_of_number(rename: &v1::Rename) -> bool {
    rename.kind() != v1::IdentityChangeKind::UserId
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
