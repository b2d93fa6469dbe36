//! `/simulator`: what a test or a demo may do that no business can. Loopback alone, so it wants no token.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::courier::Target;
use super::faults::{FAULTS_MAX, Fault};
use super::life::{Entry, come, say};
use super::{Graph, held};
use crate::simulate::people::Shown;
use crate::simulate::report::Report;
use crate::simulate::truth;
use crate::simulate::world::{LEFT, MemberStatus, REVOKED, Status, World};

/// Why a test cannot have that.
enum No {
    /// 400
    Wrong(String),
    /// 404
    Unknown(&'static str),
    /// 409
    Conflict(&'static str),
}

type Told = Result<Value, No>;

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Wrong(why) => (StatusCode::BAD_REQUEST, why),
            Self::Unknown(why) => (StatusCode::NOT_FOUND, why.to_owned()),
            Self::Conflict(why) => (StatusCode::CONFLICT, why.to_owned()),
        };
        (status, Json(json!({ "error": why }))).into_response()
    }
}

pub(super) fn routes() -> Router<Arc<Graph>> {
    Router::new().route("/simulator/{what}", get(look).post(command).delete(forget))
}

#[derive(Deserialize)]
struct Filter {
    operation: Option<String>,
}

async fn look(
    State(graph): State<Arc<Graph>>,
    Path(what): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let told = match what.as_str() {
        "truth" => Ok(graph.truth()),
        "faults" => Ok(json!({ "faults": held(&graph.faults).list })),
        "calls" => {
            let is = |call: &&Value| filter.operation.as_ref().is_none_or(|name| call["operation"] == *name);
            Ok(json!({ "calls": held(&graph.calls).iter().filter(is).collect::<Vec<_>>() }))
        }
        "webhooks" => Ok(json!({ "pending": graph.courier.pending() })),
        _ => Err(No::Unknown("there is truth, faults, calls and webhooks")),
    };
    told.map(Json).into_response()
}

async fn forget(State(graph): State<Arc<Graph>>, Path(what): Path<String>) -> Response {
    match what.as_str() {
        "faults" => held(&graph.faults).list.clear(),
        "calls" => held(&graph.calls).clear(),
        _ => return No::Unknown("faults and calls can be forgotten").into_response(),
    }
    Json(json!({})).into_response()
}

