//! Identity changes that concern somebody.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::v1;

use crate::entry::{Key, Prefix, Source, Value};
use crate::identity::{Alias, names_of_rename};

/// Identity changes that names take part in, followed through the names that those mention. Each once.
#[derive(Default)]
pub(crate) struct Renames {
    asked: BTreeSet<Alias>,
    found: BTreeMap<String, v1::Rename>,
}

impl Renames {
    /// Adds those of some names; returns the names that these mention. What was asked for is not read again.
    pub(crate) fn follow<S: Source>(
        &mut self,
        source: &S,
        account: &str,
        from: impl IntoIterator<Item = Alias>,
    ) -> Result<Vec<Alias>, S::Error> {
        let mut open: Vec<Alias> = from.into_iter().collect();
        let mut mentioned = Vec::new();
        while let Some(alias) = open.pop() {
            if !self.asked.insert(alias.clone()) {
                continue;
            }
            let prefix = Prefix::Renames { account: account.to_owned(), alias };
            for (key, value) in source.scan(&prefix)? {
                if let (Key::Rename { event_id, .. }, Value::Rename(rename)) = (key, value) {
                    let names = names_of_rename(&rename);
                    mentioned.extend(names.iter().cloned());
                    open.extend(names);
                    self.found.insert(event_id, rename);
                }
            }
        }
        Ok(mentioned)
    }

    pub(super) fn found(&self) -> impl Iterator<Item = &v1::Rename> {
        self.found.values()
    }
}
