//! Whoever receives a replay: an HTTP address or a subject.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{StatusCode, Url};

use super::subject::Subject;
use crate::data::Run;
use crate::exit::{Failure, with_causes};
use crate::log::{Log, LogReach};

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
const ATTEMPTS_MAX: u32 = 12;
const BACK_OFF_FIRST: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// The path of every groupfold receiver.
const RECEIVER_PATH: &str = "/webhooks/meta";

/// What goes out.
pub(super) struct Message {
    pub(super) bytes: Bytes,
    pub(super) signature: Option<String>,
    pub(super) event_id: String,
    pub(super) position: String,
}

/// What the receiver made of it.
pub(super) enum Delivered {
    Taken,
    /// It is on its way: [`Target::confirm`] says whether it came.
    Sent,
    Refused(StatusCode),
}

/// Whoever receives.
pub(super) enum Target {
    Http { client: reqwest::Client, url: Url },
    Nats(Box<Subject>),
}

/// Refuses what would feed a pipeline with its own events by mistake, or write into the log.
pub(super) fn check(to: &str, into_groupfold: bool, reach: &LogReach) -> Result<(), Failure> {
    if let Some(subject) = to.strip_prefix("nats:") {
        let ours = subject.starts_with("groupfold.") || subject.starts_with('$');
        let bad =
            subject.is_empty() || subject.contains(['*', '>', ' ']) || subject.split('.').any(str::is_empty);
        return match (ours, bad) {
            (true, _) => Err(Failure::Usage(format!(
                "--to {to}: subjects of the log and the broker are not for replays"
            ))),
            (_, true) => Err(Failure::Usage(format!("--to {to}: no subject that can be published to"))),
            _ => Ok(()),
        };
    }
    let url = parse(to)?;
    let own = Run::find(&reach.data, "--nats-url").ok().and_then(|run| run.webhook_addr);
    let own_port = own.and_then(|addr| addr.rsplit_once(':')?.1.parse::<u16>().ok());
    let local =
        url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
    let is_own = local && own_port.is_some() && url.port_or_known_default() == own_port;
    if !into_groupfold && (is_own || url.path().trim_end_matches('/') == RECEIVER_PATH) {
        return Err(Failure::Usage(
            "--to is a groupfold receiver, which has these events or would take them for new ones: --into-groupfold, if that \
             is what you want"
                .to_owned(),
        ));
    }
    Ok(())
}

fn parse(to: &str) -> Result<Url, Failure> {
    match Url::parse(to) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(Failure::Usage(format!("--to {to}: expected an http or https URL, or nats:SUBJECT"))),
    }
}

impl Target {
    pub(super) async fn new(to: &str, log: &Log) -> Result<Self, Failure> {
        if let Some(subject) = to.strip_prefix("nats:") {
            return Ok(Self::Nats(Box::new(Subject::find(subject, &log.context).await?)));
        }
        let client = crate::http::client(|builder| {
            builder.timeout(ATTEMPT_MAX).redirect(reqwest::redirect::Policy::none())
        })
        .map_err(|error| Failure::failed("cannot make an HTTP client", &error))?;
        Ok(Self::Http { client, url: parse(to)? })
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self, Self::Http { .. })
    }

    /// Sends until it is taken or refused; one after the other, so that the order holds.
    pub(super) async fn send(&mut self, message: &Message, retries: &mut u64) -> Result<Delivered, Failure> {
        match self {
            Self::Nats(subject) => subject.publish(message).await.map(|()| Delivered::Sent),
            Self::Http { client, url } => post(client, url, message, retries).await,
        }
    }

    /// Waits until everything that was sent has come; how many these were since the last time.
    pub(super) async fn confirm(&mut self) -> Result<u64, Failure> {
        match self {
            Self::Http { .. } => Ok(0),
            Self::Nats(subject) => subject.confirm().await,
        }
    }
}

async fn post(
    client: &reqwest::Client,
    url: &Url,
    message: &Message,
    retries: &mut u64,
) -> Result<Delivered, Failure> {
    let mut back_off = BACK_OFF_FIRST;
    let mut attempt = 1;
    loop {
        let mut request = client
            .post(url.clone())
            .header("content-type", "application/json")
            .header("groupfold-replay", "true")
            .header("groupfold-event-id", &message.event_id)
            .header("groupfold-position", &message.position)
            .body(message.bytes.clone());
        if let Some(signature) = &message.signature {
            request = request.header("x-hub-signature-256", signature);
        }
        let (why, wait) = match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(Delivered::Taken),
            Ok(response) => {
                let status = response.status();
                let again = status.is_server_error()
                    || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
                if !again {
                    return Ok(Delivered::Refused(status));
                }
                (format!("answers {status}"), retry_after(&response))
            }
            Err(error) => (with_causes("does not answer", &error.without_url()), None),
        };
        if attempt >= ATTEMPTS_MAX {
            return Err(Failure::Again(format!(
                "the receiver {why}, {ATTEMPTS_MAX} times, for the event at {}",
                message.position
            )));
        }
        attempt += 1;
        *retries += 1;
        tokio::time::sleep(wait.unwrap_or(back_off).min(BACK_OFF_MAX)).await;
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
}

/// What the receiver asks us to wait, if it says so in seconds.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
