//! Looking back: `?at=` answers what the present answered then, and a refolded part of the log is the fold
//! of the prefix. A failure prints its seed; `GROUPFOLD_SEED=7` runs one.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use groupfold_projector::refold::past as refold;
use groupfold_schemas::v1::Record;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::{frame, log};
use groupfold_tests::{Groupfold, NatsServer, Options};
use serde_json::{Value, json};

use crate::fold_laws::dice::Dice;
use crate::fold_laws::{history, plain};
use crate::hook::{created, joined, left, lifecycle, messages, number_changed, participants, renamed};
use crate::hook::{settings, status, statuses};
use crate::laws::read_at;
use crate::oracle::Oracle;

const T: i64 = 1_767_225_600;
const SEEDS: u64 = 4;
const PARTITIONS: u16 = 8;

fn seeds() -> Vec<u64> {
    let one = std::env::var("GROUPFOLD_SEED").ok().and_then(|text| text.parse().ok());
    one.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed])
}

/// Appends records as the door would, shuffled and some twice; what each partition has, in its order.
async fn append(
    context: &async_nats::jetstream::Context,
    mut records: Vec<Record>,
    dice: &mut Dice,
) -> BTreeMap<u16, Vec<(u64, Record)>> {
    let again: Vec<Record> = records.iter().filter(|_| dice.percent(20)).cloned().collect();
    records.extend(again);
    dice.shuffle(&mut records);
    let mut appended: BTreeMap<u16, Vec<(u64, Record)>> = BTreeMap::new();
    for record in records {
        let kind = record.kind().unwrap();
        let everywhere = matches!(kind, Kind::IdentityChanged(_));
        let home = log::partition_of(&record.group_id, PARTITIONS);
        for partition in (0..PARTITIONS).filter(|partition| everywhere || *partition == home) {
            let group = Some(record.group_id.as_str()).filter(|group| !group.is_empty());
            let subject = log::event_subject(partition, &record.account, kind.name(), group);
            let payload = frame::encode(&record).into();
            let sequence = context.publish(subject, payload).await.unwrap().await.unwrap().sequence;
            appended.entry(partition).or_default().push((sequence, record.clone()));
        }
    }
    appended
}

#[tokio::test]
async fn a_group_refolded_at_any_position_is_the_fold_of_the_prefix() {
    let nats = NatsServer::start().await;
    let _provisioned = Groupfold::up(Options::on(&nats)).await;
    let context = async_nats::jetstream::new(nats.client().await);
    for seed in seeds() {
        let mut dice = Dice::new(seed ^ 0x0070_a5f0);
        // Seeds share a log: each has groups and an account of its own.
        let mut records = history::random(seed);
        for record in &mut records {
            record.account = format!("WABA{seed}");
            if !record.group_id.is_empty() {
                record.group_id = format!("{}-{seed}", record.group_id);
            }
        }
        let oracle = Oracle::new(&records);
        let (groups, messages) = (oracle.groups(), oracle.messages());
        let appended = append(&context, records, &mut dice).await;
        for group in &groups {
            let partition = log::partition_of(group, PARTITIONS);
            let whole = &appended[&partition];
            for _ in 0..6 {
                let (to, _) = whole[dice.below(whole.len())];
                let at = format!("seed {seed}: {group} at {partition}:{to}");
                let prefix = Oracle::new(whole.iter().filter(|(at, _)| *at <= to).map(|(_, record)| record));
                let fold = |subjects| refold::fold(&context, partition, subjects, to);
                let memory = fold(refold::group_subjects(partition, group)).await.unwrap();
                assert_eq!(plain::group(&memory, group), known(&prefix, group), "{at}");
                assert_eq!(plain::timeline(&memory, group).unwrap(), prefix.timeline(group), "{at}");
                let memory = fold(refold::message_subjects(partition, Some(group))).await.unwrap();
                for message in &messages {
                    if spoke_of(whole, group, message) {
                        let told = prefix.messages().contains(message).then(|| prefix.receipts(message));
                        let told = told.unwrap_or_default();
                        assert_eq!(plain::receipts(&memory, message), told, "{at}: {message}");
                    }
                }
            }
        }
    }
}

