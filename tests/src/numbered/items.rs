//! What numbered webhooks tell of, by number alone: joins of a few groups, or deliveries of one message to many at once.

use groupfold_schemas::log;
use serde_json::{Value, json};

/// Groups that numbered webhooks tell of.
pub const GROUPS: u64 = 96;
/// An item's number is its webhook's times this plus its place.
const ITEMS_MAX: u64 = 64;
/// Joins of a webhook, at most.
const JOINS_MAX: u64 = 3;
/// From a webhook's first group to the next one's: with it joins reach every group, also past those that tell receipts.
const STEP: u64 = 7;
/// One webhook in so many tells receipts.
const RECEIPTS_EVERY: u64 = 4;
/// Receipts of such a webhook: the receiver sends as many as one atomic batch, and no page of a store has room for them.
const RECEIPTS: u64 = 60;
/// So many of them tell of the same message, so that pages are cut again by later commits.
const WEBHOOKS_OF_A_MESSAGE: u64 = 4;
const SECOND: i64 = 1_767_225_600;
/// Digits of an item's number within a person's.
const DIGITS: usize = 9;

/// What an item shows up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// The members of a group, which joins bring.
    Members {
        /// Below [`GROUPS`].
        group: u64,
    },
    /// The receipts of a message.
    Receipts {
        /// From zero on.
        message: u64,
    },
}

impl List {
    /// The one that an item shows up in.
    #[must_use]
    pub fn of(item: u64) -> Self {
        let (webhook, place) = (item / ITEMS_MAX, item % ITEMS_MAX);
        if tells_receipts(webhook) {
            Self::Receipts { message: webhook / (RECEIPTS_EVERY * WEBHOOKS_OF_A_MESSAGE) }
        } else {
            Self::Members { group: (webhook * STEP + place) % GROUPS }
        }
    }

    /// The group's id.
    #[must_use]
    pub fn group(self) -> String {
        let (Self::Members { group } | Self::Receipts { message: group }) = self;
        format!("12036304{:08}@g.us", group % GROUPS)
    }

    /// The partition that it lives in, of so many.
    #[must_use]
    pub fn partition(self, partitions: u16) -> u16 {
        log::partition_of(&self.group(), partitions)
    }

    /// Where the API tells it: as `members` of the answer.
    #[must_use]
    pub fn path(self) -> String {
        match self {
            Self::Members { .. } => format!("/v1/groups/{}/members", self.group()),
            Self::Receipts { message } => format!("/v1/messages/{}/receipts", message_id(message)),
        }
    }

    /// True of what receipts tell.
    #[must_use]
    pub fn is_of_receipts(self) -> bool {
        matches!(self, Self::Receipts { .. })
    }
}

/// True if a webhook tells receipts and no joins: who knows of their group knows nothing that makes it a group.
#[must_use]
pub fn tells_receipts(webhook: u64) -> bool {
    webhook % RECEIPTS_EVERY == RECEIPTS_EVERY - 1
}

/// The items of a webhook, by number.
pub fn items_of(webhook: u64) -> impl Iterator<Item = u64> {
    let count = if tells_receipts(webhook) { RECEIPTS } else { 1 + webhook % JOINS_MAX };
    (0..count).map(move |place| webhook * ITEMS_MAX + place)
}

/// The id of a message.
#[must_use]
pub fn message_id(message: u64) -> String {
    format!("wamid.numbered.{message:06}")
}

/// The person that an item tells of. Their number is the item's backwards: what comes together is spread over the keys
/// of a store.
#[must_use]
pub fn person_of(item: u64) -> String {
    let backwards: String = format!("{item:0DIGITS$}").chars().rev().collect();
    format!("1555{backwards}")
}

/// The item that tells of a person.
#[must_use]
pub fn item_of(person: &str) -> Option<u64> {
    let digits = person.strip_prefix("1555").filter(|digits| digits.len() == DIGITS)?;
    digits.chars().rev().collect::<String>().parse().ok()
}

/// When every item happened, as the API prints it.
pub const HAPPENED_AT: &str = "2026-01-01T00:00:00Z";

/// A webhook: each item is the join of a person of its own, or a message's delivery to them.
#[must_use]
pub fn webhook(number: u64) -> Vec<u8> {
    let items: Vec<Value> = items_of(number).map(item).collect();
    let (field, list) = match tells_receipts(number) {
        true => ("messages", "statuses"),
        false => ("group_participants_update", "groups"),
    };
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "102290129340398", "changes": [{
        "field": field, "value": { "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": "106540352242922" },
        list: items }}]}]})
    .to_string()
    .into_bytes()
}

fn item(item: u64) -> Value {
    let list = List::of(item);
    let (second, group, person) = (SECOND.to_string(), list.group(), person_of(item));
    match list {
        List::Members { .. } => json!({
            "timestamp": second, "group_id": group, "type": "group_participants_add", "reason": "invite_link",
            "added_participants": [{ "wa_id": person }] }),
        List::Receipts { message } => json!({
            "id": message_id(message), "status": "delivered", "timestamp": second, "recipient_id": group,
            "recipient_type": "group", "recipient_participant_id": person }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn items_are_numbered_once_and_read_back_from_their_persons() {
        let items: Vec<u64> = (0..200).flat_map(items_of).collect();
        assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), items.len());
        for item in &items {
            assert_eq!(item_of(&person_of(*item)), Some(*item));
        }
        assert_eq!((item_of("15551"), item_of("16500000000")), (None, None));
        let groups: BTreeSet<String> = items.iter().map(|item| List::of(*item).group()).collect();
        assert_eq!(groups.len() as u64, GROUPS, "joins reach each group");
    }

    #[test]
    fn one_webhook_in_four_tells_receipts_of_one_message_and_four_tell_the_same() {
        let receipts: Vec<u64> = (0..32).filter(|webhook| tells_receipts(*webhook)).collect();
        assert_eq!(receipts, [3, 7, 11, 15, 19, 23, 27, 31]);
        let lists = receipts.iter().map(|webhook| items_of(*webhook).map(List::of).collect::<BTreeSet<_>>());
        let expected = |message| BTreeSet::from([List::Receipts { message }]);
        assert_eq!(lists.collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1, 1, 1].map(expected));
    }
}
