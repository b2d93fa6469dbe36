//! Groups that a world had which has ended, as the query API shows them. A pipeline outlives its demo's provider, and
//! whoever asks such a group to change is not to be told that there is no such group.

use jiff::Timestamp;
use serde_json::Value;

use super::group::{Group, MemberStatus, Membership, Status};
use super::{SETTINGS, World};
use crate::simulate::numbers::Number;
use crate::simulate::people::{Person, Shown};

impl World {
    /// Puts a group into the world; no webhook tells of it. One that is gone stays so. The story goes on without it.
    pub(crate) fn bring_back(&mut self, shown: &Value) {
        let status = match shown["status"].as_str() {
            // Nobody was told what it is: it may be as any other.
            Some("active" | "unknown") => Status::Active,
            Some("suspended") => Status::Suspended,
            _ => return,
        };
        let Some(id) = shown["group_id"].as_str() else { return };
        let text = |name: &str| shown[name].as_str().map(str::to_owned);
        self.live_on_after(shown);
        let key = self.serial();
        let mut group = Group::new(id.to_owned(), status, second(&shown["created_at"]).unwrap_or(self.now()));
        // What was told of it last is not known, but that it was before now.
        let stamp = (self.now(), u32::MAX);
        for what in SETTINGS.map(|setting| setting.name()).into_iter().chain(["suspended"]) {
            group.touch(what, stamp);
        }
        if let Some(account) = text("account") {
            self.before.insert(id.to_owned(), account);
        }
        group.subject = text("subject");
        group.description = text("description");
        group.picture = shown["picture"]["sha256"].as_str().map(str::to_owned);
        group.join_approval_mode = match shown["join_approval_mode"].as_str() {
            Some("approval_required") => Some("approval_required"),
            Some("auto_approve") => Some("auto_approve"),
            _ => None,
        };
        group.invite_link = text("invite_link");
        self.groups.insert(key, group);
        for member in shown["members"].as_array().into_iter().flatten() {
            self.bring_back_member(key, member, stamp);
        }
    }

    /// Time goes on behind all that was told of the group: the world of before may have been ahead of the wall.
    fn live_on_after(&mut self, shown: &Value) {
        let members = shown["members"].as_array().into_iter().flatten();
        let times = members.flat_map(|member| [&member["joined_at"], &member["left_at"]]);
        let last = times.chain([&shown["created_at"]]).filter_map(second).max();
        self.clock = last.map_or(self.clock, |last| self.clock.max(last as f64 + 1.0));
    }

    fn bring_back_member(&mut self, key: u64, shown: &Value, stamp: (i64, u32)) {
        let text = |name: &str| shown[name].as_str().filter(|text| !text.is_empty());
        let status = match text("status") {
            Some("member") => MemberStatus::Member,
            Some("pending") => MemberStatus::Pending,
            Some("removed") => MemberStatus::Removed,
            Some("revoked") => MemberStatus::Revoked,
            _ => MemberStatus::Left,
        };
        let names = match (text("wa_id"), text("user_id")) {
            (Some(_), Some(_)) => Shown::NumberAndUserId,
            (Some(_), None) => Shown::Number,
            (None, Some(_)) => Shown::UserId,
            // Nobody could name them in a command either.
            (None, None) => return,
        };
        let number = match text("wa_id") {
            Some(wa_id) => {
                self.numbers.take(wa_id);
                Number::named(wa_id)
            }
            None => self.numbers.fresh(&mut self.dice),
        };
        let serial = self.serial();
        let mut person = Person::new(&mut self.dice, number, serial);
        (person.shown, person.parent_user_id) = (names, None);
        person.user_id = text("user_id").map_or(person.user_id, str::to_owned);
        person.username = text("username").map_or(person.username, str::to_owned);
        person.groups.insert(key);
        let membership = Membership {
            status,
            stamp,
            knows_number: person.shows_number(),
            knows_user_id: person.shows_user_id(),
            knows_username: text("username").is_some(),
            join_request: text("join_request_id").map(str::to_owned),
        };
        self.people.insert(serial, person);
        if let Some(group) = self.groups.get_mut(&key) {
            group.members.insert(serial, membership);
        }
    }

    /// The account that webhooks about a group name, where not the world's own.
    pub(super) fn account_of(&self, group_id: Option<&Value>) -> Option<String> {
        self.before.get(group_id?.as_str()?).cloned()
    }
}

/// The second of a time in RFC 3339.
fn second(time: &Value) -> Option<i64> {
    time.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_second)
}
