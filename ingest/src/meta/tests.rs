//! The adapter over every fixture family, every contradiction of the sources, and every way to fail.

mod contradictions;
mod families;
mod faults;
mod identity;
mod kept;
mod one_to_one;
mod utf_8;

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{FailedWebhook, Record};
use serde_json::{Value, json};

use super::*;

const GROUP: &str = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD";
const ACCOUNT: &str = "102290129340398";
const PHONE: &str = "106540352242922";
const WAMID: &str = "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUFERjg0NDEzNDdFODU3MUMxMAA=";

fn delivery() -> Delivery<'static> {
    Delivery {
        received_time_ms: 1_767_300_000_000,
        request_id: "0af7651916cd43dd8448eb211c80319c",
        build: "test",
        headers: Headers::default(),
        ignore_one_to_one: true,
        ignore_other_fields: true,
        replayed: false,
    }
}

fn read(body: &Value) -> Vec<Item> {
    adapt(body.to_string().as_bytes(), &delivery())
}

/// A fixture of the tree, by its name without `.json`.
fn fixture(name: &str) -> Vec<Item> {
    let path = format!("{}/../tests/fixtures/meta/{name}.json", env!("CARGO_MANIFEST_DIR"));
    adapt(&std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}")), &delivery())
}

/// A webhook with one value.
fn webhook(field: &str, value: &Value) -> Value {
    let mut value = value.clone();
    let metadata = json!({"display_phone_number": "15550783881", "phone_number_id": PHONE});
    value.as_object_mut().unwrap().entry("metadata").or_insert(metadata);
    json!({"object": "whatsapp_business_account",
           "entry": [{"id": ACCOUNT, "changes": [{"field": field, "value": value}]}]})
}

/// A webhook with one group event; group and time are filled in where they are not given.
fn group(field: &str, item: &Value) -> Value {
    let mut item = item.clone();
    let members = item.as_object_mut().unwrap();
    members.entry("group_id").or_insert(GROUP.into());
    members.entry("timestamp").or_insert("1767225600".into());
    webhook(field, &json!({"groups": [item]}))
}

fn participants(item: &Value) -> Value {
    group("group_participants_update", item)
}

/// A webhook with one status to the group.
fn status(item: &Value) -> Value {
    let mut status = json!({"id": WAMID, "status": "delivered", "timestamp": "1767225600",
                            "recipient_id": GROUP, "recipient_type": "group"});
    for (name, value) in item.as_object().unwrap() {
        status[name] = value.clone();
    }
    webhook("messages", &json!({"statuses": [status]}))
}

fn one(items: Vec<Item>) -> Item {
    assert_eq!(items.len(), 1, "{items:?}");
    items.into_iter().next().unwrap()
}

fn record(items: Vec<Item>) -> Record {
    match one(items) {
        Item::Event(record) => *record,
        other => panic!("no event: {other:?}"),
    }
}

fn failed(items: Vec<Item>) -> FailedWebhook {
    match one(items) {
        Item::Failed(failed) => *failed,
        other => panic!("no failure: {other:?}"),
    }
}

fn kind(items: Vec<Item>) -> Kind {
    record(items).event.unwrap().kind.unwrap()
}

/// The payload of the one event, which must be of this kind.
macro_rules! event {
    ($kind:ident, $items:expr) => {
        match kind($items) {
            Kind::$kind(event) => event,
            other => panic!("another kind: {other:?}"),
        }
    };
}
use event;
