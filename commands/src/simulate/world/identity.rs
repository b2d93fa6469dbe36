//! People change their numbers and user ids, and hide their numbers behind usernames.
//!
//! A number given up is free for somebody else after a while. Nothing else is told of a person in the
//! second of a change.

use serde_json::{Map, Value, json};

use super::group::{MemberStatus, Status};
use super::{World, ids};
use crate::simulate::people::{Person, Shown};
use crate::simulate::wire::Change;

impl World {
    pub(super) fn change_number(&mut self) {
        let Some(key) = self.somebody_known() else { return };
        match self.people.get(&key).map(|person| person.shown) {
            Some(Shown::Number) => self.move_to_number(key, false),
            Some(Shown::NumberAndUserId) if self.dice.percent(60.0) => self.move_to_number(key, true),
            Some(Shown::NumberAndUserId) => {
                // As it was before August 2026: two messages, the number first.
                self.move_to_number(key, false);
                self.give_user_id(key);
            }
            // Whoever hides the number gets a new user id with the new number; the number stays hidden.
            Some(Shown::UserId) => self.give_user_id(key),
            None => {}
        }
    }

    pub(super) fn change_user_id(&mut self) {
        let Some(key) = self.somebody_known() else { return };
        if self.people.get(&key).is_some_and(Person::shows_user_id) {
            self.give_user_id(key);
        }
    }

    /// Somebody who is in no group just now hides the number from here on.
    pub(super) fn adopt_username(&mut self) {
        let index = self.dice.index(self.crowd.len());
        let Some(key) = self.crowd.get(index).copied() else { return };
        let Some(person) = self.people.get(&key) else { return };
        let inside = person.groups.iter().any(|group| {
            self.groups.get(group).is_some_and(|group| {
                let status = group.members.get(&key).map(|m| m.status);
                group.status != Status::Deleted
                    && matches!(status, Some(MemberStatus::Member | MemberStatus::Pending))
            })
        });
        if inside || person.shown != Shown::NumberAndUserId || person.groups.is_empty() {
            return;
        }
        if let Some(person) = self.people.get_mut(&key) {
            person.shown = Shown::UserId;
            *self.happened.entry("username_adopted").or_default() += 1;
        }
    }

    /// Somebody whom some group knows.
    fn somebody_known(&mut self) -> Option<u64> {
        let key = self.some_group()?;
        let people: Vec<u64> = self.groups.get(&key)?.members.keys().copied().collect();
        self.dice.pick(&people).copied()
    }

    fn move_to_number(&mut self, key: u64, with_user_ids: bool) {
        self.settle();
        let now = self.now();
        // Now and then the new number had another holder before.
        let rested = if self.dice.percent(10.0) { self.numbers.rested(now) } else { None };
        let number = rested.unwrap_or_else(|| self.numbers.fresh(&mut self.dice));
        let Some(person) = self.people.get_mut(&key) else { return };
        let before = person.clone();
        person.number = number;
        person.settled_at = now + 1;
        if with_user_ids {
            person.new_user_id(&mut self.dice);
            person.number_told = true;
        }
        let after = person.clone();
        let mut system = Map::new();
        let (old, new) = (&before.number.wa_id, &after.number.wa_id);
        system.insert("type".into(), json!("user_changed_number"));
        system.insert("body".into(), json!(format!("User {} changed from {old} to {new}", before.name)));
        system.insert("wa_id".into(), json!(new));
        if with_user_ids {
            put_user_ids(&mut system, &before, &after);
        }
        let kind = if with_user_ids { "number_changed_with_user_id" } else { "number_changed" };
        self.tell_system(kind, Some(old.clone()), system);
        self.known_as(key, true, with_user_ids);
        self.changed(key, "number_changed");
        self.numbers.free(before.number, now);
        self.wait(1.0);
    }

    fn give_user_id(&mut self, key: u64) {
        self.settle();
        let now = self.now();
        let Some(person) = self.people.get_mut(&key) else { return };
        let before = person.clone();
        person.new_user_id(&mut self.dice);
        person.number_told |= person.shows_number();
        person.settled_at = now + 1;
        let after = person.clone();
        let mut system = Map::new();
        system.insert("type".into(), json!("user_changed_user_id"));
        let body = format!("User {} changed from {} to {}", before.name, before.user_id, after.user_id);
        system.insert("body".into(), json!(body));
        put_user_ids(&mut system, &before, &after);
        let from = before.shows_number().then(|| before.number.wa_id.clone());
        self.known_as(key, from.is_some(), true);
        self.tell_system("user_id_changed", from, system);
        self.changed(key, "user_id_changed");
        self.wait(1.0);
    }

    /// Begins a second of its own; what was due until then is told under the old names.
    fn settle(&mut self) {
        self.wait(1.0);
        self.send_due_receipts();
    }

    fn tell_system(&mut self, kind: &'static str, from: Option<String>, system: Map<String, Value>) {
        let serial = self.serial();
        let mut message = json!({
            "id": ids::message(&mut self.dice, serial), "timestamp": self.timestamp(),
            "type": "system", "system": system,
        });
        if let Some(from) = from {
            message["from"] = json!(from);
        }
        *self.happened.entry(kind).or_default() += 1;
        self.out.push_back(Change::one("messages", "messages", message));
    }

    /// All groups that know the person learn the names that a change told.
    fn known_as(&mut self, key: u64, number: bool, user_id: bool) {
        let groups = self.people.get(&key).map(|person| person.groups.clone()).unwrap_or_default();
        for group in groups {
            let member = self.groups.get_mut(&group).and_then(|group| group.members.get_mut(&key));
            if let Some(member) = member {
                member.knows_number |= number;
                member.knows_user_id |= user_id;
            }
        }
    }

    /// A line in each group where the person is, or asks to be.
    fn changed(&mut self, key: u64, line: &'static str) {
        let groups = self.people.get(&key).map(|person| person.groups.clone()).unwrap_or_default();
        for group in groups {
            let status = self.groups.get(&group).and_then(|group| group.members.get(&key)).map(|m| m.status);
            if matches!(status, Some(MemberStatus::Member | MemberStatus::Pending)) {
                self.line(group, line);
            }
        }
    }
}

fn put_user_ids(system: &mut Map<String, Value>, before: &Person, after: &Person) {
    system.insert("previous_user_id".into(), json!(before.user_id));
    system.insert("user_id".into(), json!(after.user_id));
    if let (Some(before), Some(after)) = (&before.parent_user_id, &after.parent_user_id) {
        system.insert("previous_parent_user_id".into(), json!(before));
        system.insert("parent_user_id".into(), json!(after));
    }
}