/// The oracle tells of every group; the fold of those alone that a record names.
fn known(oracle: &Oracle, group: &str) -> Vec<String> {
    if oracle.groups().iter().any(|id| id == group) { oracle.group(group) } else { Vec::new() }
}

fn spoke_of(records: &[(u64, Record)], group: &str, message: &str) -> bool {
    records.iter().any(|(_, record)| {
        let kind = record.kind();
        record.group_id == group && matches!(kind, Some(Kind::Receipt(r)) if r.message_id == message)
    })
}

const GROUPS: [&str; 3] = ["past-a", "past-b", "past-c"];

/// Everything that can be asked with `at`.
fn paths() -> Vec<String> {
    let of_group = |group: &&str| {
        ["", "/members", "/timeline?limit=1000"].map(|rest| format!("/v1/groups/{group}{rest}")).to_vec()
    };
    let of_message = |n: usize| format!("/v1/messages/wamid.past.{n}/receipts");
    GROUPS.iter().flat_map(of_group).chain((0..GROUPS.len()).map(of_message)).collect()
}

/// One webhook of a few people in a few groups, at a time that goes back and forth.
fn webhook(dice: &mut Dice) -> Vec<u8> {
    let index = dice.below(GROUPS.len());
    let group = GROUPS[index];
    let wa_id = format!("1555000{:04}", dice.below(5));
    let second = T + i64::try_from(dice.below(500)).unwrap();
    let message = format!("wamid.past.{index}");
    match dice.below(10) {
        0 => lifecycle(&[created(group, "Trip", second)]),
        1..4 => participants(&[joined(group, &wa_id, second)]),
        4 => participants(&[left(group, &wa_id, second)]),
        5 => settings(&[renamed(group, &format!("Trip {second}"), second)]),
        6 => statuses(&[status(group, &message, "sent", None, second)]),
        7 => statuses(&[status(group, &message, "delivered", Some(&wa_id), second)]),
        8 => statuses(&[status(group, &message, "read", Some(&wa_id), second)]),
        _ => messages(&[number_changed(&format!("wamid.n.{second}"), &wa_id, "155500099990", second)]),
    }
}

/// A question, when it was asked, and what was answered.
struct Asked {
    path: String,
    /// As the answer named it.
    position: Option<String>,
    time: String,
    present: (u16, Value),
}

/// What is answered: status and body. Of an absence the status alone: it names other positions.
async fn asked(groupfold: &Groupfold, path: &str, query: &str) -> (u16, Value) {
    let mark = if path.contains('?') { '&' } else { '?' };
    let answer = groupfold.get(&format!("{path}{mark}{query}")).await;
    (answer.status, if answer.status == 200 { answer.json } else { Value::Null })
}

