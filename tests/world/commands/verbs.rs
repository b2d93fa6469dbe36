//! Every endpoint does what it says, and the provider's world and ours agree afterwards.

use groupfold_tests::{Groupfold, http, shows, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use super::{END_WAIT, NUMBER, TOLD_MS, World, at_once, known, reset_link};

/// A square JPEG of 192 pixels, as far as anybody looks: its head.
pub(crate) fn picture() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10];
    bytes.extend(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    bytes.extend([0xff, 0xc0, 0x00, 0x0b, 8, 0, 192, 0, 192, 1, 1, 0x11, 0]);
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// What reads forms takes 2 MB unless told, and told nobody of the rule.
#[tokio::test]
async fn a_picture_may_have_five_megabytes() {
    let world = World::new(&[], TOLD_MS).await;
    let path = format!("/v1/groups/{}", world.group("Tea", "auto_approve").await);
    let upload = async |bytes: usize| {
        let mut picture = picture();
        picture.resize(bytes, 0);
        let part = reqwest::multipart::Part::bytes(picture).file_name("x.jpg");
        let form = reqwest::multipart::Form::new().part("picture", part);
        let sent = http::client().patch(world.groupfold.api_url(&path)).multipart(form).send().await;
        http::read(sent.unwrap()).await.unwrap()
    };
    let pictured = world.ended(&upload(5 << 20).await).await;
    assert_eq!(pictured["status"], "succeeded", "{pictured}");
    let refused = upload((5 << 20) + 1).await;
    assert_eq!((refused.status, &refused.json["code"]), (422, &json!("invalid_field")), "{refused}");
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.starts_with("picture: ") && detail.contains("5 MB"), "{detail}");
}

#[tokio::test]
async fn a_group_is_created_changed_and_deleted() {
    let world = World::new(&[], TOLD_MS).await;
    let group = world.group("Tea", "auto_approve").await;
    let path = format!("/v1/groups/{group}");

    let body = json!({ "subject": "Coffee", "description": "black" });
    let updated = world.done(Method::PATCH, &path, Some(body)).await;
    assert_eq!((&updated["status"], updated["items"].as_array().unwrap().len()), (&json!("succeeded"), 2));
    let form = reqwest::multipart::Form::new()
        .text("subject", "Cocoa")
        .part("picture", reqwest::multipart::Part::bytes(picture()).file_name("x.jpg"));
    let sent = http::client().patch(world.groupfold.api_url(&path)).multipart(form).send().await.unwrap();
    let pictured = world.ended(&http::read(sent).await.unwrap()).await;
    assert_eq!(pictured["status"], "succeeded", "{pictured}");
    let now = world.groupfold.get(&path).await.json;
    assert_eq!((&now["subject"], &now["description"]), (&json!("Cocoa"), &json!("black")), "{now}");
    assert_eq!(now["picture"]["mime_type"], "image/jpeg");

    let deleted = world.done(Method::DELETE, &path, None).await;
    assert_eq!((&deleted["status"], &deleted["told_by_webhook"]), (&json!("succeeded"), &json!(true)));
    assert_eq!(world.groupfold.get(&path).await.json["status"], "deleted");
    // Nor is the provider asked: it knows no such group any more.
    for what in ["invite-link", "join-requests"] {
        let refused = world.groupfold.get(&format!("{path}/{what}")).await;
        assert_eq!((refused.status, &refused.json["code"]), (409, &json!("group_deleted")), "{refused}");
    }
    let refused =
        world.post(&format!("{path}/messages"), json!({ "type": "text", "text": { "body": "x" } })).await;
    refused.says(409, "group_deleted");
    // Asked again under its key it is refused as it was, also once the log knows it, and is no second command.
    let send = async || {
        let body = json!({ "type": "text", "text": { "body": "y" } });
        let key = [("idempotency-key", "refused-once")];
        world.ask(Method::POST, &format!("{path}/messages"), Some(body), &key).await
    };
    let first = send().await;
    world.all_told().await;
    let again = send().await;
    first.says(409, "group_deleted");
    assert_eq!((again.status, &again.json), (first.status, &first.json), "{again}");
    // The answer names no position to wait for.
    wait_until("a refusal is on record", END_WAIT, async || {
        let list = world.groupfold.get(&format!("/v1/commands?group={group}&status=refused")).await.json;
        if list["commands"].as_array().is_some_and(|list| list.len() == 2) { Ok(()) } else { Err(list) }
    })
    .await;
}

