//! What a platform asks of a group, against the simulated provider: every endpoint, every path of a command's life.

mod apart;
mod clocks;
mod fates;
mod judged;
mod killed;
mod others;
mod refusals;
mod stopped;
mod told;
pub(crate) mod verbs;
mod waited;

use std::time::{Duration, Instant};

use groupfold_tests::{Answer, Groupfold, Options, Provider, http, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

const NUMBER: &str = Provider::NUMBER;
const SECRET: &str = "app-secret-of-a-test";
const END_WAIT: Duration = Duration::from_secs(60);
/// The deadline of a command whose outcome is to come by webhook: it is not looked for before, however slow the machine.
pub(crate) const TOLD_MS: u32 = 120_000;
/// An answer that the provider gives at once is told at once, but after so long.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A pipeline and the provider that it asks.
struct World {
    provider: Provider,
    groupfold: Groupfold,
}

/// Arguments by which a pipeline reaches a provider; outcomes are looked for after a moment.
pub(crate) fn reaching(provider: &Provider, deadline_ms: u32) -> Vec<String> {
    let graph = format!("{}/v25.0", provider.url());
    let deadline = deadline_ms.to_string();
    [
        ("--meta-graph-url", graph.as_str()),
        ("--meta-access-token", Provider::TOKEN),
        ("--command-deadline-ms", &deadline),
        ("--provider-deadline-ms", "5000"),
        ("--provider-patience-ms", "12000"),
    ]
    .iter()
    .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()])
    .collect()
}

impl World {
    async fn new(provider_args: &[&str], deadline_ms: u32) -> Self {
        let provider = Provider::start(SECRET, provider_args).await;
        let args = reaching(&provider, deadline_ms);
        let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
        provider.tell(&groupfold.webhook_url()).await;
        Self { provider, groupfold }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        ask(&self.groupfold, method, path, body, headers).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body), &[]).await
    }

    /// The command of an answer once it has ended.
    async fn ended(&self, answer: &Answer) -> Value {
        assert!(matches!(answer.status, 200 | 202), "{answer}");
        ended(&self.groupfold, answer.json["command_id"].as_str().unwrap()).await
    }

    /// Asks, and waits for the end.
    async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.ended(&self.ask(method, path, body, &[]).await).await
    }

    /// Asks for what the provider answers at once.
    async fn at_once(&self, path: &str, body: Value) -> Value {
        at_once(&self.groupfold, path, Some(body)).await
    }

    /// A group that is there, and its id.
    async fn group(&self, subject: &str, mode: &str) -> String {
        group(&self.groupfold, subject, mode).await
    }

    /// Somebody joins by themselves; returns their number.
    async fn joined(&self, group: &str, person: &str) -> String {
        let told = self.provider.control("join", json!({ "group_id": group, "person": person })).await;
        assert_eq!(told["outcome"], "joined", "{told}");
        self.all_told().await;
        told["person"]["wa_id"].as_str().unwrap().to_owned()
    }

    /// Waits until all that the provider tells is folded.
    async fn all_told(&self) {
        self.provider.all_told().await;
        self.groupfold.caught_up().await;
    }

    /// How often the provider was asked for something.
    async fn calls(&self, operation: &str) -> usize {
        calls(&self.provider, operation).await
    }

    async fn fault(&self, operation: &str, fault: &str, times: u32) {
        let fault = json!({ "operation": operation, "fault": fault, "times": times });
        self.provider.control("faults", fault).await;
    }
}

/// A group of a pipeline, and its id.
pub(crate) async fn group(groupfold: &Groupfold, subject: &str, mode: &str) -> String {
    let body = json!({ "phone_number_id": NUMBER, "subject": subject, "join_approval_mode": mode });
    let asked = ask(groupfold, Method::POST, "/v1/groups", Some(body), &[]).await;
    let created =
        ended(groupfold, asked.json["command_id"].as_str().unwrap_or_else(|| panic!("{asked}"))).await;
    assert_eq!(created["status"], "succeeded", "{created}");
    known(groupfold, &created).await
}

/// Starts a process anew that dies at a point, see `groupfold_schemas::crash`.
async fn dies_at(groupfold: &mut Groupfold, point: &str) {
    groupfold.options().env = vec![("GROUPFOLD_CRASH".to_owned(), point.to_owned())];
    groupfold.restart().await;
    groupfold.options().env.clear();
}

/// Waits until it has died.
async fn dead(groupfold: &mut Groupfold) {
    wait_until("it dies", END_WAIT, async || groupfold.process().exited().map(drop).ok_or("it lives")).await;
    groupfold.kill9();
}

/// The group that a command created, once it can be asked for: the outcome may come before the group's own partition has
/// folded it.
pub(crate) async fn known(groupfold: &Groupfold, created: &Value) -> String {
    let id = created["group_id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    wait_until("the group is known", END_WAIT, async || {
        let answer = groupfold.get(&format!("/v1/groups/{id}")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    id
}

async fn calls(provider: &Provider, operation: &str) -> usize {
    let told = provider.look(&format!("calls?operation={operation}")).await;
    told["calls"].as_array().unwrap().len()
}

pub(crate) async fn ask(
    groupfold: &Groupfold,
    method: Method,
    path: &str,
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = http::client().request(method, groupfold.api_url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    http::read(request.send().await.expect("an answer")).await.expect("an answer")
}

/// Asks for what the provider answers at once: the command as it has ended. The answer itself tells it, where it does not
/// come too late for that.
pub(crate) async fn at_once(groupfold: &Groupfold, path: &str, body: Option<Value>) -> Value {
    let begun = Instant::now();
    let answer = ask(groupfold, Method::POST, path, body, &[]).await;
    if answer.status == 202 && begun.elapsed() >= AT_ONCE {
        return ended(groupfold, answer.json["command_id"].as_str().unwrap()).await;
    }
    assert_eq!(answer.status, 200, "{answer}");
    answer.json
}

/// A new link, which the answer itself tells: where that comes too late, the next one.
pub(crate) async fn reset_link(groupfold: &Groupfold, group: &str) -> Value {
    let path = format!("/v1/groups/{group}/invite-link");
    wait_until("the link is told", END_WAIT, async || {
        let begun = Instant::now();
        let answer = ask(groupfold, Method::POST, &path, None, &[]).await;
        if answer.status == 202 && begun.elapsed() >= AT_ONCE {
            return Err(answer);
        }
        assert_eq!((answer.status, &answer.json["status"]), (200, &json!("succeeded")), "{answer}");
        Ok(answer.json["invite_link"].clone())
    })
    .await
}

pub(crate) async fn ended(groupfold: &Groupfold, id: &str) -> Value {
    wait_until("the command ends", END_WAIT, async || {
        let command = groupfold.get(&format!("/v1/commands/{id}?wait_ms=5000")).await;
        match command.json["status"].as_str() {
            Some("requested" | "sent" | "accepted") | None => Err(command.to_string()),
            Some(_) => Ok(command.json),
        }
    })
    .await
}
