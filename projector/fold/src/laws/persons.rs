//! One person stays one whatever their names become, and two people stay two, in every order.

use groupfold_schemas::v1::IdentityChangeKind::{Number, UserId};

use super::*;

/// Each member: status, number, user id.
fn members(story: &[Record]) -> Vec<(MemberStatus, Option<String>, Option<String>)> {
    let members = group(story).members.into_iter();
    let mut told: Vec<_> = members.map(|m| (m.status, m.names.wa_id, m.names.user_id)).collect();
    told.sort();
    told
}

fn one(
    status: MemberStatus,
    number: Option<&str>,
    user_id: &str,
) -> Vec<(MemberStatus, Option<String>, Option<String>)> {
    vec![(status, number.map(str::to_owned), Some(user_id.to_owned()))]
}

fn changes(story: &[Record]) -> Vec<EntryKind> {
    let lines = view::timeline(&fold(story), GROUP).unwrap().unwrap().into_iter().map(|line| line.kind);
    lines.filter(|kind| matches!(kind, EntryKind::NumberChanged | EntryKind::UserIdChanged)).collect()
}

#[test]
fn new_names_used_a_second_before_their_change_is_told_are_the_same_persons() {
    let story = [
        joined(1, &["w:1", "u:KA"]),
        receipt(50, ReceiptStatus::Delivered, &["w:1", "u:KA"]),
        receipt(101, ReceiptStatus::Read, &["w:2", "u:KC"]),
        ended(101, EndReason::Left, &["w:2", "u:KC"]),
        changed(102, Number, &["w:1", "u:KA"], &["w:2", "u:KC"], "m"),
    ];
    assert_eq!(members(&story), one(MemberStatus::Left, Some("2"), "KC"));
    let memory = fold(&story);
    let receipts = view::receipts(&memory, "M1").unwrap().unwrap();
    let [receipt] = &receipts.members[..] else { panic!("{:?}", receipts.members) };
    assert_eq!((receipt.delivered_at_ms, receipt.read_at_ms), (Some(50_000), Some(101_000)));
    assert_eq!(changes(&story), [EntryKind::NumberChanged; 0], "they had left by then");

    let ids_alone = [
        joined(1, &["u:KA"]),
        ended(101, EndReason::Left, &["u:KC"]),
        changed(102, UserId, &["u:KA"], &["u:KC"], "m"),
    ];
    assert_eq!(members(&ids_alone), one(MemberStatus::Left, None, "KC"));
}

#[test]
fn an_old_user_id_used_after_its_change_is_the_same_persons_and_not_shown() {
    let change = || changed(102, UserId, &["u:KC"], &["u:KA"], "m");
    for end in [
        ended(103, EndReason::Left, &["u:KC"]),
        ended(103, EndReason::Left, &["i:KC"]),
        ended(103, EndReason::Left, &["w:1", "u:KC"]),
    ] {
        let [(MemberStatus::Left, _, user_id)] = &members(&[joined(1, &["u:KC"]), change(), end])[..] else {
            panic!("one person, who left")
        };
        assert_eq!(user_id.as_deref(), Some("KA"), "the present one, be it told by the change alone");
    }
    let removed = [joined(1, &["u:KC"]), change(), ended(103, EndReason::Removed, &["i:KC"])];
    assert_eq!(members(&removed), one(MemberStatus::Removed, None, "KA"));
    let late = [joined(1, &["u:KC", "p:P"]), change(), receipt(200, ReceiptStatus::Read, &["u:KC", "w:1"])];
    assert_eq!(members(&late), one(MemberStatus::Member, Some("1"), "KA"));
    let back = [joined(1, &["u:KC"]), change(), changed(110, UserId, &["u:KA"], &["u:KC"], "n")];
    assert_eq!(members(&back), one(MemberStatus::Member, None, "KC"));
    assert_eq!(changes(&back).len(), 2);
}

#[test]
fn a_late_report_under_the_old_number_gives_it_back_to_nobody() {
    let story = [
        joined(1, &["u:KA"]),
        changed(3, Number, &["w:1", "u:KA"], &["w:2", "u:KC"], "m"),
        receipt(4, ReceiptStatus::Delivered, &["w:1", "u:KA"]),
        changed(5, UserId, &["u:KA"], &["w:1", "u:KC"], "n"),
        joined(9, &["w:1"]),
    ];
    let members = members(&story);
    assert_eq!(members[0].1.as_deref(), Some("1"));
    assert_eq!(members[1..], one(MemberStatus::Member, Some("2"), "KC"));
}

