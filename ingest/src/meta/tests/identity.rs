use super::*;

#[test]
fn an_event_id_survives_blanks_escapes_and_the_order_of_members() {
    let one = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"group_participants_update",
        "value":{"metadata":{"phone_number_id":"2"},"groups":[{"type":"group_participants_add","group_id":"a/b",
        "timestamp":"1767225600","added_participants":[{"wa_id":"1","username":"m"},{"wa_id":"2"}]}]}}]}]}"#;
    let other = r#"{ "entry" : [ { "changes" : [ { "value" : { "groups" : [ { "added_participants" :
        [ { "wa_id" : 2 }, { "username" : "@m", "wa_id" : "\u0031" } ], "timestamp" : 1767225600, "group_id" : "a\/b",
        "type" : "group_participants_add" } ], "metadata" : { "phone_number_id" : 2 } },
        "field" : "group_participant_update" } ], "id" : "1" } ], "object" : "whatsapp_business_account" }"#;
    let ids = [one, other].map(|body| record(adapt(body.as_bytes(), &delivery())).event_id);
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn account_errors_are_one_under_any_print() {
    let one = webhook("messages", &json!({"errors": [{"code": 1, "title": "t"}]}));
    let pretty = serde_json::to_string_pretty(&one).unwrap().replace("\"t\"", "\"\\u0074\"");
    let mut later = one.clone();
    later["entry"][0]["time"] = 1_767_225_600.into();
    let id = |body: &str| record(adapt(body.as_bytes(), &delivery())).event_id;
    assert_eq!(id(&one.to_string()), id(&pretty));
    assert_ne!(id(&one.to_string()), id(&later.to_string()));
}

/// Every way in which an event differs from its neighbour makes another id.
#[test]
fn other_events_have_other_ids() {
    let base = json!({"type": "group_participants_remove", "request_id": "r", "initiated_by": "business",
                      "removed_participants": [{"input": "1"}]});
    let mut bodies = vec![participants(&base)];
    for (name, value) in [
        ("timestamp", json!("1767225601")),
        ("group_id", json!("other")),
        ("request_id", json!("s")),
        ("removed_participants", json!([{"input": "2"}])),
        ("removed_participants", json!([{"wa_id": "1"}])),
        ("failed_participants", json!([{"input": "3"}])),
        ("errors", json!([{"code": 1}])),
    ] {
        let mut item = base.clone();
        item[name] = value;
        bodies.push(participants(&item));
    }
    let mut moved = participants(&base);
    moved["entry"][0]["id"] = "another account".into();
    bodies.push(moved);
    let mut moved = participants(&base);
    moved["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "another number".into();
    bodies.push(moved);
    for name in ["group_delete", "group_suspend", "group_suspend_cleared"] {
        bodies.push(participants(&json!({"type": name})));
    }
    for item in
        [json!({}), json!({"status": "read"}), json!({"recipient_participant_id": "1"}), json!({"id": "m"})]
    {
        bodies.push(status(&item));
    }
    let mut ids: Vec<_> = bodies.iter().map(|body| record(read(body)).event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), bodies.len());
}

#[test]
fn a_contact_beside_an_item_does_not_change_its_id() {
    let mut body = status(&json!({"recipient_participant_user_id": "US.1"}));
    let bare = record(read(&body)).event_id;
    body["entry"][0]["changes"][0]["value"]["contacts"] = json!([{"user_id": "US.1", "wa_id": "1"}]);
    assert_eq!(record(read(&body)).event_id, bare);
}

/// The recipe of ids is a contract: with another one, everything sent again would be new.
#[test]
fn golden_event_ids() {
    let id = |file: &str| record(vec![fixture(file).remove(0)]).event_id;
    for (file, golden) in GOLDEN {
        assert_eq!(id(file), golden, "{file}");
    }
}

const GOLDEN: [(&str, &str); 8] = [
    ("group_lifecycle_update-group_create-succeed", "ce277b21bc859b22f62949a9b900d485"),
    (
        "group_participants_update-group_participants_remove-by_business_partial_fail",
        "4ecb6e2c49617fa5d7b5d07aa85cc9e9",
    ),
    ("group_participants_update-group_join_request-created_or_revoked", "3ac63ce06a12fc8eea9a7e422e42b603"),
    ("group_settings_update-group_settings_update-partial_fail", "b740d5ce97d2e46a44da9f7ba8cdbc5a"),
    ("group_settings_update-group_settings_update-total_fail", "aff376f6d11657a0da9bf795e23517df"),
    ("messages-status_delivered-group_single", "486169c9ae4c62bced2c7d438bee276a"),
    ("messages-incoming_text-group_reference_example", "e63359bfa15aca905cab58e1c6cd0d6c"),
    ("messages-errors-top_level", "7c4628a94c675861d3d507f942cac448"),
];

#[test]
fn a_failure_read_again_comes_out_as_from_the_whole_body() {
    let bad = fixture("negative-unknown_group_type");
    let first = failed(bad.clone());
    assert_eq!(readapt(&first, &delivery()), bad, "what still fails is the same failure");
    // As if an adapter of the past had failed what this one can read.
    let good = record(fixture("messages-incoming_text-group_reference_example"));
    let past = FailedWebhook {
        account: good.account.clone(),
        phone_number_id: good.phone_number_id.clone(),
        display_phone_number: good.display_phone_number.clone(),
        field: good.field.clone(),
        item_pointer: good.pointer.clone(),
        raw: good.original_json.clone(),
        original_contacts: good.original_contacts.clone(),
        received_time_ms: good.received_time_ms,
        request_id: good.request_id.clone(),
        ..FailedWebhook::default()
    };
    assert_eq!(record(readapt(&past, &delivery())), Record { replayed: true, ..good });
}

#[test]
fn every_level_can_be_read_again() {
    let body = webhook(
        "group_status_update",
        &json!({"groups": [
        {"type": "group_suspend", "group_id": "g", "timestamp": 1_767_225_600}]}),
    );
    let whole = record(read(&body));
    let entry = &body["entry"][0];
    let change = &entry["changes"][0];
    for (pointer, raw) in [
        ("", &body),
        ("/entry/0", entry),
        ("/entry/0/changes/0", change),
        ("/entry/0/changes/0/value", &change["value"]),
        ("/entry/0/changes/0/value/groups/0", &change["value"]["groups"][0]),
    ] {
        let failed = FailedWebhook {
            account: ACCOUNT.into(),
            phone_number_id: PHONE.into(),
            field: "group_status_update".into(),
            item_pointer: pointer.into(),
            raw: raw.to_string().into_bytes().into(),
            ..FailedWebhook::default()
        };
        let again = record(readapt(&failed, &delivery()));
        assert_eq!(
            (again.event_id, again.pointer),
            (whole.event_id.clone(), whole.pointer.clone()),
            "{pointer}"
        );
    }
}

#[test]
fn an_account_error_read_again_has_the_id_that_its_entry_gives_it() {
    let body =
        webhook("messages", &json!({"errors": [{"code": 1, "title": "t", "message": "m"}, {"href": "x"}]}));
    let items = read(&body);
    let [Item::Event(good), Item::Failed(bad)] = &items[..] else { panic!("{items:?}") };
    let past = FailedWebhook {
        item_pointer: good.pointer.clone(),
        raw: good.original_json.clone(),
        ..FailedWebhook::clone(bad)
    };
    assert_eq!(record(readapt(&past, &delivery())).event_id, good.event_id);
    let elsewhere = FailedWebhook { entry_hash: "another entry".to_owned(), ..past };
    assert_ne!(record(readapt(&elsewhere, &delivery())).event_id, good.event_id);
}
