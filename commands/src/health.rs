//! Asking a running process how it is, without judging yet.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::api::{Answer, Client, Request};
use crate::exit::Failure;

/// What answers at all answers at once.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// `/readyz`, whatever its status.
#[derive(Debug, Deserialize)]
pub(crate) struct Readiness {
    #[serde(default)]
    pub(crate) reasons: Vec<String>,
    pub(crate) durability: Option<String>,
}

/// `/v1/position`, as far as it is judged.
#[derive(Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) lag_events: u64,
    pub(crate) lag_seconds: f64,
    pub(crate) partitions: Vec<PartitionProgress>,
}

/// One partition of it.
#[derive(Debug, Deserialize)]
pub(crate) struct PartitionProgress {
    pub(crate) partition: u16,
    pub(crate) applied: u64,
    pub(crate) log_end: u64,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

/// Asks whether a process is ready, and why not.
pub(crate) async fn readiness(api: &Client) -> Result<Readiness, Failure> {
    let answer = get(api, &["readyz"], &[]).await?;
    read(api, "/readyz", answer.body)
}

/// Asks how far the projection is; `None` from a process without a projector.
pub(crate) async fn progress(api: &Client) -> Result<Option<Progress>, Failure> {
    let answer = get(api, &["v1", "position"], &[]).await?;
    if let Some(failure) = api.wants_token(&answer) {
        return Err(failure);
    }
    let Answer { status, body } = answer;
    match status.as_u16() {
        200 => read(api, "/v1/position", body).map(Some),
        404 => Ok(None),
        status => Err(Failure::Failed(format!("the API at {} answers {status} to /v1/position", api.base()))),
    }
}

/// Asks the monitoring port of a broker about its streams.
pub(crate) async fn monitor(url: &str) -> Result<Value, Failure> {
    let query = [("config", Some("1".to_owned()))];
    Ok(get(&Client::new(url, None)?, &["jsz"], &query).await?.body)
}

/// The status is the caller's to judge.
async fn get(api: &Client, path: &[&str], query: &[(&str, Option<String>)]) -> Result<Answer, Failure> {
    api.send(Request { path, query, deadline: Some(ANSWER_DEADLINE), ..Request::default() }).await
}

fn read<T: serde::de::DeserializeOwned>(api: &Client, path: &str, body: Value) -> Result<T, Failure> {
    serde_json::from_value(body).map_err(|_| {
        let base = api.base();
        Failure::Failed(format!("{base}{path} does not answer as a groupfold: is the address right?"))
    })
}
