//! What webhooks tell: what was so already, what went wrong by name, and what may be others'.

use super::*;

fn errors(codes: &[&str]) -> Vec<ProviderError> {
    codes.iter().map(|code| ProviderError { code: (*code).to_owned(), ..Default::default() }).collect()
}

/// A removal, told by webhook: who went, who did not and why, and the errors of the whole.
fn removal(
    second: i64,
    request: Option<&str>,
    ended: &[&str],
    failed: &[(&str, &[&str])],
    whole: &[&str],
) -> Record {
    let input = |name: &str| who(&[&format!("i:{name}")]);
    let failure = |(name, codes): &(&str, &[&str])| v1::ParticipantFailure {
        participant: Some(input(name)),
        errors: errors(codes),
    };
    let event = v1::ParticipantsEnded {
        reason: EndReason::Removed.into(),
        ended: ended.iter().map(|name| input(name)).collect(),
        failed: failed.iter().map(failure).collect(),
        errors: errors(whole),
    };
    webhook(second, request, Kind::ParticipantsEnded(event))
}

fn accepted(of: CommandType, items: &[&str]) -> Vec<Record> {
    vec![asked(of, items), sent(2), answered(CommandResult::Accepted, Some("R"), None)]
}

fn with(story: &[Record], more: Record) -> Command {
    fate(&[story, &[more]].concat())
}

