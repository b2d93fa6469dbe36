//! What the sources disagree on; each name states what is accepted.

use super::*;
use groupfold_schemas::v1::setting_value::Value::{Picture, Text};
use groupfold_schemas::v1::{
    ActorKind, EndReason, JoinRequestOutcome, JoinVia, Outcome, Participant, ReceiptScope, Setting,
    TimeQuality,
};

fn wa(id: &str) -> Participant {
    Participant { wa_id: Some(id.into()), ..Participant::default() }
}

#[test]
fn the_singular_field_is_the_plural_one() {
    let item = json!({"type": "group_participants_add", "added_participants": [{"wa_id": "1"}]});
    let (singular, plural) = (group("group_participant_update", &item), participants(&item));
    let (singular, plural) = (record(read(&singular)), record(read(&plural)));
    assert_eq!(singular.field, "group_participants_update");
    assert_eq!(singular.event_id, plural.event_id);
}

#[test]
fn both_orders_of_words_in_a_type_are_one_type() {
    for (list, spellings) in [
        ("added_participants", ["group_participants_add", "group_add_participants"]),
        ("removed_participants", ["group_participants_remove", "group_remove_participants"]),
    ] {
        let ids = spellings
            .map(|t| record(read(&participants(&json!({"type": t, list: [{"wa_id": "1"}]})))).event_id);
        assert_eq!(ids[0], ids[1]);
    }
}

#[test]
fn a_removal_printed_as_group_create_is_a_removal() {
    let item = json!({"type": "group_create", "request_id": "784D93D0C468593037EA0B1ECA245D9C",
                      "removed_participants": [{"input": 16_505_551_234_u64, "wa_id": 16_505_551_234_u64}]});
    let event = event!(ParticipantsEnded, read(&participants(&item)));
    assert_eq!(event.reason(), EndReason::Removed);
    assert_eq!(event.ended[0].input.as_deref(), Some("16505551234"));
}

#[test]
fn a_creation_may_list_participants() {
    let item = json!({"type": "group_create", "request_id": "1", "subject": "s",
                      "added_participants": [{"input": 1, "wa_id": 2}]});
    let event = event!(GroupCreated, read(&group("group_lifecycle_update", &item)));
    assert_eq!(event.participants.len(), 1);
    // Where it is reported for a change of participants, too.
    let event = event!(GroupCreated, read(&participants(&item)));
    assert_eq!(event.participants.len(), 1);
}

