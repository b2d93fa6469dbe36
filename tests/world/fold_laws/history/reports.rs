//! What is reported of groups: memberships, messages, receipts, settings, beginnings and ends.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    self, EndReason, JoinRequestOutcome, JoinVia, Outcome, Participant, ReceiptStatus, Role, Setting,
};

use super::Story;

pub(crate) fn joined(participants: Vec<Participant>, via: JoinVia) -> Kind {
    Kind::ParticipantsJoined(v1::ParticipantsJoined { participants, via: via.into(), reason: None })
}

impl Story {
    pub(super) fn membership(&mut self) {
        let group = self.group();
        let i = self.dice.below(self.people.len());
        let join_request_id = self.dice.percent(70).then(|| format!("R{i}"));
        let kind = match self.dice.below(20) {
            0..5 => {
                let mut participants = vec![self.called(i)];
                let other = self.dice.below(self.people.len());
                if other != i && self.dice.percent(20) {
                    participants.push(self.called(other));
                }
                let via = [JoinVia::InviteLink, JoinVia::InviteLink, JoinVia::JoinRequest, JoinVia::Added];
                joined(participants, *self.dice.pick(&via))
            }
            5..8 => Kind::JoinRequested(v1::JoinRequested {
                participant: Some(self.called(i)),
                join_request_id,
                reason: None,
            }),
            8..11 => self.request_closed(i, join_request_id),
            11..14 => {
                let reason = *self.dice.pick(&[EndReason::Left, EndReason::Left, EndReason::Unknown]);
                let ended = vec![self.called(i)];
                let reason = reason.into();
                Kind::ParticipantsEnded(v1::ParticipantsEnded { reason, ended, ..Default::default() })
            }
            14..18 => self.removed(i),
            _ => {
                let role = if self.dice.percent(60) { Role::Admin } else { Role::Member };
                let participants = vec![self.called(i)];
                Kind::RoleChanged(v1::RoleChanged { participants, role: role.into() })
            }
        };
        self.tell(group, kind);
    }

    fn request_closed(&mut self, person: usize, join_request_id: Option<String>) -> Kind {
        let outcomes =
            [JoinRequestOutcome::Revoked, JoinRequestOutcome::Rejected, JoinRequestOutcome::Failed];
        let outcome = *self.dice.pick(&outcomes);
        let errors = if outcome == JoinRequestOutcome::Failed { self.errors() } else { Vec::new() };
        Kind::JoinRequestClosed(v1::JoinRequestClosed {
            participant: Some(self.called(person)),
            join_request_id,
            outcome: outcome.into(),
            reason: None,
            errors,
        })
    }

    fn removed(&mut self, person: usize) -> Kind {
        let mut event = v1::ParticipantsEnded { reason: EndReason::Removed.into(), ..Default::default() };
        let spelled = if self.dice.percent(70) { self.spelled(person) } else { self.called(person) };
        let failed = v1::ParticipantFailure { participant: Some(spelled.clone()), errors: Vec::new() };
        match self.dice.below(10) {
            0 => (event.failed, event.errors) = (vec![failed], self.errors()),
            1 => event.errors = self.errors(),
            2 => {
                let other = self.dice.below(self.people.len());
                event.ended.push(spelled);
                if other != person {
                    let participant = Some(self.spelled(other));
                    event.failed.push(v1::ParticipantFailure { participant, errors: Vec::new() });
                    event.errors = self.errors();
                }
            }
            _ => event.ended.push(spelled),
        }
        Kind::ParticipantsEnded(event)
    }

    pub(super) fn message(&mut self) {
        let group = self.group();
        let i = self.dice.below(self.people.len());
        self.serial += 1;
        let (message_id, from) = (format!("IN{}", self.serial), Some(self.called(i)));
        let kind = if self.dice.percent(80) {
            Kind::MessageReceived(v1::MessageReceived { message_id, from, ..Default::default() })
        } else {
            Kind::MessageUnsupported(v1::MessageUnsupported { message_id, from, ..Default::default() })
        };
        self.tell(group, kind);
    }

