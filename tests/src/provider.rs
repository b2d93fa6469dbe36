//! The simulated provider as a process, with its Graph API and its controls for tests (docs/simulator.md).

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::{Answer, Groupfold, Process, Scratch, http, wait_until};

const START_WAIT: Duration = Duration::from_secs(30);
const QUIET_WAIT: Duration = Duration::from_secs(30);

/// A provider that takes commands. In a quiet world: nobody comes by themselves, and nothing takes time, unless
/// its arguments say otherwise.
#[derive(Debug)]
pub struct Provider {
    // Before the folder that it writes to: fields are dropped in this order.
    process: Process,
    _scratch: Scratch,
    url: String,
    client: reqwest::Client,
}

impl Provider {
    /// The one number that it has.
    pub const NUMBER: &'static str = "106540352242922";
    /// What opens its Graph API.
    pub const TOKEN: &'static str = "demo-access-token";

    /// Starts one that signs its webhooks with a secret; [`Self::tell`] says where they go.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(app_secret: &str, args: &[&str]) -> Self {
        let scratch = Scratch::new("provider");
        let mut command = Groupfold::command();
        let quiet = ["--joiners", "0", "--webhook-delay", "0s", "--read-within", "0s"];
        let defaults = quiet.chunks(2).filter(|pair| !args.contains(&pair[0])).flatten();
        command.args(["simulate", "--serve", "127.0.0.1:0", "--quiet", "--app-secret", app_secret]);
        command.arg("--data").arg(scratch.path().join("none")).args(defaults).args(args);
        let mut process = Process::spawn("the provider", command, &scratch.path().join("log"));
        let url = wait_until("the provider serves", START_WAIT, async || {
            if let Some(status) = process.exited() {
                panic!("the provider ended: {status}:\n{}", process.log_tail());
            }
            let log = process.log();
            let url = log.lines().find_map(|line| line.trim().strip_prefix("graph "));
            url.and_then(|url| Some(url.trim().strip_suffix("/v25.0")?.to_owned())).ok_or(log)
        })
        .await;
        Self { process, _scratch: scratch, url, client: http::client() }
    }

    /// Its address, without a version.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Calls a path of the Graph API below the version, such as `/106540352242922/groups`.
    ///
    /// # Panics
    /// Nobody answers.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let answer = self.try_call(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// The same.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{}/v25.0{path}", self.url);
        let mut request = self.client.request(method, url).bearer_auth(Self::TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        http::read(request.send().await?).await
    }

    /// Asks `/simulator` to do something: `join`, `leave`, `say`, `suspend`, `faults` …
    ///
    /// # Panics
    /// It does not.
    pub async fn control(&self, what: &str, body: Value) -> Value {
        let url = format!("{}/simulator/{what}", self.url);
        let sent = self.client.post(&url).json(&body).send().await;
        let answer = http::read(sent.expect("an answer")).await.expect("an answer");
        assert_eq!(answer.status, 200, "POST {what} {body}: {answer}");
        answer.json
    }

    /// Looks at something of `/simulator`: `truth`, `calls`, `faults`, `webhooks`.
    ///
    /// # Panics
    /// Nobody answers.
    pub async fn look(&self, what: &str) -> Value {
        let sent = self.client.get(format!("{}/simulator/{what}", self.url)).send().await;
        http::read(sent.expect("an answer")).await.expect("an answer").json
    }

    /// Says where webhooks go.
    ///
    /// # Panics
    /// Nobody answers.
    pub async fn tell(&self, webhook_url: &str) {
        self.control("webhook", serde_json::json!({ "url": webhook_url })).await;
    }

    /// Waits until every webhook of what happened is delivered.
    ///
    /// # Panics
    /// They are not, within a bound.
    pub async fn all_told(&self) {
        wait_until("all webhooks are delivered", QUIET_WAIT, async || {
            match self.look("webhooks").await["pending"].as_u64() {
                Some(0) => Ok(()),
                pending => Err(format!("{pending:?} are not")),
            }
        })
        .await;
    }
}
