//! Any time that a record can have: the provider's clock is not ours, and a record's time is any number.

use super::*;

const TIMES: [i64; 7] = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];

fn timed(time_ms: i64, record: Record) -> Record {
    let event_id = format!("{}{time_ms}", record.event_id);
    Record { provider_time_ms: time_ms, event_id, ..record }
}

/// One of each that reckons with a time.
fn story() -> Vec<Record> {
    let command_id = || "c".to_owned();
    let asked = v1::CommandRequested {
        command_id: command_id(),
        r#type: v1::CommandType::GroupUpdate.into(),
        deadline_ms: i64::MAX,
        ..Default::default()
    };
    let listed = v1::SnapshotParticipant { participant: Some(who(&["w:3"])), ..Default::default() };
    let mut snapshot = at(
        0,
        Kind::GroupSnapshot(v1::GroupSnapshot {
            participants: vec![listed],
            participants_complete: true,
            read_until_ms: i64::MAX,
            ..Default::default()
        }),
    );
    snapshot.evidence = v1::Evidence::Snapshot.into();
    vec![
        joined(0, &["w:1", "u:A", "n:ada"]),
        receipt(0, ReceiptStatus::Read, &["w:1", "u:A", "n:ada"]),
        message(0, &["w:1", "u:A", "n:ada"]),
        renamed(0, &["w:1"], &["w:2"]),
        ended(0, EndReason::Removed, &["i:+2"]),
        requested(0, &["w:1"]),
        snapshot,
        at(0, Kind::SettingsUpdated(v1::SettingsUpdated::default())),
        at(0, Kind::ArchiveSet(v1::ArchiveSet { archived: true, newest: None })),
        at(0, Kind::CommandRequested(asked)),
        at(0, Kind::CommandSent(v1::CommandSent { command_id: command_id(), ..Default::default() })),
    ]
}

#[test]
fn any_time_is_folded_and_shown() {
    let all: Vec<Record> =
        TIMES.iter().flat_map(|time_ms| story().into_iter().map(|record| timed(*time_ms, record))).collect();
    let cases =
        TIMES.iter().map(|time_ms| story().into_iter().map(|record| timed(*time_ms, record)).collect());
    for records in cases.chain([all.clone()]) {
        let records: Vec<Record> = records;
        let (mut memory, mut backward) = (Memory::default(), Memory::default());
        for record in &records {
            memory.apply([record]).unwrap();
        }
        backward.apply(records.iter().rev()).unwrap();
        assert_eq!(memory, backward);
        assert!(view::group(&memory, GROUP).unwrap().is_some());
        let lines = view::timeline(&memory, GROUP).unwrap().unwrap();
        assert!(lines.is_sorted_by_key(|line| line.at_ms), "{lines:?}");
        assert!(view::receipts(&memory, "M1").unwrap().is_some());
        view::window_until(&memory, GROUP).unwrap();
        let page = view::commands(std::slice::from_ref(&memory), None, 9, &|_| true).unwrap();
        assert_eq!(page.commands.len(), 1);
    }
}

/// Of the first day that there is, too, the begin is not after it.
#[test]
fn a_user_name_of_a_receipt_is_not_of_later_than_the_receipt() {
    for time_ms in TIMES {
        let record = timed(time_ms, receipt(0, ReceiptStatus::Read, &["u:A", "n:ada"]));
        let seen = contributions(&record).into_iter().find_map(|(_, value)| match value {
            Value::Link(link) => Some(link.last_seen_ms),
            _ => None,
        });
        assert!(seen.is_some_and(|seen| seen <= time_ms), "{time_ms}: {seen:?}");
    }
}
