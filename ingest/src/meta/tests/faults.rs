use super::*;
use groupfold_schemas::failure::Cause;

const ITEM: &str = "/entry/0/changes/0/value/groups/0";

#[test]
fn what_is_not_json_fails_whole() {
    for body in [&b""[..], b"hello", b"{", b"{\"a\":\"\xff\"}", b"[1] x", br#"{"groups":[{}, "a": 1]}"#] {
        let failed = failed(adapt(body, &delivery()));
        assert_eq!((failed.cause.as_str(), failed.pointer.as_str()), ("not_json", ""));
        assert_eq!(failed.raw.as_ref(), body);
    }
}

#[test]
fn the_smallest_broken_level_fails_whole() {
    let good = webhook("messages", &json!({"errors": [{"code": 1}]}));
    let mut two = good.clone();
    two["entry"].as_array_mut().unwrap().push(json!(7));
    let broken = [
        (json!([]), "malformed_envelope", "", ""),
        (json!({"object": "page", "entry": []}), "unknown_object", "/object", ""),
        (json!({"entry": []}), "unknown_object", "/object", ""),
        (json!({"object": "whatsapp_business_account"}), "malformed_envelope", "/entry", ""),
        (json!({"object": "whatsapp_business_account", "entry": {}}), "malformed_envelope", "/entry", ""),
    ];
    for (body, cause, pointer, item) in broken {
        let failed = failed(read(&body));
        assert_eq!(
            (&*failed.cause, &*failed.pointer, &*failed.item_pointer),
            (cause, pointer, item),
            "{body}"
        );
    }
    let items = read(&two);
    assert!(matches!(items[0], Item::Event(_)));
    assert_eq!(failed(vec![items[1].clone()]).item_pointer, "/entry/1");
    let at = |path: &[&str], value: Value| {
        let mut body = good.clone();
        let mut place = &mut body;
        for step in path {
            place = match step.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[*step],
            };
        }
        *place = value;
        failed(read(&body))
    };
    let entry = at(&["entry", "0", "id"], json!(null));
    assert_eq!(
        (&*entry.cause, &*entry.pointer, &*entry.item_pointer),
        ("missing_field", "/entry/0/id", "/entry/0")
    );
    let change = at(&["entry", "0", "changes", "0"], json!("x"));
    assert_eq!((&*change.cause, &*change.item_pointer), ("malformed_envelope", "/entry/0/changes/0"));
    let value = at(&["entry", "0", "changes", "0", "value", "metadata"], json!({}));
    assert_eq!(value.pointer, "/entry/0/changes/0/value/metadata/phone_number_id");
    assert_eq!(value.item_pointer, "/entry/0/changes/0/value");
    let list = at(&["entry", "0", "changes", "0", "value", "errors"], json!({}));
    assert_eq!((&*list.cause, &*list.item_pointer), ("malformed_envelope", "/entry/0/changes/0/value"));
}

#[test]
fn a_messages_value_without_lists_lacks_one() {
    let failed = failed(read(&webhook("messages", &json!({"contacts": []}))));
    assert_eq!((&*failed.cause, &*failed.item_pointer), ("missing_field", "/entry/0/changes/0/value"));
}

#[test]
fn fields_outside_groups_are_ignored_and_unknown_ones_about_groups_fail() {
    let other = webhook("message_template_status_update", &json!({}));
    assert_eq!(read(&other), [Item::Ignored(IgnoreCause::OtherField)]);
    let kept = Delivery { ignore_other_fields: false, ..delivery() };
    assert_eq!(failed(adapt(other.to_string().as_bytes(), &kept)).cause, "unknown_field");
    let unknown = failed(read(&webhook("group_pins_update", &json!({}))));
    assert_eq!((&*unknown.cause, &*unknown.pointer), ("unknown_field", "/entry/0/changes/0/field"));
    assert_eq!(unknown.field, "group_pins_update");
}

