//! Every path of a command's life: webhooks first, late, twice, never; answers that never come; no request id.

use groupfold_tests::{Groupfold, shows, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use super::{NUMBER, TOLD_MS, World};

fn tea() -> Option<Value> {
    Some(json!({ "phone_number_id": NUMBER, "subject": "Tea" }))
}

#[tokio::test]
async fn the_same_key_is_the_same_command_and_is_sent_once() {
    let world = World::new(&[], TOLD_MS).await;
    let key = [("idempotency-key", "k-1"), ("groupfold-actor", "agent-7")];
    let first = world.ask(Method::POST, "/v1/groups", tea(), &key).await;
    assert_eq!(first.status, 202, "{first}");
    let ended = world.ended(&first).await;
    assert_eq!((&ended["status"], &ended["asked_by"]), (&json!("succeeded"), &json!("agent-7")));
    for _ in 0..3 {
        let again = world.ask(Method::POST, "/v1/groups", tea(), &key).await;
        assert_eq!((again.status, &again.json["command_id"]), (202, &first.json["command_id"]), "{again}");
    }
    let other = json!({ "phone_number_id": NUMBER, "subject": "Coffee" });
    let other = world.ask(Method::POST, "/v1/groups", Some(other), &key).await;
    other.says(422, "idempotency_key_reused");
    assert_eq!(world.calls("create").await, 1);
}

#[tokio::test]
async fn an_outcome_is_joined_whether_it_comes_before_the_answer_twice_or_without_a_request_id() {
    let world = World::new(&[], TOLD_MS).await;
    for fault in ["webhook_first", "webhook_twice"] {
        world.fault("create", fault, 1).await;
        let ended = world.done(Method::POST, "/v1/groups", tea()).await;
        shows(&ended, json!({ "status": "succeeded", "told_by_webhook": true }));
    }
    let group = world.group("Other", "auto_approve").await;
    let path = format!("/v1/groups/{group}");
    for fault in ["request_id", "no_request_id", "webhook_first"] {
        world.fault("update", fault, 1).await;
        let body = json!({ "description": fault });
        let ended = world.done(Method::PATCH, &path, Some(body)).await;
        shows(&ended, json!({ "status": "succeeded", "told_by_webhook": true }));
    }
    world.fault("update", "webhook_failed", 1).await;
    let ended = world.done(Method::PATCH, &path, Some(json!({ "subject": "x" }))).await;
    shows(&ended, json!({ "status": "failed", "told_by_webhook": true }));
    world.fault("create", "webhook_failed", 1).await;
    let ended = world.done(Method::POST, "/v1/groups", tea()).await;
    shows(&ended, json!({ "status": "failed", "told_by_webhook": true }));
    // In stable words, as if it had been answered.
    shows(&ended, json!({ "code": "provider_fault", "advice": "retry_later" }));
}

/// It was shown as sent for ever.
#[tokio::test]
async fn an_invitation_and_a_pin_that_fail_later_have_failed() {
    let world = World::new(&[], TOLD_MS).await;
    let group = world.group("Tea", "auto_approve").await;
    world.joined(&group, "5511911111111").await;
    let path = format!("/v1/groups/{group}/messages");
    let text = || json!({ "type": "text", "text": { "body": "hello" } });
    let sent = world.done(Method::POST, &path, Some(text())).await;
    let message = sent["message_id"].as_str().unwrap().replace('=', "%3D");
    let invite = json!({ "invite": "5511944444444", "template": "group_invite", "language": "en" });
    let pin = (format!("{path}/{message}:pin"), json!({ "expiration_days": 3 }));
    for (operation, (path, body), code) in
        [("send", (path, invite), "held_back_by_provider"), ("pin", pin, "undeliverable")]
    {
        world.fault(operation, "webhook_failed", 1).await;
        let taken = world.done(Method::POST, &path, Some(body)).await;
        let id = taken["command_id"].as_str().unwrap_or_else(|| panic!("{taken}"));
        wait_until("its failure is told", super::END_WAIT, async || {
            let command = world.groupfold.get(&format!("/v1/commands/{id}")).await.json;
            let told = (&command["status"], &command["code"], &command["told_by_webhook"]);
            if told == (&json!("failed"), &json!(code), &json!(true)) { Ok(()) } else { Err(command) }
        })
        .await;
    }
    // Nobody became a member by being invited.
    let members = world.groupfold.get(&format!("/v1/groups/{group}/members")).await.json;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(1), "{members}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_looked_for_and_nothing_is_sent_again() {
    let world = World::new(&[], 8_000).await;
    world.fault("create", "timeout", 1).await;
    world.fault("create", "webhook_never", 1).await;
    let done = world.done(Method::POST, "/v1/groups", tea()).await;
    let done = looked_for(&world, done).await;
    shows(&done, json!({ "status": "succeeded", "told_by_webhook": false }));
    assert!(done["group_id"].is_string() && done["detail"].is_string(), "{done}");
    world.fault("create", "timeout_before", 1).await;
    let body = json!({ "phone_number_id": NUMBER, "subject": "Never made" });
    let never = world.done(Method::POST, "/v1/groups", Some(body)).await;
    let never = looked_for(&world, never).await;
    assert_eq!(never["status"], "failed", "{never}");
    assert_eq!(world.calls("create").await, 2, "each was sent once");
}

/// The webhook names a request that is known from the answer alone. A group that it told of was once taken for another
/// command's, and the creation for failed.
#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_though_a_webhook_told_of_the_group() {
    let world = World::new(&[], 8_000).await;
    let others = world.group("Tea", "auto_approve").await;
    world.fault("create", "timeout", 1).await;
    let done = world.done(Method::POST, "/v1/groups", tea()).await;
    world.all_told().await;
    let done = looked_for(&world, done).await;
    assert_eq!(done["status"], "succeeded", "{done}");
    let group = done["group_id"].as_str().unwrap_or_else(|| panic!("{done}"));
    assert_ne!(group, others, "{done}");
    let told = world.groupfold.get(&format!("/v1/groups/{group}")).await.json;
    assert_eq!(told["subject"], "Tea", "{told}");
    world.fault("create", "timeout_before", 1).await;
    let never = world.done(Method::POST, "/v1/groups", tea()).await;
    let never = looked_for(&world, never).await;
    assert_eq!(never["status"], "failed", "both groups of the name are of other commands: {never}");
}

