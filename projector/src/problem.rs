//! What can go wrong in an answer, as RFC 9457 says it, with codes that stay.

mod known;

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use groupfold_schemas::position::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::desk::Refusal;
use crate::store;

/// Of what is said of a group, and of what is asked of it.
const NOT_MODERATOR: &str = "not_moderator";
/// Another request under a key that was used.
pub(crate) const KEY_REUSED: &str = "idempotency_key_reused";

/// An answer that is none.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    pub(crate) position: Option<Position>,
    /// When to ask again, where that is known.
    retry_after_s: Option<u64>,
    /// The store that could not be read, and why: for the log and the partition's loop, not the answer.
    pub(crate) store: Option<Box<(u16, store::Error)>>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

/// Body of every answer with status 400 and above, as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:groupfold:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The same for all problems of this code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Stable name of the problem.
    code: &'static str,
    /// What happened here, and what would be right.
    detail: String,
    /// How far the partitions are, also as the header `Groupfold-Position`: with `position_not_reached`, and of what is
    /// not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, title, detail, position: None, retry_after_s: None, store: None }
    }

    /// A query parameter that does not say what it must.
    pub(crate) fn parameter(code: &'static str, name: &str, found: &str, expected: &str) -> Self {
        let detail = format!("{name} is {found:?}, expected {expected}");
        Self::new(StatusCode::BAD_REQUEST, code, "A query parameter cannot be read", detail)
    }

    /// What this process lacks, and others have.
    pub(crate) fn lacking(what: &str) -> Self {
        Self::not_supported(&format!("{what}: ask a process of `groupfold up` or `groupfold project`"))
    }

    pub(crate) fn not_supported(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not_supported", "Not offered here", detail)
    }

    /// A moment to look back to that does not speak of the partition where the answer lives.
    pub(crate) fn at_elsewhere(at: &Position, partition: u16) -> Self {
        let expected =
            format!("a position of partition {partition}, as the answer without it names, or a time");
        Self::parameter("bad_at", "at", &at.to_string(), &expected)
    }

    /// Looking back costs a fold of all that the group ever did.
    pub(crate) fn history_too_long(most: usize) -> Self {
        let detail = format!("more than {most} events would have to be folded; ask for an earlier moment");
        let title = "The history is too long to look back";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "history_too_long", title, detail)
    }

    pub(crate) fn beginning_gone(partition: u16, first: u64) -> Self {
        let detail =
            format!("the log of partition {partition} begins with sequence {first}; what was is unknown");
        let title = "The log has lost its beginning";
        Self::new(StatusCode::GONE, "beginning_gone", title, detail)
    }

    pub(crate) fn log_unreadable(partition: u16) -> Self {
        let detail = format!("the log of partition {partition} cannot be read now; the present state can");
        let title = "The log does not answer";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "log_unreadable", title, detail)
    }

    pub(crate) fn no_such_partition(partition: u16, total: u16) -> Self {
        let expected = format!("partitions 0 to {}", total.saturating_sub(1));
        Self::parameter("bad_position", "min_position", &format!("{partition}:…"), &expected)
    }

    pub(crate) fn bad_id(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_id", "The id in the path cannot be read", detail)
    }

    /// What the state at a position does not have.
    fn absent(code: &'static str, title: &'static str, detail: String, position: &Position) -> Self {
        let problem = Self::new(StatusCode::NOT_FOUND, code, title, detail);
        Self { position: Some(position.clone()), ..problem }
    }

    pub(crate) fn group_not_found(id: &str, position: &Position) -> Self {
        let detail = format!("no event up to {position} speaks of group {id:?}");
        Self::absent("group_not_found", "The group is not known", detail, position)
    }

    pub(crate) fn message_not_found(id: &str, position: &Position) -> Self {
        let detail = format!("no receipt up to {position} speaks of message {id:?}");
        Self::absent("message_not_found", "The message is not known", detail, position)
    }

    /// Nothing tells where a message lives.
    pub(crate) fn message_without_group(id: &str, position: &Position) -> Self {
        let detail =
            format!("no receipt up to {position} tells the group of message {id:?}: name it as group_id");
        Self::absent("message_not_found", "The message is not known", detail, position)
    }

    /// As if it were not known: whose it is, is nobody's business.
    pub(crate) fn message_elsewhere(id: &str, group: &str, position: &Position) -> Self {
        let detail = format!("no receipt up to {position} tells message {id:?} in group {group:?}");
        Self::absent("message_not_found", "The message is not known", detail, position)
    }

    pub(crate) fn bad_label(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_label", "The label cannot be taken", detail)
    }

    pub(crate) fn too_many_labels(most: usize) -> Self {
        let detail = format!("the group has {most} labels, the most that are taken: remove one first");
        Self::new(StatusCode::CONFLICT, "too_many_labels", "The group has too many labels", detail)
    }

    /// The group has moderators, and who asks is none of them.
    pub(crate) fn not_moderator() -> Self {
        let detail = "Groupfold-Actor names nobody who moderates this group; its moderators are in the group";
        Self::new(StatusCode::FORBIDDEN, NOT_MODERATOR, "The group does not allow it", detail)
    }

    pub(crate) fn command_not_found(id: &str, position: &Position) -> Self {
        let detail = format!("no event up to {position} speaks of command {id:?}");
        Self::absent("command_not_found", "The command is not known", detail, position)
    }

    pub(crate) fn bad_body(detail: &str) -> Self {
        let title = "The body cannot be read";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_body", title, detail)
    }

    pub(crate) fn body_too_large(most: usize) -> Self {
        let title = "The body is too large";
        let detail = format!("expected at most {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", title, detail)
    }

    pub(crate) fn bad_header(name: &str, expected: &str) -> Self {
        let detail = format!("{name}: expected {expected}");
        Self::new(StatusCode::BAD_REQUEST, "bad_header", "A header cannot be read", detail)
    }

    /// Why something is not done, in the terms of HTTP.
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        let detail = refusal.to_string();
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        match refusal {
            Refusal::Fields(_) => Self::new(unprocessable, "invalid_field", "A field breaks a rule", detail),
            Refusal::Rule { code, command_id, .. } => {
                let of = command_id.as_ref().map(|id| format!(" (command {id})")).unwrap_or_default();
                let detail = detail + &of;
                let status =
                    if *code == NOT_MODERATOR { StatusCode::FORBIDDEN } else { StatusCode::CONFLICT };
                Self::new(status, code, "The group does not allow it", detail)
            }
            Refusal::KeyReused => Self::new(unprocessable, KEY_REUSED, "The key was used before", detail),
            Refusal::NoProvider(_) => {
                let title = "The provider cannot be reached from here";
                Self::new(StatusCode::CONFLICT, "no_provider", title, detail)
            }
            Refusal::Busy => Self::busy(),
            Refusal::NotKnown { why, .. } => why.problem().of(detail),
            Refusal::Unwritten(unwritten) => Self::unwritten(unwritten),
            Refusal::Provider { advice: "retry_later", .. } => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "provider_busy", "The provider asks for patience", detail)
            }
            Refusal::Provider { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "provider_refused", "The provider says no", detail)
            }
        }
    }

    pub(crate) fn route_not_found(path: &str) -> Self {
        let detail = format!("there is nothing at {path}; /openapi.json lists what there is");
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here", detail)
    }

    pub(crate) fn method_not_allowed(method: &str) -> Self {
        let detail = format!("{method} is not answered here; /openapi.json lists what is");
        let title = "The method is not answered";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title, detail)
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "send one of the configured tokens: Authorization: Bearer <token>";
        let title = "A token is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail)
    }

    /// A token that is good, but not for this.
    pub(crate) fn forbidden(needed: &str) -> Self {
        let detail = format!("this needs {needed}");
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The token does not allow this", detail)
    }

    pub(crate) fn cross_site() -> Self {
        let detail = "Sec-Fetch-Site is cross-site: a page of another site had a browser send this";
        Self::new(StatusCode::FORBIDDEN, "cross_site", "Another site may not ask for this", detail)
    }

    pub(crate) fn public_name() -> Self {
        let detail = "without tokens this API answers to localhost and to addresses alone, as a page of another site may have \
                      its name lead here: ask it as localhost (a proxy sends Host: localhost), or set api_token";
        Self::new(StatusCode::FORBIDDEN, "public_name", "The API is not open under this name", detail)
    }

    pub(crate) fn too_many(wait: Duration) -> Self {
        let detail = "the token has asked as often as it may within a second";
        let title = "Too many requests";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", title, detail);
        Self { retry_after_s: Some(wait.as_secs() + 1), ..problem }
    }

    pub(crate) fn position_not_reached(wanted: &Position, present: &Position) -> Self {
        let detail = format!("{wanted} is not reached yet, the answer would reflect {present}");
        let title = "The answer would be too old";
        let status = StatusCode::PRECONDITION_FAILED;
        let problem = Self::new(status, "position_not_reached", title, detail);
        Self { position: Some(present.clone()), ..problem }
    }

    pub(crate) fn partition_not_owned(partition: u16) -> Self {
        let detail = format!("partition {partition} is served by another process");
        let title = "Another process serves this";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "partition_not_owned", title, detail)
    }

    /// Instead of an absence that what other processes serve may disprove.
    pub(crate) fn or_elsewhere(self, others: &[u16]) -> Self {
        let others: Vec<String> = others.iter().map(u16::to_string).collect();
        let detail = format!("{}; other processes serve partitions {}", self.detail, others.join(", "));
        Self { detail, position: self.position, ..Self::partition_not_owned(0) }
    }

    /// True if it says that something is not there.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self.code, "group_not_found" | "message_not_found" | "command_not_found")
    }

    pub(crate) fn busy() -> Self {
        let detail = "as many answers as allowed are being worked out";
        let title = "Too many requests at once";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", title, detail)
    }

    /// The log did not acknowledge what was to be written; the same request again changes nothing twice.
    pub(crate) fn unwritten(unwritten: &crate::desk::Unwritten) -> Self {
        let detail = format!("{unwritten}; send the same request again, with the same Idempotency-Key");
        let title = "It is not known to be written";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unwritten", title, detail)
    }

    /// The place in the change feed to go on from is there no longer.
    pub(crate) fn place_gone(place: &str, why: &str) -> Self {
        let detail = format!("{place}: {why}; read the state, then follow the changes from its position");
        Self::new(StatusCode::GONE, "event_gone", "The feed cannot be resumed", detail)
    }

    pub(crate) fn feed_unavailable(why: &str) -> Self {
        let title = "The change feed cannot be read";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "feed_unavailable", title, why)
    }

    /// One operator's task at a time.
    pub(crate) fn refused(refused: &crate::rebuild::Refused) -> Self {
        let title = "The task was not begun";
        match refused {
            crate::rebuild::Refused::Busy { .. } => {
                Self::new(StatusCode::CONFLICT, "task_under_way", title, refused.to_string())
            }
            crate::rebuild::Refused::NoSuchPartition { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "bad_partition", title, refused.to_string())
            }
            crate::rebuild::Refused::NotOwned { partition } => Self::partition_not_owned(*partition),
        }
    }

    pub(crate) fn internal() -> Self {
        let detail = "a fault of groupfold's own; the log tells more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The answer failed", detail)
    }

    /// The same, of something that it holds up.
    fn of(&self, detail: String) -> Self {
        Self { retry_after_s: self.retry_after_s, ..Self::new(self.status, self.code, self.title, detail) }
    }

    /// What is told of it.
    pub(crate) fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:groupfold:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            position: self.position.as_ref().map(Position::to_string),
        }
    }

    /// The header that clients expect beside a status.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        if let Some(seconds) = self.retry_after_s {
            return Some((header::RETRY_AFTER, seconds.into()));
        }
        let (name, value) = match self.status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, "1"),
            _ => return None,
        };
        Some((name, HeaderValue::from_static(value)))
    }

    /// Stable name of the problem.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let partition = error.partition();
        let problem = match partition {
            // A full disk makes the database refuse reads as well, until it is opened anew.
            Some(partition) if error.is_closed() || error.is_full() => {
                let why = "stopped, out of room, being rebuilt or shutting down";
                let detail = format!("partition {partition} is {why}; see /readyz");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_closed", "The store is closed", detail)
            }
            _ => {
                let detail = "the store cannot be read; the log tells more";
                let title = "The store cannot be read";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_unreadable", title, detail)
            }
        };
        let failed = partition.filter(|_| !error.is_closed());
        Self { store: failed.map(|partition| Box::new((partition, error))), ..problem }
    }
}

