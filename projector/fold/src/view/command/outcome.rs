//! What webhooks told of a command, found by the request's id or by the group, and joined with what is known besides.

use std::collections::BTreeMap;

use groupfold_schemas::command::{spelling, text_digest};
use groupfold_schemas::v1::{self, CommandItem, CommandType, FactKind, Outcome, ProviderError};
use groupfold_schemas::verdict::are_of_done;

use super::{Command, CommandStatus, status, time_of};
use crate::entry::{FactAt, Key, Prefix, Source, Value};

/// Joins what webhooks told of it. By the request's id, wherever that is. Where the provider gave none: the first thing of
/// its type that was told about its group, may be an answer to it and was not known when it left, until it was given up;
/// one command of a type is under way in a group at a time. Others than we ask the provider for changes too. Times are
/// the provider's: which receiver took a webhook when decides nothing.
pub(super) fn join<S: Source>(sources: &[S], home: &S, command: &mut Command) -> Result<(), S::Error> {
    if let Some(request) = command.answered().and_then(|answered| answered.request_id.clone()) {
        let told = of_request(sources, request, command)?;
        if !told.is_empty() {
            end(command, told);
        }
        return Ok(());
    }
    let Some(told) = of_nobody(home, command)? else { return Ok(()) };
    let answer_may_come = command.state.answered.is_none() && command.state.reconciled.is_none();
    if answer_may_come {
        // The answer may name a request, and this be what others asked for: it is no end that could be taken back.
        (command.status, command.at_ms) = (CommandStatus::Accepted, order(&told).0);
    } else {
        end(command, vec![told]);
    }
    Ok(())
}

/// What was told of its request: of its type, and but for a creation of its group.
fn of_request<S: Source>(
    sources: &[S],
    request: String,
    command: &Command,
) -> Result<Vec<v1::CommandOutcome>, S::Error> {
    let (of, group) = (command.requested().r#type(), command.group_id.as_deref());
    let prefix = Prefix::Outcomes { request };
    let mut found = Vec::new();
    for source in sources {
        found.extend(source.scan(&prefix)?.into_iter().filter_map(outcome));
    }
    found.retain(|outcome| {
        let at_home = of == CommandType::GroupCreate || Some(outcome.group_id.as_str()) == group;
        outcome.r#type() == of && at_home
    });
    Ok(found)
}

/// The first that may be meant for it, of those that were told in the group.
fn of_nobody<S: Source>(home: &S, command: &Command) -> Result<Option<v1::CommandOutcome>, S::Error> {
    let requested = command.requested();
    let (Some(station), Some(group)) = (&command.state.sent, &command.group_id) else {
        return Ok(None);
    };
    let sent = station.value.clone().unwrap_or_default();
    let from =
        time_of(station.stamp.as_ref()).saturating_sub(CLOCKS_MS).max(sent.after_time_ms.unwrap_or(i64::MIN));
    for outcome in of_group(home, group, requested.r#type())? {
        let (time, event) = order(&outcome);
        let new = !sent.known_outcomes.iter().any(|known| known == event);
        let in_time = (from..=requested.deadline_ms).contains(&time);
        if new && in_time && may_answer(home, group, &requested, &outcome)? {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
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

/// As an answer is read: whoever is gone already need not be put out any more. An item without errors of its own failed for
/// those of the whole.
fn read(item: &CommandItem, whole: &[ProviderError]) -> CommandItem {
    let mut item = item.clone();
    if item.outcome() == Outcome::Failed {
        let errors = if item.errors.is_empty() { whole } else { &item.errors };
        if are_of_done(errors) {
            let errors = errors.to_vec();
            item = CommandItem { outcome: Outcome::Succeeded.into(), errors, ..item };
        }
    }
    item
}

/// Settings may be told one by one: it has ended once each has its outcome, or the whole failed. A setting that is told
/// without one has none yet.
fn end(command: &mut Command, mut outcomes: Vec<v1::CommandOutcome>) {
    outcomes.sort_by(|a, b| order(a).cmp(&order(b)));
    let wanted = command.requested().items.len();
    let mut items: BTreeMap<String, CommandItem> = BTreeMap::new();
    let mut errors: Vec<ProviderError> = Vec::new();
    let mut open: BTreeMap<String, CommandItem> = BTreeMap::new();
    for outcome in &outcomes {
        for item in outcome.items.iter().map(|item| read(item, &outcome.errors)) {
            let known = item.outcome() != Outcome::Unknown;
            if known { &mut items } else { &mut open }.insert(item.name.clone(), item);
        }
        errors.extend(outcome.errors.iter().cloned());
    }
    open.retain(|name, _| !items.contains_key(name));
    errors.dedup();
    let group = outcomes.iter().map(|outcome| &outcome.group_id).find(|group| !group.is_empty());
    command.group_id = command.group_id.take().or_else(|| group.cloned());
    // Said of the whole: of several it may be so of one alone.
    let of_one = items.is_empty() && wanted > 1 && are_of_done(&errors);
    if !open.is_empty() || of_one || (items.len() < wanted && errors.is_empty()) {
        // Of an unfinished one the parts are shown, but it has not ended: what was seen at the provider stands.
        let seen = command.items.drain(..).map(|item| (item.name.clone(), item));
        command.items =
            open.into_iter().chain(seen).chain(items).collect::<BTreeMap<_, _>>().into_values().collect();
        return;
    }
    let failed = items.values().filter(|item| item.outcome() == Outcome::Failed).count();
    let whole = outcomes.iter().rfind(|outcome| outcome.items.is_empty());
    // What the errors of the whole speak of was so already.
    let told = items.len() >= wanted && items.values().any(|item| are_of_done(&item.errors));
    command.status = match (whole, items.len(), failed) {
        (Some(_), 0, _) if are_of_done(&errors) => CommandStatus::Succeeded,
        (Some(outcome), 0, _) => status(outcome.result(), command.status),
        (_, all, failed) if all == failed => CommandStatus::Failed,
        (_, _, failed) if failed > 0 || !(errors.is_empty() || told) => CommandStatus::Partly,
        _ => CommandStatus::Succeeded,
    };
    command.errors = errors;
    command.items = items.into_values().collect();
    command.told_by_webhook = true;
    command.name_by_errors();
    command.at_ms = outcomes.last().map_or(command.at_ms, |last| time_of(last.stamp.as_ref()));
}
