//! Groups followed event by event, against groups that are read anew after each: what is told of them is the same.
//! A debug build compares both at each event it follows (`Telling`), which is what these tests rest on.

use groupfold_schemas::v1::{
    self, EndReason, GroupSnapshot, IdentityChangeKind, JoinRequestClosed, JoinRequestOutcome, Participant,
    ParticipantsEnded, ParticipantsJoined, ReceiptStatus, Record, Role, RoleChanged, SnapshotParticipant,
};

use super::*;
use crate::story::{at as told_at, who};

/// Numbers that come without a chosen order, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Names as reports have them: mostly those of one person, at times of nobody or of several.
fn names(dice: &mut Dice) -> Vec<&'static str> {
    const PERSONS: [&[&str]; 6] = [
        &["w:551188887777", "u:BR.1", "p:BR.ENT.1"],
        &["w:5511988887777"],
        &["u:BR.2", "w:2", "n:maria"],
        &["w:3", "n:ana"],
        &["u:BR.4"],
        &["n:maria"],
    ];
    let mut names: Vec<&str> = match dice.below(12) {
        0 => Vec::new(),
        1 => vec![dice.one(&["w:2", "w:3", "w:4"]), dice.one(&["u:BR.1", "u:BR.2", "u:BR.5"])],
        n => PERSONS[n % PERSONS.len()].to_vec(),
    };
    if dice.below(3) == 0 {
        let len = 1 + dice.below(names.len().max(1));
        names.truncate(len);
    }
    if dice.below(8) == 0 {
        const SPELLINGS: [&str; 9] = [
            "i:+55 11 8888-7777",
            "i:+55 11 98888-7777",
            "i:5511988887777",
            "i:2",
            "i:+3",
            "i:+52 55 1234 5678",
            "i:+521 55 1234 5678",
            "i:BR.4",
            "i:maria",
        ];
        names.push(dice.one(&SPELLINGS));
        if dice.below(2) == 0 {
            names.drain(..names.len() - 1);
        }
    }
    names
}

fn event(second: i64, dice: &mut Dice) -> Record {
    let names = names(dice);
    let one = who(&names);
    let some = || vec![one.clone()];
    let request = || Some(format!("R{}", names.len()));
    match dice.below(17) {
        0..=3 => joined(second, &names),
        4 => ended(second, EndReason::Left, &names),
        5 => ended(second, EndReason::Removed, &names),
        6 => requested(second, &names),
        7 => {
            let participant = (!names.is_empty()).then(|| one.clone());
            let outcome = [JoinRequestOutcome::Rejected, JoinRequestOutcome::Revoked][dice.below(2)].into();
            let join_request_id = request();
            let closed = JoinRequestClosed { participant, outcome, join_request_id, ..Default::default() };
            told_at(second, Kind::JoinRequestClosed(closed))
        }
        8..=10 => message(second, &names),
        11 => receipt(second, ReceiptStatus::Read, &names),
        12 => {
            let role = [Role::Admin, Role::Member][dice.below(2)].into();
            told_at(second, Kind::RoleChanged(RoleChanged { participants: some(), role }))
        }
        13 => {
            let participants = some().into_iter().chain([who(&["w:9"]), who(&["w:3"])]).collect();
            told_at(
                second,
                Kind::ParticipantsJoined(ParticipantsJoined { participants, ..Default::default() }),
            )
        }
        14 => {
            let ended = some().into_iter().chain([Participant::default(), who(&["u:BR.2"])]).collect();
            told_at(second, Kind::ParticipantsEnded(ParticipantsEnded { ended, ..Default::default() }))
        }
        15 if dice.below(3) == 0 => {
            let listed =
                |participant| SnapshotParticipant { participant: Some(participant), ..Default::default() };
            let snapshot = GroupSnapshot {
                participants: some().into_iter().map(listed).collect(),
                participants_complete: dice.below(2) == 0,
                read_until_ms: (second + dice.below(3) as i64) * 1000,
                ..Default::default()
            };
            let mut record = told_at(second, Kind::GroupSnapshot(snapshot));
            record.evidence = v1::Evidence::Snapshot.into();
            record.provider_time_ms -= 1;
            record
        }
        16 if dice.below(3) == 0 => {
            let kind = [IdentityChangeKind::Number, IdentityChangeKind::UserId][dice.below(2)];
            changed(second, kind, &names, &[dice.one(&["w:2", "w:4", "w:5", "u:BR.5"])], "m")
        }
        _ => told_at(second, Kind::ArchiveSet(v1::ArchiveSet { archived: dice.below(2) == 0, newest: None })),
    }
}

/// Events of a group, most of them in the order of their times, some late or twice.
fn history(seed: u64) -> Vec<Record> {
    let (mut dice, mut second, mut all) = (Dice(seed), 10, Vec::<Record>::new());
    for _ in 0..40 {
        second += dice.below(3) as i64;
        // Of half of the histories every other event is late.
        let late = if dice.below(2 + seed as usize % 2 * 8) == 0 { dice.below(8) as i64 } else { 0 };
        let record = match dice.below(15) {
            0 if !all.is_empty() => all[dice.below(all.len())].clone(),
            _ => event(second - late, &mut dice),
        };
        all.push(record);
    }
    all
}

