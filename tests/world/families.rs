//! Every family of webhooks that Meta documents, posted as a fixture, and its state read back over HTTP.
//!
//! Each fixture gets a group, a message and an account of its own, so that one `groupfold up` serves all.

use groupfold_tests::{Groupfold, Options, fixture, fixtures};
use serde_json::{Value, json};

use crate::hook;
use crate::laws::read_at;

const GROUP: &str = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD";
const OTHER_GROUP: &str = "HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA";
const MESSAGE: &str = "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUFERjg0NDEzNDdFODU3MUMxMAA=";
const ACCOUNT: &str = "102290129340398";

/// What an answer must hold: a JSON pointer and the value there.
type Expected = &'static [(&'static str, &'static str)];

/// Fixture, items appended, path of the answer with `G`, `M` or `A` for the ids, what it must hold.
const FAMILIES: &[(&str, u64, &str, Expected)] = &[
    (
        "group_lifecycle_update-group_create-succeed",
        1,
        "groups/G",
        &[
            ("/status", "\"active\""),
            ("/subject", "\"test invite link\""),
            ("/created_at", "\"2026-01-01T00:00:00Z\""),
            ("/invite_link", "\"https://chat.whatsapp.com/AbCdEf123\""),
            ("/join_approval_mode", "\"auto_approve\""),
            ("/provider", "\"meta\""),
            ("/phone_number_id", "\"106540352242922\""),
            ("/deleted_at", "null"),
            ("/service_window", "null"),
            ("/last_failure", "null"),
            ("/members", "[]"),
            ("/counts/member", "0"),
        ],
    ),
    (
        "group_lifecycle_update-group_create-fail",
        1,
        "groups/G",
        &[
            ("/status", "\"create_failed\""),
            ("/last_failure/type", "\"group_create\""),
            ("/last_failure/errors/0/code", "131201"),
            ("/last_failure/errors/0/title", "\"Something failed\""),
            ("/last_failure/request_id", "\"6f1c2d3e-4a5b-4c6d-8e7f-9a0b1c2d3e4f\""),
            ("/last_failure/at", "\"2026-01-01T00:00:00Z\""),
        ],
    ),
    (
        "group_lifecycle_update-group_create-fail_without_group_id",
        1,
        "accounts/A/timeline",
        &[("/entries/0/kind", "\"group_create_failed\""), ("/entries/0/at", "\"2026-01-01T00:00:00Z\"")],
    ),
    (
        "group_lifecycle_update-group_delete-succeed",
        1,
        "groups/G",
        &[("/status", "\"deleted\""), ("/deleted_at", "\"2026-01-01T00:00:00Z\"")],
    ),
    (
        "group_lifecycle_update-group_delete-fail",
        1,
        "groups/G",
        &[("/status", "\"unknown\""), ("/last_failure/type", "\"group_delete\"")],
    ),
    (
        "group_participants_update-group_join_request-created_or_revoked",
        1,
        "groups/G",
        &[
            ("/members/0/status", "\"pending\""),
            ("/counts/pending", "1"),
            ("/members/0/join_request_id", "\"MTY0NjcwNDM1OTU6MTIwMzYzNDA0Njk0MjMzODIw\""),
        ],
    ),
    (
        "group_participants_update-group_participants_add-invite_link",
        1,
        "groups/G",
        &[
            ("/members/0/wa_id", "\"16505551234\""),
            ("/members/0/via", "\"invite_link\""),
            ("/members/0/role", "\"member\""),
            ("/members/0/status", "\"member\""),
            ("/members/0/joined_at", "\"2026-01-01T00:00:00Z\""),
            ("/counts/member", "1"),
        ],
    ),
    (
        "group_participants_update-group_participants_add-join_request_approved",
        1,
        "groups/G",
        &[("/members/0/via", "\"join_request\""), ("/members/0/wa_id", "\"16505551234\"")],
    ),
    (
        "group_participants_update-group_participants_add-username_only",
        1,
        "groups/G",
        &[
            ("/members/0/wa_id", "null"),
            ("/members/0/user_id", "\"BR.20837465019283746501\""),
            ("/members/0/username", "\"maria.silva\""),
        ],
    ),
    (
        "group_participants_update-group_participants_remove-by_business_succeed",
        1,
        "groups/G/timeline",
        &[
            ("/entries/0/kind", "\"member_removed\""),
            ("/entries/0/actor", "\"business\""),
            ("/entries/1/kind", "\"member_removed\""),
        ],
    ),
    (
        "group_participants_update-group_participants_remove-by_business_partial_fail",
        1,
        "groups/G/timeline",
        &[
            ("/entries/0/kind", "\"member_removed\""),
            ("/entries/1/kind", "\"remove_failed\""),
            ("/entries/2", "absent"),
        ],
    ),
    (
        "group_participants_update-group_participants_remove-by_business_total_fail",
        1,
        "groups/G",
        &[
            ("/last_failure/type", "\"group_participants_remove\""),
            ("/counts/member", "0"),
            ("/members", "[]"),
        ],
    ),
    (
        "group_participants_update-group_participants_remove-participant_leaves",
        1,
        "groups/G",
        &[
            ("/members/0/status", "\"left\""),
            ("/members/0/left_at", "\"2026-01-01T00:00:00Z\""),
            ("/members/0/joined_at", "null"),
        ],
    ),
    (
        "group_settings_update-group_settings_update-succeed",
        1,
        "groups/G",
        &[
            ("/subject", "\"Test Subject\""),
            ("/description", "\"Test Description\""),
            ("/picture/mime_type", "\"image/jpeg\""),
            ("/picture/sha256", "\"SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI=\""),
        ],
    ),
    (
        "group_settings_update-group_settings_update-partial_fail",
        1,
        "groups/G",
        &[
            ("/subject", "null"),
            ("/description", "null"),
            ("/picture/mime_type", "\"image/jpeg\""),
            ("/last_failure/type", "\"group_settings_update\""),
        ],
    ),
    (
        "group_settings_update-group_settings_update-total_fail",
        1,
        "groups/G/timeline",
        &[("/entries/0/kind", "\"settings_failed\""), ("/entries/1", "absent")],
    ),
    (
        "group_settings_update-subject_only-succeed",
        1,
        "groups/G/timeline",
        &[("/entries/0/kind", "\"subject_changed\""), ("/entries/0/at", "\"2026-01-01T00:08:20Z\"")],
    ),
    ("group_status_update-group_suspend", 1, "groups/G", &[("/status", "\"suspended\"")]),
    ("group_status_update-group_suspend_cleared", 1, "groups/G", &[("/status", "\"active\"")]),
    (
        "messages-status_sent-group",
        1,
        "messages/M/receipts",
        &[
            ("/sent_at", "\"2026-01-01T00:00:00Z\""),
            ("/members", "[]"),
            ("/failed", "null"),
            ("/counts/delivered", "0"),
        ],
    ),
    ("messages-status_sent-group_v24", 1, "messages/M/receipts", &[("/sent_at", "\"2026-01-01T00:11:40Z\"")]),
    (
        "messages-status_delivered-group_single",
        1,
        "messages/M/receipts",
        &[
            ("/members/0/wa_id", "\"16505551234\""),
            ("/members/0/delivered_at", "\"2026-01-01T00:00:00Z\""),
            ("/members/0/read_at", "null"),
            ("/members/0/status", "\"delivered\""),
            ("/counts/delivered", "1"),
        ],
    ),
    ("messages-status_any-reference_syntax", 1, "messages/M/receipts", &[("/counts/delivered", "1")]),
    (
        "messages-status_delivered-group_aggregated_2025-12",
        2,
        "messages/M/receipts",
        &[("/counts/delivered", "2")],
    ),
    (
        "messages-status_delivered-group_multi_message_single_participant",
        2,
        "messages/M/receipts",
        &[("/counts/delivered", "1")],
    ),
    (
        "messages-status_read-group_multi_participant_single_message",
        2,
        "messages/M/receipts",
        &[("/counts/read", "2"), ("/counts/delivered", "2")],
    ),
    (
        "messages-status_read-group_with_pricing",
        1,
        "messages/M/receipts",
        &[("/members/0/status", "\"read\"")],
    ),
    (
        "messages-status_read-group_without_pricing",
        1,
        "messages/M/receipts",
        &[("/members/0/status", "\"read\"")],
    ),
    (
        "messages-status_read-group_eight_participants",
        8,
        "messages/M/receipts",
        &[("/counts/read", "8"), ("/counts/played", "0")],
    ),
    ("messages-status_failed-group", 1, "messages/M/receipts", &[("/failed/errors/0/code", "131201")]),
    (
        "messages-incoming_text-group",
        1,
        "groups/G",
        &[("/service_window/open_until", "\"2026-01-02T00:00:00Z\"")],
    ),
    (
        "messages-incoming_text-group_reference_example",
        1,
        "groups/G",
        &[("/service_window/open_until", "\"2025-04-12T04:08:16Z\"")],
    ),
    (
        "messages-incoming_text-group_reference_syntax",
        1,
        "groups/G",
        &[("/service_window/open_until", "\"2026-01-02T00:00:00Z\"")],
    ),
    (
        "messages-incoming_unsupported-group",
        1,
        "groups/G",
        &[("/service_window/open_until", "\"2026-01-02T00:00:00Z\"")],
    ),
    ("messages-errors-top_level", 1, "accounts/A/timeline", &[("/entries/0/kind", "\"account_error\"")]),
    // Told outside groups; what it means within one: `a_member_whose_number_changed_is_the_same_one`.
    ("messages-system-user_changed_number", 1, "position", &[("/lag_events", "0")]),
    ("messages-system-user_changed_number_2026-08", 1, "position", &[("/lag_events", "0")]),
    // Outside groups: ignored. Of a type that nobody knows: kept as a failure.
    ("messages-incoming_unsupported-individual_reference", 0, "position", &[]),
    ("negative-unknown_group_type", 0, "position", &[]),
];

