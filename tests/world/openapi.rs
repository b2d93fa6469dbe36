//! The OpenAPI document against the running API: generated requests, none of which may meet a fault of the server or
//! an answer that the document does not tell of.

use std::process::Command;

use groupfold_tests::{Groupfold, Options, Scratch, workspace};

use crate::hook::{created, joined, lifecycle, participants, status, statuses};

const T: i64 = 1_767_225_600;
/// Requests made up for each operation, beside those at the edges of its parameters.
const EXAMPLES_MAX: &str = "20";
/// An answer that never ends cannot be compared.
const ENDLESS: &str = "/v1/changes";

#[tokio::test]
async fn no_request_meets_a_fault_or_an_answer_that_the_document_does_not_tell_of() {
    let install = Command::new(workspace().join("tests/python/install")).arg("openapi").output().unwrap();
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let python = String::from_utf8(install.stdout).unwrap();

    let args = vec!["--api-token".to_owned(), "token-of-a-test".to_owned()];
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    groupfold.post(&lifecycle(&[created("G", "Team", T)])).await;
    groupfold.post(&participants(&[joined("G", "5511", T + 1)])).await;
    let receipt = groupfold.post(&statuses(&[status("G", "wamid.1", "read", Some("5511"), T + 2)])).await;
    let position = receipt.json["position"].as_str().unwrap();
    let there = groupfold.get(&format!("/v1/groups/G?min_position={position}&wait_ms=30000")).await;
    assert_eq!(there.status, 200, "{there}");

    let scratch = Scratch::new("openapi");
    let ids = "[parameters]\n\"path.group_id\" = \"G\"\n\"path.message_id\" = \"wamid.1\"\n\"path.account\" = \"102290129340398\"\n\"path.command_id\" = \"none\"\n";
    std::fs::write(scratch.path().join("schemathesis.toml"), ids).unwrap();
    let seed = std::env::var("GROUPFOLD_SEED").unwrap_or_else(|_| "7".to_owned());
    let token = groupfold.addresses().api_token.clone().expect("the owner's token");
    let output = Command::new(python.trim())
        .current_dir(scratch.path())
        .args(["-m", "schemathesis.cli", "run", &groupfold.api_url("/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--exclude-path", ENDLESS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES_MAX, "--seed", &seed, "--no-color", "--workers", "1"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_schema_conformance,response_headers_conformance"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed") && !said.contains("0 generated"), "{said}");
}
