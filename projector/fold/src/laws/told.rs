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
