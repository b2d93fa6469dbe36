//! Keys and values, one of each kind; digests; what is remembered.

use super::*;
use crate::apply::{SPARED_BYTES_MAX, apply_all};
use crate::entry::{FactAt, Source as _, group_of};
use crate::identity::{Alias, AliasKind, first_name, names};

fn text(text: &str) -> String {
    text.to_owned()
}

fn keys() -> Vec<(Key, Option<&'static str>)> {
    let alias = |text: &str| Alias { kind: AliasKind::WaId, text: text.to_owned() };
    let at = FactAt { time_ms: -7, rank: 3, event_id: text("e\0"), about: text("w:1") };
    vec![
        (Key::Head { group: text("G\0x") }, Some("G\0x")),
        (Key::Window { group: text("G") }, Some("G")),
        (Key::Fact { group: text("G"), at: at.clone() }, Some("G")),
        (Key::AccountFact { account: text("A"), at }, None),
        (Key::Link { group: text("G"), a: alias("1"), b: alias("2") }, Some("G")),
        (Key::Rename { account: text("A"), alias: alias("1"), time_ms: 5, event_id: text("e") }, None),
        (Key::Message { message: text("M") }, None),
        (Key::Receipt { message: text("M"), alias: alias("1") }, None),
        (Key::Command { command: text("c") }, None),
        (Key::Outcome { request: text("r"), event_id: text("e") }, None),
        (Key::GroupOutcome { group: text("G"), event_id: text("e") }, Some("G")),
        (Key::View { message: text("M"), user: text("u"), group: text("G") }, None),
    ]
}

fn stamp(second: i64, event: &str) -> Option<v1::Stamp> {
    Some(v1::Stamp { time_ms: second * 1000, rank: 0, event_id: event.to_owned() })
}

fn origin(second: i64, account: &str) -> Value {
    let origin =
        v1::OriginRegister { stamp: stamp(second, "e"), account: text(account), ..Default::default() };
    Value::Head(Box::new(v1::GroupHead { origin: Some(origin), ..Default::default() }))
}

#[test]
fn a_key_of_each_kind_reads_back_and_names_its_group() {
    for (key, group) in keys() {
        let bytes = key.encode();
        assert_eq!(Key::decode(&bytes), Ok(key.clone()));
        assert_eq!(group_of(&bytes).as_deref(), group, "{key:?}");
    }
}

/// Stores and digests have them, so they stay as they are.
#[test]
fn a_name_in_a_key_is_written_as_its_text_and_a_zero_byte_in_two() {
    let written = |kind| {
        let key = Key::Receipt { message: text("\0M\0\0"), alias: Alias { kind, text: text("1\0") } };
        key.encode()
    };
    let kinds = [
        (AliasKind::UserId, b'u'),
        (AliasKind::ParentUserId, b'p'),
        (AliasKind::WaId, b'w'),
        (AliasKind::Lid, b'l'),
        (AliasKind::Input, b'i'),
        (AliasKind::Username, b'n'),
    ];
    for (kind, tag) in kinds {
        let name: &[u8] = &[tag, b':', b'1', 0, 0xff, 0, 1];
        assert_eq!(written(kind), [&b"r\0\xffM\0\xff\0\xff\0\x01"[..], name].concat(), "{kind:?}");
    }
}

#[test]
fn the_first_of_the_names_is_that_of_all() {
    for all in [&["n:m", "i:1", "w:1", "p:P", "u:U"][..], &["i:1", "n:m"], &["n:m"], &["w:", "n:m"], &[]] {
        let who = who(all);
        assert_eq!(first_name(&who), names(&who).into_iter().next(), "{all:?}");
    }
}

#[test]
fn a_value_of_each_kind_has_the_length_that_it_says_and_reads_back() {
    let requested = v1::CommandRequestedRegister { stamp: stamp(1, "e"), ..Default::default() };
    for (key, _) in keys() {
        let value = match key {
            Key::Head { .. } => origin(1, "A"),
            Key::Window { .. } => Value::Window(v1::Window { stamp: stamp(1, "e"), by: Some(who(&["w:1"])) }),
            Key::Fact { .. } | Key::AccountFact { .. } => {
                Value::Fact(v1::Fact { time_ms: 5, text: Some(text("x")), ..Default::default() })
            }
            Key::Link { .. } => Value::Link(v1::Link { first_seen_ms: 5, last_seen_ms: 6 }),
            Key::Rename { .. } => Value::Rename(v1::Rename { stamp: stamp(1, "e"), ..Default::default() }),
            Key::Message { .. } => {
                let sent = v1::Mark { stamp: stamp(1, "e"), ..Default::default() };
                Value::Message(v1::MessageHead { sent: Some(sent), ..Default::default() })
            }
            Key::Receipt { .. } => {
                let read = Some(v1::Mark { stamp: stamp(1, "e"), ..Default::default() });
                Value::Receipt(v1::MemberReceipt { read, ..Default::default() })
            }
            Key::Command { .. } => Value::Command(Box::new(v1::CommandState {
                requested: Some(requested.clone()),
                ..Default::default()
            })),
            Key::Outcome { .. } | Key::GroupOutcome { .. } => {
                Value::Outcome(v1::CommandOutcome { stamp: stamp(1, "e"), ..Default::default() })
            }
            Key::View { .. } => Value::View(v1::View { stamp: stamp(1, "e") }),
        };
        let bytes = value.encode();
        assert_eq!(bytes.len(), value.encoded_len(), "{key:?}");
        assert_eq!(key.decode_value(&bytes), Ok(value));
        assert!(key.decode_value(&bytes[..bytes.len() - 1]).is_err(), "{key:?}");
    }
}

