//! What a platform asks of a group. The intent is in the log before the answer; what becomes of it is at
//! `/v1/commands/{id}`.

pub(super) mod body;
mod picture;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use groupfold_fold::view;
use groupfold_schemas::position::Position;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answer, POSITION_HEADER};
use super::auth::Caller;
use super::commands::{Command, ended};
use super::convert;
use super::problem::{Problem, ProblemBody};
use super::{Api, id_of};
use crate::desk::{Ask, GroupNow, JoinRequest, Look, Looked, Wish};
use crate::reads::{Freshness, position_of};
use crate::store::ReadView;
use body::{CreateGroup, JoinRequestIds, PinMessage, RemoveMembers, UpdateGroup};

/// How long a request whose answer the provider gives at once waits for it.
const AT_ONCE_MS: u64 = 10_000;
/// A body without a picture.
const BODY_BYTES_MAX: usize = 64 * 1024;
const KEY_HEADER: &str = "idempotency-key";
const ACTOR_HEADER: &str = "groupfold-actor";

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read by the document alone")]
pub(super) struct OfGroup {
    /// Percent-encoded.
    group_id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read by the document alone")]
pub(super) struct OfMessage {
    /// Percent-encoded.
    message_id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(super) struct Headers {
    /// The same key means the same command.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
    /// Who asks, as the platform names them.
    #[param(rename = "Groupfold-Actor")]
    actor: Option<String>,
}

/// Who asks.
pub(crate) struct Asker {
    pub(super) caller: Caller,
    pub(super) actor: Option<String>,
    /// Of two tokens, equal keys are two.
    pub(super) idempotency_key: Option<String>,
}

impl axum::extract::FromRequestParts<Api> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Ok(caller) = Caller::from_request_parts(parts, api).await;
        let key = body::header(&parts.headers, KEY_HEADER)?;
        let idempotency_key = key.map(|key| format!("{} {key}", caller.name()));
        Ok(Self { actor: body::header(&parts.headers, ACTOR_HEADER)?, idempotency_key, caller })
    }
}

/// A command that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    pub(crate) command_id: String,
    /// `requested`: see `/v1/commands/{command_id}` for what becomes of it.
    pub(crate) status: &'static str,
    /// Where it stands in the log.
    pub(crate) position: String,
}

/// A command that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ended {
    #[serde(flatten)]
    pub(crate) command: Command,
    /// The new link, of a reset: whoever has it can join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) invite_link: Option<String>,
}

/// An invite link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InviteLink {
    pub(crate) group_id: String,
    /// Whoever has it can join.
    pub(crate) invite_link: String,
}

/// Who asks to be let in, as the provider tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JoinRequests {
    pub(crate) group_id: String,
    pub(crate) join_requests: Vec<PendingRequest>,
}

/// Somebody who asks to be let in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingRequest {
    pub(crate) join_request_id: String,
    pub(crate) wa_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: Option<String>,
}

/// Creates a group
///
/// The group and its id come later: wait for the command.
#[utoipa::path(
    post, path = "/v1/groups", request_body = CreateGroup,
    params(Headers),
    responses((status = 202, body = Accepted), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn create(State(api): State<Api>, asker: Asker, body: Body) -> Result<Response, Problem> {
    let CreateGroup { phone_number_id, subject, description, join_approval_mode } = body::json(&body.0)?;
    if !asker.caller.may_see(&phone_number_id) {
        return Err(Problem::forbidden("a token that is bound to this phone number, or to none"));
    }
    let wish = Wish::CreateGroup { phone_number_id, subject, description, join_approval_mode };
    take(&api, asker, None, wish, None).await
}

/// Changes a group's settings
#[utoipa::path(
    patch, path = "/v1/groups/{group_id}", request_body = UpdateGroup,
    params(OfGroup, Headers),
    responses((status = 202, body = Accepted), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn update(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    request: Request,
) -> Result<Response, Problem> {
    let (UpdateGroup { subject, description }, upload) = picture::read(request).await?;
    let picture_sha256 = upload.as_ref().map(picture::digest);
    let wish = Wish::UpdateGroup { subject, description, picture_sha256 };
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), wish, upload).await
}

