//! Joins, ends of memberships and join requests.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    Actor, EndReason, JoinRequestClosed, JoinRequestOutcome, JoinRequested, JoinVia, Participant,
    ParticipantFailure, ParticipantsEnded, ParticipantsJoined,
};

use super::draft::{Draft, business, participant};
use super::fault::Result;
use super::group::Common;
use super::node::Node;
use super::person;

/// `group_participants_add`.
pub(super) fn joined(node: &Node<'_, '_>, common: Common) -> Result<Draft> {
    let people = person::participants(node, "added_participants")?;
    if people.is_empty() {
        return Err(node.missing("added_participants", "a list of at least one participant"));
    }
    let reason = node.text("reason")?;
    // An approved request also reads "invite_link" and differs from a join by link in `input` alone.
    let echoes_a_command = people.iter().any(|p| p.input.is_some());
    let via = match reason.as_deref() {
        Some("invite_link") if echoes_a_command => JoinVia::JoinRequest,
        Some("invite_link") => JoinVia::InviteLink,
        Some("admin_approval") => JoinVia::JoinRequest,
        _ => JoinVia::Unknown,
    };
    let key = common.key(common.outcome(true), person::keys(&people), "", String::new());
    let actor = (via == JoinVia::InviteLink).then(|| participant(&people));
    let kind = Kind::ParticipantsJoined(ParticipantsJoined { participants: people, via: via.into(), reason });
    let mut draft = common.into_draft(kind, key);
    draft.actor = actor.or(draft.actor);
    Ok(draft)
}

/// `group_participants_remove`: removed by the business, in part or not at all, or left.
pub(super) fn ended(node: &Node<'_, '_>, mut common: Common) -> Result<Draft> {
    let ended = person::participants(node, "removed_participants")?;
    let failed = failures(node)?;
    // A removal that fails as a whole may name nobody.
    if ended.is_empty() && failed.is_empty() && common.errors.is_empty() {
        return Err(node.missing("removed_participants", "a list of at least one participant"));
    }
    let initiated_by = node.text("initiated_by")?;
    let reason = end_reason(initiated_by.as_deref(), &ended, &failed, common.request_id.is_some());
    let outcome = match (ended.is_empty(), failed.is_empty()) {
        (false, true) => common.outcome(true),
        (false, false) => "partial",
        (true, _) => "failed",
    };
    let failed_people = failed.iter().filter_map(|f| f.participant.as_ref());
    let key = common.key(outcome, person::keys(&ended), "", person::keys(failed_people));
    let actor = actor(reason, &ended);
    let errors = std::mem::take(&mut common.errors);
    let kind = Kind::ParticipantsEnded(ParticipantsEnded { reason: reason.into(), ended, failed, errors });
    let mut draft = common.into_draft(kind, key);
    draft.actor = actor;
    Ok(draft)
}

fn failures(node: &Node<'_, '_>) -> Result<Vec<ParticipantFailure>> {
    let failed = node.objects("failed_participants")?;
    let failure = |node: &Node<'_, '_>| {
        let participant = Some(person::participant(node)?);
        Ok(ParticipantFailure { participant, errors: person::errors(node)? })
    };
    failed.iter().map(failure).collect()
}

/// Where nobody says who did it: a command has a request id and echoes its `input`; who leaves is named
/// by the ids that the provider itself uses.
fn end_reason(
    initiated_by: Option<&str>,
    ended: &[Participant],
    failed: &[ParticipantFailure],
    has_request: bool,
) -> EndReason {
    let echoes_a_command = ended.is_empty() || !failed.is_empty() || ended.iter().any(|p| p.input.is_some());
    match initiated_by {
        Some("participant") => EndReason::Left,
        Some("business") => EndReason::Removed,
        Some(_) => EndReason::Unknown,
        None if has_request || echoes_a_command => EndReason::Removed,
        None => EndReason::Left,
    }
}

fn actor(reason: EndReason, ended: &[Participant]) -> Option<Actor> {
    match reason {
        EndReason::Left => Some(participant(ended)),
        EndReason::Removed => Some(business()),
        EndReason::Unknown => None,
    }
}

/// `group_join_request_created`.
pub(super) fn requested(node: &Node<'_, '_>, common: Common) -> Result<Draft> {
    let request = Request::read(node)?;
    let event = JoinRequested {
        participant: Some(request.person.clone()),
        join_request_id: request.id.clone(),
        reason: request.reason.clone(),
    };
    Ok(request.into_draft(common, Kind::JoinRequested(event)))
}

/// `group_join_request_revoked`: the person took the request back.
pub(super) fn request_revoked(node: &Node<'_, '_>, common: Common) -> Result<Draft> {
    let request = Request::read(node)?;
    let event = JoinRequestClosed {
        participant: Some(request.person.clone()),
        join_request_id: request.id.clone(),
        outcome: JoinRequestOutcome::Revoked.into(),
        reason: request.reason.clone(),
        errors: Vec::new(),
    };
    Ok(request.into_draft(common, Kind::JoinRequestClosed(event)))
}

struct Request {
    person: Participant,
    id: Option<String>,
    reason: Option<String>,
}

impl Request {
    /// The person's names stand in the group object itself.
    fn read(node: &Node<'_, '_>) -> Result<Self> {
        Ok(Self {
            person: person::participant(node)?,
            id: node.id("join_request_id")?,
            reason: node.text("reason")?,
        })
    }

    fn into_draft(self, common: Common, kind: Kind) -> Draft {
        let id = self.id.unwrap_or_default();
        let key = common.key("ok", person::key(&self.person), &id, String::new());
        let mut draft = common.into_draft(kind, key);
        draft.actor = Some(participant(&[self.person]));
        draft
    }
}