#[tokio::test]
async fn every_family_of_webhooks_becomes_state() {
    let groupfold = Groupfold::up(Options::default()).await;
    for (i, (name, appended, path, expected)) in FAMILIES.iter().enumerate() {
        let (group, message, account) = (format!("G{i}/x=@"), format!("wamid.M{i}=="), format!("9000{i}"));
        let text = String::from_utf8(fixture(&format!("meta/{name}.json"))).unwrap();
        let body = text
            .replace(GROUP, &group)
            .replace(OTHER_GROUP, &group)
            .replace(MESSAGE, &message)
            .replace(ACCOUNT, &account);
        let answer = groupfold.post(body.as_bytes()).await;
        assert_eq!((answer.status, &answer.json["appended"]), (200, &json!(appended)), "{name}: {answer}");
        let position = answer.json["position"].as_str().unwrap_or_default();
        let path = path.split('/').map(|segment| match segment {
            "G" => format!("G{i}%2Fx%3D%40"),
            "M" => format!("wamid.M{i}%3D%3D"),
            "A" => account.clone(),
            other => other.to_owned(),
        });
        let path = format!("/v1/{}", path.collect::<Vec<_>>().join("/"));
        let read = read_at(&groupfold, &path, position).await;
        assert_eq!(read.status, 200, "{name}: {read}");
        for (pointer, value) in *expected {
            let found = read.json.pointer(pointer).map_or("absent".to_owned(), Value::to_string);
            assert_eq!(&found, value, "{name} {pointer}: {read}");
        }
    }
}

