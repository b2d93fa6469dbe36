//! A body into items and their messages; a failure, read again.

use std::collections::BTreeSet;

use bytes::Bytes;
use groupfold_ingest::meta::{self, Delivery, Item};
use groupfold_ingest::probe::{self, Publish};
use groupfold_schemas::id::EventId;
use groupfold_schemas::{frame, log, v1};
use prost::Message as _;
use serde_json::Value;

use super::{fold, hold};

const PARTITIONS: u16 = 8;
/// What the broker takes at most.
const PAYLOAD_MAX: usize = 1024 * 1024;
/// Room for the headers of a message.
const HEADER_BYTES: usize = 1024;
/// The broker's bound for the line that names a subject, with room for what else stands on it.
const SUBJECT_BYTES_MAX: usize = 4096 - 128;
/// Lists whose elements are items.
const LISTS: [&str; 4] = ["groups", "statuses", "messages", "errors"];

/// Everything that is not about groups fails, so that each item can be seen.
fn delivery() -> Delivery<'static> {
    Delivery {
        received_time_ms: 1_767_225_600_000,
        request_id: "fuzz",
        build: "fuzz",
        headers: meta::Headers::default(),
        ignore_one_to_one: false,
        ignore_other_fields: false,
        replayed: false,
    }
}

pub(super) fn items(body: &[u8]) -> Vec<Item> {
    meta::adapt(body, &delivery())
}

/// Each item of a body has one fate, and it is the right one.
pub(super) fn read(bytes: &[u8]) -> Result<(), String> {
    let body = Bytes::copy_from_slice(bytes);
    let items = meta::adapt_shared(&body, &delivery());
    ignoring_spares_some_and_changes_none(&body, &items)?;
    each_item_has_one_fate(&body, &items)?;
    let mut records = Vec::new();
    for item in items {
        published(&item)?;
        match item {
            Item::Failed(failed) => read_again(&failed)?,
            Item::Event(record) => records.push(*record),
            Item::Ignored(cause) => return Err(format!("ignored for {cause:?}, which nobody asked for")),
        }
    }
    fold::folds(&records)
}

/// A failure of any shape can be read again.
pub(super) fn read_failure(bytes: &[u8]) -> Result<(), String> {
    let Ok(failed) = v1::FailedWebhook::decode(bytes) else { return Ok(()) };
    for item in meta::readapt(&failed, &delivery()) {
        published(&item)?;
        if let Item::Failed(failed) = item {
            read_again(&failed)?;
        }
    }
    Ok(())
}

fn ignoring_spares_some_and_changes_none(body: &Bytes, items: &[Item]) -> Result<(), String> {
    let lenient = Delivery { ignore_one_to_one: true, ignore_other_fields: true, ..delivery() };
    let spared = meta::adapt_shared(body, &lenient);
    let same = |(one, other): (&Item, &Item)| one == other || matches!(other, Item::Ignored(_));
    hold(items.len() == spared.len() && items.iter().zip(&spared).all(same), || {
        format!("ignoring changes what is not ignored: {items:?} {spared:?}")
    })
}

fn of(item: &Item) -> (&str, &Bytes) {
    match item {
        Item::Event(record) => (&record.pointer, &record.original_json),
        Item::Failed(failed) => (&failed.item_pointer, &failed.raw),
        Item::Ignored(_) => unreachable!("nothing is ignored here"),
    }
}

/// Against another reader of JSON: what an item keeps is what stands where it points to, no two point to one place,
/// and each element of a list is pointed to, or something that it is in.
fn each_item_has_one_fate(body: &Bytes, items: &[Item]) -> Result<(), String> {
    // Numbers and escapes that stand for nothing make no body unreadable for us.
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    let mut pointers = BTreeSet::new();
    for item in items {
        let (pointer, raw) = of(item);
        hold(pointers.insert(pointer), || format!("{pointer} has two fates"))?;
        let kept = serde_json::from_slice::<Value>(raw).ok();
        hold(json.pointer(pointer) == kept.as_ref(), || format!("{pointer} keeps {raw:?}"))?;
        hold(body.as_ptr_range().contains(&raw.as_ptr()), || format!("{pointer} is a copy"))?;
    }
    let list = |value: &Value, name: &str| value[name].as_array().map_or(0, Vec::len);
    for entry in 0..list(&json, "entry") {
        for change in 0..list(&json["entry"][entry], "changes") {
            for name in LISTS {
                for element in 0..list(&json["entry"][entry]["changes"][change]["value"], name) {
                    let pointer = format!("/entry/{entry}/changes/{change}/value/{name}/{element}");
                    hold(is_within(&pointers, &pointer), || format!("{pointer} has no fate"))?;
                }
            }
        }
    }
    Ok(())
}

fn is_within(pointers: &BTreeSet<&str>, pointer: &str) -> bool {
    let ends = pointer.match_indices('/').map(|(end, _)| end).chain([pointer.len()]);
    ends.into_iter().any(|end| pointers.contains(&pointer[..end]))
}

/// What failed fails again, as the same failure.
fn read_again(failed: &v1::FailedWebhook) -> Result<(), String> {
    match &meta::readapt(failed, &delivery())[..] {
        [Item::Failed(again)] if again.failed_id == failed.failed_id => Ok(()),
        other => Err(format!("{failed:?} is another thing read again: {other:?}")),
    }
}

/// What is published of an item stands under subjects that the broker takes and that say what it is, and is read back.
fn published(item: &Item) -> Result<(), String> {
    for payload_max in [PAYLOAD_MAX, 3 * HEADER_BYTES] {
        let Some(publish) = probe::publish(item.clone(), PARTITIONS, payload_max, &delivery()) else {
            continue;
        };
        let Publish { id, to, failed, payload } = &publish;
        EventId::parse(id).map_err(|error| format!("{id:?} {error}"))?;
        hold(!to.is_empty(), || format!("{publish:?} goes nowhere"))?;
        for (_, subject) in to {
            let fits = subject.len() <= SUBJECT_BYTES_MAX
                && subject.split('.').all(|token| !token.is_empty())
                && subject.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>');
            hold(fits, || format!("no broker takes {subject:?}"))?;
        }
        match item {
            Item::Event(record) if failed.is_none() => {
                let fits = payload.len() + HEADER_BYTES <= payload_max;
                hold(fits, || format!("{} bytes for {payload_max}", payload.len()))?;
                is_read_back(record, to, payload)?;
            }
            _ => {
                let kept: v1::FailedWebhook = frame::decode(payload).map_err(|error| error.to_string())?;
                hold(kept.raw == of(item).1 && kept.failed_id == *id, || format!("{kept:?} lost the item"))?;
            }
        }
    }
    Ok(())
}

fn is_read_back(record: &v1::Record, to: &[(Option<u16>, String)], payload: &Bytes) -> Result<(), String> {
    let again: v1::Record = frame::decode(payload).map_err(|error| error.to_string())?;
    hold(again == *record, || "a record is another one once written and read".to_owned())?;
    let group = Some(record.group_id.clone()).filter(|id| !id.is_empty());
    for (partition, subject) in to {
        let partition = partition.ok_or("an event without a partition")?;
        let said = Some((partition, record.account.clone(), record.kind_name().to_owned(), group.clone()));
        hold(log::read_event_subject(subject) == said, || format!("{subject} does not say {said:?}"))?;
    }
    Ok(())
}
