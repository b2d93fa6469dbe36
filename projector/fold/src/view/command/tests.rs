//! Every path of the diagram, in every order of arrival.

mod told;

use groupfold_schemas::command::{command_id, text_digest};
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{
    self, CommandItem, CommandResult, CommandType, EndReason, Evidence, Outcome, ProviderError, Record,
    Setting,
};

use super::{Command, CommandStatus, LOOKED_AT_MAX, command, commands, outcomes_since};
use crate::entry::{Key, Memory, Value};
use crate::story::{GROUP, at, who};

const DEADLINE_S: i64 = 100;

fn id() -> String {
    command_id(0, [1; 10])
}

fn ours(second: i64, kind: Kind) -> Record {
    Record { evidence: Evidence::ApiReply.into(), received_time_ms: second * 1000, ..at(second, kind) }
}

fn asked(of: CommandType, items: &[&str]) -> Record {
    let items = items.iter().map(|item| (*item).to_owned()).collect();
    let requested = v1::CommandRequested {
        command_id: id(),
        r#type: of.into(),
        deadline_ms: DEADLINE_S * 1000,
        items,
        ..Default::default()
    };
    let record = ours(1, Kind::CommandRequested(requested));
    let group_id = if of == CommandType::GroupCreate { String::new() } else { GROUP.to_owned() };
    Record { group_id, ..record }
}

fn sent(second: i64) -> Record {
    sent_after(second, None)
}

/// An outcome known when it left.
fn sent_after(second: i64, last: Option<&Record>) -> Record {
    ours(
        second,
        Kind::CommandSent(v1::CommandSent {
            command_id: id(),
            sender: "here".into(),
            known_outcomes: last.iter().map(|record| record.event_id.clone()).collect(),
            ..Default::default()
        }),
    )
}

fn answered(result: CommandResult, request: Option<&str>, message: Option<&str>) -> Record {
    ours(
        3,
        Kind::CommandAnswered(v1::CommandAnswered {
            command_id: id(),
            result: result.into(),
            request_id: request.map(str::to_owned),
            message_id: message.map(str::to_owned),
            ..Default::default()
        }),
    )
}

fn seen(result: CommandResult) -> Record {
    let seen = v1::CommandReconciled { command_id: id(), result: result.into(), ..Default::default() };
    ours(DEADLINE_S, Kind::CommandReconciled(seen))
}

fn webhook(second: i64, request: Option<&str>, kind: Kind) -> Record {
    let provider_request_id = request.map(str::to_owned);
    let record = Record { provider_request_id, ..at(second, kind) };
    let hash = groupfold_schemas::id::EventId::hash([prost::Message::encode_to_vec(&record).as_slice()]);
    Record { event_id: hash.to_string(), ..record }
}

fn created(request: Option<&str>) -> Record {
    webhook(4, request, Kind::GroupCreated(v1::GroupCreated::default()))
}

fn change(setting: Setting, outcome: Outcome) -> v1::SettingChange {
    v1::SettingChange { setting: setting.into(), outcome: outcome.into(), ..Default::default() }
}

fn settings(second: i64, request: Option<&str>, changes: Vec<v1::SettingChange>) -> Record {
    webhook(second, request, Kind::SettingsUpdated(v1::SettingsUpdated { changes, errors: Vec::new() }))
}

/// What became of it; the same in every rotation of the story and in two partitions.
fn fate(story: &[Record]) -> Command {
    let mut fates = Vec::new();
    for turn in 0..story.len() {
        let mut order = story.to_vec();
        order.rotate_left(turn);
        order.push(story[0].clone());
        let mut whole = Memory::default();
        whole.apply(&order).unwrap();
        fates.push(command(&[whole], &id()).unwrap().expect("the command is known"));
        // Ours in one partition, what webhooks told of a creation in another.
        if order.iter().any(|r| r.group_id.is_empty()) {
            let (mut home, mut other) = (Memory::default(), Memory::default());
            let (mine, told): (Vec<_>, Vec<_>) =
                order.iter().cloned().partition(|r| r.evidence() == Evidence::ApiReply);
            home.apply(&mine).unwrap();
            other.apply(&told).unwrap();
            fates.push(command(&[other, home], &id()).unwrap().expect("the command is known"));
        }
    }
    assert!(fates.iter().all(|fate| fate == &fates[0]), "{fates:#?}");
    fates.remove(0)
}

