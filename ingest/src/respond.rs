//! Answers. The one place where errors become statuses.
//!
//! Never 4xx for a fault of ours: a sender may take that for final.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode, Version};

use crate::append::Receipt;
use crate::durability::Durability;
use crate::{append, body, handshake, verify};

pub(crate) type Answer = Response<Full<Bytes>>;

const POSITION: HeaderName = HeaderName::from_static("groupfold-position");
const REQUEST_ID: HeaderName = HeaderName::from_static("groupfold-request-id");
const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Overload passes quickly.
const RETRY_BUSY_S: &str = "1";
/// A broker takes some seconds to come back.
const RETRY_BROKER_S: &str = "5";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is nothing at this path")]
    Path,
    #[error("the method is neither GET nor POST")]
    Method,
    #[error("too many requests are in flight")]
    Busy,
    #[error("the body was not read")]
    Body(#[source] body::Error),
    #[error("the signature does not hold")]
    Signature(#[source] verify::Error),
    #[error("the handshake fails")]
    Handshake(#[source] handshake::Error),
    #[error("not every item is known to be in the log")]
    Append(#[source] append::Error),
    #[error("the work on the request ended by a fault of the program")]
    Fault,
}

/// Status, stable cause, seconds to wait.
type Outline = (StatusCode, &'static str, Option<&'static str>);

impl Refusal {
    pub(crate) fn outline(&self) -> Outline {
        use StatusCode as S;
        match self {
            Self::Path => (S::NOT_FOUND, "not_found", None),
            Self::Method => (S::METHOD_NOT_ALLOWED, "method_not_allowed", None),
            Self::Busy => (S::SERVICE_UNAVAILABLE, "too_many_requests", Some(RETRY_BUSY_S)),
            Self::Body(body::Error::TooLarge { .. }) => (S::PAYLOAD_TOO_LARGE, "body_too_large", None),
            Self::Body(body::Error::Late) => (S::REQUEST_TIMEOUT, "body_late", None),
            Self::Body(body::Error::Busy) => (S::SERVICE_UNAVAILABLE, "too_many_bytes", Some(RETRY_BUSY_S)),
            Self::Body(body::Error::Broken(_)) => (S::BAD_REQUEST, "body_broken", None),
            Self::Signature(verify::Error::Missing) => (S::UNAUTHORIZED, "signature_missing", None),
            Self::Signature(verify::Error::Malformed) => (S::UNAUTHORIZED, "signature_malformed", None),
            Self::Signature(verify::Error::Wrong) => (S::UNAUTHORIZED, "signature_wrong", None),
            Self::Handshake(
                handshake::Error::Mode
                | handshake::Error::Token
                | handshake::Error::Unset
                | handshake::Error::Challenge,
            ) => (S::FORBIDDEN, "handshake_refused", None),
            Self::Append(error) => (S::SERVICE_UNAVAILABLE, error.reason(), Some(RETRY_BROKER_S)),
            Self::Fault => (S::SERVICE_UNAVAILABLE, "fault", Some(RETRY_BUSY_S)),
        }
    }

    /// The rest of the request was not read and is not wanted.
    fn leaves_body_unread(&self) -> bool {
        matches!(self, Self::Busy | Self::Body(_))
    }

    /// A problem document (RFC 9457). Its texts are ours: nothing of the request is echoed.
    pub(crate) fn answer(&self, request_id: &str, version: Version) -> Answer {
        let (status, cause, retry_after) = self.outline();
        let title = status.canonical_reason().unwrap_or("Error");
        let problem = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{cause}","detail":"{self}","request_id":"{request_id}"}}"#,
            status.as_u16()
        );
        let mut answer = answer(status, "application/problem+json", problem.into(), request_id);
        let headers = answer.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if matches!(self, Self::Method) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        if self.leaves_body_unread() && version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// 200: every item has its fate, and what is to be in the log is acknowledged by it.
pub(crate) fn receipt(receipt: &Receipt, durability: Durability, request_id: &str) -> Answer {
    let Receipt { appended, duplicate, failed, ignored, position, .. } = receipt;
    let (position, durability) = (position.to_string(), durability.name());
    let body = format!(
        r#"{{"appended":{appended},"duplicate":{duplicate},"failed":{failed},"ignored":{ignored},"position":"{position}","durability":"{durability}"}}"#
    );
    let mut answer = answer(StatusCode::OK, "application/json", body.into(), request_id);
    if !position.is_empty()
        && let Ok(position) = HeaderValue::try_from(position)
    {
        answer.headers_mut().insert(POSITION, position);
    }
    answer
}

/// The handshake's challenge, bare.
pub(crate) fn challenge(challenge: Vec<u8>, request_id: &str) -> Answer {
    answer(StatusCode::OK, "text/plain; charset=utf-8", challenge.into(), request_id)
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes, request_id: &str) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    answer
}

#[cfg(test)]
mod tests;