/// Deletes a group, for good
#[utoipa::path(
    delete, path = "/v1/groups/{group_id}",
    params(OfGroup, Headers),
    responses((status = 202, body = Accepted), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    body::empty(&body.0)?;
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), Wish::DeleteGroup, None).await
}

/// The invite link, as the provider has it now
#[utoipa::path(
    get, path = "/v1/groups/{group_id}/invite-link",
    params(OfGroup),
    responses((status = 200, body = InviteLink), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn link(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<InviteLink>, Problem> {
    let group = group_now(&api, id_of(path)?).await?;
    let group_id = group.group.group_id.clone();
    match look(&api, group, Look::InviteLink).await? {
        Looked::InviteLink(invite_link) => Ok(Json(InviteLink { group_id, invite_link })),
        Looked::JoinRequests(_) => Err(Problem::internal()),
    }
}

/// Makes a new invite link: all earlier ones die
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/invite-link",
    params(OfGroup, Headers),
    responses(
        (status = 200, body = Ended), (status = 202, body = Accepted),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn reset_link(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    body::empty(&body.0)?;
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), Wish::ResetInviteLink, None).await
}

/// Who asks to be let in, as the provider has it now
#[utoipa::path(
    get, path = "/v1/groups/{group_id}/join-requests",
    params(OfGroup),
    responses((status = 200, body = JoinRequests), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn join_requests(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<JoinRequests>, Problem> {
    let group = group_now(&api, id_of(path)?).await?;
    let group_id = group.group.group_id.clone();
    match look(&api, group, Look::JoinRequests).await? {
        Looked::JoinRequests(requests) => {
            let join_requests = requests.into_iter().map(pending).collect();
            Ok(Json(JoinRequests { group_id, join_requests }))
        }
        Looked::InviteLink(_) => Err(Problem::internal()),
    }
}

/// Lets people in
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/join-requests:approve", request_body = JoinRequestIds,
    params(OfGroup, Headers),
    responses(
        (status = 200, body = Ended), (status = 202, body = Accepted),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn approve(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    let JoinRequestIds { join_requests } = body::json(&body.0)?;
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), Wish::ApproveJoinRequests { join_requests }, None).await
}

/// Turns people down
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/join-requests:reject", request_body = JoinRequestIds,
    params(OfGroup, Headers),
    responses(
        (status = 200, body = Ended), (status = 202, body = Accepted),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn reject(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    let JoinRequestIds { join_requests } = body::json(&body.0)?;
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), Wish::RejectJoinRequests { join_requests }, None).await
}

/// Puts members out
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/members:remove", request_body = RemoveMembers,
    params(OfGroup, Headers),
    responses((status = 202, body = Accepted), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn remove(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    let RemoveMembers { members } = body::json(&body.0)?;
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), Wish::RemoveMembers { members }, None).await
}

