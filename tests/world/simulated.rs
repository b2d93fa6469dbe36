//! The simulator against the pipeline: what the simulated provider believes, the API says.

use groupfold_tests::{Groupfold, Options, Scratch};
use serde_json::Value;

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
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut told: Value = serde_json::from_slice(&std::fs::read(&truth).unwrap()).unwrap();
    let (_, group) = told["groups"].as_object_mut().unwrap().iter_mut().next().unwrap();
    group["subject"] = Value::from("a lie");
    std::fs::write(&truth, told.to_string()).unwrap();
    let checked = simulate(&groupfold, &["--check", truth.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(3), "{}", String::from_utf8_lossy(&checked.stdout));
}
