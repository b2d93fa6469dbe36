//! Rejections: only an answer tells of them, at a time that is not surely between those of webhooks.

use super::*;

/// Of the request `id`, by somebody whom the provider's list named, if anybody did.
fn rejected(second: i64, id: &str, names: &[&str]) -> Record {
    let mut record = at(
        second,
        Kind::JoinRequestClosed(v1::JoinRequestClosed {
            participant: (!names.is_empty()).then(|| who(names)),
            join_request_id: Some(id.to_owned()),
            outcome: v1::JoinRequestOutcome::Rejected.into(),
            ..Default::default()
        }),
    );
    record.evidence = v1::Evidence::ApiReply.into();
    record
}

#[test]
fn a_rejection_puts_nobody_out() {
    let story = [requested(1, &["w:1"]), joined(3, &["w:1"]), rejected(5, "R", &["w:1"])];
    let group = group(&story);
    assert_eq!(who_is(&group, MemberStatus::Member), ["1"]);
    assert_eq!((group.members[0].joined_at_ms, group.members[0].via), (Some(3000), JoinVia::JoinRequest));
}

#[test]
fn a_rejection_closes_its_own_request_and_not_the_next_one() {
    let other = rejected(5, "before", &["w:1"]);
    assert_eq!(who_is(&group(&[requested(3, &["w:1"]), other]), MemberStatus::Pending), ["1"]);
    let own = rejected(5, "R", &["w:1"]);
    assert_eq!(who_is(&group(&[requested(3, &["w:1"]), own.clone()]), MemberStatus::Revoked), ["1"]);
    let again = requested(6, &["w:1"]);
    assert_eq!(who_is(&group(&[requested(3, &["w:1"]), own, again]), MemberStatus::Pending), ["1"]);
}

/// The webhook of the request comes later, or never.
#[test]
fn a_rejection_that_names_nobody_is_of_whoever_asked_by_that_request() {
    let nobody = || rejected(5, "R", &[]);
    let story = [requested(3, &["w:1"]), nobody()];
    let group = group(&story);
    assert_eq!((who_is(&group, MemberStatus::Revoked), group.members.len()), (vec!["1".to_owned()], 1));
    let lines = view::timeline(&fold(&story), GROUP).unwrap().unwrap();
    assert_eq!(lines[1].member.as_ref().unwrap().names.wa_id.as_deref(), Some("1"));
    let alone = super::group(&[joined(1, &["w:2"]), nobody()]);
    assert_eq!((who_is(&alone, MemberStatus::Member), alone.members.len()), (vec!["2".to_owned()], 1));
}