/// Sends a message to a group, or an invitation to one person
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/messages",
    request_body = body::Send,
    params(OfGroup, Headers),
    responses(
        (status = 200, body = Ended), (status = 202, body = Accepted),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn send(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    let wish = body::message(&body.0)?;
    let group = group_now(&api, id_of(path)?).await?;
    take(&api, asker, Some(group), wish, None).await
}

/// Pins a message
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/messages/{message_id}:pin", request_body = PinMessage,
    params(OfGroup, OfMessage, Headers),
    responses(
        (status = 200, body = Ended), (status = 202, body = Accepted),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn pin(
    api: &Api,
    asker: Asker,
    group: String,
    message_id: String,
    body: &Bytes,
) -> Result<Response, Problem> {
    let PinMessage { expiration_days } = body::json(body)?;
    let group = group_now(api, group).await?;
    take(api, asker, Some(group), Wish::PinMessage { message_id, expiration_days }, None).await
}

/// Takes a pinned message down
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/messages/{message_id}:unpin",
    params(OfGroup, OfMessage, Headers),
    responses(
        (status = 200, body = Ended), (status = 202, body = Accepted),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn unpin(
    api: &Api,
    asker: Asker,
    group: String,
    message_id: String,
    body: &Bytes,
) -> Result<Response, Problem> {
    body::empty(body)?;
    let group = group_now(api, group).await?;
    take(api, asker, Some(group), Wish::UnpinMessage { message_id }, None).await
}

/// The router cannot tell `:pin` from `:unpin` behind a parameter.
pub(crate) async fn pin_or_unpin(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    asker: Asker,
    uri: axum::http::Uri,
    body: Body,
) -> Result<Response, Problem> {
    let Path((group, last)) = path.map_err(|rejection| Problem::bad_id(rejection.body_text()))?;
    match last.rsplit_once(':') {
        Some((message, "pin")) => pin(&api, asker, group, message.to_owned(), &body.0).await,
        Some((message, "unpin")) => unpin(&api, asker, group, message.to_owned(), &body.0).await,
        _ => Err(Problem::route_not_found(uri.path())),
    }
}

/// A bounded body.
pub(crate) struct Body(pub(super) Bytes);

impl<S: Send + Sync> axum::extract::FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let read = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        read.map(Self).map_err(|_| Problem::body_too_large(BODY_BYTES_MAX))
    }
}

async fn group_now(api: &Api, id: String) -> Result<GroupNow, Problem> {
    let home = api.reads.home_of(&id)?;
    let answer = move |views: &[ReadView<'_>]| {
        let found = views.first().map(|view| view::group(view, &id)).transpose()?.flatten();
        let group = found.ok_or_else(|| Problem::group_not_found(&id, &position_of(views)))?;
        Ok(GroupNow { group })
    };
    api.reads.read(vec![home], &Freshness::default(), answer).await
}

async fn look(api: &Api, group: GroupNow, look: Look) -> Result<Looked, Problem> {
    api.desk()?.look(group, look).await.map_err(|refusal| Problem::refusal(&refusal))
}

/// True if the provider tells what became of it in its answer.
fn answered_at_once(wish: &Wish) -> bool {
    !matches!(
        wish,
        Wish::CreateGroup { .. } | Wish::UpdateGroup { .. } | Wish::DeleteGroup | Wish::RemoveMembers { .. }
    )
}

async fn take(
    api: &Api,
    asker: Asker,
    group: Option<GroupNow>,
    wish: Wish,
    upload: Option<Bytes>,
) -> Result<Response, Problem> {
    let Asker { caller, actor, idempotency_key } = asker;
    let (at_once, resets) = (answered_at_once(&wish), wish == Wish::ResetInviteLink);
    let group_id = group.as_ref().map(|now| now.group.group_id.clone());
    let ask = Ask { wish, group, upload, actor, idempotency_key };
    let taken = api.desk()?.ask(ask).await.map_err(|refusal| Problem::refusal(&refusal))?;
    let known_before = taken.position.is_empty();
    if !at_once && !known_before {
        return Ok(accepted(taken.command_id, "requested", &taken.position));
    }
    let wait_ms = if at_once { AT_ONCE_MS } else { 0 };
    let min_position = Some(taken.position).filter(|position| !position.is_empty());
    let Answer { body: command, position } =
        ended(api, &caller, &taken.command_id, Freshness { min_position, wait_ms }).await?;
    if !at_once || matches!(command.status, "requested" | "sent" | "accepted") {
        return Ok(accepted(command.command_id, command.status, &position));
    }
    let invite_link = match group_id {
        Some(id) if resets && command.status == "succeeded" => group_now(api, id).await?.group.invite_link,
        _ => None,
    };
    Ok(Answer { body: Ended { command, invite_link }, position }.into_response())
}

fn accepted(command_id: String, status: &'static str, position: &Position) -> Response {
    let text = position.to_string();
    let header = [(POSITION_HEADER, text.clone())];
    (StatusCode::ACCEPTED, header, Json(Accepted { command_id, status, position: text })).into_response()
}

fn pending(request: JoinRequest) -> PendingRequest {
    let JoinRequest { join_request_id, participant, created_at_ms } = request;
    PendingRequest {
        join_request_id,
        wa_id: participant.wa_id,
        user_id: participant.user_id,
        username: participant.username,
        created_at: created_at_ms.map(convert::time),
    }
}
