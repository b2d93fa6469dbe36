//! Contributions of commands: the stations that we write ourselves, and what webhooks say became of them.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    self, ActorKind, CommandItem, CommandResult, CommandType, EndReason, Evidence, Outcome, ProviderError,
};

use super::Contribution;
use crate::entry::{Key, Value};

impl Contribution<'_> {
    /// A station of a command. False if it is another kind of event.
    pub(super) fn command(&mut self, kind: &Kind) -> bool {
        let stamp = self.stamp(0);
        let mut state = v1::CommandState::default();
        match kind {
            Kind::CommandRequested(event) => {
                state.requested = Some(v1::CommandRequestedRegister {
                    stamp,
                    value: Some(event.clone()),
                    group_id: self.group(),
                    account: self.record.account.clone(),
                    phone_number_id: self.record.phone_number_id.clone(),
                });
            }
            Kind::CommandRefused(event) => {
                state.refused = Some(v1::CommandRefusedRegister { stamp, value: Some(event.clone()) });
            }
            Kind::CommandSent(event) => {
                state.sent = Some(v1::CommandSentRegister { stamp, value: Some(event.clone()) });
            }
            Kind::CommandAnswered(event) => {
                self.message_of(event);
                state.answered = Some(v1::CommandAnsweredRegister { stamp, value: Some(event.clone()) });
            }
            Kind::CommandReconciled(event) => {
                state.reconciled = Some(v1::CommandReconciledRegister { stamp, value: Some(event.clone()) });
            }
            _ => return false,
        }
        self.station(kind, state);
        true
    }

    fn station(&mut self, kind: &Kind, state: v1::CommandState) {
        if let Some(command) = kind.command_id().map(str::to_owned) {
            self.put(Key::Command { command }, Value::Command(Box::new(state)));
        }
    }

    /// The message is known from the moment at which the provider names it, before any status comes.
    fn message_of(&mut self, event: &v1::CommandAnswered) {
        let Some(message) = event.message_id.clone().filter(|_| !self.record.group_id.is_empty()) else {
            return;
        };
        let group_id = Some(v1::TextRegister { stamp: self.stamp(0), value: Some(self.group()) });
        let head = v1::MessageHead { group_id, ..Default::default() };
        self.put(Key::Message { message }, Value::Message(head));
    }

    /// A status that carries the id of the command that sent the message: even where the provider's answer was
    /// lost, it tells that the message left.
    pub(super) fn command_message(&mut self, kind: &Kind, event: &v1::Receipt) {
        if kind.command_id().is_some() {
            let register = v1::TextRegister { stamp: self.stamp(0), value: Some(event.message_id.clone()) };
            self.station(kind, v1::CommandState { message_id: Some(register), ..Default::default() });
        }
    }

    /// What a webhook says became of something that a business asked for.
    pub(super) fn outcome(&mut self, kind: &Kind) {
        // Answers and snapshots are told by the command's own stations.
        if self.record.evidence() != Evidence::Webhook {
            return;
        }
        let Some(told) = told(kind) else { return };
        let by_participant =
            self.record.actor.as_ref().is_some_and(|actor| actor.kind() == ActorKind::Participant);
        if by_participant {
            return;
        }
        let (group, event_id) = (self.group(), self.record.event_id.clone());
        let request_id = self.record.provider_request_id.clone();
        let outcome = v1::CommandOutcome {
            stamp: self.stamp(0),
            group_id: group.clone(),
            r#type: told.command.into(),
            result: result(&told).into(),
            items: told.items,
            errors: told.errors,
            request_id: request_id.clone(),
        };
        if let Some(request) = request_id {
            let key = Key::Outcome { request, event_id: event_id.clone() };
            self.put(key, Value::Outcome(outcome.clone()));
        }
        if !group.is_empty() {
            self.put(Key::GroupOutcome { group, event_id }, Value::Outcome(outcome));
        }
    }
}

struct Told {
    command: CommandType,
    failed: bool,
    items: Vec<CommandItem>,
    errors: Vec<ProviderError>,
}