fn status(story: &[Record]) -> CommandStatus {
    fate(story).status
}

#[test]
fn a_creation_goes_its_way_and_names_the_group_it_made() {
    let ask = asked(CommandType::GroupCreate, &[]);
    let accepted = answered(CommandResult::Accepted, Some("R"), None);
    assert_eq!(status(std::slice::from_ref(&ask)), CommandStatus::Requested);
    assert_eq!(status(&[ask.clone(), sent(2)]), CommandStatus::Sent);
    assert_eq!(status(&[ask.clone(), sent(2), accepted.clone()]), CommandStatus::Accepted);
    let done = fate(&[ask.clone(), sent(2), accepted.clone(), created(Some("R"))]);
    assert_eq!((done.status, done.group_id.as_deref()), (CommandStatus::Succeeded, Some(GROUP)));
    assert!(done.told_by_webhook);
    let other = status(&[ask.clone(), sent(2), accepted.clone(), created(Some("another"))]);
    assert_eq!(other, CommandStatus::Accepted, "somebody else's creation");
    let failed = v1::GroupCreateFailed {
        errors: vec![ProviderError { code: "131211".into(), ..Default::default() }],
        ..Default::default()
    };
    let failed = fate(&[ask, sent(2), accepted, webhook(4, Some("R"), Kind::GroupCreateFailed(failed))]);
    assert_eq!((failed.status, failed.errors[0].code.as_str()), (CommandStatus::Failed, "131211"));
}

#[test]
fn a_refused_command_stays_refused() {
    let refused = v1::CommandRefused { command_id: id(), code: "blocked".into(), ..Default::default() };
    let story = [asked(CommandType::GroupDelete, &[]), ours(2, Kind::CommandRefused(refused))];
    assert_eq!(status(&story), CommandStatus::Refused);
}

#[test]
fn what_is_not_known_in_time_is_looked_for_and_a_webhook_knows_better() {
    let story = [
        asked(CommandType::GroupDelete, &[]),
        sent(2),
        answered(CommandResult::Accepted, Some("R"), None),
        seen(CommandResult::Failed),
    ];
    assert_eq!(status(&story), CommandStatus::Failed);
    let mut late = story.to_vec();
    late.push(webhook(5000, Some("R"), Kind::GroupDeleted(v1::GroupDeleted {})));
    assert_eq!(status(&late), CommandStatus::Succeeded);
    let lost = [asked(CommandType::GroupDelete, &[]), sent(2), answered(CommandResult::Unknown, None, None)];
    assert_eq!(status(&lost), CommandStatus::Unknown);
}

#[test]
fn settings_end_when_each_has_its_outcome() {
    let story = [
        asked(CommandType::GroupUpdate, &["subject", "description"]),
        sent(2),
        answered(CommandResult::Accepted, Some("R"), None),
        settings(4, Some("R"), vec![change(Setting::Subject, Outcome::Succeeded)]),
    ];
    let half = fate(&story);
    assert_eq!((half.status, half.items.len()), (CommandStatus::Accepted, 1));
    let mut whole = story.to_vec();
    whole.push(settings(5, Some("R"), vec![change(Setting::Description, Outcome::Failed)]));
    let whole = fate(&whole);
    assert_eq!((whole.status, whole.items.len()), (CommandStatus::Partly, 2));
    let mut none = story[..3].to_vec();
    let failed = [Setting::Subject, Setting::Description].map(|setting| change(setting, Outcome::Failed));
    none.push(settings(4, Some("R"), failed.to_vec()));
    assert_eq!(status(&none), CommandStatus::Failed);
}

