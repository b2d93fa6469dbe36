//! The query API of a running process: how a verb reaches it, and the one client by which all verbs ask.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::config::{self, HASH};
use crate::data::Run;
use crate::exit::{Failure, with_causes};
use crate::log::LogReach;

/// Longer than the longest wait a server grants by default.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Items of a page, where a whole list is read: the most that the API gives.
pub(crate) const PAGE: &str = "200";
/// Characters that are shown of an answer that is none of the API's.
const STRANGE_MAX: usize = 200;

/// Authorities that sign the API's certificate; what the system trusts if there are none.
static AUTHORITIES: OnceLock<Vec<reqwest::Certificate>> = OnceLock::new();

/// Trusts the authorities of a file, and no others, from now on.
fn trust(file: &Path) -> Result<(), Failure> {
    let unusable = |error: &dyn std::error::Error| {
        Failure::Usage(with_causes(&format!("api_tls_ca: cannot use {}", file.display()), error))
    };
    let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
    if found.is_empty() {
        return Err(Failure::Usage(format!("api_tls_ca: {} holds no certificate in PEM", file.display())));
    }
    let _ = AUTHORITIES.set(found);
    Ok(())
}

/// Who asks the API of a running process.
fn http(deadline: Duration) -> Result<reqwest::Client, reqwest::Error> {
    crate::http::client(|builder| match AUTHORITIES.get() {
        Some(authorities) => builder.timeout(deadline).tls_certs_only(authorities.iter().cloned()),
        None => builder.timeout(deadline),
    })
}

/// The API of a pipeline elsewhere.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Elsewhere {
    /// Query API of a pipeline elsewhere
    #[arg(long, env = "GROUPFOLD_API_URL", value_name = "URL")]
    api_url: Option<String>,
    /// Authorities that sign the certificate of --api-url, PEM (default: those of the system)
    #[arg(long, env = "GROUPFOLD_API_TLS_CA", value_name = "FILE")]
    api_tls_ca: Option<PathBuf>,
}

impl Elsewhere {
    /// Its address, if one is named; its authorities are trusted from now on.
    pub(crate) fn url(&self) -> Result<Option<&str>, Failure> {
        self.api_tls_ca.as_deref().map(trust).transpose()?;
        Ok(self.named())
    }

    pub(crate) fn named(&self) -> Option<&str> {
        self.api_url.as_deref()
    }

    /// That address, or that of what runs on the data folder, whose token for its owner is told to `token`.
    pub(crate) fn address(
        &self,
        data: &Path,
        token: impl FnOnce(Option<String>) -> Option<String>,
    ) -> Result<(String, Option<String>), Failure> {
        match self.url()? {
            Some(url) => Ok((url.to_owned(), token(None))),
            None => {
                let run = Run::find(data, "--api-url")?;
                Ok((format!("http://{}", run.api_addr), token(run.api_token)))
            }
        }
    }
}

/// The token to ask with. The one that the verb was `given` wins, and of several, as the variable lists them for the server,
/// the first that can be sent; then that of the process on this machine for its `owner`, which sees all; then the one of
/// `settings` that are the process's own.
pub(crate) fn token(given: Option<&str>, owner: Option<String>, settings: Option<String>) -> Option<String> {
    let mut each = given.into_iter().flat_map(|list| list.split(',')).map(str::trim);
    let sent = each.find(|one| !one.is_empty() && !one.starts_with(HASH));
    sent.map(str::to_owned).or(owner).or(settings)
}

/// The API of what runs on the data folder, or of an address.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct ApiReach {
    /// Data folder of the pipeline that runs here
    #[arg(long, env = "GROUPFOLD_DATA", default_value = "./groupfold-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) elsewhere: Elsewhere,
    /// Bearer token of the API
    #[arg(long, env = "GROUPFOLD_API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
}

impl ApiReach {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let given = match self.api_token.clone().filter(|list| !list.is_empty()) {
            None => config::of_file("api_token")?.map(|texts| texts.join(",")),
            given => given,
        };
        let (url, token) =
            self.elsewhere.address(&self.data, |owner| token(given.as_deref(), owner, None))?;
        Client::new(&url, token)
    }
}

