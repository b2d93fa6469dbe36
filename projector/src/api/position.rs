//! How far the projection is.

use axum::extract::State;
use groupfold_fold::apply::Digest;
use groupfold_schemas::position::Position;

use super::Api;
use super::answer::Answer;
use super::params::Params;
use crate::caller::Caller;
use crate::partition::Partition;
use crate::problem::{Problem, ProblemBody};
use crate::shape;
use crate::status::{Run, Status};
use crate::store::ReadView;

/// How far the projection is, by partition
#[utoipa::path(
    get,
    path = "/v1/position",
    params(
        ("group" = Option<String>, Query, description = "Tell the digest of this group, too"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::Progress),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Answer<shape::Progress>, Problem> {
    let freshness = params.freshness()?;
    let touched = api.reads.reach_all(&freshness).await?;
    api.reads.look_at_ends().await;
    let mut answer = progress(&touched);
    if let Some(group) = params.group()? {
        let home = api.reads.home_of(&group)?;
        let digest = move |views: &[ReadView<'_>]| {
            let seen = |view: &ReadView<'_>| caller.may_see_group(view, &group);
            let digest = match views.first() {
                Some(view) if seen(view)? => Some(view.group_digest(&group)?),
                _ => None,
            };
            Ok(shape::GroupDigest { digest: digest.unwrap_or_default().to_string(), group_id: group })
        };
        answer.body.groups.push(api.reads.read(vec![home], &freshness, digest).await?);
    }
    Ok(answer)
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
        groups: Vec::new(),
    };
    let position: Position = all.iter().map(|(id, status)| (*id, status.applied)).collect();
    Answer { body, position }
}

fn one(partition: u16, status: &Status) -> shape::PartitionPosition {
    let state = match &status.run {
        Run::Running => shape::PartitionState::Running,
        Run::Connecting { .. } => shape::PartitionState::Reconnecting,
        Run::Stopped(_) => shape::PartitionState::Stopped,
    };
    shape::PartitionPosition {
        partition,
        applied: status.applied,
        log_end: status.log_end,
        state,
        reason: status.code().map(str::to_owned),
        digest: status.digest.to_string(),
        events_applied: status.folded.events,
        records_unreadable: status.folded.unreadable,
    }
}
