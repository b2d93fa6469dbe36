//! The API's own description, made from the handlers and shapes themselves.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{Api, ask, changes, commands, groups, operate, ops, policy, position, receipts, timeline, usage};
use crate::shape;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "groupfold",
        description = "What WhatsApp told about groups, folded into state. All times are RFC 3339 in UTC. \
            Every answer of state carries the log position that it reflects, also as the header \
            `Groupfold-Position`.",
    ),
    paths(
        ops::livez,
        ops::readyz,
        ops::metrics,
        show,
        position::show,
        groups::list,
        groups::show,
        groups::members,
        timeline::of_group,
        timeline::of_account,
        receipts::of_message,
        usage::show,
        changes::follow,
        commands::list,
        commands::show,
        ask::create,
        ask::update,
        ask::delete,
        ask::link,
        ask::reset_link,
        ask::join_requests,
        ask::approve,
        ask::reject,
        ask::remove,
        ask::send,
        ask::pin,
        ask::unpin,
        policy::set_visibility,
        policy::set_moderators,
        policy::add_label,
        policy::remove_label,
        policy::archive,
        policy::unarchive,
        policy::block,
        policy::unblock,
        policy::views::add,
        operate::rebuild_job,
        operate::rebuild,
        operate::rollback_job,
        operate::roll_back,
        operate::verify_job,
        operate::verify,
    ),
    // What stands in answers that several routes share is not found by itself.
    components(schemas(ask::Accepted, ask::Ended, shape::Written)),
    modifiers(&Token),
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

pub(crate) fn document(build: &str) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    build.clone_into(&mut document.info.version);
    document
}

/// This description
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn show(State(api): State<Api>) -> Response {
    Json(document(&api.build)).into_response()
}
