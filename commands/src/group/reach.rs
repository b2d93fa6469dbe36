//! How a verb reaches the query API: what runs on the data folder, or an address.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::cli::Output;
use crate::config::HASH;
use crate::data::Run;
use crate::exit::Failure;

/// Longer than the longest wait a server grants by default.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Longest that one request waits: below the deadline of an answer.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// Between looks at a command that is looked for at the provider.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Reach {
    /// Data folder of the pipeline that runs here
    #[arg(long, env = "GROUPFOLD_DATA", default_value = "./groupfold-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Query API of a pipeline elsewhere
    #[arg(long, env = "GROUPFOLD_API_URL", value_name = "URL")]
    pub(crate) api_url: Option<String>,
    /// Bearer token of the API
    #[arg(long, env = "GROUPFOLD_API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
    /// Wait until this position is folded (needs --wait-ms)
    #[arg(long, value_name = "POSITION")]
    pub(crate) min_position: Option<String>,
    /// Longest wait for --min-position
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
    /// The API's address and token.
    pub(crate) fn api(&self) -> Result<(String, Option<String>), Failure> {
        // Of several tokens in the variable, which the server takes as a list, the first will do.
        let token = self
            .api_token
            .as_ref()
            .and_then(|list| list.split(',').find(|one| !one.trim().starts_with(HASH)))
            .map(str::to_owned);
        match &self.api_url {
            Some(url) => Ok((url.trim_end_matches('/').to_owned(), token)),
            None => {
                let run = Run::find(&self.data, "--api-url")?;
                Ok((format!("http://{}", run.api_addr), token.or(run.api_token)))
            }
        }
    }

    /// Asks for a path; segments and values are encoded here.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        let waits = [
            ("min_position", self.min_position.clone()),
            ("wait_ms", self.wait_ms.map(|wait_ms| wait_ms.to_string())),
        ];
        let query: Vec<_> = query.iter().cloned().chain(waits).collect();
        self.send(Request { method: Method::GET, path, query: &query, headers: &[], body: Body::None }).await
    }

    /// A command once all that can be known of it is, or as it is when the time is over.
    pub(super) async fn ended(
        &self,
        command_id: &str,
        position: Option<String>,
        seconds: u64,
    ) -> Result<Value, Failure> {
        let over = tokio::time::Instant::now() + Duration::from_secs(seconds);
        loop {
            let left = over.saturating_duration_since(tokio::time::Instant::now()).min(WAIT_MAX);
            let query = [("min_position", position.clone()), ("wait_ms", Some(left.as_millis().to_string()))];
            let path = ["v1", "commands", command_id];
            let request =
                Request { method: Method::GET, path: &path, query: &query, headers: &[], body: Body::None };
            let command = self.send(request).await?;
            if !is_open(&command) || left.is_zero() {
                return Ok(command);
            }
            // The API takes what nobody can say for an end, and answers at once: it is being looked for.
            if command["status"] == "unknown" {
                tokio::time::sleep(LOOK_AGAIN.min(left)).await;
            }
        }
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Value, Failure> {
        let (base, token) = self.api()?;
        let mut url = reqwest::Url::parse(&base)
            .map_err(|error| Failure::Usage(format!("api_url: {base:?} is no URL ({error})")))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path);
        }
        for (name, value) in request.query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let unreachable = |error: reqwest::Error| {
            let cause = crate::exit::with_causes("", &error.without_url());
            Failure::Missing(format!("the API at {base} does not answer: {cause}"))
        };
        let client = crate::health::client(ANSWER_DEADLINE).map_err(unreachable)?;
        let mut sent = client.request(request.method, url);
        if let Some(token) = token {
            sent = sent.bearer_auth(token);
        }
        for (name, value) in request.headers {
            if let Some(value) = value {
                sent = sent.header(*name, value);
            }
        }
        let sent = match request.body {
            Body::None => sent,
            Body::Json(body) => sent.json(&body),
            Body::Form { fields, picture } => {
                let file = Part::bytes(picture).file_name("picture.jpg");
                let mut form = Form::new().part("picture", file);
                for (name, value) in fields.as_object().into_iter().flatten() {
                    form = form.text(name.clone(), value.as_str().unwrap_or_default().to_owned());
                }
                sent.multipart(form)
            }
        };
        let response = sent.send().await.map_err(unreachable)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(unreachable)?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }
}

/// A request to the API.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, Option<String>)],
    pub(super) headers: &'a [(&'a str, Option<String>)],
    pub(super) body: Body,
}

/// What a request carries.
pub(super) enum Body {
    None,
    Json(Value),
    Form { fields: Value, picture: Vec<u8> },
}

/// The API's problem document as a line.
fn refusal(status: reqwest::StatusCode, problem: &Value) -> Failure {
    let field = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let detail = if field("detail").is_empty() { field("title") } else { field("detail") };
    let line = format!("{detail} ({} {})", status.as_u16(), field("code"));
    match status.as_u16() {
        400 | 422 => Failure::Usage(line),
        412 | 503 => Failure::Again(line),
        _ => Failure::Failed(line),
    }
}
