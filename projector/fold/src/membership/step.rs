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
        requested: false,
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
            next.via = if begun.requested { JoinVia::JoinRequest } else { fact.via() };
            (next.joined_at_ms, next.joined_between) = (time_ms, between);
            (next.left_at_ms, next.left_between) = (None, None);
            next.requested = false;
        }
        FactKind::JoinRequested => {
            next.status = MemberStatus::Pending;
            next.requested = true;
            if fact.join_request_id.is_some() || !(snapshot && begun.requested) {
                next.join_request_id.clone_from(&fact.join_request_id);
            }
        }
        FactKind::JoinRequestRevoked | FactKind::JoinRequestRejected => {
            next.status = MemberStatus::Revoked;
            next.requested = false;
            if fact.join_request_id.is_some() {
                next.join_request_id.clone_from(&fact.join_request_id);
            }
        }
        FactKind::MemberLeft | FactKind::MemberGone | FactKind::MemberRemoved => {
            let removed = fact.kind() == FactKind::MemberRemoved;
            next.status = if removed { MemberStatus::Removed } else { MemberStatus::Left };
            (next.left_at_ms, next.left_between) = (time_ms, between);
            next.requested = false;
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
