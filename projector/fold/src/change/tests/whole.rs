//! What is told, against all groups as they are shown before and after: what is not looked at has not changed.

use std::collections::BTreeSet;

use groupfold_schemas::v1::{self, Outcome, Record, Setting};

use super::*;
use crate::change::diff;
use crate::entry::{Key, Prefix, Source as _};
use crate::story::at as told_at;

const COMMAND: &str = "cmd_0123456789ab0123456789abcdef01234567";

fn setting(second: i64, setting: Setting, outcome: Outcome, text: &str) -> Record {
    let value =
        |text: &str| v1::SettingValue { value: Some(v1::setting_value::Value::Text(text.to_owned())) };
    let change = v1::SettingChange {
        setting: setting.into(),
        new: (!text.is_empty()).then(|| value(text)),
        outcome: outcome.into(),
        ..Default::default()
    };
    told_at(second, Kind::SettingsUpdated(v1::SettingsUpdated { changes: vec![change], errors: Vec::new() }))
}

/// What a group's head and nothing else says.
fn heads() -> Vec<Record> {
    let error = v1::ProviderError { code: "131".to_owned(), ..Default::default() };
    let errors = vec![error];
    let created = v1::GroupCreated { subject: Some("s".to_owned()), ..Default::default() };
    let failed =
        v1::GroupCreateFailed { subject: Some("f".to_owned()), errors: errors.clone(), ..Default::default() };
    vec![
        told_at(9, Kind::GroupCreated(created)),
        told_at(2, Kind::GroupCreateFailed(failed)),
        told_at(3, Kind::GroupSuspended(v1::GroupSuspended {})),
        told_at(5, Kind::GroupSuspensionCleared(v1::GroupSuspensionCleared {})),
        told_at(15, Kind::GroupDeleted(v1::GroupDeleted {})),
        told_at(6, Kind::GroupDeleteFailed(v1::GroupDeleteFailed { errors: errors.clone() })),
        setting(3, Setting::Subject, Outcome::Succeeded, "a"),
        setting(8, Setting::Subject, Outcome::Unknown, "b"),
        setting(4, Setting::Description, Outcome::Failed, "c"),
        setting(7, Setting::Picture, Outcome::Succeeded, ""),
        setting(6, Setting::InviteLink, Outcome::Succeeded, "l"),
        setting(7, Setting::InviteLink, Outcome::Succeeded, "m"),
        told_at(4, Kind::AccountError(v1::AccountError { errors })),
    ]
}

/// Commands, requests by their ids, snapshots, policies: some are looked at, some are not.
fn rest() -> Vec<Record> {
    let closed = |participant, outcome: v1::JoinRequestOutcome| {
        let join_request_id = Some("R".to_owned());
        let outcome = outcome.into();
        Kind::JoinRequestClosed(v1::JoinRequestClosed {
            participant,
            join_request_id,
            outcome,
            ..Default::default()
        })
    };
    let command_id = || COMMAND.to_owned();
    let listed = |name| v1::SnapshotParticipant {
        participant: Some(crate::story::who(&[name])),
        ..Default::default()
    };
    let mut snapshot = told_at(
        9,
        Kind::GroupSnapshot(v1::GroupSnapshot {
            participants: vec![listed("w:4"), listed("w:6")],
            participants_complete: true,
            ..Default::default()
        }),
    );
    snapshot.evidence = v1::Evidence::Snapshot.into();
    let mut gone = told_at(10, Kind::GroupDeleted(v1::GroupDeleted {}));
    gone.evidence = v1::Evidence::Snapshot.into();
    let answered = v1::CommandAnswered {
        command_id: command_id(),
        message_id: Some("M1".to_owned()),
        ..Default::default()
    };
    let viewed = v1::MessageViewed { message_id: "M1".to_owned(), user_id: "ana".to_owned() };
    let removed = v1::ParticipantsEnded {
        reason: v1::EndReason::Removed.into(),
        failed: vec![v1::ParticipantFailure {
            participant: Some(crate::story::who(&["i:+4"])),
            errors: Vec::new(),
        }],
        ..Default::default()
    };
    vec![
        told_at(3, closed(None, v1::JoinRequestOutcome::Rejected)),
        told_at(12, closed(None, v1::JoinRequestOutcome::Rejected)),
        told_at(12, closed(None, v1::JoinRequestOutcome::Failed)),
        snapshot,
        gone,
        told_at(6, Kind::ParticipantsEnded(removed)),
        told_at(
            1,
            Kind::CommandRequested(v1::CommandRequested { command_id: command_id(), ..Default::default() }),
        ),
        told_at(2, Kind::CommandSent(v1::CommandSent { command_id: command_id(), ..Default::default() })),
        told_at(3, Kind::CommandAnswered(answered)),
        told_at(4, Kind::ArchiveSet(v1::ArchiveSet { archived: true, newest: None })),
        told_at(5, Kind::LabelSet(v1::LabelSet { label: "vip".to_owned(), present: true })),
        told_at(5, Kind::MessageViewed(viewed)),
        message(8, &["w:4", "u:Z", "n:zoe"]),
        message(9, &["w:9"]),
        // Whoever opened the window is known by that alone.
        renamed(4, &["w:20"], &["w:9"]),
    ]
}

