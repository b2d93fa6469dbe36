//! Who received and read a message.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use groupfold_fold::view;

use super::answer::Answer;
use super::params::Params;
use super::problem::{Problem, ProblemBody};
use super::{Api, convert, id_of, shape};
use crate::reads::position_of;
use crate::store::ReadView;

/// The receipts of a message
///
/// A message lives where its group lives, which its id does not tell: all partitions are asked.
#[utoipa::path(
    get,
    path = "/v1/messages/{message_id}/receipts",
    params(
        ("message_id" = String, Path, description = "Percent-encoded"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`"),
    ),
    responses(
        (status = 200, body = shape::Receipts),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn of_message(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Answer<shape::Receipts>, Problem> {
    params.no_time_travel()?;
    let id = id_of(path)?;
    let touched = api.reads.all();
    let freshness = params.freshness()?;
    let answer = move |views: &[ReadView<'_>]| {
        let mut found = None;
        for view in views {
            match view::receipts(view, &id)? {
                // A report that left the group out went to the account's partition: the group's knows more.
                Some(receipts) if receipts.group_id.is_some() => {
                    found = Some((receipts, view));
                    break;
                }
                Some(receipts) if found.is_none() => found = Some((receipts, view)),
                Some(_) | None => {}
            }
        }
        let Some((receipts, view)) = found else {
            return Err(Problem::message_not_found(&id, &position_of(views)));
        };
        let position = position_of(std::slice::from_ref(view));
        Ok(Answer { body: convert::receipts(receipts, &position), position })
    };
    api.reads.read(touched, &freshness, answer).await
}
