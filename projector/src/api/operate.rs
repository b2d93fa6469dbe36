//! What an operator does to a running projector: prove its stores, fold them anew, go back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Api;
use super::params::Params;
use super::problem::Problem;
use crate::rebuild::{Job, Scope, Task};

/// How the task under way is doing, or how the last one ended.
pub(crate) async fn job(State(api): State<Api>) -> Result<Json<Job>, Problem> {
    Ok(Json(api.rebuilds()?.job()))
}

/// Folds stores anew beside the live ones and swaps them: `partition`, `force`.
pub(crate) async fn rebuild(
    State(api): State<Api>,
    params: Params,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let force = params.force()?;
    start(&api, Task::Rebuild { force }, &params)
}

/// Puts the previous stores back: `partition`.
pub(crate) async fn roll_back(
    State(api): State<Api>,
    params: Params,
) -> Result<(StatusCode, Json<Job>), Problem> {
    start(&api, Task::Rollback, &params)
}

/// Folds anew and compares: `partition`, `sample`, `group`.
pub(crate) async fn verify(
    State(api): State<Api>,
    params: Params,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let scope = match (params.group(), params.sample()?) {
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
