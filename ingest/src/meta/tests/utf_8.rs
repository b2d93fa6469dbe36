//! Bytes that are no UTF-8: they spoil what they stand in, and nothing beside it.

use super::*;

/// Stands for a byte that is none of UTF-8.
const SPOILED: &str = "SPOILED";

fn spoil(body: &Value) -> Vec<u8> {
    let text = body.to_string();
    assert!(text.contains(SPOILED), "{text}");
    let parts: Vec<&[u8]> = text.split(SPOILED).map(str::as_bytes).collect();
    parts.join(&b'\xff')
}

fn member(wa_id: &str) -> Value {
    json!({"type": "group_participants_add", "group_id": GROUP, "timestamp": "1767225600",
           "added_participants": [{"wa_id": wa_id}]})
}

/// All of the body failed, its good items, too.
#[test]
fn a_byte_that_is_no_utf_8_spoils_its_item_alone() {
    for (extra, pointer) in [
        (json!({"reason": SPOILED}), "/reason"),
        (json!({"reason": format!("caf{SPOILED}")}), "/reason"),
        // Also where nobody would have read it.
        (json!({"nobody": {"reads": ["this", SPOILED]}}), "/nobody/reads/1"),
        (json!({SPOILED: 1}), ""),
        (json!({"added_participants": [{"wa_id": SPOILED}]}), "/added_participants/0/wa_id"),
    ] {
        let mut bad = member("3");
        bad.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let value = json!({"groups": [member("1"), bad, member("2")]});
        let body = spoil(&webhook("group_participants_update", &value));
        let items = adapt(&body, &delivery());
        let [Item::Event(first), Item::Failed(spoiled), Item::Event(last)] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(
            (&*first.pointer, &*last.pointer),
            ("/entry/0/changes/0/value/groups/0", "/entry/0/changes/0/value/groups/2")
        );
        assert_eq!(spoiled.item_pointer, "/entry/0/changes/0/value/groups/1");
        let told = (&*spoiled.cause, &spoiled.pointer, &*spoiled.expected);
        assert_eq!(told, ("malformed_field", &format!("{}{pointer}", spoiled.item_pointer), "JSON in UTF-8"));
        assert_eq!(spoiled.raw, spoil(&bad), "byte for byte");
        // What lands is what would have landed without it.
        let good =
            webhook("group_participants_update", &json!({"groups": [member("1"), member("3"), member("2")]}));
        let good = read(&good);
        assert_eq!([&items[0], &items[2]], [&good[0], &good[2]]);
        assert_eq!(readapt(spoiled, &delivery()), [items[1].clone()], "read again it is the same failure");
    }
}

/// Its pointer had whatever the sender named a member: too long for the log, or a number of somebody, and each name made a
/// kind of its own.
#[test]
fn where_an_item_is_spoiled_is_told_without_names_that_are_not_plain() {
    let spoiled_at = |extra: Value| {
        let mut bad = member("3");
        bad["nobody"] = extra;
        let body = spoil(&webhook("group_participants_update", &json!({"groups": [bad]})));
        let failed = failed(adapt(&body, &delivery()));
        (failed.pointer.strip_prefix(&failed.item_pointer).unwrap().to_owned(), failed.fingerprint)
    };
    let (_, fingerprint) = spoiled_at(json!({"/": SPOILED}));
    for name in [
        "",
        "15550001111",
        "a/b",
        "a~b",
        "\u{1b}[2J",
        "näme",
        "two words",
        &"x".repeat(65),
        &"x".repeat(2 << 20),
    ] {
        let told = spoiled_at(json!({name: SPOILED}));
        assert_eq!(told, ("/nobody/*".to_owned(), fingerprint.clone()), "{}", name.len());
    }
    let (at, _) = spoiled_at(json!({"a/b": [0, {"plain_1": {"x": SPOILED}}]}));
    assert_eq!(at, "/nobody/*/1/plain_1/x");
    let longest = "x".repeat(64);
    assert_eq!(spoiled_at(json!({longest.as_str(): SPOILED})).0, format!("/nobody/{longest}"));
    // Names are bounded, and so is how deep they stand.
    let deepest = (0..60).fold(json!(SPOILED), |inner, _| json!({longest.as_str(): inner}));
    assert!(spoiled_at(deepest).0.len() < 8 * 1024);
}

