//! From a request to an event in the log, and to the answer once it is folded.
//!
//! The event's id comes from the request's `Idempotency-Key`, so that the same request again is the same event. The
//! log forgets ids after its window; the fold does not: what is in state already is not written again.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use groupfold_fold::contribute::contributions;
use groupfold_fold::entry::{Key, Source, Value};
use groupfold_fold::view::{self, Policy};
use groupfold_schemas::id::EventId;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1;
use groupfold_schemas::v1::event::Kind;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::de::DeserializeOwned;

use crate::api::Api;
use crate::api::answer::POSITION_HEADER;
use crate::api::ask::{Asker, Body};
use crate::api::params::Params;
use crate::caller::Caller;
use crate::desk::Refusal;
use crate::problem::{KEY_REUSED, Problem};
use crate::reads::{Freshness, position_of};
use crate::shape;
use crate::store::ReadView;

/// Labels that a group may have at a time.
const LABELS_MAX: usize = 50;

/// A request to write, with what its head says.
pub(crate) struct Order {
    pub(super) api: Api,
    /// The platform's id of the user who asks; the platform itself if absent.
    pub(super) actor: Option<String>,
    key: Option<String>,
    /// Before the state is looked at; what it says of waiting holds after it is written, too.
    freshness: Freshness,
    body: Body,
    /// Whose groups may be spoken of.
    pub(super) caller: Caller,
}

/// What is known of a group before something is said of it.
struct Known {
    policy: Policy,
    /// The newest message of a member.
    newest: Option<v1::MessageMark>,
    origin: v1::OriginRegister,
    position: Position,
}

/// The answer: what was written and where.
#[derive(Debug)]
pub(crate) struct Written {
    told: shape::Written,
    position: Position,
}

/// What came of looking at the state.
enum Draft {
    /// It is there already.
    Repeated(String, Position),
    New(Box<v1::Record>),
}

impl FromRequest<Api> for Order {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Asker { caller, actor, idempotency_key } = Asker::from_request_parts(&mut parts, api).await?;
        let params = Params::from_request_parts(&mut parts, api).await?;
        let body = Body::from_request(Request::from_parts(parts, body), api).await?;
        let freshness = params.freshness()?;
        Ok(Self { api: api.clone(), caller, actor, key: idempotency_key, freshness, body })
    }
}

impl Order {
    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.body.json()
    }

    /// The body as JSON; an empty one says nothing.
    pub(super) fn json_or_none<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.0.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// That there is no body.
    pub(super) fn bare(self) -> Result<Self, Problem> {
        self.body.empty()?;
        Ok(self)
    }

    /// Commands a group: refused to an actor who does not moderate it.
    pub(super) async fn command(self, group_id: String, kind: Kind) -> Result<Written, Problem> {
        self.write(group_id, kind, true).await
    }

    /// Tells something that everybody may tell.
    pub(super) async fn tell(self, group_id: String, kind: Kind) -> Result<Written, Problem> {
        self.write(group_id, kind, false).await
    }

    async fn write(self, group_id: String, kind: Kind, commands: bool) -> Result<Written, Problem> {
        let desk = self.api.desk()?;
        let home = self.api.reads.home_of(&group_id)?;
        let (record, group) = (self.record(&group_id, kind)?, group_id.clone());
        let caller = self.caller.clone();
        if commands {
            self.api.reads.fold_up(std::slice::from_ref(&home)).await?;
        }
        let draft = move |views: &[ReadView<'_>]| {
            let position = position_of(views);
            let view = views.first().ok_or_else(|| Problem::group_not_found(&group, &position))?;
            let known = known(view, &group, position)?;
            if !caller.may_see(&known.origin.phone_number_id) {
                return Err(Problem::group_not_found(&group, &known.position));
            }
            draft(view, record, known, commands)
        };
        let record = match self.api.reads.read(vec![home.clone()], &self.freshness, draft).await? {
            Draft::Repeated(event_id, position) => {
                return Ok(Written::new(event_id, group_id, position, true));
            }
            Draft::New(record) => record,
        };
        let event_id = record.event_id.clone();
        let appended = desk.append(vec![(*record).clone()]).await;
        let position = appended.map_err(|unwritten| Problem::unwritten(&unwritten))?;
        let reached = Freshness { min_position: Some(position.clone()), wait_ms: self.freshness.wait_ms };
        if self.api.reads.reach(&reached, std::slice::from_ref(&home)).await.is_err() {
            return Ok(Written::new(event_id, group_id, position, false));
        }
        if self.key.is_some() {
            // The log may have had another request under this key, not folded when the state was looked at.
            let same = move |views: &[ReadView<'_>]| {
                views.first().map_or(Ok(None), |view| repeated(view, &record)).map(|_| ())
            };
            match self.api.reads.read(vec![home], &Freshness::default(), same).await {
                Err(problem) if problem.code() == KEY_REUSED => return Err(problem),
                // It is in the log, whether that can be read now or not.
                Err(_) => return Ok(Written::new(event_id, group_id, position, false)),
                Ok(()) => {}
            }
        }
        Ok(Written::new(event_id, group_id, position, true))
    }

    /// The event but for what the state has to say.
    fn record(&self, group_id: &str, kind: Kind) -> Result<v1::Record, Problem> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let mut salt = [0; 16];
        if self.key.is_none() {
            SystemRandom::new().fill(&mut salt).map_err(|_| Problem::internal())?;
        }
        let key = self.key.as_deref().map_or(&salt[..], str::as_bytes);
        Ok(v1::Record {
            event_id: event_id(group_id, &kind, key),
            group_id: group_id.to_owned(),
            provider_time_ms: now_ms,
            time_quality: v1::TimeQuality::Received.into(),
            received_time_ms: now_ms,
            request_id: self.key.clone().unwrap_or_default(),
            actor: Some(v1::Actor {
                kind: v1::ActorKind::Business.into(),
                user_id: self.actor.clone(),
                ..Default::default()
            }),
            evidence: v1::Evidence::Platform.into(),
            field: "platform".to_owned(),
            original_json: self.body.0.clone(),
            event: Some(v1::Event { kind: Some(kind) }),
            ..Default::default()
        })
    }
}

