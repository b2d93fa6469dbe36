//! Which messages reached whom, and what the provider said they cost.

use std::collections::BTreeMap;

use groupfold_schemas::v1;

use super::group::{SERVICE_WINDOW_MS, head};
use super::receipts::{member, persons, reported};
use crate::entry::{Key, Source, Value};
use crate::identity::Alias;
use crate::membership::Roster;

/// One message that reached one person: once, however often and under however many names it was reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Message id.
    pub message_id: String,
    /// The group it was sent to; empty if no report told.
    pub group_id: String,
    /// The person, see [`super::Person::member_id`].
    pub member_id: String,
    /// The number that a report named, else the last one known; digits.
    pub number: Option<String>,
    /// Unix milliseconds, as in [`super::MemberReceipt::delivered_at_ms`]: who read a message received it.
    pub delivered_at_ms: i64,
    /// The pricing of the person's own delivered, read or played report, in this order; of the message's
    /// `sent` where none has one. Never that of another person.
    pub pricing: Option<v1::Pricing>,
}

/// The deliveries of some messages, see [`super::receipts`] for what is a person. Messages of one group are
/// best asked for together: its history is read once.
///
/// # Errors
/// The source cannot be read.
pub fn deliveries<S: Source>(
    source: &S,
    messages: impl IntoIterator<Item = (String, v1::MessageHead)>,
) -> Result<Vec<Delivery>, S::Error> {
    let mut by_group: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for (message_id, head) in messages {
        let group_id = head.group_id.and_then(|register| register.value).unwrap_or_default();
        let reported = reported(source, message_id.clone())?;
        let sent = head.sent.and_then(|mark| mark.pricing);
        by_group.entry(group_id).or_default().push(Message { message_id, sent, reported });
    }
    let mut found = Vec::new();
    for (group_id, messages) in by_group {
        let account = head(source, &group_id)?.and_then(|head| head.origin).unwrap_or_default().account;
        let names = messages.iter().flat_map(|message| message.reported.iter().map(|(name, _)| name.clone()));
        let roster = Roster::load(source, &group_id, &account, names)?;
        messages.into_iter().for_each(|message| found.extend(message.deliveries(&roster, &group_id)));
    }
    Ok(found)
}

struct Message {
    message_id: String,
    sent: Option<v1::Pricing>,
    reported: Vec<(Alias, v1::MemberReceipt)>,
}

impl Message {
    fn deliveries(self, roster: &Roster, group_id: &str) -> Vec<Delivery> {
        let (message_id, sent) = (self.message_id, self.sent);
        let delivery = |one: super::receipts::Reported| {
            let marks = [&one.receipt.delivered, &one.receipt.read, &one.receipt.played];
            let own = marks.into_iter().flatten().find_map(|mark| mark.pricing.clone());
            let number = one.number.map(|(_, number)| number).or(one.last_number);
            let member = member(one.person, &one.receipt);
            Some(Delivery {
                message_id: message_id.clone(),
                group_id: group_id.to_owned(),
                member_id: member.person.member_id,
                number,
                delivered_at_ms: member.delivered_at_ms?,
                pricing: own.or_else(|| sent.clone()),
            })
        };
        persons(roster, self.reported).into_iter().filter_map(delivery).collect()
    }
}

/// When the last service window of a group ends, Unix milliseconds; `None` if no member ever wrote.
///
/// # Errors
/// The source cannot be read.
pub fn window_until<S: Source>(source: &S, group_id: &str) -> Result<Option<i64>, S::Error> {
    Ok(match source.get(&Key::Window { group: group_id.to_owned() })? {
        Some(Value::Window(window)) => {
            window.stamp.map(|stamp| stamp.time_ms.saturating_add(SERVICE_WINDOW_MS))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Memory;
    use crate::story::{GROUP, joined, message, receipt};

    #[test]
    fn a_window_lasts_from_the_last_message_of_a_member() {
        let mut memory = Memory::default();
        memory.apply(&[joined(1, &["w:1"])]).unwrap();
        assert_eq!(window_until(&memory, GROUP).unwrap(), None);
        memory.apply(&[message(9, &["w:1"]), message(8, &["w:1"])]).unwrap();
        assert_eq!(window_until(&memory, GROUP).unwrap(), Some(9_000 + SERVICE_WINDOW_MS));
    }

    #[test]
    fn a_message_is_delivered_once_to_each_who_received_or_read_it() {
        use v1::ReceiptStatus::{Delivered, Read};
        let mut memory = Memory::default();
        let story = [
            joined(1, &["w:1"]),
            joined(1, &["w:2"]),
            receipt(5, Read, &["w:1"]),
            receipt(4, Delivered, &["w:1"]),
            receipt(6, Read, &["w:2"]),
        ];
        memory.apply(&story).unwrap();
        let Some(Value::Message(head)) = memory.get(&Key::Message { message: "M1".to_owned() }).unwrap()
        else {
            panic!("the message is not known");
        };
        let found = deliveries(&memory, [("M1".to_owned(), head)]).unwrap();
        assert!(found.iter().all(|one| one.message_id == "M1" && one.group_id == GROUP));
        let mut told: Vec<_> = found.iter().map(|one| (one.number.as_deref(), one.delivered_at_ms)).collect();
        told.sort_unstable();
        assert_eq!(told, [(Some("1"), 4_000), (Some("2"), 6_000)]);
    }
}