/// A law of what is told: batches decide how much is followed, and nothing else.
#[cfg(debug_assertions)]
#[test]
fn what_is_told_of_a_group_that_is_followed_is_what_is_told_of_one_that_is_read() {
    for seed in 0..200 {
        let records = history(seed);
        let alone = tell_as(&records, 1, false);
        for (batch, goes_on) in [(1, true), (3, true), (3, false), (40, true)] {
            let told = tell_as(&records, batch, goes_on);
            assert_eq!(told, alone, "seed {seed}, batches of {batch}, that go on: {goes_on}");
        }
    }
}

/// Of whom a spelling means, a name that is new may say otherwise.
#[test]
fn a_spelling_that_meant_somebody_may_mean_whoever_comes_later() {
    let records = [
        joined(1, &["w:551188887777"]),
        joined(2, &["w:2"]),
        ended(3, EndReason::Removed, &["i:5511988887777"]),
        joined(4, &["w:5511988887777"]),
    ];
    assert_eq!(tell(&records, 4), tell_as(&records, 1, false));
}

/// Each whole one that nobody is known by is somebody; but of two of one number the lesser alone, whichever came first.
#[test]
fn two_whole_spellings_of_one_number_mean_one_person() {
    for (one, other) in
        [("i:+55 11 98888-7777", "i:+55 11 8888-7777"), ("i:+52 55 1234 5678", "i:+521 55 1234 5678")]
    {
        for spellings in [[one, other], [other, one]] {
            let records: Vec<Record> = (1..)
                .zip(spellings)
                .map(|(second, name)| ended(second, EndReason::Removed, &[name]))
                .collect();
            assert_eq!(tell(&records, 2), tell_as(&records, 1, false));
        }
    }
}

/// Webhooks of several members come in any order.
#[test]
fn a_report_that_is_late_behind_others_of_other_members_is_followed() {
    let mut records: Vec<Record> = Vec::new();
    for n in 0..100 {
        for (late, member) in [(1, "w:1"), (0, "w:2"), (2, "w:3")] {
            let second = 10 * n + late;
            let joins = n % 2 == 0;
            let record =
                if joins { joined(second, &[member]) } else { ended(second, EndReason::Left, &[member]) };
            records.push(record);
        }
    }
    let empty = Memory::default();
    let mut telling = Telling::new(&empty, Memory::default());
    for (n, record) in records.iter().enumerate() {
        telling.apply(record, Contributions::of([record]), at(n)).unwrap();
    }
    assert_eq!(telling.loads, 2);
}

/// Each event read its group's whole history.
#[test]
fn a_history_is_read_once_for_events_that_come_in_order() {
    let mut records = Vec::new();
    for n in 0..200 {
        let number = format!("w:{}", 15_550_000 + n % 20);
        let user = format!("u:US.{}", n % 20);
        let names = [number.as_str(), user.as_str(), "n:someone"];
        records.push(joined(3 * n + 1, &names));
        records.push(message(3 * n + 2, &names[..2]));
        records.push(ended(3 * n + 3, EndReason::Left, &names[..1 + (n % 2) as usize]));
    }
    let empty = Memory::default();
    let mut telling = Telling::new(&empty, Memory::default());
    for (n, record) in records.iter().enumerate() {
        telling.apply(record, Contributions::of([record]), at(n)).unwrap();
    }
    assert_eq!(telling.loads, 2, "before there was a group, and when there was");
}

/// Memory that counts how often all groups were looked through.
struct Counting<'a>(&'a Memory, std::cell::Cell<usize>);

impl Source for Counting<'_> {
    type Error = entry::Error;

    fn get(&self, key: &Key) -> Result<Option<Value>, entry::Error> {
        self.0.get(key)
    }

    fn scan(&self, prefix: &entry::Prefix) -> Result<Vec<(Key, Value)>, entry::Error> {
        self.0.scan(prefix)
    }

    fn groups(&self, visit: &mut dyn FnMut(String, &str)) -> Result<(), entry::Error> {
        self.1.set(self.1.get() + 1);
        self.0.groups(visit)
    }
}

/// Each looked through all of them: a change of many ids stopped a partition for hours.
#[test]
fn groups_are_looked_through_once_for_all_identity_changes_of_a_commit() {
    let mut memory = Memory::default();
    let number = |n: i64| format!("w:{}", 15_550_000 + n);
    let of_group = |n: i64| Record { group_id: format!("G{n}"), ..joined(n, &[&number(n)]) };
    memory.apply(&(0..50).map(of_group).collect::<Vec<_>>()).unwrap();
    // A chain of them, and one of somebody who comes into a group only now.
    let mut records: Vec<Record> =
        (0..40).map(|n| renamed(100 + n, &[&number(n)], &[&number(n + 1)])).collect();
    records.push(Record { group_id: "G7".to_owned(), ..joined(200, &["w:77"]) });
    records.push(renamed(201, &["w:77"], &["w:78"]));
    let source = Counting(&memory, std::cell::Cell::default());
    let contributions = Contributions::of(&records);
    let load = |key: &Vec<u8>| Some((key.clone(), memory.0.get(key)?.clone()));
    let mut telling = Telling::new(&source, Memory(contributions.keys().filter_map(load).collect()));
    telling.expect(&records);
    let mut told = Vec::new();
    for (n, record) in records.iter().enumerate() {
        told.extend(telling.apply(record, Contributions::of([record]), at(n)).unwrap());
    }
    assert_eq!(source.1.get(), 1);
    let last = told.iter().rfind(|change| change.sequence == records.len() as u64).unwrap();
    assert_eq!((last.group_id.as_str(), last.kind()), ("G7", ChangeKind::Member));
}
