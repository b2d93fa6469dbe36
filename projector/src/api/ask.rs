//! What a platform asks of a group. The intent is in the log before the answer; what becomes of it is at
//! `/v1/commands/{id}`.

mod body;
mod picture;
mod request;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use groupfold_fold::view;
use groupfold_schemas::position::Position;
use serde::Serialize;
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::Api;
use super::answer::{Answer, POSITION_HEADER};
use super::commands::{Command, ended};
use crate::desk::{Ask, JoinRequest, Look, Looked, Wish};
use crate::problem::{Problem, ProblemBody};
use crate::reads::{self, Freshness, position_of};
use crate::shape::convert;
use crate::store::ReadView;
use body::{CreateGroup, JoinRequestIds, PinMessage, RemoveMembers, UpdateGroup};
pub(super) use request::{Asker, Body};
use request::{BODY_BYTES_MAX, OnGroup};

/// How long a request whose answer the provider gives at once waits for it.
const AT_ONCE_MS: u64 = 10_000;

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
    /// The new link, of a reset: whoever has it can join. Absent where it cannot be read now.
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

/// How a command is answered whose outcome the provider tells later.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the document alone")]
enum Later {
    /// In the log
    #[response(status = 202)]
    Accepted(Accepted),
    /// Not taken
    #[response(status = "default", content_type = "application/problem+json")]
    Problem(ProblemBody),
}

/// How one is answered whose outcome the provider tells at once.
#[derive(IntoResponses)]
#[expect(dead_code, clippy::large_enum_variant, reason = "read by the document alone, never made")]
enum AtOnce {
    /// It has ended
    #[response(status = 200)]
    Ended(Ended),
    /// In the log, and no answer came yet
    #[response(status = 202)]
    Accepted(Accepted),
    /// Not taken
    #[response(status = "default", content_type = "application/problem+json")]
    Problem(ProblemBody),
}

/// Creates a group
///
/// The group and its id come later: wait for the command.
#[utoipa::path(
    post, path = "/v1/groups", request_body = CreateGroup,
    params(Headers),
    responses(Later),
    security((), ("token" = [])),
)]
pub(crate) async fn create(State(api): State<Api>, asker: Asker, body: Body) -> Result<Response, Problem> {
    let CreateGroup { phone_number_id, subject, description, join_approval_mode } = body.json()?;
    if !asker.caller.may_see(&phone_number_id) {
        return Err(Problem::forbidden("a token that is bound to this phone number, or to none"));
    }
    let wish = Wish::CreateGroup { phone_number_id, subject, description, join_approval_mode };
    take(&api, asker, None, wish, None).await
}

/// Changes a group's settings
#[utoipa::path(
    patch, path = "/v1/groups/{group_id}",
    request_body(content((UpdateGroup = "application/json"), (body::UpdateGroupForm = "multipart/form-data"))),
    params(OfGroup, Headers),
    responses(Later),
    security((), ("token" = [])),
)]
pub(crate) async fn update(group: OnGroup, request: Request) -> Result<Response, Problem> {
    let (UpdateGroup { subject, description }, upload) = picture::read(request).await?;
    let picture_sha256 = upload.as_ref().map(picture::digest);
    group.take_with(Wish::UpdateGroup { subject, description, picture_sha256 }, upload).await
}

/// Deletes a group, for good
#[utoipa::path(
    delete, path = "/v1/groups/{group_id}",
    params(OfGroup, Headers),
    responses(Later),
    security((), ("token" = [])),
)]
pub(crate) async fn delete(group: OnGroup, body: Body) -> Result<Response, Problem> {
    body.empty()?;
    group.take(Wish::DeleteGroup).await
}

/// The invite link, as the provider has it now
#[utoipa::path(
    get, path = "/v1/groups/{group_id}/invite-link",
    params(OfGroup),
    responses((status = 200, body = InviteLink), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn link(group: OnGroup) -> Result<Json<InviteLink>, Problem> {
    let group_id = group.group_id.clone();
    match group.look(Look::InviteLink).await? {
        Looked::InviteLink(invite_link) => Ok(Json(InviteLink { group_id, invite_link })),
        Looked::JoinRequests(_) => Err(Problem::internal()),
    }
}

/// Makes a new invite link: all earlier ones die
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/invite-link",
    params(OfGroup, Headers),
    responses(AtOnce),
    security((), ("token" = [])),
)]
pub(crate) async fn reset_link(group: OnGroup, body: Body) -> Result<Response, Problem> {
    body.empty()?;
    group.take(Wish::ResetInviteLink).await
}

/// Who asks to be let in, as the provider has it now
#[utoipa::path(
    get, path = "/v1/groups/{group_id}/join-requests",
    params(OfGroup),
    responses((status = 200, body = JoinRequests), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
    security((), ("token" = [])),
)]
pub(crate) async fn join_requests(group: OnGroup) -> Result<Json<JoinRequests>, Problem> {
    let group_id = group.group_id.clone();
    match group.look(Look::JoinRequests).await? {
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
    responses(AtOnce),
    security((), ("token" = [])),
)]
pub(crate) async fn approve(group: OnGroup, body: Body) -> Result<Response, Problem> {
    let JoinRequestIds { join_requests } = body.json()?;
    group.take(Wish::ApproveJoinRequests { join_requests }).await
}

/// Turns people down
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/join-requests:reject", request_body = JoinRequestIds,
    params(OfGroup, Headers),
    responses(AtOnce),
    security((), ("token" = [])),
)]
pub(crate) async fn reject(group: OnGroup, body: Body) -> Result<Response, Problem> {
    let JoinRequestIds { join_requests } = body.json()?;
    group.take(Wish::RejectJoinRequests { join_requests }).await
}

