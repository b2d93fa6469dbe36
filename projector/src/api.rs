//! The query API: what a curl gets.

mod answer;
mod ask;
mod auth;
mod changes;
mod commands;
mod groups;
mod links;
mod openapi;
mod operate;
pub(crate) mod ops;
pub(crate) mod params;
mod past;
mod policy;
mod position;
mod receipts;
#[cfg(test)]
mod tests;
mod timeline;
mod usage;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use crate::desk::Desk;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::reads::{Reads, Turns};
use crate::rebuild::Rebuilds;
use crate::token::Token;
use auth::Tokens;
pub(crate) use changes::Feed;
pub(crate) use ops::Ops;
pub(crate) use past::Past;

/// What handlers need. Every layer that a request passes has one of its own, so it is shared: to copy the parts, the
/// broker's clients among them, took half of an answer's processor time.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Parts>);

/// It can be built over any stores, with no log behind them.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) reads: Arc<Reads>,
    pub(crate) tokens: Arc<Tokens>,
    metrics: Metrics,
    build: Arc<str>,
    /// Turns to count deliveries.
    counts: Turns,
    /// Absent where there is no log.
    past: Option<Past>,
    /// As well.
    feed: Option<Feed>,
    /// Likewise.
    rebuilds: Option<Rebuilds>,
    /// Absent where nothing can be written.
    desk: Option<Arc<dyn Desk>>,
}

impl Api {
    /// `None` if the system has no randomness to give.
    pub(crate) fn new(reads: Arc<Reads>, tokens: &[Token], metrics: Metrics, build: &str) -> Option<Self> {
        let tokens = Arc::new(Tokens::new(tokens)?);
        Some(Self(Arc::new(Parts {
            reads,
            tokens,
            metrics,
            build: build.into(),
            counts: usage::turns(),
            past: None,
            feed: None,
            rebuilds: None,
            desk: None,
        })))
    }

    fn with(self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = Arc::unwrap_or_clone(self.0);
        change(&mut parts);
        Self(Arc::new(parts))
    }

    /// With a log to look back to.
    pub(crate) fn with_past(self, past: Past) -> Self {
        self.with(|parts| parts.past = Some(past))
    }

    /// With changes to follow.
    pub(crate) fn with_feed(self, feed: Feed) -> Self {
        self.with(|parts| parts.feed = Some(feed))
    }

    /// With a log to fold stores from anew.
    pub(crate) fn with_rebuilds(self, rebuilds: Rebuilds) -> Self {
        self.with(|parts| parts.rebuilds = Some(rebuilds))
    }

    /// With somebody who writes.
    pub(crate) fn with_desk(self, desk: Arc<dyn Desk>) -> Self {
        self.with(|parts| parts.desk = Some(desk))
    }

    fn desk(&self) -> Result<&Arc<dyn Desk>, Problem> {
        self.desk.as_ref().ok_or_else(|| Problem::lacking("nothing can be written here"))
    }

    fn rebuilds(&self) -> Result<&Rebuilds, Problem> {
        let lacking = || Problem::lacking("stores are folded from a log, and there is none here");
        self.rebuilds.as_ref().ok_or_else(lacking)
    }

    fn past(&self) -> Result<&Past, Problem> {
        self.past.as_ref().ok_or_else(|| Problem::lacking("at needs a log, and there is none here"))
    }

    /// All routes, with health and metrics of the process around.
    pub(crate) fn router(&self, ops: Ops) -> Router {
        let reads = Arc::clone(&self.reads);
        let ops = ops.with_health(Arc::new(move || reads.reasons()));
        let mut v1 = Router::new();
        for (path, handler) in v1_routes() {
            v1 = v1.route(path, handler);
        }
        for (path, handler) in operators_routes() {
            v1 = v1.route(path, handler);
        }
        let v1 = v1.route_layer(middleware::from_fn_with_state(self.clone(), auth::require));
        let open = Router::new().route("/openapi.json", get(openapi::show));
        let api = v1.merge(open).with_state(self.clone());
        // The routes of health bring the fallback for unknown paths along, but not the one for methods.
        let all = ops::ops_router(ops).merge(api).method_not_allowed_fallback(method_not_allowed);
        all.layer(middleware::from_fn_with_state(self.clone(), observe))
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The table of routes that need a token.
fn v1_routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    let mut routes = vec![
        ("/v1/position", get(position::show)),
        ("/v1/groups", get(groups::list).post(ask::create)),
        ("/v1/groups/{group_id}", get(groups::show).patch(ask::update).delete(ask::delete)),
        ("/v1/groups/{group_id}/invite-link", get(ask::link).post(ask::reset_link)),
        ("/v1/groups/{group_id}/join-requests", get(ask::join_requests)),
        ("/v1/groups/{group_id}/join-requests:approve", post(ask::approve)),
        ("/v1/groups/{group_id}/join-requests:reject", post(ask::reject)),
        ("/v1/groups/{group_id}/members:remove", post(ask::remove)),
        ("/v1/groups/{group_id}/messages", post(ask::send)),
        ("/v1/groups/{group_id}/messages/{message_id}", post(ask::pin_or_unpin)),
        ("/v1/commands", get(commands::list)),
        ("/v1/commands/{command_id}", get(commands::show)),
        ("/v1/groups/{group_id}/members", get(groups::members)),
        ("/v1/groups/{group_id}/timeline", get(timeline::of_group)),
        ("/v1/accounts/{account}/timeline", get(timeline::of_account)),
        ("/v1/messages/{message_id}/receipts", get(receipts::of_message)),
        ("/v1/usage", get(usage::show)),
        ("/v1/changes", get(changes::follow)),
    ];
    routes.extend(policy::routes());
    routes
}

/// What operators may do, by an unbound token with the scope.
fn operators_routes() -> [(&'static str, MethodRouter<Api>); 3] {
    [
        ("/v1/ops/rebuild", get(operate::rebuild_job).post(operate::rebuild)),
        ("/v1/ops/rollback", get(operate::rollback_job).post(operate::roll_back)),
        ("/v1/ops/verify", get(operate::verify_job).post(operate::verify)),
    ]
}

/// Counts answers by route, never by path: ids are no labels.
async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    api.metrics.answered(route.as_deref().unwrap_or("none"), response.status().as_u16(), begun.elapsed());
    response
}

fn id_of(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(id)| id).map_err(|rejection| Problem::bad_id(rejection.body_text()))
}

pub(crate) async fn route_not_found(uri: Uri) -> Problem {
    Problem::route_not_found(uri.path())
}

pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(method.as_str())
}
