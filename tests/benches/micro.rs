//! Single steps of the way of a webhook: `cargo bench --profile measure -p groupfold-bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot be made ends and says why"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use groupfold_fold::apply::{Contributions, apply_all};
use groupfold_fold::change::{At, Followed, Telling};
use groupfold_fold::entry::Memory;
use groupfold_ingest::meta::{Delivery, Headers, Item, adapt};
use groupfold_projector::record_of;
use groupfold_projector::store::{Settings, Store};
use groupfold_schemas::{frame, v1};
use groupfold_tests::{Scratch, fixture};
use ring::hmac;

/// One fixture of each family of webhooks.
const FAMILIES: [&str; 6] = [
    "group_lifecycle_update-group_create-succeed",
    "group_participants_update-group_participants_add-invite_link",
    "group_settings_update-group_settings_update-succeed",
    "group_status_update-group_suspend",
    "messages-incoming_text-group",
    "messages-status_read-group_with_pricing",
];
/// Receipts of one fold or commit.
const RECEIPTS: usize = 250;
/// Settings that are told one after the other.
const TOLD: usize = 2000;

fn main() {
    divan::main();
}

fn body(family: &str) -> Vec<u8> {
    fixture(&format!("meta/{family}.json"))
}

fn delivery() -> Delivery<'static> {
    Delivery {
        received_time_ms: 1_767_225_600_000,
        request_id: "bench",
        build: "bench",
        headers: Headers::default(),
        ignore_one_to_one: true,
        ignore_other_fields: true,
        replayed: false,
    }
}

fn record(family: &str) -> v1::Record {
    let items = adapt(&body(family), &delivery());
    let event = items.into_iter().find_map(|item| match item {
        Item::Event(record) => Some(*record),
        Item::Failed(_) | Item::Ignored(_) => None,
    });
    event.expect("the fixture is an event")
}

/// Receipts of as many messages, from number `from` on.
fn receipts(from: usize) -> Vec<v1::Record> {
    let one = record("messages-status_read-group_with_pricing");
    (from..from + RECEIPTS)
        .map(|n| {
            let mut record = one.clone();
            record.event_id = format!("{n:064}");
            if let Some(v1::event::Kind::Receipt(receipt)) =
                record.event.as_mut().and_then(|event| event.kind.as_mut())
            {
                receipt.message_id = format!("wamid.{n:040}");
            }
            record
        })
        .collect()
}

/// The signature of a body: HMAC-SHA256 over its bytes.
#[divan::bench(args = [889, 60_000, 3_000_000])]
fn verify(bencher: Bencher<'_, '_>, bytes: usize) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"app-secret");
    let body = vec![b'x'; bytes];
    let tag = hmac::sign(&key, &body);
    bencher
        .counter(BytesCount::new(bytes))
        .bench(|| hmac::verify(black_box(&key), black_box(&body), tag.as_ref()));
}

/// From the bytes of a body to its items.
#[divan::bench(args = FAMILIES)]
fn parse(bencher: Bencher<'_, '_>, family: &str) {
    let (body, delivery) = (body(family), delivery());
    bencher.counter(BytesCount::of_slice(&body)).bench(|| adapt(black_box(&body), &delivery));
}

/// From a record to the bytes in the log.
#[divan::bench(args = FAMILIES)]
fn encode(bencher: Bencher<'_, '_>, family: &str) {
    let record = record(family);
    bencher.bench(|| frame::encode(black_box(&record)));
}

/// And back.
#[divan::bench(args = FAMILIES)]
fn decode(bencher: Bencher<'_, '_>, family: &str) {
    let bytes = frame::encode(&record(family));
    bencher.bench(|| record_of(black_box(&bytes)));
}

/// Receipts into entries, in memory.
#[divan::bench]
fn fold(bencher: Bencher<'_, '_>) {
    let records = receipts(0);
    bencher.counter(ItemsCount::new(RECEIPTS)).bench(|| {
        apply_all(Memory::default(), Contributions::of(black_box(&records))).expect("receipts can be folded")
    });
}

/// Changes of settings over so many groups: what an event costs does not grow with its group's history.
#[divan::bench(args = [1, 20], sample_count = 10)]
fn tell(bencher: Bencher<'_, '_>, groups: usize) {
    let one = record("group_settings_update-group_settings_update-succeed");
    one_a_commit(bencher, groups, |_| one.clone());
}

/// Eight members who come and go, over so many groups: neither does what tells of a member.
#[divan::bench(args = [1, 20], sample_count = 10)]
fn tell_members(bencher: Bencher<'_, '_>, groups: usize) {
    let participant = |n: usize| {
        Some(v1::Participant { wa_id: Some(format!("1555{}", n / groups % 8)), ..Default::default() })
    };
    one_a_commit(bencher, groups, |n| {
        let participants = participant(n).into_iter().collect();
        let kind = if (n / groups / 8).is_multiple_of(2) {
            v1::event::Kind::ParticipantsJoined(v1::ParticipantsJoined { participants, ..Default::default() })
        } else {
            let ended = participants;
            v1::event::Kind::ParticipantsEnded(v1::ParticipantsEnded { ended, ..Default::default() })
        };
        let origin = record("group_settings_update-group_settings_update-succeed");
        v1::Record { event: Some(v1::Event { kind: Some(kind) }), ..origin }
    });
}

/// Tells what events make different, each second one, each a commit.
fn one_a_commit(bencher: Bencher<'_, '_>, groups: usize, event: impl Fn(usize) -> v1::Record) {
    let record = |n| {
        let record = event(n);
        v1::Record {
            event_id: format!("{n:064}"),
            group_id: format!("{}", n % groups),
            provider_time_ms: record.provider_time_ms + i64::try_from(n).expect("few") * 1000,
            ..record
        }
    };
    let records: Vec<v1::Record> = (0..TOLD).map(record).collect();
    bencher.counter(ItemsCount::new(TOLD)).bench(|| {
        let (mut state, mut followed) = (Memory::default(), Followed::default());
        for (record, sequence) in records.iter().zip(1..) {
            let contributions = Contributions::of([black_box(record)]);
            let load = |key: &Vec<u8>| Some((key.clone(), state.0.get(key)?.clone()));
            let loaded = Memory(contributions.keys().filter_map(load).collect());
            let mut telling = Telling::new(&state, loaded).following(followed);
            telling.apply(record, contributions, At { sequence, log_time_ms: 0 }).expect("it can be told");
            let changes;
            (changes, followed) = telling.finish_following();
            state.0.extend(changes.puts);
        }
        state
    });
}

/// Entries onto the device: one atomic write, synced.
#[divan::bench(sample_count = 50)]
fn commit(bencher: Bencher<'_, '_>) {
    let folder = Scratch::new("micro");
    let root = folder.path().join("store");
    Store::check_format(&root, 1).expect("a folder of stores");
    let store = Store::open(Settings { root, partition: 0, cache_bytes: 64 << 20 }).expect("a store");
    let next = AtomicUsize::new(0);
    bencher
        .counter(ItemsCount::new(RECEIPTS))
        .with_inputs(|| {
            let from = next.fetch_add(RECEIPTS, Ordering::Relaxed);
            let records = receipts(from);
            let changes =
                apply_all(Memory::default(), Contributions::of(&records)).expect("receipts can be folded");
            (changes, v1::Progress { sequence: (from + RECEIPTS) as u64, ..v1::Progress::default() })
        })
        .bench_values(|(changes, progress)| {
            store.commit(&changes, &[], progress).expect("the device takes it")
        });
}
