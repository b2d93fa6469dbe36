//! The fold's laws on short stories, in every order.

mod answers;
mod bytes;
mod persons;
mod policy;

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, EndReason, FactKind, JoinVia, ReceiptStatus, Record};

use crate::apply::{Contributions, Digest, Known, Working};
use crate::contribute::contributions;
use crate::entry::{Key, Memory, Value};
use crate::merge::{absorbs, merge};
use crate::story::{GROUP, at, changed, ended, joined, message, receipt, renamed, requested, revoked, who};
use crate::view::{self, EntryKind, Group, MemberStatus, Status};

mod snapshots;
mod times;
mod told;

/// Folds every order of a story, each with a duplicate, checks that all end in the same bytes, and returns them.
fn fold(story: &[Record]) -> Memory {
    let mut ends: Vec<(Memory, Digest)> = Vec::new();
    let mut order: Vec<usize> = (0..story.len()).collect();
    permute(&mut order, 0, &mut |order| {
        let mut memory = Memory::default();
        let mut digest = Digest::default();
        for &i in order.iter().chain(order.first()) {
            digest = digest.plus(memory.apply([&story[i]]).unwrap());
        }
        ends.push((memory, digest));
    });
    let mut at_once = Memory::default();
    let digest = at_once.apply(story).unwrap();
    for end in &ends {
        assert_eq!(end, &(at_once.clone(), digest));
    }
    at_once
}

fn permute(order: &mut Vec<usize>, from: usize, visit: &mut impl FnMut(&[usize])) {
    if from == order.len() {
        return visit(order);
    }
    for i in from..order.len() {
        order.swap(from, i);
        permute(order, from + 1, visit);
        order.swap(from, i);
    }
}

fn group(story: &[Record]) -> Group {
    view::group(&fold(story), GROUP).unwrap().expect("the group is known")
}