#[tokio::test]
async fn a_member_whose_number_changed_is_the_same_one() {
    let groupfold = Groupfold::up(Options::default()).await;
    for (i, (name, user_id)) in [
        ("messages-system-user_changed_number", Value::Null),
        ("messages-system-user_changed_number_2026-08", json!("US.20837465019283746501")),
    ]
    .into_iter()
    .enumerate()
    {
        let (group, account) = (format!("G{i}"), format!("9000{i}"));
        let ours = |body: Vec<u8>| String::from_utf8(body).unwrap().replace(ACCOUNT, &account);
        let before = hook::participants(&[hook::joined(&group, "16505551234", 1_750_000_000)]);
        let joined = groupfold.post(ours(before).as_bytes()).await;
        assert_eq!((joined.status, &joined.json["appended"]), (200, &json!(1)), "{joined}");
        groupfold.post(ours(fixture(&format!("meta/{name}.json"))).as_bytes()).await;
        let members = groupfold.get(&format!("/v1/groups/{group}/members")).await;
        let all = members.json["members"].as_array().unwrap();
        assert_eq!(all.len(), 1, "{name}: {members}");
        assert_eq!(
            (&all[0]["wa_id"], &all[0]["user_id"], &all[0]["status"]),
            (&json!("12195555358"), &user_id, &json!("member")),
            "{name}: {members}"
        );
        let timeline = groupfold.get(&format!("/v1/groups/{group}/timeline")).await;
        let kinds: Vec<&Value> =
            timeline.json["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
        assert!(
            kinds.contains(&&json!("member_joined")) && kinds.contains(&&json!("number_changed")),
            "{timeline}"
        );
    }
}

/// Meta tells a user name beside messages and receipts, in `contacts`; who takes one while in a group is told there alone.
#[tokio::test]
async fn a_user_name_that_contacts_tell_is_the_members() {
    let groupfold = Groupfold::up(Options::default()).await;
    let webhook = |field: &str, value: Value| {
        let metadata = json!({ "display_phone_number": "15550783881", "phone_number_id": "106540352242922" });
        let mut value = value;
        value["metadata"] = metadata;
        let changes = json!([{ "field": field, "value": value }]);
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": ACCOUNT, "changes": changes }] })
            .to_string()
    };
    let joined = json!({ "groups": [{ "timestamp": "1767225600", "group_id": "G", "type": "group_participants_add",
        "reason": "invite_link", "added_participants": [{ "user_id": "BR.1" }, { "user_id": "BR.2" }] }] });
    let contact = |user_id: &str, name: &str| json!({ "user_id": user_id, "profile": { "username": name } });
    let written = json!({ "contacts": [contact("BR.1", "@ana")], "messages": [{ "from_user_id": "BR.1", "id": "m1",
        "group_id": "G", "timestamp": "1767225610", "type": "text", "text": { "body": "hi" } }] });
    let read = json!({ "contacts": [contact("BR.1", "ana"), contact("BR.2", "bob")], "statuses": [{ "id": "m2",
        "status": "read", "timestamp": "1767225620", "recipient_id": "G", "recipient_type": "group",
        "recipient_participant_user_id": "BR.2" }] });
    let mut position = String::new();
    for (field, value) in [("group_participants_update", joined), ("messages", written), ("messages", read)] {
        let answer = groupfold.post(webhook(field, value).as_bytes()).await;
        assert_eq!((answer.status, &answer.json["appended"]), (200, &json!(1)), "{answer}");
        position = answer.json["position"].as_str().unwrap().to_owned();
    }
    let group = read_at(&groupfold, "/v1/groups/G", &position).await;
    let names: Vec<(&Value, &Value)> =
        group.json["members"].as_array().unwrap().iter().map(|m| (&m["user_id"], &m["username"])).collect();
    assert_eq!(names.len(), 2, "{group}");
    assert!(names.contains(&(&json!("BR.1"), &json!("ana"))), "{group}");
    assert!(names.contains(&(&json!("BR.2"), &json!("bob"))), "{group}");
    let receipts = read_at(&groupfold, "/v1/messages/m2/receipts", &position).await;
    assert_eq!(receipts.json["members"][0]["username"], "bob", "{receipts}");
    let timeline = read_at(&groupfold, "/v1/groups/G/timeline", &position).await;
    let texts: Vec<&str> =
        timeline.json["entries"].as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&"@ana joined using the invite link"), "{timeline}");
}

