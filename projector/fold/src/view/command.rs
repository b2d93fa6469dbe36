//! What became of a command: its own stations, joined with what webhooks told, wherever they landed and in whatever
//! order.

use std::collections::BTreeMap;

use groupfold_schemas::command::{spelling, text_digest};
use groupfold_schemas::v1::{
    self, CommandItem, CommandResult, CommandType, FactKind, Outcome, ProviderError,
};

use crate::entry::{FactAt, Key, Prefix, Source, Value};

/// How far a command is.
///
/// ```text
/// Requested ──▶ Sent ──▶ Accepted ──▶ Succeeded | Partly | Failed
///     │           │          │  webhook, or a look at the provider
///     │           │          └─ none in time ─▶ Unknown ─▶ (as above, whenever it becomes known)
///     │           ├─ answered at once ─▶ Succeeded | Partly | Failed
///     │           └─ no answer ─▶ Unknown
///     └─ breaks a rule ─▶ Refused
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandStatus {
    /// In the log, not sent yet.
    Requested,
    /// It breaks a rule and was not sent.
    Refused,
    /// It left, or was about to.
    Sent,
    /// The provider took it on; the outcome comes later.
    Accepted,
    /// Done.
    Succeeded,
    /// Done for some of what it was about.
    Partly,
    /// Not done.
    Failed,
    /// Nobody can say.
    Unknown,
}

impl CommandStatus {
    /// All of them, in the order of a command's life.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::Refused,
        Self::Sent,
        Self::Accepted,
        Self::Succeeded,
        Self::Partly,
        Self::Failed,
        Self::Unknown,
    ];

    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Refused => "refused",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Succeeded => "succeeded",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// True where nothing more is waited for; only what comes by itself can still change it.
    #[must_use]
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Requested | Self::Sent | Self::Accepted)
    }
}

/// A command and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its id.
    pub command_id: String,
    /// How far it is.
    pub status: CommandStatus,
    /// The stations as they are in the log.
    pub state: v1::CommandState,
    /// The group it is about; of a creation, the group it made, once that is known.
    pub group_id: Option<String>,
    /// The message that it sent.
    pub message_id: Option<String>,
    /// Each thing that it was about and has an outcome.
    pub items: Vec<CommandItem>,
    /// What went wrong.
    pub errors: Vec<ProviderError>,
    /// When the last thing was told that the status follows from, Unix milliseconds.
    pub at_ms: i64,
    /// True if a webhook told the outcome.
    pub told_by_webhook: bool,
}

impl Command {
    /// What was asked for.
    #[must_use]
    pub fn requested(&self) -> v1::CommandRequested {
        self.state.requested.as_ref().and_then(|station| station.value.clone()).unwrap_or_default()
    }

    /// What the provider answered.
    #[must_use]
    pub fn answered(&self) -> Option<&v1::CommandAnswered> {
        self.state.answered.as_ref().and_then(|station| station.value.as_ref())
    }
}

/// A command, looked for in the partitions of a log; `None` if none knows it.
///
/// # Errors
/// A source cannot be read.
pub fn command<S: Source>(sources: &[S], id: &str) -> Result<Option<Command>, S::Error> {
    let key = Key::Command { command: id.to_owned() };
    for source in sources {
        if let Some(Value::Command(state)) = source.get(&key)?
            && state.requested.is_some()
        {
            return derive(sources, source, id.to_owned(), *state).map(Some);
        }
    }
    Ok(None)
}

/// Commands looked at for one page, in each partition.
const LOOKED_AT_MAX: usize = 500;

/// Commands, the last asked for first, and where the next page goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandPage {
    /// In the order of time, the last first.
    pub commands: Vec<Command>,
    /// The id before which there may be more; `None` on the last page.
    pub next: Option<String>,
}

