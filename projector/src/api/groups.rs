//! Groups and their members.

mod filter;

use std::time::{Duration, Instant};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use groupfold_fold::apply::Digest;
use groupfold_fold::entry::Memory;
use groupfold_fold::view;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1;

use super::answer::{self, Answer};
use super::params::{IdList, Limit, Params, id_cursor};
use super::{Api, id_of};
use crate::caller::{Caller, number_of};
use crate::partition::Partition;
use crate::problem::{Problem, ProblemBody};
use crate::reads::{Freshness, Told, position_of};
use crate::refold::past as refold;
use crate::shape::{self, convert};
use crate::store::{self, ReadView};
use filter::PolicyFilter;

/// Groups looked at for one page, in each partition: a filter that few pass ends a page early, with a
/// cursor, instead of reading a whole store at once.
const LOOKED_AT_MAX: usize = 20_000;
/// The same where the filter asks for what the platform said, which is read for each.
const LOOKED_INTO_MAX: usize = 5_000;
const LIMIT: Limit = Limit { default: 50, max: 1000 };
/// How long groups are derived for one page, which then ends early: all partitions' writers wait meanwhile.
const PAGE_TIME_MAX: Duration = Duration::from_millis(500);

/// Groups, by id
///
/// A page may hold fewer groups than asked for, even none, and still have a cursor: it is the last one
/// when the cursor is null.
#[utoipa::path(
    get,
    path = "/v1/groups",
    params(
        ("status" = Option<shape::GroupStatus>, Query, description = "Only groups of this status"),
        ("phone_number_id" = Option<String>, Query, description = "Only groups of this business number"),
        ("label" = Option<Vec<String>>, Query, description = "Only groups with this label; repeated: with all of them"),
        ("archived" = Option<bool>, Query, description = "Only groups that are archived, or that are not"),
        ("blocked" = Option<bool>, Query, description = "Only groups that are blocked, or that are not"),
        ("visible_to" = Option<Vec<String>>, Query,
            description = "Only groups that user:ID or team:ID may see; repeated: that one of them may"),
        ("limit" = Option<u32>, Query, description = "Groups per page, 1 to 1000, 50 if absent"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::GroupPage),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Answer<shape::GroupPage>, Problem> {
    let filter = Filter {
        status: params.group_status()?,
        phone_number_id: params.phone_number_id(),
        caller,
        policy: PolicyFilter::new(&params)?,
    };
    let (limit, after) = (params.limit(LIMIT)?, params.cursor_id(IdList::Groups)?);
    let freshness = params.freshness()?;
    let answer = move |views: &[ReadView<'_>]| {
        let chosen = chosen(views, &filter, limit, after.as_deref())?;
        page(views, chosen, PAGE_TIME_MAX)
    };
    api.reads.read_all(&freshness, answer).await
}

struct Filter {
    status: Option<view::Status>,
    phone_number_id: Option<String>,
    caller: Caller,
    policy: PolicyFilter,
}

impl Filter {
    fn passes(&self, view: &ReadView<'_>, id: &str, head: &v1::GroupHead) -> Result<bool, store::Error> {
        let status = view::status_of(head);
        let number = number_of(head);
        Ok(self.caller.may_see(number)
            && self.status.is_none_or(|wanted| wanted == status)
            && self.phone_number_id.as_deref().is_none_or(|wanted| wanted == number)
            && (self.policy.is_empty() || self.policy.passes(&view::policy_of(view, id, head)?)))
    }

    /// Groups that may be looked at for one page, in each partition.
    fn looked_at_max(&self) -> usize {
        if self.policy.is_empty() { LOOKED_AT_MAX } else { LOOKED_INTO_MAX }
    }
}

/// Candidates of one partition, by id, and the id up to which there can be no others.
struct Candidates {
    ids: Vec<String>,
    complete_to: Option<String>,
}

fn candidates(
    view: &ReadView<'_>,
    filter: &Filter,
    most: usize,
    after: Option<&str>,
) -> Result<Candidates, store::Error> {
    let mut ids = Vec::new();
    for (looked_at, head) in view.heads_after(after)?.enumerate() {
        let (id, head) = head?;
        if filter.passes(view, &id, &head)? {
            ids.push(id.clone());
        }
        if ids.len() == most || looked_at + 1 == filter.looked_at_max() {
            return Ok(Candidates { ids, complete_to: Some(id) });
        }
    }
    Ok(Candidates { ids, complete_to: None })
}

/// The groups of one page and the partitions they are in, by id, and the id that the next page goes on after.
struct Chosen {
    groups: Vec<(String, usize)>,
    next: Option<String>,
}

fn chosen(
    views: &[ReadView<'_>],
    filter: &Filter,
    limit: usize,
    after: Option<&str>,
) -> Result<Chosen, store::Error> {
    let mut groups: Vec<(String, usize)> = Vec::new();
    let mut complete_to: Option<String> = None;
    for (index, view) in views.iter().enumerate() {
        let candidates = candidates(view, filter, limit, after)?;
        groups.extend(candidates.ids.into_iter().map(|id| (id, index)));
        complete_to = match (complete_to, candidates.complete_to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    groups.sort();
    if let Some(complete_to) = &complete_to {
        groups.retain(|(id, _)| id <= complete_to);
    }
    let cut = groups.len() > limit;
    groups.truncate(limit);
    let last = groups.last().map(|(id, _)| id.clone());
    let next = if cut { last } else { complete_to };
    Ok(Chosen { groups, next })
}

/// Derives the groups of a page, all that there is time for. How long they were looked for does not count: a page would
/// show one of them where few pass a filter, and the next would look for the others again.
fn page(
    views: &[ReadView<'_>],
    chosen: Chosen,
    longest: Duration,
) -> Result<Answer<shape::GroupPage>, Problem> {
    let begun = Instant::now();
    let Chosen { groups: found, mut next } = chosen;
    let mut groups = Vec::with_capacity(found.len());
    let mut left = found.len();
    for (id, index) in found {
        let view = &views[index];
        if let Some(group) = view::group(view, &id)? {
            let position = position_of(std::slice::from_ref(view));
            groups.push(convert::group(group, &position, Some(view.group_digest(&id)?)));
        }
        left -= 1;
        if left > 0 && begun.elapsed() >= longest {
            next = Some(id);
            break;
        }
    }
    let position = position_of(views);
    let cursor = next.as_deref().map(|id| id_cursor(IdList::Groups, id));
    let body = shape::GroupPage { groups, cursor, position: position.to_string() };
    Ok(Answer { body, position })
}

/// A group
#[utoipa::path(
    get,
    path = "/v1/groups/{group_id}",
    params(
        ("group_id" = String, Path, description = "Percent-encoded"),
        ("at" = Option<String>, Query, description = "State as the log had it at a position or a time (RFC 3339)"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::Group),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn show(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Response, Problem> {
    if params.at()?.is_some() {
        return Ok(group(&api, path, &params, convert::group).await?.into_response());
    }
    let id = id_of(path)?;
    let (home, freshness) = (api.reads.home_of(&id)?, params.freshness()?);
    let (told, position) = match api.reads.shown(&home, &id, &freshness).await? {
        Some(shown) => shown,
        None => derived(&api, home, id, &freshness).await?,
    };
    Ok(answer::told(&told, &position))
}

/// A group's answer from the store, kept for those who ask next.
async fn derived(
    api: &Api,
    home: Partition,
    id: String,
    freshness: &Freshness,
) -> Result<(Told, Position), Problem> {
    let shown = home.shown.clone();
    let answer = move |views: &[ReadView<'_>]| {
        let (group, position, digest) = present(views, &id)?;
        let json = serde_json::to_vec(&convert::group(group, &position, digest));
        let sequence = views.first().map(ReadView::sequence).unwrap_or_default();
        let told = json.ok().and_then(|json| Told::new(&json, sequence)).ok_or_else(Problem::internal)?;
        shown.keep(&id, told.clone());
        Ok((told, position))
    };
    api.reads.read(vec![home], freshness, answer).await
}

/// A group as the store of its home has it, with the position and the digest of its entries.
fn present(views: &[ReadView<'_>], id: &str) -> Result<(view::Group, Position, Option<Digest>), Problem> {
    let position = position_of(views);
    let found = views.first().map(|view| view::group(view, id)).transpose()?.flatten();
    let group = found.ok_or_else(|| Problem::group_not_found(id, &position))?;
    let digest = views.first().map(|view| view.group_digest(id)).transpose()?;
    Ok((group, position, digest))
}

/// The members of a group
#[utoipa::path(
    get,
    path = "/v1/groups/{group_id}/members",
    params(
        ("group_id" = String, Path, description = "Percent-encoded"),
        ("status" = Option<shape::MemberStatus>, Query, description = "Only persons of this status"),
        ("at" = Option<String>, Query, description = "State as the log had it at a position or a time (RFC 3339)"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::MemberList),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn members(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Answer<shape::MemberList>, Problem> {
    let status = params.member_status()?;
    let wanted = move |member: &view::Member| status.is_none_or(|status| status == member.status);
    let body = move |group: view::Group, position: &_, _| shape::MemberList {
        counts: convert::counts(&group.members),
        members: group.members.into_iter().filter(wanted).map(convert::member).collect(),
        position: ToString::to_string(position),
    };
    group(&api, path, &params, body).await
}

async fn group<T: Send + 'static>(
    api: &Api,
    path: Result<Path<String>, PathRejection>,
    params: &Params,
    body: impl FnOnce(view::Group, &Position, Option<Digest>) -> T + Send + 'static,
) -> Result<Answer<T>, Problem> {
    let id = id_of(path)?;
    let home = api.reads.home_of(&id)?;
    let (freshness, at) = (params.freshness()?, params.at()?);
    if let Some(at) = at {
        let subjects = refold::group_subjects(home.id, &id);
        let then = api.past()?.then(&api.reads, &home, subjects, &at, freshness).await?;
        let answer = move |memory: &Memory, position: &Position| {
            let found = view::group(memory, &id)?;
            let group = found.ok_or_else(|| Problem::group_not_found(&id, position))?;
            let digest = Some(memory.group_digest(&id));
            Ok(Answer { body: body(group, position, digest), position: position.clone() })
        };
        return then.answer(answer).await;
    }
    let answer = move |views: &[ReadView<'_>]| {
        let (group, position, digest) = present(views, &id)?;
        Ok(Answer { body: body(group, &position, digest), position })
    };
    api.reads.read(vec![home], &freshness, answer).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, created, put};

    #[test]
    fn a_page_whose_time_is_over_ends_early_and_the_next_one_goes_on() {
        let folder = Folder::new();
        let partitions = [folder.open(0), folder.open(1)];
        for (partition, ids) in partitions.iter().zip([["a", "c"], ["b", "d"]]) {
            put(partition, &ids.map(|id| created(id, 1, "x")));
        }
        let views: Vec<ReadView<'_>> =
            partitions.iter().map(|partition| partition.store.view().unwrap()).collect();
        let policy = PolicyFilter::new(&Params::default()).unwrap();
        let filter = Filter { status: None, phone_number_id: None, caller: Caller::anyone(), policy };
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let chosen = chosen(&views, &filter, 1000, after.as_deref()).unwrap();
            let page = page(&views, chosen, Duration::ZERO).ok().unwrap().body;
            seen.push(page.groups.iter().map(|group| group.group_id.clone()).collect::<Vec<_>>().join(" "));
            let Some(cursor) = page.cursor else { break };
            after = seen.last().cloned().filter(|last| id_cursor(IdList::Groups, last) == cursor);
            assert!(after.is_some(), "{cursor} after {seen:?}");
        }
        assert_eq!(seen, ["a", "b", "c", "d"]);
    }
}
