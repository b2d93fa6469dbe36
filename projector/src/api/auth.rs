//! Tokens of the query API.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use ring::hmac;
use ring::rand::SystemRandom;

use super::Api;
use super::problem::Problem;

/// The configured tokens, as tags under a key that only this process knows: comparing tags takes the
/// same time wherever they differ, and however long a token is.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
    tags: Vec<hmac::Tag>,
}

impl Tokens {
    /// Keeps tokens; `None` if the system has no randomness to give.
    pub(crate) fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let tags = tokens.into_iter().map(|token| hmac::sign(&key, token.as_bytes())).collect();
        Some(Self { key, tags })
    }

    fn admit(&self, headers: &HeaderMap) -> bool {
        if self.tags.is_empty() {
            return true;
        }
        let Some(token) = bearer(headers) else { return false };
        // All are compared, so that time does not tell which one came close.
        let verified = |tag: &hmac::Tag| hmac::verify(&self.key, token.as_bytes(), tag.as_ref()).is_ok();
        self.tags.iter().fold(false, |admitted, tag| admitted | verified(tag))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) async fn require(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if api.tokens.admit(request.headers()) {
        Ok(next.run(request).await)
    } else {
        Err(Problem::unauthorized())
    }
}
