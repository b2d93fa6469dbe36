//! What the platform says of groups, written and read back.

use super::*;

async fn group(world: &World) -> Value {
    world.get("/v1/groups/G").await.ok()
}

#[tokio::test]
async fn what_is_laid_down_is_shown_and_stands_in_the_history() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let fresh = group(&world).await;
    assert_eq!((&fresh["archived"], &fresh["blocked"]), (&json!(false), &json!(false)));
    assert_eq!(fresh["visibility"], json!({"all": true, "teams": [], "users": []}));
    let visible = r#"{"teams":["sales","sales","ops"]}"#;
    let written = world.send_body("PUT", "/v1/groups/G/visibility", "", visible).await;
    assert_eq!((written.status, &written.body["folded"]), (200, &json!(true)), "{}", written.body);
    assert_eq!(written.header("groupfold-position"), written.body["position"].as_str());
    for (method, path) in [
        ("PUT", "/v1/groups/G/labels/very%20important"),
        ("PUT", "/v1/groups/G/labels/late"),
        ("DELETE", "/v1/groups/G/labels/late"),
        ("PUT", "/v1/groups/G/archive"),
        ("PUT", "/v1/groups/G/block"),
    ] {
        world.send(method, path, "groupfold-actor: agent-7\r\n").await.ok();
    }
    let shown = group(&world).await;
    assert_eq!(shown["visibility"], json!({"all": false, "teams": ["ops", "sales"], "users": []}));
    assert_eq!(shown["labels"], json!(["very important"]));
    assert_eq!((&shown["archived"], &shown["blocked"]), (&json!(true), &json!(true)));
    assert_eq!(shown["phone_number_id"], "PN", "where it belongs stays");

    let entries = world.get("/v1/groups/G/timeline?limit=3").await.ok();
    assert_eq!(entries["entries"][1]["kind"], "visibility_changed");
    assert_eq!(entries["entries"][2]["text"], "The label \"very important\" was added");
    assert_eq!(entries["entries"][2]["user_id"], "agent-7");
    let rest = format!("/v1/groups/G/timeline?cursor={}", entries["cursor"].as_str().unwrap());
    let rest = world.get(&rest).await.ok();
    let kinds: Vec<_> = rest["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["label_added", "label_removed", "archived", "blocked"]);

    for path in ["/v1/groups/G/archive", "/v1/groups/G/block"] {
        world.send("DELETE", path, "").await.ok();
    }
    let shown = group(&world).await;
    assert_eq!((&shown["archived"], &shown["blocked"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn a_request_repeated_under_its_key_is_one_event_and_another_one_is_refused() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let key = "idempotency-key: k1\r\n";
    let once = world.send("PUT", "/v1/groups/G/archive", key).await.ok();
    world.send("DELETE", "/v1/groups/G/archive", key).await.ok();
    let twice = world.send("PUT", "/v1/groups/G/archive", key).await.ok();
    assert_eq!(once["event_id"], twice["event_id"]);
    assert_eq!(group(&world).await["archived"], false, "the repeat did not undo what came in between");

    let path = "/v1/groups/G/moderators";
    world.send_body("PUT", path, key, r#"{"users":["ana"]}"#).await.ok();
    let other = world.send_body("PUT", path, key, r#"{"users":["bob"]}"#).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    // Ana is no moderator any more when the answer to her own request is asked for again.
    let mine = "groupfold-actor: ana\r\nidempotency-key: k2\r\n";
    world.send_body("PUT", path, mine, r#"{"users":["bob"]}"#).await.ok();
    world.send_body("PUT", path, mine, r#"{"users":["bob"]}"#).await.ok();
}

/// The clock of another process may be ahead.
#[tokio::test]
async fn a_word_is_later_than_the_one_that_it_answers_to() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let ahead = record("G", 99_999_999_999, Kind::BlockSet(v1::BlockSet { blocked: true }));
    world.tell(v1::Record { evidence: v1::Evidence::Platform.into(), ..ahead });
    assert_eq!(group(&world).await["blocked"], true);
    world.send("DELETE", "/v1/groups/G/block", "").await.ok();
    assert_eq!(group(&world).await["blocked"], false);
}

#[tokio::test]
async fn an_actor_who_does_not_moderate_a_group_that_is_moderated_is_refused() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    world.send("PUT", "/v1/groups/G/labels/a", "groupfold-actor: bob\r\n").await.ok();
    world.send_body("PUT", "/v1/groups/G/moderators", "", r#"{"users":["ana"]}"#).await.ok();
    for (method, path) in [
        ("PUT", "/v1/groups/G/labels/b"),
        ("DELETE", "/v1/groups/G/labels/a"),
        ("PUT", "/v1/groups/G/archive"),
        ("DELETE", "/v1/groups/G/block"),
    ] {
        let refused = world.send(method, path, "groupfold-actor: bob\r\n").await;
        assert_eq!(refused.problem(), (403, "not_moderator".to_owned()), "{method} {path}");
        world.send(method, path, "groupfold-actor: ana\r\n").await.ok();
        world.send(method, path, "").await.ok();
    }
    // To see a message is no command.
    let seen =
        world.send_body("POST", "/v1/messages/m/views", "groupfold-actor: bob\r\n", r#"{"group_id":"G"}"#);
    seen.await.ok();
}

#[tokio::test]
async fn a_message_of_a_member_brings_an_archived_group_back() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let message = |second, id: &str| {
        let from = Some(who("1"));
        let message = v1::MessageReceived { message_id: id.into(), from, ..Default::default() };
        record("G", second, Kind::MessageReceived(message))
    };
    world.tell(message(5, "in1"));
    world.send("PUT", "/v1/groups/G/archive", "").await.ok();
    world.tell(message(3, "late"));
    assert_eq!(group(&world).await["archived"], true);
    world.tell(message(6, "in2"));
    assert_eq!(group(&world).await["archived"], false);
}

#[tokio::test]
async fn a_view_is_told_beside_the_receipts() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    world.tell(receipt("G", 2, "M", ReceiptStatus::Read, Some("1")));
    let unknown = world.send_body("POST", "/v1/messages/in/views", "", r#"{"user_id":"ana"}"#).await;
    assert_eq!(unknown.problem(), (404, "message_not_found".to_owned()));
    let nobody = world.send("POST", "/v1/messages/M/views", "").await;
    assert_eq!(nobody.problem(), (422, "bad_body".to_owned()));
    for _ in 0..2 {
        world.send("POST", "/v1/messages/M/views", "groupfold-actor: ana\r\n").await.ok();
        let inbound = r#"{"user_id":"bob","group_id":"G"}"#;
        world.send_body("POST", "/v1/messages/in/views", "", inbound).await.ok();
    }
    let both = world.get("/v1/messages/M/receipts").await.ok();
    assert_eq!((&both["users"][0]["user_id"], &both["members"][0]["wa_id"]), (&json!("ana"), &json!("1")));
    assert_eq!(both["counts"], json!({"delivered": 1, "read": 1, "played": 0, "viewed": 1}));
    let inbound = world.get("/v1/messages/in/receipts").await.ok();
    assert_eq!((&inbound["group_id"], &inbound["users"][0]["user_id"]), (&json!("G"), &json!("bob")));
}

#[tokio::test]
async fn groups_are_filtered_by_what_was_said_of_them() {
    let world = World::new().await;
    for id in ["A", "B", "C"] {
        world.tell(created(id, 1, "x"));
    }
    world.send("PUT", "/v1/groups/A/labels/vip", "").await.ok();
    world.send("PUT", "/v1/groups/B/labels/vip", "").await.ok();
    world.send("PUT", "/v1/groups/B/labels/late", "").await.ok();
    world.send("PUT", "/v1/groups/B/archive", "").await.ok();
    world.send("PUT", "/v1/groups/C/block", "").await.ok();
    world.send_body("PUT", "/v1/groups/A/visibility", "", r#"{"users":["ana"],"teams":["ops"]}"#).await.ok();
    world.send_body("PUT", "/v1/groups/C/visibility", "", r#"{"all":false}"#).await.ok();
    world.send_body("PUT", "/v1/groups/C/moderators", "", r#"{"users":["bob"]}"#).await.ok();
    for (query, expected) in [
        ("label=vip", vec!["A", "B"]),
        ("label=vip&label=late", vec!["B"]),
        ("archived=true", vec!["B"]),
        ("archived=false&blocked=false", vec!["A"]),
        ("blocked=true", vec!["C"]),
        ("visible_to=user:ana", vec!["A", "B"]),
        ("visible_to=team:ops", vec!["A", "B"]),
        ("visible_to=user:bob", vec!["B", "C"]),
        ("visible_to=user:bob&visible_to=team:ops", vec!["A", "B", "C"]),
        ("visible_to=user:nobody", vec!["B"]),
    ] {
        let page = world.get(&format!("/v1/groups?{query}")).await.ok();
        let ids: Vec<_> = page["groups"].as_array().unwrap().iter().map(|group| &group["group_id"]).collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_named() {
    let world = World::new().await;
    world.tell(created("G", 1, "x"));
    let many = json!({ "users": (0..101).map(|i| i.to_string()).collect::<Vec<_>>() }).to_string();
    let huge = json!({ "users": ["x".repeat(70_000)] }).to_string();
    for (path, body, status, code) in [
        ("/v1/groups/G/visibility", "", 422, "bad_body"),
        ("/v1/groups/G/visibility", "{}", 422, "bad_body"),
        ("/v1/groups/G/visibility", r#"{"all":true,"users":["a"]}"#, 422, "bad_body"),
        ("/v1/groups/G/visibility", r#"{"everybody":true}"#, 422, "bad_body"),
        ("/v1/groups/G/moderators", r#"{"users":[""]}"#, 422, "bad_body"),
        ("/v1/groups/G/moderators", &many, 422, "bad_body"),
        ("/v1/groups/G/moderators", &huge, 413, "body_too_large"),
        ("/v1/groups/none/moderators", r#"{"users":["a"]}"#, 404, "group_not_found"),
        ("/v1/groups/G/labels/%20", "", 400, "bad_label"),
        ("/v1/groups/none/archive", "", 404, "group_not_found"),
    ] {
        let reply = world.send_body("PUT", path, "", body).await;
        assert_eq!(reply.problem(), (status, code.to_owned()), "{path} {body}");
    }
    for header in [format!("idempotency-key: {}\r\n", "x".repeat(129)), "groupfold-actor: \r\n".to_owned()] {
        let reply = world.send("PUT", "/v1/groups/G/archive", &header).await;
        assert_eq!(reply.problem(), (400, "bad_header".to_owned()), "{header}");
    }
    for i in 0..50 {
        world.send("PUT", &format!("/v1/groups/G/labels/{i}"), "").await.ok();
    }
    let more = world.send("PUT", "/v1/groups/G/labels/more", "").await;
    assert_eq!(more.problem(), (409, "too_many_labels".to_owned()));
    world.send("PUT", "/v1/groups/G/labels/7", "").await.ok();
}
