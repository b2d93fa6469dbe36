//! Keys and values of the store.

use std::sync::OnceLock;

use groupfold_fold::entry::{FactAt, Key, Prefix, Value, group_of, receipt_of};
use groupfold_fold::merge::merge;

use super::frames::framed;
use super::{folded, hold};

/// Two keys, each behind its length in a byte, and two values, the first behind its length.
pub(super) fn read(bytes: &[u8]) -> Result<(), String> {
    let _ = Key::decode(bytes);
    let (first, rest) = part(bytes);
    let (second, rest) = part(rest);
    let (one, other) = part(rest);
    let keys = [first, second].map(|bytes| Key::decode(bytes).ok().map(|key| (key, bytes)));
    for (key, bytes) in keys.iter().flatten() {
        is_read_back(key, bytes)?;
    }
    if let [Some((a, a_bytes)), Some((b, b_bytes))] = &keys {
        hold((a == b) == (a_bytes == b_bytes), || format!("{a:?} and {b:?}"))?;
        if let (Some(a), Some(b)) = (place(a), place(b))
            && a.0 == b.0
        {
            hold(a.cmp(&b) == a_bytes.cmp(b_bytes), || format!("{a:?} stands on the wrong side of {b:?}"))?;
        }
    }
    // As values of the keys of each kind.
    for key in kinds_of_keys() {
        let _ = key.decode_value(one);
        let read = |payload| key.decode_value(&framed(payload)).ok();
        values(key, read(one), read(other))?;
    }
    Ok(())
}

fn part(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = bytes.split_first() else { return (&[], &[]) };
    rest.split_at(usize::from(*len).min(rest.len()))
}

fn is_read_back(key: &Key, bytes: &[u8]) -> Result<(), String> {
    hold(key.encode() == bytes, || format!("{key:?} is another key once written"))?;
    let (prefix, group) = match key.clone() {
        Key::Head { group } => (Some(Prefix::Heads), Some(group)),
        Key::Window { group } => (None, Some(group)),
        Key::Fact { group, at } => {
            let own = Prefix::OwnFacts { group: group.clone() }.encode();
            hold(bytes.starts_with(&own) == (at.time_ms == 0), || {
                format!("{key:?} is not where it belongs")
            })?;
            (Some(Prefix::Facts { group: group.clone() }), Some(group))
        }
        Key::AccountFact { account, .. } => (Some(Prefix::AccountFacts { account }), None),
        Key::Link { group, .. } => (Some(Prefix::Links { group: group.clone() }), Some(group)),
        Key::Rename { account, alias, .. } => (Some(Prefix::Renames { account, alias }), None),
        Key::Message { .. } => (Some(Prefix::Messages), None),
        Key::Receipt { message, .. } => (Some(Prefix::Receipts { message }), None),
        Key::Command { .. } => (Some(Prefix::Commands), None),
        Key::Outcome { request, .. } => (Some(Prefix::Outcomes { request }), None),
        Key::GroupOutcome { group, .. } => {
            (Some(Prefix::GroupOutcomes { group: group.clone() }), Some(group))
        }
        Key::View { message, .. } => (Some(Prefix::Views { message }), None),
    };
    let of_message =
        matches!(key, Key::Receipt { .. }).then(|| prefix.as_ref().map(Prefix::encode)).flatten();
    hold(receipt_of(bytes).map(|(common, _)| common) == of_message.as_deref(), || {
        format!("{key:?} is cut elsewhere")
    })?;
    let found = prefix.is_none_or(|prefix| bytes.starts_with(&prefix.encode()));
    hold(found, || format!("{key:?} is not under its prefix"))?;
    hold(group_of(bytes) == group, || format!("{key:?} names another group"))
}

/// Where a fact stands: of what, and there.
fn place(key: &Key) -> Option<(bool, &String, &FactAt)> {
    match key {
        Key::Fact { group, at } => Some((true, group, at)),
        Key::AccountFact { account, at } => Some((false, account, at)),
        _ => None,
    }
}

/// A value is the same once written and read, and merging is a join.
fn values(key: &Key, one: Option<Value>, other: Option<Value>) -> Result<(), String> {
    for value in one.iter().chain(&other) {
        let bytes = value.encode();
        hold(bytes.len() == value.encoded_len(), || format!("the length of {value:?}"))?;
        let again = key.decode_value(&bytes).map_err(|error| format!("{value:?}: {error}"))?;
        hold(again == *value, || format!("{value:?} is another value once written and read"))?;
        let twice = merge(Some(value.clone()), value.clone());
        hold(twice == *value, || format!("{value:?} merged with itself is {twice:?}"))?;
    }
    let (Some(a), Some(b)) = (one, other) else { return Ok(()) };
    let (ab, ba) = (merge(Some(a.clone()), b.clone()), merge(Some(b.clone()), a.clone()));
    hold(ab == ba, || format!("{a:?} and {b:?} are {ab:?} or {ba:?}"))?;
    hold(merge(Some(ab.clone()), a.clone()) == ab && merge(Some(b), ab.clone()) == ab, || {
        format!("{ab:?} is not above {a:?}")
    })
}

/// One key of each kind that the fixtures come to.
fn kinds_of_keys() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut keys: Vec<Key> = folded().0.keys().filter_map(|key| Key::decode(key).ok()).collect();
        keys.extend([
            Key::Command { command: "c".to_owned() },
            Key::GroupOutcome { group: "G".to_owned(), event_id: "e".to_owned() },
            Key::View { message: "M".to_owned(), user: "u".to_owned(), group: "G".to_owned() },
        ]);
        keys.sort();
        keys.dedup_by_key(|key| std::mem::discriminant(key));
        keys
    })
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let entries = folded().0;
    let mut last: (&[u8], &[u8]) = (&[], &[]);
    let mut seeds = Vec::new();
    for (key, value) in &entries {
        // Without the header: values are framed where they are read.
        let value = &value[5..];
        let part = |bytes: &[u8]| {
            let bytes = &bytes[..bytes.len().min(255)];
            [&[bytes.len() as u8], bytes].concat()
        };
        seeds.push([part(last.0), part(key), part(last.1), value.to_vec()].concat());
        last = (key, value);
    }
    seeds
}
