//! Changes told of short stories, in many orders.

mod followed;
mod whole;

use std::collections::BTreeMap;

use groupfold_schemas::v1::change_value::Value as Of;
use groupfold_schemas::v1::{self, ChangeKind, EndReason, ReceiptStatus, Record};

use super::diff::member_state;
use super::followed::GROUPS_MAX;
use super::*;
use crate::story::{GROUP, changed, ended, joined, message, receipt, renamed, requested, revoked};

fn at(sequence: usize) -> At {
    At { sequence: sequence as u64 + 1, log_time_ms: 0 }
}

/// Applies records in batches of `batch`, each over what the ones before left.
fn tell(records: &[Record], batch: usize) -> (Memory, Vec<v1::Change>) {
    tell_as(records, batch, true)
}

/// The same, where it is told whether groups are followed from one batch to the next, or a process begins with each.
fn tell_as(records: &[Record], batch: usize, goes_on: bool) -> (Memory, Vec<v1::Change>) {
    let (mut memory, mut told, mut sequence) = (Memory::default(), Vec::new(), 0);
    let mut followed = Followed::default();
    for records in records.chunks(batch) {
        let source = memory.clone();
        // What the records contribute to is loaded, as the projector does.
        let contributions = Contributions::of(records);
        let load = |key: &Vec<u8>| Some((key.clone(), source.0.get(key)?.clone()));
        let loaded = Memory(contributions.keys().filter_map(load).collect());
        let mut telling = Telling::new(&source, loaded).following(followed);
        for record in records {
            told.extend(telling.apply(record, Contributions::of([record]), at(sequence)).unwrap());
            sequence += 1;
        }
        let changes;
        (changes, followed) = telling.finish_following();
        followed = if goes_on { followed } else { Followed::default() };
        memory.0.extend(changes.puts);
    }
    (memory, told)
}

fn story() -> Vec<Record> {
    vec![
        joined(1, &["w:1", "u:A"]),
        requested(2, &["w:2"]),
        joined(3, &["w:2"]),
        receipt(4, ReceiptStatus::Delivered, &["w:1"]),
        receipt(5, ReceiptStatus::Read, &["w:2", "u:B"]),
        renamed(6, &["w:1"], &["w:3"]),
        renamed(7, &["w:3"], &["w:4"]),
        message(8, &["w:4"]),
        ended(9, EndReason::Left, &["w:2"]),
        joined(10, &["w:1"]),
        requested(11, &["w:5"]),
        revoked(11, &["w:5"]),
        // A change of user ids that is told when the new one is in use, and the old one still.
        joined(12, &["u:D"]),
        ended(13, EndReason::Left, &["u:E"]),
        changed(14, v1::IdentityChangeKind::UserId, &["u:D"], &["w:2", "u:E"], "m"),
        requested(15, &["u:D"]),
    ]
}

/// The story in an order that a number chooses, with duplicates.
fn shuffled(seed: u64) -> Vec<Record> {
    let mut all = story();
    all.extend(story().into_iter().step_by(3));
    shuffle(all, seed)
}

fn shuffle(mut left: Vec<Record>, mut seed: u64) -> Vec<Record> {
    let mut out = Vec::new();
    while !left.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.push(left.remove((seed >> 33) as usize % left.len()));
    }
    out
}

#[test]
fn any_cut_into_batches_tells_the_same_changes_and_leads_to_the_same_state() {
    for seed in 0..60 {
        let records = shuffled(seed);
        let one = tell(&records, 1);
        for batch in [2, 5, 100] {
            assert_eq!(tell(&records, batch), one, "seed {seed}, batches of {batch}");
        }
        let mut memory = Memory::default();
        let digest = memory.apply(&records).unwrap();
        assert_eq!(one.0, memory, "seed {seed}");
        let empty = Memory::default();
        let mut all = Telling::new(&empty, Memory::default());
        for (i, record) in records.iter().enumerate() {
            all.apply(record, Contributions::of([record]), at(i)).unwrap();
        }
        let all = all.finish();
        assert_eq!(all.digest, digest, "seed {seed}");
        assert_eq!(all.groups[GROUP], memory.group_digest(GROUP), "seed {seed}");
    }
}

