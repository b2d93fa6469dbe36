//! What is read from the provider between reports, as contradictory as they are.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Evidence, Role, SnapshotParticipant};

use super::{Story, read};

impl Story {
    pub(super) fn snapshot(&mut self) {
        let group = self.group();
        let again = self.records.last().is_some_and(|record| record.evidence() == Evidence::Snapshot);
        // Names are those of the time that the snapshot speaks of: nothing else is told of its second.
        if !(again && self.dice.percent(30)) {
            self.second += 1;
        }
        if self.dice.percent(4) {
            return self.records.push(read(self.second, group, Kind::GroupDeleted(v1::GroupDeleted {})));
        }
        let mut participants = Vec::new();
        for i in 0..self.people.len() {
            if self.dice.percent(50) {
                let pending = self.dice.percent(25);
                let roles = [Role::Unspecified, Role::Unspecified, Role::Member, Role::Admin];
                participants.push(SnapshotParticipant {
                    participant: Some(self.called(i)),
                    role: (*self.dice.pick(&roles)).into(),
                    pending,
                    join_request_id: (pending && self.dice.percent(70)).then(|| format!("R{i}")),
                });
            }
        }
        self.serial += 1;
        let n = self.serial;
        let text = |dice: &mut super::Dice, what: &str| match dice.below(4) {
            0 => Some(String::new()),
            1 => Some(format!("{what} {n}")),
            _ => None,
        };
        // It takes a while to read a group: what is told of that while may be in it or not.
        let longer = i64::try_from(self.dice.below(5)).expect("it is small");
        let read_until_ms = if self.dice.percent(60) { (self.second + longer) * 1000 } else { 0 };
        let snapshot = v1::GroupSnapshot {
            read_until_ms,
            subject: text(&mut self.dice, "subject"),
            description: text(&mut self.dice, "description"),
            join_approval_mode: text(&mut self.dice, "mode"),
            invite_link: text(&mut self.dice, "link"),
            suspended: self.dice.percent(40).then(|| self.dice.percent(30)),
            created_at_ms: self.dice.percent(30).then(|| 1000 * (self.second - 500)),
            participants_total: None,
            participants,
            participants_complete: self.dice.percent(70),
            join_requests_complete: self.dice.percent(60),
        };
        self.records.push(read(self.second, group, Kind::GroupSnapshot(snapshot)));
    }
}