/// Puts members out
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/members:remove", request_body = RemoveMembers,
    params(OfGroup, Headers),
    responses(Later),
    security((), ("token" = [])),
)]
pub(crate) async fn remove(group: OnGroup, body: Body) -> Result<Response, Problem> {
    let RemoveMembers { members } = body.json()?;
    group.take(Wish::RemoveMembers { members }).await
}

/// Sends a message to a group, or an invitation to one person
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/messages",
    request_body = body::Send,
    params(OfGroup, Headers),
    responses(AtOnce),
    security((), ("token" = [])),
)]
pub(crate) async fn send(group: OnGroup, body: Body) -> Result<Response, Problem> {
    let wish = body::message(&body)?;
    group.take(wish).await
}

/// Pins a message
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/messages/{message_id}:pin", request_body = PinMessage,
    params(OfGroup, OfMessage, Headers),
    responses(AtOnce),
    security((), ("token" = [])),
)]
pub(crate) async fn pin(group: OnGroup, message_id: String, body: Body) -> Result<Response, Problem> {
    let PinMessage { expiration_days } = body.json()?;
    group.take(Wish::PinMessage { message_id, expiration_days }).await
}

/// Takes a pinned message down
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/messages/{message_id}:unpin",
    params(OfGroup, OfMessage, Headers),
    responses(AtOnce),
    security((), ("token" = [])),
)]
pub(crate) async fn unpin(group: OnGroup, message_id: String, body: Body) -> Result<Response, Problem> {
    body.empty()?;
    group.take(Wish::UnpinMessage { message_id }).await
}

/// The router cannot tell `:pin` from `:unpin` behind a parameter.
pub(crate) async fn pin_or_unpin(
    path: Result<Path<(String, String)>, PathRejection>,
    group: OnGroup,
    uri: axum::http::Uri,
    body: Body,
) -> Result<Response, Problem> {
    let Path((_, last)) = path.map_err(|rejection| Problem::bad_id(rejection.body_text()))?;
    match last.rsplit_once(':') {
        Some((message, "pin")) => pin(group, message.to_owned(), body).await,
        Some((message, "unpin")) => unpin(group, message.to_owned(), body).await,
        _ => Err(Problem::route_not_found(uri.path())),
    }
}

impl OnGroup {
    async fn take(self, wish: Wish) -> Result<Response, Problem> {
        self.take_with(wish, None).await
    }

    async fn take_with(self, wish: Wish, upload: Option<Bytes>) -> Result<Response, Problem> {
        let home = self.api.reads.home_of(&self.group_id)?;
        self.api.reads.fold_up(&[home]).await?;
        let group = group_now(&self.api, self.group_id).await?;
        take(&self.api, self.asker, Some(group), wish, upload).await
    }

    async fn look(self, look: Look) -> Result<Looked, Problem> {
        let group = group_now(&self.api, self.group_id).await?;
        self.api.desk()?.look(group, look).await.map_err(|refusal| Problem::refusal(&refusal))
    }
}

async fn group_now(api: &Api, id: String) -> Result<view::Group, Problem> {
    let home = api.reads.home_of(&id)?;
    let answer = move |views: &[ReadView<'_>]| {
        let found = views.first().map(|view| view::group(view, &id)).transpose()?.flatten();
        found.ok_or_else(|| Problem::group_not_found(&id, &position_of(views)))
    };
    api.reads.read(vec![home], &Freshness::default(), answer).await
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
    group: Option<view::Group>,
    wish: Wish,
    upload: Option<Bytes>,
) -> Result<Response, Problem> {
    let Asker { caller, actor, idempotency_key } = asker;
    let (at_once, resets) = (answered_at_once(&wish), wish == Wish::ResetInviteLink);
    let group_id = group.as_ref().map(|group| group.group_id.clone());
    // A command stands where its group does, and a creation where nobody knows before.
    let home = group_id.as_deref().map(|id| api.reads.home_of(id)).transpose()?;
    let touched = home.map_or_else(|| api.reads.all(), |home| vec![home]);
    let ask = Ask { wish, group, upload, actor, idempotency_key };
    let taken = api.desk()?.ask(ask).await.map_err(|refusal| Problem::refusal(&refusal))?;
    // From here on it is in the log, and may be sent: whatever cannot be read of it is no answer.
    let known_before = taken.position.is_empty();
    if !at_once && !known_before {
        return Ok(accepted(taken.command_id, "requested", &taken.position));
    }
    let wait_ms = if at_once { AT_ONCE_MS } else { 0 };
    let min_position = Some(taken.position.clone()).filter(|position| !position.is_empty());
    let freshness = Freshness { min_position, wait_ms: Some(wait_ms) };
    let Answer { body: command, position } = match ended(
        api,
        &caller,
        &touched,
        &taken.command_id,
        freshness,
        view::Command::has_ended,
    )
    .await
    {
        Ok(answer) => answer,
        Err(problem) => {
            tracing::warn!(command_id = taken.command_id, %problem, "a command was taken and cannot be read");
            // One that was known before was read up to here.
            let position = if known_before { reads::applied(&touched) } else { taken.position };
            return Ok(accepted(taken.command_id, "requested", &position));
        }
    };
    if !at_once || matches!(command.status, "requested" | "sent" | "accepted") {
        return Ok(accepted(command.command_id, command.status, &position));
    }
    let invite_link = match group_id {
        Some(id) if resets && command.status == "succeeded" => {
            group_now(api, id).await.ok().and_then(|group| group.invite_link)
        }
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
