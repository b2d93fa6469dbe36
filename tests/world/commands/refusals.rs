//! What is not sent, and what the provider turns down.

use groupfold_tests::{Groupfold, NatsServer, Options, http, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use super::{END_WAIT, NUMBER, World, ask};
use crate::hook::{ACCOUNT, created, joined, lifecycle, participants};

#[tokio::test]
async fn a_field_that_breaks_a_rule_is_named_and_nothing_is_sent() {
    let world = World::new(&[], 20_000).await;
    let group = world.group("Tea", "auto_approve").await;
    let path = format!("/v1/groups/{group}");
    let long = "x".repeat(129);
    let many: Vec<String> = (0..9).map(|n| format!("551190000000{n}")).collect();
    let wrong = [
        (
            Method::POST,
            "/v1/groups".to_owned(),
            json!({ "phone_number_id": NUMBER, "subject": long }),
            "subject",
        ),
        (
            Method::POST,
            "/v1/groups".to_owned(),
            json!({ "phone_number_id": NUMBER, "subject": " " }),
            "subject",
        ),
        (
            Method::POST,
            "/v1/groups".to_owned(),
            json!({ "phone_number_id": "a", "subject": "x" }),
            "phone_number_id",
        ),
        (Method::PATCH, path.clone(), json!({}), "subject"),
        (Method::POST, format!("{path}/members:remove"), json!({ "members": [] }), "members"),
        (Method::POST, format!("{path}/members:remove"), json!({ "members": many }), "members"),
        (Method::POST, format!("{path}/members:remove"), json!({ "members": ["1", "1"] }), "members"),
        (
            Method::POST,
            format!("{path}/messages/wamid.1:pin"),
            json!({ "expiration_days": 31 }),
            "expiration_days",
        ),
        (Method::POST, format!("{path}/messages"), json!({ "type": "location" }), "type"),
        (Method::POST, format!("{path}/messages"), json!({ "type": "image" }), "media"),
        (Method::POST, format!("{path}/messages"), json!({ "type": "text" }), "text"),
        (Method::POST, format!("{path}/messages"), json!({ "type": "template" }), "template"),
        (
            Method::POST,
            format!("{path}/join-requests:approve"),
            json!({ "join_requests": [] }),
            "join_requests",
        ),
    ];
    for (method, path, body, field) in wrong {
        let answer = world.ask(method, &path, Some(body.clone()), &[]).await;
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!("invalid_field")), "{body}: {answer}");
        assert!(answer.json["detail"].as_str().unwrap().starts_with(field), "{body}: {answer}");
    }
    for (path, body) in [("/v1/groups", "{"), ("/v1/groups", "{\"subjekt\":1}")] {
        let url = world.groupfold.api_url(path);
        let sent = groupfold_tests::http::client().post(url).body(body).send().await.unwrap();
        let answer = groupfold_tests::http::read(sent).await.unwrap();
        answer.says(422, "bad_body");
    }
    let unknown = world.ask(Method::DELETE, "/v1/groups/nobody", None, &[]).await;
    unknown.says(404, "group_not_found");
    for operation in ["create", "update", "remove", "send", "pin", "approve", "delete"] {
        let created = usize::from(operation == "create");
        assert_eq!(world.calls(operation).await, created, "{operation}");
    }
}