/// Commands whose ids are less than one, the last asked for first, `limit` at most. A filter that few pass ends a
/// page early.
///
/// # Errors
/// A source cannot be read.
pub fn commands<S: Source>(
    sources: &[S],
    before: Option<&str>,
    limit: usize,
    wanted: &dyn Fn(&Command) -> bool,
) -> Result<CommandPage, S::Error> {
    let mut found = Vec::new();
    // Below this id a partition has more than was looked at.
    let mut complete_to: Option<String> = None;
    for source in sources {
        let states = source.commands_before(before, LOOKED_AT_MAX)?;
        if states.len() == LOOKED_AT_MAX {
            complete_to = complete_to.max(states.last().map(|(id, _)| id.clone()));
        }
        found.extend(states.into_iter().map(|(id, state)| (id, state, source)));
    }
    found.retain(|(id, _, _)| complete_to.as_ref().is_none_or(|least| id >= least));
    found.sort_by(|(a, _, _), (b, _, _)| b.cmp(a));
    let mut page = CommandPage { commands: Vec::new(), next: complete_to };
    for (id, state, source) in found {
        if page.commands.len() == limit {
            page.next = page.commands.last().map(|command| command.command_id.clone());
            break;
        }
        // A message's status may name a command that was asked for elsewhere.
        if state.requested.is_some() {
            let command = derive(sources, source, id, state)?;
            if wanted(&command) {
                page.commands.push(command);
            }
        }
    }
    Ok(page)
}

fn derive<S: Source>(
    sources: &[S],
    home: &S,
    command_id: String,
    state: v1::CommandState,
) -> Result<Command, S::Error> {
    let mut command = stations(command_id, state);
    if command.status == CommandStatus::Refused {
        return Ok(command);
    }
    if let Some(message) = command.message_id.clone() {
        message_failed(home, &message, &mut command)?;
    }
    let outcomes = outcomes(sources, home, &command)?;
    if !outcomes.is_empty() {
        join(&mut command, outcomes);
    }
    Ok(command)
}

fn time_of(stamp: Option<&v1::Stamp>) -> i64 {
    stamp.map_or(0, |stamp| stamp.time_ms)
}

/// What the stations alone say.
fn stations(command_id: String, state: v1::CommandState) -> Command {
    let requested = state.requested.clone().unwrap_or_default();
    let mut command = Command {
        command_id,
        status: CommandStatus::Requested,
        group_id: Some(requested.group_id).filter(|id| !id.is_empty()),
        message_id: None,
        items: Vec::new(),
        errors: Vec::new(),
        at_ms: time_of(requested.stamp.as_ref()),
        told_by_webhook: false,
        state,
    };
    let state = &command.state;
    if let Some(sent) = &state.sent {
        (command.status, command.at_ms) = (CommandStatus::Sent, time_of(sent.stamp.as_ref()));
    }
    if let Some(refused) = &state.refused {
        (command.status, command.at_ms) = (CommandStatus::Refused, time_of(refused.stamp.as_ref()));
        return command;
    }
    if let Some(station) = &state.answered
        && let Some(answered) = &station.value
    {
        command.status = status(answered.result(), command.status);
        command.at_ms = time_of(station.stamp.as_ref());
        command.items.clone_from(&answered.items);
        command.errors.clone_from(&answered.errors);
        command.message_id.clone_from(&answered.message_id);
    }
    let open = matches!(command.status, CommandStatus::Unknown) || !command.status.is_end();
    if let Some(station) = &state.reconciled
        && let Some(seen) = &station.value
        && open
    {
        command.status = status(seen.result(), command.status);
        command.at_ms = time_of(station.stamp.as_ref());
        command.items.clone_from(&seen.items);
        command.group_id = command.group_id.or_else(|| seen.group_id.clone());
    }
    // A status of the message proves that it left, whatever became of the answer.
    if let Some(register) = &state.message_id {
        command.message_id = command.message_id.or_else(|| register.value.clone());
        if !command.status.is_end() || command.status == CommandStatus::Unknown {
            (command.status, command.at_ms) = (CommandStatus::Succeeded, time_of(register.stamp.as_ref()));
            command.told_by_webhook = true;
        }
    }
    command
}