#[test]
fn whoever_follows_the_changes_ends_with_the_members_and_the_window_that_are_shown() {
    for seed in 0..200 {
        let records = shuffled(seed);
        let (memory, changes) = tell(&records, 4);
        let mut members: BTreeMap<String, Of> = BTreeMap::new();
        let mut rest: BTreeMap<&str, Of> = BTreeMap::new();
        for change in &changes {
            let kind = change.kind();
            let of = |side: &Option<v1::ChangeValue>| side.clone().and_then(|side| side.value);
            let (before, after) = (of(&change.before), of(&change.after));
            assert_ne!(before, after, "seed {seed}: a change changes something");
            let had = match (&change.member_id, kind) {
                (Some(id), _) => match after {
                    Some(after) => members.insert(id.clone(), after),
                    None => members.remove(id),
                },
                (None, ChangeKind::Receipt) => continue,
                (None, kind) => match after {
                    Some(after) => rest.insert(kind.name(), after),
                    None => rest.remove(kind.name()),
                },
            };
            assert_eq!(had, before, "seed {seed}: before is what the change before it left");
        }
        let group = view::group(&memory, GROUP).unwrap().unwrap();
        let shown: BTreeMap<String, Of> = group
            .members
            .iter()
            .map(|member| (member.member_id.clone(), Of::Member(Box::new(member_state(member)))))
            .collect();
        assert_eq!(members, shown, "seed {seed}");
        let Some(Of::Window(window)) = rest.get("service_window") else { panic!("seed {seed}") };
        let shown = group.window.unwrap();
        assert_eq!(
            (&window.opened_by, window.open_until_ms),
            (&shown.opened_by.member_id, shown.open_until_ms)
        );
        assert!(matches!(&rest["group_status"], Of::Group(state) if state.status == "unknown"));
    }
}

/// All of them were forgotten, and looked at again.
#[test]
fn of_more_groups_than_are_followed_those_are_forgotten_that_were_not_used_longest() {
    let source = Memory::default();
    let mut telling = Telling::new(&source, Memory::default());
    let mut apply = |group: String, second| {
        let record = Record { group_id: group, ..joined(second, &["w:1"]) };
        telling.apply(&record, Contributions::of([&record]), at(0)).unwrap();
        telling.followed.len()
    };
    for n in 0..GROUPS_MAX {
        assert_eq!(apply(format!("G{n}"), 1), n + 1);
    }
    // The first is used again.
    apply("G0".to_owned(), 2);
    for n in GROUPS_MAX..GROUPS_MAX + 20 {
        assert_eq!(apply(format!("G{n}"), 1), GROUPS_MAX);
    }
    let is_followed = |n: usize| telling.followed.get_mut(&format!("G{n}")).is_some();
    let kept: Vec<bool> = [0, 1, 20, 21, GROUPS_MAX + 19].map(is_followed).to_vec();
    assert_eq!(kept, [true, false, false, true, true]);
}

#[test]
fn a_duplicate_changes_nothing() {
    let mut records = story();
    let (_, once) = tell(&records, 3);
    records.extend(story());
    assert_eq!(tell(&records, 3).1, once);
}

#[test]
fn marks_rise_and_each_event_counts_its_own() {
    let (_, changes) = tell(&shuffled(7), 4);
    let marks: Vec<Mark> = changes.iter().map(mark_of).collect();
    assert!(marks.is_sorted_by(|a, b| a < b), "{marks:?}");
    assert!(marks.iter().any(|mark| mark.index > 0));
}

