//! Events of ours: the stations of a command, and what the provider's answer tells.

use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, CommandItem, CommandResult, CommandType, Evidence, Outcome, Record};

use super::rules::Broken;
use super::run::Work;
use super::{fitting, now_ms};
use crate::provider::{Advice, Answer, Done, ItemFate, Refusal};

/// Most that a command may ask for, as JSON: it must fit the store's entry of it.
pub(super) const ASKED_BYTES_MAX: usize = 16 * 1024;

/// Outcomes that a command remembers as not its own: more than one minute brings.
const KNOWN_MAX: usize = 8;

/// Which process writes.
pub(super) fn sender() -> String {
    format!("process {}", std::process::id())
}

/// A station on a command's way.
pub(super) enum Station {
    Requested {
        actor: Option<String>,
        idempotency_key: Option<String>,
    },
    Refused(Broken),
    /// With the outcomes of its kind that were known of its group of late, in order, and what tells the link before a
    /// reset.
    Sent(Vec<(i64, String)>, Option<String>),
    Answered(v1::CommandAnswered),
    Reconciled(v1::CommandReconciled),
}

impl Work {
    /// The event that a station is.
    pub(super) fn record(&self, time_ms: i64, station: Station) -> Record {
        let command_id = self.command_id.clone();
        let (name, evidence, kind) = match station {
            Station::Requested { actor, idempotency_key } => (
                "requested",
                Evidence::Unspecified,
                Kind::CommandRequested(v1::CommandRequested {
                    command_id,
                    r#type: self.wish.command_type().into(),
                    body: self.asked().into(),
                    asked_by: actor,
                    idempotency_key,
                    deadline_ms: self.deadline_ms,
                    items: self.wish.items(),
                    texts: self.wish.texts(),
                }),
            ),
            Station::Refused(Broken { code, field, rule }) => (
                "refused",
                Evidence::Unspecified,
                Kind::CommandRefused(v1::CommandRefused {
                    command_id,
                    code: code.to_owned(),
                    field: field.to_owned(),
                    rule: rule.to_owned(),
                }),
            ),
            Station::Sent(mut known, link_before) => {
                let later = known.split_off(known.len().saturating_sub(KNOWN_MAX));
                let after_time_ms = known.last().map(|(time_ms, _)| time_ms + 1);
                let known_outcomes = later.into_iter().map(|(_, event)| event).collect();
                let sender = sender();
                let sent = v1::CommandSent { command_id, sender, known_outcomes, after_time_ms, link_before };
                ("sent", Evidence::Unspecified, Kind::CommandSent(sent))
            }
            Station::Answered(answered) => {
                ("answered", Evidence::ApiReply, Kind::CommandAnswered(fitting::answered(answered)))
            }
            Station::Reconciled(seen) => {
                ("reconciled", Evidence::Snapshot, Kind::CommandReconciled(fitting::reconciled(seen)))
            }
        };
        self.event(time_ms, name, evidence, kind)
    }

    /// An event of ours that this command brings about; `name` tells it from its others. `time_ms` is by the provider's clock
    /// where its own events stand beside it.
    pub(super) fn event(&self, time_ms: i64, name: &str, evidence: Evidence, kind: Kind) -> Record {
        let id = [b"command".as_slice(), self.command_id.as_bytes(), name.as_bytes()];
        Record {
            event_id: EventId::hash(id).to_string(),
            provider: v1::Provider::Meta.into(),
            account: self.place.account.clone(),
            phone_number_id: self.place.phone_number_id.clone(),
            group_id: self.place.group_id.clone(),
            provider_time_ms: time_ms,
            // For most our own clock's, but told once: the same event never comes with another time.
            time_quality: v1::TimeQuality::Provider.into(),
            received_time_ms: now_ms(),
            evidence: evidence.into(),
            field: "commands".to_owned(),
            event: Some(v1::Event { kind: Some(kind) }),
            ..Record::default()
        }
    }

