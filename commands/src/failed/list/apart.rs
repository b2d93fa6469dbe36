//! What tells kinds of failures apart that have cause and field in common: their fingerprints differ by what else came.

use std::collections::{BTreeMap, BTreeSet};

use groupfold_schemas::v1::FailedWebhook;
use serde_json::Value;

use super::{Kind, without_indices};
use crate::log::Log;

/// Kinds that are told apart of those that are alike: each costs a question to the broker.
const ALIKE_MAX: usize = 50;
/// Signs that are told of one.
const SIGNS_MAX: usize = 4;

/// A text for each kind: empty where cause and field are its own.
pub(super) async fn each(log: &Log, kinds: &[Kind<'_>]) -> Vec<String> {
    let mut alike: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (place, kind) in kinds.iter().enumerate() {
        let looks = (kind.first.cause.as_str(), without_indices(&kind.first.pointer));
        alike.entry(looks).or_default().push(place);
    }
    let mut told = vec![String::new(); kinds.len()];
    for places in alike.into_values().filter(|places| places.len() > 1) {
        let mut signs = Vec::new();
        for &place in places.iter().take(ALIKE_MAX) {
            // Without its bytes it is listed all the same.
            let failed = kinds[place].first.load(log).await.unwrap_or_default();
            signs.push(signs_of(&failed));
        }
        for (place, told_of) in places.into_iter().zip(differing(&signs)) {
            told[place] = told_of;
        }
    }
    told
}

/// What was expected, and the members that came, with their types.
fn signs_of(failed: &FailedWebhook) -> BTreeSet<String> {
    let item = serde_json::from_slice::<Value>(&failed.raw).unwrap_or_default();
    let members = item.as_object().into_iter().flatten();
    let named = members.map(|(name, value)| format!("{name} ({})", type_of(value)));
    named.chain([format!("expected {}", failed.expected)]).collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Of each what not all have.
fn differing(signs: &[BTreeSet<String>]) -> Vec<String> {
    let in_all = |sign: &&String| signs.iter().all(|one| one.contains(*sign));
    let told = |one: &BTreeSet<String>| {
        let own: Vec<&str> = one.iter().filter(|sign| !in_all(sign)).map(String::as_str).collect();
        match own.len() {
            0 => "nothing more".to_owned(),
            count if count > SIGNS_MAX => {
                format!("{} and {} more", own[..SIGNS_MAX].join(", "), count - SIGNS_MAX)
            }
            _ => own.join(", "),
        }
    };
    signs.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_look_alike_are_told_apart_by_what_not_all_have() {
        let signs = |raw: &str, expected: &str| {
            let (raw, expected) = (raw.as_bytes().to_vec().into(), expected.to_owned());
            signs_of(&FailedWebhook { raw, expected, ..FailedWebhook::default() })
        };
        let two = [signs(r#"{"a":1,"b":"x"}"#, "a time"), signs(r#"{"a":1}"#, "a time")];
        assert_eq!(differing(&two), ["b (text)", "nothing more"]);
        let two = [signs(r#"{"a":1}"#, "a time"), signs(r#"{"a":"1"}"#, "a number")];
        assert_eq!(differing(&two), ["a (number), expected a time", "a (text), expected a number"]);
        let many = [signs(r#"{"a":1,"b":1,"c":1,"d":1,"e":1}"#, ""), signs("no JSON", "")];
        assert_eq!(differing(&many)[0], "a (number), b (number), c (number), d (number) and 1 more");
    }
}
