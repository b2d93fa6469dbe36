//! Which groups an identity change can make look different.

use std::collections::BTreeSet;

use groupfold_schemas::v1::{self, Record};

use crate::entry::{Key, Prefix, Source, Value};
use crate::identity::{Alias, names, names_of_links, spelled_number};
use crate::membership::Renames;

/// Groups of the account that know one of the persons, by group id. Looks through all groups of the partition:
/// people seldom change their numbers, and an index would cost every other event.
pub(super) fn groups<S: Source>(
    source: &S,
    record: &Record,
    event: &v1::IdentityChanged,
) -> Result<Vec<String>, S::Error> {
    let mentioned = [&event.previous, &event.current].into_iter().flatten().flat_map(names_of_links);
    let mut persons: BTreeSet<Alias> = mentioned.collect();
    // Also those who had these names before, or took them since.
    let linked = Renames::default().follow(source, &record.account, persons.iter().cloned())?;
    persons.extend(linked);
    let mut candidates = BTreeSet::new();
    source.groups(&mut |group, account| {
        if account == record.account {
            candidates.insert(group);
        }
    })?;
    let mut touched = Vec::new();
    for group in candidates {
        if knows(source, &group, &persons)? {
            touched.push(group);
        }
    }
    Ok(touched)
}

fn knows<S: Source>(source: &S, group: &str, persons: &BTreeSet<Alias>) -> Result<bool, S::Error> {
    let group = group.to_owned();
    let window = source.get(&Key::Window { group: group.clone() })?;
    let facts = source.scan(&Prefix::Facts { group: group.clone() })?;
    let known = window.into_iter().chain(facts.into_iter().map(|(_, fact)| fact)).any(|value| {
        let participant = match value {
            Value::Window(window) => window.by,
            Value::Fact(fact) => fact.participant,
            _ => None,
        };
        participant.is_some_and(|participant| {
            let mut called = names(&participant).into_iter().chain(spelled_number(&participant));
            called.any(|name| persons.contains(&name))
        })
    });
    Ok(known
        || source.scan(&Prefix::Links { group })?.iter().any(|(key, _)| match key {
            Key::Link { a, b, .. } => persons.contains(a) || persons.contains(b),
            _ => false,
        }))
}
