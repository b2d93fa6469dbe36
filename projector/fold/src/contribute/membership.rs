//! Contributions of events about persons.

use groupfold_schemas::v1::{self, FactKind, FailureType};

use super::{Contribution, fact_of_errors};
use crate::identity::first_name;

impl Contribution<'_> {
    /// Adds a line about a person.
    pub(super) fn member(&mut self, kind: FactKind, participant: &v1::Participant, fact: v1::Fact) {
        let about = first_name(participant).as_ref().map(super::Alias::encode).unwrap_or_default();
        self.link(participant);
        self.fact(kind, &about, v1::Fact { participant: Some(participant.clone()), ..fact });
    }

    pub(super) fn joined(&mut self, event: &v1::ParticipantsJoined) {
        for participant in &event.participants {
            let fact = v1::Fact { via: via(event, participant).into(), ..Default::default() };
            self.member(FactKind::MemberJoined, participant, fact);
        }
    }

    pub(super) fn ended(&mut self, event: &v1::ParticipantsEnded) {
        let kind = match event.reason() {
            v1::EndReason::Left => FactKind::MemberLeft,
            v1::EndReason::Removed => FactKind::MemberRemoved,
            v1::EndReason::Unknown => FactKind::MemberGone,
        };
        for participant in &event.ended {
            self.member(kind, participant, v1::Fact::default());
        }
        let first_errors = event.failed.iter().map(|failed| &failed.errors).find(|errors| !errors.is_empty());
        let overall = if event.errors.is_empty() { first_errors } else { Some(&event.errors) };
        for failed in &event.failed {
            let errors = if failed.errors.is_empty() { overall } else { Some(&failed.errors) };
            let fact = fact_of_errors(errors.map_or(&[], Vec::as_slice));
            let participant = failed.participant.clone().unwrap_or_default();
            self.member(FactKind::RemoveFailed, &participant, fact);
        }
        if event.failed.is_empty() && !event.errors.is_empty() {
            self.fact(FactKind::RemoveFailed, "", fact_of_errors(&event.errors));
        }
        if !event.failed.is_empty() || !event.errors.is_empty() {
            let errors = overall.map_or(&[][..], Vec::as_slice);
            self.last_failure(FailureType::Remove, FactKind::RemoveFailed, errors);
        }
    }

    pub(super) fn join_requested(&mut self, event: &v1::JoinRequested) {
        let fact = v1::Fact { join_request_id: event.join_request_id.clone(), ..Default::default() };
        let participant = event.participant.clone().unwrap_or_default();
        self.member(FactKind::JoinRequested, &participant, fact);
    }

    pub(super) fn join_request_closed(&mut self, event: &v1::JoinRequestClosed) {
        let kind = match event.outcome() {
            v1::JoinRequestOutcome::Rejected => FactKind::JoinRequestRejected,
            v1::JoinRequestOutcome::Revoked | v1::JoinRequestOutcome::Unknown => FactKind::JoinRequestRevoked,
            // The request still stands.
            v1::JoinRequestOutcome::Failed => {
                let kind = FactKind::JoinRequestRejected;
                return self.last_failure(FailureType::JoinRequest, kind, &event.errors);
            }
        };
        let fact = v1::Fact { join_request_id: event.join_request_id.clone(), ..Default::default() };
        let participant = event.participant.clone().unwrap_or_default();
        self.member(kind, &participant, fact);
    }

    pub(super) fn role_changed(&mut self, event: &v1::RoleChanged) {
        let admin = event.role() == v1::Role::Admin;
        let kind = if admin { FactKind::MemberPromoted } else { FactKind::MemberDemoted };
        for participant in &event.participants {
            self.member(kind, participant, v1::Fact::default());
        }
    }

    /// A snapshot says what is, not since when: its members are facts with evidence `snapshot`, and one fact more tells
    /// how whole it is. What they mean depends on what else is known, see `membership`.
    pub(super) fn snapshot(&mut self, event: &v1::GroupSnapshot) {
        self.snapshot_head(event);
        for member in &event.participants {
            let participant = member.participant.clone().unwrap_or_default();
            let kind = if member.pending { FactKind::JoinRequested } else { FactKind::MemberJoined };
            let fact = v1::Fact { join_request_id: member.join_request_id.clone(), ..Default::default() };
            self.member(kind, &participant, fact);
            let role = match member.role() {
                v1::Role::Admin => FactKind::MemberPromoted,
                v1::Role::Member => FactKind::MemberDemoted,
                v1::Role::Unspecified => continue,
            };
            self.member(role, &participant, v1::Fact::default());
        }
        let taken = v1::Fact {
            members_whole: event.participants_complete,
            requests_whole: event.join_requests_complete,
            read_until_ms: event.read_until_ms,
            ..Default::default()
        };
        self.fact(FactKind::SnapshotTaken, "", taken);
    }
}

/// A join by link and an approved request read alike but for the spelling that the approval echoes: it tells of
/// the one participant that has it, not of the others of the event.
fn via(event: &v1::ParticipantsJoined, participant: &v1::Participant) -> v1::JoinVia {
    match event.reason.as_deref() {
        Some("invite_link") if participant.input.is_some() => v1::JoinVia::JoinRequest,
        Some("invite_link") => v1::JoinVia::InviteLink,
        _ => event.via(),
    }
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1::event::Kind;

    use super::*;
    use crate::apply::Contributions;
    use crate::entry::Value;
    use crate::story::{at, who};

    /// The provider names the errors of a failed removal once, beside any of those who stayed.
    #[test]
    fn errors_of_one_who_stayed_are_those_of_all_that_have_none() {
        let errors = vec![v1::ProviderError { code: "131".to_owned(), ..Default::default() }];
        let stayed = |name: &str, errors: &[v1::ProviderError]| v1::ParticipantFailure {
            participant: Some(who(&[name])),
            errors: errors.to_vec(),
        };
        let event = v1::ParticipantsEnded {
            reason: v1::EndReason::Removed.into(),
            failed: vec![stayed("w:1", &[]), stayed("w:2", &errors)],
            ..Default::default()
        };
        let contributions = Contributions::of([&at(1, Kind::ParticipantsEnded(event))]);
        let told: Vec<_> = contributions
            .values()
            .filter_map(|value| match value {
                Value::Fact(fact) => Some(&fact.errors),
                Value::Head(head) => head.last_failure.as_ref().map(|failure| &failure.errors),
                _ => None,
            })
            .collect();
        assert_eq!(told, [&errors; 3], "of both, and as the group's last failure");
    }
}