/// One event for one key, in one place and of one kind: a key used for two labels is two events.
fn event_id(group_id: &str, kind: &Kind, key: &[u8]) -> String {
    let (about, who) = match kind {
        Kind::LabelSet(event) => (event.label.as_str(), ""),
        Kind::MessageViewed(event) => (event.message_id.as_str(), event.user_id.as_str()),
        _ => ("", ""),
    };
    let texts = ["platform", kind.name(), group_id, about, who];
    EventId::hash(texts.into_iter().map(str::as_bytes).chain([key])).to_string()
}

fn known(view: &ReadView<'_>, group_id: &str, position: Position) -> Result<Known, Problem> {
    let group = group_id.to_owned();
    let Some(Value::Head(head)) = view.get(&Key::Head { group: group.clone() })? else {
        return Err(Problem::group_not_found(group_id, &position));
    };
    let newest = match view.get(&Key::Window { group })? {
        Some(Value::Window(window)) => window.stamp,
        _ => None,
    };
    Ok(Known {
        policy: view::policy_of(view, group_id, &head)?,
        newest: newest.map(|stamp| v1::MessageMark { time_ms: stamp.time_ms, event_id: stamp.event_id }),
        origin: head.origin.unwrap_or_default(),
        position,
    })
}

/// Adds what the state knows. A repeat is none of the actor's present rights: it was done already.
fn draft(
    view: &ReadView<'_>,
    mut record: v1::Record,
    known: Known,
    commands: bool,
) -> Result<Draft, Problem> {
    if let Some(event_id) = repeated(view, &record)? {
        return Ok(Draft::Repeated(event_id, known.position));
    }
    let actor = record.actor.as_ref().and_then(|actor| actor.user_id.as_deref());
    if commands && !known.policy.may(actor) {
        return Err(Problem::not_moderator());
    }
    if commands {
        // Later than what it answers to, whatever the clocks of several processes say.
        record.provider_time_ms = record.provider_time_ms.max(known.policy.said_at_ms.saturating_add(1));
    }
    match record.event.as_mut().and_then(|event| event.kind.as_mut()) {
        Some(Kind::ArchiveSet(event)) if event.archived => event.newest = known.newest,
        Some(Kind::LabelSet(event)) if event.present => {
            let labels = &known.policy.labels;
            if labels.len() >= LABELS_MAX && !labels.contains(&event.label) {
                return Err(Problem::too_many_labels(LABELS_MAX));
            }
        }
        _ => {}
    }
    let v1::OriginRegister { provider, account, phone_number_id, display_phone_number, .. } = known.origin;
    let record = v1::Record { provider, account, phone_number_id, display_phone_number, ..record };
    Ok(Draft::New(Box::new(record)))
}

/// The event that says the same already, if state has it.
fn repeated(view: &ReadView<'_>, record: &v1::Record) -> Result<Option<String>, Problem> {
    for (key, value) in contributions(record) {
        match (value, view.get(&key)?) {
            (Value::Fact(wanted), Some(Value::Fact(found))) => {
                let said = |fact: &v1::Fact| (fact.visibility.clone(), fact.users.clone());
                return match said(&wanted) == said(&found) {
                    true => Ok(Some(found.event_id)),
                    false => Err(Problem::refusal(&Refusal::KeyReused)),
                };
            }
            // The first view counts: a later one would say nothing.
            (Value::View(_), Some(Value::View(found))) => {
                return Ok(Some(found.stamp.map(|stamp| stamp.event_id).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Ok(None)
}

impl Written {
    fn new(event_id: String, group_id: String, position: Position, folded: bool) -> Self {
        let told = shape::Written { event_id, group_id, folded, position: position.to_string() };
        Self { told, position }
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let status = if self.told.folded { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut response = (status, Json(self.told)).into_response();
        if let Ok(value) = HeaderValue::try_from(self.position.to_string()) {
            response.headers_mut().insert(POSITION_HEADER, value);
        }
        response
    }
}
