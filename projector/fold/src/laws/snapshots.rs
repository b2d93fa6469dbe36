//! Snapshots between reports, in every order.

use groupfold_schemas::v1::SnapshotParticipant;

use super::*;
use crate::view::{Between, Entry};

/// The group as it was read just before a second: members by names, whole.
fn snapshot(second: i64, members: &[&[&str]]) -> Record {
    let listed =
        |names: &&[&str]| SnapshotParticipant { participant: Some(who(names)), ..Default::default() };
    read(
        second,
        Kind::GroupSnapshot(v1::GroupSnapshot {
            participants: members.iter().map(listed).collect(),
            participants_complete: true,
            join_requests_complete: true,
            suspended: Some(false),
            ..Default::default()
        }),
    )
}

/// The same, read to its end at another second.
fn snapshot_until(second: i64, until: i64, members: &[&[&str]]) -> Record {
    let mut record = snapshot(second, members);
    if let Some(v1::Event { kind: Some(Kind::GroupSnapshot(snapshot)) }) = &mut record.event {
        snapshot.read_until_ms = until * 1000;
    }
    record
}

fn read(second: i64, kind: Kind) -> Record {
    let mut record = at(second, kind);
    record.provider_time_ms -= 1;
    record.evidence = v1::Evidence::Snapshot.into();
    record
}

fn between(after: Option<i64>, by: i64) -> Option<Between> {
    Some(Between { after_ms: after.map(|second| second * 1000), by_ms: by * 1000 - 1 })
}

fn lines(story: &[Record]) -> Vec<Entry> {
    view::timeline(&fold(story), GROUP).unwrap().unwrap()
}

#[test]
fn a_missed_join_is_known_with_its_interval() {
    let story = [snapshot(5, &[&["w:1"]]), snapshot(9, &[&["w:1"], &["w:2"]])];
    let group = group(&story);
    assert_eq!(
        (group.status, who_is(&group, MemberStatus::Member)),
        (Status::Active, vec!["1".into(), "2".into()])
    );
    let of = |wa: &str| group.members.iter().find(|m| m.names.wa_id.as_deref() == Some(wa)).unwrap();
    assert_eq!((of("1").joined_at_ms, of("1").joined_between), (None, between(None, 5)));
    // Who was not there at the first one came after it.
    let after_first = Some(Between { after_ms: Some(4999), by_ms: 8999 });
    assert_eq!((of("2").joined_at_ms, of("2").joined_between), (None, after_first));
    let told: Vec<_> = lines(&story).into_iter().map(|line| (line.kind, line.between)).collect();
    let joined = EntryKind::Fact(FactKind::MemberJoined);
    assert_eq!(told, [(joined, between(None, 5)), (joined, after_first)]);
}

#[test]
fn a_missed_leave_is_known_with_its_interval() {
    let story = [joined(1, &["w:1"]), joined(2, &["w:2"]), snapshot(9, &[&["w:1"]])];
    let group = group(&story);
    assert_eq!(
        (who_is(&group, MemberStatus::Member), who_is(&group, MemberStatus::Left)),
        (vec!["1".into()], vec!["2".into()])
    );
    let gone = group.members.iter().find(|m| m.status == MemberStatus::Left).unwrap();
    assert_eq!((gone.left_at_ms, gone.left_between), (None, between(Some(2), 9)));
    let last = lines(&story).pop().unwrap();
    assert_eq!((last.kind, last.between), (EntryKind::Fact(FactKind::MemberGone), between(Some(2), 9)));
    assert_eq!(last.member.unwrap().names.wa_id.as_deref(), Some("2"));
}

#[test]
fn a_webhook_that_comes_late_takes_the_place_of_what_was_found_out() {
    let story = [
        joined(1, &["w:1"]),
        snapshot(9, &[&["w:2"]]),
        joined(8, &["w:2"]),
        ended(7, EndReason::Left, &["w:1"]),
    ];
    let group = group(&story);
    let left = group.members.iter().find(|m| m.status == MemberStatus::Left).unwrap();
    assert_eq!((left.left_at_ms, left.left_between), (Some(7000), None));
    let member = group.members.iter().find(|m| m.status == MemberStatus::Member).unwrap();
    assert_eq!((member.joined_at_ms, member.joined_between), (Some(8000), None));
    assert!(lines(&story).iter().all(|line| line.between.is_none()));
}

#[test]
fn a_snapshot_never_overrides_a_newer_webhook() {
    let renamed = |second, text: &str| {
        let value = v1::setting_value::Value::Text(text.to_owned());
        let change = v1::SettingChange {
            setting: v1::Setting::Subject.into(),
            new: Some(v1::SettingValue { value: Some(value) }),
            outcome: v1::Outcome::Succeeded.into(),
            ..Default::default()
        };
        at(second, Kind::SettingsUpdated(v1::SettingsUpdated { changes: vec![change], errors: Vec::new() }))
    };
    let mut old = snapshot(5, &[&["w:1"]]);
    if let Some(v1::Event { kind: Some(Kind::GroupSnapshot(snapshot)) }) = &mut old.event {
        snapshot.subject = Some("old".to_owned());
    }
    // In the very second in which it was read, a webhook wins.
    let story = [old.clone(), renamed(5, "new"), ended(5, EndReason::Left, &["w:1"]), joined(6, &["w:2"])];
    let group = group(&story);
    assert_eq!(group.subject.as_deref(), Some("new"));
    assert_eq!(
        (who_is(&group, MemberStatus::Member), who_is(&group, MemberStatus::Left)),
        (vec!["2".into()], vec!["1".into()])
    );
    let older = super::group(&[old, renamed(4, "older")]);
    assert_eq!(older.subject.as_deref(), Some("old"));
}

