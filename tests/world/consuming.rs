//! The examples of `docs/consuming.md` do what they say, and the description of the streams is true.

use std::process::Command;

use groupfold_schemas::log;
use groupfold_schemas::v1::ChangeKind;
use groupfold_tests::{Scratch, not_run, workspace};
use serde_json::Value;

use crate::feed::told;

/// The fenced blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (language, text) = fenced.split_once('\n').unwrap();
        let (text, after) = text.split_once("\n```").unwrap();
        found.push((language.to_owned(), format!("{text}\n")));
        rest = after;
    }
    found
}

#[tokio::test]
async fn every_example_of_the_page_runs_and_prints_what_it_found() {
    let (nats, groupfold, _) = told().await;
    let position = groupfold.get("/v1/groups/G0-1").await.json["position"].as_str().unwrap().to_owned();

    let install = |set: &str| {
        let install = Command::new(workspace().join("tests/python/install")).arg(set).output().unwrap();
        assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
        String::from_utf8(install.stdout).unwrap().trim().to_owned()
    };
    let (feed, exports) = (install("feed"), install("exports"));
    let page = std::fs::read_to_string(workspace().join("docs/consuming.md")).unwrap();
    let scratch = Scratch::new("consuming");
    let mut ran = Vec::new();
    for (at, (language, text)) in blocks(&page).into_iter().enumerate() {
        let (program, name) = match language.as_str() {
            "sh" => ("sh", "example.sh"),
            "python" if text.contains("import duckdb") => (exports.as_str(), "example.py"),
            "python" => (feed.as_str(), "example.py"),
            "javascript" => ("node", "example.mjs"),
            other => panic!("no way to run {other:?}"),
        };
        let file = scratch.path().join(format!("{at}-{name}"));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        let token = groupfold.addresses().api_token.clone().unwrap_or_default();
        command.arg(&file).env("API", groupfold.api_url("")).env("TOKEN", token);
        command.current_dir(scratch.path()).env("GROUPFOLD", groupfold_tests::groupfold_binary());
        command.env("NATS", nats.url()).env("GROUP", "G0-1").env("POSITION", &position);
        let output = match tokio::task::spawn_blocking(move || command.output()).await.unwrap() {
            Err(error) if language == "javascript" && error.kind() == std::io::ErrorKind::NotFound => {
                not_run("node is not installed here, so the example of it is not tried");
                continue;
            }
            output => output.unwrap(),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}\n{said}{}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("G0-"), "{}: {said}", file.display());
        ran.push(language);
    }
    assert!(ran.iter().filter(|language| *language == "sh").count() == 3, "{ran:?}");
    assert!(ran.iter().filter(|language| *language == "python").count() == 3, "{ran:?}");
}

#[tokio::test]
async fn the_description_of_the_streams_names_all_that_is_there() {
    let text = std::fs::read_to_string(workspace().join("docs/asyncapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let changes = &document["channels"]["changes"];
    let address = changes["address"].as_str().unwrap();
    let address = address.replace("{partition}", "3").replace("{kind}", "member").replace("{group}", "G");
    assert_eq!(address, log::change_subject(3, "member", "G"));
    let address = |channel: &str| document["channels"][channel]["address"].as_str().unwrap().to_owned();
    let event = address("events")
        .replace("{partition}", "3")
        .replace("{account}", "1")
        .replace("{kind}", "group_created");
    assert_eq!(event.replace("{group}", "G"), log::event_subject(3, "1", "group_created", Some("G")));
    let failure = address("failures").replace("{provider}", "meta").replace("{cause}", "not_json");
    assert_eq!(failure, log::failed_subject("meta", "not_json"));
    assert_eq!(address("resolutions").replace("{failed_id}", "ab"), log::resolved_subject("ab"));
    let causes: Vec<&str> =
        groupfold_schemas::failure::Cause::ALL.map(groupfold_schemas::failure::Cause::name).to_vec();
    assert_eq!(document["channels"]["failures"]["parameters"]["cause"]["enum"], serde_json::json!(causes));
    let kinds: Vec<&str> = ChangeKind::ALL.map(ChangeKind::name).to_vec();
    assert_eq!(changes["parameters"]["kind"]["enum"], serde_json::json!(kinds));
    let payload = &document["components"]["messages"]["change"]["payload"];

    let (_nats, _groupfold, told) = told().await;
    assert!(!told.is_empty());
    for body in told.bodies() {
        let fields = body.as_object().unwrap();
        let unknown: Vec<_> =
            fields.keys().filter(|name| payload["properties"].get(*name).is_none()).collect();
        let required = payload["required"].as_array().unwrap();
        let missing: Vec<_> =
            required.iter().filter(|name| !fields.contains_key(name.as_str().unwrap())).collect();
        assert!(unknown.is_empty() && missing.is_empty(), "{body}");
    }
}
