//! Short histories, in every order there is.

use groupfold_fold::apply::Digest;
use groupfold_fold::entry::Memory;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    self, EndReason, IdentityChangeKind, JoinVia, Participant, ReceiptStatus, Record,
};

use super::history::{record, told};

/// A person by names: `w:` number, `u:` user id, `p:` parent user id, `n:` user name, `i:` spelling.
fn who(names: &str) -> Participant {
    let mut participant = Participant::default();
    for name in names.split(',') {
        let (tag, text) = name.split_once(':').expect("tag:name");
        let text = Some(text.to_owned());
        match tag {
            "w" => participant.wa_id = text,
            "u" => participant.user_id = text,
            "p" => participant.parent_user_id = text,
            "n" => participant.username = text,
            _ => participant.input = text,
        }
    }
    participant
}

fn at(second: i64, kind: Kind) -> Record {
    record(second, "G1", None, kind)
}

fn joined(second: i64, names: &str) -> Record {
    let via = JoinVia::InviteLink.into();
    let participants = names.split('+').map(who).collect();
    at(second, Kind::ParticipantsJoined(v1::ParticipantsJoined { participants, via, reason: None }))
}

fn ended(second: i64, reason: EndReason, names: &str) -> Record {
    let (reason, ended) = (reason.into(), vec![who(names)]);
    at(second, Kind::ParticipantsEnded(v1::ParticipantsEnded { reason, ended, ..Default::default() }))
}

fn requested(second: i64, names: &str) -> Record {
    let join_request_id = Some("R".to_owned());
    let participant = Some(who(names));
    at(second, Kind::JoinRequested(v1::JoinRequested { participant, join_request_id, reason: None }))
}

fn revoked(second: i64, names: &str) -> Record {
    at(
        second,
        Kind::JoinRequestClosed(v1::JoinRequestClosed {
            participant: Some(who(names)),
            outcome: v1::JoinRequestOutcome::Revoked.into(),
            ..Default::default()
        }),
    )
}

fn changed(second: i64, previous: &str, current: &str, message: &str) -> Record {
    let of_number = current.contains("w:") && !previous.split(',').any(|old| current.contains(old));
    let kind = if of_number { IdentityChangeKind::Number } else { IdentityChangeKind::UserId };
    at(
        second,
        Kind::IdentityChanged(v1::IdentityChanged {
            kind: kind.into(),
            previous: Some(who(previous)),
            current: Some(who(current)),
            message_id: Some(message.to_owned()),
            body: None,
        }),
    )
}

fn receipt(second: i64, status: ReceiptStatus, names: &str) -> Record {
    at(
        second,
        Kind::Receipt(v1::Receipt {
            message_id: "M".to_owned(),
            status: status.into(),
            participant: (!names.is_empty()).then(|| who(names)),
            ..Default::default()
        }),
    )
}

fn wrote(second: i64, names: &str) -> Record {
    at(second, Kind::MessageReceived(v1::MessageReceived { from: Some(who(names)), ..Default::default() }))
}

fn subject(second: i64, text: &str) -> Record {
    let value = Some(v1::setting_value::Value::Text(text.to_owned()));
    let change = v1::SettingChange {
        setting: v1::Setting::Subject.into(),
        new: Some(v1::SettingValue { value }),
        outcome: v1::Outcome::Succeeded.into(),
        ..Default::default()
    };
    at(second, Kind::SettingsUpdated(v1::SettingsUpdated { changes: vec![change], errors: Vec::new() }))
}

fn created(second: i64) -> Record {
    let subject = Some("at first".to_owned());
    at(second, Kind::GroupCreated(v1::GroupCreated { subject, ..Default::default() }))
}