/// It once ended with "unknown" while the group was being looked for: whoever asked again had two.
#[tokio::test]
async fn the_program_waits_until_a_command_whose_answer_was_lost_was_looked_for() {
    let world = World::new(&[], 8_000).await;
    world.fault("create", "timeout", 1).await;
    let mut command = Groupfold::command();
    command.args(["group", "create", "--phone-number-id", NUMBER, "--subject", "Tea", "--wait", "60"]);
    let output = command.args(["--output", "json", "--data"]).arg(world.groupfold.data()).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &told["status"]), (Some(0), &json!("succeeded")), "{told}");
}

/// A command that nobody can say of is looked for: what it is after that.
async fn looked_for(world: &World, command: Value) -> Value {
    let path = format!("/v1/commands/{}", command["command_id"].as_str().unwrap());
    wait_until("it is looked for", super::END_WAIT, async || {
        let command = world.groupfold.get(&path).await.json;
        if command["detail"].is_string() { Ok(command) } else { Err(command.to_string()) }
    })
    .await
}

/// A fault of the provider's own says neither that it was done nor that it was not.
#[tokio::test]
async fn after_a_fault_of_the_provider_it_is_looked_for_and_nothing_is_sent_again() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "auto_approve").await;
    world.joined(&group, "5511911111111").await;
    let path = format!("/v1/groups/{group}");
    let hello = || Some(json!({ "type": "text", "text": { "body": "hello" } }));
    let green = || Some(json!({ "phone_number_id": NUMBER, "subject": "Green" }));
    let black = || Some(json!({ "phone_number_id": NUMBER, "subject": "Black" }));
    for (operation, fault, method, path, body, expected) in [
        ("create", "500_after", Method::POST, "/v1/groups".to_owned(), green(), "succeeded"),
        ("create", "503", Method::POST, "/v1/groups".to_owned(), black(), "failed"),
        ("update", "500_after", Method::PATCH, path.clone(), Some(json!({ "subject": "x" })), "succeeded"),
        ("update", "500", Method::PATCH, path.clone(), Some(json!({ "subject": "y" })), "failed"),
        ("send", "500", Method::POST, format!("{path}/messages"), hello(), "unknown"),
    ] {
        let before = world.calls(operation).await;
        world.fault(operation, fault, 1).await;
        let done = world.done(method, &path, body).await;
        let done = world.settled(done["command_id"].as_str().unwrap()).await;
        assert_eq!(done["status"], expected, "{operation} {fault}: {done}");
        assert_eq!(world.calls(operation).await, before + 1, "{operation} {fault}");
    }
    world.fault("send", "500_after", 1).await;
    let sent = world.done(Method::POST, &format!("{path}/messages"), hello()).await;
    wait_until("its status proves it", super::END_WAIT, async || {
        let command =
            world.groupfold.get(&format!("/v1/commands/{}", sent["command_id"].as_str().unwrap())).await;
        if command.json["status"] == "succeeded" { Ok(()) } else { Err(command) }
    })
    .await;
}

