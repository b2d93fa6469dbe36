//! A process that is killed with commands in hand loses none, sends none twice, and each reaches an end.

use groupfold_tests::{Groupfold, NatsServer, Options, Provider, shows, wait_until};
use reqwest::Method;
use serde_json::json;

use super::{END_WAIT, NUMBER, SECRET, ask, calls, dead, dies_at, ended, reaching};

/// Groups that the provider was told to create: none of them twice.
async fn sent_once_each(provider: &Provider) -> usize {
    let told = provider.look("calls?operation=create").await;
    let mut subjects: Vec<_> =
        told["calls"].as_array().unwrap().iter().map(|call| call["body"]["subject"].to_string()).collect();
    let sent = subjects.len();
    subjects.sort();
    subjects.dedup();
    assert_eq!(sent, subjects.len(), "sent twice: {told}");
    sent
}

/// Arguments by which a provider is reached, of which an answer is awaited so long.
pub(super) fn answered_within(ms: u32, mut args: Vec<String>) -> Vec<String> {
    for name in ["--provider-deadline-ms", "--provider-patience-ms"] {
        let at = args.iter().position(|arg| arg == name).unwrap();
        args[at + 1] = ms.to_string();
    }
    args
}

/// Killed between any two steps of a command.
#[tokio::test]
async fn killed_between_any_two_steps_it_is_sent_at_most_once_and_ends() {
    let provider = Provider::start(SECRET, &[]).await;
    let args = answered_within(2_000, reaching(&provider, 20_000));
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    // Of what was claimed or sent, and of which the provider knows nothing, the whole deadline is waited out.
    let points = [
        ("command.requested", 20_000),
        ("command.claimed", 6_000),
        ("command.sent", 6_000),
        ("command.called", 20_000),
        ("command.answered", 20_000),
    ];
    for (round, (point, deadline_ms)) in points.into_iter().enumerate() {
        groupfold.options().args = answered_within(2_000, reaching(&provider, deadline_ms));
        dies_at(&mut groupfold, point).await;
        provider.tell(&groupfold.webhook_url()).await;
        let body = json!({ "phone_number_id": NUMBER, "subject": format!("Tea {round}") });
        let request = groupfold_tests::http::client().post(groupfold.api_url("/v1/groups")).json(&body);
        // The first point ends the process before it answers.
        let _ = request.send().await;
        dead(&mut groupfold).await;
        groupfold.restart().await;
        provider.tell(&groupfold.webhook_url()).await;
        groupfold.caught_up().await;
        let all = groupfold.get("/v1/commands?limit=200").await.json;
        let id =
            all["commands"][0]["command_id"].as_str().unwrap_or_else(|| panic!("{point}: {all}")).to_owned();
        let command = ended(&groupfold, &id).await;
        let sent = calls(&provider, "create").await;
        let told = provider.look("calls?operation=create").await;
        let done =
            told["calls"].as_array().unwrap().iter().any(|call| call["body"]["subject"] == body["subject"]);
        assert_eq!(command["status"] == "succeeded", done, "{point}: {command}: {told}");
        assert!(sent <= round + 1, "{point}: {told}");
    }
    groupfold.caught_up().await;
    let all = groupfold.get("/v1/commands?limit=200").await.json;
    let all = all["commands"].as_array().unwrap();
    assert_eq!(all.len(), points.len(), "none is lost: {all:?}");
    let succeeded = all.iter().filter(|command| command["status"] == "succeeded").count();
    assert_eq!(succeeded, sent_once_each(&provider).await, "what was sent was done, and is known to be");
}

