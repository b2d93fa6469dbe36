//! What was reported of the time in which a snapshot was read.
//!
//! A snapshot stands before all that its second tells, and shows what happened until it was read to its end. What it shows
//! of that time is found out only where nobody reported it: else it would be told twice, and of the wrong time.

use std::collections::BTreeMap;

use groupfold_schemas::v1::{self, Evidence, FactKind};

use crate::entry::FactAt;
use crate::identity::PersonKey;

/// By the event of each snapshot: what was reported of each person while it was read.
#[derive(Default)]
pub(super) struct Meanwhile(BTreeMap<String, BTreeMap<PersonKey, Vec<FactKind>>>);

impl Meanwhile {
    /// Of a history in its order.
    pub(super) fn of(
        facts: &[(FactAt, v1::Fact)],
        person: impl Fn(&v1::Fact, i64) -> Option<PersonKey>,
    ) -> Self {
        let mut all = BTreeMap::new();
        let taken = facts.iter().enumerate().filter(|(_, (_, fact))| fact.kind() == FactKind::SnapshotTaken);
        for (place, (taken_at, taken)) in taken {
            let reports = facts[place..]
                .iter()
                .take_while(|(at, _)| at.time_ms <= taken.read_until_ms)
                .filter(|(at, fact)| at.time_ms > taken_at.time_ms && fact.evidence() != Evidence::Snapshot);
            let mut of_person: BTreeMap<PersonKey, Vec<FactKind>> = BTreeMap::new();
            for (at, fact) in reports {
                if let Some(person) = person(fact, at.time_ms) {
                    of_person.entry(person).or_default().push(fact.kind());
                }
            }
            if !of_person.is_empty() {
                all.insert(taken_at.event_id.clone(), of_person);
            }
        }
        Self(all)
    }

    /// True if a report tells what a snapshot shows of a person.
    pub(super) fn tells(&self, snapshot: &str, person: &PersonKey, found: FactKind) -> bool {
        let told = self.0.get(snapshot).and_then(|of_person| of_person.get(person));
        told.is_some_and(|kinds| kinds.iter().any(|told| is_same(*told, found)))
    }
}

fn is_same(told: FactKind, found: FactKind) -> bool {
    match found {
        FactKind::MemberGone => {
            matches!(told, FactKind::MemberGone | FactKind::MemberLeft | FactKind::MemberRemoved)
        }
        // A request that waits no more may have been granted, too.
        FactKind::JoinRequestRevoked => matches!(
            told,
            FactKind::JoinRequestRevoked | FactKind::JoinRequestRejected | FactKind::MemberJoined
        ),
        _ => told == found,
    }
}
