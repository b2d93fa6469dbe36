//! The plan of failures: each fault does what it says, and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use groupfold_tests::{Provider, http, wait_until};
use reqwest::Method;
use serde_json::json;

use super::{NUMBER, World};

/// How long an answer is waited for that never comes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for a group, and waits for the answer in vain.
async fn creates_unanswered(world: &World, subject: &str) {
    let url = format!("{}/v25.0/{NUMBER}/groups", world.provider.url());
    let request = http::client().post(url).bearer_auth(Provider::TOKEN).timeout(PATIENCE);
    let sent = request.json(&super::of_whatsapp(json!({ "subject": subject }))).send().await;
    assert!(sent.is_err(), "{sent:?}");
}

async fn groups(world: &World) -> usize {
    world.get(&format!("/{NUMBER}/groups")).await.json["data"]["groups"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_refusal_by_plan_does_nothing_and_is_over_after_its_times() {
    let world = World::with(&[]).await;
    let wanted = [
        ("429", 429, 131_208),
        ("500", 500, 131_000),
        ("503", 503, 2),
        ("error:131214", 400, 131_214),
        ("error:131215", 400, 131_215),
        ("error:131062", 400, 131_062),
    ];
    for (fault, status, code) in wanted {
        world.fault(json!({ "operation": "create", "fault": fault, "times": 1 })).await;
        let answer = world.create(json!({ "subject": "a" })).await;
        assert_eq!(
            (answer.status, &answer.json["error"]["code"]),
            (status, &json!(code)),
            "{fault}: {answer}"
        );
    }
    assert_eq!(groups(&world).await, 0);
    assert_eq!(world.create(json!({ "subject": "a" })).await.status, 200);
    let calls = world.provider.look("calls?operation=create").await;
    assert_eq!(calls["calls"].as_array().unwrap().len(), 7, "{calls}");
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_work_done_or_not() {
    let world = World::with(&["--fault", "create=timeoutx1"]).await;
    creates_unanswered(&world, "done").await;
    // Who gives up has not been told when it was done.
    let call = wait_until("it is done", super::BOUND, async || {
        let calls = world.provider.look("calls?operation=create").await;
        if calls["calls"][0].is_object() { Ok(calls["calls"][0].clone()) } else { Err(calls) }
    })
    .await;
    assert_eq!(groups(&world).await, 1);
    assert_eq!((&call["answered"], &call["status"]), (&json!(false), &json!(200)));
    world.told("group_create", &call["request_id"]).await;
    world.fault(json!({ "operation": "create", "fault": "timeout_before", "times": 1 })).await;
    creates_unanswered(&world, "not done").await;
    assert_eq!(groups(&world).await, 1);
    assert_eq!(world.create(json!({ "subject": "as ever" })).await.status, 200);
}

#[tokio::test]
async fn a_fault_of_the_provider_may_come_after_the_deed() {
    let world = World::with(&["--fault", "create=500_afterx1"]).await;
    let answer = world.create(json!({ "subject": "a" })).await;
    assert_eq!((answer.status, &answer.json["error"]["code"]), (500, &json!(131_000)), "{answer}");
    let call = world.last_call("create").await;
    assert_eq!((&call["status"], groups(&world).await), (&json!(500), 1));
    world.told("group_create", &call["request_id"]).await;
}

#[tokio::test]
async fn a_webhook_comes_before_the_answer_twice_or_never() {
    let world = World::with(&["--webhook-delay", "100ms"]).await;
    let mut first = 0;
    wait_until("a webhook is there when its answer is", super::BOUND, async || {
        world.fault(json!({ "operation": "create", "fault": "webhook_first", "times": 1 })).await;
        let answer = world.create(json!({ "subject": "a" })).await;
        let told = world.of_type("group_create");
        first += 1;
        if told.len() == first && told[first - 1]["request_id"] == answer.json["request_id"] {
            return Ok(());
        }
        // No answer waits for ever: on a machine with much to do one may go first.
        world.told("group_create", &answer.json["request_id"]).await;
        Err("the answer was first")
    })
    .await;
    world.fault(json!({ "operation": "create", "fault": "webhook_twice", "times": 1 })).await;
    let answer = world.create(json!({ "subject": "b" })).await;
    let told = world.told_times("group_create", first + 2).await;
    assert!(told[first..].iter().all(|item| item["request_id"] == answer.json["request_id"]));
    world.fault(json!({ "operation": "create", "fault": "webhook_never", "times": 1 })).await;
    world.create(json!({ "subject": "c" })).await;
    world.create(json!({ "subject": "d" })).await;
    let told = world.told_times("group_create", first + 3).await;
    assert_eq!(told[first + 2]["subject"], "d");
    assert_eq!(groups(&world).await, first + 3);
}

#[tokio::test]
async fn what_was_accepted_may_fail_later() {
    let world = World::with(&[]).await;
    let group = world.group("auto_approve").await;
    world.joins(&group, "15550001111").await;
    world.fault(json!({ "fault": "webhook_failed" })).await;
    let created = world.create(json!({ "subject": "a" })).await;
    let told = world.told("group_create", &created.json["request_id"]).await;
    assert!(told["errors"][0]["code"].is_number() || told["errors"][0]["code"].is_string(), "{told}");
    world.post(&format!("/{group}"), json!({ "subject": "b", "description": "c" })).await;
    let told = &world.told_times("group_settings_update", 1).await[0];
    let subject = told.get("group_subject").or(told.get("subject")).unwrap();
    assert_eq!((&subject["update_successful"], &subject["text"]), (&json!(false), &json!("b")));
    assert!(told["errors"].is_array());
    let out = json!({ "participants": [{ "user": "15550001111" }] });
    assert_eq!(world.delete(&format!("/{group}/participants"), out).await.status, 200);
    let told = &world.told_times("group_participants_remove", 1).await[0];
    assert!(told.get("removed_participants").is_none() && told["errors"].is_array(), "{told}");
    assert_eq!(world.send(&group, json!({ "text": { "body": "hi" } })).await.status, 200);
    world.told_times("failed", 1).await;
    assert_eq!(world.provider.call(Method::DELETE, &format!("/{group}"), None).await.status, 200);
    assert!(world.told_times("group_delete", 1).await[0]["errors"].is_array());
    let info = world.get(&format!("/{group}?fields=subject,total_participant_count")).await.json;
    assert_eq!((&info["subject"], &info["total_participant_count"]), (&json!("Tea"), &json!(1)));
    assert_eq!(groups(&world).await, 1);
}

#[tokio::test]
async fn what_is_done_in_part_is_told_so_in_the_answer_or_in_the_webhook() {
    let world = World::with(&[]).await;
    let group = world.group("approval_required").await;
    let mut ids = Vec::new();
    for person in ["15550001111", "15550002222", "15550003333"] {
        ids.push(world.joins(&group, person).await["join_request_id"].clone());
    }
    let requests = format!("/{group}/join_requests");
    world.fault(json!({ "fault": "partial", "times": 3 })).await;
    let answer = world.post(&requests, json!({ "join_requests": ids })).await;
    assert_eq!(answer.json["approved_join_requests"], json!(ids[..2]), "{answer}");
    assert_eq!(answer.json["failed_join_requests"][0]["errors"][0]["code"], 131_203);
    let out = json!({ "participants": [{ "user": "15550001111" }, { "user": "15550002222" }] });
    let answer = world.delete(&format!("/{group}/participants"), out).await;
    assert_eq!((answer.status, &answer.json["error"]["code"]), (206, &json!(131_201)));
    let told = &world.told_times("group_participants_remove", 1).await[0];
    assert_eq!(told["failed_participants"].as_array().unwrap().len(), 1, "{told}");
    world.post(&format!("/{group}"), json!({ "subject": "b", "description": "c" })).await;
    world.told_times("group_settings_update", 1).await;
    let info = world.get(&format!("/{group}?fields=subject,description,total_participant_count")).await.json;
    assert_eq!(info["subject"], "b");
    assert_eq!((info.get("description"), &info["total_participant_count"]), (None, &json!(1)));
}

#[tokio::test]
async fn a_request_id_is_where_the_documents_contradict_each_other() {
    let world = World::with(&["--fault", "request_id", "--fault", "create=no_request_id"]).await;
    let answer = world.create(json!({ "subject": "a" })).await;
    assert_eq!(answer.json, json!({ "messaging_product": "whatsapp" }));
    let created = world.last_call("create").await;
    let group = created["group_id"].as_str().unwrap();
    let updated = world.post(&format!("/{group}"), json!({ "subject": "b" })).await;
    world.told("group_settings_update", &updated.json["request_id"]).await;
    world.joins(group, "15550001111").await;
    let out = json!({ "participants": [{ "user": "15550001111" }] });
    let removed = world.delete(&format!("/{group}/participants"), out).await;
    world.told("group_participants_remove", &removed.json["request_id"]).await;
    let deleted = world.provider.call(Method::DELETE, &format!("/{group}"), None).await;
    world.told("group_delete", &deleted.json["request_id"]).await;
}

#[tokio::test]
async fn webhooks_of_people_may_be_lost_and_the_list_of_faults_can_be_cleared() {
    let world = World::with(&["--fault", "people=webhook_never"]).await;
    let group = world.group("auto_approve").await;
    world.joins(&group, "15550001111").await;
    let url = format!("{}/simulator/faults", world.provider.url());
    let listed = world.provider.look("faults").await;
    assert_eq!(listed["faults"][0]["operation"], "people", "{listed}");
    http::client().delete(url).send().await.unwrap();
    world.joins(&group, "15550002222").await;
    let told = &world.told_times("group_participants_add", 1).await[0];
    assert_eq!(told["added_participants"], json!([{ "wa_id": "15550002222" }]));
    let info = world.get(&format!("/{group}?fields=total_participant_count")).await.json;
    assert_eq!(info["total_participant_count"], 2);
}

#[tokio::test]
async fn a_receiver_that_was_down_is_told_later() {
    let provider = Provider::start(super::SECRET, &[]).await;
    let endpoint = crate::endpoint::Endpoint::start(|n| if n < 4 { 503 } else { 200 });
    let world = World { provider, endpoint };
    // Nobody has said yet where webhooks go.
    let answer = world.create(json!({ "subject": "a" })).await;
    assert_eq!(world.provider.look("webhooks").await["pending"], 1);
    world.provider.tell(&world.endpoint.url).await;
    world.told("group_create", &answer.json["request_id"]).await;
    world.provider.all_told().await;
}

/// Webhooks that were under way once went to the old address alone.
#[tokio::test]
async fn a_webhook_that_is_tried_again_goes_where_webhooks_go_now() {
    let provider = Provider::start(super::SECRET, &[]).await;
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let before = crate::endpoint::Endpoint::start(move |n| {
        count.store(n, Ordering::SeqCst);
        503
    });
    provider.tell(&before.url).await;
    let world = World { provider, endpoint: crate::endpoint::Endpoint::start(|_| 200) };
    let answer = world.create(json!({ "subject": "a" })).await;
    wait_until("it was tried", super::BOUND, async || {
        if tried.load(Ordering::SeqCst) == 0 { Err("it was not") } else { Ok(()) }
    })
    .await;
    world.provider.tell(&world.endpoint.url).await;
    world.told("group_create", &answer.json["request_id"]).await;
    world.provider.all_told().await;
}

#[test]
fn what_is_no_fault_and_what_is_open_to_others_is_a_usage_error() {
    for args in
        [["--serve", "127.0.0.1:0", "--fault", "create=fire"], ["--serve", "0.0.0.0:0", "--seed", "1"]]
    {
        let output = groupfold_tests::Groupfold::command().arg("simulate").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