/// It was ignored, and nothing of it kept.
#[test]
fn an_unknown_field_whose_value_has_a_list_of_groups_fails_with_all_of_it_kept() {
    let about_groups = webhook("brand_new", &json!({"groups": [{"group_id": "G"}]}));
    let unknown = failed(read(&about_groups));
    assert_eq!((&*unknown.cause, &*unknown.pointer), ("unknown_field", "/entry/0/changes/0/field"));
    assert_eq!((&*unknown.field, &*unknown.item_pointer), ("brand_new", "/entry/0/changes/0"));
    assert_eq!(unknown.raw, about_groups["entry"][0]["changes"][0].to_string());
    for value in [json!({"groups": {}}), json!({"groups": null}), json!({"messages": []}), json!(["groups"])]
    {
        let mut other = about_groups.clone();
        other["entry"][0]["changes"][0]["value"] = value;
        assert_eq!(read(&other), [Item::Ignored(IgnoreCause::OtherField)], "{other}");
    }
}

#[test]
fn an_item_fails_at_the_offending_field() {
    let join = json!({"type": "group_participants_add", "added_participants": [{"wa_id": "1"}]});
    let cases = [
        ("type", json!("group_dance"), Cause::UnknownType, "/type"),
        ("type", json!(null), Cause::MissingField, "/type"),
        ("timestamp", json!("TIMESTAMP"), Cause::MalformedField, "/timestamp"),
        ("timestamp", json!(-5), Cause::MalformedField, "/timestamp"),
        ("timestamp", json!({}), Cause::MalformedField, "/timestamp"),
        ("group_id", json!(""), Cause::MissingField, "/group_id"),
        ("group_id", json!("a\nb"), Cause::MalformedField, "/group_id"),
        ("group_id", json!("x".repeat(513)), Cause::MalformedField, "/group_id"),
        ("added_participants", json!([]), Cause::MissingField, "/added_participants"),
        ("added_participants", json!({}), Cause::MalformedField, "/added_participants"),
        ("added_participants", json!([{"wa_id": "1"}, 2]), Cause::MalformedField, "/added_participants/1"),
        ("added_participants", json!([{}]), Cause::MissingField, "/added_participants/0/wa_id"),
        ("added_participants", json!([{"wa_id": [1]}]), Cause::MalformedField, "/added_participants/0/wa_id"),
        ("errors", json!([{"code": true}]), Cause::MalformedField, "/errors/0/code"),
    ];
    for (name, value, cause, pointer) in cases {
        let mut item = join.clone();
        item[name] = value;
        let body = group("group_participants_update", &item);
        let failed = failed(read(&body));
        assert_eq!((&*failed.cause, failed.pointer), (cause.name(), format!("{ITEM}{pointer}")), "{item}");
        assert_eq!(failed.item_pointer, ITEM);
        assert!(!failed.expected.is_empty());
        let raw: Value = serde_json::from_slice(&failed.raw).unwrap();
        assert_eq!(raw, body["entry"][0]["changes"][0]["value"]["groups"][0]);
    }
}