#[test]
fn numbers_and_texts_are_one_without_loss_of_digits() {
    let ids: Vec<_> = [r#""12345678901234567890123""#, "12345678901234567890123"]
        .map(|wa_id| {
            let body = participants(&json!({"type": "group_participants_add", "timestamp": 1_767_225_600,
                                            "added_participants": [{"wa_id": "WA"}]}));
            let body = body.to_string().replace("\"WA\"", wa_id);
            let record = record(adapt(body.as_bytes(), &delivery()));
            assert_eq!(record.provider_time_ms, 1_767_225_600_000);
            record.event_id
        })
        .into();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn times_in_milliseconds_are_taken_as_such() {
    let item = json!({"type": "group_suspend", "timestamp": 1_767_225_600_123_u64});
    assert_eq!(record(read(&group("group_status_update", &item))).provider_time_ms, 1_767_225_600_123);
}

#[test]
fn error_codes_are_texts_or_numbers() {
    for code in [json!(131_201), json!("131201"), json!("ERROR_CODE")] {
        let item = json!({"type": "group_delete", "request_id": "1", "errors": [{"code": code}]});
        let event = event!(GroupDeleteFailed, read(&group("group_lifecycle_update", &item)));
        assert_eq!(event.errors[0].code, code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    }
}

#[test]
fn an_empty_list_of_errors_is_no_failure() {
    let item = json!({"type": "group_delete", "request_id": "1", "errors": []});
    event!(GroupDeleted, read(&group("group_lifecycle_update", &item)));
}

#[test]
fn an_empty_wa_id_is_a_missing_one() {
    let item =
        json!({"type": "group_participants_add", "added_participants": [{"wa_id": "", "user_id": "US.1"}]});
    let event = event!(ParticipantsJoined, read(&participants(&item)));
    assert_eq!(event.participants[0], Participant { user_id: Some("US.1".into()), ..Participant::default() });
}

#[test]
fn a_username_has_no_at_sign() {
    for username in ["maria.silva", "@maria.silva"] {
        let item = json!({"type": "group_participants_add", "added_participants": [{"username": username}]});
        let event = event!(ParticipantsJoined, read(&participants(&item)));
        assert_eq!(event.participants[0].username.as_deref(), Some("maria.silva"));
    }
}

#[test]
fn who_ended_a_membership_is_told_or_derived() {
    let cases = [
        (json!({"initiated_by": "participant", "request_id": "1"}), json!({"wa_id": "1"}), EndReason::Left),
        (json!({"initiated_by": "business"}), json!({"wa_id": "1"}), EndReason::Removed),
        (json!({"initiated_by": "someone"}), json!({"wa_id": "1"}), EndReason::Unknown),
        (json!({}), json!({"wa_id": "1"}), EndReason::Left),
        (json!({}), json!({"user_id": "US.1"}), EndReason::Left),
        (json!({}), json!({"input": "+1"}), EndReason::Removed),
        (json!({"request_id": "1"}), json!({"wa_id": "1"}), EndReason::Removed),
    ];
    for (mut item, person, reason) in cases {
        item["type"] = "group_participants_remove".into();
        item["removed_participants"] = json!([person]);
        let record = record(read(&participants(&item)));
        let actor = record.actor.as_ref().map(|actor| (actor.kind(), actor.participant.is_some()));
        let expected = match reason {
            EndReason::Left => Some((ActorKind::Participant, true)),
            EndReason::Removed => Some((ActorKind::Business, false)),
            EndReason::Unknown => None,
        };
        assert_eq!(actor, expected, "{item}");
        let event = event!(ParticipantsEnded, vec![Item::Event(Box::new(record))]);
        assert_eq!(event.reason(), reason, "{item}");
    }
}

#[test]
fn a_reason_of_a_join_is_kept_and_only_read_where_it_is_known() {
    for (reason, via) in [
        (json!("admin_approval"), JoinVia::JoinRequest),
        (json!("invite_link"), JoinVia::InviteLink),
        (json!("something_new"), JoinVia::Unknown),
        (json!(null), JoinVia::Unknown),
    ] {
        let item = json!({"type": "group_participants_add", "reason": reason, "added_participants": [{"wa_id": "1"}]});
        let event = event!(ParticipantsJoined, read(&participants(&item)));
        assert_eq!((event.via(), event.reason.as_deref()), (via, reason.as_str()));
    }
}

#[test]
fn a_join_request_names_its_person_at_the_top() {
    let item = json!({"type": "group_join_request_revoked", "join_request_id": "j", "user_id": "US.1", "username": "@m"});
    let event = event!(JoinRequestClosed, read(&participants(&item)));
    assert_eq!(event.outcome(), JoinRequestOutcome::Revoked);
    assert_eq!(event.participant.unwrap().username.as_deref(), Some("m"));
    assert_eq!(event.join_request_id.as_deref(), Some("j"));
}

#[test]
fn a_setting_without_its_flag_is_unknown_and_with_errors_failed() {
    let item = json!({"type": "group_settings_update", "request_id": "1",
        "profile_picture": {"mime_type": "image/jpeg", "sha256": "x"},
        "subject": {"text": "s", "update_successful": "true"},
        "description": {"text": "", "errors": [{"code": 1}]}});
    let event = event!(SettingsUpdated, read(&group("group_settings_update", &item)));
    let outcomes: Vec<_> = event.changes.iter().map(|c| (c.setting(), c.outcome())).collect();
    let expected = [
        (Setting::Subject, Outcome::Succeeded),
        (Setting::Description, Outcome::Failed),
        (Setting::Picture, Outcome::Unknown),
    ];
    assert_eq!(outcomes, expected);
    let picture = v1::Picture { mime_type: Some("image/jpeg".into()), sha256: Some("x".into()) };
    let values = [Some(Text("s".into())), Some(Text(String::new())), Some(Picture(picture))];
    assert_eq!(
        event.changes.iter().map(|c| c.new.clone().and_then(|new| new.value)).collect::<Vec<_>>(),
        values
    );
    // A picture of which nothing is told but that it failed.
    let item = json!({"type": "group_settings_update", "profile_picture": {"errors": [{"code": 1}]}});
    let event = event!(SettingsUpdated, read(&group("group_settings_update", &item)));
    assert_eq!((event.changes[0].outcome(), &event.changes[0].new), (Outcome::Failed, &None));
    let item = json!({"type": "group_settings_update", "group_subject": {"text": "s", "update_successful": "perhaps"}});
    let event = event!(SettingsUpdated, read(&group("group_settings_update", &item)));
    assert_eq!(event.changes[0].outcome(), Outcome::Unknown);
}

#[test]
fn a_subject_may_be_a_bare_text() {
    let item = json!({"type": "group_settings_update", "subject": "s"});
    let event = event!(SettingsUpdated, read(&group("group_settings_update", &item)));
    assert_eq!(
        (event.changes[0].setting(), event.changes[0].outcome()),
        (Setting::Subject, Outcome::Unknown)
    );
    assert_eq!(event.changes[0].new.clone().and_then(|new| new.value), Some(Text("s".into())));
}

#[test]
fn both_spellings_of_the_recipient_are_read() {
    let spellings = [json!({"recipient_participant_id": "1"}), json!({"participant_recipient_id": "1"})];
    let both = json!({"recipient_participant_id": "1", "participant_recipient_id": "1"});
    for item in spellings.into_iter().chain([both]) {
        let receipt = event!(Receipt, read(&status(&item)));
        assert_eq!((receipt.scope(), receipt.participant), (ReceiptScope::Participant, Some(wa("1"))));
    }
}

#[test]
fn a_receipt_may_name_user_ids_alone() {
    let item = json!({"recipient_participant_id": "", "recipient_participant_user_id": "US.1",
                      "recipient_participant_parent_user_id": "US.ENT.1"});
    let person = event!(Receipt, read(&status(&item))).participant.unwrap();
    assert_eq!((person.wa_id, person.user_id.as_deref()), (None, Some("US.1")));
    assert_eq!(person.parent_user_id.as_deref(), Some("US.ENT.1"));
}

#[test]
fn the_group_of_a_receipt_may_stand_beside_the_phone() {
    let record =
        record(read(&status(&json!({"group_id": GROUP, "recipient_id": "1", "recipient_type": null}))));
    assert_eq!(record.group_id, GROUP);
    let receipt = event!(Receipt, read(&status(&json!({"group_id": GROUP, "recipient_id": "1"}))));
    assert_eq!(receipt.participant, Some(wa("1")));
    let both = json!({"group_id": GROUP, "recipient_id": "1", "recipient_participant_id": "2"});
    assert_eq!(event!(Receipt, read(&status(&both))).participant, Some(wa("2")));
    let receipt = event!(Receipt, read(&status(&json!({"group_id": GROUP}))));
    assert_eq!((receipt.scope(), receipt.participant), (ReceiptScope::Aggregate, None));
}

#[test]
fn a_receipt_with_a_participant_is_one_of_a_group_without_saying_so() {
    for name in ["recipient_participant_id", "participant_recipient_id", "recipient_participant_user_id"] {
        let record = record(read(&status(&json!({"recipient_type": null, name: "1"}))));
        assert_eq!(record.group_id, GROUP, "{name}");
    }
    // Not to say to whom.
    assert!(matches!(one(read(&status(&json!({"recipient_type": null})))), Item::Ignored(_)));
}

#[test]
fn pricing_is_read_nested_or_not_and_flags_as_texts() {
    let pricing = json!({"billable": "true", "pricing_model": "PMP", "category": "group_utility"});
    let beside = event!(Receipt, read(&status(&json!({"pricing": pricing}))));
    let nested = event!(Receipt, read(&status(&json!({"conversation": {"id": "c", "pricing": pricing}}))));
    assert_eq!(beside.pricing, nested.pricing);
    assert_eq!(beside.pricing.unwrap().billable, Some(true));
    let unknown = event!(Receipt, read(&status(&json!({"pricing": {"billable": "<IS_BILLABLE?>"}}))));
    assert_eq!(unknown.pricing.unwrap().billable, None);
}

#[test]
fn contacts_are_joined_by_name_and_never_by_place() {
    let statuses = json!([
        {"id": "m", "status": "read", "timestamp": "1767225600", "recipient_id": GROUP, "recipient_type": "group",
         "recipient_participant_user_id": "US.2"},
        {"id": "m", "status": "read", "timestamp": "1767225600", "recipient_id": GROUP, "recipient_type": "group",
         "recipient_participant_id": "1"}]);
    let contacts = json!([
        {"wa_id": "1", "user_id": "US.1", "profile": {"name": "One", "username": "@one"}},
        {"profile": "broken"},
        {"wa_id": "2", "user_id": "US.2", "profile": {"name": "Two"}}]);
    let items = read(&webhook("messages", &json!({"statuses": statuses, "contacts": contacts})));
    let people: Vec<_> = items
        .into_iter()
        .map(|item| {
            let record = record(vec![item]);
            assert_eq!(record.original_contacts.len(), 1);
            let Some(Kind::Receipt(receipt)) = record.event.unwrap().kind else { panic!() };
            receipt.participant.unwrap()
        })
        .collect();
    assert_eq!((people[0].wa_id.as_deref(), people[0].display_name.as_deref()), (Some("2"), Some("Two")));
    assert_eq!((people[1].user_id.as_deref(), people[1].username.as_deref()), (Some("US.1"), Some("one")));
}

#[test]
fn a_sender_may_be_named_by_user_id_or_by_the_only_contact() {
    let message = |from: Value, contacts: Value| {
        let mut message = json!({"id": "m", "timestamp": "1767225600", "type": "text", "group_id": GROUP});
        message.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
        read(&webhook("messages", &json!({"messages": [message], "contacts": contacts})))
    };
    let by_id = event!(
        MessageReceived,
        message(json!({"from_user_id": "US.1", "from_parent_user_id": "P"}), json!([]))
    );
    assert_eq!(by_id.from.unwrap().parent_user_id.as_deref(), Some("P"));
    let only = json!([{"user_id": "US.1"}]);
    let by_contact = event!(MessageReceived, message(json!({}), only.clone()));
    assert_eq!(by_contact.from.unwrap().user_id.as_deref(), Some("US.1"));
    let two = json!([{"user_id": "US.1"}, {"user_id": "US.2"}]);
    assert_eq!(failed(message(json!({}), two)).pointer, "/entry/0/changes/0/value/messages/0/from");
}

#[test]
fn both_codes_of_unsupported_are_unsupported() {
    for (kind, code) in [("unsupported", 130_501), ("unsupported", 131_051), ("text", 131_051)] {
        let message = json!({"id": "m", "timestamp": "1767225600", "from": "1", "group_id": GROUP, "type": kind,
                             "errors": [{"code": code}], "unsupported": {"type": "edit"}});
        let event = event!(MessageUnsupported, read(&webhook("messages", &json!({"messages": [message]}))));
        assert_eq!(event.r#type.as_deref(), Some("edit"));
    }
}

fn system(message: &Value) -> Vec<Item> {
    let mut all = json!({"id": "m", "timestamp": "1767225600", "type": "system"});
    all.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
    read(&webhook("messages", &json!({"messages": [all]})))
}

#[test]
fn a_changed_user_id_keeps_the_number() {
    let inner = json!({"type": "user_changed_user_id", "user_id": "US.2", "previous_user_id": "US.1",
                       "parent_user_id": "P.2", "previous_parent_user_id": "P.1"});
    let event = event!(IdentityChanged, system(&json!({"from": "1", "system": inner})));
    let (previous, current) = (event.previous.unwrap(), event.current.unwrap());
    assert_eq!((previous.wa_id, previous.user_id.as_deref()), (None, Some("US.1")));
    assert_eq!((current.wa_id.as_deref(), current.user_id.as_deref()), (Some("1"), Some("US.2")));
    let parents = (previous.parent_user_id.as_deref(), current.parent_user_id.as_deref());
    assert_eq!(parents, (Some("P.1"), Some("P.2")));
    let old = json!({"type": "user_changed_user_id", "user_id": "US.2", "body": "from US.1 to US.2"});
    let event = event!(IdentityChanged, system(&json!({"from": "1", "system": old})));
    assert_eq!(event.previous.unwrap().wa_id.as_deref(), Some("1"));
    assert_eq!((event.message_id.as_deref(), event.body.as_deref()), (Some("m"), Some("from US.1 to US.2")));
}

#[test]
fn notices_about_one_to_one_chats_are_ignored() {
    let items = system(
        &json!({"from": "1", "system": {"type": "customer_identity_changed"}, "identity": {"hash": "x"}}),
    );
    assert_eq!(items, [Item::Ignored(IgnoreCause::OneToOne)]);
    // An older print says so by what stands beside alone; one that says nothing is no notice.
    let older = json!({"from": "1", "identity": {"hash": "x"}});
    assert_eq!(system(&older), [Item::Ignored(IgnoreCause::OneToOne)]);
    assert!(failed(system(&json!({}))).pointer.ends_with("/messages/0/system"));
}

#[test]
fn a_name_with_escapes_is_the_name_that_it_says() {
    let text = group("group_status_update", &json!({"type": "group_suspend", "x": 1})).to_string();
    for (from, to) in [(r#""type""#, r#""\u0074ype""#), (r#""x""#, r#""\u0078""#)] {
        let escaped = text.replace(from, to);
        assert_ne!(escaped, text);
        assert_eq!(
            record(adapt(escaped.as_bytes(), &delivery())).event_id,
            record(adapt(text.as_bytes(), &delivery())).event_id
        );
    }
}

#[test]
fn account_errors_take_the_time_of_their_entry() {
    let mut body = webhook("messages", &json!({"errors": [{"code": 1}, {"code": "1"}]}));
    let received = read(&body);
    assert_eq!(received.len(), 2);
    assert_eq!(record(vec![received[0].clone()]).time_quality(), TimeQuality::Received);
    body["entry"][0]["time"] = 1_767_225_601.into();
    let record = record(vec![read(&body).remove(0)]);
    assert_eq!((record.time_quality(), record.provider_time_ms), (TimeQuality::Envelope, 1_767_225_601_000));
}

#[test]
fn a_removal_that_fails_as_a_whole_may_name_nobody() {
    let item = json!({"type": "group_participants_remove", "request_id": "1", "errors": [{"code": 131_207}]});
    let event = event!(ParticipantsEnded, read(&participants(&item)));
    assert_eq!((event.reason(), event.ended.len(), event.failed.len()), (EndReason::Removed, 0, 0));
    assert_eq!(event.errors[0].code, "131207");
    let nothing = json!({"type": "group_participants_remove", "request_id": "1"});
    assert_eq!(failed(read(&participants(&nothing))).cause, "missing_field");
}

#[test]
fn nobody_is_said_to_have_suspended_a_group() {
    let item = json!({"type": "group_suspend", "request_id": "1"});
    assert_eq!(record(read(&group("group_status_update", &item))).actor, None);
}

#[test]
fn a_receipt_counts_whatever_stands_beside_it() {
    for beside in [
        json!({"conversation": {"id": "c", "expiration_timestamp": 0, "origin": "utility"}}),
        json!({"conversation": []}),
        json!({"pricing": []}),
        json!({"pricing": {"category": {}}}),
        json!({"status": "failed", "errors": [{"code": 131_026, "error_data": "not on WhatsApp"}]}),
    ] {
        let receipt = event!(Receipt, read(&status(&beside)));
        if let Some(error) = receipt.errors.first() {
            assert_eq!(error.details, "not on WhatsApp");
        }
    }
}

#[test]
fn a_recipient_of_more_digits_than_a_phone_number_has_is_a_group() {
    let item = json!({"recipient_type": null, "recipient_id": "120363404694233820", "recipient_participant_id": "1"});
    assert_eq!(record(read(&status(&item))).group_id, "120363404694233820");
}