#[tokio::test]
async fn without_a_webhook_the_provider_is_asked_what_became_of_it() {
    let world = World::new(&[], 4_000).await;
    let group = world.group("Tea", "auto_approve").await;
    world.joined(&group, "5511911111111").await;
    let path = format!("/v1/groups/{group}");
    world.fault("any", "webhook_never", 10).await;
    let asked = [
        (Method::PATCH, path.clone(), Some(json!({ "subject": "Coffee" }))),
        (Method::POST, format!("{path}/members:remove"), Some(json!({ "members": ["5511911111111"] }))),
        (Method::DELETE, path.clone(), None),
    ];
    let mut shown = Vec::new();
    for (method, path, body) in asked {
        let ended = world.done(method, &path, body).await;
        shows(&ended, json!({ "status": "succeeded", "told_by_webhook": false }));
        world.groupfold.caught_up().await;
        shown.push(world.groupfold.get(&format!("/v1/groups/{group}")).await.json);
    }
    // What was read is known from then on.
    let statuses: Vec<_> = shown.iter().map(|group| &group["status"]).collect();
    assert_eq!(statuses, ["active", "active", "deleted"]);
    assert_eq!(shown[0]["subject"], "Coffee", "{}", shown[0]);
    assert_ne!(shown[1]["members"][0]["status"], "member", "{}", shown[1]);
}

#[tokio::test]
async fn a_link_whose_answer_was_lost_is_read_and_a_message_is_proved_by_its_status() {
    let world = World::new(&[], 8_000).await;
    let group = world.group("Tea", "auto_approve").await;
    world.joined(&group, "5511911111111").await;
    let path = format!("/v1/groups/{group}");
    world.fault("reset_link", "timeout", 1).await;
    let reset = world.done(Method::POST, &format!("{path}/invite-link"), None).await;
    let reset = looked_for(&world, reset).await;
    assert_eq!(reset["status"], "succeeded", "{reset}");
    let link = world.groupfold.get(&format!("{path}/invite-link")).await.json["invite_link"].clone();
    assert_eq!(world.groupfold.get(&path).await.json["invite_link"], link);
    world.fault("send", "timeout", 1).await;
    let body = json!({ "type": "text", "text": { "body": "hello" } });
    let asked = world.ask(Method::POST, &format!("{path}/messages"), Some(body), &[]).await;
    world.all_told().await;
    let id = asked.json["command_id"].as_str().unwrap();
    wait_until("the status proves it", super::END_WAIT, async || {
        let command = world.groupfold.get(&format!("/v1/commands/{id}")).await.json;
        if command["status"] == "succeeded" && command["message_id"].is_string() {
            Ok(())
        } else {
            Err(command.to_string())
        }
    })
    .await;
    assert_eq!((world.calls("send").await, world.calls("reset_link").await), (1, 1));
}

#[tokio::test]
async fn two_of_a_kind_in_one_group_go_one_after_the_other() {
    let world = World::new(&["--webhook-delay", "200ms"], TOLD_MS).await;
    let group = world.group("Tea", "auto_approve").await;
    let path = format!("/v1/groups/{group}");
    let mut asked = Vec::new();
    for subject in ["One", "Two", "Three"] {
        asked.push(world.ask(Method::PATCH, &path, Some(json!({ "subject": subject })), &[]).await);
    }
    for answer in &asked {
        let ended = world.ended(answer).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
    }
    assert_eq!(world.calls("update").await, 3);
}
