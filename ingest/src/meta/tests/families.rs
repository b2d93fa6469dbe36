use super::*;
use groupfold_schemas::v1::{
    ActorKind, EndReason, Evidence, IdentityChangeKind, JoinVia, Outcome, ReceiptScope, ReceiptStatus,
    Setting, TimeQuality, setting_value,
};

/// Every file with the kinds that it must give, in order.
const FAMILIES: [(&str, &[&str]); 38] = [
    ("group_lifecycle_update-group_create-succeed", &["group_created"]),
    ("group_lifecycle_update-group_create-fail", &["group_create_failed"]),
    ("group_lifecycle_update-group_create-fail_without_group_id", &["group_create_failed"]),
    ("group_lifecycle_update-group_delete-succeed", &["group_deleted"]),
    ("group_lifecycle_update-group_delete-fail", &["group_delete_failed"]),
    ("group_participants_update-group_participants_add-invite_link", &["participants_joined"]),
    ("group_participants_update-group_participants_add-join_request_approved", &["participants_joined"]),
    ("group_participants_update-group_participants_add-username_only", &["participants_joined"]),
    ("group_participants_update-group_participants_remove-by_business_succeed", &["participants_removed"]),
    (
        "group_participants_update-group_participants_remove-by_business_partial_fail",
        &["participants_removed"],
    ),
    (
        "group_participants_update-group_participants_remove-by_business_total_fail",
        &["participants_remove_failed"],
    ),
    ("group_participants_update-group_participants_remove-participant_leaves", &["participants_left"]),
    ("group_participants_update-group_join_request-created_or_revoked", &["join_requested"]),
    ("group_settings_update-group_settings_update-succeed", &["settings_updated"]),
    ("group_settings_update-group_settings_update-partial_fail", &["settings_updated"]),
    ("group_settings_update-group_settings_update-total_fail", &["settings_updated"]),
    ("group_settings_update-subject_only-succeed", &["settings_updated"]),
    ("group_status_update-group_suspend", &["group_suspended"]),
    ("group_status_update-group_suspend_cleared", &["group_unsuspended"]),
    ("messages-errors-top_level", &["account_error"]),
    ("messages-incoming_text-group", &["message_received"]),
    ("messages-incoming_text-group_reference_example", &["message_received"]),
    ("messages-incoming_text-group_reference_syntax", &["message_received"]),
    ("messages-incoming_unsupported-group", &["message_unsupported"]),
    ("messages-incoming_unsupported-individual_reference", &["ignored"]),
    ("messages-status_any-reference_syntax", &["receipt_delivered"]),
    ("messages-status_delivered-group_aggregated_2025-12", &["receipt_delivered"; 2]),
    ("messages-status_delivered-group_multi_message_single_participant", &["receipt_delivered"; 2]),
    ("messages-status_delivered-group_single", &["receipt_delivered"]),
    ("messages-status_failed-group", &["receipt_failed"]),
    ("messages-status_read-group_eight_participants", &["receipt_read"; 8]),
    ("messages-status_read-group_multi_participant_single_message", &["receipt_read"; 2]),
    ("messages-status_read-group_with_pricing", &["receipt_read"]),
    ("messages-status_read-group_without_pricing", &["receipt_read"]),
    ("messages-status_sent-group", &["receipt_sent"]),
    ("messages-status_sent-group_v24", &["receipt_sent"]),
    ("messages-system-user_changed_number", &["identity_changed"]),
    ("messages-system-user_changed_number_2026-08", &["identity_changed"]),
];

fn name(item: &Item) -> &'static str {
    match item {
        Item::Event(record) => record.kind().unwrap().name(),
        Item::Failed(_) => "failed",
        Item::Ignored(_) => "ignored",
    }
}