    pub(super) fn receipt(&mut self) {
        if self.messages.is_empty() || self.dice.percent(25) {
            let group = self.group();
            self.serial += 1;
            self.messages.push((self.serial, group, self.second));
            if self.dice.percent(80) {
                return self.tell_receipt(self.messages.len() - 1, ReceiptStatus::Sent, None);
            }
        }
        let m = self.dice.below(self.messages.len());
        let sent = self.messages[m].2;
        let there: Vec<usize> = (0..self.people.len()).filter(|i| self.people[*i].since <= sent).collect();
        if there.is_empty() || self.dice.percent(5) {
            return self.tell_receipt(m, ReceiptStatus::Failed, None);
        }
        let who = *self.dice.pick(&there);
        let status = [
            ReceiptStatus::Delivered,
            ReceiptStatus::Delivered,
            ReceiptStatus::Read,
            ReceiptStatus::Read,
            ReceiptStatus::Played,
        ];
        let status = *self.dice.pick(&status);
        let who = self.called(who);
        self.tell_receipt(m, status, Some(who));
    }

    fn tell_receipt(&mut self, message: usize, status: ReceiptStatus, participant: Option<Participant>) {
        let (number, group, _) = self.messages[message];
        let errors = match status {
            // One that failed fails once.
            ReceiptStatus::Failed => {
                vec![v1::ProviderError { code: "131026".to_owned(), ..Default::default() }]
            }
            _ => Vec::new(),
        };
        let receipt = v1::Receipt {
            message_id: format!("OUT{number}"),
            status: status.into(),
            participant,
            errors,
            ..Default::default()
        };
        self.tell(group, Kind::Receipt(receipt));
    }

    pub(super) fn settings(&mut self) {
        let group = self.group();
        let settings = [
            Setting::Subject,
            Setting::Description,
            Setting::Picture,
            Setting::JoinApprovalMode,
            Setting::InviteLink,
        ];
        let mut changes: Vec<v1::SettingChange> = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            let setting = *self.dice.pick(&settings);
            if changes.iter().any(|change| change.setting() == setting) {
                continue;
            }
            let outcomes = [Outcome::Succeeded, Outcome::Succeeded, Outcome::Failed, Outcome::Unknown];
            let outcome = *self.dice.pick(&outcomes);
            self.serial += 1;
            let text = format!("text {}", self.serial);
            let picture = v1::Picture { mime_type: None, sha256: Some(text.clone()) };
            let value = match setting {
                Setting::Picture => v1::setting_value::Value::Picture(picture),
                _ => v1::setting_value::Value::Text(text),
            };
            let new = Some(v1::SettingValue { value: Some(value) });
            let (setting, outcome) = (setting.into(), outcome.into());
            changes.push(v1::SettingChange { setting, old: None, new, outcome, errors: Vec::new() });
        }
        let failed = changes.iter().any(|change| change.outcome() == Outcome::Failed);
        let errors = if failed { self.errors() } else { Vec::new() };
        self.tell(group, Kind::SettingsUpdated(v1::SettingsUpdated { changes, errors }));
    }

    pub(super) fn lifecycle(&mut self) {
        let group = self.group();
        self.serial += 1;
        let text = |dice: &mut super::Dice, what: &str, n| dice.percent(70).then(|| format!("{what} {n}"));
        let n = self.serial;
        let kind = match self.dice.below(10) {
            0..3 => {
                let mut participants = Vec::new();
                if self.dice.percent(30) {
                    let i = self.dice.below(self.people.len());
                    participants.push(self.called(i));
                }
                Kind::GroupCreated(v1::GroupCreated {
                    subject: text(&mut self.dice, "subject", n),
                    description: text(&mut self.dice, "description", n),
                    invite_link: text(&mut self.dice, "link", n),
                    join_approval_mode: text(&mut self.dice, "mode", n),
                    participants,
                })
            }
            3 if !self.has_failed(group) => Kind::GroupCreateFailed(v1::GroupCreateFailed {
                subject: text(&mut self.dice, "subject", n),
                description: None,
                errors: self.errors(),
            }),
            4..7 => Kind::GroupSuspended(v1::GroupSuspended {}),
            7 | 8 => Kind::GroupSuspensionCleared(v1::GroupSuspensionCleared {}),
            _ if self.dice.percent(20) => Kind::GroupDeleted(v1::GroupDeleted {}),
            _ => Kind::GroupDeleteFailed(v1::GroupDeleteFailed { errors: self.errors() }),
        };
        self.tell(group, kind);
    }

    /// A creation fails once: which of two failures names the group is nobody's business.
    fn has_failed(&self, group: &str) -> bool {
        self.records.iter().any(|record| {
            let kind = record.kind();
            record.group_id == group && matches!(kind, Some(Kind::GroupCreateFailed(_)))
        })
    }
}