/// What the door calls appended is folded: its bounds are not above those of the store.
#[tokio::test]
async fn the_longest_texts_that_the_door_takes_become_state() {
    let groupfold = Groupfold::up(Options::default()).await;
    let link = format!("https://chat.whatsapp.com/{}", "x".repeat(358));
    let created = json!({ "timestamp": "1767225600", "group_id": "G", "type": "group_create", "request_id": "R",
        "subject": "é".repeat(448), "description": "😀".repeat(2048), "invite_link": link,
        "join_approval_mode": "m".repeat(384) });
    let hash = "h".repeat(384);
    let changed = json!({ "timestamp": "1767225601", "group_id": "G", "type": "group_settings_update", "request_id": "S",
        "group_subject": { "text": "s".repeat(896), "update_successful": true },
        "group_description": { "text": "d".repeat(8192), "update_successful": true },
        "profile_picture": { "mime_type": "m".repeat(384), "sha256": hash, "update_successful": true } });
    let mut position = String::new();
    for body in [hook::lifecycle(&[created]), hook::settings(&[changed])] {
        let answer = groupfold.post(&body).await;
        assert_eq!((answer.status, &answer.json["appended"]), (200, &json!(1)), "{answer}");
        position = answer.json["position"].as_str().unwrap().to_owned();
    }
    let group = read_at(&groupfold, "/v1/groups/G", &position).await;
    assert_eq!(
        (&group.json["status"], &group.json["invite_link"]),
        (&json!("active"), &json!(link)),
        "{group}"
    );
    let lengths = ["subject", "description"].map(|name| group.json[name].as_str().map(str::len));
    assert_eq!(lengths, [Some(896), Some(8192)], "{group}");
    assert_eq!(group.json["picture"]["sha256"], json!(hash), "{group}");
}

#[test]
fn every_fixture_of_a_webhook_is_tried() {
    let tried: Vec<String> = FAMILIES.iter().map(|(name, ..)| format!("meta/{name}.json")).collect();
    let is_webhook = |name: &String| String::from_utf8(fixture(name)).unwrap().contains("\"entry\"");
    let missed: Vec<String> =
        fixtures("meta").into_iter().filter(|name| is_webhook(name) && !tried.contains(name)).collect();
    assert_eq!(missed, Vec::<String>::new());
}