#[test]
fn without_a_request_id_the_first_of_its_type_after_it_left_is_its_outcome() {
    let removed = |second, name: &str| {
        let ended = vec![who(&[name, "i:+1"])];
        let event = v1::ParticipantsEnded { reason: EndReason::Removed.into(), ended, ..Default::default() };
        webhook(second, None, Kind::ParticipantsEnded(event))
    };
    let before = removed(2, "w:0");
    let ask = [
        asked(CommandType::MembersRemove, &["+1"]),
        sent_after(2, Some(&before)),
        answered(CommandResult::Accepted, None, None),
    ];
    let with = |more: &[Record]| fate(&[&ask[..], more].concat());
    let done = with(&[removed(5, "w:2"), removed(4, "w:1"), before]);
    assert_eq!(
        (done.status, done.at_ms),
        (CommandStatus::Succeeded, 4000),
        "neither before it nor a later one"
    );
    assert_eq!(done.items[0].name, "+1");
    let same_second = with(&[removed(2, "w:1"), removed(2, "w:0")]);
    assert_eq!((same_second.status, same_second.at_ms), (CommandStatus::Succeeded, 2000));
    assert_eq!(with(&[removed(DEADLINE_S + 1, "w:1")]).status, CommandStatus::Accepted, "given up before");
    // A clock may be a minute off, and no more.
    let late = [ask[0].clone(), sent(70), ask[2].clone()];
    for (second, status) in [(10, CommandStatus::Succeeded), (9, CommandStatus::Accepted)] {
        assert_eq!(fate(&[&late[..], &[removed(second, "w:1")]].concat()).status, status, "{second}");
    }
    let left = v1::ParticipantsEnded {
        reason: EndReason::Left.into(),
        ended: vec![who(&["w:1"])],
        ..Default::default()
    };
    assert_eq!(with(&[webhook(4, None, Kind::ParticipantsEnded(left))]).status, CommandStatus::Accepted);
}

/// Others than we ask the provider for changes too.
#[test]
fn without_a_request_id_what_others_asked_for_is_no_outcome() {
    let told = |second, setting: Setting, text: &str, outcome: Outcome| {
        let value = v1::setting_value::Value::Text(text.to_owned());
        let new = Some(v1::SettingValue { value: Some(value) });
        settings(second, None, vec![v1::SettingChange { new, ..change(setting, outcome) }])
    };
    let mut ask = asked(CommandType::GroupUpdate, &["subject"]);
    if let Some(Kind::CommandRequested(event)) = ask.event.as_mut().and_then(|event| event.kind.as_mut()) {
        event.texts = vec![text_digest("Green tea ")];
    }
    let renames = [ask, sent(2), answered(CommandResult::Accepted, None, None)];
    let theirs = [
        told(3, Setting::Description, "Green tea", Outcome::Succeeded),
        told(4, Setting::Subject, "Cocoa", Outcome::Succeeded),
    ];
    let with = |more: &[Record]| status(&[&renames[..], &theirs[..], more].concat());
    assert_eq!(with(&[]), CommandStatus::Accepted);
    assert_eq!(with(&[told(5, Setting::Subject, "Green tea", Outcome::Succeeded)]), CommandStatus::Succeeded);
    assert_eq!(with(&[told(5, Setting::Subject, "Green tea", Outcome::Failed)]), CommandStatus::Failed);

    let removed = |second, input: &str| {
        let ended = vec![who(&[&format!("i:{input}")])];
        let event = v1::ParticipantsEnded { reason: EndReason::Removed.into(), ended, ..Default::default() };
        webhook(second, None, Kind::ParticipantsEnded(event))
    };
    let removes = [
        asked(CommandType::MembersRemove, &["+1 23"]),
        sent(2),
        answered(CommandResult::Accepted, None, None),
    ];
    let with = |more: &[Record]| status(&[&removes[..], more].concat());
    assert_eq!(with(&[removed(3, "+124")]), CommandStatus::Accepted);
    assert_eq!(with(&[removed(3, "+124"), removed(4, "123")]), CommandStatus::Succeeded);
}

/// A missing flag is neither yes nor no.
#[test]
fn a_setting_told_without_an_outcome_has_none_yet() {
    let story = [
        asked(CommandType::GroupUpdate, &["subject", "description"]),
        sent(2),
        answered(CommandResult::Accepted, Some("R"), None),
        settings(
            4,
            Some("R"),
            vec![
                change(Setting::Subject, Outcome::Unknown),
                change(Setting::Description, Outcome::Succeeded),
            ],
        ),
    ];
    let open = fate(&story);
    let outcomes: Vec<_> = open.items.iter().map(CommandItem::outcome).collect();
    assert_eq!((open.status, open.told_by_webhook), (CommandStatus::Accepted, false));
    assert_eq!(outcomes, [Outcome::Succeeded, Outcome::Unknown]);
    let items = ["subject", "description"].map(|name| CommandItem {
        name: name.to_owned(),
        outcome: Outcome::Failed.into(),
        errors: Vec::new(),
    });
    let mut looked = story.to_vec();
    looked.push(ours(
        DEADLINE_S,
        Kind::CommandReconciled(v1::CommandReconciled {
            command_id: id(),
            result: CommandResult::Failed.into(),
            items: items.to_vec(),
            ..Default::default()
        }),
    ));
    let looked_for = fate(&looked);
    let outcomes: Vec<_> = looked_for.items.iter().map(CommandItem::outcome).collect();
    assert_eq!(looked_for.status, CommandStatus::Failed);
    assert_eq!(outcomes, [Outcome::Succeeded, Outcome::Failed], "what was seen, but for what a webhook told");
    looked.push(settings(5000, Some("R"), vec![change(Setting::Subject, Outcome::Succeeded)]));
    assert_eq!(status(&looked), CommandStatus::Succeeded);
}