    /// The answer as the station that it is.
    pub(super) fn answered(&self, answer: &Answer) -> v1::CommandAnswered {
        let mut told = v1::CommandAnswered { command_id: self.command_id.clone(), ..Default::default() };
        let result = match answer {
            Answer::Accepted { request_id, message_id } => {
                told.request_id.clone_from(request_id);
                told.message_id.clone_from(message_id);
                match (message_id, self.sends()) {
                    // What becomes of a message is told by its receipts.
                    (Some(_), true) => CommandResult::Succeeded,
                    (None, true) => CommandResult::Unknown,
                    (_, false) => CommandResult::Accepted,
                }
            }
            Answer::Done(Done::JoinRequestsHandled(handled)) => {
                told.items = handled.iter().map(|name| self.item(name, None)).collect();
                CommandResult::Succeeded
            }
            Answer::Done(_) => CommandResult::Succeeded,
            Answer::Partly { items, request_id, errors } => {
                told.request_id.clone_from(request_id);
                told.errors.clone_from(errors);
                told.items = items
                    .iter()
                    .map(|ItemFate { item: name, refused }| self.item(name, refused.as_ref()))
                    .collect();
                let removes = self.wish.command_type() == CommandType::MembersRemove;
                let rest = told.items.len() < self.wish.items().len();
                if told.items.is_empty() || (rest && removes) {
                    // Not told for whom: a webhook will.
                    CommandResult::Accepted
                } else if rest {
                    CommandResult::Unknown
                } else {
                    of_items(&told.items)
                }
            }
            Answer::Refused(refusal) => {
                told.errors.clone_from(&refusal.errors);
                (told.code, told.advice) = (refusal.code.to_owned(), refusal.advice.name().to_owned());
                if refusal.advice != Advice::TreatAsDone {
                    CommandResult::Failed
                } else if self.wish.items().len() > 1 || self.lets_in() {
                    // Said of the whole: it may be so of one of them alone, and nothing was done for the others.
                    told.advice = Advice::Reconcile.name().to_owned();
                    CommandResult::Unknown
                } else {
                    CommandResult::Succeeded
                }
            }
            Answer::Unknown(unsure) => {
                let advice = Advice::Reconcile.name();
                (told.code, told.advice) = (unsure.name().to_owned(), advice.to_owned());
                CommandResult::Unknown
            }
        };
        told.result = result.into();
        told
    }

    fn item(&self, name: &str, refused: Option<&Refusal>) -> CommandItem {
        let outcome = match refused.map(|refusal| refusal.advice) {
            None => Outcome::Succeeded,
            Some(Advice::TreatAsDone) if self.lets_in() => Outcome::Unknown,
            Some(Advice::TreatAsDone) => Outcome::Succeeded,
            Some(_) => Outcome::Failed,
        };
        let errors = refused.map(|refusal| refusal.errors.clone()).unwrap_or_default();
        CommandItem { name: name.to_owned(), outcome: outcome.into(), errors }
    }

    /// A request that is gone may have been granted or taken back: whether who asked is in is to be seen.
    fn lets_in(&self) -> bool {
        self.wish.command_type() == CommandType::RequestsApprove
    }
}

/// What the outcomes of all amount to.
pub(super) fn of_items(items: &[CommandItem]) -> CommandResult {
    let succeeded = items.iter().filter(|item| item.outcome() == Outcome::Succeeded).count();
    if items.iter().any(|item| item.outcome() == Outcome::Unknown) {
        CommandResult::Unknown
    } else if succeeded == items.len() {
        CommandResult::Succeeded
    } else if succeeded == 0 {
        CommandResult::Failed
    } else {
        CommandResult::Partly
    }
}

#[cfg(test)]
mod tests {
    use groupfold_projector::desk::Wish;

    use super::super::group::Place;
    use super::*;

    fn told(wish: Wish, answer: &Answer) -> (CommandResult, usize) {
        let place = Place { account: "A".into(), phone_number_id: "1".into(), group_id: "G".into() };
        let work = Work::new("c".into(), place, wish, None, 0, std::time::Duration::ZERO);
        let told = work.answered(answer);
        (told.result(), told.items.len())
    }

    /// Whoever the answer does not name has no fate yet.
    #[test]
    fn an_answer_about_some_is_none_about_the_rest() {
        let two = || vec!["a".to_owned(), "b".to_owned()];
        let some = |refused: Option<Refusal>| Answer::Partly {
            items: vec![ItemFate { item: "a".to_owned(), refused }],
            request_id: None,
            errors: Vec::new(),
        };
        let gone = || Refusal::of("join_request_gone", Advice::TreatAsDone);
        let reject = |join_requests| Wish::RejectJoinRequests { join_requests };
        let approve = |join_requests| Wish::ApproveJoinRequests { join_requests };
        let one = || vec!["a".to_owned()];
        for (wish, answer, expected) in [
            (reject(two()), some(None), CommandResult::Unknown),
            (reject(one()), some(None), CommandResult::Succeeded),
            (reject(one()), some(Some(gone())), CommandResult::Succeeded),
            (approve(one()), some(Some(gone())), CommandResult::Unknown),
            (Wish::RemoveMembers { members: two() }, some(None), CommandResult::Accepted),
        ] {
            assert_eq!(told(wish.clone(), &answer), (expected, 1), "{wish:?}");
        }
        let none = Answer::Partly { items: Vec::new(), request_id: None, errors: Vec::new() };
        for wish in [Wish::DeleteGroup, reject(one()), Wish::RemoveMembers { members: one() }] {
            assert_eq!(told(wish, &none), (CommandResult::Accepted, 0));
        }
        let whole = Answer::Refused(gone());
        assert_eq!(told(reject(one()), &whole).0, CommandResult::Succeeded);
        assert_eq!(told(reject(two()), &whole).0, CommandResult::Unknown);
        assert_eq!(told(approve(one()), &whole).0, CommandResult::Unknown);
    }
}