fn who_is(group: &Group, status: MemberStatus) -> Vec<String> {
    let mut names: Vec<String> = group
        .members
        .iter()
        .filter(|member| member.status == status)
        .map(|m| {
            m.names.wa_id.clone().or(m.names.user_id.clone()).or(m.names.username.clone()).unwrap_or_default()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_member_who_leaves_and_rejoins_is_one_person() {
    let group = group(&[joined(1, &["w:1"]), ended(2, EndReason::Left, &["w:1"]), joined(3, &["w:1"])]);
    assert_eq!(group.members.len(), 1);
    assert_eq!(group.members[0].status, MemberStatus::Member);
    assert_eq!((group.members[0].joined_at_ms, group.members[0].left_at_ms), (Some(3000), None));
}

#[test]
fn leave_wins_over_join_and_revoke_over_request_in_one_second() {
    let group = group(&[
        joined(5, &["w:1"]),
        ended(5, EndReason::Left, &["w:1"]),
        requested(5, &["w:2"]),
        revoked(5, &["w:2"]),
    ]);
    assert_eq!(who_is(&group, MemberStatus::Left), ["1"]);
    assert_eq!(who_is(&group, MemberStatus::Revoked), ["2"]);
}

#[test]
fn a_join_after_a_request_came_by_the_request() {
    let memory = fold(&[requested(1, &["w:1"]), joined(2, &["w:1"]), joined(3, &["w:2"])]);
    let group = view::group(&memory, GROUP).unwrap().unwrap();
    let via = |wa: &str| group.members.iter().find(|m| m.names.wa_id.as_deref() == Some(wa)).unwrap().via;
    assert_eq!((via("1"), via("2")), (JoinVia::JoinRequest, JoinVia::InviteLink));
    let timeline = view::timeline(&memory, GROUP).unwrap().unwrap();
    assert_eq!(timeline.iter().map(|entry| entry.via).collect::<Vec<_>>()[1], JoinVia::JoinRequest);
}

/// The request of a life before this one said nothing of how somebody came.
#[test]
fn who_came_by_link_has_no_join_request() {
    let request = |story: &[Record]| group(story).members[0].join_request_id.clone();
    let (asked, joined) = (|| requested(1, &["w:1"]), |second| joined(second, &["w:1"]));
    assert_eq!(request(&[asked(), joined(2)]).as_deref(), Some("R"));
    let left = ended(3, EndReason::Left, &["w:1"]);
    assert_eq!(request(&[asked(), joined(2), left, joined(9)]), None);
    assert_eq!(request(&[asked(), revoked(2, &["w:1"]), joined(9)]), None);
}

/// What a report says of how somebody came is the same whether the provider echoes the command or not.
#[test]
fn an_approved_join_is_nobodys_own_doing() {
    let mut echoed = joined(3, &["w:2"]);
    echoed.actor = None;
    let mut by_link = joined(2, &["w:1"]);
    by_link.actor = Some(v1::Actor { kind: v1::ActorKind::Participant.into(), ..Default::default() });
    let mut came = by_link.clone();
    came.provider_time_ms = 9000;
    came.event_id = "f".repeat(32);
    let left = ended(4, EndReason::Left, &["w:1"]);
    let story = [requested(1, &["w:1"]), requested(1, &["w:2"]), by_link, echoed, left, came];
    let lines = view::timeline(&fold(&story), GROUP).unwrap().unwrap().into_iter();
    let joins = lines.filter(|line| line.kind == EntryKind::Fact(FactKind::MemberJoined));
    let actors: Vec<_> = joins.map(|line| (line.via, line.actor)).collect();
    let approved = (JoinVia::JoinRequest, v1::ActorKind::Unknown);
    assert_eq!(actors, [approved, approved, (JoinVia::InviteLink, v1::ActorKind::Participant)]);
}

#[test]
fn a_spelling_tells_of_the_participant_that_has_it_alone() {
    let event = v1::ParticipantsJoined {
        participants: vec![who(&["w:1", "i:1"]), who(&["w:2"])],
        via: JoinVia::JoinRequest.into(),
        reason: Some("invite_link".to_owned()),
    };
    let group = group(&[at(1, Kind::ParticipantsJoined(event))]);
    let mut via: Vec<_> = group.members.iter().map(|m| (m.names.wa_id.as_deref(), m.via)).collect();
    via.sort_unstable();
    assert_eq!(via, [(Some("1"), JoinVia::JoinRequest), (Some("2"), JoinVia::InviteLink)]);
}

#[test]
fn a_failure_of_settings_keeps_the_errors_of_the_whole_and_of_each() {
    let error = |code: &str| v1::ProviderError { code: code.to_owned(), ..Default::default() };
    let change = |setting: v1::Setting, errors| v1::SettingChange {
        setting: setting.into(),
        outcome: v1::Outcome::Failed.into(),
        errors,
        ..Default::default()
    };
    let changes = vec![
        change(v1::Setting::Subject, vec![error("whole"), error("subject")]),
        change(v1::Setting::Description, vec![error("description")]),
    ];
    let told = |whole: Vec<v1::ProviderError>| {
        let event = v1::SettingsUpdated { changes: changes.clone(), errors: whole };
        let failure = group(&[at(1, Kind::SettingsUpdated(event))]).last_failure.unwrap();
        failure.errors.into_iter().map(|error| error.code).collect::<Vec<_>>()
    };
    assert_eq!(told(vec![error("whole")]), ["whole", "subject", "description"]);
    assert_eq!(told(Vec::new()), ["whole", "subject", "description"]);
}

#[test]
fn a_number_change_re_keys_the_member_and_keeps_receipts() {
    let story = [
        joined(1, &["w:1", "u:A"]),
        receipt(2, ReceiptStatus::Delivered, &["w:1"]),
        renamed(3, &["w:1"], &["w:2"]),
        receipt(4, ReceiptStatus::Read, &["w:2"]),
    ];
    let memory = fold(&story);
    let group = view::group(&memory, GROUP).unwrap().unwrap();
    assert_eq!(who_is(&group, MemberStatus::Member), ["2"]);
    assert_eq!(group.members[0].joined_at_ms, Some(1000));
    let receipts = view::receipts(&memory, "M1").unwrap().unwrap();
    assert_eq!(receipts.members.len(), 1);
    assert_eq!(receipts.members[0].delivered_at_ms, Some(2000));
    assert_eq!(receipts.members[0].read_at_ms, Some(4000));
    assert_eq!(receipts.members[0].person.member_id, group.members[0].member_id);
}

#[test]
fn a_number_used_again_is_a_new_person() {
    let group = group(&[joined(1, &["w:1"]), renamed(3, &["w:1"], &["w:2"]), joined(9, &["w:1"])]);
    assert_eq!(who_is(&group, MemberStatus::Member), ["1", "2"]);
}

#[test]
fn a_number_seen_with_another_user_id_is_a_new_person() {
    let group =
        group(&[joined(1, &["w:1", "u:A"]), ended(2, EndReason::Left, &["u:A"]), joined(9, &["w:1", "u:B"])]);
    assert_eq!(group.members.len(), 2);
    assert_eq!(who_is(&group, MemberStatus::Member).len(), 1);
}

#[test]
fn a_change_reported_twice_changes_once() {
    let story = [
        joined(1, &["w:1"]),
        renamed(3, &["w:1"], &["w:2"]),
        renamed(4, &["w:1"], &["w:2"]),
        message(9, &["w:2"]),
    ];
    let memory = fold(&story);
    let group = view::group(&memory, GROUP).unwrap().unwrap();
    assert_eq!(who_is(&group, MemberStatus::Member), ["2"]);
    assert_eq!(group.window.as_ref().unwrap().opened_by.member_id, group.members[0].member_id);
    let changes = view::timeline(&memory, GROUP).unwrap().unwrap();
    assert_eq!(changes.iter().filter(|entry| entry.kind == EntryKind::NumberChanged).count(), 1);
}

#[test]
fn a_new_user_id_leaves_the_number_with_its_holder() {
    let change = changed(3, v1::IdentityChangeKind::UserId, &["u:A"], &["u:B", "w:1"], "m");
    let group = group(&[joined(1, &["w:1"]), change, ended(5, EndReason::Left, &["u:B"])]);
    assert_eq!(who_is(&group, MemberStatus::Left), ["1"]);
    assert_eq!((group.members.len(), group.members[0].names.user_id.as_deref()), (1, Some("B")));
}

#[test]
fn an_account_error_that_is_told_again_later_is_one_line() {
    let error = |second: i64| {
        let mut record = at(second, Kind::AccountError(v1::AccountError::default()));
        record.group_id.clear();
        record.event_id = "e".repeat(32);
        record.time_quality = v1::TimeQuality::Received.into();
        record
    };
    let lines = view::account_timeline(&fold(&[error(7), error(5), error(900)]), "WABA", |_| true).unwrap();
    assert_eq!(lines.iter().map(|line| line.at_ms).collect::<Vec<_>>(), [5000]);
}

#[test]
fn somebody_who_goes_back_to_an_old_number_is_the_same_person() {
    let story = [joined(1, &["w:1"]), renamed(3, &["w:1"], &["w:2"]), renamed(5, &["w:2"], &["w:1"])];
    let group = group(&story);
    assert_eq!(who_is(&group, MemberStatus::Member), ["1"]);
}

#[test]
fn a_removal_by_spelling_finds_the_member() {
    for input in ["i:+55 (11) 98888-7777", "i:5511988887777", "i:551188887777"] {
        let group = group(&[joined(1, &["w:551188887777"]), ended(2, EndReason::Removed, &[input])]);
        assert_eq!(who_is(&group, MemberStatus::Removed), ["551188887777"], "{input}");
    }
    let group = group(&[joined(1, &["u:US.13", "n:maria"]), ended(2, EndReason::Removed, &["i:US.13"])]);
    assert_eq!(who_is(&group, MemberStatus::Removed), ["US.13"]);
    assert_eq!(group.members[0].names.username.as_deref(), Some("maria"));
}

#[test]
fn read_implies_delivered_and_says_so() {
    let memory = fold(&[receipt(7, ReceiptStatus::Read, &["w:1"]), receipt(1, ReceiptStatus::Sent, &[])]);
    let receipts = view::receipts(&memory, "M1").unwrap().unwrap();
    assert_eq!(receipts.sent_at_ms, Some(1000));
    assert_eq!(receipts.members[0].delivered_at_ms, Some(7000));
    assert!(receipts.members[0].delivered_implied);
}

#[test]
fn delete_is_terminal_and_a_fact_makes_a_stub() {
    let deleted = at(5, Kind::GroupDeleted(v1::GroupDeleted {}));
    let suspended = at(9, Kind::GroupSuspended(v1::GroupSuspended {}));
    assert_eq!(group(&[deleted, suspended]).status, Status::Deleted);
    let stub = group(&[joined(1, &["w:1"])]);
    assert_eq!((stub.status, stub.created_at_ms), (Status::Unknown, None));
}

#[test]
fn a_line_of_history_has_one_id_in_every_order() {
    let story = [joined(1, &["w:1"]), joined(1, &["w:2"]), ended(1, EndReason::Removed, &["w:1"])];
    let timeline = view::timeline(&fold(&story), GROUP).unwrap().unwrap();
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.kind).collect();
    let joined = EntryKind::Fact(FactKind::MemberJoined);
    assert_eq!(kinds, [joined, joined, EntryKind::Fact(FactKind::MemberRemoved)]);
    let ids: std::collections::BTreeSet<_> = timeline.iter().map(|entry| &entry.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_digest_is_the_sum_of_the_entries() {
    let story = [joined(1, &["w:1", "u:A"]), message(2, &["w:1"]), ended(3, EndReason::Left, &["w:1"])];
    let mut memory = Memory::default();
    let mut kept = Digest::default();
    for record in &story {
        kept = kept.plus(memory.apply([record]).unwrap());
    }
    let mut fresh = Digest::default();
    memory.0.iter().for_each(|(key, value)| fresh.add(key, value));
    assert_eq!(kept, fresh);
    assert_eq!(Digest::from_bytes(&kept.to_bytes()), Some(kept));
}

#[test]
fn every_key_reads_back_and_stands_under_its_prefix() {
    let story = [
        joined(1, &["w:1", "u:A"]),
        message(2, &["w:1"]),
        renamed(3, &["w:1"], &["w:2"]),
        receipt(4, ReceiptStatus::Read, &["w:2"]),
        at(-5, Kind::GroupDeleted(v1::GroupDeleted {})),
    ];
    for bytes in fold(&story).0.keys() {
        assert_eq!(Key::decode(bytes).unwrap().encode(), *bytes);
        assert!(Key::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}

/// What is left out of merging, because it is known to make no difference, makes none.
#[test]
fn what_is_absorbed_unmerged_would_have_changed_nothing() {
    let mut story = vec![
        joined(1, &["w:1"]),
        message(9, &["w:1"]),
        at(3, Kind::GroupDeleted(v1::GroupDeleted {})),
        at(4, Kind::GroupSuspended(v1::GroupSuspended {})),
    ];
    for status in [ReceiptStatus::Sent, ReceiptStatus::Delivered, ReceiptStatus::Read, ReceiptStatus::Failed]
    {
        for second in [2, 5, 5, 8] {
            story.push(receipt(second, status, if status == ReceiptStatus::Sent { &[] } else { &["w:1"] }));
        }
    }
    let all: Vec<(Key, Value)> = story.iter().flat_map(contributions).collect();
    let mut absorbed = 0;
    for (key, old) in &all {
        for (_, new) in all.iter().filter(|(other, _)| other == key) {
            let both = merge(Some(old.clone()), new.clone());
            if absorbs(old, new) {
                absorbed += 1;
                assert_eq!(&both, old, "{new:?}");
            }
            // What merging has made of both takes either again for nothing new.
            assert_eq!(merge(Some(both.clone()), new.clone()), both);
        }
    }
    assert!(absorbed > 100, "{absorbed}");
}

/// A fold that remembers what it need not look up ends as one that looks everything up, whatever the order.
#[test]
fn what_is_known_is_spared_and_the_state_is_the_same() {
    let mut story = vec![joined(1, &["w:1"]), at(4, Kind::GroupSuspended(v1::GroupSuspended {}))];
    for status in [ReceiptStatus::Sent, ReceiptStatus::Delivered, ReceiptStatus::Failed] {
        story.push(receipt(2, status, if status == ReceiptStatus::Sent { &[] } else { &["w:1", "u:A"] }));
    }
    story.push(receipt(1, ReceiptStatus::Read, &["w:1", "u:A"]));
    let all = story.iter().map(|record| Contributions::of([record]).keys().count()).sum::<usize>();
    let (expected, mut spared) = (fold(&story), 0);
    let mut order: Vec<usize> = (0..story.len()).collect();
    permute(&mut order, 0, &mut |order| {
        let (mut memory, mut known, mut kept) = (Memory::default(), Known::default(), 0);
        for record in order.iter().map(|i| &story[*i]) {
            let contributions = Contributions::unknown(record, &known);
            known.learn(&contributions);
            kept += contributions.keys().count();
            let load = |key: &Vec<u8>| Some((key.clone(), memory.0.get(key)?.clone()));
            let mut working = Working::over(Memory(contributions.keys().filter_map(load).collect()));
            working.apply(contributions).unwrap();
            memory.0.extend(working.finish().puts);
        }
        assert_eq!(memory, expected);
        spared += all - kept;
    });
    assert!(spared > 120, "{spared}");
}