#[test]
fn a_digest_tells_entries_apart_and_prints_its_bytes() {
    let of = |key: &[u8], value: &[u8]| Digest::of(key, value);
    let different = [of(b"a", b"b"), of(b"ab", b""), of(b"a", b"c"), Digest::default()];
    for (i, digest) in different.iter().enumerate() {
        assert!(!different[..i].contains(digest), "{i}");
    }
    let mut digest = of(b"a", b"b");
    assert_eq!(digest.to_string(), groupfold_schemas::id::hex(&digest.to_bytes()));
    digest.remove(b"a", b"b");
    assert_eq!(digest, Digest::default());
    assert_eq!(Digest::from_bytes(&[0; 15]), None);
}

#[test]
fn commands_are_read_backwards_from_before_one() {
    let command = |id: &str| {
        at(1, Kind::CommandRequested(v1::CommandRequested { command_id: text(id), ..Default::default() }))
    };
    let memory = fold(&["c1", "c2", "c3"].map(command));
    let ids = |before: Option<&str>, most| {
        let found = memory.commands_before(before, most).unwrap();
        found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2), ["c3", "c2"]);
    assert_eq!(ids(Some("c3"), 9), ["c2", "c1"]);
    assert_eq!(ids(Some("c1"), 9), [""; 0]);
}

/// What is there decides, whichever comes first; of two reports of one event that differ, the bytes do.
#[test]
fn merging_keeps_what_any_of_both_has() {
    let (a, b) = (origin(1, "A"), origin(1, "B"));
    assert!(!absorbs(&a, &b) && !absorbs(&b, &a) && absorbs(&a, &origin(2, "B")));
    assert_eq!(merge(Some(a.clone()), b.clone()), merge(Some(b), a));
    let policy = |policy| Value::Head(Box::new(v1::GroupHead { policy, ..Default::default() }));
    for (one, other) in [(true, false), (false, true), (true, true)] {
        assert_eq!(merge(Some(policy(one)), policy(other)), policy(true));
    }
    let outcome =
        |event: &str| Value::Outcome(v1::CommandOutcome { stamp: stamp(1, event), ..Default::default() });
    assert_eq!(merge(Some(outcome("e")), outcome("f")), outcome("f"));
    let message = |second| {
        let group_id = v1::TextRegister { stamp: stamp(second, "e"), value: Some(text("G")) };
        Value::Message(v1::MessageHead { group_id: Some(group_id), ..Default::default() })
    };
    assert!(absorbs(&message(1), &message(2)) && !absorbs(&message(2), &message(1)));
}

fn learn(known: &mut Known, record: &Record) -> Vec<Key> {
    let contributions = Contributions::unknown(record, known);
    known.learn(&contributions);
    contributions.keys().map(|key| Key::decode(key).unwrap()).collect()
}

/// All that a later receipt says again is spared, and nothing of one that is earlier than all before.
#[test]
fn a_later_receipt_contributes_itself_alone() {
    let of = |second, names: &[&str]| receipt(second, ReceiptStatus::Delivered, names);
    let (mut known, names) = (Known::default(), ["w:1", "u:A"]);
    let whole = learn(&mut known, &of(5, &names));
    assert_eq!(whole.len(), 4, "origin, message, link, receipt: {whole:?}");
    assert_eq!(learn(&mut known, &of(2, &names)).len(), 4);
    // Another group's are remembered beside them.
    let mut elsewhere = of(1, &["w:7", "u:B"]);
    elsewhere.group_id = text("G2");
    learn(&mut known, &elsewhere);
    for second in [3, 9] {
        let left = learn(&mut known, &of(second, &names));
        assert!(matches!(left[..], [Key::Receipt { .. }]), "{second}: {left:?}");
    }
    let mut long = of(9, &names);
    long.event_id = "e".repeat(SPARED_BYTES_MAX + 1);
    assert_eq!(learn(&mut known, &long).len(), 3, "what is long is measured, each time");
}

/// What is loaded later counts as if it had been there from the beginning.
#[test]
fn entries_may_be_loaded_as_they_are_met() {
    let (first, second) = (joined(1, &["w:1"]), message(2, &["w:1"]));
    let mut memory = fold(std::slice::from_ref(&first));
    let contributions = Contributions::of([&second]);
    let mut working = Working::default();
    let entries = |keys: Vec<Vec<u8>>| {
        let entry = |key: Vec<u8>| memory.0.get(&key).map(|value| (key.clone(), value.clone()));
        Memory(keys.into_iter().filter_map(entry).collect())
    };
    working.load(entries(working.unmet(&contributions).cloned().collect()));
    let before = working.bytes();
    working.apply(Contributions::of([&second])).unwrap();
    assert!(working.bytes() > before + contributions.keys().map(Vec::len).sum::<usize>());
    assert_eq!(working.unmet(&contributions).count(), 0);
    let changes = working.finish();
    let loaded = entries(contributions.keys().cloned().collect());
    assert_eq!(changes.puts, apply_all(loaded, contributions).unwrap().puts);
    memory.0.extend(changes.puts);
    assert_eq!(memory, fold(&[first, second]));
}
