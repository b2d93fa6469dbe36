//! Who received and read a message.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use groupfold_fold::entry::Memory;
use groupfold_fold::view;
use groupfold_schemas::position::Position;

use super::answer::Answer;
use super::params::Params;
use super::{Api, id_of};
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::reads::position_of;
use crate::refold::past as refold;
use crate::shape::{self, convert};
use crate::store::ReadView;

/// The receipts of a message
///
/// A message lives where its group lives, which its id does not tell: all partitions are asked. Of `min_position` the one
/// counts in which it is found; as long as it is in none, all that are named.
#[utoipa::path(
    get,
    path = "/v1/messages/{message_id}/receipts",
    params(
        ("message_id" = String, Path, description = "Percent-encoded"),
        ("at" = Option<String>, Query, description = "State as the log had it at a position or a time (RFC 3339)"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::Receipts),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn of_message(
    State(api): State<Api>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Answer<shape::Receipts>, Problem> {
    let id = id_of(path)?;
    let (freshness, at) = (params.freshness()?, params.at()?);
    let Some(at) = at else {
        let answer = move |views: &[ReadView<'_>]| {
            let (receipts, view) = find(views, &id, &caller)?;
            let (position, home) = (position_of(std::slice::from_ref(view)), home_of(&receipts, view));
            Ok((Answer { body: convert::receipts(receipts, &position), position }, home))
        };
        return api.reads.read_one(&freshness, answer).await;
    };
    // The present state alone tells where a message lives.
    let message = id.clone();
    let home = move |views: &[ReadView<'_>]| {
        let (receipts, view) = find(views, &message, &caller)?;
        let home = home_of(&receipts, view);
        Ok(((receipts.group_id, view.partition()), home))
    };
    let (group, partition) = api.reads.read_one(&freshness, home).await?;
    let home = api.reads.owned(partition)?;
    let subjects = refold::message_subjects(partition, group.as_deref());
    let then = api.past()?.then(&api.reads, &home, subjects, &at, freshness).await?;
    let answer = move |memory: &Memory, position: &Position| {
        let found = view::receipts(memory, &id)?;
        let receipts = found.ok_or_else(|| Problem::message_not_found(&id, position))?;
        Ok(Answer { body: convert::receipts(receipts, position), position: position.clone() })
    };
    then.answer(answer).await
}

/// The partition of a message, once a report of it told the group; before, that of the group may know more.
fn home_of(receipts: &view::Receipts, view: &ReadView<'_>) -> Option<u16> {
    receipts.is_reported.then(|| view.partition())
}

/// A message of another number's group is as unknown as one that never was; so is, to a bound token, one of which no
/// report told the group.
fn find<'a, 'b>(
    views: &'a [ReadView<'b>],
    id: &str,
    caller: &Caller,
) -> Result<(view::Receipts, &'a ReadView<'b>), Problem> {
    let mut found = Vec::new();
    for view in views {
        found.extend(view::receipts(view, id)?.map(|receipts| (receipts, view)));
    }
    // A report that left the group out went to the account's partition: the group's knows more. And a view may be told in
    // any group: what a receipt tells in another partition goes before it.
    let trust = |receipts: &view::Receipts| (receipts.is_reported, receipts.group_id.is_some());
    let most = found.iter().map(|(receipts, _)| trust(receipts)).max();
    for (receipts, view) in found {
        let may_see = match receipts.group_id.as_deref() {
            Some(group) => caller.may_see_group(view, group)?,
            None => caller.sees_all(),
        };
        if may_see && Some(trust(&receipts)) == most {
            return Ok((receipts, view));
        }
    }
    Err(Problem::message_not_found(id, &position_of(views)))
}
