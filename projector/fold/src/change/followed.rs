//! Groups that are followed from one commit to the next.

use std::collections::BTreeMap;

use super::tracked::Tracked;

/// Groups that are followed at once: few commits touch more.
pub(super) const GROUPS_MAX: usize = 256;
/// Names and lines in all of them, about: each takes some hundred bytes.
const WEIGHT_MAX: usize = 8_192;

/// Groups as they are after the last record that was applied, so that the next commit need not read them. What is not
/// used longest is forgotten first, and read again.
///
/// It holds for the state it was made with alone: whoever writes anything else, or fails to write, begins with an empty one.
#[derive(Debug, Default)]
pub struct Followed {
    groups: BTreeMap<String, Place>,
    weight: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Place {
    tracked: Box<Tracked>,
    weight: usize,
    used: u64,
}

impl Followed {
    /// Takes a group out; `None` for one that is not followed.
    pub(super) fn take(&mut self, group: &str) -> Option<Box<Tracked>> {
        let place = self.groups.remove(group)?;
        self.weight -= place.weight;
        Some(place.tracked)
    }

    pub(super) fn put(&mut self, group: String, tracked: Box<Tracked>) {
        drop(self.take(&group));
        self.clock += 1;
        let weight = tracked.weight();
        self.weight += weight;
        self.groups.insert(group, Place { tracked, weight, used: self.clock });
        while self.groups.len() > GROUPS_MAX || (self.weight > WEIGHT_MAX && self.groups.len() > 1) {
            let oldest = self.groups.iter().min_by_key(|(_, place)| place.used);
            let Some(group) = oldest.map(|(group, _)| group.clone()) else { return };
            drop(self.take(&group));
        }
    }

    pub(super) fn get_mut(&mut self, group: &str) -> Option<&mut Tracked> {
        Some(&mut *self.groups.get_mut(group)?.tracked)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }
}
