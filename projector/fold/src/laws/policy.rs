//! What the platform says, on short stories in every order.

use super::*;

/// A word of the platform under an id that a key of its own gives.
fn said(second: i64, key: u8, kind: Kind) -> Record {
    let mut record = at(second, kind);
    record.event_id = format!("{key:032x}");
    record.evidence = v1::Evidence::Platform.into();
    record.time_quality = v1::TimeQuality::Received.into();
    record
}

fn archive(archived: bool, newest: Option<&Record>) -> Kind {
    let newest =
        newest.map(|r| v1::MessageMark { time_ms: r.provider_time_ms, event_id: r.event_id.clone() });
    Kind::ArchiveSet(v1::ArchiveSet { archived, newest })
}

#[test]
fn a_word_repeated_later_under_its_id_undoes_nothing_said_in_between() {
    let (put_on, taken_off) = (
        Kind::LabelSet(v1::LabelSet { label: "vip".into(), present: true }),
        Kind::LabelSet(v1::LabelSet { label: "vip".into(), present: false }),
    );
    let story = [
        said(1, 1, put_on.clone()),
        said(2, 2, taken_off),
        said(9, 1, put_on),
        said(3, 3, archive(true, None)),
    ];
    let memory = fold(&story);
    let policy = view::policy(&memory, GROUP).unwrap().unwrap();
    assert!(policy.labels.is_empty() && policy.archived);
    assert_eq!(view::timeline(&memory, GROUP).unwrap().unwrap().len(), 3);
}

#[test]
fn a_message_that_was_not_known_reopens_an_archived_group_and_no_other() {
    let (known, late, newer) = (message(5, &["w:1"]), message(3, &["w:1"]), message(6, &["w:1"]));
    let archived = |story: &[Record]| group(story).policy.archived;
    let put_aside = said(100, 1, archive(true, Some(&known)));
    assert!(archived(&[put_aside.clone(), known.clone()]));
    assert!(archived(&[put_aside.clone(), known.clone(), late]), "older than what was known");
    assert!(!archived(&[put_aside.clone(), known.clone(), newer.clone()]));
    let again = said(101, 2, archive(true, Some(&newer)));
    assert!(archived(&[put_aside, known, newer, again]));
}

#[test]
fn moderators_alone_may_where_there_are_any_and_the_platform_always() {
    let moderators = |second, key, users: &[&str]| {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        said(second, key, Kind::ModeratorsSet(v1::ModeratorsSet { users }))
    };
    let set = moderators(2, 1, &["ana"]);
    let policy = group(&[set.clone(), joined(1, &["w:1"])]).policy;
    assert!(policy.may(Some("ana")) && !policy.may(Some("bob")) && policy.may(None));
    let policy = group(&[set, moderators(3, 2, &[])]).policy;
    assert!(policy.may(Some("bob")));
}

#[test]
fn what_the_platform_says_of_a_group_says_nothing_of_where_it_belongs() {
    let mut early = said(1, 1, Kind::BlockSet(v1::BlockSet { blocked: true }));
    early.phone_number_id = "ANOTHER".into();
    let group = group(&[early, joined(5, &["w:1"])]);
    assert_eq!((group.origin.phone_number_id.as_str(), group.policy.blocked), ("PN", true));
}

#[test]
fn the_first_view_of_a_user_stays_and_the_group_is_the_one_of_the_reports() {
    let viewed = |second, key, user: &str, group: &str| {
        let event = v1::MessageViewed { message_id: "M1".into(), user_id: user.into() };
        let mut record = said(second, key, Kind::MessageViewed(event));
        record.group_id = group.into();
        record
    };
    let memory = fold(&[
        viewed(7, 1, "ana", GROUP),
        viewed(5, 2, "ana", "G2"),
        viewed(9, 3, "bob", GROUP),
        receipt(8, ReceiptStatus::Read, &["w:1"]),
    ]);
    let receipts = view::receipts(&memory, "M1").unwrap().unwrap();
    assert_eq!(receipts.group_id.as_deref(), Some(GROUP));
    let users: Vec<_> = receipts.users.iter().map(|u| (u.user_id.as_str(), u.viewed_at_ms)).collect();
    assert_eq!(users, [("ana", 7000), ("bob", 9000)], "a view told in another group is not of this message");
    assert_eq!(receipts.members.len(), 1);
}