fn status(result: CommandResult, before: CommandStatus) -> CommandStatus {
    match result {
        CommandResult::Unspecified => before,
        CommandResult::Accepted => CommandStatus::Accepted,
        CommandResult::Succeeded => CommandStatus::Succeeded,
        CommandResult::Partly => CommandStatus::Partly,
        CommandResult::Failed => CommandStatus::Failed,
        CommandResult::Unknown => CommandStatus::Unknown,
    }
}

/// A message that was taken may fail later.
fn message_failed<S: Source>(home: &S, message: &str, command: &mut Command) -> Result<(), S::Error> {
    let entry = home.get(&Key::Message { message: message.to_owned() })?;
    if let Some(Value::Message(head)) = entry
        && let Some(failed) = head.failed
    {
        command.status = CommandStatus::Failed;
        command.at_ms = time_of(failed.stamp.as_ref());
        command.errors = failed.errors;
        command.told_by_webhook = true;
    }
    Ok(())
}

/// What webhooks told of it. By the request's id, wherever that is. Where the provider gave none: the first thing of
/// its type that was told about its group, may be an answer to it and was not known when it left, until it was given up;
/// one command of a type is under way in a group at a time. Others than we ask the provider for changes too. Times are
/// the provider's: which receiver took a webhook when decides nothing.
fn outcomes<S: Source>(
    sources: &[S],
    home: &S,
    command: &Command,
) -> Result<Vec<v1::CommandOutcome>, S::Error> {
    if let Some(request) = command.answered().and_then(|answered| answered.request_id.clone()) {
        let mut found = Vec::new();
        for source in sources {
            let entries = source.scan(&Prefix::Outcomes { request: request.clone() })?;
            found.extend(entries.into_iter().filter_map(outcome));
        }
        return Ok(found);
    }
    let requested = command.requested();
    let (Some(station), Some(group)) = (&command.state.sent, &command.group_id) else {
        return Ok(Vec::new());
    };
    let sent = station.value.clone().unwrap_or_default();
    let from = (time_of(station.stamp.as_ref()) - CLOCKS_MS).max(sent.after_time_ms.unwrap_or(i64::MIN));
    for outcome in of_group(home, group, requested.r#type())? {
        let (time, event) = order(&outcome);
        let new = !sent.known_outcomes.iter().any(|known| known == event);
        let in_time = (from..=requested.deadline_ms).contains(&time);
        if new && in_time && may_answer(home, group, &requested, &outcome)? {
            return Ok(vec![outcome]);
        }
    }
    Ok(Vec::new())
}

