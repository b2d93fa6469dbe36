//! What is outside groups, and what only lacks its group.

use super::*;

fn messages(message: &Value, contacts: &Value) -> Value {
    webhook("messages", &json!({"messages": [message], "contacts": contacts}))
}

fn statuses(status: &Value, contacts: &Value) -> Value {
    webhook("messages", &json!({"statuses": [status], "contacts": contacts}))
}

/// One with these members in place of, or beside, what every message has.
fn message(more: &Value) -> Value {
    with(json!({"from": "15550001111", "id": "wamid.A", "timestamp": "1767225600", "type": "text"}), more)
}

fn status(more: &Value) -> Value {
    let all =
        json!({"id": "wamid.A", "status": "sent", "timestamp": "1767225600", "recipient_id": "15550001111"});
    with(all, more)
}

/// `null` takes a member out.
fn with(mut item: Value, more: &Value) -> Value {
    let members = item.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    item
}

fn ignored(body: &Value) {
    assert_eq!(read(body), [Item::Ignored(IgnoreCause::OneToOne)], "{body}");
}

#[test]
fn one_to_one_messages_of_all_kinds_are_ignored() {
    for more in [
        json!({"text": {"body": "hello"}}),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.B", "emoji": "👍"}}),
        json!({"type": "order", "order": {"catalog_id": "1"}, "context": {"from": "1", "id": "wamid.B"}}),
        json!({"type": "unsupported", "errors": [{"code": 131_051, "title": "Message type unknown"}]}),
        json!({"type": "unknown", "errors": "whatever stands there"}),
        json!({"type": "of_next_year", "of_next_year": []}),
        json!({"type": "system", "system": {"type": "customer_identity_changed", "body": "b"}}),
        json!({"type": "system", "identity": {"hash": "x"}}),
        json!({"timestamp": 1_767_225_600}),
        json!({"from": 15_550_001_111_u64}),
        json!({"from": null, "from_user_id": "US.13491208655302741918"}),
        json!({"from": "", "from_user_id": "US.13491208655302741918"}),
        json!({"from": null, "from_parent_user_id": "US.ENT.1"}),
    ] {
        ignored(&messages(&message(&more), &json!([])));
    }
    let contact = json!([{"user_id": "US.1", "profile": {"name": "Ana", "username": "@ana"}}]);
    ignored(&messages(&message(&json!({"from": ""})), &contact));
    let reference = fixture("messages-incoming_unsupported-individual_reference");
    assert_eq!(reference, [Item::Ignored(IgnoreCause::OneToOne)]);
}

#[test]
fn one_to_one_statuses_of_all_kinds_are_ignored() {
    for more in [
        json!({}),
        json!({"status": "failed", "errors": [{"code": 131_026, "title": "Message undeliverable"}]}),
        json!({"status": "read", "conversation": {"id": "c"}, "pricing": {"category": "utility"}}),
        json!({"status": "of_next_year"}),
        json!({"status": "captured", "type": "payment", "payment": {"reference_id": "1"}}),
        json!({"recipient_type": "individual"}),
        json!({"recipient_id": null, "recipient_user_id": "US.13491208655302741918"}),
        json!({"recipient_id": "", "recipient_user_id": "US.13491208655302741918"}),
        json!({"recipient_id": null, "recipient_parent_user_id": "US.ENT.1"}),
    ] {
        ignored(&statuses(&status(&more), &json!([])));
    }
    ignored(&statuses(&status(&json!({"recipient_id": ""})), &json!([{"user_id": "US.1"}])));
}

