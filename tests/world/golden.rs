//! Stored bytes are a contract: what a release wrote, every later build reads. The bytes of each release
//! stay in the tree; `GROUPFOLD_UPDATE=1` adds the ones of a new kind of value, and never changes one.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use groupfold_fold::entry::{Key, Memory};
use groupfold_fold::view;
use groupfold_schemas::id::hex;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{self, Participant, Record};
use groupfold_schemas::{failure, frame, log, v1::FailedWebhook};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

fn bytes_of(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The golden bytes of a name; written first if they do not exist and an update is wanted.
fn golden(name: &str, today: &[u8]) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    if !path.exists() && std::env::var_os("GROUPFOLD_UPDATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, format!("{}\n", hex(today))).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes_of(&text)
}

fn record(kind: Kind, second: i64) -> Record {
    Record {
        event_id: format!("{second:032x}"),
        provider: v1::Provider::Meta.into(),
        account: "102290129340398".into(),
        phone_number_id: "106540352242922".into(),
        display_phone_number: "15550783881".into(),
        group_id: "Y2FwaV9ncm91cDox".into(),
        provider_time_ms: second * 1000,
        time_quality: v1::TimeQuality::Provider.into(),
        received_time_ms: second * 1000 + 17,
        request_id: "0123456789abcdef0123456789abcdef".into(),
        provider_request_id: Some("REQ".into()),
        actor: Some(v1::Actor { kind: v1::ActorKind::Participant.into(), ..Default::default() }),
        evidence: v1::Evidence::Webhook.into(),
        field: "group_participants_update".into(),
        pointer: "/entry/0/changes/0/value/groups/0".into(),
        original_json: b"{\"a\":1}".to_vec().into(),
        original_contacts: vec![b"{}".to_vec().into()],
        replayed: false,
        event: Some(v1::Event { kind: Some(kind) }),
    }
}

fn person() -> Participant {
    Participant {
        wa_id: Some("5511900000001".into()),
        user_id: Some("BR.1".into()),
        username: Some("maria".into()),
        ..Default::default()
    }
}

/// A small history that leaves every kind of entry behind.
fn history() -> Vec<Record> {
    let next = Participant { wa_id: Some("5511900000002".into()), ..Default::default() };
    let receipt = v1::Receipt {
        message_id: "wamid.A".into(),
        status: v1::ReceiptStatus::Read.into(),
        participant: Some(person()),
        pricing: Some(v1::Pricing {
            billable: Some(true),
            category: Some("group_utility".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let created = v1::GroupCreated { subject: Some("Lucky Shrub".into()), ..Default::default() };
    let joined = v1::ParticipantsJoined { participants: vec![person()], ..Default::default() };
    let message =
        v1::MessageReceived { message_id: "wamid.B".into(), from: Some(person()), ..Default::default() };
    let renamed = v1::IdentityChanged {
        kind: v1::IdentityChangeKind::Number.into(),
        previous: Some(Participant { wa_id: Some("5511900000001".into()), ..Default::default() }),
        current: Some(next),
        ..Default::default()
    };
    let mut records = vec![
        record(Kind::GroupCreated(created), 1),
        record(Kind::ParticipantsJoined(joined), 2),
        record(Kind::Receipt(receipt), 3),
        record(Kind::MessageReceived(message), 4),
        record(Kind::IdentityChanged(renamed), 5),
        record(Kind::AccountError(v1::AccountError::default()), 6),
    ];
    records[4].group_id.clear();
    records[5].group_id.clear();
    records
}

/// What a platform may lay down about a group, once each.
fn policies() -> Vec<Record> {
    let visibility = v1::Visibility { teams: vec!["sales".into()], ..Default::default() };
    let newest = v1::MessageMark { time_ms: 4_000, event_id: format!("{:032x}", 4) };
    let kinds = [
        Kind::VisibilitySet(v1::VisibilitySet { visibility: Some(visibility) }),
        Kind::ModeratorsSet(v1::ModeratorsSet { users: vec!["agent-7".into()] }),
        Kind::LabelSet(v1::LabelSet { label: "vip".into(), present: true }),
        Kind::ArchiveSet(v1::ArchiveSet { archived: true, newest: Some(newest) }),
        Kind::BlockSet(v1::BlockSet { blocked: true }),
        Kind::MessageViewed(v1::MessageViewed { message_id: "wamid.A".into(), user_id: "agent-7".into() }),
    ];
    let actor = v1::Actor {
        kind: v1::ActorKind::Business.into(),
        user_id: Some("agent-7".into()),
        ..Default::default()
    };
    let ours = |(second, kind)| Record {
        time_quality: v1::TimeQuality::Received.into(),
        evidence: v1::Evidence::Platform.into(),
        actor: Some(actor.clone()),
        ..record(kind, second)
    };
    (10..).zip(kinds).map(ours).collect()
}

/// Everything else that is told of a group, and all stations of a command.
fn others() -> Vec<Record> {
    let errors =
        vec![v1::ProviderError { code: "131201".into(), title: "Partly".into(), ..Default::default() }];
    let nobody = v1::ParticipantFailure { participant: Some(person()), errors: errors.clone() };
    let item = v1::CommandItem {
        name: "subject".into(),
        outcome: v1::Outcome::Failed.into(),
        errors: errors.clone(),
    };
    let change = v1::SettingChange {
        setting: v1::Setting::Subject.into(),
        outcome: v1::Outcome::Failed.into(),
        errors: errors.clone(),
        ..Default::default()
    };
    let listed = v1::SnapshotParticipant {
        participant: Some(person()),
        role: v1::Role::Admin.into(),
        ..Default::default()
    };
    let command_id = "c".repeat(32);
    let told = vec![
        Kind::GroupCreateFailed(v1::GroupCreateFailed {
            subject: Some("Tea".into()),
            errors: errors.clone(),
            ..Default::default()
        }),
        Kind::GroupDeleted(v1::GroupDeleted {}),
        Kind::GroupDeleteFailed(v1::GroupDeleteFailed { errors: errors.clone() }),
        Kind::ParticipantsEnded(v1::ParticipantsEnded {
            reason: v1::EndReason::Removed.into(),
            ended: vec![person()],
            failed: vec![nobody],
            errors: errors.clone(),
        }),
        Kind::JoinRequested(v1::JoinRequested {
            participant: Some(person()),
            join_request_id: Some("J".into()),
            ..Default::default()
        }),
        Kind::JoinRequestClosed(v1::JoinRequestClosed {
            participant: Some(person()),
            join_request_id: Some("J".into()),
            outcome: v1::JoinRequestOutcome::Rejected.into(),
            ..Default::default()
        }),
        Kind::RoleChanged(v1::RoleChanged { participants: vec![person()], role: v1::Role::Admin.into() }),
        Kind::SettingsUpdated(v1::SettingsUpdated { changes: vec![change], errors: errors.clone() }),
        Kind::GroupSuspended(v1::GroupSuspended {}),
        Kind::GroupSuspensionCleared(v1::GroupSuspensionCleared {}),
        Kind::MessageUnsupported(v1::MessageUnsupported {
            message_id: "wamid.C".into(),
            from: Some(person()),
            r#type: Some("unsupported".into()),
            errors: errors.clone(),
        }),
    ];
    let snapshot = v1::GroupSnapshot {
        subject: Some("Tea".into()),
        participants_total: Some(2),
        participants: vec![listed],
        participants_complete: true,
        read_until_ms: 33_500,
        ..Default::default()
    };
    let stations = vec![
        Kind::CommandRequested(v1::CommandRequested {
            command_id: command_id.clone(),
            r#type: v1::CommandType::GroupUpdate.into(),
            body: b"{}".to_vec().into(),
            asked_by: Some("agent-7".into()),
            idempotency_key: Some("key".into()),
            deadline_ms: 99_000,
            items: vec!["subject".into()],
            texts: vec!["Tea".into()],
        }),
        Kind::CommandRefused(v1::CommandRefused {
            command_id: command_id.clone(),
            code: "bad_subject".into(),
            field: "subject".into(),
            rule: "a text".into(),
        }),
        Kind::CommandSent(v1::CommandSent {
            command_id: command_id.clone(),
            sender: "s".into(),
            known_outcomes: vec!["f".repeat(32)],
            after_time_ms: Some(20_000),
            ..Default::default()
        }),
        Kind::CommandAnswered(v1::CommandAnswered {
            command_id: command_id.clone(),
            result: v1::CommandResult::Accepted.into(),
            request_id: Some("REQ".into()),
            message_id: Some("wamid.D".into()),
            items: vec![item.clone()],
            ..Default::default()
        }),
        Kind::CommandReconciled(v1::CommandReconciled {
            command_id,
            result: v1::CommandResult::Partly.into(),
            reason: "read".into(),
            items: vec![item],
            group_id: Some("Y2FwaV9ncm91cDox".into()),
        }),
    ];
    let business = v1::Actor { kind: v1::ActorKind::Business.into(), ..Default::default() };
    let by_business = |record: Record| Record { actor: Some(business.clone()), ..record };
    let told = (20..).zip(told).map(|(second, kind)| by_business(record(kind, second)));
    let read =
        Record { evidence: v1::Evidence::Snapshot.into(), ..record(Kind::GroupSnapshot(snapshot), 33) };
    let ours = |(second, kind)| Record { evidence: v1::Evidence::Platform.into(), ..record(kind, second) };
    told.chain([read]).chain((40..).zip(stations).map(ours)).collect()
}

/// The word of each kind of event in the schema's text.
fn kinds_of_the_schema() -> usize {
    let schema = include_str!("../../schemas/proto/groupfold/v1/event.proto");
    let (_, kinds) = schema.split_once("oneof kind {").unwrap();
    kinds.split_once('}').unwrap().0.lines().filter(|line| line.contains(" = ")).count()
}

#[test]
fn records_of_every_release_read_back() {
    let all: Vec<Record> = history().into_iter().chain(policies()).chain(others()).collect();
    let kinds: HashSet<_> = all.iter().map(|record| std::mem::discriminant(record.kind().unwrap())).collect();
    assert_eq!(kinds.len(), kinds_of_the_schema(), "every kind of event is among them");
    for record in all {
        let name = format!("record_{}", record.kind().unwrap().name());
        let golden = golden(&name, &frame::encode(&record));
        assert_eq!(frame::decode::<Record>(&golden).unwrap(), record, "{name}");
    }
}

#[test]
fn failed_webhooks_of_every_release_read_back() {
    let failed = FailedWebhook {
        failed_id: "f".repeat(32),
        provider: v1::Provider::Meta.into(),
        cause: "missing_field".into(),
        pointer: "/entry/0/id".into(),
        expected: "a text".into(),
        fingerprint: failure::fingerprint([&b"x"[..]]),
        raw: b"{}".to_vec().into(),
        headers: vec![v1::Header { name: "content-type".into(), value: b"application/json".to_vec().into() }],
        build: "0.1.0".into(),
        ..Default::default()
    };
    let golden = golden("failed_webhook", &frame::encode(&failed));
    assert_eq!(frame::decode::<FailedWebhook>(&golden).unwrap(), failed);
}

#[test]
fn entries_of_every_release_read_back_and_mean_the_same() {
    let kept = entries_read_back("entries.txt", &fold(&history()), b"afglmnrw");
    let group = view::group(&kept, "Y2FwaV9ncm91cDox").unwrap().unwrap();
    assert_eq!(group.subject.as_deref(), Some("Lucky Shrub"));
    assert_eq!(group.members[0].names.wa_id.as_deref(), Some("5511900000002"));
    let told =
        |seen: &str| view::account_timeline(&kept, "102290129340398", |number| number == seen).unwrap();
    assert_eq!((told("106540352242922").len(), told("").len()), (1, 0));
    let kept = entries_read_back("entries_policy.txt", &fold(&policies()), b"fgmv");
    let policy = view::policy(&kept, "Y2FwaV9ncm91cDox").unwrap().unwrap();
    assert!(policy.archived && policy.blocked && policy.labels.contains("vip"));
    assert!(policy.may(Some("agent-7")) && !policy.may(Some("agent-8")));
    assert!(policy.is_visible_to_team("sales") && !policy.is_visible_to_user("agent-8"));
    let seen = view::receipts(&kept, "wamid.A").unwrap().unwrap().users;
    assert_eq!(seen[0].viewed_at_ms, 15_000);
    let asked = entries_read_back("entries_command.txt", &fold(&others()), b"cfglmoqw");
    let command = view::command(&[asked], &"c".repeat(32)).unwrap();
    assert!(command.is_some(), "a command is read from its entries");
}

/// Prefixes are assigned for ever: each that a key can have is among the files of a release.
#[test]
fn every_kind_of_entry_is_kept_in_some_file() {
    let mut kept = BTreeSet::new();
    for file in std::fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        if file.path().extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let keys = text.lines().map(|line| bytes_of(line.split_once(' ').unwrap().0));
            kept.extend(keys.map(|key| number(&Key::decode(&key).unwrap())));
        }
    }
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), (0..12).collect::<Vec<u8>>());
}

/// Of each kind of key one; who adds a kind adds a number, and a file that has it.
fn number(key: &Key) -> u8 {
    match key {
        Key::Head { .. } => 0,
        Key::Window { .. } => 1,
        Key::Fact { .. } => 2,
        Key::AccountFact { .. } => 3,
        Key::Link { .. } => 4,
        Key::Rename { .. } => 5,
        Key::Message { .. } => 6,
        Key::Receipt { .. } => 7,
        Key::Command { .. } => 8,
        Key::Outcome { .. } => 9,
        Key::GroupOutcome { .. } => 10,
        Key::View { .. } => 11,
    }
}

fn fold(history: &[Record]) -> Memory {
    let mut today = Memory::default();
    today.apply(history).unwrap();
    today
}

/// The entries kept in a file, which are those that today's fold makes of the same history.
fn entries_read_back(name: &str, today: &Memory, prefixes: &[u8]) -> Memory {
    let text: String = today.0.iter().map(|(key, value)| format!("{} {}\n", hex(key), hex(value))).collect();
    let path = folder().join(name);
    if !path.exists() && std::env::var_os("GROUPFOLD_UPDATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    let mut old = Memory::default();
    for line in stored.lines() {
        let (key, value) = line.split_once(' ').unwrap();
        let (key, value) = (bytes_of(key), bytes_of(value));
        let read = Key::decode(&key).unwrap().decode_value(&value).unwrap();
        assert_eq!(read.encode(), value, "a value is written as it was read");
        old.0.insert(key, value);
    }
    let found: std::collections::BTreeSet<u8> = old.0.keys().map(|key| key[0]).collect();
    assert_eq!(found, prefixes.iter().copied().collect(), "every kind of entry is among them");
    assert_eq!(old, *today, "today's fold of the same history; a difference needs a new store version");
    old
}

#[test]
fn progress_of_every_release_reads_back() {
    let progress = v1::Progress {
        stream: log::stream(3),
        stream_created: "2026-01-01T00:00:00Z".into(),
        sequence: 1234,
        log_time_ms: 1_767_225_600_000,
        digest: vec![7; 16].into(),
        events_applied: 1200,
        records_unreadable: 34,
        published_sequence: 0,
        published_index: 0,
    };
    let golden = golden("progress", &frame::encode(&progress));
    assert_eq!(frame::decode::<v1::Progress>(&golden).unwrap(), progress);
}
