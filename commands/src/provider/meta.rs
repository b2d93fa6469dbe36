//! Meta's Graph API: calls into requests, answers into what became of them.
//!
//! Facts: the guide and reference of the Groups API, December 2025 (base `graph.facebook.com/<VERSION>`, examples v23.0 to
//! v25.0). None of its endpoints is documented as idempotent, and none takes an idempotency key.

mod answer;
mod error;
mod request;
mod table;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use groupfold_schemas::verdict::{PERMISSION_MISSING, PROVIDER_ERROR, TOO_MANY_CALLS};
use reqwest::{StatusCode, header};
use tokio::sync::watch;

pub(crate) use groupfold_schemas::verdict::{CURSOR_EXPIRED, GROUP_UNKNOWN};
pub(crate) use table::NOT_FOUND;

use super::answer::{Advice, Answer, Refusal, Unsure};
use super::{Call, Settings, Tokens};
use crate::exit::Failure;

/// Shorter than servers keep an idle connection: a call on one that is just being closed would end unknown.
const IDLE_MAX: Duration = Duration::from_secs(15);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A page of 1,024 groups takes some 200 KiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The API of Meta.
#[derive(Debug)]
pub(super) struct Meta {
    client: reqwest::Client,
    base: reqwest::Url,
    tokens: watch::Sender<Tokens>,
    /// The provider's clock less ours, Unix milliseconds, as its last answer told.
    ahead_ms: AtomicI64,
}

/// One attempt.
#[derive(Debug)]
pub(super) enum Sent {
    /// The provider answered, and not that there are too many calls.
    Answered(Answer),
    /// There are too many calls; nothing was done.
    Slow { answer: Answer, retry_after: Option<Duration> },
    /// The provider did not answer, or with a fault of its own.
    Failed(Answer),
}

impl Meta {
    pub(super) fn new(settings: Settings) -> Result<Self, Failure> {
        let client = crate::http::client(|builder| {
            builder
                .connect_timeout(CONNECT_DEADLINE.min(settings.deadline))
                .timeout(settings.deadline)
                .pool_idle_timeout(IDLE_MAX)
                // The token goes where it was told to go.
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("groupfold/", env!("CARGO_PKG_VERSION")))
        })
        .map_err(|error| Failure::failed("cannot make an HTTP client", &error))?;
        Ok(Self {
            client,
            base: settings.meta_graph_url,
            tokens: watch::Sender::new(settings.tokens),
            ahead_ms: AtomicI64::new(0),
        })
    }

    pub(super) fn knows(&self, phone_number_id: &str) -> bool {
        self.tokens.borrow().of(phone_number_id).is_some()
    }

    pub(super) fn replace_tokens(&self, tokens: Tokens) {
        self.tokens.send_replace(tokens);
    }

    pub(super) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Asks once.
    pub(super) async fn send(&self, phone_number_id: &str, call: &Call) -> Sent {
        let Some(token) = self.tokens.borrow().of(phone_number_id).cloned() else {
            return Sent::Answered(Answer::Refused(Refusal::of("access_token_missing", Advice::DoNotRetry)));
        };
        let request = request::build(&self.client, &self.base, phone_number_id, call);
        let response = match request.bearer_auth(token.reveal()).send().await {
            Ok(response) => response,
            Err(error) => return Sent::Failed(unanswered(&error)),
        };
        let status = response.status();
        let retry_after = retry_after(&response);
        if let Some(told_ms) = date_ms(&response) {
            self.ahead_ms.store(told_ms - jiff::Timestamp::now().as_millisecond(), Ordering::Relaxed);
        }
        let body = match read(response).await {
            Ok(body) => body,
            Err(unsure) => return Sent::Failed(Answer::Unknown(unsure)),
        };
        let answer = answer::of(call, status, &body, retry_after);
        let is_slow = |refusal: &Refusal| table::is_slow(refusal.code);
        match &answer {
            Answer::Refused(refusal) if is_slow(refusal) => Sent::Slow { retry_after, answer },
            // An answer that cannot be read would not read better a second time.
            Answer::Unknown(Unsure::Unreadable) => Sent::Answered(answer),
            Answer::Unknown(_) => Sent::Failed(answer),
            _ => Sent::Answered(answer),
        }
    }
}

/// What is known when no answer came: no connection, nothing done; anything later, nobody knows.
fn unanswered(error: &reqwest::Error) -> Answer {
    if error.is_connect() {
        return Answer::Refused(Refusal::of("provider_unreachable", Advice::RetryLater));
    }
    if error.is_builder() {
        return Answer::Refused(Refusal::of("invalid_call", Advice::DoNotRetry));
    }
    Answer::Unknown(if error.is_timeout() { Unsure::TimedOut } else { Unsure::ConnectionLost })
}

/// Seconds; the form with a date is not used by Meta.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The provider's clock when it answered, Unix milliseconds of a whole second.
fn date_ms(response: &reqwest::Response) -> Option<i64> {
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(date.as_millisecond())
}

async fn read(mut response: reqwest::Response) -> Result<BytesMut, Unsure> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(Unsure::Unreadable),
            Err(error) if error.is_timeout() => return Err(Unsure::TimedOut),
            Err(_) => return Err(Unsure::ConnectionLost),
        }
    }
}

/// A status without a word that we know.
fn by_status(status: StatusCode) -> (&'static str, Advice) {
    match status {
        StatusCode::UNAUTHORIZED => ("access_token_refused", Advice::DoNotRetry),
        StatusCode::FORBIDDEN => (PERMISSION_MISSING, Advice::DoNotRetry),
        StatusCode::NOT_FOUND => (NOT_FOUND, Advice::Reconcile),
        StatusCode::TOO_MANY_REQUESTS => (TOO_MANY_CALLS, Advice::RetryLater),
        _ => (PROVIDER_ERROR, Advice::DoNotRetry),
    }
}
