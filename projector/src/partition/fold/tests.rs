use futures_util::FutureExt as _;
use groupfold_fold::apply::Digest;
use groupfold_fold::entry::{Key, Memory, Value};
use groupfold_schemas::change::Mark;
use groupfold_schemas::v1::event::Kind;
use prometheus_client::registry::Registry;

use super::*;
use crate::store::VALUE_BYTES_MAX;
use crate::testing::{Folder, created, items, joined, put, put_items, record, who};

fn many(count: i64) -> Vec<v1::Record> {
    (0..count).map(|n| joined("G", n, &format!("55110000{n:04}"))).collect()
}

#[test]
fn any_cut_into_batches_leads_to_the_same_digest() {
    // More than one commit takes, of groups small enough to be told of quickly.
    let groups: Vec<String> = (0..20).map(|n| format!("G{n}")).collect();
    let of = |n: i64| &groups[usize::try_from(n).unwrap() % groups.len()];
    let records: Vec<v1::Record> = (0..1200).map(|n| joined(of(n), n, &format!("55110000{n:04}"))).collect();
    let mut memory = Memory::default();
    let expected = memory.apply(&records).unwrap();
    assert!(memory.0.len() > KEYS_MAX);
    for cut in [30, 1200] {
        let folder = Folder::new();
        let partition = folder.open(3);
        for batch in records.chunks(cut) {
            put(&partition, batch);
        }
        let status = partition.status.borrow().clone();
        assert_eq!((status.applied, status.digest), (1200, expected), "batches of {cut}");
        let view = partition.store.view().unwrap();
        let progress = view.progress();
        assert_eq!((progress.events_applied, progress.records_unreadable), (1200, 0));
        let digests = groups.iter().map(|group| view.group_digest(group).unwrap());
        let sum = digests.fold(Digest::default(), Digest::plus);
        assert_eq!(sum, expected, "all is of groups");
    }
}

#[test]
fn a_commit_keeps_within_its_bound_of_keys() {
    let mut known = Known::default();
    let items = items(1, &many(i64::try_from(KEYS_MAX).unwrap())).into_iter();
    let messages: Vec<Message> = items.map(|item| message(item, &mut known)).collect();
    let len = chunk_len(&messages);
    let keys =
        |part: &[Message]| part.iter().flat_map(|m| m.contributions.keys()).collect::<HashSet<_>>().len();
    assert!(len < KEYS_MAX && keys(&messages[..len]) <= KEYS_MAX, "{len}");
    assert!(keys(&messages[..=len]) > KEYS_MAX, "{len}");
}

#[test]
fn an_event_of_more_keys_than_a_commit_takes_is_a_commit_by_itself() {
    let event = v1::ParticipantsJoined {
        participants: (0..KEYS_MAX).map(|n| who(&format!("55110000{n:04}"))).collect(),
        ..Default::default()
    };
    let large = record("G", 1, Kind::ParticipantsJoined(event));
    let mut known = Known::default();
    let both = items(1, &[large, joined("G", 2, "1")]);
    let messages: Vec<Message> = both.iter().cloned().map(|item| message(item, &mut known)).collect();
    assert!(messages[0].contributions.keys().count() > KEYS_MAX);
    assert_eq!(chunk_len(&messages), 1);
    let folder = Folder::new();
    let partition = folder.open(3);
    put_items(&partition, both).unwrap();
    assert_eq!(partition.store.view().unwrap().progress().events_applied, 2);
}

#[test]
fn a_value_is_as_long_as_the_store_takes_and_no_longer() {
    let told = |len: usize| {
        let error = v1::ProviderError { details: "x".repeat(len), ..Default::default() };
        record("", 1, Kind::AccountError(v1::AccountError { errors: vec![error] }))
    };
    let longest = |record: &v1::Record| {
        Contributions::of([record]).values().map(Value::encoded_len).max().unwrap_or_default()
    };
    let len = (0..VALUE_BYTES_MAX).rev().find(|len| longest(&told(*len)) == VALUE_BYTES_MAX).unwrap();
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[told(len), told(len + 1)]);
    let progress = partition.store.view().unwrap().progress();
    assert_eq!((progress.events_applied, progress.records_unreadable), (1, 1));

    // What no record brings, and is there all the same, is not of this log.
    let head = Key::Head { group: "G".to_owned() };
    let value = v1::GroupHead {
        invite_link: Some(v1::TextRegister { value: Some("x".repeat(VALUE_BYTES_MAX - 100)), stamp: None }),
        ..Default::default()
    };
    let mut changes = Changes::default();
    changes.puts.insert(head.encode(), Value::Head(Box::new(value)).encode());
    partition.store.commit(&changes, &[], progress).unwrap();
    assert!(put_items(&partition, items(3, &[created("G", 1, "x")])).unwrap_err().is_damage());
}

#[test]
fn which_record_is_too_large_depends_neither_on_order_nor_on_batches() {
    let subject = |second, len| created("G", second, &"x".repeat(len));
    let mut records = [subject(1, 900), subject(2, 2_000), subject(3, 20_000), subject(4, 800)];
    for _ in 0..2 {
        let mut memory = Memory::default();
        let kept: Vec<_> =
            records.iter().filter(|record| bound::fits(&Contributions::of([*record]))).cloned().collect();
        assert_eq!(kept.len(), 2);
        let expected = memory.apply(&kept).unwrap();
        for cut in [1, 2, 4] {
            let folder = Folder::new();
            let partition = folder.open(3);
            records.chunks(cut).for_each(|batch| put(&partition, batch));
            let status = partition.status.borrow().clone();
            assert_eq!((status.applied, status.digest), (4, expected), "batches of {cut}");
            assert_eq!(partition.store.view().unwrap().progress().records_unreadable, 2);
        }
        records.reverse();
    }
}