#[tokio::test]
async fn an_invite_link_is_read_reset_and_known_from_then_on() {
    let world = World::new(&[], TOLD_MS).await;
    let group = world.group("Tea", "auto_approve").await;
    let path = format!("/v1/groups/{group}/invite-link");
    let before = world.groupfold.get(&path).await.json["invite_link"].clone();
    let link = reset_link(&world.groupfold, &group).await;
    assert_ne!(link, before);
    assert_eq!(world.groupfold.get(&path).await.json["invite_link"], link);
    assert_eq!(world.groupfold.get(&format!("/v1/groups/{group}")).await.json["invite_link"], link);
}

#[tokio::test]
async fn requests_to_join_are_listed_approved_and_rejected() {
    let world = World::new(&[], TOLD_MS).await;
    let group = world.group("Tea", "approval_required").await;
    let mut ids = Vec::new();
    for person in ["5511911111111", "5511922222222"] {
        let asked = world.provider.control("join", json!({ "group_id": group, "person": person })).await;
        ids.push(asked["join_request_id"].as_str().unwrap().to_owned());
    }
    world.all_told().await;
    let path = format!("/v1/groups/{group}");
    let listed = world.groupfold.get(&format!("{path}/join-requests")).await.json;
    assert_eq!(listed["join_requests"].as_array().unwrap().len(), 2, "{listed}");

    let approved =
        world.at_once(&format!("{path}/join-requests:approve"), json!({ "join_requests": [ids[0]] })).await;
    assert_eq!(approved["status"], "succeeded", "{approved}");
    let rejected =
        world.at_once(&format!("{path}/join-requests:reject"), json!({ "join_requests": [ids[1]] })).await;
    assert_eq!(rejected["items"][0]["outcome"], "succeeded", "{rejected}");
    wait_until("one is in and one is turned down", END_WAIT, async || {
        let members = world.groupfold.get(&format!("{path}/members")).await.json;
        let of = |wa_id: &str| {
            let all = members["members"].as_array().unwrap().iter();
            all.clone().find(|member| member["wa_id"] == wa_id).map(|member| member["status"].clone())
        };
        let wanted = (Some(json!("member")), Some(json!("revoked")));
        if (of("5511911111111"), of("5511922222222")) == wanted { Ok(()) } else { Err(members.to_string()) }
    })
    .await;
    let again =
        world.at_once(&format!("{path}/join-requests:reject"), json!({ "join_requests": [ids[1]] })).await;
    assert_eq!(
        (&again["status"], again["errors"][0]["code"].as_i64()),
        (&json!("succeeded"), Some(131_213)),
        "what is done already is as good as done: {again}"
    );
}

#[tokio::test]
async fn members_are_removed_and_the_spelling_of_the_command_is_the_one_answered() {
    let world = World::new(&[], TOLD_MS).await;
    let group = world.group("Tea", "auto_approve").await;
    world.joined(&group, "5511911111111").await;
    world.joined(&group, "5511922222222").await;
    let path = format!("/v1/groups/{group}/members:remove");
    let spelled = "+55 11 91111-1111";
    let removed = world.done(Method::POST, &path, Some(json!({ "members": [spelled] }))).await;
    assert_eq!(
        (&removed["status"], &removed["items"][0]["name"]),
        (&json!("succeeded"), &json!(spelled)),
        "{removed}"
    );
    world.fault("remove", "partial", 1).await;
    world.joined(&group, "5511933333333").await;
    let both = json!({ "members": ["5511922222222", "5511933333333"] });
    let partly = world.done(Method::POST, &path, Some(both)).await;
    assert_eq!(partly["status"], "partly", "{partly}");
    let outcomes: Vec<_> =
        partly["items"].as_array().unwrap().iter().map(|item| item["outcome"].clone()).collect();
    assert!(outcomes.contains(&json!("succeeded")) && outcomes.contains(&json!("failed")), "{partly}");
}