async fn command(State(graph): State<Arc<Graph>>, Path(what): Path<String>, body: Bytes) -> Response {
    let told = match what.as_str() {
        "join" => graph.join(&body),
        "leave" => graph.of_person(&body, MemberStatus::Member, |world, key, person, _| {
            world.wait_for(key, person, LEFT);
            world.go(key, person);
            Ok(json!({}))
        }),
        "revoke" => graph.of_person(&body, MemberStatus::Pending, |world, key, person, _| {
            world.wait_for(key, person, REVOKED);
            world.withdraw(key, person);
            Ok(json!({}))
        }),
        "say" => graph.of_person(&body, MemberStatus::Member, |world, key, person, body| {
            Ok(json!({ "message_id": say(world, key, person, body) }))
        }),
        "suspend" => graph.suspend(&body, true),
        "unsuspend" => graph.suspend(&body, false),
        "faults" => graph.add_faults(&body),
        "webhook" => graph.direct(&body),
        _ => Err(No::Unknown("there is join, leave, revoke, say, suspend, unsuspend, faults and webhook")),
    };
    told.map(Json).into_response()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, No> {
    serde_json::from_slice(body).map_err(|error| No::Wrong(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    invite_link: Option<String>,
    group_id: Option<String>,
    person: Option<String>,
    shown: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPerson {
    group_id: String,
    person: Option<String>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfGroup {
    group_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    url: String,
    app_secret: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Several<T> {
    Many(Vec<T>),
    One(T),
}

impl Graph {
    fn truth(&self) -> Value {
        let world = held(&self.world);
        truth::tell(&world, self.seed, &held(&self.courier.report) as &Report)
    }

    /// Somebody follows a link.
    fn join(&self, body: &[u8]) -> Told {
        let join: Join = read(body)?;
        let shown = match join.shown.as_deref() {
            Some("number") => Some(Shown::Number),
            Some("number_and_user_id") => Some(Shown::NumberAndUserId),
            Some("user_id") => Some(Shown::UserId),
            None => join.person.as_ref().map(|_| Shown::Number),
            Some(_) => return Err(No::Wrong("shown is number, number_and_user_id or user_id".to_owned())),
        };
        self.by_people(|world| {
            let by_link = |link: &str| {
                let mut groups = world.groups_there();
                let found = groups.find(|(_, group)| group.invite_link.as_deref() == Some(link));
                found.map(|(key, _)| key)
            };
            let key = match (&join.invite_link, &join.group_id) {
                (Some(link), _) => by_link(link).ok_or(No::Unknown("the link is dead"))?,
                (None, Some(id)) => world.find_group(id).ok_or(No::Unknown("there is no such group"))?,
                (None, None) => return Err(No::Wrong("invite_link or group_id is missing".to_owned())),
            };
            let known = join.person.as_deref().and_then(|name| world.find_person_for(key, name));
            let person = known.unwrap_or_else(|| world.somebody_new(join.person.as_deref(), shown));
            let entry = come(world, key, person).map_err(No::Conflict)?;
            let request = world.requests_of(key).into_iter().find(|(own, ..)| *own == person);
            Ok(json!({
                "outcome": if entry == Entry::Joined { "joined" } else { "asked" },
                "join_request_id": request.map(|(_, id, _)| id),
                "person": world.people.get(&person).map(|person| json!({
                    "wa_id": person.number.wa_id, "user_id": person.user_id, "name": person.name,
                })),
            }))
        })
    }

    /// Something that a person of a group does, or any person of it who stands so.
    fn of_person(
        &self,
        body: &[u8],
        standing: MemberStatus,
        act: impl FnOnce(&mut World, u64, u64, Option<&str>) -> Told,
    ) -> Told {
        let wanted: OfPerson = read(body)?;
        self.by_people(|world| {
            let key = world.find_group(&wanted.group_id).ok_or(No::Unknown("there is no such group"))?;
            let person = match &wanted.person {
                Some(name) => world.find_person_for(key, name),
                None => {
                    let members = world.groups.get(&key).into_iter().flat_map(|group| &group.members);
                    let mut so = members.filter(|(_, member)| member.status == standing);
                    so.next().map(|(person, _)| *person)
                }
            };
            let person = person.filter(|person| world.standing(key, *person) == Some(standing));
            let person = person.ok_or(No::Unknown("there is no such person in the group"))?;
            act(world, key, person, wanted.body.as_deref())
        })
    }

    fn suspend(&self, body: &[u8], suspended: bool) -> Told {
        let OfGroup { group_id } = read(body)?;
        self.by_people(|world| {
            let key = world.find_group(&group_id).ok_or(No::Unknown("there is no such group"))?;
            let status = world.groups.get(&key).map(|group| group.status);
            if (status == Some(Status::Suspended)) == suspended {
                return Err(No::Conflict("the group is so already"));
            }
            while !world.set_suspended(key, suspended) {
                world.let_a_second_pass();
            }
            Ok(json!({}))
        })
    }

    /// Adds one fault, or several, to the plan of failures.
    fn add_faults(&self, body: &[u8]) -> Told {
        let more = match read::<Several<Fault>>(body)? {
            Several::Many(more) => more,
            Several::One(one) => vec![one],
        };
        let mut faults = held(&self.faults);
        if faults.list.len() + more.len() > FAULTS_MAX {
            return Err(No::Conflict("there are too many faults: DELETE /simulator/faults"));
        }
        faults.list.extend(more);
        Ok(json!({ "faults": faults.list }))
    }

    /// Says where webhooks go, as the settings of an app do.
    fn direct(&self, body: &[u8]) -> Told {
        let webhook: Webhook = read(body)?;
        if reqwest::Url::parse(&webhook.url).is_err() {
            return Err(No::Wrong("url is no URL".to_owned()));
        }
        let before = self.courier.target.borrow().as_ref().map(|target| target.secret.clone());
        let secret = webhook.app_secret.or(before).or_else(|| self.secret.clone());
        let secret = secret.filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| No::Wrong("app_secret is missing".to_owned()))?;
        self.courier.target.send_replace(Some(Target { url: webhook.url, secret }));
        Ok(json!({}))
    }
}