/// Bob had the number that Alice has now; Bob left, Alice is in.
fn bob_and_alice() -> [Record; 3] {
    [joined(1, &["w:2", "u:BB"]), joined(2, &["w:1", "u:AA"]), ended(5, EndReason::Left, &["w:2", "u:BB"])]
}

fn in_and_out(story: &[Record]) -> (Vec<String>, Vec<String>) {
    let group = group(story);
    let of = |status| {
        let with = group.members.iter().filter(|m| m.status == status);
        with.filter_map(|m| m.names.user_id.clone()).collect()
    };
    (of(MemberStatus::Member), of(MemberStatus::Left))
}

#[test]
fn a_number_told_beside_a_new_user_id_joins_nobody_with_who_had_it_before() {
    for previous in [&["u:AA"][..], &["w:2", "u:AA"]] {
        let change = changed(100, UserId, previous, &["w:2", "u:CC"], "m");
        let story: Vec<Record> = bob_and_alice().into_iter().chain([change]).collect();
        assert_eq!(in_and_out(&story), (vec!["CC".into()], vec!["BB".into()]));
    }
}

#[test]
fn who_has_a_number_has_another_one_now_though_nobody_told_whose_it_was() {
    let change = changed(100, UserId, &["u:AA"], &["w:2", "u:CC"], "m");
    let story = [
        joined(1, &["w:2"]),
        joined(2, &["w:1", "u:AA"]),
        ended(5, EndReason::Left, &["w:2"]),
        change,
        ended(101, EndReason::Left, &["w:2"]),
    ];
    let members = members(&story);
    assert_eq!(members.len(), 2);
    assert_eq!(group(&story[..4]).members.iter().filter(|m| m.status == MemberStatus::Member).count(), 1);
    assert_eq!(members[1..], one(MemberStatus::Left, Some("2"), "CC"), "the number is theirs from then on");
}

#[test]
fn both_messages_of_a_change_in_one_second_are_one_change_whatever_their_ids() {
    for n in 0..12 {
        let number = changed(100, Number, &["w:1", "u:AA"], &["w:2", "u:CC"], &format!("number {n}"));
        for previous in [&["u:AA"][..], &["w:2", "u:AA"]] {
            let user_id = changed(100, UserId, previous, &["w:2", "u:CC"], &format!("user id {n}"));
            let story: Vec<Record> = bob_and_alice().into_iter().chain([number.clone(), user_id]).collect();
            assert_eq!(in_and_out(&story), (vec!["CC".into()], vec!["BB".into()]), "{n}");
            assert_eq!(changes(&story), [EntryKind::NumberChanged], "{n}");
        }
    }
}

/// Which of the two messages is read first is a matter of their ids.
#[test]
fn a_number_given_up_and_taken_in_one_second_is_the_takers_whichever_is_read_first() {
    for n in 0..8 {
        for (given, taken) in [(["w:1", "w:9"], ["w:2", "w:1"]), (["w:1", "u:AA"], ["w:2", "u:BB"])] {
            let of = |names: [&'static str; 2], number: &'static str, id: &'static str| match names {
                [old, new] if new.starts_with("w:") => (vec![old], vec![new]),
                [old, user_id] => (vec![old, user_id], vec![number, id]),
            };
            let (gives, takes) = (of(given, "w:9", "u:AX"), of(taken, "w:1", "u:BX"));
            let story = [
                joined(1, &gives.0),
                joined(2, &takes.0),
                changed(10, Number, &gives.0, &gives.1, &format!("gives {n}")),
                changed(10, Number, &takes.0, &takes.1, &format!("takes {n}")),
                ended(30, EndReason::Left, &["w:1"]),
            ];
            let group = group(&story);
            assert_eq!(who_is(&group, MemberStatus::Member), ["9"], "{n}");
            assert_eq!(who_is(&group, MemberStatus::Left), ["1"], "{n}");
            assert_eq!(group.members.len(), 2, "{n}");
            let left = group.members.iter().find(|member| member.status == MemberStatus::Left).unwrap();
            assert_eq!(left.joined_at_ms, Some(2000), "{n}");
        }
    }
}

