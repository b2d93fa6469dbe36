//! What single events tell, in words that nothing else repeats.

use super::*;
use crate::entry::Source as _;

fn error(code: &str) -> v1::ProviderError {
    v1::ProviderError { code: code.to_owned(), ..Default::default() }
}

/// A line of a failure says what the provider said of it.
#[test]
fn a_line_of_a_failure_has_its_errors() {
    let mut of_account = at(1, Kind::AccountError(v1::AccountError { errors: vec![error("131")] }));
    of_account.group_id.clear();
    let failed = v1::GroupDeleteFailed { errors: vec![error("132")] };
    let memory = fold(&[of_account, at(2, Kind::GroupDeleteFailed(failed))]);
    let mut lines = view::account_timeline(&memory, "WABA", |_| true).unwrap();
    lines.extend(view::timeline(&memory, GROUP).unwrap().unwrap());
    let codes: Vec<_> = lines.iter().flat_map(|line| &line.errors).map(|error| error.code.as_str()).collect();
    assert_eq!(codes, ["131", "132"]);
}

/// The provider's answer names the message before any status comes.
#[test]
fn an_answer_tells_whose_message_it_is() {
    let answered = v1::CommandAnswered {
        command_id: "c".to_owned(),
        message_id: Some("M9".to_owned()),
        ..Default::default()
    };
    let mut nowhere = at(
        2,
        Kind::CommandAnswered(v1::CommandAnswered { message_id: Some("M8".to_owned()), ..answered.clone() }),
    );
    nowhere.group_id.clear();
    let memory = fold(&[at(1, Kind::CommandAnswered(answered)), nowhere]);
    let group = |message: &str| view::receipts(&memory, message).unwrap().map(|found| found.group_id);
    assert_eq!(group("M9"), Some(Some(GROUP.to_owned())));
    assert_eq!(group("M8"), None, "a message to one person is no group's");
}

#[test]
fn some_who_could_not_be_removed_make_it_partly_and_all_make_it_a_failure() {
    let failure = |id: &str| v1::ParticipantFailure { participant: Some(who(&[id])), ..Default::default() };
    let removed = |ended: &[&str], failed: &[&str]| {
        let event = v1::ParticipantsEnded {
            reason: EndReason::Removed.into(),
            ended: ended.iter().map(|id| who(&[id])).collect(),
            failed: failed.iter().map(|id| failure(id)).collect(),
            ..Default::default()
        };
        let outcomes = crate::entry::Prefix::GroupOutcomes { group: GROUP.to_owned() };
        let found = fold(&[at(1, Kind::ParticipantsEnded(event))]).scan(&outcomes).unwrap();
        let [(_, Value::Outcome(outcome))] = &found[..] else { panic!("{found:?}") };
        (outcome.result(), outcome.items.len())
    };
    assert_eq!(removed(&["w:1"], &["w:2"]), (v1::CommandResult::Partly, 2));
    assert_eq!(removed(&[], &["w:1", "w:2"]), (v1::CommandResult::Failed, 2));
    assert_eq!(removed(&["w:1"], &[]), (v1::CommandResult::Succeeded, 1));
}

/// Who takes a user name while in a group is known by it from messages and receipts alone.
#[test]
fn the_user_name_that_was_told_last_is_shown_whatever_told_it() {
    let user_name = |story: &[Record]| {
        let memory = fold(story);
        let group = view::group(&memory, GROUP).unwrap().unwrap();
        let [member] = &group.members[..] else { panic!("{:?}", group.members) };
        member.names.username.clone()
    };
    let came = || joined(1, &["u:U"]);
    assert_eq!(user_name(&[came(), message(2, &["u:U", "n:ana"])]).as_deref(), Some("ana"));
    let lines = view::timeline(&fold(&[came(), message(2, &["u:U", "n:ana"])]), GROUP).unwrap().unwrap();
    assert_eq!(
        lines[0].member.as_ref().unwrap().names.username.as_deref(),
        Some("ana"),
        "where it was not said"
    );
    let read = receipt(3, ReceiptStatus::Read, &["u:U", "n:ana"]);
    assert_eq!(user_name(&[came(), read.clone()]).as_deref(), Some("ana"));
    let receipts = view::receipts(&fold(std::slice::from_ref(&read)), "M1").unwrap().unwrap();
    assert_eq!(receipts.members[0].person.names.username.as_deref(), Some("ana"));

    let named = joined(1, &["u:U", "n:eva"]);
    assert_eq!(user_name(&[named.clone(), read]).as_deref(), Some("ana"), "another one, by a receipt");
    let again = message(9, &["u:U", "n:eva"]);
    let other = message(5, &["u:U", "n:ana"]);
    assert_eq!(user_name(&[named, other, again]).as_deref(), Some("eva"), "and back");
    let moved = [came(), renamed(4, &["u:U"], &["u:V"]), message(6, &["u:V", "n:ana"])];
    assert_eq!(user_name(&moved).as_deref(), Some("ana"), "under the user id that came after");
}

/// There are many receipts: each day a person's name is written once for them.
#[test]
fn receipts_of_one_day_tell_a_user_name_once() {
    let mut known = Known::default();
    known.learn(&Contributions::of([&receipt(86_400 + 5, ReceiptStatus::Read, &["u:U", "n:ana"])]));
    let links = |record: &Record| {
        let contributions = Contributions::unknown(record, &known);
        contributions.values().filter(|value| matches!(value, Value::Link(_))).count()
    };
    let read = |second| receipt(second, ReceiptStatus::Read, &["u:U", "n:ana"]);
    assert_eq!((links(&read(86_400 + 6)), links(&read(86_400 + 4))), (0, 1), "earlier than was known");
    assert_eq!((links(&read(3 * 86_400)), links(&message(86_400 + 6, &["u:U", "n:ana"]))), (1, 1));
}