#[test]
fn what_cannot_be_read_is_counted_by_reason_and_passed() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let big = "x".repeat(VALUE_BYTES_MAX);
    let mut items = items(1, &[joined("G", 1, "1"), created("G", 2, &big), joined("G", 3, "3")]);
    let mut empty = v1::Record { event: None, ..joined("G", 4, "4") };
    empty.event_id.clear();
    items.extend(crate::testing::items(4, &[empty, joined("G", 5, "5")]));
    items.push(Item { sequence: 6, log_time_ms: 1, payload: vec![9; 6].into(), trace_id: None });
    let read = items.iter().map(|item| record_of(&item.payload).map(|record| record.event_id));
    let expected = [
        Ok(joined("G", 1, "1").event_id),
        Err(VALUE_TOO_LARGE),
        Ok(joined("G", 3, "3").event_id),
        Err(NO_EVENT),
        Ok(joined("G", 5, "5").event_id),
        Err("unknown_version"),
    ];
    assert_eq!(read.collect::<Vec<_>>(), expected, "whoever reads them");
    put_items(&partition, items).unwrap();

    let view = partition.store.view().unwrap();
    let unreadable = view.unreadable_after(0, 10).unwrap();
    let unreadable: Vec<_> = unreadable.iter().map(|u| (u.sequence, u.reason.as_str())).collect();
    assert_eq!(unreadable, [(2, VALUE_TOO_LARGE), (4, NO_EVENT), (6, "unknown_version")]);
    let progress = view.progress();
    assert_eq!((progress.sequence, progress.events_applied, progress.records_unreadable), (6, 3, 3));
    let group = groupfold_fold::view::group(&view, "G").unwrap().unwrap();
    assert_eq!(group.members.len(), 3);
}

#[test]
fn what_is_published_is_not_told_again_and_leaves_the_outbox() {
    let records = [created("G", 1, "a"), joined("G", 2, "1"), created("H", 3, "b"), created("I", 4, "c")];
    let folded = |published: Mark| {
        let folder = Folder::new();
        let partition = folder.open(3);
        partition.feed.advanced(published, 0);
        put(&partition, &records);
        let told = partition.store.view().unwrap().outbox_after(Mark::default(), 100).unwrap();
        let digest = partition.status.borrow().digest;
        (told, digest, folder, partition)
    };
    let (all, digest, _folder, partition) = folded(Mark::default());
    let (first, last) = (mark_of(&all[0]), mark_of(all.last().unwrap()));
    assert!(first.sequence == 1 && last.sequence == 4 && last.index > 0, "{all:?}");
    for published in all.iter().map(mark_of).chain([Mark { sequence: 9, index: 0 }]) {
        let (told, again, ..) = folded(published);
        let rest: Vec<_> = all.iter().filter(|change| mark_of(change) > published).cloned().collect();
        assert_eq!((told, again), (rest, digest), "{published:?}");
    }
    partition.feed.advanced(last, 0);
    put(&partition, &[joined("G", 5, "2")]);
    let left = partition.store.view().unwrap().outbox_after(Mark::default(), 100).unwrap();
    assert!(!left.is_empty() && left.iter().all(|change| change.sequence == 5), "{left:?}");
    // One of each batch that was folded: what is left out is hidden first, and gone with the commit after it.
    assert_eq!(partition.store.parcels(), 2);
    put(&partition, &[joined("G", 6, "3")]);
    assert_eq!(partition.store.parcels(), 2);
}

#[test]
fn what_cannot_be_read_is_measured_by_reason_and_told_to_who_parks_it() {
    let folder = Folder::new();
    let partition = folder.open(3);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let measured = |reason: &str| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = format!("groupfold_projector_unreadable_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|text| Some(text.strip_prefix(&line)?.to_owned()))
    };
    for reason in [VALUE_TOO_LARGE, NO_EVENT, "unknown_version"] {
        assert_eq!(measured(reason).as_deref(), Some("0"), "there before it happens: {reason}");
    }
    let told = || partition.unreadable.notified().now_or_never().is_some();
    let fold = |items| fold(&partition, &metrics, "created", items, &CancellationToken::new()).unwrap();
    fold(items(1, &[joined("G", 1, "1")]));
    assert!(!told());
    fold(items(2, &[joined("G", 2, "2"), v1::Record { event: None, ..joined("G", 3, "3") }]));
    assert!(told());
    assert_eq!(measured(NO_EVENT).as_deref(), Some("1"));
}

/// Who ended waited for all of a batch, whatever its events cost.
#[test]
fn of_a_batch_no_more_is_folded_once_it_is_time_to_end_and_what_was_folded_is_committed() {
    let folder = Folder::new();
    let partition = folder.open(3);
    put(&partition, &[created("G", 1, "first")]);
    let ending = CancellationToken::new();
    ending.cancel();
    let more = items(2, &[joined("G", 2, "1"), joined("G", 3, "2"), joined("G", 4, "3")]);
    let metrics = Metrics::register(&mut Registry::default());
    fold(&partition, &metrics, "created", more, &ending).unwrap();
    assert_eq!((partition.store.view().unwrap().sequence(), partition.status.borrow().applied), (2, 2));
    // The rest is read again.
    fold(&partition, &metrics, "created", items(3, &[joined("G", 3, "2")]), &CancellationToken::new())
        .unwrap();
    assert_eq!(partition.store.view().unwrap().progress().events_applied, 3);
}
