//! What a platform asks every process: does it live, may it get requests, how is it doing. Open to all.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::shape;

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

    /// Readiness and durability as numbers, so that an alert needs nothing but the metrics.
    fn health_metrics(&self) -> Registry {
        let (mut registry, ready) = (Registry::default(), Gauge::<i64>::default());
        ready.set(i64::from((self.health)().is_empty()));
        registry.register("groupfold_ready", "1 while requests should be sent here, see /readyz", ready);
        if let Some(name) = (self.durability)() {
            let durability = Family::<[(&'static str, String); 1], Gauge>::default();
            durability.get_or_create(&[("durability", name)]).set(1);
            let help = "What an acknowledged webhook survives: fsync, replicated, page-cache or unverified";
            registry.register("groupfold_durability", help, durability);
        }
        registry
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
    let open = accepted.contains("application/openmetrics-text");
    let mut text = String::new();
    let registry = ops.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let encoded = encode_registry(&mut text, &registry)
        .and_then(|()| encode_registry(&mut text, &ops.health_metrics()))
        .and_then(|()| if open { encode_eof(&mut text) } else { Ok(()) });
    match encoded {
        Ok(()) if open => ([(header::CONTENT_TYPE, OPENMETRICS_TYPE)], text).into_response(),
        Ok(()) => ([(header::CONTENT_TYPE, PROMETHEUS_TYPE)], plain(&text)).into_response(),
        Err(_) => crate::problem::Problem::internal().into_response(),
    }
}

/// The older format has no common name of a family: a counter is described under the name of its samples.
fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help: Option<&str> = None;
    for line in openmetrics.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let counter = line.strip_prefix("# TYPE ").and_then(|described| described.strip_suffix(" counter"));
        if let Some(help) = help.take() {
            match counter.and_then(|name| help.strip_prefix("# HELP ")?.strip_prefix(name)) {
                Some(words) => text.extend(["# HELP ", counter.unwrap_or_default(), "_total", words, "\n"]),
                None => text.extend([help, "\n"]),
            }
        }
        match counter {
            Some(name) => text.extend(["# TYPE ", name, "_total counter\n"]),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_counter_has_a_type_under_the_name_of_its_samples() {
        let openmetrics =
            "# HELP a_b Things.\n# TYPE a_b counter\na_b_total 1\n# HELP g Now.\n# TYPE g gauge\ng 2\n";
        let expected = "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total 1\n# HELP g Now.\n# TYPE g gauge\ng 2\n";
        assert_eq!(plain(openmetrics), expected);
    }
}
