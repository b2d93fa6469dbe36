//! A request to write: who asks, about which group, and with what body.

use std::collections::HashMap;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;

/// A body without a picture.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
const KEY_HEADER: &str = "idempotency-key";
const ACTOR_HEADER: &str = "groupfold-actor";
/// Longest value of either.
const HEADER_BYTES_MAX: usize = 128;

/// Who asks.
pub(crate) struct Asker {
    pub(in crate::api) caller: Caller,
    pub(in crate::api) actor: Option<String>,
    /// Of two holders, equal keys are two.
    pub(in crate::api) idempotency_key: Option<String>,
}

impl FromRequestParts<Api> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Ok(caller) = Caller::from_request_parts(parts, api).await;
        let key = header(&parts.headers, KEY_HEADER)?;
        let idempotency_key = key.map(|key| caller.key(&key));
        Ok(Self { actor: header(&parts.headers, ACTOR_HEADER)?, idempotency_key, caller })
    }
}

/// A header's text, bounded.
fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    match text {
        Some(text) if !text.is_empty() && text.len() <= HEADER_BYTES_MAX => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_header(name, &format!("1 to {HEADER_BYTES_MAX} visible ASCII characters"))),
    }
}

/// What is asked of the group in the path.
pub(crate) struct OnGroup {
    pub(super) api: Api,
    pub(super) asker: Asker,
    pub(super) group_id: String,
}

impl FromRequestParts<Api> for OnGroup {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, api).await;
        let Path(mut names) = path.map_err(|rejection| Problem::bad_id(rejection.body_text()))?;
        let group_id = names.remove("group_id").ok_or_else(Problem::internal)?;
        let asker = Asker::from_request_parts(parts, api).await?;
        Ok(Self { api: api.clone(), asker, group_id })
    }
}

/// A bounded body.
pub(crate) struct Body(pub(in crate::api) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let read = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        read.map(Self).map_err(|_| Problem::body_too_large(BODY_BYTES_MAX))
    }
}

impl Body {
    /// As JSON, whatever its media type says.
    pub(in crate::api) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.0).map_err(|error| Problem::bad_body(&error.to_string()))
    }

    /// That it says nothing.
    pub(in crate::api) fn empty(&self) -> Result<(), Problem> {
        let nothing = self.0.iter().all(u8::is_ascii_whitespace) || self.0.as_ref() == b"{}";
        if nothing { Ok(()) } else { Err(Problem::bad_body("this request has no body")) }
    }
}