/// They were ignored, and nothing of them kept.
#[test]
fn an_item_without_a_group_that_is_no_one_to_one_item_either_fails_with_its_raw_bytes() {
    let two = json!([{"user_id": "US.1"}, {"user_id": "US.2"}]);
    let nobody = json!([]);
    for (item, contacts, cause, member) in [
        (json!({"bad": 1}), &nobody, "missing_field", "/id"),
        (json!({"id": "zz"}), &nobody, "missing_field", "/timestamp"),
        (message(&json!({"id": null})), &nobody, "missing_field", "/id"),
        (message(&json!({"timestamp": null})), &nobody, "missing_field", "/timestamp"),
        (message(&json!({"timestamp": "soon"})), &nobody, "malformed_field", "/timestamp"),
        (message(&json!({"type": null})), &nobody, "missing_field", "/type"),
        (message(&json!({"type": {}})), &nobody, "malformed_field", "/type"),
        (message(&json!({"from": null})), &nobody, "missing_field", "/from"),
        (message(&json!({"from": null})), &two, "missing_field", "/from"),
        (message(&json!({"from": ["1"]})), &nobody, "malformed_field", "/from"),
    ] {
        fails(&messages(&item, contacts), &item, cause, &format!("messages/0{member}"));
    }
    for (item, contacts, cause, member) in [
        (json!({"bad": 1}), &nobody, "missing_field", "/id"),
        (json!({"id": "zz"}), &nobody, "missing_field", "/timestamp"),
        (status(&json!({"id": null})), &nobody, "missing_field", "/id"),
        (status(&json!({"timestamp": true})), &nobody, "malformed_field", "/timestamp"),
        (status(&json!({"status": null})), &nobody, "missing_field", "/status"),
        (status(&json!({"recipient_id": null})), &nobody, "missing_field", "/recipient_id"),
        (status(&json!({"recipient_id": null})), &two, "missing_field", "/recipient_id"),
        (status(&json!({"recipient_id": {}})), &nobody, "malformed_field", "/recipient_id"),
    ] {
        fails(&statuses(&item, contacts), &item, cause, &format!("statuses/0{member}"));
    }
}

/// They were taken for one-to-one.
#[test]
fn an_item_whose_group_is_empty_lost_its_group_and_fails() {
    let contact = json!([{"user_id": "US.1"}]);
    for more in [json!({"group_id": ""}), json!({"group_id": "", "type": "unsupported"})] {
        let item = message(&more);
        fails(&messages(&item, &contact), &item, "missing_field", "messages/0/group_id");
    }
    let item = status(&json!({"group_id": ""}));
    fails(&statuses(&item, &contact), &item, "missing_field", "statuses/0/group_id");
    // `null` stands for no member, and the group in another one counts.
    let (mut of_one, mut to_one) = (message(&json!({})), status(&json!({})));
    (of_one["group_id"], to_one["group_id"]) = (Value::Null, Value::Null);
    ignored(&messages(&of_one, &contact));
    ignored(&statuses(&to_one, &contact));
    let item = status(&json!({"group_id": "", "recipient_type": "group", "recipient_id": GROUP}));
    assert_eq!(record(read(&statuses(&item, &contact))).group_id, GROUP);
}

/// They were taken for one-to-one, by the participant's own name, and nothing of them was kept.
#[test]
fn a_status_of_a_participant_that_lost_its_group_fails_whoever_is_named() {
    let names = [
        "recipient_participant_id",
        "participant_recipient_id",
        "recipient_participant_user_id",
        "recipient_participant_parent_user_id",
        "recipient_participant_username",
    ];
    for (name, contacts) in
        names.into_iter().flat_map(|name| [(name, json!([])), (name, json!([{"user_id": "US.1"}]))])
    {
        for more in [
            json!({"recipient_id": null, name: "15550001111"}),
            json!({"recipient_id": "", name: "15550001111"}),
            json!({"recipient_id": null, "recipient_user_id": "US.1", name: "15550001111"}),
            json!({"recipient_id": null, name: ""}),
            // The form of Meta's OpenAPI, where the group would stand in a member of its own.
            json!({name: "15550001111"}),
            json!({"group_id": null, name: "15550001111"}),
            json!({"group_id": "", name: "15550001111"}),
            // It says two things, so it is neither.
            json!({"recipient_type": "individual", name: "15550001111"}),
        ] {
            let item = status(&more);
            fails(&statuses(&item, &contacts), &item, "missing_field", "statuses/0/recipient_id");
        }
    }
}

fn fails(body: &Value, item: &Value, cause: &str, pointer: &str) {
    let failed = failed(read(body));
    let pointer = format!("/entry/0/changes/0/value/{pointer}");
    assert_eq!((&*failed.cause, &failed.pointer), (cause, &pointer), "{item}");
    assert_eq!(failed.raw, item.to_string());
    // Whether those are ignored makes no difference to it.
    let kept = Delivery { ignore_one_to_one: false, ..delivery() };
    assert_eq!(adapt(body.to_string().as_bytes(), &kept), [Item::Failed(Box::new(failed))]);
}

#[test]
fn one_to_one_items_are_kept_where_ignoring_them_is_switched_off() {
    let kept = Delivery { ignore_one_to_one: false, ..delivery() };
    for body in [messages(&message(&json!({})), &json!([])), statuses(&status(&json!({})), &json!([]))] {
        let failed = failed(adapt(body.to_string().as_bytes(), &kept));
        assert_eq!(failed.cause, "unknown_type");
        assert!(failed.expected.contains("one-to-one"));
    }
}
