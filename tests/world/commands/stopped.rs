//! A process that is told to stop while the provider owes it an answer.

use groupfold_tests::{Groupfold, Options, Provider, shows, wait_until};
use reqwest::Method;
use serde_json::json;

use super::killed::answered_within;
use super::{END_WAIT, SECRET, ask, calls, ended, group, reaching};

#[tokio::test]
async fn what_is_cut_when_the_time_to_end_is_over_is_said_and_looked_for_at_the_next_start() {
    let provider = Provider::start(SECRET, &[]).await;
    // Nothing but the time to end cuts the call.
    let args = answered_within(120_000, reaching(&provider, 600_000));
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    provider.tell(&groupfold.webhook_url()).await;
    let group = group(&groupfold, "Tea", "auto_approve").await;
    for fault in ["timeout", "webhook_never"] {
        let fault = json!({ "operation": "update", "fault": fault, "times": 1 });
        provider.control("faults", fault).await;
    }
    let body = Some(json!({ "subject": "Coffee" }));
    let asked = ask(&groupfold, Method::PATCH, &format!("/v1/groups/{group}"), body, &[]).await;
    wait_until("the provider is asked", END_WAIT, async || match calls(&provider, "update").await {
        0 => Err("it is not"),
        _ => Ok(()),
    })
    .await;
    let process = groupfold.process();
    process.signal("TERM");
    let status = wait_until("it ends", END_WAIT, async || process.exited().ok_or("it waits")).await;
    let said = process.log();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("calls to the provider were cut"), "{said}");

    groupfold.kill9();
    groupfold.options().args = answered_within(2_000, reaching(&provider, 600_000));
    groupfold.restart().await;
    let command = ended(&groupfold, asked.json["command_id"].as_str().unwrap()).await;
    shows(&command, json!({ "status": "succeeded", "told_by_webhook": false }));
    assert_eq!(calls(&provider, "update").await, 1);
}