/// Folds every order one by one, and compares with the oracle.
fn check(story: &[Record]) {
    let mut whole = Memory::default();
    let digest = super::apply(&mut whole, story);
    let mut order: Vec<usize> = (0..story.len()).collect();
    permute(&mut order, 0, &mut |order| {
        let (mut memory, mut sum) = (Memory::default(), Digest::default());
        for i in order.iter().chain(order.last()) {
            sum = sum.plus(super::apply(&mut memory, &story[*i..=*i]));
        }
        assert!(memory == whole && sum == digest, "order {order:?} of\n{}", told(story));
    });
    if let Err(why) = super::answers_agree(story, &whole) {
        panic!("{why}\n\nhistory:\n{}", told(story));
    }
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

#[test]
fn a_life_in_a_group() {
    check(&[
        created(1),
        requested(2, "w:1"),
        joined(3, "w:1,u:A"),
        receipt(4, ReceiptStatus::Read, "u:A"),
        ended(5, EndReason::Left, "u:A"),
        at(6, Kind::GroupDeleted(v1::GroupDeleted {})),
    ]);
}

#[test]
fn everything_in_one_second() {
    check(&[
        created(1),
        subject(1, "later"),
        requested(1, "w:1"),
        joined(1, "w:1"),
        ended(1, EndReason::Removed, "i:1"),
        at(1, Kind::GroupSuspended(v1::GroupSuspended {})),
    ]);
    check(&[requested(1, "w:1"), revoked(1, "w:1"), joined(1, "w:2"), ended(1, EndReason::Left, "w:2")]);
}

#[test]
fn a_number_changes_and_somebody_else_gets_it() {
    check(&[
        joined(1, "w:1,u:A"),
        changed(3, "w:1,u:A", "w:2,u:B", "m1"),
        receipt(4, ReceiptStatus::Delivered, "w:2"),
        joined(5, "w:1,u:C"),
        ended(6, EndReason::Left, "w:1"),
        wrote(7, "u:B"),
    ]);
}

#[test]
fn receipts_before_and_after_a_change_are_one_persons() {
    check(&[
        joined(1, "w:1"),
        receipt(2, ReceiptStatus::Delivered, "w:1"),
        changed(3, "w:1", "w:2", "m1"),
        receipt(4, ReceiptStatus::Read, "w:2"),
        joined(5, "w:1"),
        receipt(1, ReceiptStatus::Sent, ""),
    ]);
}

#[test]
fn facts_of_the_second_of_a_change_are_the_old_holders() {
    check(&[
        joined(1, "w:1"),
        changed(3, "w:1", "w:2", "m1"),
        ended(3, EndReason::Left, "w:1"),
        joined(3, "w:2"),
        joined(4, "w:1"),
    ]);
}

#[test]
fn a_change_that_each_number_of_the_business_hears_of_is_one_change() {
    check(&[
        joined(1, "w:1"),
        changed(3, "w:1", "w:2", "m1"),
        changed(3, "w:1", "w:2", "m2"),
        changed(5, "w:1", "w:2", "m3"),
        wrote(6, "w:2"),
    ]);
}

#[test]
fn a_chain_of_changes_and_the_way_back() {
    check(&[
        joined(1, "w:1"),
        changed(2, "w:1", "w:2", "m1"),
        changed(4, "w:2", "w:3", "m2"),
        changed(6, "w:3", "w:1", "m3"),
        ended(8, EndReason::Left, "w:1"),
        joined(9, "w:2"),
    ]);
}

#[test]
fn a_number_passed_on_without_a_word() {
    check(&[
        joined(1, "w:1,u:A"),
        ended(2, EndReason::Left, "w:1"),
        joined(5, "w:1,u:B"),
        receipt(6, ReceiptStatus::Read, "w:1"),
        ended(7, EndReason::Removed, "i:A"),
    ]);
}

#[test]
fn a_number_passed_on_between_people_with_parent_ids() {
    check(&[
        joined(1, "w:1,u:A,p:PA"),
        joined(5, "w:1,u:B,p:PB"),
        ended(6, EndReason::Left, "p:PA"),
        wrote(7, "w:1"),
    ]);
}

#[test]
fn a_user_id_changes_for_one_who_hides_the_number() {
    check(&[
        joined(1, "u:A,n:maria"),
        changed(3, "u:A", "u:B", "m1"),
        receipt(4, ReceiptStatus::Played, "u:B"),
        ended(5, EndReason::Removed, "i:B"),
        joined(6, "n:maria"),
    ]);
}

#[test]
fn spellings_of_brazil_and_mexico() {
    check(&[
        joined(1, "w:553188887777+w:5215512345678"),
        ended(2, EndReason::Removed, "i:+55 (31) 98888-7777"),
        ended(3, EndReason::Removed, "i:+52 55 1234 5678"),
        ended(4, EndReason::Removed, "i:+49 171 3920000"),
    ]);
}

#[test]
fn two_numbers_that_change_in_one_second_are_two_members() {
    check(&[
        changed(3, "w:2", "w:3", "m1"),
        changed(3, "w:1", "w:2", "m2"),
        ended(5, EndReason::Left, "w:3"),
        joined(6, "w:2"),
    ]);
}

#[test]
fn a_number_that_is_given_up_and_taken_in_one_second() {
    for n in 0..4 {
        let (gives, takes) = (format!("gives {n}"), format!("takes {n}"));
        check(&[
            joined(1, "w:1"),
            joined(1, "w:2"),
            changed(10, "w:1", "w:9", &gives),
            changed(10, "w:2", "w:1", &takes),
            ended(30, EndReason::Left, "w:1"),
        ]);
        check(&[
            joined(1, "w:1,u:A"),
            joined(1, "w:2,u:B"),
            changed(10, "w:1,u:A", "w:2,u:C", &gives),
            changed(10, "w:2,u:B", "w:1,u:D", &takes),
            joined(10, "w:1"),
            receipt(11, ReceiptStatus::Read, "w:1"),
        ]);
    }
}

#[test]
fn a_number_handed_on_between_a_receipt_and_the_next() {
    check(&[
        joined(1, "w:1+w:7"),
        receipt(5, ReceiptStatus::Delivered, "w:1"),
        receipt(6, ReceiptStatus::Delivered, "w:7"),
        changed(10, "w:1", "w:2", "m1"),
        changed(20, "w:7", "w:1", "m2"),
        receipt(25, ReceiptStatus::Read, "w:1"),
    ]);
    check(&[
        joined(1, "w:1"),
        receipt(5, ReceiptStatus::Delivered, "w:1"),
        changed(10, "w:1", "w:2", "m1"),
        receipt(12, ReceiptStatus::Read, "w:1"),
        joined(14, "w:1,u:C"),
        receipt(16, ReceiptStatus::Played, "w:1"),
    ]);
}

#[test]
fn spellings_reported_beside_other_names() {
    check(&[
        joined(1, "w:1,i:BR.7"),
        joined(3, "w:2,i:BR.7"),
        ended(2, EndReason::Removed, "i:BR.7"),
        ended(4, EndReason::Removed, "i:BR.7"),
        ended(5, EndReason::Removed, "i:US.9"),
        changed(6, "u:US.9", "u:US.8", "m1"),
    ]);
}