#[test]
fn nobody_is_gone_by_a_list_that_is_not_whole() {
    let mut part = snapshot(9, &[&["w:1"]]);
    if let Some(v1::Event { kind: Some(Kind::GroupSnapshot(snapshot)) }) = &mut part.event {
        snapshot.participants_complete = false;
    }
    let group = group(&[joined(1, &["w:1"]), joined(2, &["w:2"]), requested(3, &["w:3"]), part]);
    assert_eq!(
        (who_is(&group, MemberStatus::Member).len(), who_is(&group, MemberStatus::Pending).len()),
        (2, 1)
    );
}

#[test]
fn a_request_that_is_listed_no_more_is_closed_and_one_let_in_came_by_it() {
    let story = [requested(1, &["w:1"]), requested(2, &["w:2"]), snapshot(9, &[&["w:2"]])];
    let group = group(&story);
    assert_eq!(who_is(&group, MemberStatus::Revoked), ["1"]);
    let member = group.members.iter().find(|m| m.status == MemberStatus::Member).unwrap();
    assert_eq!((member.via, member.joined_between), (JoinVia::JoinRequest, between(Some(2), 9)));
}

#[test]
fn a_snapshot_that_shows_what_is_known_adds_no_line() {
    let known = [joined(1, &["w:1", "u:A"]), snapshot(5, &[&["u:A"]]), snapshot(7, &[&["w:1"]])];
    assert_eq!(lines(&known).len(), 1);
    assert_eq!(group(&known).members[0].joined_at_ms, Some(1000));
}

#[test]
fn a_deletion_is_found_out_once_and_not_beside_a_reported_one() {
    let found = |second| read(second, Kind::GroupDeleted(v1::GroupDeleted {}));
    let story = [joined(1, &["w:1"]), found(5), found(9)];
    let deletions = |story: &[Record]| {
        let lines = lines(story).into_iter();
        let deleted = EntryKind::Fact(FactKind::GroupDeleted);
        lines.filter(|line| line.kind == deleted).map(|line| line.between).collect::<Vec<_>>()
    };
    assert_eq!(deletions(&story), [between(Some(1), 5)]);
    assert_eq!(group(&story).status, Status::Deleted);
    let reported = at(3, Kind::GroupDeleted(v1::GroupDeleted {}));
    assert_eq!(deletions(&[joined(1, &["w:1"]), found(5), reported]), [None]);
}

/// What a snapshot shows stands in the order in which things of one moment do: who asks no more, then who came in.
#[test]
fn what_one_snapshot_shows_has_an_order() {
    let told = lines(&[requested(1, &["w:1"]), snapshot(5, &[&["w:2"]])]);
    let kinds: Vec<_> = told.into_iter().map(|line| line.kind).collect();
    let expected = [FactKind::JoinRequested, FactKind::JoinRequestRevoked, FactKind::MemberJoined];
    assert_eq!(kinds, expected.map(EntryKind::Fact));
}

/// What happened while a group was read is in what was read, and told of a later time than that: it was told twice.
#[test]
fn what_is_reported_while_a_group_is_read_is_not_found_out_as_well() {
    let known = [joined(1, &["w:1"]), joined(2, &["w:2"]), requested(3, &["w:3"])];
    let snapshot = snapshot_until(9, 11, &[&["w:1"], &["w:4"]]);
    let told = [ended(9, EndReason::Left, &["w:2"]), joined(10, &["w:3"]), joined(11, &["w:4"])];
    let story = [&known[..], &[snapshot], &told].concat();
    let kinds = |story: &[Record]| -> Vec<_> {
        lines(story).into_iter().map(|line| (line.kind, line.between.is_some())).collect()
    };
    let all = [
        FactKind::MemberJoined,
        FactKind::MemberJoined,
        FactKind::JoinRequested,
        FactKind::MemberLeft,
        FactKind::MemberJoined,
        FactKind::MemberJoined,
    ];
    assert_eq!(kinds(&story), all.map(|kind| (EntryKind::Fact(kind), false)));
    let group = group(&story);
    assert_eq!(who_is(&group, MemberStatus::Member), ["1", "3", "4"]);
    let asked = group.members.iter().find(|member| member.names.wa_id.as_deref() == Some("3")).unwrap();
    assert_eq!((asked.via, asked.joined_at_ms), (JoinVia::JoinRequest, Some(10_000)));
}

/// Reported of a later time, something else is told: who came and went and came again is listed by the first time.
#[test]
fn what_is_reported_after_a_group_was_read_is_another_thing() {
    let story = [joined(1, &["w:1"]), snapshot_until(9, 11, &[&["w:2"]]), joined(12, &["w:1"])];
    let told: Vec<_> = lines(&story).into_iter().map(|line| (line.kind, line.between.is_some())).collect();
    let expected = [
        (FactKind::MemberJoined, false),
        (FactKind::MemberJoined, true),
        (FactKind::MemberGone, true),
        (FactKind::MemberJoined, false),
    ];
    assert_eq!(told, expected.map(|(kind, found)| (EntryKind::Fact(kind), found)));
}