#[tokio::test]
async fn what_the_provider_turns_down_has_a_stable_code_and_advice() {
    let world = World::new(&[], 20_000).await;
    let group = world.group("Tea", "auto_approve").await;
    // Those of the groups' error table; what asks for patience is tried again a few times before it is given up.
    let known = [
        ("131020", "group_without_members", "do_not_retry"),
        ("131041", "group_unknown", "reconcile"),
        ("131062", "recipient_type_unsupported", "do_not_retry"),
        ("131202", "participant_twice", "do_not_retry"),
        ("131204", "too_many_participants", "do_not_retry"),
        ("131207", "group_suspended", "do_not_retry"),
        ("131209", "picture_not_square", "do_not_retry"),
        ("131210", "picture_too_small", "do_not_retry"),
        ("131211", "too_many_groups", "do_not_retry"),
        ("131212", "participant_not_in_group", "treat_as_done"),
        ("131213", "join_request_gone", "treat_as_done"),
        ("131214", "group_creation_disabled", "retry_later"),
        ("131215", "number_not_eligible", "do_not_retry"),
    ];
    for (fault, name, advice) in known {
        world.fault("delete", &format!("error:{fault}"), 1).await;
        let ended = world.done(Method::DELETE, &format!("/v1/groups/{group}"), None).await;
        assert_eq!(ended["errors"][0]["code"].to_string().trim_matches('"'), fault, "{ended}");
        if advice == "treat_as_done" {
            assert_eq!(
                (&ended["status"], &ended["code"]),
                (&json!("succeeded"), &json!(null)),
                "{fault}: {ended}"
            );
        } else {
            let told = (&ended["status"], &ended["code"], &ended["advice"]);
            assert_eq!(told, (&json!("failed"), &json!(name), &json!(advice)), "{fault}: {ended}");
        }
    }
}

#[tokio::test]
async fn too_many_calls_are_waited_out_and_the_command_goes_through() {
    let world = World::new(&[], 20_000).await;
    world.fault("create", "429", 2).await;
    let group = world.group("Tea", "auto_approve").await;
    assert!(!group.is_empty());
    assert_eq!(world.calls("create").await, 3, "two were turned down, the third was taken");
}

#[tokio::test]
async fn a_number_without_a_token_is_told_so() {
    let provider = groupfold_tests::Provider::start(super::SECRET, &[]).await;
    let mut args = super::reaching(&provider, 20_000);
    let at = args.iter().position(|arg| arg == "--meta-access-token").unwrap();
    args[at + 1] = format!("{NUMBER}={}", groupfold_tests::Provider::TOKEN);
    let options = groupfold_tests::Options { args, ..Default::default() };
    let groupfold = groupfold_tests::Groupfold::up(options).await;
    let body = json!({ "phone_number_id": "999", "subject": "x" });
    let answer = super::ask(&groupfold, Method::POST, "/v1/groups", Some(body), &[]).await;
    answer.says(409, "no_provider");
}

/// The store was shut for a moment, and the creation stood under the number in the account's place.
#[tokio::test]
async fn a_creation_whose_account_cannot_be_read_now_is_told_so_and_stands_under_no_other() {
    let nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    let nobody =
        ["--partitions", "1", "--meta-access-token", "t", "--meta-graph-url", "http://127.0.0.1:9/v1"];
    options.args.extend(nobody.map(str::to_owned));
    let mut groupfold = Groupfold::up(options).await;
    assert_eq!(groupfold.post(&lifecycle(&[created("G", "Tea", 1_767_225_600)])).await.status, 200);
    groupfold.caught_up().await;
    groupfold.options().env = vec![("GROUPFOLD_CRASH".to_owned(), "commit.bad_sync".to_owned())];
    groupfold.restart().await;
    assert_eq!(groupfold.post(&participants(&[joined("G", "5511", 1_767_225_601)])).await.status, 200);
    // A second, until it is opened anew.
    wait_until("the store is shut", END_WAIT, async || {
        let sent = http::client().get(groupfold.api_url("/v1/groups")).send().await.unwrap();
        let answer = http::read(sent).await.unwrap();
        if answer.json["code"] == "store_closed" { Ok(()) } else { Err(answer) }
    })
    .await;
    let body = json!({ "phone_number_id": crate::hook::NUMBER, "subject": "Coffee" });
    let answer = ask(&groupfold, Method::POST, "/v1/groups", Some(body), &[]).await;
    if answer.status == 503 {
        assert_eq!(answer.json["code"], "store_closed", "{answer}");
        assert!(answer.json["detail"].as_str().unwrap().contains("the account of the number"), "{answer}");
        return;
    }
    // Too late, on a machine that is busy.
    let mut why = Groupfold::command();
    why.args(["why", answer.json["command_id"].as_str().unwrap(), "--output", "json", "--data"]);
    let told: Value = serde_json::from_slice(&why.arg(groupfold.data()).output().unwrap().stdout).unwrap();
    assert_eq!(told["events"][0]["account"], ACCOUNT, "{answer}: {told}");
}
