//! Names that come after all others, and are nobody's yet.

use super::{Alias, Identity, Node, place_of_link};

impl Identity {
    /// How many names there are.
    pub(crate) fn names_known(&self) -> usize {
        self.seen.len()
    }

    /// True if this is one of the names that spellings may mean.
    pub(crate) fn knows(&self, name: &Alias) -> bool {
        self.known.has(name)
    }

    /// Takes names, and links between those of them that were nobody's: whatever was known is as it was.
    pub(crate) fn meet(&mut self, names: impl IntoIterator<Item = Alias>, links: &[(&Alias, &Alias, i64)]) {
        self.known.extend(names);
        let mut links = links.to_vec();
        links.sort_by_cached_key(|(a, b, time_ms)| (*time_ms, place_of_link(a, b)));
        for (a, b, time_ms) in &links {
            self.link(a, b, *time_ms);
        }
        for (a, b, _) in links {
            self.has_person(self.current(a));
            self.has_person(self.current(b));
        }
    }

    /// Takes note of a use of names. One that was not used so far is linked to no other: a person by itself.
    pub(crate) fn meet_again(&mut self, names: &[Alias], time_ms: i64) {
        if let Some(node) = self.node_of(names, time_ms) {
            self.see(&node, time_ms);
        }
    }

    fn has_person(&mut self, node: Node) {
        let nodes = self.persons.entry(self.find(&node)).or_default();
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
}
