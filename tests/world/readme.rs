//! The README's tour of commands, as it stands there.

use std::process::Command;

use groupfold_tests::{Groupfold, Options, workspace};
use serde_json::Value;

#[tokio::test]
async fn five_curls_create_a_group_see_people_join_and_read() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let section = readme.split("## Ask a group to change").nth(1).expect("the section");
    let script = section.split("```sh\n").nth(1).unwrap().split("\n```").next().unwrap().to_owned();
    assert_eq!(script.matches("curl ").count(), 5, "{script}");
    let args = vec!["--demo".to_owned()];
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env("API", groupfold.api_url("/v1"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mut answers = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
    let members = answers.next().unwrap().unwrap();
    assert!(members["counts"]["member"].as_u64() >= Some(1), "somebody joined: {members}");
    let receipts = answers.next().unwrap().unwrap();
    assert!(receipts["counts"]["read"].as_u64() >= Some(1), "somebody read it: {receipts}");
}

/// It left files in the tree that git offered to commit.
#[test]
fn what_the_tour_writes_is_where_git_does_not_look() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let written = readme.split_whitespace().collect::<Vec<_>>();
    let written: Vec<_> = written.windows(2).filter(|pair| ["--truth", "--out"].contains(&pair[0])).collect();
    assert_eq!(written.len(), 2, "{written:?}");
    let ignored = std::fs::read_to_string(workspace().join(".gitignore")).unwrap();
    for pair in written {
        let folder = pair[1].split('/').next().unwrap();
        assert!(ignored.lines().any(|line| line == format!("/{folder}/")), "{pair:?}");
    }
}