/// The same group as another account tells of it, which an earlier report alone can make its own.
fn of_another_account(record: &Record) -> Record {
    Record { account: "B".to_owned(), event_id: format!("b{}", record.event_id), ..record.clone() }
}

fn elsewhere(record: &Record) -> Record {
    Record { group_id: "G2".to_owned(), event_id: format!("2{}", record.event_id), ..record.clone() }
}

fn records(seed: u64) -> Vec<Record> {
    let mut all = story();
    all.extend(heads());
    all.extend(rest());
    let mut within = of_another_account(&renamed(1, &["w:1"], &["w:7"]));
    within.group_id = GROUP.to_owned();
    all.push(within);
    if seed.is_multiple_of(2) {
        // A setting says where the group belongs: others' renames are its own then.
        all.push(of_another_account(&setting(0, Setting::Subject, Outcome::Succeeded, "o")));
    }
    all.extend(all.iter().step_by(5).map(of_another_account).collect::<Vec<_>>());
    let of_group = |record: &&Record| !record.group_id.is_empty();
    all.extend(all.iter().filter(of_group).step_by(4).map(elsewhere).collect::<Vec<_>>());
    all.extend(all.iter().step_by(6).cloned().collect::<Vec<_>>());
    shuffle(all, seed)
}

type Shown = BTreeMap<String, Group>;

fn shown(memory: &Memory) -> Shown {
    let heads = memory.scan(&Prefix::Heads).unwrap().into_iter();
    let ids = heads.filter_map(|(key, _)| if let Key::Head { group } = key { Some(group) } else { None });
    ids.map(|id| (id.clone(), view::group(memory, &id).unwrap().unwrap())).collect()
}

/// Of each group, by id, what is different.
fn different(before: &Shown, after: &Shown) -> Vec<v1::Change> {
    let (record, at) = (Record::default(), at(0));
    let mut changes = Vec::new();
    for (id, group) in after {
        let found = diff::groups(before.get(id), Some(group));
        push(&mut changes, &record, at, id, found);
    }
    changes
}

/// A change as far as groups tell it.
fn plain(change: &v1::Change) -> v1::Change {
    let v1::Change { kind, group_id, member_id, before, after, .. } = change.clone();
    v1::Change { kind, group_id, member_id, before, after, ..Default::default() }
}

#[test]
fn an_event_tells_all_that_it_makes_look_different_in_any_group_and_nothing_else() {
    let mut kinds = BTreeSet::new();
    for seed in 0..24 {
        let records = records(seed);
        let [(_, told), (_, alone)] = [records.len(), 1].map(|batch| tell(&records, batch));
        assert_eq!(told, alone, "seed {seed}");
        let (mut memory, mut before) = (Memory::default(), Shown::new());
        for (record, sequence) in records.iter().zip(1..) {
            memory.apply([record]).unwrap();
            let after = shown(&memory);
            let mut told: Vec<_> = told
                .iter()
                .filter(|change| change.sequence == sequence && change.message_id.is_none())
                .map(plain)
                .collect();
            told.sort_by(|a, b| a.group_id.cmp(&b.group_id));
            let different: Vec<_> = different(&before, &after).iter().map(plain).collect();
            assert_eq!(told, different, "seed {seed}, event {sequence}: {record:?}");
            kinds.extend(told.iter().map(|change| change.kind().name()));
            before = after;
        }
    }
    let told: Vec<&str> = kinds.into_iter().collect();
    assert_eq!(
        told,
        [
            "archived",
            "group_failure",
            "group_origin",
            "group_status",
            "invite_link",
            "labels",
            "member",
            "service_window",
            "subject",
            "unconfirmed_settings"
        ]
    );
}
