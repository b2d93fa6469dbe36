//! Every operation, done.

use groupfold_tests::{Provider, Scratch, ends};
use reqwest::Method;
use serde_json::{Value, json};

use super::{NUMBER, World, jpeg, upload};

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

#[tokio::test]
async fn a_group_is_created_told_of_listed_and_read() {
    let world = World::with(&[]).await;
    let answer = world.create(json!({ "subject": "  Tea  ", "description": "leaves" })).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.json.as_object().unwrap().len(), 2, "{answer}");
    let created = world.told("group_create", &answer.json["request_id"]).await;
    assert_eq!((text(&created, "subject"), text(&created, "join_approval_mode")), ("Tea", "auto_approve"));
    let group = text(&created, "group_id");

    let listed = world.get(&format!("/{NUMBER}/groups")).await.json;
    let one = &listed["data"]["groups"][0];
    assert_eq!((text(one, "id"), text(one, "subject")), (group, "Tea"));
    let created_at: i64 = text(one, "created_at").parse().expect("seconds, as a text");

    let plain = world.get(&format!("/{group}")).await.json;
    assert_eq!(plain, json!({ "id": group, "messaging_product": "whatsapp" }));
    world.joins(group, "15550001111").await;
    let fields = "subject,description,join_approval_mode,suspended,creation_timestamp,total_participant_count,participants";
    let info = world.get(&format!("/{group}?fields={fields}")).await.json;
    let expected = json!({
        "id": group, "messaging_product": "whatsapp", "subject": "Tea", "description": "leaves",
        "join_approval_mode": "auto_approve", "suspended": false, "creation_timestamp": created_at,
        "total_participant_count": 1, "participants": [{ "wa_id": "15550001111" }],
    });
    assert_eq!(info, expected);
    let link = world.get(&format!("/{group}/invite_link")).await.json;
    assert_eq!(text(&link, "invite_link"), text(&created, "invite_link"));
}

#[tokio::test]
async fn a_list_is_read_page_by_page_forth_and_back() {
    let world = World::with(&["--group-operations-per-s", "0"]).await;
    for number in 0..7 {
        assert_eq!(world.create(json!({ "subject": format!("Group {number}") })).await.status, 200);
    }
    let client = groupfold_tests::http::client();
    let follow = async |url: &str| -> Value {
        let answer = client.get(url).bearer_auth(Provider::TOKEN).send().await.unwrap();
        groupfold_tests::http::read(answer).await.unwrap().json
    };
    let subjects = |page: &Value| -> Vec<String> {
        let groups = page["data"]["groups"].as_array().unwrap();
        groups.iter().map(|group| text(group, "subject").trim_start_matches("Group ").to_owned()).collect()
    };
    let first = world.get(&format!("/{NUMBER}/groups?limit=3")).await.json;
    assert!(first["paging"].get("previous").is_none(), "{first}");
    let second = follow(text(&first["paging"], "next")).await;
    let third = follow(text(&second["paging"], "next")).await;
    assert!(third["paging"].get("next").is_none(), "{third}");
    let read: Vec<String> = [&first, &second, &third].into_iter().flat_map(&subjects).collect();
    assert_eq!(read, ["0", "1", "2", "3", "4", "5", "6"]);
    let back = follow(text(&third["paging"], "previous")).await;
    assert_eq!(subjects(&back), ["3", "4", "5"]);
    let cursor = text(&first["paging"]["cursors"], "after");
    let after = world.get(&format!("/{NUMBER}/groups?limit=2&after={cursor}")).await.json;
    assert_eq!(subjects(&after), ["3", "4"]);
}

#[tokio::test]
async fn settings_are_changed_by_json_and_by_upload_and_told_each_for_itself() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    let answer = world.post(&format!("/{group}"), json!({ "subject": "Coffee" })).await;
    assert_eq!((answer.status, &answer.json), (200, &json!({ "success": true })));
    let told = &world.told_times("group_settings_update", 1).await[0];
    let changed = told.get("group_subject").or(told.get("subject")).expect("the subject");
    assert_eq!(changed, &json!({ "text": "Coffee", "update_successful": true }));
    assert_eq!(told["request_id"], world.last_call("update").await["request_id"]);

    let answer = upload(&world, &group, "image/jpeg", &jpeg(192, 192), &[("description", "beans")]).await;
    assert_eq!(answer.status, 200, "{answer}");
    let told = &world.told_times("group_settings_update", 2).await[1];
    assert_eq!(told["profile_picture"]["mime_type"], "image/jpeg");
    assert_eq!(text(&told["profile_picture"], "sha256").len(), 44);
    let info = world.get(&format!("/{group}?fields=subject,description")).await.json;
    assert_eq!((text(&info, "subject"), text(&info, "description")), ("Coffee", "beans"));
}

