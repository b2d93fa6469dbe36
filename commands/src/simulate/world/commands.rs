//! What the served provider asks of the world at somebody's command: to find things, and to do them now.

use serde_json::json;

use super::{Group, MemberStatus, Status, World, ids};
use crate::simulate::numbers::Number;
use crate::simulate::people::Shown;
use crate::simulate::wire::Change;

/// Messages, and groups that are gone, which a served world keeps: it may live for days.
const MESSAGES_MAX: usize = 20_000;
const GONE_MAX: usize = 10_000;

impl World {
    /// Lets the time of the wall come. It never goes back.
    pub(crate) fn catch_up(&mut self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.clock = self.clock.max(now.map(|since| since.as_secs_f64()).unwrap_or_default());
    }

    /// Does something at the present time and hands over the changes that it alone made.
    pub(crate) fn aside<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> (T, Vec<Change>) {
        self.catch_up();
        let before = self.out.len();
        let done = act(self);
        self.forget_surplus();
        (done, self.out.split_off(before.min(self.out.len())).into())
    }

    /// A group that is there, suspended or not.
    pub(crate) fn find_group(&self, id: &str) -> Option<u64> {
        let there = |group: &Group| matches!(group.status, Status::Active | Status::Suspended);
        self.groups.iter().find(|(_, group)| group.id == id && there(group)).map(|(key, _)| *key)
    }

    /// Groups that are there, oldest first.
    pub(crate) fn groups_there(&self) -> impl Iterator<Item = (u64, &Group)> {
        let there = |group: &&Group| matches!(group.status, Status::Active | Status::Suspended);
        self.groups.iter().map(|(key, group)| (*key, group)).filter(move |(_, group)| there(group))
    }

    /// A person by any name.
    pub(crate) fn find_person(&self, name: &str) -> Option<u64> {
        self.people.iter().find(|(_, person)| person.is_called(name)).map(|(key, _)| *key)
    }

    /// A person by any name: whoever the group knows by it, else anybody.
    pub(crate) fn find_person_for(&self, key: u64, name: &str) -> Option<u64> {
        let mut known = self.groups.get(&key).into_iter().flat_map(|group| group.members.keys());
        let called = |person: &&u64| self.people.get(person).is_some_and(|person| person.is_called(name));
        known.find(called).copied().or_else(|| self.find_person(name))
    }

    /// Somebody new, with this number and these names shown, or as it comes.
    pub(crate) fn somebody_new(&mut self, wa_id: Option<&str>, shown: Option<Shown>) -> u64 {
        let key = self.new_person();
        if let Some(person) = self.people.get_mut(&key) {
            if let Some(wa_id) = wa_id {
                person.number = Number::named(wa_id);
            }
            person.shown = shown.unwrap_or(person.shown);
        }
        key
    }

    /// So that what comes next contradicts nothing that was told.
    pub(crate) fn let_a_second_pass(&mut self) {
        self.wait(1.0);
    }

    /// Lets seconds pass until an event of this rank may be told about a person and a group.
    pub(crate) fn wait_for(&mut self, key: u64, person: u64, rank: u32) {
        let told = self.groups.get(&key).and_then(|group| group.members.get(&person)).map(|m| m.stamp);
        let settled = self.people.get(&person).map_or(i64::MIN, |person| person.settled_at);
        while told.is_some_and(|stamp| stamp >= (self.now(), rank)) || settled > self.now() {
            self.wait(1.0);
        }
    }

    /// How a person stands to a group.
    pub(crate) fn standing(&self, key: u64, person: u64) -> Option<MemberStatus> {
        self.groups.get(&key)?.members.get(&person).map(|member| member.status)
    }

    /// Whoever asks to be let in: the person, the request's id and when it was made.
    pub(crate) fn requests_of(&self, key: u64) -> Vec<(u64, String, i64)> {
        let members = self.groups.get(&key).into_iter().flat_map(|group| &group.members);
        let asks = |(person, m): (&u64, &super::Membership)| {
            let id = m.join_request.clone().filter(|_| m.status == MemberStatus::Pending)?;
            Some((*person, id, m.stamp.0))
        };
        members.filter_map(asks).collect()
    }

    /// Does not let somebody in who asked. No event tells of it.
    pub(crate) fn turn_away(&mut self, key: u64, person: u64) {
        self.wait_for(key, person, super::REVOKED);
        let stamp = (self.now(), super::REVOKED);
        let group = self.groups.get_mut(&key);
        if let Some(member) = group.and_then(|group| group.members.get_mut(&person)) {
            (member.status, member.stamp) = (MemberStatus::Revoked, stamp);
        }
    }

    /// A new link in the place of the old one.
    pub(crate) fn new_link(&mut self, key: u64) -> String {
        let link = ids::invite_link(&mut self.dice);
        if let Some(group) = self.groups.get_mut(&key) {
            group.invite_link = Some(link.clone());
        }
        link
    }

    /// A message to one person outside any group, read when it is received, or failed; returns its id.
    pub(crate) fn send_to_one(&mut self, wa_id: &str, callback_data: Option<&str>, fails: bool) -> String {
        let serial = self.serial();
        let id = ids::message(&mut self.dice, serial);
        let told: &[&str] = if fails { &["sent", "failed"] } else { &["sent", "delivered", "read"] };
        for status in told {
            let mut item = json!({
                "id": id, "status": status, "timestamp": self.timestamp(), "recipient_id": wa_id,
            });
            if *status == "failed" {
                item["errors"] = self.errors(131_049, "Held back for a healthy ecosystem");
            }
            if let Some(data) = callback_data {
                item["biz_opaque_callback_data"] = json!(data);
            }
            self.out.push_back(Change::one("messages", "statuses", item));
        }
        id
    }

    /// Statuses of a message that changes nothing that members see, such as a pin; returns its id.
    pub(crate) fn send_notice(&mut self, key: u64, fails: bool) -> String {
        self.send_to(key, fails, 0, None)
    }

    /// Drops what is oldest of what only the truth knows.
    fn forget_surplus(&mut self) {
        while self.messages.len() > MESSAGES_MAX {
            self.messages.pop_first();
        }
        let gone = |group: &Group| matches!(group.status, Status::Deleted | Status::CreateFailed);
        let surplus = self.groups.values().filter(|group| gone(group)).count().saturating_sub(GONE_MAX);
        if surplus > 0 {
            let keys = self.groups.iter().filter(|(_, group)| gone(group)).map(|(key, _)| *key);
            keys.take(surplus).collect::<Vec<_>>().into_iter().for_each(|key| self.forget_group(key));
        }
    }
}
