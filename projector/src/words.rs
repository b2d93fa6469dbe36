//! What an event contributes to state, in words for the person who asks what became of it.

use groupfold_fold::contribute::contributions;
use groupfold_fold::entry::{Key, Value};
use groupfold_fold::identity::AliasKind;
use groupfold_schemas::v1::{self, FactKind, Record};

/// One line for each thing that an event says about state. Whether it shows depends on what else is known: a later
/// report may say otherwise.
#[must_use]
pub fn of_event(record: &Record) -> Vec<String> {
    let told = contributions(record);
    let mut lines: Vec<String> = told.iter().flat_map(|(key, value)| entry(key, value)).collect();
    if lines.is_empty() {
        // That a group or a message is there at all is state too.
        lines = told.iter().map(|(key, _)| of_key(key)).collect();
    }
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
    // No `..`: a register added to the head must be told here.
    let v1::GroupHead {
        // Told by whatever names a group.
        origin: _,
        created,
        create_failed,
        deleted,
        suspended,
        subject,
        description,
        picture,
        join_approval_mode,
        invite_link,
        last_failure,
        announce,
        locked,
        member_add_mode,
        ephemeral_seconds,
        subject_unconfirmed,
        description_unconfirmed,
        picture_unconfirmed,
        // Told by the line of the history that comes with it.
        policy: _,
    } = head;
    let told = [
        ("created", created.is_some()),
        ("creation failed", create_failed.is_some()),
        ("deleted", deleted.is_some()),
        ("suspended, or not any more", suspended.is_some()),
        ("subject", subject.is_some()),
        ("description", description.is_some()),
        ("picture", picture.is_some()),
        ("join approval mode", join_approval_mode.is_some()),
        ("invite link", invite_link.is_some()),
        ("last failure", last_failure.is_some()),
        ("announce", announce.is_some()),
        ("locked", locked.is_some()),
        ("member add mode", member_add_mode.is_some()),
        ("ephemeral seconds", ephemeral_seconds.is_some()),
        ("subject, unconfirmed", subject_unconfirmed.is_some()),
        ("description, unconfirmed", description_unconfirmed.is_some()),
        ("picture, unconfirmed", picture_unconfirmed.is_some()),
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
    use groupfold_schemas::v1::event::Kind;
    use groupfold_schemas::v1::setting_value::Value as New;

    use super::*;
    use crate::testing::{created, joined, receipt, record};

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

    fn set(setting: v1::Setting, outcome: v1::Outcome, new: New) -> Vec<String> {
        let new = Some(v1::SettingValue { value: Some(new) });
        let change =
            v1::SettingChange { setting: setting.into(), outcome: outcome.into(), new, ..Default::default() };
        let event = v1::SettingsUpdated { changes: vec![change], ..Default::default() };
        of_event(&record("G", 1, Kind::SettingsUpdated(event)))
    }

    #[test]
    fn every_setting_that_an_event_tells_is_named() {
        use v1::Outcome::{Succeeded, Unknown};
        let text = || New::Text("x".to_owned());
        for (setting, outcome, new, line) in [
            (v1::Setting::Announce, Succeeded, New::Flag(true), "group: announce"),
            (v1::Setting::Locked, Succeeded, New::Flag(true), "group: locked"),
            (v1::Setting::MemberAddMode, Succeeded, text(), "group: member add mode"),
            (v1::Setting::EphemeralSeconds, Succeeded, New::Number(60), "group: ephemeral seconds"),
            (v1::Setting::Subject, Unknown, text(), "group: subject, unconfirmed"),
            (v1::Setting::Description, Unknown, text(), "group: description, unconfirmed"),
            (v1::Setting::Picture, Unknown, text(), "group: picture, unconfirmed"),
        ] {
            let told = set(setting, outcome, new);
            assert_eq!(told.first().map(String::as_str), Some(line), "{told:?}");
        }
    }

    #[test]
    fn an_event_that_makes_no_more_than_a_group_or_a_message_known_says_so() {
        let event = v1::SettingsUpdated::default();
        let told = of_event(&record("G", 1, Kind::SettingsUpdated(event)));
        assert!(told.contains(&"properties of group G".to_owned()), "{told:?}");
        let delivered = receipt("G", 1, "m", v1::ReceiptStatus::Delivered, None);
        let told = of_event(&delivered);
        assert!(told.contains(&"message m".to_owned()), "{told:?}");
        assert_eq!(of_event(&Record::default()), ["nothing"]);
    }
}
