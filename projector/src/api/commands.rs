//! Commands and what became of them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use groupfold_fold::view;
use groupfold_schemas::v1::CommandItem;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::params::{IdList, Limit, Params, id_cursor};
use super::{Api, id_of};
use crate::asked;
use crate::caller::Caller;
use crate::partition::Partition;
use crate::problem::{Problem, ProblemBody};
use crate::reads::position_of;
use crate::shape::{self, convert};
use crate::store::ReadView;

/// What is looked at for a page is bounded in each partition, however few of it pass.
const LIMIT: Limit = Limit { default: 50, max: 1000 };

/// A command and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Command {
    pub(crate) command_id: String,
    /// `group_create`, `group_update`, `group_delete`, `link_reset`, `requests_approve`, `requests_reject`,
    /// `members_remove`, `message_send`, `message_pin`, `message_unpin` or `invite_send`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// `requested`, `refused`, `sent`, `accepted`, `succeeded`, `partly`, `failed` or `unknown`.
    pub(crate) status: &'static str,
    /// The group it is about; of a creation, the group it made.
    pub(crate) group_id: Option<String>,
    pub(crate) phone_number_id: Option<String>,
    /// Who asked, as the platform named them.
    pub(crate) asked_by: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) requested_at: String,
    /// When the status came to be what it is, by the provider's time where a webhook told it.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// When an outcome that has not come is looked for at the provider.
    #[schema(format = DateTime)]
    pub(crate) deadline_at: String,
    /// The provider's id.
    pub(crate) request_id: Option<String>,
    /// The message that it sent.
    pub(crate) message_id: Option<String>,
    /// Each person, join request or setting that it was about and has an outcome.
    pub(crate) items: Vec<Item>,
    pub(crate) errors: Vec<shape::ProviderError>,
    /// Stable name of what went wrong, or of the rule that refused it.
    pub(crate) code: Option<String>,
    /// What to do about it: `retry_later`, `do_not_retry`, `treat_as_done` or `reconcile`.
    pub(crate) advice: Option<String>,
    /// What was seen at the provider, or the rule that it breaks, in words.
    pub(crate) detail: Option<String>,
    /// A webhook told the outcome.
    pub(crate) told_by_webhook: bool,
    pub(crate) position: String,
}

/// One of the things that a command was to do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// `succeeded`, `failed` or `unknown`.
    pub(crate) outcome: &'static str,
    pub(crate) errors: Vec<shape::ProviderError>,
}

/// A page of commands, the last asked for first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandPage {
    pub(crate) commands: Vec<Command>,
    pub(crate) cursor: Option<String>,
    pub(crate) position: String,
}

/// A command and what became of it
///
/// With `wait_ms`, answers once it has ended, or when the time is over; one that was just asked for is waited for too, and one
/// whose outcome is looked for at the provider.
#[utoipa::path(
    get,
    path = "/v1/commands/{command_id}",
    params(
        ("command_id" = String, Path, description = "As its request was answered"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, 
            description = "How long to wait for its end, not at all if absent; for `min_position` up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = Command),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Answer<Command>, Problem> {
    let (id, freshness) = (id_of(path)?, params.freshness()?);
    api.reads.serves(&freshness)?;
    let found = ended(&api, &caller, &api.reads.all(), &id, freshness, view::Command::is_settled).await;
    found.map_err(|problem| api.reads.elsewhere(problem))
}

/// The command once it is `over`, or as it is when the time to wait is over, as these partitions know it.
pub(crate) async fn ended(
    api: &Api,
    caller: &Caller,
    touched: &[Partition],
    id: &str,
    freshness: crate::reads::Freshness,
    over: fn(&view::Command) -> bool,
) -> Result<Answer<Command>, Problem> {
    let wait = api.reads.longest_wait(freshness.wait_ms.unwrap_or(0));
    let deadline = tokio::time::Instant::now() + wait;
    // First, as who waits for a position holds a place, and needs no second one meanwhile.
    api.reads.reach(&freshness, touched).await?;
    let _place = if wait.is_zero() { None } else { Some(api.reads.place()?) };
    // Whoever may not see it waits as for one that never was.
    let seen = |command: &view::Command| caller.may_see(number_of(command));
    let (found, position) = asked::ended(&api.reads, touched, id, &freshness, deadline, seen, over).await?;
    let command = found.ok_or_else(|| Problem::command_not_found(id, &position))?;
    Ok(Answer { body: of(command, &position.to_string()), position })
}

/// Commands, the last asked for first
#[utoipa::path(
    get,
    path = "/v1/commands",
    params(
        ("group" = Option<String>, Query, description = "Only about this group"),
        ("status" = Option<String>, Query, description = "Only of this status"),
        ("limit" = Option<u32>, Query, description = "Commands per page, 1 to 1000, 50 if absent"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = CommandPage),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Answer<CommandPage>, Problem> {
    let (group, status) = (params.group()?, params.command_status()?);
    let (limit, before) = (params.limit(LIMIT)?, params.cursor_id(IdList::Commands)?);
    let freshness = params.freshness()?;
    let answer = move |views: &[ReadView<'_>]| {
        let position = position_of(views);
        let wanted = |command: &view::Command| {
            caller.may_see(number_of(command))
                && status.is_none_or(|status| status == command.status)
                && (group.is_none() || group == command.group_id)
        };
        let page = view::commands(views, before.as_deref(), limit, &wanted)?;
        let cursor = page.next.as_deref().map(|id| id_cursor(IdList::Commands, id));
        let text = position.to_string();
        let commands = page.commands.into_iter().map(|command| of(command, &text)).collect();
        Ok(Answer { body: CommandPage { commands, cursor, position: text }, position })
    };
    api.reads.read_all(&freshness, answer).await
}

fn number_of(command: &view::Command) -> &str {
    command.state.requested.as_ref().map_or("", |asked| &asked.phone_number_id)
}

fn known(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn of(command: view::Command, position: &str) -> Command {
    let requested = command.requested();
    let answered = command.answered().cloned().unwrap_or_default();
    let asked = command.state.requested.clone().unwrap_or_default();
    let refused = command.state.refused.as_ref().and_then(|station| station.value.clone());
    let seen = command.state.reconciled.as_ref().and_then(|station| station.value.clone());
    let detail = match (refused, seen) {
        (Some(refused), _) => known(format!("{}: {}", refused.field, refused.rule)),
        (None, seen) => seen.map(|seen| seen.reason).and_then(known),
    };
    Command {
        kind: requested.r#type().name(),
        status: command.status.name(),
        group_id: command.group_id,
        phone_number_id: known(asked.phone_number_id),
        asked_by: requested.asked_by,
        requested_at: convert::time(asked.stamp.map_or(0, |stamp| stamp.time_ms)),
        at: convert::time(command.at_ms),
        deadline_at: convert::time(requested.deadline_ms),
        request_id: answered.request_id,
        message_id: command.message_id,
        items: command.items.into_iter().map(item).collect(),
        errors: command.errors.into_iter().map(convert::error).collect(),
        code: command.code,
        advice: command.advice,
        detail,
        told_by_webhook: command.told_by_webhook,
        command_id: command.command_id,
        position: position.to_owned(),
    }
}

fn item(item: CommandItem) -> Item {
    let outcome = item.outcome().name();
    Item { name: item.name, outcome, errors: item.errors.into_iter().map(convert::error).collect() }
}
