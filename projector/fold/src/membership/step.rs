//! One fact and one person.

use groupfold_schemas::v1::{self, FactKind, JoinVia};

use super::Membership;
use crate::view::{Between, MemberStatus};

/// The one place where a membership changes; `None` where the fact is not about one. `between` is when it happened,
/// for what only a snapshot tells.
pub(super) fn step(
    old: Option<&Membership>,
    fact: &v1::Fact,
    between: Option<Between>,
) -> Option<Membership> {
    let snapshot = between.is_some();
    let time_ms = Some(fact.time_ms).filter(|_| !snapshot);
    let was = old.map(|old| old.status);
    let begun = old.cloned().unwrap_or(Membership {
        status: MemberStatus::Pending,
        role: v1::Role::Member,
        via: JoinVia::Unknown,
        joined_at_ms: None,
        left_at_ms: None,
        joined_between: None,
        left_between: None,
        join_request_id: None,
        requested_ms: None,
        told_ms: fact.time_ms,
        username: None,
        display_name: None,
    });
    let mut next = Membership { told_ms: fact.time_ms, ..begun.clone() };
    match fact.kind() {
        FactKind::MemberJoined if snapshot && was == Some(MemberStatus::Member) => {}
        FactKind::MemberJoined => {
            next.status = MemberStatus::Member;
            next.role = v1::Role::Member;
            next.via = if begun.requested_ms.is_some() { JoinVia::JoinRequest } else { fact.via() };
            (next.joined_at_ms, next.joined_between) = (time_ms, between);
            (next.left_at_ms, next.left_between) = (None, None);
            next.requested_ms = None;
            // Who came otherwise was let in by no request.
            next.join_request_id.take_if(|_| next.via != JoinVia::JoinRequest);
        }
        FactKind::JoinRequested => {
            next.status = MemberStatus::Pending;
            next.requested_ms = Some(fact.time_ms);
            if fact.join_request_id.is_some() || !(snapshot && begun.requested_ms.is_some()) {
                next.join_request_id.clone_from(&fact.join_request_id);
            }
        }
        FactKind::JoinRequestRejected if is_of_another_request(&begun, fact) => return None,
        FactKind::JoinRequestRevoked | FactKind::JoinRequestRejected => {
            next.status = MemberStatus::Revoked;
            next.requested_ms = None;
            if fact.join_request_id.is_some() {
                next.join_request_id.clone_from(&fact.join_request_id);
            }
        }
        FactKind::MemberLeft | FactKind::MemberGone | FactKind::MemberRemoved => {
            let removed = fact.kind() == FactKind::MemberRemoved;
            next.status = if removed { MemberStatus::Removed } else { MemberStatus::Left };
            (next.left_at_ms, next.left_between) = (time_ms, between);
            next.requested_ms = None;
        }
        FactKind::MemberPromoted if old.is_some() => next.role = v1::Role::Admin,
        FactKind::MemberDemoted if old.is_some() => next.role = v1::Role::Member,
        _ => return None,
    }
    let named = fact.participant.as_ref();
    next.username = named.and_then(|p| p.username.clone()).or(next.username);
    next.display_name = named.and_then(|p| p.display_name.clone()).or(next.display_name);
    Some(next)
}

/// What only an answer tells has no time that is surely between the provider's: a rejection puts nobody out, and closes no
/// request but its own.
fn is_of_another_request(begun: &Membership, fact: &v1::Fact) -> bool {
    let stands = begun.requested_ms.and(begun.join_request_id.as_ref());
    begun.status == MemberStatus::Member
        || stands.zip(fact.join_request_id.as_ref()).is_some_and(|(stands, closed)| stands != closed)
}
