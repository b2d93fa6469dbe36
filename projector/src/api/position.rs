//! How far the projection is.

use axum::extract::State;
use groupfold_fold::apply::Digest;
use groupfold_schemas::position::Position;

use super::answer::Answer;
use super::params::Params;
use super::problem::{Problem, ProblemBody};
use super::{Api, shape};
use crate::partition::Partition;
use crate::status::{Run, Status};

/// How far the projection is, by partition
#[utoipa::path(
    get,
    path = "/v1/position",
    params(
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`"),
    ),
    responses(
        (status = 200, body = shape::Progress),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn show(State(api): State<Api>, params: Params) -> Result<Answer<shape::Progress>, Problem> {
    let touched = api.reads.all();
    api.reads.reach(&params.freshness()?, &touched).await?;
    Ok(progress(&touched))
}

fn progress(partitions: &[Partition]) -> Answer<shape::Progress> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let all: Vec<(u16, Status)> =
        partitions.iter().map(|partition| (partition.id, partition.status.borrow().clone())).collect();
    let digest = all.iter().fold(Digest::default(), |sum, (_, status)| sum.plus(status.digest));
    let body = shape::Progress {
        lag_events: all.iter().map(|(_, status)| status.lag_events()).sum(),
        lag_seconds: all.iter().map(|(_, status)| status.lag_seconds(now_ms)).fold(0.0, f64::max),
        digest: digest.to_string(),
        partitions: all.iter().map(|(id, status)| one(*id, status)).collect(),
    };
    let position: Position = all.iter().map(|(id, status)| (*id, status.applied)).collect();
    Answer { body, position }
}

fn one(partition: u16, status: &Status) -> shape::PartitionPosition {
    let (state, reason) = match &status.run {
        Run::Running => (shape::PartitionState::Running, None),
        Run::Connecting { .. } => (shape::PartitionState::Reconnecting, None),
        Run::Stopped(stop) => (shape::PartitionState::Stopped, Some(stop.code().to_owned())),
    };
    shape::PartitionPosition {
        partition,
        applied: status.applied,
        log_end: status.log_end,
        state,
        reason,
        digest: status.digest.to_string(),
    }
}