#[test]
fn a_lone_surrogate_spoils_the_member_it_stands_in_and_no_other() {
    let body = participants(
        &json!({"type": "group_participants_add", "added_participants": [{"wa_id": "1"}], "extra": "E"}),
    );
    let harmless = body.to_string().replace("\"E\"", r#""\ud800""#);
    assert!(matches!(adapt(harmless.as_bytes(), &delivery())[..], [Item::Event(_)]));
    let harmful = body.to_string().replace("\"1\"", r#""\ud800""#);
    assert_eq!(failed(adapt(harmful.as_bytes(), &delivery())).cause, "malformed_field");
}

#[test]
fn deep_nesting_is_harmless() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = participants(&json!({"type": "group_participants_add", "added_participants": "D"}));
    let body = body.to_string().replace("\"D\"", &deep);
    assert_eq!(failed(adapt(body.as_bytes(), &delivery())).cause, "malformed_field");
    let error =
        webhook("messages", &json!({"errors": [{"code": 1, "x": "D"}]})).to_string().replace("\"D\"", &deep);
    assert!(matches!(adapt(error.as_bytes(), &delivery())[..], [Item::Event(_)]));
}

#[test]
fn one_bad_item_in_a_thousand_spoils_no_other() {
    let bad = [1, 500, 999];
    let statuses: Vec<Value> = (0..1000)
        .map(|i| {
            let time = if bad.contains(&i) { json!("TIMESTAMP") } else { json!("1767225600") };
            json!({"id": format!("m{i}"), "status": "read", "timestamp": time, "recipient_id": GROUP,
                   "recipient_type": "group", "recipient_participant_id": "1"})
        })
        .collect();
    let items = read(&webhook("messages", &json!({"statuses": statuses})));
    assert_eq!(items.len(), 1000);
    for (i, item) in items.iter().enumerate() {
        match item {
            Item::Failed(failed) => {
                assert!(bad.contains(&i));
                assert_eq!(failed.pointer, format!("/entry/0/changes/0/value/statuses/{i}/timestamp"));
            }
            Item::Event(_) => assert!(!bad.contains(&i)),
            Item::Ignored(_) => panic!(),
        }
    }
}

#[test]
fn entries_changes_and_lists_are_flattened() {
    let value = webhook("messages", &json!({"errors": [{"code": 1}, {"code": 2}]}));
    let change = value["entry"][0]["changes"][0].clone();
    let entry = json!({"id": ACCOUNT, "changes": [change, change]});
    let items = read(&json!({"object": "whatsapp_business_account", "entry": [entry, entry, entry]}));
    assert_eq!(items.len(), 12);
}

#[test]
fn a_body_of_too_many_items_fails_whole() {
    let many = |n: usize| read(&webhook("messages", &json!({"statuses": vec![json!({}); n]})));
    assert_eq!(many(ITEMS_MAX).len(), ITEMS_MAX);
    let failed = failed(many(ITEMS_MAX + 1));
    assert_eq!((&*failed.cause, &*failed.item_pointer), ("malformed_envelope", ""));
}

#[test]
fn a_fingerprint_is_of_the_shape_and_not_of_values() {
    let print = |wa_id: Value, place: usize| {
        let mut groups =
            vec![json!({"type": "group_suspend", "group_id": "g", "timestamp": 1_767_225_600}); place];
        groups.push(
            json!({"type": "group_join_request_created", "group_id": "g", "timestamp": "x", "wa_id": wa_id}),
        );
        let mut items = read(&webhook("group_participants_update", &json!({"groups": groups})));
        failed(vec![items.pop().unwrap()]).fingerprint
    };
    assert_eq!(print(json!("1"), 0), print(json!("2"), 3));
    assert_ne!(print(json!("1"), 0), print(json!(1), 0));
}

#[test]
fn a_failure_names_no_value() {
    let item = json!({"type": "group_participants_add", "timestamp": "16505551234", "added_participants": "16505551234"});
    let failed = failed(read(&participants(&item)));
    assert!(!failed.expected.contains("1650") && !failed.pointer.contains("1650"));
}

#[test]
fn contacts_beside_a_failed_item_are_kept_but_not_all_of_them() {
    let contacts: Vec<Value> = (0..100).map(|i| json!({"wa_id": i.to_string()})).collect();
    let bad = json!({"id": "m", "type": "text", "group_id": GROUP, "from": "42"});
    let failed = failed(read(&webhook("messages", &json!({"messages": [bad], "contacts": contacts}))));
    assert_eq!(failed.original_contacts, [&br#"{"wa_id":"42"}"#[..]]);
}

#[test]
fn equal_unreadable_items_of_two_accounts_are_two_failures() {
    let item = json!({ "type": "nonsense" });
    let one = group("group_status_update", &item);
    let mut other = one.clone();
    other["entry"][0]["id"] = json!("another account");
    assert_ne!(failed(read(&one)).failed_id, failed(read(&other)).failed_id);
    assert_eq!(failed(read(&one)).failed_id, failed(read(&one)).failed_id);
}

#[test]
fn a_body_of_endless_broken_changes_is_one_failure() {
    let changes = vec![json!(1); ITEMS_MAX * 3];
    let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] });
    assert_eq!(failed(read(&body)).cause, "malformed_envelope");
}