#[test]
fn a_receipt_tells_the_message_the_name_and_both_sides() {
    let records = [
        receipt(4, ReceiptStatus::Read, &["w:1"]),
        receipt(3, ReceiptStatus::Delivered, &["w:1"]),
        receipt(5, ReceiptStatus::Read, &["w:1"]),
    ];
    let (_, changes) = tell(&records, 1);
    let receipts: Vec<_> = changes.iter().filter(|change| change.kind() == ChangeKind::Receipt).collect();
    assert_eq!(receipts.len(), 2, "the later reading tells nothing");
    let state = |side: &Option<v1::ChangeValue>| match side.clone().unwrap().value {
        Some(Of::Receipt(state)) => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(receipts[0].before, None);
    assert!(state(&receipts[0].after).delivered_implied);
    assert_eq!(state(&receipts[1].after).delivered_at_ms, Some(3000));
    assert!(!state(&receipts[1].after).delivered_implied, "it was reported by now");
    assert_eq!(receipts[1].message_id.as_deref(), Some("M1"));
    assert_eq!(receipts[1].reported.as_ref().unwrap().wa_id.as_deref(), Some("1"));
}

#[test]
fn a_new_number_changes_the_member_in_every_group_that_knows_the_old_one() {
    let mut elsewhere = joined(1, &["w:1"]);
    elsewhere.group_id = "G2".to_owned();
    let mut stranger = joined(1, &["w:9"]);
    stranger.group_id = "G3".to_owned();
    let records = [joined(1, &["w:1"]), elsewhere, stranger, renamed(5, &["w:1"], &["w:2"])];
    let (_, changes) = tell(&records, 4);
    let last: Vec<_> = changes.iter().filter(|change| change.sequence == 4).collect();
    let told: Vec<_> = last.iter().map(|change| (change.kind(), change.group_id.as_str())).collect();
    assert_eq!(told, [(ChangeKind::Member, GROUP), (ChangeKind::Member, "G2")]);
    let names = |side: &Option<v1::ChangeValue>| match side.clone().unwrap().value {
        Some(Of::Member(state)) => state.names.unwrap().wa_id.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!((names(&last[0].before), names(&last[0].after)), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn what_the_platform_lays_down_is_told_against_what_holds_without_it() {
    let newest = None;
    let records = [
        joined(1, &["w:1"]),
        crate::story::at(2, Kind::ArchiveSet(v1::ArchiveSet { archived: true, newest })),
        crate::story::at(3, Kind::LabelSet(v1::LabelSet { label: "vip".into(), present: true })),
        message(4, &["w:1"]),
        crate::story::at(
            5,
            Kind::MessageViewed(v1::MessageViewed { message_id: "M1".into(), user_id: "ana".into() }),
        ),
    ];
    let (_, changes) = tell(&records, 2);
    let told: Vec<_> = changes
        .iter()
        .filter(|change| change.kind() as i32 >= ChangeKind::Visibility as i32)
        .map(|change| {
            let of = |side: &Option<v1::ChangeValue>| side.clone().and_then(|side| side.value);
            (change.sequence, change.kind(), of(&change.before), of(&change.after))
        })
        .collect();
    let texts = |texts: &[&str]| {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Some(Of::Texts(v1::TextsState { texts }))
    };
    let view = changes.iter().find(|change| change.kind() == ChangeKind::MessageView);
    assert_eq!(view.and_then(|change| change.message_id.as_deref()), Some("M1"));
    let viewed = Of::View(v1::ViewState { user_id: "ana".into(), viewed_at_ms: 5000 });
    assert_eq!(
        told,
        [
            (2, ChangeKind::Archived, Some(Of::Flag(false)), Some(Of::Flag(true))),
            (3, ChangeKind::Labels, texts(&[]), texts(&["vip"])),
            (4, ChangeKind::Archived, Some(Of::Flag(true)), Some(Of::Flag(false))),
            (5, ChangeKind::MessageView, None, Some(viewed)),
        ]
    );
}

/// Every kind of change is told, by the event that makes it, and as what it is.
#[test]
fn each_event_tells_the_kinds_of_change_that_it_makes() {
    use crate::story::at;
    use ChangeKind as C;
    let text = |text: &str| Some(text.to_owned());
    let error = v1::ProviderError { code: "131".to_owned(), ..Default::default() };
    let setting = |setting: v1::Setting, outcome: v1::Outcome| {
        let value =
            |text: &str| v1::SettingValue { value: Some(v1::setting_value::Value::Text(text.into())) };
        let changes = vec![v1::SettingChange {
            setting: setting.into(),
            new: Some(value("new")),
            outcome: outcome.into(),
            ..Default::default()
        }];
        Kind::SettingsUpdated(v1::SettingsUpdated { changes, ..Default::default() })
    };
    let created = v1::GroupCreated {
        subject: text("s"),
        description: text("d"),
        invite_link: text("l"),
        join_approval_mode: text("auto_approve"),
        participants: Vec::new(),
    };
    let failed = v1::Receipt {
        message_id: "M1".to_owned(),
        status: ReceiptStatus::Failed.into(),
        errors: vec![error],
        ..Default::default()
    };
    let visibility = v1::Visibility { users: vec!["u".to_owned()], ..Default::default() };
    let told: Vec<(Record, &[C])> = vec![
        (
            at(1, Kind::GroupCreated(created)),
            &[C::GroupStatus, C::GroupOrigin, C::Subject, C::Description, C::JoinApprovalMode, C::InviteLink],
        ),
        (at(2, setting(v1::Setting::Subject, v1::Outcome::Succeeded)), &[C::Subject]),
        (at(3, setting(v1::Setting::Subject, v1::Outcome::Unknown)), &[C::UnconfirmedSettings]),
        (at(4, setting(v1::Setting::Description, v1::Outcome::Failed)), &[C::GroupFailure]),
        (at(5, setting(v1::Setting::InviteLink, v1::Outcome::Succeeded)), &[C::InviteLink]),
        (at(6, Kind::GroupSuspended(v1::GroupSuspended {})), &[C::GroupStatus]),
        (at(7, Kind::GroupSuspensionCleared(v1::GroupSuspensionCleared {})), &[C::GroupStatus]),
        (joined(8, &["n:maria"]), &[C::Member]),
        (message(9, &["n:maria"]), &[C::ServiceWindow]),
        (receipt(10, ReceiptStatus::Sent, &[]), &[C::MessageSent]),
        (at(11, Kind::Receipt(failed)), &[C::MessageFailed]),
        (receipt(12, ReceiptStatus::Played, &["n:maria"]), &[C::Receipt]),
        (at(13, Kind::VisibilitySet(v1::VisibilitySet { visibility: Some(visibility) })), &[C::Visibility]),
        (at(14, Kind::ModeratorsSet(v1::ModeratorsSet { users: vec!["u".to_owned()] })), &[C::Moderators]),
        (at(15, Kind::BlockSet(v1::BlockSet { blocked: true })), &[C::Blocked]),
        (at(20, Kind::GroupDeleted(v1::GroupDeleted {})), &[C::GroupStatus]),
    ];
    let records: Vec<Record> = told.iter().map(|(record, _)| record.clone()).collect();
    let (_, changes) = tell(&records, 1);
    for (sequence, (record, kinds)) in (1..).zip(&told) {
        let found = changes.iter().filter(|change| change.sequence == sequence);
        assert_eq!(&found.clone().map(|change| change.kind()).collect::<Vec<_>>(), kinds, "{record:?}");
    }
    // The link is a secret: only that there is one is told, and that it is another.
    let of = |kind: C| changes.iter().filter(move |change| change.kind() == kind);
    let after = |change: &v1::Change| change.after.clone().and_then(|side| side.value);
    assert!(of(C::InviteLink).all(|change| after(change) == Some(Of::Secret(true))));
    let origin = v1::OriginState {
        provider: v1::Provider::Meta.into(),
        account: "WABA".to_owned(),
        phone_number_id: "PN".to_owned(),
    };
    assert_eq!(of(C::GroupOrigin).next().and_then(after), Some(Of::Origin(origin)));
    let settings = v1::SettingsState { settings: vec![v1::Setting::Subject.into()] };
    let mut unconfirmed = of(C::UnconfirmedSettings);
    assert_eq!(
        unconfirmed.next().map(|change| (change.before.clone(), after(change))),
        Some((None, Some(Of::Settings(settings))))
    );
    let Some(Of::Member(member)) = of(C::Member).next().and_then(after) else { panic!("no member") };
    assert_eq!((member.status.as_str(), member.names.unwrap().username), ("member", text("maria")));
}

/// A group may know of a number by a receipt alone: its member joined under another name.
#[test]
fn a_new_number_is_told_where_the_old_one_is_known_by_a_receipt_alone() {
    let records = [
        joined(1, &["u:A"]),
        receipt(2, ReceiptStatus::Delivered, &["w:1", "u:A"]),
        renamed(3, &["w:1"], &["w:2"]),
    ];
    let (_, changes) = tell(&records, 1);
    let told = changes.iter().filter(|change| change.sequence == 3).map(|change| change.kind());
    assert_eq!(told.collect::<Vec<_>>(), [ChangeKind::Member]);
}

#[test]
fn a_new_number_is_told_of_whoever_is_known_by_a_spelling_alone() {
    let removed = ended(1, EndReason::Removed, &["i:+1 786 534-7866"]);
    let records = [removed, renamed(3, &["w:17865347866"], &["w:17865347867"])];
    let (_, changes) = tell(&records, 1);
    let told = changes.iter().filter(|change| change.sequence == 2).map(|change| change.kind());
    assert_eq!(told.collect::<Vec<_>>(), [ChangeKind::Member]);
}

#[test]
fn a_new_number_told_within_a_group_says_where_the_group_belongs_at_once_and_not_with_a_later_event() {
    let other = Record { account: "B".into(), group_id: GROUP.into(), ..renamed(1, &["w:8"], &["w:9"]) };
    let records = [joined(2, &["w:1"]), other, joined(3, &["w:2"])];
    let told = [1, 2, 3].map(|batch| tell(&records, batch).1);
    let origins: Vec<u64> = told[0]
        .iter()
        .filter(|change| change.kind() == ChangeKind::GroupOrigin)
        .map(|change| change.sequence)
        .collect();
    assert_eq!(origins, [1, 2]);
    assert_eq!(told[1], told[0]);
    assert_eq!(told[2], told[0]);
}
