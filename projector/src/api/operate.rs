//! What an operator does to a running projector: prove its stores, fold them anew, go back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Api;
use super::params::Params;
use crate::problem::{Problem, ProblemBody};
use crate::rebuild::{Job, Scope, Task};

/// How a task is doing, or how it ended
///
/// One runs at a time; by the `id` of its beginning one is found also once others were begun, of which the last 32 are kept.
/// Needs an unbound token with the scope `operate`.
#[utoipa::path(
    get,
    path = "/v1/ops/rebuild",
    params(("id" = Option<u64>, Query, description = "The task of this number; the last one begun if absent")),
    responses(
        (status = 200, body = Job),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn rebuild_job(State(api): State<Api>, params: Params) -> Result<Json<Job>, Problem> {
    job(&api, &params)
}

/// How a task is doing, or how it ended: the same for each kind of task
#[utoipa::path(
    get,
    path = "/v1/ops/rollback",
    params(("id" = Option<u64>, Query, description = "The task of this number; the last one begun if absent")),
    responses(
        (status = 200, body = Job),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn rollback_job(State(api): State<Api>, params: Params) -> Result<Json<Job>, Problem> {
    job(&api, &params)
}

/// How a task is doing, or how it ended: the same for each kind of task
#[utoipa::path(
    get,
    path = "/v1/ops/verify",
    params(("id" = Option<u64>, Query, description = "The task of this number; the last one begun if absent")),
    responses(
        (status = 200, body = Job),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn verify_job(State(api): State<Api>, params: Params) -> Result<Json<Job>, Problem> {
    job(&api, &params)
}

fn job(api: &Api, params: &Params) -> Result<Json<Job>, Problem> {
    let id = params.parse("id", "bad_id", "the number of a task")?;
    Ok(Json(api.rebuilds()?.job(id)))
}

/// Fold stores anew beside the live ones, compare, and swap them
///
/// Answers as soon as it has begun; 409 while another task is under way. Needs an unbound token with the scope `operate`.
#[utoipa::path(
    post,
    path = "/v1/ops/rebuild",
    params(
        ("partition" = Option<u16>, Query, description = "This partition alone; all that are served here if absent"),
        ("force" = Option<bool>, Query, description = "Swap also what differs"),
    ),
    responses(
        (status = 202, body = Job),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn rebuild(
    State(api): State<Api>,
    params: Params,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let force = params.force()?;
    start(&api, Task::Rebuild { force }, &params)
}

/// Put the previous stores back, once they have folded what came since
///
/// Answers as soon as it has begun; 409 while another task is under way. Needs an unbound token with the scope `operate`.
#[utoipa::path(
    post,
    path = "/v1/ops/rollback",
    params(
        ("partition" = Option<u16>, Query, description = "This partition alone; all that are served here if absent"),
    ),
    responses(
        (status = 202, body = Job),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn roll_back(
    State(api): State<Api>,
    params: Params,
) -> Result<(StatusCode, Json<Job>), Problem> {
    start(&api, Task::Rollback, &params)
}

/// Fold anew and compare with what is served
///
/// Answers as soon as it has begun; 409 while another task is under way. Needs an unbound token with the scope `operate`.
#[utoipa::path(
    post,
    path = "/v1/ops/verify",
    params(
        ("partition" = Option<u16>, Query, description = "This partition alone; all that are served here if absent"),
        ("sample" = Option<u64>, Query, description = "So many ten-thousandths of the groups, 1 to 10000"),
        ("group" = Option<String>, Query, description = "This group alone; goes before `sample`"),
    ),
    responses(
        (status = 202, body = Job),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn verify(
    State(api): State<Api>,
    params: Params,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let scope = match (params.group()?, params.sample()?) {
        (Some(group), _) => Scope::Group(group),
        (None, Some(parts)) => Scope::Sample(parts),
        (None, None) => Scope::Whole,
    };
    start(&api, Task::Verify { scope }, &params)
}

fn start(api: &Api, task: Task, params: &Params) -> Result<(StatusCode, Json<Job>), Problem> {
    let begun = api.rebuilds()?.start(task, params.partition()?);
    begun.map(|job| (StatusCode::ACCEPTED, Json(job))).map_err(|refused| Problem::refused(&refused))
}
