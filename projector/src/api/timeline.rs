//! Histories: of a group, and of what happened to an account outside any group.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use groupfold_fold::entry::{Memory, Source};
use groupfold_fold::view::{self, EntryKind};
use groupfold_schemas::position::Position;

use super::answer::Answer;
use super::params::{EntryCursor, Limit, Params};
use super::{Api, id_of};
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::reads::position_of;
use crate::refold::past as refold;
use crate::shape::{self, convert};
use crate::store::ReadView;
use crate::text::Lang;

/// Entries of a page.
const LIMIT: Limit = Limit { default: 100, max: 1000 };

/// The history of a group, oldest first
#[utoipa::path(
    get,
    path = "/v1/groups/{group_id}/timeline",
    params(
        ("group_id" = String, Path, description = "Percent-encoded"),
        ("lang" = Option<String>, Query, description = "Language of the texts: en, pt-BR or es"),
        ("limit" = Option<u32>, Query, description = "Entries per page, 1 to 1000, 100 if absent"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("at" = Option<String>, Query, description = "State as the log had it at a position or a time (RFC 3339)"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::Timeline),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn of_group(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Answer<shape::Timeline>, Problem> {
    let Some(at) = params.at()? else {
        return history(&api, path, &params, |view, id, position| of_group_in(view, id, position)).await;
    };
    let id = id_of(path)?;
    let (lang, limit, after) = (params.lang()?, params.limit(LIMIT)?, params.cursor_entry()?);
    let home = api.reads.home_of(&id)?;
    let subjects = refold::group_subjects(home.id, &id);
    let then = api.past()?.then(&api.reads, &home, subjects, &at, params.freshness()?).await?;
    let answer = move |memory: &Memory, position: &Position| {
        let whole = of_group_in(memory, &id, position)?;
        Ok(answer(&whole, after.as_ref(), limit, lang, position.clone()))
    };
    then.answer(answer).await
}

fn of_group_in<S: Source>(source: &S, id: &str, position: &Position) -> Result<Vec<view::Entry>, Problem>
where
    Problem: From<S::Error>,
{
    view::timeline(source, id)?.ok_or_else(|| Problem::group_not_found(id, position))
}

/// What happened to an account outside any group, oldest first
///
/// Failed creations of groups that never got an id, and errors of the account. An account of which
/// nothing is known has an empty history. A token that is bound to phone numbers is told what was reported for these.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/timeline",
    params(
        ("account" = String, Path, description = "Percent-encoded"),
        ("lang" = Option<String>, Query, description = "Language of the texts: en, pt-BR or es"),
        ("limit" = Option<u32>, Query, description = "Entries per page, 1 to 1000, 100 if absent"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::Timeline),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn of_account(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    caller: Caller,
    params: Params,
) -> Result<Answer<shape::Timeline>, Problem> {
    let entries = move |view: &ReadView<'_>, id: &str, _: &Position| {
        Ok(view::account_timeline(view, id, |number| caller.may_see(number))?)
    };
    history(&api, path, &params, entries).await
}

async fn history(
    api: &Api,
    path: Result<Path<String>, PathRejection>,
    params: &Params,
    entries: impl Fn(&ReadView<'_>, &str, &Position) -> Result<Vec<view::Entry>, Problem> + Send + 'static,
) -> Result<Answer<shape::Timeline>, Problem> {
    let id = id_of(path)?;
    let (lang, limit, after) = (params.lang()?, params.limit(LIMIT)?, params.cursor_entry()?);
    let touched = vec![api.reads.home_of(&id)?];
    let freshness = params.freshness()?;
    let answer = move |views: &[ReadView<'_>]| {
        let position = position_of(views);
        let whole = views.first().map(|view| entries(view, &id, &position)).transpose()?.unwrap_or_default();
        Ok(self::answer(&whole, after.as_ref(), limit, lang, position))
    };
    api.reads.read(touched, &freshness, answer).await
}

fn answer(
    whole: &[view::Entry],
    after: Option<&EntryCursor>,
    limit: usize,
    lang: Lang,
    position: Position,
) -> Answer<shape::Timeline> {
    let (entries, cursor) = page(whole, after, limit, lang);
    Answer { body: shape::Timeline { entries, cursor, position: position.to_string() }, position }
}

fn page(
    whole: &[view::Entry],
    after: Option<&EntryCursor>,
    limit: usize,
    lang: Lang,
) -> (Vec<shape::Entry>, Option<String>) {
    let begin = after.map_or(0, |after| whole.partition_point(|entry| place_of(entry) <= *after));
    let rest = &whole[begin..];
    let page = &rest[..rest.len().min(limit)];
    let more = rest.len() > page.len();
    let cursor = page.last().filter(|_| more).map(|last| place_of(last).print());
    (page.iter().map(|entry| convert::entry(lang, entry)).collect(), cursor)
}

/// The order of histories: time, rank, id; changes of names come last within their time.
fn place_of(entry: &view::Entry) -> EntryCursor {
    let rank = match entry.kind {
        EntryKind::Fact(fact) => fact as u32,
        EntryKind::NumberChanged | EntryKind::UserIdChanged => u32::MAX,
    };
    EntryCursor { at_ms: entry.at_ms, rank, id: entry.id.clone() }
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1::event::Kind;
    use groupfold_schemas::v1::{self, ActorKind, FactKind, JoinVia};

    use super::*;
    use crate::testing::record;

    fn entry(at_ms: i64, id: &str) -> view::Entry {
        view::Entry {
            id: id.to_owned(),
            at_ms,
            between: None,
            kind: EntryKind::Fact(FactKind::MemberJoined),
            member: None,
            actor: ActorKind::Unknown,
            user_id: None,
            via: JoinVia::Unknown,
            text: None,
            errors: Vec::new(),
        }
    }

    fn ids(entries: &[shape::Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn pages_of_an_accounts_history_have_each_entry_once_also_within_a_second() {
        let error = |n: i32| {
            let error = v1::ProviderError { code: n.to_string(), ..Default::default() };
            record("", 1, Kind::AccountError(v1::AccountError { errors: vec![error] }))
        };
        let failed = |n: i32| {
            let failed = v1::GroupCreateFailed { subject: Some(n.to_string()), ..Default::default() };
            record("", 1, Kind::GroupCreateFailed(failed))
        };
        let mut memory = Memory::default();
        memory.apply(&(0..6).flat_map(|n| [error(n), failed(n)]).collect::<Vec<_>>()).unwrap();
        let whole = view::account_timeline(&memory, "WABA", |_| true).unwrap();
        assert_eq!(whole.len(), 12);
        for limit in 1..=12 {
            let (mut told, mut after) = (Vec::new(), None);
            for _ in 0..=whole.len() {
                let (entries, cursor) = page(&whole, after.as_ref(), limit, Lang::English);
                told.extend(entries.into_iter().map(|entry| entry.id));
                after = cursor.map(|_| place_of(&whole[told.len() - 1]));
                if after.is_none() {
                    break;
                }
            }
            let expected: Vec<_> = whole.iter().map(|entry| entry.id.clone()).collect();
            assert_eq!(told, expected, "limit {limit}");
        }
    }

    #[test]
    fn a_late_entry_shifts_no_page() {
        let mut whole = vec![entry(1, "a"), entry(1, "b"), entry(2, "c"), entry(3, "d")];
        let (first, cursor) = page(&whole, None, 2, Lang::English);
        assert_eq!(ids(&first), ["a", "b"]);
        assert!(cursor.is_some());
        whole.insert(0, entry(0, "late"));
        whole.insert(3, entry(1, "z"));
        let after = place_of(&whole[2]);
        assert_eq!(Some(after.print()), cursor);
        let (second, more) = page(&whole, Some(&after), 2, Lang::English);
        assert_eq!((ids(&second), more.is_some()), (vec!["z", "c"], true));
        let (third, cursor) = page(&whole, Some(&place_of(&whole[4])), 2, Lang::English);
        assert_eq!((ids(&third), cursor), (vec!["d"], None));
    }
}
