//! What only the platform knows of groups: who may see and command them, labels, archive, block. Each word is an
//! event of ours; WhatsApp hears nothing of it.

mod body;
pub(crate) mod views;
mod write;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::routing::{MethodRouter, post, put};
use groupfold_schemas::v1;
use groupfold_schemas::v1::event::Kind;
use utoipa::{IntoParams, IntoResponses};

use super::ask::{Headers, OfGroup};
use super::{Api, id_of};
use crate::problem::{Problem, ProblemBody};
use crate::shape;
use body::{Ids, ModeratorsWanted, VisibilityWanted, label_of};
use write::Order;
pub(crate) use write::Written;

/// The table of routes that write what the platform says.
pub(super) fn routes() -> [(&'static str, MethodRouter<Api>); 6] {
    [
        ("/v1/groups/{group_id}/visibility", put(set_visibility)),
        ("/v1/groups/{group_id}/moderators", put(set_moderators)),
        ("/v1/groups/{group_id}/labels/{label}", put(add_label).delete(remove_label)),
        ("/v1/groups/{group_id}/archive", put(archive).delete(unarchive)),
        ("/v1/groups/{group_id}/block", put(block).delete(unblock)),
        ("/v1/messages/{message_id}/views", post(views::add)),
    ]
}

/// A label in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read by the document alone")]
struct OfLabel {
    /// Percent-encoded; 1 to 64 characters.
    label: String,
}

/// How every request that writes is answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by the document alone")]
enum Answers {
    /// Folded: reads show it
    #[response(status = 200)]
    Folded(shape::Written),
    /// In the log, not folded yet
    #[response(status = 202)]
    InTheLog(shape::Written),
    /// Not taken
    #[response(status = "default", content_type = "application/problem+json")]
    Problem(ProblemBody),
}

/// What the query of every request that writes may say.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read by the document alone")]
pub(crate) struct Wait {
    /// How long to wait until it is folded; up to 1000 if absent
    wait_ms: Option<u64>,
}

type GroupPath = Result<Path<String>, PathRejection>;
type LabelPath = Result<Path<(String, String)>, PathRejection>;

/// Lay down who of the platform's users may see a group
///
/// Replaces what was laid down before. Moderators see the group in any case; `{"all":false}` leaves it to them.
#[utoipa::path(
    put,
    path = "/v1/groups/{group_id}/visibility",
    request_body = VisibilityWanted,
    params(OfGroup, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn set_visibility(path: GroupPath, order: Order) -> Result<Written, Problem> {
    let visibility = Some(order.json::<VisibilityWanted>()?.visibility()?);
    order.command(id_of(path)?, Kind::VisibilitySet(v1::VisibilitySet { visibility })).await
}

/// Lay down who of the platform's users may command a group
///
/// Replaces what was laid down before. With an empty list everybody may.
#[utoipa::path(
    put,
    path = "/v1/groups/{group_id}/moderators",
    request_body = ModeratorsWanted,
    params(OfGroup, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn set_moderators(path: GroupPath, order: Order) -> Result<Written, Problem> {
    let users = Ids::parse("users", order.json::<ModeratorsWanted>()?.users)?.0;
    order.command(id_of(path)?, Kind::ModeratorsSet(v1::ModeratorsSet { users })).await
}

/// Put a label on a group
#[utoipa::path(
    put,
    path = "/v1/groups/{group_id}/labels/{label}",
    params(OfGroup, OfLabel, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn add_label(path: LabelPath, order: Order) -> Result<Written, Problem> {
    set_label(path, order.bare()?, true).await
}

/// Take a label off a group
#[utoipa::path(
    delete,
    path = "/v1/groups/{group_id}/labels/{label}",
    params(OfGroup, OfLabel, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn remove_label(path: LabelPath, order: Order) -> Result<Written, Problem> {
    set_label(path, order.bare()?, false).await
}

async fn set_label(path: LabelPath, order: Order, present: bool) -> Result<Written, Problem> {
    let Path((group, label)) = path.map_err(|rejection| Problem::bad_id(rejection.body_text()))?;
    let label = label_of(label)?;
    order.command(group, Kind::LabelSet(v1::LabelSet { label, present })).await
}

/// Put a group aside
///
/// It comes back by itself with the first message of a member that is newer than those known now.
#[utoipa::path(
    put,
    path = "/v1/groups/{group_id}/archive",
    params(OfGroup, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn archive(path: GroupPath, order: Order) -> Result<Written, Problem> {
    // What is the newest message, the state tells.
    let kind = Kind::ArchiveSet(v1::ArchiveSet { archived: true, newest: None });
    order.bare()?.command(id_of(path)?, kind).await
}

/// Take a group back that was put aside
#[utoipa::path(
    delete,
    path = "/v1/groups/{group_id}/archive",
    params(OfGroup, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn unarchive(path: GroupPath, order: Order) -> Result<Written, Problem> {
    let kind = Kind::ArchiveSet(v1::ArchiveSet::default());
    order.bare()?.command(id_of(path)?, kind).await
}

/// Forbid sending to a group
///
/// What arrives is logged and told as ever.
#[utoipa::path(
    put,
    path = "/v1/groups/{group_id}/block",
    params(OfGroup, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn block(path: GroupPath, order: Order) -> Result<Written, Problem> {
    let kind = Kind::BlockSet(v1::BlockSet { blocked: true });
    order.bare()?.command(id_of(path)?, kind).await
}

/// Allow sending to a group again
#[utoipa::path(
    delete,
    path = "/v1/groups/{group_id}/block",
    params(OfGroup, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn unblock(path: GroupPath, order: Order) -> Result<Written, Problem> {
    let kind = Kind::BlockSet(v1::BlockSet::default());
    order.bare()?.command(id_of(path)?, kind).await
}