/// Entries in memory are ours alone: that one cannot be read is a fault of ours.
impl From<groupfold_fold::entry::Error> for Problem {
    fn from(error: groupfold_fold::entry::Error) -> Self {
        tracing::error!(error = %store::chain(&error), "a folded entry cannot be read");
        Self::internal()
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use groupfold_fold::apply::Digest;

    use super::*;
    use crate::status::{Run, Status, Stop};

    /// Status, code and the header that goes with it are a contract.
    #[tokio::test]
    async fn each_problem_says_its_code_as_problem_json() {
        let position: Position = "3:7".parse().unwrap();
        let damaged = store::Error::Damaged { partition: 3, source: "x".into() };
        let room = std::io::Error::from_raw_os_error(28);
        let full = store::Error::Database { partition: 3, source: Box::new(sled::Error::Io(room)) };
        let running = Status::new(1, 0, Digest::default());
        let stop = Stop::MissingSequence { expected: 2, found: Some(3) };
        let mut stopped = running.clone();
        stopped.run = Run::Stopped(stop);
        let cases = [
            (Problem::parameter("bad_limit", "limit", "x", "1 to 1000"), 400, "bad_limit", None),
            (Problem::no_such_partition(9, 8), 400, "bad_position", None),
            (Problem::not_supported("x"), 400, "not_supported", None),
            (Problem::bad_id("x".to_owned()), 400, "bad_id", None),
            (Problem::bad_label("x".to_owned()), 400, "bad_label", None),
            (Problem::not_moderator(), 403, "not_moderator", None),
            (Problem::message_without_group("m", &position), 404, "message_not_found", None),
            (Problem::too_many_labels(1), 409, "too_many_labels", None),
            (Problem::unauthorized(), 401, "unauthorized", Some(("www-authenticate", "Bearer"))),
            (Problem::forbidden("x"), 403, "forbidden", None),
            (Problem::cross_site(), 403, "cross_site", None),
            (Problem::public_name(), 403, "public_name", None),
            (
                Problem::too_many(Duration::from_millis(1500)),
                429,
                "too_many_requests",
                Some(("retry-after", "2")),
            ),
            (Problem::group_not_found("g", &position), 404, "group_not_found", None),
            (Problem::message_not_found("m", &position), 404, "message_not_found", None),
            (Problem::route_not_found("/x"), 404, "not_found", None),
            (Problem::method_not_allowed("PUT"), 405, "method_not_allowed", None),
            (Problem::position_not_reached(&position, &position), 412, "position_not_reached", None),
            (Problem::partition_not_owned(3), 421, "partition_not_owned", None),
            (Problem::internal(), 500, "internal", None),
            (damaged.into(), 500, "store_unreadable", None),
            (Problem::catching_up(3), 503, "catching_up", Some(("retry-after", "1"))),
            (Problem::behind(3, &running, 2), 503, "catching_up", Some(("retry-after", "1"))),
            (Problem::behind(3, &stopped, 2), 503, "partition_stopped", Some(("retry-after", "60"))),
            (Problem::not_folded(3, &stopped), 503, "partition_stopped", Some(("retry-after", "60"))),
            (Problem::unknown_parameter("lable", "label"), 400, "unknown_parameter", None),
            (Problem::busy(), 503, "busy", Some(("retry-after", "1"))),
            (store::Error::Closed { partition: 3 }.into(), 503, "store_closed", Some(("retry-after", "1"))),
            (full.into(), 503, "store_closed", Some(("retry-after", "1"))),
        ];
        for (problem, status, code, header) in cases {
            assert_eq!(problem.code(), code);
            let response = problem.into_response();
            assert_eq!(response.status(), status, "{code}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            if let Some((name, value)) = header {
                assert_eq!(response.headers()[name], value);
            }
            let response_position = response.headers().get("groupfold-position").cloned();
            let response_position = response_position.map(|value| value.to_str().unwrap().to_owned());
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["code"], code);
            assert_eq!(body["status"], status);
            assert_eq!(body["type"], format!("urn:groupfold:problem:{code}"));
            assert!(
                !body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty()
            );
            let header = response_position.as_deref();
            assert_eq!(body.get("position").and_then(|position| position.as_str()), header, "{code}");
            let tells = ["position_not_reached", "group_not_found", "message_not_found"].contains(&code);
            assert_eq!(header, tells.then_some("3:7"), "{code}");
        }
    }
}
