//! The routes of the Graph API, and the way of a call: token, version, faults, limits, the deed, the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::act::{Case, Done};
use super::ask::Ask;
use super::faults::{Fate, Operation, too_many};
use super::refusal::Refusal;
use super::{Graph, held};

const OPERATIONS: [(&str, MethodFilter, Operation); 14] = [
    ("/{version}/{id}/groups", MethodFilter::POST, Operation::Create),
    ("/{version}/{id}/groups", MethodFilter::GET, Operation::List),
    ("/{version}/{id}", MethodFilter::GET, Operation::Info),
    ("/{version}/{id}", MethodFilter::POST, Operation::Update),
    ("/{version}/{id}", MethodFilter::DELETE, Operation::Delete),
    ("/{version}/{id}/invite_link", MethodFilter::GET, Operation::Link),
    ("/{version}/{id}/invite_link", MethodFilter::POST, Operation::ResetLink),
    ("/{version}/{id}/invite_link", MethodFilter::DELETE, Operation::DeleteLink),
    ("/{version}/{id}/join_requests", MethodFilter::GET, Operation::Requests),
    ("/{version}/{id}/join_requests", MethodFilter::POST, Operation::Approve),
    ("/{version}/{id}/join_requests", MethodFilter::DELETE, Operation::Reject),
    ("/{version}/{id}/participants", MethodFilter::DELETE, Operation::Remove),
    ("/{version}/{id}/participants", MethodFilter::POST, Operation::Add),
    ("/{version}/{id}/messages", MethodFilter::POST, Operation::Send),
];

pub(super) fn routes() -> Router<Arc<Graph>> {
    let mut router = Router::new();
    for (path, method, operation) in OPERATIONS {
        let handler = move |State(graph): State<Arc<Graph>>,
                            method: Method,
                            uri: Uri,
                            Path((version, id)): Path<(String, String)>,
                            Query(query): Query<BTreeMap<String, String>>,
                            headers: HeaderMap,
                            body: Bytes| async move {
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let url = format!("http://{host}{}", uri.path());
            let authorized = graph.is_authorized(&headers, &query).and(is_version(&version));
            let ask = authorized.and_then(|()| Ask::read(id, query, url, &headers, &body));
            let mut call = json!({ "method": method.as_str(), "path": uri.path() });
            match ask {
                Ok(ask) => graph.perform(operation.of(&ask), &ask, call).await,
                Err(refusal) => {
                    call["operation"] = json!(operation);
                    call["status"] = json!(refusal.status());
                    call["code"] = json!(refusal.code);
                    graph.remember(call);
                    refusal.into_response()
                }
            }
        };
        router = router.route(path, on(method, handler));
    }
    router.fallback(async || Refusal::new(2500, "Unknown path components"))
}

/// `v25.0` and the like.
fn is_version(text: &str) -> Result<(), Refusal> {
    let number = text.strip_prefix('v').and_then(|number| number.split_once('.'));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match number {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(()),
        _ => Err(Refusal::new(2500, format!("{text} is no version: v25.0 is"))),
    }
}

impl Operation {
    /// A pin comes as a message.
    fn of(self, ask: &Ask) -> Self {
        let pins = ask.body.get("type").and_then(Value::as_str) == Some("pin");
        if self == Self::Send && pins { Self::Pin } else { self }
    }

    /// True for what counts against the limit of group operations.
    pub(super) fn changes_groups(self) -> bool {
        let reads = [Self::List, Self::Info, Self::Link, Self::Requests];
        !reads.contains(&self) && !matches!(self, Self::Send | Self::Pin | Self::People | Self::Any)
    }
}

impl Graph {
    fn is_authorized(&self, headers: &HeaderMap, query: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let header = headers.get("authorization").and_then(|value| value.to_str().ok());
        let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
        match bearer.or(query.get("access_token").map(String::as_str)) {
            Some(token) if token == self.args.token() => Ok(()),
            Some(_) => Err(Refusal::new(190, "The access token is not the one of this provider")),
            None => Err(Refusal::new(0, "An access token is required")),
        }
    }

    async fn perform(&self, operation: Operation, ask: &Ask, mut call: Value) -> Response {
        let fate = held(&self.faults).draw(operation);
        call["operation"] = json!(operation);
        call["body"] = Value::Object(ask.body.clone());
        if fate.deaf {
            self.remember(call);
            return never().await;
        }
        let refusal = match (fate.refuse.clone(), self.is_too_much(operation)) {
            (None, true) => Some(too_many(operation)),
            (refusal, _) => refusal,
        };
        let outcome = match refusal {
            Some(refusal) => Err(refusal),
            None => self.act(operation, ask, &fate).await,
        };
        let response = match outcome {
            Ok(done) => {
                call["status"] = json!(done.status);
                call["request_id"] = json!(done.request_id);
                call["group_id"] = json!(done.group_id);
                call["message_id"] = json!(done.message_id);
                if fate.spoilt {
                    let spoilt = Refusal::new(131_000, "As the plan of failures wants it, and it was done");
                    call["status"] = json!(spoilt.status());
                    call["code"] = json!(spoilt.code);
                    spoilt.into_response()
                } else {
                    let status = StatusCode::from_u16(done.status).unwrap_or(StatusCode::OK);
                    (status, Json(done.body)).into_response()
                }
            }
            Err(refusal) => {
                call["status"] = json!(refusal.status());
                call["code"] = json!(refusal.code);
                refusal.into_response()
            }
        };
        call["answered"] = json!(!fate.silent);
        self.remember(call);
        if fate.silent { never().await } else { response }
    }

    async fn act(&self, operation: Operation, ask: &Ask, fate: &Fate) -> Result<Done, Refusal> {
        let (done, changes) =
            held(&self.world).aside(|world| Case { world, ask, fate, rules: &self.rules }.run(operation));
        let told = self.courier.tell(changes, fate.webhooks);
        if fate.webhooks == super::faults::Webhooks::First {
            for delivery in told {
                super::courier::delivered(delivery).await;
            }
        }
        let done = done?;
        let mut life = held(&self.life);
        done.opened.into_iter().for_each(|key| life.attract(key));
        done.invited.into_iter().for_each(|(key, person)| life.invite(key, person));
        Ok(done)
    }
}

/// The answer that never comes: not even the end of the process is one, it cuts the connection.
async fn never() -> Response {
    std::future::pending().await
}
