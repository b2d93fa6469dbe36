//! Who asks, and what they may see and do.
//!
//! A token may be bound to business numbers. What is asked of one group is guarded here, for every route that has the
//! group in its path; other routes must look at the [`Caller`] themselves, and are closed to bound tokens until they
//! stand in [`FOR_BOUND`].

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{PoisonError, RwLock};

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::hmac;
use ring::rand::SystemRandom;

use super::Api;
use super::links;
use super::params::{At, Params};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::reads::position_of;
use crate::store::ReadView;
use crate::token::{Scope, Token, sha256};

/// Routes without a group in their path whose reading tells a bound token of its own numbers' groups alone.
pub(super) const FOR_BOUND: [&str; 8] = [
    "/v1/position",
    "/v1/groups",
    "/v1/messages/{message_id}/receipts",
    "/v1/usage",
    "/v1/changes",
    "/v1/commands",
    "/v1/commands/{command_id}",
    "/v1/accounts/{account}/timeline",
];
/// Routes without a group in their path that do for a bound token only what concerns its own numbers.
const FOR_BOUND_WRITES: [&str; 2] = ["/v1/groups", "/v1/messages/{message_id}/views"];
/// Routes with a group in their path that look back (`at`).
pub(super) const LOOK_BACK: [&str; 3] =
    ["/v1/groups/{group_id}", "/v1/groups/{group_id}/members", "/v1/groups/{group_id}/timeline"];
/// Routes of operators: what they do concerns everybody.
const OPERATORS: &str = "/v1/ops/";
/// The name of a path's group, as all routes have it.
const GROUP_PARAM: &str = "group_id";

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // Every route that asks for one stands behind `require`; without it nothing may be seen.
        let nobody =
            || Self::new(Token { scopes: Vec::new(), ..Token::all("nobody", "") }.bound_to_nothing());
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(nobody))
    }
}

impl Token {
    fn bound_to_nothing(self) -> Self {
        Self { phone_number_ids: Some(Vec::new()), ..self }
    }
}

/// The configured tokens, as tags of their hashes under a key that only this process knows: comparing tags takes the
/// same time wherever they differ.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
    known: RwLock<Vec<(hmac::Tag, Caller)>>,
    /// An API that began without tokens stays open, and one that began with some never is.
    anyone: Option<Caller>,
}

