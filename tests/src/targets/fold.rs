//! Records and what they come to: whatever the order, the repeats, the batches and what is remembered of earlier ones.

use std::collections::BTreeSet;

use groupfold_fold::apply::{Contributions, Digest, Known, apply_all};
use groupfold_fold::change::{At, Telling};
use groupfold_fold::entry::{Error, Key, Memory, Prefix, Source as _, Value};
use groupfold_fold::view;
use groupfold_projector::record_of;
use groupfold_schemas::v1::Record;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::{frame, v1};
use prost::Message as _;

use super::hold;

/// Records of one input: all that laws speak of shows with few.
const RECORDS_MAX: usize = 12;

/// Records, each behind its length.
pub(super) fn read(bytes: &[u8]) -> Result<(), String> {
    let _ = record_of(bytes);
    let (mut rest, mut records) = (bytes, Vec::new());
    while !rest.is_empty() && records.len() < RECORDS_MAX {
        let Ok(record) = Record::decode_length_delimited(&mut rest) else { break };
        // As the log has it: what the projector would not take is no part of the story, and an id is of one event.
        let other = |known: &Record| known.event_id == record.event_id && *known != record;
        if records.iter().any(other) {
            continue;
        }
        if let Ok(read) = record_of(&frame::encode(&record)) {
            hold(read == record, || "a record is another one once written and read".to_owned())?;
            records.push(read);
        }
    }
    folds(&records)
}

/// A record as [`read`] takes it.
pub(super) fn delimited(record: &Record) -> Vec<u8> {
    record.encode_length_delimited_to_vec()
}

/// The same group in what no webhook tells: snapshots, commands, policies, renames.
pub(super) fn ours() -> Vec<Vec<u8>> {
    let who = |id: &str| v1::Participant { wa_id: Some(id.to_owned()), ..Default::default() };
    let listed = |id: &str| v1::SnapshotParticipant { participant: Some(who(id)), ..Default::default() };
    let kinds = [
        Kind::ParticipantsJoined(v1::ParticipantsJoined {
            participants: vec![who("5511988887777"), who("15550001")],
            ..Default::default()
        }),
        Kind::IdentityChanged(v1::IdentityChanged {
            previous: Some(who("15550001")),
            current: Some(who("15550002")),
            ..Default::default()
        }),
        Kind::GroupSnapshot(v1::GroupSnapshot {
            participants: vec![listed("15550002")],
            ..Default::default()
        }),
        Kind::LabelSet(v1::LabelSet { label: "x".to_owned(), present: true }),
        Kind::ArchiveSet(v1::ArchiveSet { archived: true, newest: None }),
        Kind::MessageViewed(v1::MessageViewed { message_id: "M".to_owned(), user_id: "u".to_owned() }),
        Kind::CommandRequested(v1::CommandRequested { command_id: "c".to_owned(), ..Default::default() }),
        Kind::CommandSent(v1::CommandSent { command_id: "c".to_owned(), ..Default::default() }),
        Kind::CommandAnswered(v1::CommandAnswered { command_id: "c".to_owned(), ..Default::default() }),
        Kind::MessageReceived(v1::MessageReceived {
            message_id: "N".to_owned(),
            from: Some(who("5511988887777")),
            ..Default::default()
        }),
    ];
    let record = |(second, kind): (i64, Kind)| Record {
        account: "A".to_owned(),
        group_id: if matches!(kind, Kind::IdentityChanged(_)) { String::new() } else { "G".to_owned() },
        provider_time_ms: second * 1000,
        event_id: format!("{second:032x}"),
        event: Some(v1::Event { kind: Some(kind) }),
        ..Default::default()
    };
    let records: Vec<Record> = (1..).zip(kinds).map(record).collect();
    vec![records.iter().flat_map(delimited).collect()]
}

/// State is a function of the set of records, and so is what is shown of it.
pub(super) fn folds(records: &[Record]) -> Result<(), String> {
    let wrong = |error: Error| format!("a record that was read does not fold: {error}");
    let (mut memory, mut digest) = (Memory::default(), Digest::default());
    for record in records {
        digest = digest.plus(memory.apply([record]).map_err(wrong)?);
    }
    let mut at_once = Memory::default();
    let digest_at_once = at_once.apply(records).map_err(wrong)?;
    hold(memory == at_once && digest == digest_at_once, || "the fold depends on batches".to_owned())?;
    let mut backward = Memory::default();
    for record in records.iter().rev().chain(records) {
        backward.apply([record]).map_err(wrong)?;
    }
    hold(memory == backward, || "the fold depends on order or on duplicates".to_owned())?;
    let mut of_entries = Digest::default();
    memory.0.iter().for_each(|(key, value)| of_entries.add(key, value));
    hold(digest == of_entries, || "the digest is not that of the entries".to_owned())?;
    for (bytes, value) in &memory.0 {
        let key = Key::decode(bytes).map_err(|error| format!("a key of the fold's own: {error}"))?;
        hold(key.encode() == *bytes, || format!("{key:?} is another key once written"))?;
        key.decode_value(value).map_err(|error| format!("a value of the fold's own: {error}"))?;
    }
    sparing_changes_nothing(records, &memory).map_err(wrong)??;
    changes_are_told_once(records, &memory)?;
    shown(&memory).map_err(|error| format!("what was folded cannot be shown: {error}"))?
}

