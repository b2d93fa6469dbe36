//! Every refusal: its code, its status, its shape, and that nothing was done.

use groupfold_tests::{Answer, Provider, http};
use reqwest::Method;
use serde_json::{Value, json};

use super::{NUMBER, World, jpeg, upload};

#[track_caller]
fn refused(answer: &Answer, status: u16, code: u32) {
    let error = &answer.json["error"];
    assert_eq!((answer.status, error["code"].as_u64()), (status, Some(u64::from(code))), "{answer}");
    assert!(
        error["message"].as_str().is_some_and(|text| text.starts_with(&format!("(#{code})"))),
        "{answer}"
    );
    assert_eq!((&error["type"], error["fbtrace_id"].is_string()), (&json!("OAuthException"), true));
    let data = &error["error_data"];
    assert_eq!((&data["messaging_product"], data["details"].is_string()), (&json!("whatsapp"), true));
}

#[tokio::test]
async fn a_call_needs_the_token_and_a_version() {
    let world = World::with(&["--access-token", "another"]).await;
    let get = async |token: Option<&str>, path: &str| {
        let mut request = http::client().get(format!("{}{path}", world.provider.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        http::read(request.send().await.unwrap()).await.unwrap()
    };
    refused(&get(None, &format!("/v25.0/{NUMBER}/groups")).await, 401, 0);
    refused(&get(Some(Provider::TOKEN), &format!("/v25.0/{NUMBER}/groups")).await, 401, 190);
    for version in ["v23.0", "v26.0"] {
        assert_eq!(get(Some("another"), &format!("/{version}/{NUMBER}/groups")).await.status, 200);
    }
    for path in [format!("/25/{NUMBER}/groups"), "/v25.0/1/2/3".to_owned()] {
        refused(&get(Some("another"), &path).await, 400, 2500);
    }
    refused(&get(Some("another"), "/v25.0/999/groups").await, 400, 100);
}

#[tokio::test]
async fn a_group_that_cannot_be_created_is_not() {
    let world = World::with(&["--groups-max", "1"]).await;
    let create = async |body: Value| world.create(body).await;
    refused(&create(json!({})).await, 400, 131_008);
    refused(&create(json!({ "subject": "  " })).await, 400, 131_009);
    refused(&create(json!({ "subject": "é".repeat(129) })).await, 400, 131_009);
    refused(&create(json!({ "subject": 7 })).await, 400, 131_009);
    refused(&create(json!({ "subject": "a", "description": "é".repeat(2049) })).await, 400, 131_009);
    refused(&create(json!({ "subject": "a", "join_approval_mode": "open" })).await, 400, 131_009);
    let path = format!("/{NUMBER}/groups");
    let bare = world.provider.call(Method::POST, &path, Some(json!({ "subject": "a" }))).await;
    refused(&bare, 400, 131_008);
    let url = format!("{}/v25.0/{NUMBER}/groups", world.provider.url());
    let torn = http::client().post(url).bearer_auth(Provider::TOKEN).body("{").send().await.unwrap();
    refused(&http::read(torn).await.unwrap(), 400, 100);
    assert_eq!(world.provider.look("truth").await["groups"], json!({}));

    let full = json!({ "subject": "é".repeat(128), "description": "é".repeat(2048) });
    assert_eq!(create(full).await.status, 200);
    refused(&create(json!({ "subject": "a" })).await, 400, 131_211);
}

#[tokio::test]
async fn a_group_that_is_not_there_or_suspended_takes_nothing() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    world.joins(&group, "15550001111").await;
    let all = async |group: &str, status, code| {
        let subject = json!({ "subject": "a" });
        refused(&world.post(&format!("/{group}"), subject).await, status, code);
        refused(&world.get(&format!("/{group}/invite_link")).await, status, code);
        refused(&world.post(&format!("/{group}/invite_link"), json!({})).await, status, code);
        refused(&world.delete(&format!("/{group}/invite_link"), json!({})).await, status, code);
        refused(&world.get(&format!("/{group}/join_requests")).await, status, code);
        let requests = json!({ "join_requests": ["a"] });
        refused(&world.post(&format!("/{group}/join_requests"), requests.clone()).await, status, code);
        refused(&world.delete(&format!("/{group}/join_requests"), requests).await, status, code);
        let people = json!({ "participants": [{ "user": "15550001111" }] });
        refused(&world.delete(&format!("/{group}/participants"), people).await, status, code);
        refused(&world.send(group, json!({ "text": { "body": "hi" } })).await, status, code);
    };
    all("Y2FwaV9ncm91cA", 400, 131_041).await;
    refused(&world.get("/Y2FwaV9ncm91cA").await, 400, 131_041);
    refused(&world.provider.call(Method::DELETE, "/Y2FwaV9ncm91cA", None).await, 400, 131_041);
    world.provider.control("suspend", json!({ "group_id": group })).await;
    all(&group, 403, 131_207).await;
}

#[tokio::test]
async fn settings_that_break_a_rule_change_nothing() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    let update = async |body: Value| world.post(&format!("/{group}"), body).await;
    refused(&update(json!({})).await, 400, 131_008);
    refused(&update(json!({ "subject": "" })).await, 400, 131_009);
    refused(&update(json!({ "description": "x".repeat(2049) })).await, 400, 131_009);
    refused(&update(json!({ "join_approval_mode": "auto_approve" })).await, 400, 100);
    refused(&update(json!({ "profile_picture_file": "a.jpg" })).await, 400, 100);
    let picture = async |mime_type: &str, bytes: &[u8]| upload(&world, &group, mime_type, bytes, &[]).await;
    refused(&picture("image/jpeg", &jpeg(300, 200)).await, 400, 131_209);
    refused(&picture("image/jpeg", &jpeg(191, 191)).await, 400, 131_210);
    refused(&picture("image/png", &jpeg(300, 300)).await, 400, 131_053);
    refused(&picture("image/jpeg", b"\x89PNG").await, 400, 131_053);
    let large = [jpeg(300, 300), vec![0; 5 << 20]].concat();
    refused(&picture("image/jpeg", &large).await, 400, 131_053);
    refused(&world.get(&format!("/{group}?fields=subject,colour")).await, 400, 100);
    assert_eq!(world.of_type("group_settings_update").len(), 0);
}

