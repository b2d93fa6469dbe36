//! What a failure would become with this build.

use groupfold_ingest::meta::{self, Delivery, Item};
use groupfold_schemas::failure::Cause;
use groupfold_schemas::v1;

use crate::data::Ignores;
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

/// The kind of an event, as subjects and metrics name it.
pub(super) fn kind(record: &v1::Record) -> &'static str {
    record.event.as_ref().and_then(|event| event.kind.as_ref()).map_or("unknown", v1::event::Kind::name)
}

/// In words, one line each.
pub(super) fn words(items: &[Item]) -> Vec<String> {
    let word = |item: &Item| match item {
        Item::Event(record) if record.group_id.is_empty() => format!("event {}", kind(record)),
        Item::Event(record) => format!("event {} of group {}", kind(record), record.group_id),
        Item::Failed(failed) => {
            let at = if failed.pointer.is_empty() { "the whole" } else { &failed.pointer };
            format!("fails again: {} at {at}, expected {}", failed.cause, failed.expected)
        }
        Item::Ignored(cause) => format!("ignored: {}", cause.name()),
    };
    items.iter().map(word).collect()
}