/// It had failed, while the same word in an answer was a success.
#[test]
fn who_is_gone_already_was_removed_by_webhook_as_by_an_answer() {
    use CommandStatus::{Accepted, Failed, Partly, Succeeded};
    const GONE: &[&str] = &["131212"];
    const PARTLY: &[&str] = &["131201"];
    type Told<'a> = (&'a [&'a str], &'a [(&'a str, &'a [&'a str])], &'a [&'a str]);
    let cases: [(&[&str], Told<'_>, CommandStatus); 9] = [
        (&["+1"], (&[], &[("+1", GONE)], PARTLY), Succeeded),
        // Without errors of its own it failed for those of the whole.
        (&["+1"], (&[], &[("+1", &[])], GONE), Succeeded),
        (&["+1"], (&[], &[], GONE), Succeeded),
        (&["+1"], (&[], &[("+1", &["131212", "131208"])], PARTLY), Failed),
        (&["+1"], (&[], &[("+1", &[])], PARTLY), Failed),
        (&["+1", "+2"], (&["+2"], &[("+1", GONE)], PARTLY), Succeeded),
        (&["+1", "+2"], (&[], &[("+1", GONE), ("+2", &["131208"])], PARTLY), Partly),
        // Of the other nothing is told.
        (&["+1", "+2"], (&[], &[("+1", GONE)], PARTLY), Partly),
        // Said of the whole it may be so of one alone: that is looked for.
        (&["+1", "+2"], (&[], &[], GONE), Accepted),
    ];
    for (items, (ended, failed, whole), expected) in cases {
        let told =
            with(&accepted(CommandType::MembersRemove, items), removal(4, Some("R"), ended, failed, whole));
        let already = expected != Failed && expected != Accepted;
        assert_eq!(
            (told.status, told.was_so_already()),
            (expected, already),
            "{items:?} {ended:?} {failed:?} {whole:?}"
        );
    }
    let by_answer = v1::CommandAnswered {
        command_id: id(),
        result: CommandResult::Succeeded.into(),
        errors: errors(GONE),
        code: "participant_not_in_group".to_owned(),
        advice: "treat_as_done".to_owned(),
        ..Default::default()
    };
    let ask = asked(CommandType::MembersRemove, &["+1"]);
    let answer = ours(3, Kind::CommandAnswered(by_answer));
    let told = fate(&[ask, sent(2), answer]);
    assert_eq!((told.status, told.was_so_already(), told.code, told.advice), (Succeeded, true, None, None));
}

fn named(command: &Command) -> Option<(&str, &str)> {
    Some((command.code.as_deref()?, command.advice.as_deref()?))
}

/// What a webhook told had no name, or that of the answer that it corrected.
#[test]
fn what_went_wrong_is_named_by_whoever_told_last() {
    let failed = |codes: &[&str]| {
        webhook(4, Some("R"), Kind::GroupDeleteFailed(v1::GroupDeleteFailed { errors: errors(codes) }))
    };
    let deletion = accepted(CommandType::GroupDelete, &[]);
    for (codes, name) in [
        (&["131208"][..], ("too_many_group_operations", "retry_later")),
        (&["131041"], ("group_unknown", "reconcile")),
        (&["7"], ("provider_error", "do_not_retry")),
    ] {
        assert_eq!(named(&with(&deletion, failed(codes))), Some(name));
    }
    // Items tell more than that they were not all done.
    let removal = with(
        &accepted(CommandType::MembersRemove, &["+1", "+2"]),
        removal(4, Some("R"), &["+1"], &[("+2", &["131207"])], &["131201"]),
    );
    assert_eq!(
        (removal.status, named(&removal)),
        (CommandStatus::Partly, Some(("group_suspended", "do_not_retry")))
    );

    // An answer is right until something else is told.
    let unanswered = v1::CommandAnswered {
        command_id: id(),
        result: CommandResult::Unknown.into(),
        code: "timed_out".to_owned(),
        advice: "reconcile".to_owned(),
        ..Default::default()
    };
    let lost = [asked(CommandType::GroupDelete, &[]), sent(2), ours(3, Kind::CommandAnswered(unanswered))];
    assert_eq!(named(&fate(&lost)), Some(("timed_out", "reconcile")));
    assert_eq!(named(&with(&lost, seen(CommandResult::Unknown))), Some(("timed_out", "reconcile")));
    assert_eq!(named(&with(&lost, seen(CommandResult::Failed))), None, "nobody told why");
    let theirs = v1::GroupDeleteFailed { errors: errors(&["131207"]) };
    let told = with(&lost, webhook(4, None, Kind::GroupDeleteFailed(theirs)));
    assert_eq!(named(&told), Some(("group_suspended", "do_not_retry")));
    assert_eq!(named(&with(&lost, webhook(4, None, Kind::GroupDeleted(v1::GroupDeleted {})))), None);

    // Answered one by one, the whole has no name of its own.
    let item = CommandItem { name: "J".into(), outcome: Outcome::Failed.into(), errors: errors(&["131203"]) };
    let answer = v1::CommandAnswered {
        command_id: id(),
        result: CommandResult::Failed.into(),
        items: vec![item],
        errors: errors(&["131201"]),
        ..Default::default()
    };
    let approval =
        [asked(CommandType::RequestsApprove, &["J"]), sent(2), ours(3, Kind::CommandAnswered(answer))];
    assert_eq!(named(&fate(&approval)), Some(("participant_cannot_be_added", "retry_later")));

    let message =
        [asked(CommandType::MessageSend, &[]), sent(2), answered(CommandResult::Succeeded, None, Some("M"))];
    let receipt = v1::Receipt {
        message_id: "M".into(),
        status: v1::ReceiptStatus::Failed.into(),
        errors: errors(&["131026"]),
        ..Default::default()
    };
    assert_eq!(
        named(&with(&message, webhook(4, None, Kind::Receipt(receipt)))),
        Some(("undeliverable", "do_not_retry"))
    );
}

/// Somebody else's failure had ended a command whose answer was on its way, and was taken back.
#[test]
fn what_may_be_others_is_no_end_before_the_answer_is_known() {
    use CommandStatus::{Accepted, Failed, Sent, Succeeded};
    let ask = [asked(CommandType::MembersRemove, &["+1"]), sent(2)];
    let theirs = removal(4, Some("THEIRS"), &[], &[("+1", &["131208"])], &[]);
    let mine = removal(5, Some("R"), &["+1"], &[], &[]);
    let after = |more: &[Record]| {
        let told = fate(&[&ask[..], more].concat());
        (told.status, told.told_by_webhook)
    };
    let answer = |request| answered(CommandResult::Accepted, request, None);
    assert_eq!(after(&[]), (Sent, false));
    assert_eq!(after(std::slice::from_ref(&theirs)), (Accepted, false));
    assert_eq!(after(&[theirs.clone(), answer(Some("R"))]), (Accepted, false));
    assert_eq!(after(&[theirs.clone(), answer(Some("R")), mine]), (Succeeded, true));
    // Nobody will say whose it is.
    let lost = answered(CommandResult::Unknown, None, None);
    for last in [answer(None), lost, seen(CommandResult::Unknown)] {
        assert_eq!(after(&[theirs.clone(), last]), (Failed, true));
    }
}

/// Whatever else goes by the same id is something else.
#[test]
fn an_outcome_under_the_requests_id_is_of_its_type_and_its_group() {
    let rename = accepted(CommandType::GroupUpdate, &["subject"]);
    let done = settings(4, Some("R"), vec![change(Setting::Subject, Outcome::Succeeded)]);
    let elsewhere = Record { group_id: "G2".into(), ..done.clone() };
    let deleted = webhook(4, Some("R"), Kind::GroupDeleted(v1::GroupDeleted {}));
    for (told, expected) in [
        (done, CommandStatus::Succeeded),
        (elsewhere, CommandStatus::Accepted),
        (deleted, CommandStatus::Accepted),
    ] {
        assert_eq!(with(&rename, told).status, expected);
    }
    let creation = accepted(CommandType::GroupCreate, &[]);
    let updated = settings(4, Some("R"), Vec::new());
    assert_eq!(with(&creation, updated).status, CommandStatus::Accepted);
    assert_eq!(with(&creation, created(Some("R"))).status, CommandStatus::Succeeded);
}