#[tokio::test]
async fn participants_and_requests_are_checked_before_anybody_goes_or_comes() {
    let world = World::with(&[]).await;
    let group = world.group("approval_required").await;
    let remove = async |users: &[&str]| {
        let participants: Vec<Value> = users.iter().map(|user| json!({ "user": user })).collect();
        world.delete(&format!("/{group}/participants"), json!({ "participants": participants })).await
    };
    refused(&remove(&[]).await, 400, 131_009);
    refused(&remove(&["1555000"; 2]).await, 400, 131_202);
    let nine: Vec<String> = (0..9).map(|number| format!("1555000000{number}")).collect();
    refused(&remove(&nine.iter().map(String::as_str).collect::<Vec<_>>()).await, 400, 131_204);
    refused(&remove(&["15550009999"]).await, 400, 131_212);
    refused(&world.delete(&format!("/{group}/participants"), json!({})).await, 400, 131_008);
    let add = json!({ "participants": [{ "user": "15550001111" }] });
    refused(&world.post(&format!("/{group}/participants"), add).await, 400, 131_203);

    let requests = format!("/{group}/join_requests");
    refused(&world.post(&requests, json!({ "join_requests": ["gone"] })).await, 400, 131_213);
    refused(&world.delete(&requests, json!({ "join_requests": [] })).await, 400, 131_009);
    refused(&world.get(&format!("{requests}?after=nowhere")).await, 400, 131_059);
    refused(&world.get(&format!("/{NUMBER}/groups?after=nowhere")).await, 400, 131_059);
    refused(&world.get(&format!("/{NUMBER}/groups?limit=0")).await, 400, 100);
    refused(&world.get(&format!("/{NUMBER}/groups?limit=1025")).await, 400, 100);
    let mut ids = Vec::new();
    for person in &nine {
        ids.push(world.joins(&group, person).await["join_request_id"].clone());
    }
    // The same person under two spellings is named twice.
    world.post(&requests, json!({ "join_requests": ids[..8] })).await;
    refused(&remove(&["15550000000", "+1 555-000-0000"]).await, 400, 131_202);
    refused(&world.post(&requests, json!({ "join_requests": [ids[8]] })).await, 400, 131_204);
}

#[tokio::test]
async fn messages_that_groups_do_not_take_are_refused() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    refused(&world.send(&group, json!({ "text": { "body": "hi" } })).await, 400, 131_020);
    world.joins(&group, "15550001111").await;
    let send = async |body: Value| world.send(&group, body).await;
    refused(&send(json!({})).await, 400, 131_008);
    refused(&send(json!({ "text": { "body": "" } })).await, 400, 131_008);
    refused(&send(json!({ "text": { "body": "x".repeat(4097) } })).await, 400, 131_009);
    refused(&send(json!({ "type": "image", "image": {} })).await, 400, 131_008);
    refused(&send(json!({ "type": "template", "template": { "name": "a" } })).await, 400, 131_008);
    for kind in ["interactive", "location", "reaction", "contacts"] {
        refused(&send(json!({ "type": kind, kind: {} })).await, 400, 131_051);
    }
    let pin = |days: Value| json!({ "type": "pin", "pin": { "type": "pin", "message_id": "wamid.A", "expiration_days": days } });
    for days in [json!(0), json!(31), json!(null)] {
        refused(&send(pin(days)).await, 400, 131_009);
    }
    refused(&send(json!({ "recipient_type": "crowd", "text": { "body": "a" } })).await, 400, 131_009);
    refused(&send(json!({ "recipient_type": "individual", "text": { "body": "a" } })).await, 400, 100);
    refused(
        &send(json!({ "recipient_type": "individual", "to": "x", "text": { "body": "a" } })).await,
        400,
        131_026,
    );
    assert_eq!(world.of_type("sent").len(), 0);
}

#[tokio::test]
async fn one_call_too_many_in_a_second_is_told_by_what_was_asked() {
    let world = World::with(&["--group-operations-per-s", "1", "--messages-per-s", "1"]).await;
    let create = async || world.create(json!({ "subject": "a" })).await;
    let limited = groupfold_tests::wait_until("a second create within a second", super::BOUND, async || {
        let (_, second) = (create().await, create().await);
        if second.status == 429 { Ok(second) } else { Err(second) }
    });
    refused(&limited.await, 429, 131_208);
    let group = world.provider.look("calls").await["calls"][0]["group_id"].as_str().unwrap().to_owned();
    world.joins(&group, "15550001111").await;
    let send = async || world.send(&group, json!({ "text": { "body": "hi" } })).await;
    let limited = groupfold_tests::wait_until("a second message within a second", super::BOUND, async || {
        let (_, second) = (send().await, send().await);
        if second.status == 429 { Ok(second) } else { Err(second) }
    });
    refused(&limited.await, 429, 130_429);
    assert_eq!(world.get(&format!("/{group}")).await.status, 200, "reads are not counted");
}
