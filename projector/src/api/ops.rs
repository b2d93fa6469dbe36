//! What a platform asks every process: does it live, may it get requests, how is it doing. Open to all.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::shape;

/// The text is OpenMetrics; whoever does not ask for that reads it as the older Prometheus format, of which it
/// is a superset in comments alone.
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Reasons against sending requests to this process; empty if there are none.
pub type Health = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What the process around knows and `/readyz` and `/metrics` tell.
#[derive(Clone)]
pub struct Ops {
    health: Health,
    durability: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    registry: Arc<Mutex<Registry>>,
}

impl Ops {
    /// Metrics of a registry, and nothing against sending requests.
    #[must_use]
    pub fn new(registry: Arc<Mutex<Registry>>) -> Self {
        Self { health: Arc::new(Vec::new), durability: Arc::new(|| None), registry }
    }

    /// Adds a source of reasons.
    #[must_use]
    pub fn with_health(self, more: Health) -> Self {
        let health = self.health;
        let both = move || health().into_iter().chain(more()).collect();
        Self { health: Arc::new(both), ..self }
    }

    /// Tells what an acknowledged webhook survives, once that is known.
    #[must_use]
    pub fn with_durability(self, durability: Arc<dyn Fn() -> Option<String> + Send + Sync>) -> Self {
        Self { durability, ..self }
    }
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").finish_non_exhaustive()
    }
}

/// `/livez`, `/readyz` and `/metrics` alone, for a process without a projector.
pub fn ops_router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(super::route_not_found)
        .method_not_allowed_fallback(super::method_not_allowed)
        .with_state(ops)
}

/// The process lives
///
/// Says nothing about anything else on purpose: a restart heals no broker.
#[utoipa::path(get, path = "/livez", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether to send requests here, and why not
#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, body = shape::Readiness), (status = 503, body = shape::Readiness)),
)]
pub(crate) async fn readyz(State(ops): State<Ops>) -> Response {
    let reasons = (ops.health)();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(shape::Readiness { ready, reasons, durability: (ops.durability)() })).into_response()
}

/// Metrics, for Prometheus
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(ops): State<Ops>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let wanted =
        if accepted.contains("application/openmetrics-text") { OPENMETRICS_TYPE } else { PROMETHEUS_TYPE };
    let mut text = String::new();
    let registry = ops.registry.lock().unwrap_or_else(PoisonError::into_inner);
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, wanted)], text).into_response(),
        Err(_) => super::problem::Problem::internal().into_response(),
    }
}