/// No answer comes from the dead: what became of it is read once one could have come, long before its deadline.
#[tokio::test]
async fn what_was_called_by_a_process_that_died_is_looked_for_once_no_answer_can_come() {
    let provider = Provider::start(SECRET, &[]).await;
    let args = answered_within(2_000, reaching(&provider, 600_000));
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    provider.tell(&groupfold.webhook_url()).await;
    let group = super::group(&groupfold, "Tea", "auto_approve").await;
    dies_at(&mut groupfold, "command.called").await;
    let fault = json!({ "operation": "update", "fault": "webhook_never", "times": 1 });
    provider.control("faults", fault).await;
    let body = Some(json!({ "subject": "Coffee" }));
    let url = groupfold.api_url(&format!("/v1/groups/{group}"));
    // It may die before it answers.
    let _ = groupfold_tests::http::client().patch(url).json(&body).send().await;
    dead(&mut groupfold).await;
    groupfold.restart().await;
    groupfold.caught_up().await;
    let all = groupfold.get("/v1/commands").await.json;
    let id = all["commands"][0]["command_id"].as_str().unwrap_or_else(|| panic!("{all}")).to_owned();
    let command = ended(&groupfold, &id).await;
    shows(&command, json!({ "status": "succeeded", "told_by_webhook": false }));
    assert_eq!(calls(&provider, "update").await, 1);
}

/// Two processes see the same log; one of them is killed with commands in hand.
#[tokio::test]
async fn two_processes_never_send_the_same_command_and_one_ends_what_the_other_left() {
    let server = NatsServer::start().await;
    let provider = Provider::start(SECRET, &[]).await;
    let args = reaching(&provider, 8_000);
    let mut options = Options::on(&server);
    options.args.extend(args.clone());
    let mut up = Groupfold::up(options).await;
    provider.tell(&up.webhook_url()).await;
    let other = Groupfold::project(Options { args, ..Options::on(&server) }).await;
    let mut asked = Vec::new();
    for n in 0..10 {
        let body = json!({ "phone_number_id": NUMBER, "subject": format!("Tea {n}") });
        let of = if n % 2 == 0 { &up } else { &other };
        let answer = ask(of, Method::POST, "/v1/groups", Some(body), &[]).await;
        assert_eq!(answer.status, 202, "{answer}");
        asked.push(answer.json["command_id"].as_str().unwrap().to_owned());
    }
    up.kill9();
    for id in &asked {
        ended(&other, id).await;
    }
    sent_once_each(&provider).await;
}

/// Until a webhook ends a change. Left commands are looked for within four seconds: two at least wait for their turn then.
const WAITS: &str = "3s";

/// Changes of one group that take their turns, four of them: their commands, and the names wanted.
async fn queue(provider: &Provider, groupfold: &Groupfold) -> (Vec<String>, Vec<String>) {
    let group = super::group(groupfold, "Tea", "auto_approve").await;
    let names: Vec<String> = (0..4).map(|n| format!("Tea {n}")).collect();
    let mut asked = Vec::new();
    for name in &names {
        let body = Some(json!({ "subject": name }));
        let answer = ask(groupfold, Method::PATCH, &format!("/v1/groups/{group}"), body, &[]).await;
        asked.push(answer.json["command_id"].as_str().unwrap().to_owned());
    }
    wait_until("the first is sent", END_WAIT, async || match calls(provider, "update").await {
        0 => Err("it is not"),
        _ => Ok(()),
    })
    .await;
    (asked, names)
}

/// All succeed, sent once each and in their order: the last name wanted is the one that stays.
async fn go_in_order(provider: &Provider, groupfold: &Groupfold, asked: &[String], names: &[String]) {
    for id in asked {
        let command = ended(groupfold, id).await;
        assert_eq!(command["status"], "succeeded", "{command}");
    }
    let told = provider.look("calls?operation=update").await;
    let sent = told["calls"].as_array().unwrap().iter();
    let sent: Vec<_> = sent.map(|call| call["body"]["subject"].as_str().unwrap()).collect();
    assert_eq!(sent, names, "each once, and in their order");
}

#[tokio::test]
async fn what_a_killed_process_left_is_sent_in_the_order_in_which_it_was_asked_for() {
    let provider = Provider::start(SECRET, &["--webhook-delay", WAITS]).await;
    let args = reaching(&provider, 300_000);
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    provider.tell(&groupfold.webhook_url()).await;
    let (asked, names) = queue(&provider, &groupfold).await;
    groupfold.kill9();
    groupfold.restart().await;
    provider.tell(&groupfold.webhook_url()).await;
    go_in_order(&provider, &groupfold, &asked, &names).await;
}