#[tokio::test]
async fn the_past_answers_what_the_present_answered_then() {
    let groupfold = Groupfold::up(Options::default()).await;
    let seed = std::process::id().into();
    let seed = std::env::var("GROUPFOLD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
    let mut dice = Dice::new(seed);
    let mut then: Vec<Asked> = Vec::new();
    let mut posted: Vec<Vec<u8>> = Vec::new();
    for _ in 0..40 {
        let body = if dice.percent(20) && !posted.is_empty() {
            dice.pick(&posted).clone()
        } else {
            webhook(&mut dice)
        };
        let answer = groupfold.post(&body).await;
        assert_eq!(answer.status, 200, "seed {seed}: {answer}");
        posted.push(body);
        let now = jiff::Timestamp::now();
        // Of a duplicate the position is an old one, and the question may be about another partition.
        groupfold.caught_up().await;
        let path = paths().swap_remove(dice.below(paths().len()));
        let present = asked(&groupfold, &path, "").await;
        let position = present.1["position"].as_str().map(str::to_owned);
        then.push(Asked { path, position, time: format!("{now:.3}"), present });
        // The next one in a millisecond of its own.
        while jiff::Timestamp::now().as_millisecond() <= now.as_millisecond() {
            tokio::task::yield_now().await;
        }
    }
    let mut found = 0;
    for Asked { path, position, time, present } in &then {
        if let Some(position) = position {
            found += 1;
            let past = asked(&groupfold, path, &format!("at={position}")).await;
            assert_eq!(&past, present, "seed {seed}: {path} at {position}");
        }
        // A message that nobody has spoken of yet has no partition to look back in.
        let past = asked(&groupfold, path, &format!("at={time}")).await;
        assert_eq!(&past, present, "seed {seed}: {path} at {time}");
    }
    assert!(found > 5, "seed {seed}: hardly anything was there to look back to");
}

#[tokio::test]
async fn a_moment_that_cannot_be_answered_is_named() {
    let groupfold = Groupfold::up(Options::default()).await;
    let answer = groupfold.post(&participants(&[joined("G", "15550001111", T)])).await;
    let position = answer.json["position"].as_str().unwrap().to_owned();
    let (partition, sequence) = position.split_once(':').unwrap();
    let other = (partition.parse::<u16>().unwrap() + 1) % PARTITIONS;
    let before = sequence.parse::<u64>().unwrap() - 1;
    assert_eq!(read_at(&groupfold, "/v1/groups/G", &position).await.status, 200);
    for (at, status, code) in [
        (format!("{other}:1"), 400, "bad_at"),
        ("yesterday".to_owned(), 400, "bad_at"),
        ("2999-01-01T00:00:00Z".to_owned(), 400, "bad_at"),
        (format!("{partition}:999"), 412, "position_not_reached"),
        (format!("{partition}:{before}"), 404, "group_not_found"),
        ("1990-01-01T00:00:00Z".to_owned(), 404, "group_not_found"),
        ("-009998-01-01T00:00:00Z".to_owned(), 404, "group_not_found"),
    ] {
        for path in ["", "/members", "/timeline"] {
            let answer = groupfold.get(&format!("/v1/groups/G{path}?at={at}")).await;
            assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{path} at {at}");
        }
    }
    let several = groupfold.get(&format!("/v1/groups/G?at={other}:7,{position}")).await;
    assert_eq!((several.status, several.position()), (200, Some(position.as_str())), "{several}");
}

/// As many as may look back at a time, and they wait for what nobody tells.
#[tokio::test]
async fn who_waits_for_a_position_keeps_nobody_from_looking_back() {
    let groupfold = Groupfold::up(Options::default()).await;
    let answer = groupfold.post(&participants(&[joined("G", "15550001111", T)])).await;
    let position = answer.json["position"].as_str().unwrap().to_owned();
    assert_eq!(read_at(&groupfold, "/v1/groups/G", &position).await.status, 200);
    let partition = log::partition_of("G", PARTITIONS);
    let far = format!("/v1/groups/G?at={partition}:99999999&wait_ms=30000");
    let waiting = join_all((0..4).map(|_| groupfold.get(&far)));
    let looking = async {
        for _ in 0..3 {
            let answer = groupfold.get(&format!("/v1/groups/G?at={position}")).await;
            assert_eq!(answer.status, 200, "{answer}");
        }
    };
    tokio::select! {
        answers = waiting => panic!("they did not wait: {answers:?}"),
        () = looking => {}
    }
}

#[tokio::test]
async fn the_command_line_looks_back_too() {
    let groupfold = Groupfold::up(Options::default()).await;
    let first = groupfold.post(&lifecycle(&[created("G", "Old", T)])).await;
    let first = first.json["position"].as_str().unwrap().to_owned();
    let second = groupfold.post(&settings(&[renamed("G", "New", T + 1)])).await;
    let second = second.json["position"].as_str().unwrap().to_owned();
    assert_eq!(read_at(&groupfold, "/v1/groups/G", &second).await.json["subject"], "New");
    let run = |verb: &str, at: &str| {
        let mut command = Groupfold::command();
        command.args(["group", verb, "G", "--output", "json", "--at", at, "--data"]).arg(groupfold.data());
        command.output().unwrap()
    };
    let shown: Value = serde_json::from_slice(&run("show", &first).stdout).unwrap();
    assert_eq!((&shown["subject"], &shown["position"]), (&json!("Old"), &json!(first)));
    let lines: Value = serde_json::from_slice(&run("timeline", &first).stdout).unwrap();
    assert_eq!(lines["entries"].as_array().unwrap().len(), 1);
    assert_eq!(run("members", "-1h").status.code(), Some(1), "no such group an hour ago");
    assert_eq!(run("members", "soon").status.code(), Some(2));
}
