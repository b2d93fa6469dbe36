//! What need not be looked up: registers that keep their earliest report, and have an earlier one than what comes.
//!
//! Each receipt says again where its group belongs and which group its message is of. That is known after the first one,
//! so the rest neither reads these entries nor merges into them.

use std::collections::HashMap;

use groupfold_schemas::v1::Stamp;

use super::{Contributions, Working};
use crate::merge::{alone, first, order};

/// Entries remembered; beyond it all are forgotten, and learned again as they are met.
const ENTRIES_MAX: usize = 20_000;

/// The earliest reports in some entries of one store, by key. An entry only ever gets earlier ones: so what is known
/// stays true, as long as it is the same store.
#[derive(Debug, Default)]
pub struct Known(HashMap<Box<[u8]>, Stamp>);

impl Known {
    /// Takes out what is known to make no difference.
    pub fn spare(&self, contributions: &mut Contributions) {
        contributions.0.retain(|contributed| {
            let known = alone(&contributed.value).zip(self.0.get(contributed.bytes.as_slice()));
            known.is_none_or(|(new, known)| order(new) <= order(known))
        });
    }

    /// Remembers what entries say that are the store's, or are about to be.
    pub fn learn(&mut self, working: &Working) {
        for (bytes, stamp) in working.values().filter_map(|(bytes, value)| Some((bytes, first(value)?))) {
            if self.0.len() >= ENTRIES_MAX {
                self.0.clear();
            }
            match self.0.get_mut(bytes) {
                Some(known) if known == stamp => {}
                Some(known) => known.clone_from(stamp),
                None => drop(self.0.insert(bytes.into(), stamp.clone())),
            }
        }
    }

    /// Forgets all: another store takes the place of the one that was learned from.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