/// The API and the log of a pipeline.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct PipelineReach {
    #[command(flatten)]
    pub(crate) api: ApiReach,
    /// Broker of a pipeline elsewhere
    #[arg(long, env = "GROUPFOLD_NATS_URL", hide_env_values = true, value_name = "URL")]
    nats_url: Option<String>,
}

impl PipelineReach {
    pub(crate) fn log(&self) -> LogReach {
        LogReach { data: self.api.data.clone(), nats_url: self.nats_url.clone() }
    }
}

/// A request to the API; segments of the path and values are encoded by the client.
#[derive(Default)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, Option<String>)],
    pub(crate) headers: &'a [(&'a str, Option<String>)],
    pub(crate) body: Body,
    /// How long the answer may take, if not as long as any.
    pub(crate) deadline: Option<Duration>,
}

/// What a request carries.
#[derive(Default)]
pub(crate) enum Body {
    #[default]
    None,
    Json(Value),
    Form {
        fields: Value,
        picture: Vec<u8>,
    },
}

/// What was answered: JSON, or a text if it is none, as proxies answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

/// Why there is no answer.
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// The request may have been sent, and taken.
    pub(crate) may_have_come: bool,
}

/// Who asks the API of one process.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    base: String,
    url: Url,
    token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(base: &str, token: Option<String>) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        let url = Url::parse(&base).map_err(|error| {
            Failure::Usage(format!("api_url: {base:?} is no URL ({error}); expected http://HOST:PORT"))
        })?;
        let http = http(ANSWER_DEADLINE).map_err(|error| Failure::failed("cannot ask the API", &error))?;
        Ok(Self { base, url, token, http })
    }

    /// Its address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request; the status is the caller's to judge.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.try_send(request).await.map_err(|unanswered| unanswered.failure)
    }

    /// The same for whoever must know whether it may have come all the same.
    pub(crate) async fn try_send(&self, request: Request<'_>) -> Result<Answer, Unanswered> {
        if let Some(segment) = request.path.iter().find(|segment| !is_segment(segment)) {
            let line = format!("{segment:?} is no id: an address cannot hold it");
            return Err(Unanswered { failure: Failure::Usage(line), may_have_come: false });
        }
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path);
        }
        for (name, value) in request.query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let mut sent = self.http.request(request.method, url);
        if let Some(deadline) = request.deadline {
            sent = sent.timeout(deadline);
        }
        if let Some(token) = &self.token {
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
        let unreachable = |error: reqwest::Error| {
            // Where there was no connection nothing was sent.
            let may_have_come = !error.is_connect();
            let cause = with_causes("", &error.without_url());
            let failure = Failure::Missing(format!("the API at {} does not answer: {cause}", self.base));
            Unanswered { failure, may_have_come }
        };
        let response = sent.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body })
    }

    /// Sends a request; what is refused is a failure.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Result<Value, Failure> {
        self.judge(self.send(request).await?)
    }

    /// Asks for a path.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        self.ask(Request { path, query, ..Request::default() }).await
    }

    /// The failure of an answer that wants a token, or another one, which says which.
    pub(crate) fn wants_token(&self, Answer { status, body }: &Answer) -> Option<Failure> {
        let needs = match (status.as_u16(), body["code"].as_str()) {
            (401, _) if self.token.is_some() => "another token than the one that was sent".to_owned(),
            (401, _) => "a token".to_owned(),
            (403, Some("forbidden")) => {
                let detail = body["detail"].as_str().unwrap_or_default();
                detail.trim_start_matches("this needs ").to_owned()
            }
            _ => return None,
        };
        let (base, status) = (&self.base, status.as_u16());
        Some(Failure::Failed(format!(
            "the API at {base} wants {needs} ({status}): give --api-token, or GROUPFOLD_API_TOKEN"
        )))
    }

    /// What an answer says, or its refusal as a line.
    pub(crate) fn judge(&self, answer: Answer) -> Result<Value, Failure> {
        if let Some(failure) = self.wants_token(&answer) {
            return Err(failure);
        }
        let Answer { status, body } = answer;
        let field = |name: &str| body[name].as_str().unwrap_or_default();
        let line = match &body {
            Value::String(_) if status.is_success() => {
                return Err(Failure::Missing(format!(
                    "the API at {} does not answer as a groupfold: is the address right?",
                    self.base
                )));
            }
            _ if status.is_success() => return Ok(body),
            Value::String(text) => {
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let text: String = text.chars().take(STRANGE_MAX).collect();
                format!("the API at {} answers {status}: {text}", self.base)
            }
            _ => {
                let detail = if field("detail").is_empty() { field("title") } else { field("detail") };
                format!("{detail} ({} {})", status.as_u16(), field("code"))
            }
        };
        Err(match (status.as_u16(), field("code")) {
            (400 | 422, _) => Failure::Usage(line),
            // 502 and 504 are those of somebody between.
            (412 | 429 | 502..=504, _) | (409, "task_under_way") => Failure::Again(line),
            _ => Failure::Failed(line),
        })
    }

    /// A list page by page, `most` pages with a pause between them; true if those were all.
    pub(crate) async fn pages(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
        (most, pause): (usize, Duration),
        mut page: impl FnMut(&Value),
    ) -> Result<bool, Failure> {
        let mut query = query.to_vec();
        query.push(("cursor", None));
        for _ in 0..most {
            let answer = self.get(path, &query).await?;
            page(&answer);
            let Some(next) = answer["cursor"].as_str() else { return Ok(true) };
            if let Some((_, cursor)) = query.last_mut() {
                *cursor = Some(next.to_owned());
            }
            tokio::time::sleep(pause).await;
        }
        Ok(false)
    }
}

