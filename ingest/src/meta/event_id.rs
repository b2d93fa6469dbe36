//! The identity of an event: a hash over provider, account, phone number, field and natural key.
//!
//! The wire carries no event id. What stays equal when the provider sends a webhook again is the item's
//! meaning, not its bytes: the natural key is built from parsed values, so that blanks, escapes and the
//! order of members do not matter.

use groupfold_schemas::id::EventId;
use serde_json::Value;

use super::{PROVIDER, json};

/// Hashes `(provider, account, phone number id, field, natural key)`.
pub(super) fn event_id(account: &str, phone_number_id: &str, field: &str, key: &[String]) -> EventId {
    let around = [PROVIDER.name(), account, phone_number_id, field];
    EventId::hash(around.into_iter().chain(key.iter().map(String::as_str)).map(str::as_bytes))
}

/// Hashes what failed, where, and whose it was: the same body sent again fails under the same id, equal items of
/// two accounts do not.
pub(super) fn failed_id(around: [&str; 3], raw: &[u8], pointer: &str) -> EventId {
    let [account, phone_number_id, field] = around.map(str::as_bytes);
    let provider = PROVIDER.name().as_bytes();
    EventId::hash([b"failed", provider, account, phone_number_id, field, raw, pointer.as_bytes()])
}

/// JSON without blanks, with sorted members, as a hash; numbers beyond 64 bits as the nearest floating-point number, as
/// most readers of JSON take them. Falls back to the text itself where a parser refuses what is JSON: nested too deeply, a
/// number beyond `f64`, half a surrogate pair, bytes that are no UTF-8.
pub(super) fn of_json(raw: json::Value<'_>) -> String {
    let parsed = raw.text().and_then(|text| serde_json::from_str(text).ok());
    let id = match parsed {
        Some(value) => {
            let mut canonical = String::with_capacity(raw.raw().len());
            write_canonical(&value, &mut canonical);
            EventId::hash([canonical.as_bytes()])
        }
        None => EventId::hash([raw.raw()]),
    };
    id.as_str().to_owned()
}

/// Sorts by itself: whether a parsed object keeps its members sorted depends on a feature that any crate
/// of a build can switch. The parser bounds the depth.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (name, value) in sorted {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for value in elements {
                write_canonical(value, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}