fn told(kind: &Kind) -> Option<Told> {
    let whole = |command, errors: Option<&Vec<ProviderError>>| Told {
        command,
        failed: errors.is_some(),
        items: Vec::new(),
        errors: errors.cloned().unwrap_or_default(),
    };
    Some(match kind {
        Kind::GroupCreated(_) => whole(CommandType::GroupCreate, None),
        Kind::GroupCreateFailed(event) => whole(CommandType::GroupCreate, Some(&event.errors)),
        Kind::GroupDeleted(_) => whole(CommandType::GroupDelete, None),
        Kind::GroupDeleteFailed(event) => whole(CommandType::GroupDelete, Some(&event.errors)),
        Kind::SettingsUpdated(event) => {
            let item = |change: &v1::SettingChange| CommandItem {
                name: change.setting().name().to_owned(),
                outcome: change.outcome().into(),
                errors: change.errors.clone(),
            };
            Told {
                command: CommandType::GroupUpdate,
                failed: !event.errors.is_empty(),
                items: event.changes.iter().map(item).collect(),
                errors: event.errors.clone(),
            }
        }
        Kind::ParticipantsEnded(event) if event.reason() != EndReason::Left => {
            let ended = event.ended.iter().map(|person| item(person, Outcome::Succeeded, &[]));
            let failed = event.failed.iter().map(|failure| {
                let nobody = v1::Participant::default();
                item(failure.participant.as_ref().unwrap_or(&nobody), Outcome::Failed, &failure.errors)
            });
            Told {
                command: CommandType::MembersRemove,
                failed: event.ended.is_empty(),
                items: ended.chain(failed).collect(),
                errors: event.errors.clone(),
            }
        }
        _ => return None,
    })
}

/// The spelling that the command used is what its sender knows the person by.
fn item(person: &v1::Participant, outcome: Outcome, errors: &[ProviderError]) -> CommandItem {
    let names = [&person.input, &person.wa_id, &person.user_id];
    let name = names.into_iter().flatten().next().cloned().unwrap_or_default();
    CommandItem { name, outcome: outcome.into(), errors: errors.to_vec() }
}

fn result(told: &Told) -> CommandResult {
    let failed = told.items.iter().filter(|item| item.outcome() == Outcome::Failed).count();
    match (told.items.len(), failed) {
        (0, _) if told.failed => CommandResult::Failed,
        (_, 0) => CommandResult::Succeeded,
        (all, failed) if all == failed => CommandResult::Failed,
        _ => CommandResult::Partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_group_as_a_whole_is_told_by_success_and_by_failure() {
        let errors = vec![ProviderError { code: "131".to_owned(), ..ProviderError::default() }];
        let create_failed = v1::GroupCreateFailed { errors: errors.clone(), ..Default::default() };
        let settings_failed = v1::SettingsUpdated { errors: errors.clone(), ..Default::default() };
        let cases = [
            (Kind::SettingsUpdated(Default::default()), CommandType::GroupUpdate, CommandResult::Succeeded),
            (Kind::SettingsUpdated(settings_failed), CommandType::GroupUpdate, CommandResult::Failed),
            (Kind::GroupCreated(Default::default()), CommandType::GroupCreate, CommandResult::Succeeded),
            (Kind::GroupCreateFailed(create_failed), CommandType::GroupCreate, CommandResult::Failed),
            (Kind::GroupDeleted(Default::default()), CommandType::GroupDelete, CommandResult::Succeeded),
            (
                Kind::GroupDeleteFailed(v1::GroupDeleteFailed { errors: errors.clone() }),
                CommandType::GroupDelete,
                CommandResult::Failed,
            ),
        ];
        for (kind, command, expected) in cases {
            let told = told(&kind).unwrap();
            let expected_errors = if expected == CommandResult::Failed { &errors[..] } else { &[] };
            assert_eq!((told.command, result(&told), &told.errors[..]), (command, expected, expected_errors));
        }
        assert!(told(&Kind::GroupSuspended(Default::default())).is_none());
    }
}
