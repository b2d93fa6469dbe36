//! What an event contributes to state, in words for the person who asks what became of it.

use groupfold_fold::contribute::contributions;
use groupfold_fold::entry::{Key, Value};
use groupfold_fold::identity::AliasKind;
use groupfold_schemas::v1::{self, FactKind, Record};

/// One line for each thing that an event says about state. Whether it shows depends on what else is known: a later
/// report may say otherwise.
#[must_use]
pub fn of_event(record: &Record) -> Vec<String> {
    let lines: Vec<String> =
        contributions(record).iter().flat_map(|(key, value)| entry(key, value)).collect();
    if lines.is_empty() { vec!["nothing".to_owned()] } else { lines }
}

/// What an entry is about, in words.
#[must_use]
pub fn of_key(key: &Key) -> String {
    match key {
        Key::Head { group } => format!("properties of group {group}"),
        Key::Window { group } => format!("service window of group {group}"),
        Key::Fact { group, at } => format!("line of the history of group {group}, event {}", at.event_id),
        Key::AccountFact { account, at } => {
            format!("line of the history of account {account}, event {}", at.event_id)
        }
        Key::Link { group, a, b } if b.kind == AliasKind::Username => {
            format!("user name {} of {} in group {group}", b.text, a.encode())
        }
        Key::Link { group, a, b } => {
            format!("names {} and {} of one member of group {group}", a.encode(), b.encode())
        }
        Key::Rename { account, alias, event_id, .. } => {
            format!("change of the name {} in account {account}, event {event_id}", alias.encode())
        }
        Key::Message { message } => format!("message {message}"),
        Key::Receipt { message, alias } => format!("receipt of message {message} by {}", alias.encode()),
        Key::Command { command } => format!("command {command}"),
        Key::Outcome { request, event_id } => format!("outcome of request {request}, event {event_id}"),
        Key::GroupOutcome { group, event_id } => {
            format!("outcome of something asked of group {group}, event {event_id}")
        }
        Key::View { message, user, .. } => format!("view of message {message} by user {user}"),
    }
}

fn entry(key: &Key, value: &Value) -> Vec<String> {
    match value {
        Value::Head(head) => properties(head).into_iter().map(|what| format!("group: {what}")).collect(),
        Value::Window(_) => vec!["service window: opened".to_owned()],
        Value::Fact(fact) => {
            vec![format!("history: {}{}", fact_name(fact.kind()), by(fact.participant.as_ref()))]
        }
        Value::Link(_) | Value::Rename(_) | Value::View(_) => vec![of_key(key)],
        Value::Message(message) => {
            let mut lines = Vec::new();
            if message.sent.is_some() {
                lines.push(format!("{}: sent", of_key(key)));
            }
            if message.failed.is_some() {
                lines.push(format!("{}: failed", of_key(key)));
            }
            lines
        }
        Value::Receipt(receipt) => {
            let marks =
                [("delivered", &receipt.delivered), ("read", &receipt.read), ("played", &receipt.played)];
            let told = marks.into_iter().filter(|(_, mark)| mark.is_some());
            told.map(|(name, _)| format!("{}: {name}", of_key(key))).collect()
        }
        Value::Command(state) => {
            let stations = [
                ("requested", state.requested.is_some()),
                ("refused", state.refused.is_some()),
                ("sent", state.sent.is_some()),
                ("answered", state.answered.is_some()),
                ("looked for at the provider", state.reconciled.is_some()),
                ("its message is known", state.message_id.is_some()),
            ];
            let told = stations.into_iter().filter(|(_, is_told)| *is_told);
            told.map(|(name, _)| format!("{}: {name}", of_key(key))).collect()
        }
        // One outcome stands under two keys.
        Value::Outcome(outcome) if matches!(key, Key::Outcome { .. }) => {
            vec![format!("{}: {}", of_key(key), outcome.result().name())]
        }
        Value::Outcome(_) => Vec::new(),
    }
}

fn properties(head: &v1::GroupHead) -> Vec<&'static str> {
    let told = [
        ("created", head.created.is_some()),
        ("creation failed", head.create_failed.is_some()),
        ("deleted", head.deleted.is_some()),
        ("suspended, or not any more", head.suspended.is_some()),
        ("subject", head.subject.is_some()),
        ("description", head.description.is_some()),
        ("picture", head.picture.is_some()),
        ("join approval mode", head.join_approval_mode.is_some()),
        ("invite link", head.invite_link.is_some()),
        ("last failure", head.last_failure.is_some()),
    ];
    told.into_iter().filter(|(_, is_told)| *is_told).map(|(name, _)| name).collect()
}

fn by(person: Option<&v1::Participant>) -> String {
    let name = person.and_then(|person| groupfold_fold::identity::names(person).into_iter().next());
    name.map(|name| format!(" ({})", name.encode())).unwrap_or_default()
}

fn fact_name(kind: FactKind) -> String {
    kind.as_str_name().trim_start_matches("FACT_KIND_").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{created, joined, receipt};

    #[test]
    fn an_event_is_told_by_what_it_says_of_state() {
        assert_eq!(
            of_event(&created("G", 1, "x")),
            ["group: created", "group: subject", "history: group_created"]
        );
        assert_eq!(of_event(&joined("G", 1, "5511")), ["history: member_joined (w:5511)"]);
        let read = receipt("G", 1, "m", v1::ReceiptStatus::Read, Some("5511"));
        assert_eq!(of_event(&read), ["receipt of message m by w:5511: read"]);
    }
}