/// The other takes in hand what has waited for a while, and overtakes nothing.
#[tokio::test]
async fn of_two_processes_none_overtakes_what_waits_for_its_turn_at_the_other() {
    let server = NatsServer::start().await;
    let provider = Provider::start(SECRET, &["--webhook-delay", WAITS]).await;
    let args = reaching(&provider, 300_000);
    let mut options = Options::on(&server);
    options.args.extend(args.clone());
    let up = Groupfold::up(options).await;
    provider.tell(&up.webhook_url()).await;
    let _other = Groupfold::project(Options { args, ..Options::on(&server) }).await;
    let (asked, names) = queue(&provider, &up).await;
    go_in_order(&provider, &up, &asked, &names).await;
}

/// A change of a group's picture in the log, by a process that died before it sent it.
async fn left(groupfold: &mut Groupfold, group: &str, picture: Vec<u8>) {
    dies_at(groupfold, "command.requested").await;
    groupfold.caught_up().await;
    let picture = reqwest::multipart::Part::bytes(picture).file_name("picture.jpg");
    let form = reqwest::multipart::Form::new().part("picture", picture);
    let url = groupfold.api_url(&format!("/v1/groups/{group}"));
    let _ = groupfold_tests::http::client().patch(url).multipart(form).send().await;
    dead(groupfold).await;
}

async fn newest(groupfold: &Groupfold) -> String {
    groupfold.caught_up().await;
    let all = groupfold.get("/v1/commands?limit=1").await.json;
    all["commands"][0]["command_id"].as_str().unwrap_or_else(|| panic!("{all}")).to_owned()
}

/// A broker that did not give the picture at that moment had the command refused as too late, which it was not.
#[tokio::test]
async fn a_picture_that_cannot_be_had_now_is_tried_again_and_one_that_is_gone_is_told() {
    const UPLOADS: &str = "groupfold_uploads";
    let server = NatsServer::start().await;
    let provider = Provider::start(SECRET, &[]).await;
    let mut options = Options::on(&server);
    options.args.extend(reaching(&provider, 300_000));
    let mut groupfold = Groupfold::up(options).await;
    provider.tell(&groupfold.webhook_url()).await;
    let group = super::group(&groupfold, "Tea", "auto_approve").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);

    let picture = crate::graph::jpeg(300, 300);
    left(&mut groupfold, &group, picture.clone()).await;
    // The bucket cannot be made while another stream has its subjects.
    context.delete_object_store(UPLOADS).await.unwrap();
    let squatter = async_nats::jetstream::stream::Config {
        name: "SQUATTER".to_owned(),
        subjects: vec![format!("$O.{UPLOADS}.>")],
        ..Default::default()
    };
    context.create_stream(squatter).await.unwrap();
    groupfold.restart().await;
    provider.tell(&groupfold.webhook_url()).await;
    let id = newest(&groupfold).await;
    wait_until("the picture is asked for", END_WAIT, async || {
        let command = groupfold.get(&format!("/v1/commands/{id}")).await.json;
        let tried = groupfold.process().log().contains("the bucket of pictures");
        if tried || command["status"] == "refused" { Ok(()) } else { Err(command.to_string()) }
    })
    .await;
    // It asks again and again: not before all is as it was.
    groupfold.process().signal("STOP");
    context.delete_stream("SQUATTER").await.unwrap();
    let config =
        async_nats::jetstream::object_store::Config { bucket: UPLOADS.to_owned(), ..Default::default() };
    let store = context.create_object_store(config).await.unwrap();
    let name = groupfold_schemas::id::hex(&groupfold_schemas::id::sha256([picture.as_slice()]));
    store.put(name.as_str(), &mut picture.as_slice()).await.unwrap();
    groupfold.process().signal("CONT");
    let command = ended(&groupfold, &id).await;
    assert_eq!(command["status"], "succeeded", "{command}");

    left(&mut groupfold, &group, crate::graph::jpeg(400, 400)).await;
    context.delete_object_store(UPLOADS).await.unwrap();
    groupfold.restart().await;
    let command = ended(&groupfold, &newest(&groupfold).await).await;
    shows(&command, json!({ "status": "refused", "code": "picture_gone" }));
    assert_eq!(calls(&provider, "update").await, 1);
}
