//! Messages of members, messages to groups, and who received, read and played them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::group::{MemberStatus, Status};
use super::{World, ids};
use crate::simulate::people::Shown;
use crate::simulate::wire::Change;

/// A message to a group.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) group: u64,
    pub(crate) sent_at: Option<i64>,
    pub(crate) failed: bool,
    pub(crate) marks: BTreeMap<u64, Marks>,
    /// What the request to send it wants to be told with its statuses.
    callback_data: Option<String>,
    /// Receipts still to come.
    open: usize,
}

/// What one person did with a message, in Unix seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    pub(crate) delivered_at: Option<i64>,
    pub(crate) read_at: Option<i64>,
    pub(crate) played_at: Option<i64>,
}

/// A receipt that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    at: i64,
    message: u64,
    person: u64,
    status: &'static str,
}

/// What each person will do with a message, and after how many seconds.
type Plans = Vec<(u64, Vec<(&'static str, i64)>)>;

impl World {
    /// A member says something.
    pub(super) fn hear(&mut self) {
        let extra = if self.dice.percent(20.0) {
            json!({ "type": "image", "image": {
                "mime_type": "image/jpeg", "sha256": ids::picture(&mut self.dice),
                "id": self.dice.text("123456789", 16), "caption": ids::body(&mut self.dice),
            }})
        } else {
            json!({ "type": "text", "text": { "body": ids::body(&mut self.dice) } })
        };
        self.hear_from_somebody("message", extra);
    }

    pub(super) fn hear_unsupported(&mut self) {
        let mut errors = self.errors(130_501, "Unsupported message type");
        errors[0]["message"] = json!("Message type is not currently supported");
        self.hear_from_somebody("message_unsupported", json!({ "type": "unsupported", "errors": errors }));
    }

    fn hear_from_somebody(&mut self, kind: &'static str, extra: Value) {
        let Some(key) = self.some_group() else { return };
        let Some(person) = self.some_member(key, MemberStatus::Member, u32::MAX) else { return };
        self.hear_from(key, person, kind, extra);
    }

    /// A member's message; returns its id.
    pub(crate) fn hear_from(
        &mut self,
        key: u64,
        person: u64,
        kind: &'static str,
        extra: Value,
    ) -> Option<String> {
        let (now, timestamp, serial) = (self.now(), self.timestamp(), self.serial());
        let id = ids::message(&mut self.dice, serial);
        let group = self.groups.get_mut(&key)?;
        group.last_message_at = Some(now);
        let who = self.people.get(&person)?;
        let mut message = Map::new();
        who.put_number(&mut message, "from");
        if who.shows_user_id() {
            message.insert("from_user_id".into(), json!(who.user_id));
            if let Some(parent) = &who.parent_user_id {
                message.insert("from_parent_user_id".into(), json!(parent));
            }
        }
        message.insert("group_id".into(), json!(group.id));
        message.insert("id".into(), json!(id));
        message.insert("timestamp".into(), timestamp);
        if let Value::Object(extra) = extra {
            message.extend(extra);
        }
        let value = json!({ "contacts": [who.contact()], "messages": [message] });
        if let Some(member) = group.members.get_mut(&person) {
            member.knows_username |= who.shown == Shown::UserId;
        }
        *self.happened.entry(kind).or_default() += 1;
        let account = self.before.get(&group.id).cloned();
        self.out.push_back(Change { field: "messages", value, items: 1, bad: 0, account });
        Some(id)
    }

    /// The business writes to a group, sometimes several messages at once.
    pub(super) fn say(&mut self) {
        let Some(key) = self.some_group() else { return };
        let several = if self.dice.percent(25.0) { self.dice.between(2, 4) } else { 1 };
        let members = self.members_of(key);
        // A person's phone gets all of them in one second, and all are read at once.
        let plans: Plans = members.into_iter().map(|person| (person, self.fate_of_message())).collect();
        for _ in 0..several {
            let failed = self.dice.percent(6.0);
            let tagged = self.dice.percent(20.0).then(|| format!("order-{}/100%", self.serial));
            self.send_message(key, failed, &plans, tagged);
        }
    }

    /// A message that reaches all members, and is read by all within so many seconds; returns its id.
    pub(crate) fn send_to(
        &mut self,
        key: u64,
        failed: bool,
        read_within_s: u64,
        callback_data: Option<String>,
    ) -> String {
        let members = self.members_of(key);
        let mut fate = |person| {
            let read =
                i64::try_from(self.dice.between(read_within_s.div_ceil(3), read_within_s)).unwrap_or(0);
            (person, vec![("delivered", read / 3), ("read", read)])
        };
        let plans: Plans = members.into_iter().map(&mut fate).collect();
        self.send_message(key, failed, &plans, callback_data)
    }

    /// Whoever is in a group.
    pub(crate) fn members_of(&self, key: u64) -> Vec<u64> {
        let members = self.groups.get(&key).into_iter().flat_map(|group| &group.members);
        members.filter(|(_, m)| m.status == MemberStatus::Member).map(|(person, _)| *person).collect()
    }

    /// What a person will do with a message, and after how many seconds.
    fn fate_of_message(&mut self) -> Vec<(&'static str, i64)> {
        let mut fate = Vec::new();
        let mut after = 0;
        let reads = self.dice.percent(60.0);
        // A message seen on arrival is never reported as delivered.
        if !(reads && self.dice.percent(15.0)) && self.dice.percent(95.0) {
            after += i64::try_from(self.dice.below(4)).unwrap_or(0);
            fate.push(("delivered", after));
        }
        if reads {
            after += i64::try_from(self.dice.below(120)).unwrap_or(0);
            fate.push(("read", after));
            if self.dice.percent(15.0) {
                after += i64::try_from(self.dice.below(30)).unwrap_or(0);
                fate.push(("played", after));
            }
        }
        fate
    }

    fn send_message(
        &mut self,
        key: u64,
        failed: bool,
        plans: &Plans,
        callback_data: Option<String>,
    ) -> String {
        let serial = self.serial();
        let id = ids::message(&mut self.dice, serial);
        // Some fail before they are sent, some after.
        let sent = !failed || self.dice.percent(30.0);
        let now = self.now();
        let sent_at = sent.then_some(now);
        let marks = BTreeMap::new();
        let mut message =
            Message { id: id.clone(), group: key, sent_at, failed, marks, callback_data, open: 0 };
        if !failed {
            for (person, fate) in plans {
                for (status, after) in fate {
                    let due = Due { at: now + after, message: serial, person: *person, status };
                    let order = self.serial();
                    self.due.insert((due.at, order), due);
                    message.open += 1;
                }
            }
        }
        let statuses = [("sent", sent), ("failed", failed)];
        for (status, _) in statuses.into_iter().filter(|(_, told)| *told) {
            let Some(mut item) = self.status(&message, status, now) else { continue };
            if status == "failed" {
                item.insert("errors".into(), self.errors(131_026, "Message undeliverable"));
            } else if self.dice.percent(50.0) {
                item.insert("pricing".into(), self.pricing());
            }
            *self.happened.entry(status).or_default() += 1;
            let account = self.account_of(item.get("recipient_id"));
            self.out
                .push_back(Change { account, ..Change::one("messages", "statuses", Value::Object(item)) });
        }
        if self.keep || message.open > 0 {
            self.messages.insert(serial, message);
        }
        id
    }

    fn status(&mut self, message: &Message, status: &str, at: i64) -> Option<Map<String, Value>> {
        let group = self.groups.get(&message.group)?;
        let timestamp = if self.dice.percent(15.0) { json!(at) } else { json!(at.to_string()) };
        let item = json!({
            "id": message.id, "status": status, "timestamp": timestamp,
            "recipient_id": group.id, "recipient_type": "group",
        });
        let mut item = item.as_object().cloned()?;
        if let Some(data) = &message.callback_data {
            item.insert("biz_opaque_callback_data".into(), json!(data));
        }
        Some(item)
    }

    fn pricing(&mut self) -> Value {
        let category = self.dice.word(&["group_marketing", "group_utility", "group_service"]);
        let free = category == "group_service";
        let kind = if free { "free_group_customer_service" } else { "regular" };
        json!({ "billable": !free, "pricing_model": "PMP", "type": kind, "category": category })
    }

    /// Tells of all receipts whose second has come.
    pub(crate) fn send_due_receipts(&mut self) {
        let later = self.due.split_off(&(self.now() + 1, 0));
        let due: Vec<Due> = std::mem::replace(&mut self.due, later).into_values().collect();
        let mut rest: Vec<Due> = due.into_iter().filter(|due| self.take_note(*due)).collect();
        while let Some(first) = rest.first().copied() {
            let of_message = |d: &Due| (d.message, d.status) == (first.message, first.status);
            let group = self.messages.get(&first.message).map(|message| message.group);
            let of_person = |d: &Due| {
                (d.person, d.status, d.at) == (first.person, first.status, first.at)
                    && self.messages.get(&d.message).map(|message| message.group) == group
            };
            let together: Vec<bool> = match self.dice.below(3) {
                0 => rest.iter().map(of_message).collect(),
                1 => rest.iter().map(of_person).collect(),
                _ => (0..rest.len()).map(|i| i == 0).collect(),
            };
            let (mut now, mut later) = (Vec::new(), Vec::new());
            for (due, together) in rest.into_iter().zip(together) {
                if together { now.push(due) } else { later.push(due) }
            }
            self.tell_receipts(&now);
            rest = later;
        }
        let finished: Vec<u64> = if self.keep {
            Vec::new()
        } else {
            self.messages.iter().filter(|(_, message)| message.open == 0).map(|(key, _)| *key).collect()
        };
        finished.iter().for_each(|key| drop(self.messages.remove(key)));
    }

    /// Marks a receipt in the truth; false if it will never be told, because the person or the group is gone.
    fn take_note(&mut self, due: Due) -> bool {
        let Some(message) = self.messages.get_mut(&due.message) else { return false };
        message.open = message.open.saturating_sub(1);
        let Some(group) = self.groups.get(&message.group) else { return false };
        let present = group.members.get(&due.person).is_some_and(|m| m.status == MemberStatus::Member);
        if group.status == Status::Deleted || !present {
            return false;
        }
        let marks = message.marks.entry(due.person).or_default();
        match due.status {
            "delivered" => marks.delivered_at = Some(due.at),
            "read" => marks.read_at = Some(due.at),
            _ => marks.played_at = Some(due.at),
        }
        true
    }

    fn tell_receipts(&mut self, due: &[Due]) {
        let mut people: Vec<u64> = due.iter().map(|due| due.person).collect();
        people.sort_unstable();
        people.dedup();
        let mut items = Vec::new();
        for due in due {
            items.extend(self.receipt(*due, due_is_alone(&people, items.len())));
            *self.happened.entry(due.status).or_default() += 1;
        }
        let kind = match (people.len(), items.len()) {
            (_, 1) => "receipt_single",
            (1, _) => "receipts_of_one_person",
            _ => "receipts_of_one_message",
        };
        *self.happened.entry(kind).or_default() += 1;
        let items_total = items.len();
        let mut value = json!({ "statuses": items });
        if self.dice.percent(60.0) {
            let contacts: Vec<Value> =
                people.iter().filter_map(|p| self.people.get(p)).map(|p| p.contact()).collect();
            value["contacts"] = json!(contacts);
            due.iter().for_each(|due| self.know_username(due));
        }
        // Receipts that are told together are of one group.
        let account = self.account_of(value["statuses"].get(0).and_then(|first| first.get("recipient_id")));
        self.out.push_back(Change { field: "messages", value, items: items_total, bad: 0, account });
    }

    fn know_username(&mut self, due: &Due) {
        let shows = self.people.get(&due.person).is_some_and(|who| who.shown == Shown::UserId);
        let group = self.messages.get(&due.message).map(|message| message.group);
        let Some(group) = group.and_then(|group| self.groups.get_mut(&group)) else { return };
        if let Some(member) = group.members.get_mut(&due.person) {
            member.knows_username |= shows;
        }
    }

    fn receipt(&mut self, due: Due, single: bool) -> Option<Value> {
        let message = self.messages.remove(&due.message)?;
        let item = self.status(&message, due.status, due.at);
        self.messages.insert(due.message, message);
        let mut item = item?;
        let who = self.people.get(&due.person)?;
        // Meta's examples of single receipts spell the participant otherwise, still in 2026.
        let other = single && self.dice.percent(50.0);
        let key = if other { "participant_recipient_id" } else { "recipient_participant_id" };
        who.put_number(&mut item, key);
        if who.shown == Shown::UserId || (who.shows_user_id() && self.dice.percent(60.0)) {
            item.insert("recipient_participant_user_id".into(), json!(who.user_id));
            if let Some(parent) = &who.parent_user_id {
                item.insert("recipient_participant_parent_user_id".into(), json!(parent));
            }
        }
        if self.dice.percent(40.0) {
            let pricing = self.pricing();
            let mut conversation = json!({
                "id": self.dice.text("0123456789abcdef", 32),
                "origin": { "type": pricing["category"] },
            });
            // Nested in the aggregated examples, beside it in the others.
            if single {
                item.insert("pricing".into(), pricing);
            } else {
                conversation["pricing"] = pricing;
            }
            item.insert("conversation".into(), conversation);
        }
        Some(Value::Object(item))
    }
}

fn due_is_alone(people: &[u64], told: usize) -> bool {
    people.len() == 1 && told == 0
}
