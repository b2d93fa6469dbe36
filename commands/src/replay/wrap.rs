//! An item as the provider sent it, in a webhook of its own again.

use groupfold_schemas::v1::{Provider, Record, TimeQuality};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Webhook<'a> {
    object: &'a str,
    entry: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    /// Unix seconds; kept where the event's time is from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    changes: [Change<'a>; 1],
}

#[derive(Serialize)]
struct Change<'a> {
    field: &'a str,
    value: Value<'a>,
}

#[derive(Serialize)]
struct Value<'a> {
    messaging_product: &'a str,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<&'a RawValue>,
    #[serde(flatten)]
    items: std::collections::BTreeMap<&'a str, [&'a RawValue; 1]>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    display_phone_number: &'a str,
    phone_number_id: &'a str,
}

/// The webhook; `None` if the record does not keep what it would hold. A groupfold reads the same events from it, under
/// the same ids; save for errors of an account, which only the whole entry they came in tells apart.
pub(super) fn webhook(record: &Record) -> Option<Vec<u8>> {
    if record.provider() != Provider::Meta {
        return None;
    }
    // /entry/0/changes/0/value/groups/0
    let array = record.pointer.rsplit('/').nth(1).filter(|array| !array.is_empty())?;
    let item: &RawValue = serde_json::from_slice(&record.original_json).ok()?;
    let contacts = record.original_contacts.iter().map(|contact| serde_json::from_slice(contact).ok());
    let webhook = Webhook {
        object: "whatsapp_business_account",
        entry: [Entry {
            id: &record.account,
            time: (record.time_quality() == TimeQuality::Envelope).then_some(record.provider_time_ms / 1000),
            changes: [Change {
                field: &record.field,
                value: Value {
                    messaging_product: "whatsapp",
                    metadata: Metadata {
                        display_phone_number: &record.display_phone_number,
                        phone_number_id: &record.phone_number_id,
                    },
                    contacts: contacts.collect::<Option<_>>()?,
                    items: [(array, [item])].into(),
                },
            }],
        }],
    };
    serde_json::to_vec(&webhook).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_item_is_there_byte_for_byte() {
        let record = Record {
            provider: Provider::Meta.into(),
            account: "1".into(),
            field: "group_status_update".into(),
            pointer: "/entry/0/changes/2/value/groups/3".into(),
            original_json: br#"{ "b":1.0, "a":"\u00e9" }"#.to_vec().into(),
            ..Record::default()
        };
        let body = String::from_utf8(webhook(&record).unwrap()).unwrap();
        assert!(body.contains(r#""groups":[{ "b":1.0, "a":"\u00e9" }]"#), "{body}");
        assert!(webhook(&Record { original_json: Vec::new().into(), ..record }).is_none());
    }
}