#[tokio::test]
async fn a_link_is_reset_and_deleted_and_the_old_one_is_dead() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    let path = format!("/{group}/invite_link");
    let old = world.get(&path).await.json;
    let new = world.post(&path, json!({})).await.json;
    assert_ne!(text(&old, "invite_link"), text(&new, "invite_link"));
    assert_eq!(world.get(&path).await.json, new);
    let follow = async |link: &Value| {
        let url = format!("{}/simulator/join", world.provider.url());
        let body = json!({ "invite_link": link["invite_link"] });
        let sent = groupfold_tests::http::client().post(url).json(&body).send().await;
        sent.unwrap().status().as_u16()
    };
    assert_eq!((follow(&old).await, follow(&new).await), (404, 200));
    let deleted = world.delete(&path, json!({})).await;
    assert_eq!(deleted.json, json!({ "messaging_product": "whatsapp", "success": "true" }));
    assert_eq!((follow(&new).await, world.get(&path).await.status), (404, 400));
}

#[tokio::test]
async fn requests_are_listed_approved_and_rejected() {
    let world = World::with(&[]).await;
    let group = world.group("approval_required").await;
    let mut ids = Vec::new();
    for person in ["15550001111", "15550002222", "15550003333"] {
        let asked = world.joins(&group, person).await;
        assert_eq!(asked["outcome"], "asked");
        ids.push(text(&asked, "join_request_id").to_owned());
    }
    let path = format!("/{group}/join_requests");
    let listed = world.get(&format!("{path}?limit=2")).await.json;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
    let one = &listed["data"][0];
    assert_eq!((text(one, "join_request_id"), text(one, "wa_id")), (ids[0].as_str(), "15550001111"));
    assert!(one["creation_timestamp"].is_i64() && listed["paging"].get("next").is_none(), "{listed}");
    let cursor = async |listed: &Value| {
        let after = text(&listed["paging"]["cursors"], "after");
        world.get(&format!("{path}?limit=2&after={after}")).await.json
    };
    let second = cursor(&listed).await;
    assert_eq!((second["data"].as_array().unwrap().len(), &cursor(&second).await["data"]), (1, &json!([])));

    let approved = world.post(&path, json!({ "join_requests": [ids[0], ids[1]] })).await;
    assert_eq!(approved.status, 200, "{approved}");
    assert_eq!(approved.json["approved_join_requests"], json!([ids[0], ids[1]]));
    assert!(approved.json.get("failed_join_requests").is_none() && approved.json.get("errors").is_none());
    let added = &world.told_times("group_participants_add", 1).await[0];
    assert_eq!(added["added_participants"].as_array().unwrap().len(), 2, "{added}");
    assert!(added.get("request_id").is_none() && added["added_participants"][0]["input"].is_string());

    let rejected = world.delete(&path, json!({ "join_requests": [ids[2], "gone"] })).await;
    assert_eq!(rejected.json["rejected_join_requests"], json!([ids[2]]));
    let failed = &rejected.json["failed_join_requests"][0];
    assert_eq!((text(failed, "join_request_id"), &failed["errors"][0]["code"]), ("gone", &json!(131_213)));
    assert_eq!(rejected.json["errors"][0]["code"], 131_201);
    assert_eq!(world.get(&path).await.json["data"], json!([]));
}

