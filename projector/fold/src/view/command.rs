//! What became of a command: its own stations, joined with what webhooks told, wherever they landed and in whatever
//! order.

mod outcome;

use groupfold_schemas::v1::{self, CommandItem, CommandResult, Outcome, ProviderError};
use groupfold_schemas::verdict::{are_of_done, of_errors};

use crate::entry::{Key, Source, Value};
pub use outcome::{CLOCKS_MS, outcomes_since};

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
    /// Stable name of what went wrong, by whoever told last: the rule that refused it, the answer, or the provider's errors
    /// (`verdict` of the schemas). None of what went well, nor of what was seen at the provider, which tells no reason.
    pub code: Option<String>,
    /// What to do about it, likewise.
    pub advice: Option<String>,
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

    /// True where nobody told how it ended: there is no end yet, or the answer was lost.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.status.is_end() || self.status == CommandStatus::Unknown
    }

    /// True where nothing more is waited for, but what the provider is asked for where its answer was lost.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status.is_end()
    }

    /// True where it has ended, and the provider was asked if it had to be: then there are words for what was seen.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let seen = self.state.reconciled.as_ref().and_then(|station| station.value.as_ref());
        self.has_ended() && (!self.is_open() || seen.is_some_and(|seen| !seen.reason.is_empty()))
    }

    /// True where some of it has succeeded because it was so before, by the provider's word: when and how it came to be so
    /// nobody told.
    #[must_use]
    pub fn was_so_already(&self) -> bool {
        let succeeded = |item: &&CommandItem| item.outcome() == Outcome::Succeeded;
        matches!(self.status, CommandStatus::Succeeded | CommandStatus::Partly)
            && (are_of_done(&self.errors)
                || self.items.iter().filter(succeeded).any(|item| are_of_done(&item.errors)))
    }

    /// Names what went wrong by the errors of the whole, or else of each.
    fn name_by_errors(&mut self) {
        (self.code, self.advice) = (None, None);
        if matches!(self.status, CommandStatus::Failed | CommandStatus::Partly) {
            let failed = self.items.iter().filter(|item| item.outcome() == Outcome::Failed);
            let (code, advice) = of_errors(self.errors.iter().chain(failed.flat_map(|item| &item.errors)));
            (self.code, self.advice) = (Some(code.to_owned()), Some(advice.name().to_owned()));
        }
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
    outcome::join(sources, home, &mut command)?;
    if command.status == CommandStatus::Succeeded {
        (command.code, command.advice) = (None, None);
    }
    Ok(command)
}

fn known(text: &str) -> Option<String> {
    Some(text).filter(|text| !text.is_empty()).map(str::to_owned)
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
        code: None,
        advice: None,
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
        command.code = refused.value.as_ref().and_then(|refused| known(&refused.code));
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
        (command.code, command.advice) = (known(&answered.code), known(&answered.advice));
    }
    // An answer about each names nothing as a whole.
    if command.code.is_none() {
        command.name_by_errors();
    }
    let state = &command.state;
    let open = command.is_open();
    if let Some(station) = &state.reconciled
        && let Some(seen) = &station.value
        && open
    {
        command.status = status(seen.result(), command.status);
        command.at_ms = time_of(station.stamp.as_ref());
        command.items.clone_from(&seen.items);
        if command.status != CommandStatus::Unknown {
            // It is known now: what the answer advised is past.
            (command.code, command.advice) = (None, None);
        }
        command.group_id = command.group_id.or_else(|| seen.group_id.clone());
    }
    // A status of the message proves that it left, whatever became of the answer.
    if let Some(register) = &state.message_id {
        command.message_id = command.message_id.or_else(|| register.value.clone());
        if command.is_open() {
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
        command.name_by_errors();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
