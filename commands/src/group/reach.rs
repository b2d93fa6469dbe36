//! What verbs that read groups ask of the query API: where it is, what to wait for, how to print.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::api::{ApiReach, Client};
use crate::cli::Output;
use crate::exit::Failure;

/// Longest that one request waits: below the deadline of an answer.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// Asked no more often, where the server lets nobody wait.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Of what waits for nothing.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Plain {
    #[command(flatten)]
    pub(super) api: ApiReach,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub(super) output: Output,
}

#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Reach {
    #[command(flatten)]
    pub(crate) api: ApiReach,
    /// Wait until this position is folded
    #[arg(long, value_name = "POSITION")]
    pub(crate) min_position: Option<String>,
    /// Longest wait for --min-position; 1000 if absent
    #[arg(long, value_name = "MS")]
    pub(crate) wait_ms: Option<u64>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// More may come to be known of a command: it has not ended, or was not looked for at the provider yet.
pub(super) fn is_open(command: &Value) -> bool {
    match command["status"].as_str() {
        Some("requested" | "sent" | "accepted") => true,
        Some("unknown") => command["detail"].is_null(),
        _ => false,
    }
}

impl Reach {
    /// Asks for a path; segments and values are encoded here.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        let query: Vec<_> = query.iter().cloned().chain(self.waits()).collect();
        self.api.client()?.get(path, &query).await
    }

    /// What a read waits for.
    pub(crate) fn waits(&self) -> [(&'static str, Option<String>); 2] {
        let wait_ms = self.wait_ms.map(|wait_ms| wait_ms.to_string());
        [("min_position", self.min_position.clone()), ("wait_ms", wait_ms)]
    }
}

/// A command once all that can be known of it is, or as it is when the time is over.
pub(super) async fn ended(
    client: &Client,
    command_id: &str,
    position: Option<String>,
    seconds: u64,
) -> Result<Value, Failure> {
    let over = Instant::now() + Duration::from_secs(seconds);
    loop {
        let asked = Instant::now();
        let left = over.saturating_duration_since(asked).min(WAIT_MAX);
        let query = [("min_position", position.clone()), ("wait_ms", Some(left.as_millis().to_string()))];
        let path = ["v1", "commands", command_id];
        let command = client.get(&path, &query).await?;
        if !is_open(&command) || left.is_zero() {
            return Ok(command);
        }
        tokio::time::sleep_until(over.min(asked + ASK_EVERY)).await;
    }
}