#[tokio::test]
async fn messages_are_sent_pinned_and_unpinned_and_people_invited() {
    let world = World::new(&[], TOLD_MS).await;
    let group = world.group("Tea", "auto_approve").await;
    world.joined(&group, "5511911111111").await;
    let path = format!("/v1/groups/{group}/messages");
    let sent = world.at_once(&path, json!({ "type": "text", "text": { "body": "hello" } })).await;
    assert_eq!(sent["status"], "succeeded", "{sent}");
    let message = sent["message_id"].as_str().unwrap().to_owned();
    let receipts = world.groupfold.get(&format!("/v1/messages/{}/receipts", encoded(&message))).await;
    assert_eq!(
        (receipts.status, &receipts.json["group_id"]),
        (200, &json!(group)),
        "known at once: {receipts}"
    );
    world.all_told().await;
    let pin = format!("{path}/{}", encoded(&message));
    let pinned = world.at_once(&format!("{pin}:pin"), json!({ "expiration_days": 3 })).await;
    assert_eq!(pinned["status"], "succeeded", "{pinned}");
    let unpinned = at_once(&world.groupfold, &format!("{pin}:unpin"), None).await;
    assert_eq!(unpinned["status"], "succeeded", "{unpinned}");
    let invite = json!({ "invite": "5511944444444", "template": "group_invite", "language": "en" });
    let invited = world.at_once(&path, invite).await;
    shows(&invited, json!({ "type": "invite_send", "status": "succeeded" }));
    let media = json!({ "type": "image", "media": { "link": "https://example.com/a.jpg", "caption": "a" } });
    assert_eq!(world.at_once(&path, media).await["status"], "succeeded");
    assert_eq!(world.calls("send").await, 3);
}

fn encoded(id: &str) -> String {
    id.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[tokio::test]
async fn the_program_asks_waits_and_ends_by_what_became_of_it() {
    let world = World::new(&[], TOLD_MS).await;
    let data = world.groupfold.data();
    let run = |args: &[&str]| {
        let mut command = Groupfold::command();
        command.arg("group").args(args).arg("--data").arg(&data);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text, String::from_utf8(output.stderr).unwrap())
    };
    let create = ["create", "--phone-number-id", NUMBER, "--subject", "Tea", "--wait", "--output", "json"];
    let (code, text, _) = run(&create);
    let created: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &created["status"]), (Some(0), &json!("succeeded")), "{text}");
    let group = known(&world.groupfold, &created).await;
    let (code, _, error) = run(&["create", "--phone-number-id", NUMBER, "--subject", ""]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("subject"), "{error}");
    let (code, text, _) = run(&["link", &group]);
    assert!(code == Some(0) && text.contains("https://chat.whatsapp.com/"), "{text}");
    let (code, _, error) = run(&["send", &group, "--text", "hello", "--wait"]);
    assert_eq!(code, Some(1), "a group of one: {error}");
    assert!(error.contains("group_without_members"), "{error}");
    let (code, text, _) = run(&["commands", "--group", &group]);
    assert!(code == Some(0) && text.contains("group_create") && text.contains("message_send"), "{text}");
    let id = created["command_id"].as_str().unwrap();
    let why = Groupfold::command().args(["why", id, "--data"]).arg(&data).output().unwrap();
    let told = String::from_utf8(why.stdout).unwrap();
    for station in ["command_requested", "command_sent", "command_answered"] {
        assert!(told.contains(station), "{station}: {told}");
    }
    let (code, text, error) = run(&["delete", &group, "--wait"]);
    assert_eq!(code, Some(0), "{text}{error}");
}
