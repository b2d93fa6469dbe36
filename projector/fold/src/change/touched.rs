//! Which groups an identity change can make look different.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Record};

use crate::apply::Step;
use crate::entry::{Key, Prefix, Source, Value};
use crate::identity::{Alias, AliasKind, names, names_of_links, spelled};
use crate::membership::Renames;
use crate::view::account_of;

/// The groups that know persons who are asked for. Found by looking through all groups of the partition, once for all
/// identity changes of a commit: people seldom change their numbers, and an index would cost every other event.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Names of identity changes to come, of each account.
    expected: BTreeMap<String, BTreeSet<Alias>>,
    /// Of each name that was looked for, in the groups of all accounts: who knows it.
    known: Option<BTreeMap<Alias, BTreeSet<String>>>,
}

impl Touched {
    pub(super) fn expect<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        for record in records {
            if let Some(Kind::IdentityChanged(event)) = record.kind() {
                self.expected.entry(record.account.clone()).or_default().extend(mentioned(event));
            }
        }
    }

    /// Groups of the account that know one of the persons, by group id.
    pub(super) fn groups<S: Source>(
        &mut self,
        source: &S,
        record: &Record,
        event: &v1::IdentityChanged,
    ) -> Result<Vec<String>, S::Error> {
        let persons = persons(source, &record.account, mentioned(event))?;
        let is_looked_for = |known: &BTreeMap<_, _>| persons.iter().all(|name| known.contains_key(name));
        if !self.known.as_ref().is_some_and(is_looked_for) {
            self.look_for(source, &persons)?;
        }
        let known = self.known.iter().flatten().filter(|(name, _)| persons.contains(name));
        let candidates: BTreeSet<&String> = known.flat_map(|(_, groups)| groups).collect();
        let mut touched = Vec::new();
        for group in candidates {
            let head = source.get(&Key::Head { group: group.clone() })?;
            if matches!(head, Some(Value::Head(head)) if account_of(&head) == record.account) {
                touched.push(group.clone());
            }
        }
        Ok(touched)
    }

    /// Takes note of the names that a step brings to groups, of those that were looked for.
    pub(super) fn learn(&mut self, step: &Step) {
        let Some(known) = &mut self.known else { return };
        for made in &step.0 {
            let group = match &made.key {
                Key::Window { group } | Key::Fact { group, .. } | Key::Link { group, .. } => group,
                _ => continue,
            };
            let of_window =
                if let Value::Window(window) = &*made.new { names_of_window(window) } else { Vec::new() };
            for name in names_of_key(&made.key).into_iter().chain(of_window) {
                if let Some(groups) = known.get_mut(&name) {
                    groups.insert(group.clone());
                }
            }
        }
    }

    fn look_for<S: Source>(&mut self, source: &S, persons: &BTreeSet<Alias>) -> Result<(), S::Error> {
        let mut all = persons.clone();
        all.extend(self.known.take().into_iter().flatten().map(|(name, _)| name));
        for (account, names) in std::mem::take(&mut self.expected) {
            all.extend(self::persons(source, &account, names)?);
        }
        let mut known: BTreeMap<Alias, BTreeSet<String>> =
            all.into_iter().map(|name| (name, BTreeSet::new())).collect();
        let mut groups = BTreeSet::new();
        source.groups(&mut |group, _| groups.extend([group]))?;
        for group in groups {
            let mut meet = |name: Alias| {
                if let Some(groups) = known.get_mut(&name) {
                    groups.insert(group.clone());
                }
            };
            if let Some(Value::Window(window)) = source.get(&Key::Window { group: group.clone() })? {
                names_of_window(&window).into_iter().for_each(&mut meet);
            }
            for prefix in [Prefix::Links { group: group.clone() }, Prefix::Facts { group: group.clone() }] {
                source.keys(&prefix, &mut |key| names_of_key(&key).into_iter().for_each(&mut meet))?;
            }
        }
        self.known = Some(known);
        Ok(())
    }
}

fn mentioned(event: &v1::IdentityChanged) -> impl Iterator<Item = Alias> {
    [&event.previous, &event.current].into_iter().flatten().flat_map(names_of_links)
}

/// Also those who had these names before, or took them since.
fn persons<S: Source>(
    source: &S,
    account: &str,
    names: impl IntoIterator<Item = Alias>,
) -> Result<BTreeSet<Alias>, S::Error> {
    let mut persons: BTreeSet<Alias> = names.into_iter().collect();
    let linked = Renames::default().follow(source, account, persons.iter().cloned())?;
    persons.extend(linked);
    Ok(persons)
}

fn names_of_window(window: &v1::Window) -> Vec<Alias> {
    let Some(by) = &window.by else { return Vec::new() };
    names(by).into_iter().chain(spelled(by).map(|(name, _)| name)).collect()
}

/// Keys are most of what a group has: one of a fact tells the first name of its participant, and those of links all names of
/// whoever has several. Of a spelling the key does not tell whether it is of a whole name: who is looked at in vain looks as
/// before.
fn names_of_key(key: &Key) -> Vec<Alias> {
    match key {
        Key::Link { a, b, .. } => vec![a.clone(), b.clone()],
        Key::Fact { at, .. } => match Alias::decode(&at.about) {
            Some(name) if name.kind == AliasKind::Input => {
                [AliasKind::WaId, AliasKind::UserId, AliasKind::ParentUserId]
                    .map(|kind| Alias { kind, text: name.text.clone() })
                    .into()
            }
            name => name.into_iter().collect(),
        },
        _ => Vec::new(),
    }
}