#[tokio::test]
async fn participants_are_removed_in_any_spelling_and_cannot_come_back() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    for person in ["15550001111", "15550002222"] {
        world.joins(&group, person).await;
    }
    let path = format!("/{group}/participants");
    let answer = world.delete(&path, json!({ "participants": [{ "user": "+1 555-000-1111" }] })).await;
    assert_eq!((answer.status, &answer.json), (200, &json!({ "messaging_product": "whatsapp" })));
    let told = &world.told_times("group_participants_remove", 1).await[0];
    assert_eq!(told["removed_participants"], json!([{ "input": "+1 555-000-1111" }]));
    assert_eq!(told["initiated_by"], "business");

    let others = json!({ "participants": [{ "user": "15550002222" }, { "user": "15559999999" }] });
    let partly = world.delete(&path, others).await;
    assert_eq!((partly.status, &partly.json["error"]["code"]), (206, &json!(131_201)));
    let told = &world.told_times("group_participants_remove", 2).await[1];
    assert_eq!(told["failed_participants"][0]["input"], "15559999999");
    let again = json!({ "group_id": group, "person": "15550001111" });
    let url = format!("{}/simulator/join", world.provider.url());
    let refused = groupfold_tests::http::client().post(url).json(&again).send().await.unwrap();
    assert_eq!(refused.status(), 409);
}

#[tokio::test]
async fn a_message_is_sent_and_every_member_receives_and_reads_it() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    for person in ["15550001111", "15550002222"] {
        world.joins(&group, person).await;
    }
    let answer =
        world.send(&group, json!({ "text": { "body": "hi" }, "biz_opaque_callback_data": "order-1" })).await;
    assert_eq!(answer.json["contacts"], json!([{ "input": group, "wa_id": group }]), "{answer}");
    let id = &answer.json["messages"][0]["id"];
    let sent = &world.told_times("sent", 1).await[0];
    assert_eq!((&sent["id"], &sent["biz_opaque_callback_data"]), (id, &json!("order-1")));
    for status in ["delivered", "read"] {
        let receipts = world.told_times(status, 2).await;
        assert!(receipts.iter().all(|receipt| receipt["id"] == *id && receipt["recipient_id"] == group));
    }
    for media in ["image", "video", "audio", "document", "sticker"] {
        let answer = world.send(&group, json!({ "type": media, media: { "id": "1" } })).await;
        assert_eq!(answer.status, 200, "{media}: {answer}");
    }
    let template = json!({ "name": "offer", "language": { "code": "en" } });
    let answer = world.send(&group, json!({ "type": "template", "template": template })).await;
    assert_eq!(answer.status, 200, "{answer}");
}

#[tokio::test]
async fn a_fourth_pin_takes_the_oldest_off() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    world.joins(&group, "15550001111").await;
    let pin = |kind: &str, message: &str| {
        let days = json!("7");
        json!({ "type": "pin", "pin": { "type": kind, "message_id": message, "expiration_days": days } })
    };
    for message in ["wamid.A", "wamid.B", "wamid.C", "wamid.D"] {
        let answer = world.send(&group, pin("pin", message)).await;
        assert_ne!(answer.json["messages"][0]["id"], message, "{answer}");
    }
    assert_eq!(world.send(&group, pin("unpin", "wamid.C")).await.status, 200);
    let truth = world.provider.look("truth").await;
    assert_eq!(truth["groups"][&group]["pinned"], json!(["wamid.B", "wamid.D"]));
    assert_eq!(world.told_times("sent", 5).await.len(), 5);
}

#[tokio::test]
async fn whoever_is_invited_by_template_follows_the_link() {
    let world = World::with(&["--join-after", "0s"]).await;
    let group = world.group("auto_approve").await;
    let parameter = json!({ "type": "group_id", "group_id": group });
    let template = json!({
        "name": "group_invite_link", "language": { "code": "en" },
        "components": [{ "type": "body", "parameters": [parameter] }],
    });
    let message = json!({ "to": "+1 555 000 4444", "type": "template", "template": template });
    let answer = world.post(&format!("/{NUMBER}/messages"), message).await;
    let contact = json!([{ "input": "+1 555 000 4444", "wa_id": "15550004444" }]);
    assert_eq!(answer.json["contacts"], contact, "{answer}");
    let added = &world.told_times("group_participants_add", 1).await[0];
    assert_eq!(added["added_participants"].as_array().unwrap().len(), 1);
    let info = world.get(&format!("/{group}?fields=total_participant_count")).await.json;
    assert_eq!(info["total_participant_count"], 1);
}

#[tokio::test]
async fn a_deleted_group_is_gone_from_the_list() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    let answer = world.provider.call(Method::DELETE, &format!("/{group}"), None).await;
    assert_eq!((answer.status, &answer.json), (200, &json!({ "success": true })));
    let told = &world.told_times("group_delete", 1).await[0];
    assert_eq!(told["group_id"], group);
    assert_eq!(world.get(&format!("/{NUMBER}/groups")).await.json, json!({ "data": { "groups": [] } }));
    assert_eq!(world.get(&format!("/{group}")).await.json["error"]["code"], 131_041);
}