#[test]
fn texts_and_lists_of_people_are_bounded() {
    let mut item =
        json!({ "type": "group_create", "timestamp": "1767225600", "group_id": "G", "request_id": "R" });
    let bounds = [("subject", 896), ("description", 8192), ("invite_link", 384), ("join_approval_mode", 384)];
    for (name, bytes_max) in bounds {
        item[name] = json!("x".repeat(bytes_max + 1));
        let fault = failed(read(&group("group_lifecycle_update", &item)));
        let expected = format!("at most {bytes_max} bytes");
        assert!(fault.pointer.ends_with(name) && fault.expected.contains(&expected), "{fault:?}");
        item[name] = json!("x".repeat(bytes_max));
        record(read(&group("group_lifecycle_update", &item)));
    }
    for subject in [json!({ "text": "x".repeat(897) }), json!("x".repeat(897))] {
        let item = json!({ "type": "group_settings_update", "timestamp": "1767225600", "group_id": "G",
                           "group_subject": subject });
        let fault = failed(read(&group("group_settings_update", &item)));
        assert!(fault.pointer.contains("/group_subject") && fault.expected.contains("896"), "{fault:?}");
    }

    let joins = |people: usize| {
        let people = vec![json!({ "wa_id": "15550001111" }); people];
        read(&participants(&json!({ "type": "group_participants_add", "added_participants": people })))
    };
    record(joins(1024));
    let fault = failed(joins(1025));
    assert!(fault.pointer.ends_with("/added_participants") && fault.expected.contains("1024"), "{fault:?}");
}

/// Only a creation that failed has no group yet.
#[test]
fn a_group_event_without_its_group_fails() {
    let errors = json!([{"code": 1}]);
    for item in [json!({"type": "group_create"}), json!({"type": "group_delete", "errors": errors})] {
        let mut item = item;
        item["timestamp"] = json!("1767225600");
        let failed = failed(read(&webhook("group_lifecycle_update", &json!({"groups": [item]}))));
        assert_eq!((&*failed.cause, failed.pointer), ("missing_field", format!("{ITEM}/group_id")));
    }
}

#[test]
fn a_value_without_lists_lacks_that_of_its_field() {
    for (field, list) in [("messages", "messages"), ("group_status_update", "groups")] {
        let failed = failed(read(&webhook(field, &json!({}))));
        assert_eq!(failed.pointer, format!("/entry/0/changes/0/value/{list}"));
    }
}

#[test]
fn what_is_ignored_has_a_name() {
    assert_eq!(IgnoreCause::OneToOne.name(), "one_to_one");
    assert_eq!(IgnoreCause::OtherField.name(), "other_field");
}

#[test]
fn two_failed_creations_of_one_second_are_two_events() {
    let id = |subject: &str| {
        let item = json!({ "type": "group_create", "timestamp": "1767225600", "subject": subject, "errors": [{ "code": 1 }] });
        record(read(&webhook("group_lifecycle_update", &json!({ "groups": [item] })))).event_id
    };
    assert_ne!(id("Plants"), id("Trees"));
    assert_eq!(id("Plants"), id("Plants"));
    // Where a request or a group says which it is, what was asked for does not.
    let id = |more: Value, subject: &str| {
        let mut item = json!({ "type": "group_create", "subject": subject });
        item.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        record(read(&group("group_lifecycle_update", &item))).event_id
    };
    for more in [json!({}), json!({ "request_id": "r", "errors": [{ "code": 1 }] })] {
        assert_eq!(id(more.clone(), "Plants"), id(more, "Trees"));
    }
}
