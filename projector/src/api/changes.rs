//! The change feed as server-sent events.

mod place;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use groupfold_schemas::log;
use groupfold_schemas::log::partition_of;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::ChangeKind;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Api;
use super::answer::with_position;
use super::params::Params;
use crate::caller::Caller;
use crate::feed::{body, follow};
use crate::partition::Partition;
use crate::problem::{Problem, ProblemBody};
use crate::reads::Reads;
use place::Place;

/// Readers at the same time.
const READERS_MAX: usize = 128;
/// Combinations of group and kind that one reader may ask for: each is a filter that the broker tries.
const FILTERS_MAX: usize = 64;
/// How often a comment shows that the connection lives, where the reader asks for nothing else.
const HEARTBEAT_MS: u64 = 15_000;
const HEARTBEAT_MS_MIN: u64 = 1_000;
/// Half of what the server grants a connection on which nothing moves.
const HEARTBEAT_MS_MAX: u64 = 60_000;

/// Where readers of the feed come from.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    client: async_nats::Client,
    partitions_total: u16,
    readers: Arc<Semaphore>,
    /// Ends all readers.
    shutdown: CancellationToken,
}

impl Feed {
    pub(crate) fn new(
        client: async_nats::Client,
        partitions_total: u16,
        shutdown: CancellationToken,
    ) -> Self {
        Self { client, partitions_total, readers: Arc::new(Semaphore::new(READERS_MAX)), shutdown }
    }

    /// The subjects of a filter; empty for all. No two overlap, as the broker wants it.
    fn subjects(&self, params: &Params) -> Result<Vec<String>, Problem> {
        let groups = params.all("group")?;
        let mut kinds = Vec::new();
        for name in params.all("kind")? {
            let names = || ChangeKind::ALL.map(ChangeKind::name).join(", ");
            let kind = ChangeKind::from_name(&name);
            let kind = kind.ok_or_else(|| {
                Problem::parameter("bad_kind", "kind", &name, &format!("one of {}", names()))
            })?;
            kinds.push(Some(kind.name()));
        }
        if groups.is_empty() && kinds.is_empty() {
            return Ok(Vec::new());
        }
        let home = |group: &str| partition_of(group, self.partitions_total);
        let mut groups: Vec<_> = groups.iter().map(|group| Some((home(group), group.as_str()))).collect();
        if groups.is_empty() {
            groups.push(None);
        }
        if kinds.is_empty() {
            kinds.push(None);
        }
        let of_kinds = |group| kinds.iter().map(move |kind| log::change_filter(*kind, group));
        let mut subjects: Vec<String> = groups.into_iter().flat_map(of_kinds).collect();
        subjects.sort_unstable();
        subjects.dedup();
        if subjects.len() > FILTERS_MAX {
            let found = format!("{} combinations", subjects.len());
            let expected = format!("at most {FILTERS_MAX} combinations of group and kind");
            return Err(Problem::parameter("bad_filter", "group", &found, &expected));
        }
        Ok(subjects)
    }

    /// The partitions of which changes with these subjects may be.
    fn touched(&self, subjects: &[String]) -> Vec<u16> {
        (0..self.partitions_total).filter(|partition| is_of(subjects, *partition)).collect()
    }
}