/// True for what can be one segment of a path, encoded. Whatever reads an address takes dots alone for a step, however they are
/// encoded, and leaves tabs and line ends out: the answer would be another thing's.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains(['\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 429 and of a proxy's own refusals it was said that all failed.
    #[test]
    fn what_may_work_later_is_told_apart_from_what_failed() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new("http://127.0.0.1:9", None).unwrap();
        for (status, code) in
            [(400, 2), (404, 1), (412, 75), (429, 75), (500, 1), (502, 75), (503, 75), (504, 75)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            for body in [serde_json::json!({ "code": "x" }), Value::String("<html>".to_owned())] {
                let failure = client.judge(Answer { status, body }).unwrap_err();
                assert_eq!(failure.code(), code, "{status}: {failure}");
            }
        }
    }

    /// What the API says of it is for whoever speaks HTTP.
    #[test]
    fn a_verb_without_the_right_token_is_told_which_and_by_what() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let said = |token: Option<&str>, status, body| {
            let client = Client::new("http://127.0.0.1:9", token.map(str::to_owned)).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            client.judge(Answer { status, body }).unwrap_err().to_string()
        };
        let bare = serde_json::json!({ "code": "unauthorized", "detail": "Authorization: Bearer" });
        let give = "give --api-token, or GROUPFOLD_API_TOKEN";
        let wants = |needs: &str| format!("the API at http://127.0.0.1:9 wants {needs}: {give}");
        assert_eq!(said(None, 401, bare.clone()), wants("a token (401)"));
        assert_eq!(said(Some("t"), 401, bare), wants("another token than the one that was sent (401)"));
        let scope =
            serde_json::json!({ "code": "forbidden", "detail": "this needs a token with the scope operate" });
        assert_eq!(said(Some("t"), 403, scope), wants("a token with the scope operate (403)"));
        let other = serde_json::json!({ "code": "not_moderator", "detail": "nobody" });
        assert_eq!(said(Some("t"), 403, other), "nobody (403 not_moderator)");
    }

    /// `group show ..` once printed an empty group: the list's address had been asked.
    #[tokio::test]
    async fn what_cannot_be_a_segment_of_a_path_is_asked_of_nobody() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new("http://127.0.0.1:9", None).unwrap();
        for id in ["..", ".", "", "G\t1", "G\n"] {
            let refused = client.get(&["v1", "groups", id, "members"], &[]).await;
            assert!(matches!(refused, Err(Failure::Usage(_))), "{id:?}: {refused:?}");
        }
        for id in ["...", "%2e%2e", "a/b", "?", "#", " "] {
            let sent = client.get(&["v1", "groups", id], &[]).await;
            assert!(matches!(sent, Err(Failure::Missing(_))), "{id:?}: {sent:?}");
        }
    }
}
