//! The simulator against the pipeline: what the simulated provider believes, the API says.

use std::time::Duration;

use groupfold_tests::{Groupfold, Options, Provider, Scratch, ends, wait_until};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(60);

fn simulate(groupfold: &Groupfold, args: &[&str]) -> std::process::Output {
    let mut command = Groupfold::command();
    command.args(["simulate", "--quiet", "--output", "json", "--data"]).arg(groupfold.data()).args(args);
    command.output().expect("groupfold can be run")
}

#[tokio::test]
async fn the_api_agrees_with_the_truth_with_duplicates_and_reorder() {
    let groupfold = Groupfold::up(Options::default()).await;
    let scratch = Scratch::new("truth");
    let truth = scratch.path().join("truth.json");
    let truth = truth.to_str().unwrap();
    for seed in ["1", "2", "3"] {
        let story =
            ["--seed", seed, "--events", "1500", "--rate", "0", "--app-secret", "app-secret-of-a-test"];
        let noise = [
            "--duplicates",
            "10",
            "--reorder",
            "20",
            "--bad",
            "2",
            "--wrong-signatures",
            "1",
            "--truth",
            truth,
        ];
        let output = simulate(&groupfold, &[story.as_slice(), noise.as_slice()].concat());
        ends(&output, 0);
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report in JSON");
        println!("seed {seed}: {report}");

        let checked = simulate(&groupfold, &["--check", truth]);
        let found = String::from_utf8_lossy(&checked.stdout);
        assert_eq!(checked.status.code(), Some(0), "seed {seed}: {found}");
    }
}

#[tokio::test]
async fn a_truth_that_is_not_so_is_found() {
    let groupfold = Groupfold::up(Options::default()).await;
    let scratch = Scratch::new("truth");
    let truth = scratch.path().join("truth.json");
    let story =
        ["--seed", "7", "--events", "300", "--rate", "0", "--app-secret", "app-secret-of-a-test", "--truth"];
    let output = simulate(&groupfold, &[story.as_slice(), &[truth.to_str().unwrap()]].concat());
    ends(&output, 0);
    let mut told: Value = serde_json::from_slice(&std::fs::read(&truth).unwrap()).unwrap();
    let (_, group) = told["groups"].as_object_mut().unwrap().iter_mut().next().unwrap();
    group["subject"] = Value::from("a lie");
    std::fs::write(&truth, told.to_string()).unwrap();
    let checked = simulate(&groupfold, &["--check", truth.to_str().unwrap()]);
    ends(&checked, 3);

    std::fs::write(&truth, "{}").unwrap();
    let checked = simulate(&groupfold, &["--check", truth.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1), "a file that says nothing agrees with nothing");
}

#[tokio::test]
async fn the_demo_lives_and_is_simulated_against_without_a_word_of_secrets() {
    let mut command = Groupfold::command();
    let scratch = Scratch::new("demo");
    let data = scratch.path().join("data");
    command
        .args(["up", "--demo", "--webhook-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--data"])
        .arg(&data);
    command.arg("--nats-server").arg(groupfold_tests::nats_server_binary());
    let mut demo = groupfold_tests::Process::spawn("groupfold", command, &scratch.path().join("log"));
    let bound = std::time::Duration::from_secs(60);
    let run: Value = groupfold_tests::wait_until("it says where it listens", bound, async || {
        let text = std::fs::read(data.join("run.json")).map_err(|error| error.to_string())?;
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    })
    .await;
    let api = run["api_addr"].as_str().unwrap();
    groupfold_tests::wait_until("somebody is in a group", bound, async || {
        let groups = groupfold_tests::http::get(&format!("http://{api}/v1/groups")).await;
        let members = |group: &Value| group["counts"]["member"].as_u64().unwrap_or_default() > 0;
        let found = groups.json["groups"].as_array().is_some_and(|groups| groups.iter().any(members));
        if found { Ok(()) } else { Err(groups) }
    })
    .await;
    let mut import = Groupfold::command();
    import.args(["import", "--phone-number-id", groupfold_tests::Provider::NUMBER, "--data"]).arg(&data);
    let output = import.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("known"),
        "the demo's provider needs no setting: {said}"
    );
    let mut simulate = Groupfold::command();
    simulate.args(["simulate", "--quiet", "--events", "50", "--rate", "0", "--data"]).arg(&data);
    let output = simulate.output().unwrap();
    ends(&output, 0);
    assert!(demo.terminate(bound).await.success());
}

/// Asks a demo for something by the verb, and returns the command once it has succeeded.
fn asked(groupfold: &Groupfold, args: &[&str]) -> Value {
    let mut command = Groupfold::command();
    command.args(["group", args[0], "--wait", "--output", "json", "--data"]).arg(groupfold.data());
    let output = command.args(&args[1..]).output().expect("groupfold can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    let command: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(command["status"], "succeeded", "{args:?}: {command}");
    command
}

async fn group_that(groupfold: &Groupfold, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_until("the group is so", BOUND, async || {
        let group = groupfold.get(&format!("/v1/groups/{id}")).await;
        if is(&group.json) { Ok(group.json) } else { Err(group) }
    })
    .await
}

#[tokio::test]
async fn a_demo_that_is_started_again_changes_the_groups_that_were_there() {
    let args = vec!["--demo".to_owned()];
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let created = asked(&groupfold, &["create", "--phone-number-id", Provider::NUMBER, "--subject", "Tea"]);
    let id = created["group_id"].as_str().unwrap();
    let before = group_that(&groupfold, id, |group| group["counts"]["member"].as_u64() > Some(0)).await;

    groupfold.restart().await;
    asked(&groupfold, &["update", id, "--subject", "Coffee"]);
    let renamed = group_that(&groupfold, id, |group| group["subject"] == "Coffee").await;
    assert_eq!(renamed["account"], before["account"], "it is in the account in which it was created");

    groupfold.kill9();
    groupfold.restart().await;
    let member = renamed["members"].as_array().unwrap().iter().find(|member| member["status"] == "member");
    let member = member.unwrap_or_else(|| panic!("{renamed}"));
    let name = member["wa_id"].as_str().or(member["user_id"].as_str()).unwrap();
    asked(&groupfold, &["remove", id, name]);
    let is_removed = |group: &Value| {
        let mut members = group["members"].as_array().into_iter().flatten();
        members.any(|one| one["member_id"] == member["member_id"] && one["status"] == "removed")
    };
    group_that(&groupfold, id, is_removed).await;
    // What it believes of the group is what is known of it.
    let mut reconcile = Groupfold::command();
    reconcile.args(["reconcile", "--group", id, "--links", "--data"]).arg(groupfold.data());
    let output = reconcile.output().unwrap();
    ends(&output, 0);
}