/// What changes, as it changes
///
/// Server-sent events: `id` resumes the feed (`Last-Event-ID`), `event` is the kind, `data` one line of JSON.
/// Comments show that the connection lives; beside one stands an `id` without data where nothing was told for a while: the
/// feed resumes from there too. The last event of a feed that the server ends is `cut`, with the
/// reason and the id to resume from. Of a feed begun `now`, `Groupfold-Position` names a position of the partitions of
/// this process up to which all changes stood in the feed at the start. A feed begun after a position has none to give until a change was told or what was
/// there at the start is looked through: who comes again without one asks as before.
#[utoipa::path(
    get,
    path = "/v1/changes",
    params(
        ("Last-Event-ID" = Option<String>, Header,
            description = "Go on after this event: its `id`. Or whatever `from` takes, which means the same. Over `from`"),
        ("from" = Option<String>, Query,
            description = "`now` if absent, `beginning` of what is kept, or after a position; partitions that it \
                does not name begin now. That of a change names one: its `id` leaves nothing out"),
        ("group" = Option<Vec<String>>, Query, description = "Only changes of these groups; repeatable"),
        ("kind" = Option<Vec<String>>, Query, description = "Only changes of these kinds; repeatable"),
        ("heartbeat_ms" = Option<u64>, Query,
            description = "How often a comment comes at least, 1000 to 60000, 15000 if absent"),
    ),
    responses(
        (status = 200, body = body::Change<'_>, content_type = "text/event-stream"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn follow(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let feed = api.feed.as_ref().ok_or_else(|| Problem::lacking("there is no change feed here"))?;
    let heartbeat = params.heartbeat(HEARTBEAT_MS, HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX)?;
    let subjects = feed.subjects(&params)?;
    let touched = feed.touched(&subjects);
    let wanted = place::Wanted::read(&headers, &params)?;
    let permit = Arc::clone(&feed.readers).try_acquire_owned().map_err(|_| Problem::busy())?;
    // Whoever begins after a position comes again with that: what is told by now may be behind it, and was not told them.
    let told = matches!(wanted, place::Wanted::Now).then(|| told(&api.reads, &touched));
    let info = follow::look(&feed.client).await.map_err(unavailable)?;
    if let Some(position) = wanted.position()
        && info.first_sequence > 1
    {
        let asked = position.iter().filter(|(partition, _)| touched.contains(partition));
        let ours = api.reads.all();
        let published = |partition| {
            ours.iter().find(|one| one.id == partition).map_or(0, |one| one.feed.published().sequence)
        };
        let taken = follow::taken_after(&feed.client, asked, published).await.map_err(unavailable)?;
        if let Some(partition) = taken {
            let why = format!("changes of partition {partition} that follow it are not kept any more");
            return Err(Problem::place_gone(&format!("position {position}"), &why));
        }
    }
    let found = match wanted.sequence() {
        Some(sequence) => follow::taken_at(&feed.client, sequence).await.map_err(unavailable)?,
        None => None,
    };
    let Place { spot, exact, after } = wanted.place(&info, found)?;
    let created = info.created.clone();
    let mut following = follow::Following::new(&feed.client, info.created, spot, exact, subjects);
    // Before the answer: 200 means that changes are delivered.
    following.begin().await.map_err(|gone| match gone {
        follow::Gone::Unavailable(why) => unavailable(why),
        follow::Gone::Recreated | follow::Gone::Overtaken => moved(),
    })?;
    let (shutdown, metrics) = (feed.shutdown.clone(), api.metrics.clone());
    let begun = false;
    let reader = stream::Reader {
        following,
        after,
        created,
        spot,
        begun,
        heartbeat,
        caller,
        shutdown,
        permit,
        metrics,
    };
    let mut response = Response::new(Body::from_stream(reader.start()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers would hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(match told {
        Some(told) => with_position(response, &told.to_string()),
        None => response,
    })
}

/// Up to where all changes of these partitions that this process has stand in the feed now.
fn told(reads: &Reads, touched: &[u16]) -> Position {
    let ours = reads.all().into_iter().filter(|one| touched.contains(&one.id));
    let told = |one: Partition| {
        // First: what is applied meanwhile is not said to be told.
        let applied = one.status.borrow().applied;
        (one.id, one.feed.told(applied))
    };
    ours.map(told).collect()
}

/// True if subjects, none of them for all, may be of this partition.
fn is_of(subjects: &[String], partition: u16) -> bool {
    let named = |subject: &String| {
        let read = log::read_change_subject(subject);
        read.is_some_and(|(of, _)| of.is_none_or(|of| of == partition))
    };
    subjects.is_empty() || subjects.iter().any(named)
}

fn unavailable(why: String) -> Problem {
    tracing::warn!(reason = why, "a reader of changes was turned away");
    Problem::feed_unavailable(&why)
}

/// Between two looks at the stream. The next request finds out what is left.
fn moved() -> Problem {
    Problem::feed_unavailable("the stream of changes was cut just now: ask again")
}

impl Params {
    fn heartbeat(&self, default: u64, bounds: std::ops::RangeInclusive<u64>) -> Result<Duration, Problem> {
        let expected = format!("milliseconds from {} to {}", bounds.start(), bounds.end());
        let ms = self.parse("heartbeat_ms", "bad_heartbeat", &expected)?.unwrap_or(default);
        if bounds.contains(&ms) {
            return Ok(Duration::from_millis(ms));
        }
        Err(Problem::parameter("bad_heartbeat", "heartbeat_ms", &ms.to_string(), &expected))
    }
}
