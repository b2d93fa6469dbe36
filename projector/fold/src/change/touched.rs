//! Which groups an identity change can make look different.

use std::collections::BTreeSet;

use groupfold_schemas::v1::{self, Record};

use crate::entry::{Key, Prefix, Source, Value};
use crate::identity::{Alias, AliasKind, names, names_of_links, spelled};
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

/// By its keys alone, which are most of what it has: one of a fact tells the first name of its participant, and those of
/// links all names of whoever has several. Of a spelling the key does not tell whether it is of a whole name: who is
/// looked at in vain looks as before.
fn knows<S: Source>(source: &S, group: &str, persons: &BTreeSet<Alias>) -> Result<bool, S::Error> {
    let group = group.to_owned();
    let by = match source.get(&Key::Window { group: group.clone() })? {
        Some(Value::Window(window)) => window.by,
        _ => None,
    };
    let mut known = by.is_some_and(|by| {
        let spelled = spelled(&by).map(|(name, _)| name);
        names(&by).into_iter().chain(spelled).any(|name| persons.contains(&name))
    });
    let mut meet = |key| {
        known |= match key {
            Key::Link { a, b, .. } => persons.contains(&a) || persons.contains(&b),
            Key::Fact { at, .. } => Alias::decode(&at.about).is_some_and(|name| match name.kind {
                AliasKind::Input => [AliasKind::WaId, AliasKind::UserId, AliasKind::ParentUserId]
                    .into_iter()
                    .any(|kind| persons.contains(&Alias { kind, text: name.text.clone() })),
                _ => persons.contains(&name),
            }),
            _ => false,
        };
    };
    source.keys(&Prefix::Links { group: group.clone() }, &mut meet)?;
    source.keys(&Prefix::Facts { group }, &mut meet)?;
    Ok(known)
}