/// Number, delivered and read of each receipt, by number.
fn receipts(story: &[Record]) -> Vec<(String, Option<i64>, Option<i64>)> {
    let found = view::receipts(&fold(story), "M1").unwrap().unwrap().members.into_iter();
    let seconds = |time_ms: Option<i64>| time_ms.map(|ms| ms / 1000);
    let mut all: Vec<_> = found
        .map(|m| {
            (m.person.names.wa_id.unwrap_or_default(), seconds(m.delivered_at_ms), seconds(m.read_at_ms))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_read_under_a_number_is_read_by_whoever_has_it_by_then() {
    use ReceiptStatus::{Delivered, Read};
    let told = |number: &str, delivered, read| (number.to_owned(), Some(delivered), read);
    let handed_on = [
        joined(1, &["w:1"]),
        joined(1, &["w:7"]),
        receipt(5, Delivered, &["w:1"]),
        receipt(6, Delivered, &["w:7"]),
        renamed(10, &["w:1"], &["w:2"]),
        renamed(20, &["w:7"], &["w:1"]),
        receipt(25, Read, &["w:1"]),
    ];
    assert_eq!(receipts(&handed_on), [told("1", 6, Some(25)), told("2", 5, None)]);
    let late = [joined(1, &["w:1"]), receipt(5, Delivered, &["w:1"]), renamed(10, &["w:1"], &["w:2"])];
    let late = |then: Option<Record>| {
        receipts(&late.iter().cloned().chain([receipt(12, Read, &["w:1"])]).chain(then).collect::<Vec<_>>())
    };
    assert_eq!(late(None), [told("2", 5, Some(12))], "nobody else has the number");
    assert_eq!(late(Some(joined(20, &["w:1"]))), [told("2", 5, Some(12))], "nobody else had it yet");
    assert_eq!(late(Some(joined(11, &["w:1"]))), [told("1", 12, Some(12)), told("2", 5, None)]);
    assert_eq!(late(Some(joined(11, &["w:1", "u:C"]))), [told("1", 12, Some(12)), told("2", 5, None)]);
}

#[test]
fn a_new_number_is_taken_from_who_had_it_though_the_old_one_is_not_told() {
    let change = changed(100, Number, &["u:AA"], &["w:2", "u:CC"], "m");
    let again = changed(101, Number, &["u:AA"], &["w:2", "u:CC"], "n");
    let story: Vec<Record> = bob_and_alice().into_iter().chain([change, again]).collect();
    assert_eq!(in_and_out(&story), (vec!["CC".into()], vec!["BB".into()]));
    assert_eq!(changes(&story), [EntryKind::NumberChanged]);
    let later: Vec<Record> =
        bob_and_alice().into_iter().take(2).chain([story[3].clone(), joined(200, &["w:1"])]).collect();
    assert_eq!(group(&later).members.len(), 3, "the number that they had is another's by now");
}

#[test]
fn a_number_given_up_for_a_hidden_one_is_theirs_no_more() {
    for previous in [&["w:1", "u:AA"][..], &["w:1"]] {
        let change = || changed(10, Number, previous, &["u:CC"], "m");
        let gone = [joined(1, &["w:1", "u:AA"]), change(), changed(11, Number, previous, &["u:CC"], "n")];
        assert_eq!(members(&gone), one(MemberStatus::Member, None, "CC"), "{previous:?}");
        assert_eq!(changes(&gone), [EntryKind::NumberChanged]);
        let next = [joined(1, &["w:1", "u:AA"]), change(), joined(20, &["w:1"])];
        let members = members(&next);
        assert_eq!(members[..1], one(MemberStatus::Member, None, "CC"));
        assert_eq!((members.len(), members[1].1.as_deref()), (2, Some("1")));
    }
}

/// Each number of the business hears of it, not all in one second.
#[test]
fn a_change_of_user_ids_is_told_once_however_often_it_is_reported() {
    for (previous, current) in [(&["w:1"], &["w:1", "u:CC"][..]), (&["u:AA"], &["u:CC"])] {
        let story = [
            joined(1, &["w:1", "u:AA"]),
            changed(10, UserId, previous, current, "m"),
            changed(11, UserId, previous, current, "n"),
            changed(11, UserId, previous, current, "o"),
        ];
        assert_eq!(members(&story), one(MemberStatus::Member, Some("1"), "CC"));
        assert_eq!(changes(&story), [EntryKind::UserIdChanged]);
    }
}

#[test]
fn a_spelling_reported_beside_a_name_means_that_name_from_then_on() {
    for (input, names) in
        [("i:BR.7", &["w:1"][..]), ("i:+44 20 7946 0958", &["u:GB.7"]), ("i:maria", &["w:1", "u:BR.8"])]
    {
        let beside: Vec<&str> = names.iter().copied().chain([input]).collect();
        let story = [joined(1, &beside), ended(2, EndReason::Removed, &[input])];
        let [member] = &group(&story).members[..] else { panic!("{input}: one person") };
        assert_eq!(member.status, MemberStatus::Removed, "{input}");
        assert_eq!((&member.names.input, member.joined_at_ms), (&None, Some(1000)), "{input}");
    }
    // Of a user name, which goes from hand to hand, the last one.
    let story = [
        joined(1, &["w:1", "i:maria"]),
        joined(5, &["w:2", "i:maria"]),
        ended(4, EndReason::Removed, &["i:maria"]),
        ended(6, EndReason::Removed, &["i:@maria"]),
    ];
    let removed = group(&story).members.into_iter().map(|m| (m.names.wa_id, m.left_at_ms));
    let removed: std::collections::BTreeMap<_, _> = removed.collect();
    assert_eq!((removed[&Some("1".into())], removed[&Some("2".into())]), (Some(4000), Some(6000)));
    // What a name says by itself is not kept.
    let plain = fold(&[joined(1, &["w:5511988887777", "i:+55 (11) 98888-7777"])]);
    let links = plain.0.keys().filter(|key| matches!(Key::decode(key), Ok(Key::Link { .. })));
    assert_eq!(links.count(), 0);
}

#[test]
fn whoever_is_removed_by_a_user_id_is_known_by_it() {
    let removed = |input: &str| group(&[ended(5, EndReason::Removed, &[input])]).members[0].names.clone();
    assert_eq!(removed("i:BR.1349").user_id.as_deref(), Some("BR.1349"));
    assert_eq!(removed("i:BR.ENT.1349").parent_user_id.as_deref(), Some("BR.ENT.1349"));
    assert_eq!(removed("i:maria").user_id, None);
    let change = changed(7, UserId, &["u:BR.1"], &["u:BR.2"], "m");
    assert_eq!(
        members(&[ended(5, EndReason::Removed, &["i:BR.1"]), change]),
        one(MemberStatus::Removed, None, "BR.2")
    );
}

#[test]
fn whoever_is_removed_by_a_whole_number_is_known_by_it() {
    let removed = |input: &str| ended(5, EndReason::Removed, &[input]);
    let known = |story: &[Record]| {
        let group = group(story);
        let [member] = &group.members[..] else { panic!("{:?}", group.members) };
        assert_eq!(member.status, MemberStatus::Removed);
        member.names.wa_id.clone()
    };
    assert_eq!(known(&[removed("i:+1 (786) 534-7866")]).as_deref(), Some("17865347866"));
    // Without the code of the country it may be any country's.
    assert_eq!(known(&[removed("i:11 98888-7777")]), None);
    let wrote = [message(2, &["w:17865347866"]), removed("i:+17865347866")];
    assert_eq!(group(&wrote).window.unwrap().opened_by.member_id, group(&wrote).members[0].member_id);
    // Known otherwise, it is that number; in Brazil with or without a digit.
    let joined = [joined(1, &["w:551188887777"]), removed("i:+55 11 98888-7777")];
    assert_eq!(known(&joined).as_deref(), Some("551188887777"));
    let changed = [removed("i:+17865347866"), renamed(7, &["w:17865347866"], &["w:17865347867"])];
    assert_eq!(known(&changed).as_deref(), Some("17865347867"));
}

/// Ids are handed out: whoever kept one finds the same person behind it.
#[test]
fn a_person_keeps_the_id_of_the_name_that_was_known_first() {
    let id = |story: &[Record]| group(story).members[0].member_id.clone();
    let expected = |name: &str, begin: &str| {
        let hash = groupfold_schemas::id::sha256([&b"member"[..], name.as_bytes(), begin.as_bytes()]);
        format!("mbr_{}", groupfold_schemas::id::hex(&hash[..8]))
    };
    assert_eq!(
        id(&[joined(1, &["w:1", "u:A"]), renamed(3, &["w:1", "u:A"], &["w:2", "u:B"])]),
        expected("u:A", "")
    );
    // Told before the group knew them: the new name has the time at which it was told first.
    let told = |old: &str, new: &str| id(&[renamed(3, &[old], &[new]), joined(5, &[new])]);
    assert_eq!(told("u:A", "u:B"), expected("u:A", ""));
    assert_eq!(told("u:B", "u:A"), expected("u:A", "3000"));
    assert_eq!(told("w:2", "w:1"), expected("w:1", "3000"));
}
