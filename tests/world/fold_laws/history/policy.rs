//! What a platform says of groups that WhatsApp knows nothing of.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Record};

use super::{Story, record};

impl Story {
    pub(super) fn policy(&mut self) {
        let mut group = self.group();
        let kind = match self.dice.below(14) {
            0 | 1 => {
                let all = self.dice.percent(30);
                let (teams, users) = (self.some(&["t1", "t2"]), self.some(&["u1", "u2"]));
                let some = v1::Visibility { all: false, teams, users };
                let visibility = if all { v1::Visibility { all, ..Default::default() } } else { some };
                Kind::VisibilitySet(v1::VisibilitySet { visibility: Some(visibility) })
            }
            2 | 3 => Kind::ModeratorsSet(v1::ModeratorsSet { users: self.some(&["u1", "u2", "u3"]) }),
            4..7 => {
                let label = (*self.dice.pick(&["vip", "late", "x"])).to_owned();
                Kind::LabelSet(v1::LabelSet { label, present: self.dice.percent(60) })
            }
            7..10 => {
                let archived = self.dice.percent(65);
                Kind::ArchiveSet(v1::ArchiveSet { archived, newest: self.known_message(group) })
            }
            10 => Kind::BlockSet(v1::BlockSet { blocked: self.dice.percent(50) }),
            _ => {
                let message_id = if self.messages.is_empty() || self.dice.percent(30) {
                    format!("IN {group} {}", self.dice.below(3))
                } else {
                    let (number, of, _) = *self.dice.pick(&self.messages);
                    group = of;
                    format!("OUT{number}")
                };
                let user_id = (*self.dice.pick(&["u1", "u2"])).to_owned();
                Kind::MessageViewed(v1::MessageViewed { message_id, user_id })
            }
        };
        self.tell(group, kind);
        if let Some(told) = self.records.pop() {
            self.records.push(ours(told));
        }
    }

    fn some(&mut self, of: &[&str]) -> Vec<String> {
        of.iter().filter(|_| self.dice.percent(40)).map(|id| (*id).to_owned()).collect()
    }

    /// The newest message that somebody knows of: not always the last that was told.
    fn known_message(&mut self, group: &str) -> Option<v1::MessageMark> {
        let is_message = |record: &&Record| {
            let kind = record.kind();
            record.group_id == group
                && matches!(kind, Some(Kind::MessageReceived(_) | Kind::MessageUnsupported(_)))
        };
        let mut messages: Vec<(i64, String)> = self
            .records
            .iter()
            .filter(is_message)
            .map(|record| (record.provider_time_ms, record.event_id.clone()))
            .collect();
        messages.sort();
        if self.dice.percent(25) {
            messages.pop();
        }
        messages.pop().map(|(time_ms, event_id)| v1::MessageMark { time_ms, event_id })
    }
}

/// The record as the API would write it.
pub(crate) fn ours(told: Record) -> Record {
    let Record { provider_time_ms, group_id, actor, event, .. } = told;
    let kind = event.and_then(|event| event.kind).expect("it was just told");
    Record {
        time_quality: v1::TimeQuality::Received.into(),
        evidence: v1::Evidence::Platform.into(),
        ..record(provider_time_ms / 1000, &group_id, actor, kind)
    }
}