#[tokio::test]
async fn people_come_by_themselves_or_ask_where_they_must() {
    let world = World::with(&["--joiners", "3", "--join-after", "50ms"]).await;
    let open = world.group("auto_approve").await;
    let added = world.told_times("group_participants_add", 3).await;
    assert!(added.iter().all(|item| item["group_id"] == open));
    let closed = world.group("approval_required").await;
    let asked = world.told_times("group_join_request_created", 3).await;
    assert!(asked.iter().all(|item| item["group_id"] == closed));
}

#[tokio::test]
async fn people_leave_speak_and_ask_no_more_at_a_tests_command() {
    let world = World::with(&[]).await;
    let group = world.group("approval_required").await;
    for person in ["15550001111", "15550002222"] {
        world.joins(&group, person).await;
    }
    let of = |person: &str| json!({ "group_id": group, "person": person });
    world.provider.control("revoke", of("15550002222")).await;
    assert_eq!(world.told_times("group_join_request_revoked", 1).await[0]["wa_id"], "15550002222");
    let requests = world.get(&format!("/{group}/join_requests")).await.json;
    let ids: Vec<&str> = vec![text(&requests["data"][0], "join_request_id")];
    world.post(&format!("/{group}/join_requests"), json!({ "join_requests": ids })).await;
    let mut says = of("15550001111");
    says["body"] = json!("hello");
    let said = world.provider.control("say", says).await;
    let heard = world.told_times("text", 1).await;
    assert_eq!((&heard[0]["id"], &heard[0]["text"]["body"]), (&said["message_id"], &json!("hello")));
    world.provider.control("leave", of("15550001111")).await;
    let left = &world.told_times("group_participants_remove", 1).await[0];
    assert_eq!((&left["initiated_by"], left.get("request_id")), (&json!("participant"), None));
    world.provider.control("suspend", json!({ "group_id": group })).await;
    world.told_times("group_suspend", 1).await;
    let info = world.get(&format!("/{group}?fields=suspended")).await.json;
    assert_eq!(info["suspended"], true);
    world.provider.control("unsuspend", json!({ "group_id": group })).await;
    world.told_times("group_suspend_cleared", 1).await;
}

/// The truth of a served world is one that `simulate --check` can hold against the API.
#[tokio::test]
async fn what_was_commanded_is_what_the_pipeline_believes() {
    let provider = Provider::start(super::SECRET, &["--joiners", "2", "--join-after", "100ms"]).await;
    let groupfold = groupfold_tests::Groupfold::up(groupfold_tests::Options::default()).await;
    provider.tell(&groupfold.webhook_url()).await;
    let world = World { provider, endpoint: crate::endpoint::Endpoint::start(|_| 200) };
    let mut groups = Vec::new();
    for subject in ["One", "Two", "Three"] {
        assert_eq!(world.create(json!({ "subject": subject })).await.status, 200);
        groups.push(text(&world.last_call("create").await, "group_id").to_owned());
    }
    world.joins(&groups[0], "15550001111").await;
    for subject in ["Uno", "Eins", "Un"] {
        world.post(&format!("/{}", groups[0]), json!({ "subject": subject })).await;
    }
    world.send(&groups[0], json!({ "text": { "body": "hi" } })).await;
    let out = json!({ "participants": [{ "user": "15550001111" }] });
    world.delete(&format!("/{}/participants", groups[0]), out).await;
    world.provider.call(Method::DELETE, &format!("/{}", groups[1]), None).await;
    groupfold_tests::wait_until("two have come to each group", super::BOUND, async || {
        let truth = world.provider.look("truth").await;
        let count = |group: &String| truth["groups"][group]["counts"]["member"].as_u64() == Some(2);
        if count(&groups[0]) && count(&groups[2]) { Ok(()) } else { Err(truth) }
    })
    .await;
    world.provider.all_told().await;
    let scratch = Scratch::new("truth");
    let file = scratch.path().join("truth.json");
    std::fs::write(&file, world.provider.look("truth").await.to_string()).unwrap();
    let mut check = groupfold_tests::Groupfold::command();
    check.args(["simulate", "--data"]).arg(groupfold.data()).arg("--check").arg(&file);
    let output = check.output().unwrap();
    ends(&output, 0);
}