/// What is known to make no difference makes none.
fn sparing_changes_nothing(records: &[Record], memory: &Memory) -> Result<Result<(), String>, Error> {
    let (mut known, mut spared) = (Known::default(), Memory::default());
    for record in records.iter().chain(records) {
        let contributions = Contributions::unknown(record, &known);
        known.learn(&contributions);
        let loaded = of(&spared, &contributions);
        spared.0.extend(apply_all(loaded, contributions)?.puts);
    }
    Ok(hold(spared == *memory, || "what is known is missed".to_owned()))
}

/// Those entries that contributions are about.
fn of(memory: &Memory, contributions: &Contributions) -> Memory {
    let load = |key: &Vec<u8>| Some((key.clone(), memory.0.get(key)?.clone()));
    Memory(contributions.keys().filter_map(load).collect())
}

/// A record makes different what it makes different, in one batch with others or alone; told again, nothing.
fn changes_are_told_once(records: &[Record], memory: &Memory) -> Result<(), String> {
    let wrong = |error: groupfold_fold::change::Error<Error>| format!("changes cannot be told: {error}");
    let nothing = Memory::default();
    let mut together = Telling::new(&nothing, Memory::default());
    let mut so_far = Memory::default();
    for (record, sequence) in records.iter().zip(1..) {
        let at = At { sequence, log_time_ms: 1 };
        let told = together.apply(record, Contributions::of([record]), at).map_err(wrong)?;
        let contributions = Contributions::of([record]);
        let mut alone = Telling::new(&so_far, of(&so_far, &contributions));
        let told_alone = alone.apply(record, contributions, at).map_err(wrong)?;
        hold(told == told_alone, || format!("{told:?} in a batch, {told_alone:?} alone"))?;
        let again = alone.apply(record, Contributions::of([record]), at).map_err(wrong)?;
        hold(again.is_empty(), || format!("told again: {again:?}"))?;
        let puts = alone.finish().puts;
        so_far.0.extend(puts);
    }
    hold(so_far == *memory && together.finish().puts == memory.0, || {
        "telling changes comes to another state".to_owned()
    })
}

/// What people ask for is there, each thing once and in order.
fn shown(memory: &Memory) -> Result<Result<(), String>, Error> {
    let mut accounts = BTreeSet::from([String::new()]);
    let mut law = Ok(());
    let mut must = |holds: bool, otherwise: &dyn Fn() -> String| {
        if law.is_ok() {
            law = hold(holds, otherwise);
        }
    };
    for (key, value) in memory.scan(&Prefix::Heads)? {
        let (Key::Head { group }, Value::Head(head)) = (key, value) else { continue };
        accounts.insert(head.origin.map(|origin| origin.account).unwrap_or_default());
        let Some(shown) = view::group(memory, &group)? else {
            must(false, &|| format!("group {group:?} is not shown"));
            continue;
        };
        let members: Vec<_> = shown.members.iter().map(|member| &member.member_id).collect();
        must(members.is_sorted_by(|a, b| a < b), &|| format!("members {members:?}"));
        let lines = view::timeline(memory, &group)?.unwrap_or_default();
        must(lines.is_sorted_by_key(|line| line.at_ms), &|| format!("lines out of order: {lines:?}"));
        let ids: BTreeSet<_> = lines.iter().map(|line| &line.id).collect();
        must(ids.len() == lines.len(), &|| format!("a line twice: {lines:?}"));
    }
    for account in accounts {
        let lines = view::account_timeline(memory, &account, |_| true)?;
        must(lines.is_sorted_by_key(|line| line.at_ms), &|| format!("lines out of order: {lines:?}"));
    }
    let mut messages = Vec::new();
    for (key, value) in memory.scan(&Prefix::Messages)? {
        let (Key::Message { message }, Value::Message(head)) = (key, value) else { continue };
        let receipts = view::receipts(memory, &message)?;
        let members = receipts.map(|receipts| receipts.members).unwrap_or_default();
        must(members.is_sorted_by(|a, b| a.person.member_id < b.person.member_id), &|| {
            format!("{members:?}")
        });
        let received = members.iter().all(|member| {
            member.delivered_at_ms.is_some() || (member.read_at_ms.is_none() && member.played_at_ms.is_none())
        });
        must(received, &|| format!("read and not delivered: {members:?}"));
        messages.push((message, head));
    }
    view::deliveries(memory, messages)?;
    view::commands(std::slice::from_ref(memory), None, 100, &|_| true)?;
    Ok(law)
}