#[test]
fn a_contact_that_is_no_utf_8_adds_no_names_and_spoils_nothing() {
    let message =
        json!({"id": "m", "timestamp": "1767225600", "type": "text", "group_id": GROUP, "from": "1"});
    for contact in [
        json!({"wa_id": "1", "profile": {"name": SPOILED}}),
        json!({"wa_id": "1", "profile": {"name": "One"}, "nobody": SPOILED}),
    ] {
        let value = json!({"messages": [message], "contacts": [contact]});
        let record = record(adapt(&spoil(&webhook("messages", &value)), &delivery()));
        assert!(record.original_contacts.is_empty());
        let Some(Kind::MessageReceived(event)) = record.event.unwrap().kind else { panic!() };
        assert_eq!(event.from.unwrap(), v1::Participant { wa_id: Some("1".into()), ..Default::default() });
    }
}

#[test]
fn a_level_that_is_no_utf_8_itself_fails_whole() {
    let body = webhook("messages", &json!({"errors": [{"code": 1}]}));
    let entry = body["entry"][0].clone();
    for (level, cause, pointer) in [
        ("/entry/0", "malformed_envelope", "/entry/0/x"),
        ("/entry/0/changes/0", "malformed_envelope", "/entry/0/changes/0/x"),
        ("/entry/0/changes/0/value", "malformed_envelope", "/entry/0/changes/0/value/x"),
        ("/entry/0/changes/0/value/metadata", "malformed_envelope", "/entry/0/changes/0/value/metadata/x"),
    ] {
        let mut spoiled = body.clone();
        spoiled.pointer_mut(level).unwrap()["x"] = SPOILED.into();
        spoiled["entry"].as_array_mut().unwrap().push(entry.clone());
        let items = adapt(&spoil(&spoiled), &delivery());
        let [Item::Failed(failed), Item::Event(_)] = &items[..] else { panic!("{level}: {items:?}") };
        assert_eq!((&*failed.cause, &*failed.pointer), (cause, pointer));
        assert_eq!(failed.item_pointer, level.trim_end_matches("/metadata"));
        assert_eq!(readapt(failed, &delivery()), [items[0].clone()]);
    }
}

#[test]
fn a_body_that_is_no_utf_8_beside_its_entries_is_no_json() {
    let mut body = webhook("messages", &json!({"errors": [{"code": 1}]}));
    body["x"] = SPOILED.into();
    for name in ["x", "object", "entry"] {
        let mut body = body.clone();
        body[name] = SPOILED.into();
        let bytes = spoil(&body);
        let failed = failed(adapt(&bytes, &delivery()));
        assert_eq!((&*failed.cause, &*failed.pointer), ("not_json", ""), "{name}");
        let column = 1 + bytes.iter().position(|byte| *byte == 0xff).unwrap();
        assert_eq!(failed.expected, format!("JSON in UTF-8; broken at line 1 column {column}"));
        assert_eq!(failed.raw, bytes);
    }
}

/// Its name says that it is of no concern, whatever it holds.
#[test]
fn a_change_of_another_field_is_ignored_though_it_is_no_utf_8() {
    let mut body = webhook("messages", &json!({"errors": [{"code": 1}]}));
    let other = json!({"field": "message_template_status_update", "value": {"reason": SPOILED}});
    body["entry"][0]["changes"].as_array_mut().unwrap().push(other);
    let items = adapt(&spoil(&body), &delivery());
    assert!(matches!(items[..], [Item::Event(_), Item::Ignored(IgnoreCause::OtherField)]), "{items:?}");
}

/// An error's id is made from its entry, which is read as it stands where it cannot be parsed.
#[test]
fn an_account_error_beside_a_spoiled_item_has_the_same_id_each_time() {
    let value = json!({"errors": [{"code": 1}, {"code": 2, "title": SPOILED}]});
    let body = spoil(&webhook("messages", &value));
    let items = adapt(&body, &delivery());
    assert!(matches!(items[..], [Item::Event(_), Item::Failed(_)]), "{items:?}");
    assert_eq!(adapt(&body, &delivery()), items);
}
