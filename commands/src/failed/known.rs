//! Where in the log an event stands already.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use groupfold_ingest::replay::partitions_of;
use groupfold_projector::record_of;
use groupfold_schemas::{log, v1};

use crate::exit::Failure;
use crate::log::{Log, Look};

/// The events of the group that was looked at last, or of those without one.
#[derive(Default)]
pub(super) struct Known {
    group: String,
    /// Their ids, by partition.
    ids: BTreeMap<u16, BTreeSet<String>>,
}

impl Known {
    /// The partitions that a record belongs to and that do not have it: a change of a person's names goes to all, one
    /// after the other, and may have come to some alone. From now on they count as having it.
    pub(super) async fn missing(&mut self, log: &Log, record: &v1::Record) -> Result<Vec<u16>, Failure> {
        if self.group != record.group_id {
            *self = Self { group: record.group_id.clone(), ids: BTreeMap::new() };
        }
        let mut missing = Vec::new();
        for partition in partitions_of(record, log.partitions) {
            let ids = match self.ids.entry(partition) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(unread) => unread.insert(read(log, partition, &self.group).await?),
            };
            if ids.insert(record.event_id.clone()) {
                missing.push(partition);
            }
        }
        Ok(missing)
    }

    /// Takes back that these partitions have a record: it was not appended.
    pub(super) fn forget(&mut self, record_id: &str, partitions: &[u16]) {
        for partition in partitions {
            if let Some(ids) = self.ids.get_mut(partition) {
                ids.remove(record_id);
            }
        }
    }
}

/// The ids of a group's events in a partition.
async fn read(log: &Log, partition: u16, group: &str) -> Result<BTreeSet<String>, Failure> {
    let subject = match group {
        "" => log::groupless_subjects(partition),
        group => log::group_subjects(partition, group),
    };
    let stream = log::stream(partition);
    let look = Look { stream, subjects: vec![subject], what: "looking for what is there", ..Look::default() };
    let mut ids = BTreeSet::new();
    log.each(look, |found| ids.extend(record_of(&found.payload).ok().map(|record| record.event_id))).await?;
    Ok(ids)
}
