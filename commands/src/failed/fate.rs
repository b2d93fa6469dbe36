//! What a failure would become with this build.

use groupfold_ingest::meta::{self, Delivery, Item};
use groupfold_ingest::replay;
use groupfold_schemas::failure::Cause;
use groupfold_schemas::v1;

use crate::data::Ignores;
use crate::log::Log;
use crate::pipeline::VERSION;

/// Read again: what it is made of now.
pub(super) fn today(failed: &v1::FailedWebhook, ignores: Ignores) -> Vec<Item> {
    if failed.cause == Cause::UnreadableRecord.name() {
        return match groupfold_projector::record_of(&failed.raw) {
            Ok(record) => vec![Item::Event(Box::new(v1::Record { replayed: true, ..record }))],
            Err(_) => vec![Item::Failed(Box::new(failed.clone()))],
        };
    }
    meta::readapt(failed, &delivery(ignores))
}

/// What is read again came in no request.
pub(super) fn delivery(ignores: Ignores) -> Delivery<'static> {
    Delivery {
        received_time_ms: 0,
        request_id: "",
        build: VERSION,
        headers: meta::Headers::default(),
        ignore_one_to_one: ignores.one_to_one,
        ignore_other_fields: ignores.other_fields,
        replayed: true,
    }
}

/// True of an event that is longer than the broker takes messages.
pub(super) fn is_too_large(item: &Item, log: &Log) -> bool {
    matches!(item, Item::Event(record) if !replay::fits(record, log.client.max_payload()))
}

/// What to do for one.
pub(super) fn larger(log: &Log) -> String {
    format!("set max_payload: 8MB at the broker (it is {} bytes) and restart it", log.client.max_payload())
}

/// In words, one line each.
pub(super) fn words(items: &[Item], log: &Log) -> Vec<String> {
    let word = |item: &Item| match item {
        Item::Event(record) if is_too_large(item, log) => {
            format!("fails again: event {} is too large for the broker", record.kind_name())
        }
        Item::Event(record) if record.group_id.is_empty() => format!("event {}", record.kind_name()),
        Item::Event(record) => format!("event {} of group {}", record.kind_name(), record.group_id),
        Item::Failed(failed) => {
            let at = if failed.pointer.is_empty() { "the whole" } else { &failed.pointer };
            format!("fails again: {} at {at}, expected {}", failed.cause, failed.expected)
        }
        Item::Ignored(cause) => format!("ignored: {}", cause.name()),
    };
    items.iter().map(word).collect()
}