#[test]
fn every_fixture_gives_its_events() {
    for (file, kinds) in FAMILIES {
        let items = fixture(file);
        assert_eq!(items.iter().map(name).collect::<Vec<_>>(), kinds, "{file}: {items:?}");
    }
    let folder = format!("{}/../tests/fixtures/meta", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    for file in files.filter(|f| f.starts_with("group_") || f.starts_with("messages-")) {
        assert!(FAMILIES.iter().any(|(name, _)| format!("{name}.json") == file), "{file} is not tested");
    }
}

#[test]
fn a_record_tells_everything_around_the_event() {
    let record = record(fixture("group_lifecycle_update-group_create-succeed"));
    assert_eq!(record.account, ACCOUNT);
    assert_eq!(record.phone_number_id, PHONE);
    assert_eq!(record.display_phone_number, "15550783881");
    assert_eq!(record.group_id, GROUP);
    assert_eq!(record.provider_time_ms, 1_767_225_600_000);
    assert_eq!(record.time_quality(), TimeQuality::Provider);
    assert_eq!(record.received_time_ms, delivery().received_time_ms);
    assert_eq!(record.request_id, delivery().request_id);
    assert_eq!(record.provider_request_id.as_deref(), Some("6f1c2d3e-4a5b-4c6d-8e7f-9a0b1c2d3e4f"));
    assert_eq!(record.actor.as_ref().unwrap().kind(), ActorKind::Business);
    assert_eq!(record.evidence(), Evidence::Webhook);
    assert_eq!(record.field, "group_lifecycle_update");
    assert_eq!(record.pointer, "/entry/0/changes/0/value/groups/0");
    assert!(!record.replayed);
    let original: Value = serde_json::from_slice(&record.original_json).unwrap();
    assert_eq!(original["subject"], "test invite link");
    let event = event!(GroupCreated, fixture("group_lifecycle_update-group_create-succeed"));
    assert_eq!(event.subject.as_deref(), Some("test invite link"));
    assert_eq!(event.invite_link.as_deref(), Some("https://chat.whatsapp.com/AbCdEf123"));
    assert_eq!(event.join_approval_mode.as_deref(), Some("auto_approve"));
}

#[test]
fn a_failed_create_needs_no_group() {
    let record = record(fixture("group_lifecycle_update-group_create-fail_without_group_id"));
    assert_eq!(record.group_id, "");
    let event =
        event!(GroupCreateFailed, fixture("group_lifecycle_update-group_create-fail_without_group_id"));
    assert_eq!(event.errors[0].code, "131211");
    assert!(event.errors[0].details.starts_with("Reached the limit"));
}

#[test]
fn joins_by_link_and_by_request_are_told_apart() {
    let file = "group_participants_update-group_participants_add-invite_link";
    let by_link = event!(ParticipantsJoined, fixture(file));
    assert_eq!(by_link.via(), JoinVia::InviteLink);
    assert_eq!(
        record(fixture(file)).actor.unwrap().participant.unwrap().wa_id.as_deref(),
        Some("16505551234")
    );
    let file = "group_participants_update-group_participants_add-join_request_approved";
    assert_eq!(event!(ParticipantsJoined, fixture(file)).via(), JoinVia::JoinRequest);
    assert_eq!(record(fixture(file)).actor, None);
}

#[test]
fn a_removal_may_succeed_fail_in_part_and_fail() {
    let base = "group_participants_update-group_participants_remove-";
    let ended = |file: &str| event!(ParticipantsEnded, fixture(&format!("{base}{file}")));
    let ok = ended("by_business_succeed");
    assert_eq!((ok.reason(), ok.ended.len(), ok.failed.len()), (EndReason::Removed, 2, 0));
    let partial = ended("by_business_partial_fail");
    assert_eq!((partial.ended.len(), partial.failed.len(), partial.errors.len()), (1, 1, 1));
    assert_eq!(partial.failed[0].errors[0].code, "131201");
    let total = ended("by_business_total_fail");
    assert_eq!((total.ended.len(), total.failed.len(), total.errors.len()), (0, 2, 1));
    let left = ended("participant_leaves");
    assert_eq!((left.reason(), left.ended.len()), (EndReason::Left, 1));
}

#[test]
fn settings_have_outcomes_of_their_own() {
    let event = event!(SettingsUpdated, fixture("group_settings_update-group_settings_update-partial_fail"));
    let outcomes: Vec<_> = event.changes.iter().map(|c| (c.setting(), c.outcome())).collect();
    assert_eq!(
        outcomes,
        [
            (Setting::Subject, Outcome::Failed),
            (Setting::Description, Outcome::Failed),
            (Setting::Picture, Outcome::Succeeded)
        ]
    );
    let asked = event.changes[0].new.clone().unwrap().value.unwrap();
    assert_eq!(asked, setting_value::Value::Text("Test Subject".into()));
    assert_eq!((event.changes[0].errors.len(), event.errors.len()), (1, 1));
}

#[test]
fn each_status_of_a_receipt_is_read() {
    for (text, expected) in [
        ("sent", ReceiptStatus::Sent),
        ("delivered", ReceiptStatus::Delivered),
        ("read", ReceiptStatus::Read),
        ("played", ReceiptStatus::Played),
        ("failed", ReceiptStatus::Failed),
    ] {
        assert_eq!(event!(Receipt, read(&status(&json!({ "status": text })))).status(), expected);
    }
}

#[test]
fn a_sent_receipt_speaks_for_the_message() {
    let receipt = event!(Receipt, fixture("messages-status_sent-group_v24"));
    assert_eq!((receipt.status(), receipt.scope()), (ReceiptStatus::Sent, ReceiptScope::Message));
    assert_eq!((receipt.participant, receipt.message_id.as_str()), (None, WAMID));
    assert_eq!(receipt.opaque_callback_data.as_deref(), Some("order-4711"));
    let pricing = receipt.pricing.unwrap();
    assert_eq!(
        (pricing.billable, pricing.r#type.as_deref()),
        (Some(false), Some("free_group_customer_service"))
    );
    let receipt = event!(Receipt, fixture("messages-status_any-reference_syntax"));
    assert_eq!(receipt.conversation.unwrap().expires_at_s, Some(1_767_312_000));
    assert_eq!(receipt.identity_key_hash.as_deref(), Some("DF2lS5v2W6x="));
    assert_eq!(receipt.errors[0].href, "/docs/whatsapp/cloud-api/support/error-codes/");
}

/// What became of an invitation goes to one person, outside the group, and was ignored.
#[test]
fn a_status_of_an_invitation_is_of_the_group_that_came_back_with_it() {
    let command = groupfold_schemas::command::command_id(1_767_225_600_000, [7; 10]);
    let told = |text: &str, callback_data: Value| {
        read(&status(&json!({"recipient_type": null, "recipient_id": "15550001111", "status": text,
            "errors": [{"code": 131_049}], "biz_opaque_callback_data": callback_data})))
    };
    let ours = groupfold_schemas::command::callback(&command, GROUP);
    let failed = record(told("failed", json!(ours)));
    assert_eq!(failed.group_id, GROUP);
    let kind = failed.event.unwrap().kind.unwrap();
    assert_eq!((kind.name(), kind.command_id()), ("receipt_failed", Some(command.as_str())));
    let receipt = event!(Receipt, told("failed", json!(ours)));
    assert_eq!((receipt.scope(), receipt.errors[0].code.as_str()), (ReceiptScope::Message, "131049"));
    // Whoever is invited is no member: their receipt is none of the group's.
    let read_by_one = event!(Receipt, told("read", json!(ours)));
    assert_eq!((read_by_one.scope(), read_by_one.participant), (ReceiptScope::Aggregate, None));
    // What others attach to their messages is their own, whatever its shape.
    for theirs in [json!("order-4711"), json!(command), json!({"a": 1}), json!(true), Value::Null] {
        assert!(matches!(one(told("failed", theirs.clone())), Item::Ignored(_)), "{theirs}");
    }
}

#[test]
fn eight_receipts_of_one_message_are_eight_events() {
    let items = fixture("messages-status_read-group_eight_participants");
    let mut ids: Vec<_> = items.into_iter().map(|item| record(vec![item]).event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}

#[test]
fn a_message_carries_the_names_of_its_contact() {
    let record = record(fixture("messages-incoming_text-group_reference_example"));
    assert_eq!(record.original_contacts.len(), 1);
    let event = event!(MessageReceived, fixture("messages-incoming_text-group_reference_example"));
    let from = event.from.unwrap();
    assert_eq!(
        (from.wa_id.as_deref(), from.display_name.as_deref()),
        (Some("16505551234"), Some("Tiago Mingo"))
    );
    assert_eq!(event.r#type, "text");
}

#[test]
fn a_changed_number_concerns_no_single_group() {
    let file = "messages-system-user_changed_number_2026-08";
    assert_eq!(record(fixture(file)).group_id, "");
    let event = event!(IdentityChanged, fixture(file));
    assert_eq!(event.kind(), IdentityChangeKind::Number);
    let (previous, current) = (event.previous.unwrap(), event.current.unwrap());
    assert_eq!(
        (previous.wa_id.as_deref(), current.wa_id.as_deref()),
        (Some("16505551234"), Some("12195555358"))
    );
    assert_eq!(previous.user_id.as_deref(), Some("US.13491208655302741918"));
    assert_eq!(current.user_id.as_deref(), Some("US.20837465019283746501"));
}