#[test]
fn a_message_is_proved_by_its_status_and_may_fail_later() {
    let told = |status: v1::ReceiptStatus| {
        let receipt = v1::Receipt {
            message_id: "M".into(),
            status: status.into(),
            opaque_callback_data: Some(id()),
            ..Default::default()
        };
        webhook(4, None, Kind::Receipt(receipt))
    };
    let lost = [asked(CommandType::MessageSend, &[]), sent(2), answered(CommandResult::Unknown, None, None)];
    let proved = fate(&[&lost[..], &[told(v1::ReceiptStatus::Sent)]].concat());
    assert_eq!((proved.status, proved.message_id.as_deref()), (CommandStatus::Succeeded, Some("M")));
    let unanswered = [&lost[..2], &[told(v1::ReceiptStatus::Sent)]].concat();
    assert_eq!(status(&unanswered), CommandStatus::Succeeded);
    let refused = [&lost[..2], &[answered(CommandResult::Failed, None, None), told(v1::ReceiptStatus::Sent)]];
    assert_eq!(status(&refused.concat()), CommandStatus::Failed, "what is known to have failed is no other");
    let taken =
        [asked(CommandType::MessageSend, &[]), sent(2), answered(CommandResult::Succeeded, None, Some("M"))];
    assert_eq!(status(&taken), CommandStatus::Succeeded);
    assert_eq!(status(&[&taken[..], &[told(v1::ReceiptStatus::Failed)]].concat()), CommandStatus::Failed);
}

#[test]
fn outcomes_of_a_type_are_told_from_a_time_on() {
    let story: Vec<Record> = [4, 2, 3].map(|second| settings(second, None, Vec::new())).to_vec();
    let mut memory = Memory::default();
    memory.apply(&story).unwrap();
    let since = |of, ms| outcomes_since(&memory, GROUP, of, ms).unwrap();
    let expected = [(3000, story[2].event_id.clone()), (4000, story[0].event_id.clone())];
    assert_eq!(since(CommandType::GroupUpdate, 3000), expected);
    assert!(since(CommandType::GroupDelete, 0).is_empty() && since(CommandType::MessageSend, 0).is_empty());
}

#[test]
fn each_status_has_a_name_of_its_own_and_says_whether_it_is_the_end() {
    let told = CommandStatus::ALL.map(|status| (status.name(), status.is_end()));
    let expected = [
        ("requested", false),
        ("refused", true),
        ("sent", false),
        ("accepted", false),
        ("succeeded", true),
        ("partly", true),
        ("failed", true),
        ("unknown", true),
    ];
    assert_eq!(told, expected);
}

/// Pages behind each other are all commands of all partitions, the last first, however many one of them has.
#[test]
fn pages_of_commands_leave_none_out() {
    let of = |number: usize| format!("cmd_{number:06}");
    let mut sources = [Memory::default(), Memory::default()];
    for number in 0..LOOKED_AT_MAX + 60 {
        let state = v1::CommandState { requested: Some(Default::default()), ..Default::default() };
        let value = Value::Command(Box::new(state)).encode();
        // The first has most of them, and the last ones.
        let source = &mut sources[usize::from(number % 40 == 0)];
        source.0.insert(Key::Command { command: of(number) }.encode(), value);
    }
    assert!(sources[0].0.len() > LOOKED_AT_MAX / 2);
    let mut before: Option<String> = None;
    let mut found = Vec::new();
    for limit in [1, 7, LOOKED_AT_MAX * 2].into_iter().cycle() {
        let page = commands(&sources, before.as_deref(), limit, &|_| true).unwrap();
        assert!(page.commands.len() <= limit);
        found.extend(page.commands.into_iter().map(|command| command.command_id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..LOOKED_AT_MAX + 60).rev().map(of).collect::<Vec<_>>());
}