/// It speaks of nothing that the command did not ask for, and of no other text than it asked for.
fn may_answer<S: Source>(
    home: &S,
    group: &str,
    requested: &v1::CommandRequested,
    outcome: &v1::CommandOutcome,
) -> Result<bool, S::Error> {
    let wanted: Vec<String> = requested.items.iter().map(|name| spelling(name)).collect();
    for item in &outcome.items {
        let Some(place) = wanted.iter().position(|name| *name == spelling(&item.name)) else {
            return Ok(false);
        };
        let text = requested.texts.get(place).filter(|text| !text.is_empty());
        if let Some(text) = text
            && let Some(told) = text_told(home, group, outcome, &item.name)?
            && text_digest(&told) != *text
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The text that a setting was changed to, as the history has it; that of a failure is not kept.
fn text_told<S: Source>(
    home: &S,
    group: &str,
    outcome: &v1::CommandOutcome,
    setting: &str,
) -> Result<Option<String>, S::Error> {
    let kind = match setting {
        "subject" => FactKind::SubjectChanged,
        "description" => FactKind::DescriptionChanged,
        _ => return Ok(None),
    };
    let (time_ms, event_id) = order(outcome);
    let at = FactAt { time_ms, rank: kind as u32, event_id: event_id.to_owned(), about: String::new() };
    let found = home.get(&Key::Fact { group: group.to_owned(), at })?;
    Ok(match found {
        Some(Value::Fact(fact)) => fact.text,
        _ => None,
    })
}

/// Clocks of ours and the provider's may differ by so much, Unix milliseconds; the provider's counts whole seconds.
pub const CLOCKS_MS: i64 = 60_000;

/// What was told of a type about a group, by the provider's time. Only types whose outcome webhooks tell.
fn of_group<S: Source>(home: &S, group: &str, of: CommandType) -> Result<Vec<v1::CommandOutcome>, S::Error> {
    if !matches!(of, CommandType::GroupUpdate | CommandType::GroupDelete | CommandType::MembersRemove) {
        return Ok(Vec::new());
    }
    let entries = home.scan(&Prefix::GroupOutcomes { group: group.to_owned() })?.into_iter();
    let mut told: Vec<_> = entries.filter_map(outcome).filter(|outcome| outcome.r#type() == of).collect();
    told.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(told)
}

/// The events that told outcomes of a type about a group from a time on, with their times, in order.
///
/// # Errors
/// The source cannot be read.
pub fn outcomes_since<S: Source>(
    home: &S,
    group: &str,
    of: CommandType,
    since_ms: i64,
) -> Result<Vec<(i64, String)>, S::Error> {
    let told = of_group(home, group, of)?;
    let told = told.iter().map(order).filter(|(time, _)| *time >= since_ms);
    Ok(told.map(|(time, event)| (time, event.to_owned())).collect())
}

fn outcome((_, value): (Key, Value)) -> Option<v1::CommandOutcome> {
    match value {
        Value::Outcome(outcome) => Some(outcome),
        _ => None,
    }
}

fn order(outcome: &v1::CommandOutcome) -> (i64, &str) {
    (time_of(outcome.stamp.as_ref()), outcome.stamp.as_ref().map_or("", |stamp| &stamp.event_id))
}

/// Settings may be told one by one: it has ended once each has its outcome, or the whole failed. A setting that is told
/// without one has none yet.
fn join(command: &mut Command, mut outcomes: Vec<v1::CommandOutcome>) {
    outcomes.sort_by(|a, b| order(a).cmp(&order(b)));
    let wanted = command.requested().items.len();
    let mut items: BTreeMap<String, CommandItem> = BTreeMap::new();
    let mut errors: Vec<ProviderError> = Vec::new();
    let mut open: BTreeMap<String, CommandItem> = BTreeMap::new();
    for outcome in &outcomes {
        for item in &outcome.items {
            let known = item.outcome() != Outcome::Unknown;
            if known { &mut items } else { &mut open }.insert(item.name.clone(), item.clone());
        }
        errors.extend(outcome.errors.iter().cloned());
    }
    open.retain(|name, _| !items.contains_key(name));
    errors.dedup();
    let group = outcomes.iter().map(|outcome| &outcome.group_id).find(|group| !group.is_empty());
    command.group_id = command.group_id.take().or_else(|| group.cloned());
    if !open.is_empty() || (items.len() < wanted && errors.is_empty()) {
        // Of an unfinished one the parts are shown, but it has not ended: what was seen at the provider stands.
        let seen = command.items.drain(..).map(|item| (item.name.clone(), item));
        command.items =
            open.into_iter().chain(seen).chain(items).collect::<BTreeMap<_, _>>().into_values().collect();
        return;
    }
    let failed = items.values().filter(|item| item.outcome() == Outcome::Failed).count();
    let whole = outcomes.iter().rfind(|outcome| outcome.items.is_empty());
    command.status = match (whole, items.len(), failed) {
        (Some(outcome), 0, _) => status(outcome.result(), command.status),
        (_, all, failed) if all == failed => CommandStatus::Failed,
        (_, _, failed) if failed > 0 || !errors.is_empty() => CommandStatus::Partly,
        _ => CommandStatus::Succeeded,
    };
    command.errors = errors;
    command.items = items.into_values().collect();
    command.told_by_webhook = true;
    command.at_ms = outcomes.last().map_or(command.at_ms, |last| time_of(last.stamp.as_ref()));
}

#[cfg(test)]
mod tests;