impl Tokens {
    /// Keeps tokens; `None` if the system has no randomness to give.
    pub(crate) fn new(tokens: &[Token]) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let anyone = tokens.is_empty().then(Caller::anyone);
        let this = Self { key, known: RwLock::default(), anyone };
        this.replace(tokens);
        Some(this)
    }

    /// Keeps these from now on, and no others. One that stays keeps what it has used up of its requests.
    pub(crate) fn replace(&self, tokens: &[Token]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *known);
        for token in tokens {
            let stays = before.iter().position(|(_, caller)| caller.is_of(token));
            known.push(match stays {
                Some(place) => before.swap_remove(place),
                None => (hmac::sign(&self.key, &token.sha256), Caller::new(token.clone())),
            });
        }
        before.iter().for_each(|(_, caller)| caller.take_back());
    }

    /// True if nobody needs a token.
    fn is_open(&self) -> bool {
        self.anyone.is_some()
    }

    fn admit(&self, headers: &HeaderMap) -> Option<Caller> {
        if let Some(anyone) = &self.anyone {
            return Some(anyone.clone());
        }
        let hash = sha256(bearer(headers)?);
        // All are compared, so that time does not tell which one came close.
        let mut found = None;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for (tag, caller) in known.iter() {
            if hmac::verify(&self.key, &hash, tag.as_ref()).is_ok() {
                found = Some(caller);
            }
        }
        found.cloned()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets in who may ask this, and leaves a line of what an operator did.
pub(crate) async fn require(
    State(api): State<Api>,
    route: MatchedPath,
    path: Result<RawPathParams, RawPathParamsRejection>,
    params: Result<Params, Problem>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = api.tokens.admit(request.headers()) else {
        return Problem::unauthorized().into_response();
    };
    let (method, route) = (request.method().clone(), route.as_str().to_owned());
    let ids = path.iter().flat_map(RawPathParams::iter);
    let group = ids.filter(|(name, _)| *name == GROUP_PARAM).map(|(_, id)| id.to_owned()).next();
    let asked = match admit(&caller, &method, &route) {
        Ok(()) if api.tokens.is_open() && is_by_public_name(&request) => Err(Problem::public_name()),
        Ok(()) if !is_reading(&method) && is_of_another_site(request.headers()) => Err(Problem::cross_site()),
        admitted => admitted.and(params),
    };
    let admitted = match asked {
        Ok(params) => {
            let looks_back = is_reading(&method) && LOOK_BACK.contains(&route.as_str());
            // What is no moment, or cannot be looked back to, the answer says.
            let at = if looks_back { params.at().ok().flatten() } else { None };
            own_group(&api, &caller, &route, group.as_deref(), &params, at.as_ref()).await
        }
        Err(problem) => Err(problem),
    };
    let response = match admitted {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if !is_reading(&method) {
        let (caller, status, group) = (caller.name(), response.status().as_u16(), group.unwrap_or_default());
        tracing::info!(target: "audit", caller, %method, route, group, status, "operator");
    }
    if caller.has(Scope::ReadLinks) { response } else { links::hidden(response).await }
}

/// A page of another site cannot read what an API without tokens answers on the machine of who looks at the page, but it
/// can have the browser send, and the browser says so.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// A page may have its own name lead to this machine once it is loaded (DNS rebinding): the browser takes what an API
/// without tokens answers then for the page's own. Names that public DNS can give have a dot; addresses are not given.
fn is_by_public_name(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let Some(authority) = authority.as_ref().or(request.uri().authority()) else { return false };
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    name.contains('.') && !is_address && !name.ends_with(".localhost")
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn names_group(route: &str) -> bool {
    route.contains("{group_id}")
}

/// What the token is good for, before anything is looked at.
fn admit(caller: &Caller, method: &Method, route: &str) -> Result<(), Problem> {
    caller.take_turn().map_err(Problem::too_many)?;
    let operators = route.starts_with(OPERATORS);
    let reads = is_reading(method) && !operators;
    if reads {
        if !(caller.has(Scope::Read) || caller.has(Scope::ReadLinks)) {
            return Err(Problem::forbidden("a token with the scope read"));
        }
    } else if !caller.has(Scope::Operate) {
        return Err(Problem::forbidden("a token with the scope operate"));
    }
    let for_bound = if reads { &FOR_BOUND[..] } else { &FOR_BOUND_WRITES[..] };
    if !caller.sees_all() && !names_group(route) && !for_bound.contains(&route) {
        return Err(Problem::forbidden("a token that is bound to no phone number"));
    }
    Ok(())
}

/// A group of another number is as unknown as one that never was.
async fn own_group(
    api: &Api,
    caller: &Caller,
    route: &str,
    group: Option<&str>,
    params: &Params,
    at: Option<&At>,
) -> Result<(), Problem> {
    if caller.sees_all() || !names_group(route) {
        return Ok(());
    }
    let group = group.ok_or_else(|| Problem::bad_id("the group in the path is no text".to_owned()))?;
    let home = api.reads.home_of(group)?;
    let mut freshness = params.freshness()?;
    // Whose group it is may be told no earlier than that.
    if let (Some(at), Ok(past)) = (at, api.past()) {
        (_, freshness) = past.wanted(&home, at, freshness).await?;
    }
    let (caller, group) = (caller.clone(), group.to_owned());
    let looks = move |views: &[ReadView<'_>]| {
        for view in views {
            if caller.may_see_group(view, &group)? {
                return Ok(());
            }
        }
        Err(Problem::group_not_found(&group, &position_of(views)))
    };
    api.reads.read(vec![home], &freshness, looks).await
}
