//! People come and go, by themselves or at the business's command.

use serde_json::{Value, json};

use super::group::{Group, MEMBERS_MAX, MemberStatus, Membership};
use super::{CROWD_MAX, World, ids};
use crate::simulate::people::{Person, Shown};

const PARTICIPANTS: &str = "group_participants_update";
/// Former members that a group remembers when nobody asks for the truth.
const FORMER_MAX: usize = 32;

/// Ranks of the events about a person and a group: within one second a later one has a greater rank.
pub(crate) const REQUESTED: u32 = 8;
pub(crate) const REVOKED: u32 = 9;
pub(crate) const JOINED: u32 = 11;
pub(crate) const LEFT: u32 = 15;
pub(crate) const REMOVED: u32 = 16;

impl World {
    pub(super) fn join_by_link(&mut self) {
        let Some(key) = self.some_group() else { return };
        if self.groups.get(&key).is_none_or(|g| g.asks_approval() || room(g) == 0) {
            return;
        }
        let Some(person) = self.candidate(key, JOINED) else { return };
        let mut people = vec![person];
        // Two who follow the link in one second may share an event.
        let another = self.dice.percent(10.0) && self.groups.get(&key).is_some_and(|g| room(g) > 1);
        let second = if another { self.candidate(key, JOINED) } else { None };
        people.extend(second.filter(|second| *second != person));
        self.enter(key, &people);
    }

    /// People who follow the link, in one event.
    pub(crate) fn enter(&mut self, key: u64, people: &[u64]) {
        let mut added = Vec::new();
        for person in people {
            added.push(self.fields(*person));
            self.set_member(key, *person, MemberStatus::Member, JOINED);
            self.line(key, "member_joined");
        }
        // Meta's OpenAPI spells the type otherwise than its documents.
        let kind = if self.dice.percent(2.0) { "group_add_participants" } else { "group_participants_add" };
        let mut item = self.item(key, kind);
        item.insert("reason".into(), json!("invite_link"));
        item.insert("added_participants".into(), json!(added));
        self.tell("join_by_link", PARTICIPANTS, item);
    }

    pub(super) fn request(&mut self) {
        let Some(key) = self.some_group() else { return };
        let asks = |g: &Group| g.asks_approval() && g.count(MemberStatus::Pending) < MEMBERS_MAX;
        if !self.groups.get(&key).is_some_and(asks) {
            return;
        }
        let Some(person) = self.candidate(key, REQUESTED) else { return };
        self.ask(key, person);
    }

    /// Asks to be let in.
    pub(crate) fn ask(&mut self, key: u64, person: u64) {
        self.set_member(key, person, MemberStatus::Pending, REQUESTED);
        self.line(key, "join_requested");
        self.tell_request("join_requested", "group_join_request_created", key, person);
    }

    pub(super) fn revoke(&mut self) {
        let Some(key) = self.some_group() else { return };
        let Some(person) = self.some_member(key, MemberStatus::Pending, REVOKED) else { return };
        self.withdraw(key, person);
    }

    /// Asks no more.
    pub(crate) fn withdraw(&mut self, key: u64, person: u64) {
        self.set_member(key, person, MemberStatus::Revoked, REVOKED);
        self.line(key, "join_request_revoked");
        self.tell_request("join_request_revoked", "group_join_request_revoked", key, person);
    }

    fn tell_request(&mut self, kind: &'static str, wire: &str, key: u64, person: u64) {
        let mut item = self.item(key, wire);
        if let (Some(group), Some(who)) = (self.groups.get_mut(&key), self.people.get(&person)) {
            let name = if who.shows_number() { &who.number.wa_id } else { &who.user_id };
            let id = ids::join_request(name, &group.id);
            item.insert("join_request_id".into(), json!(id));
            item.extend(who.fields());
            if let Some(member) = group.members.get_mut(&person) {
                member.join_request = Some(id);
            }
        }
        self.tell(kind, PARTICIPANTS, item);
    }

    /// Approved requests look like joins by link but for `input`; several make one event.
    pub(super) fn approve(&mut self) {
        let Some(key) = self.some_group() else { return };
        let Some(mut room) = self.groups.get(&key).map(room) else { return };
        let mut people = Vec::new();
        while room > 0 && (people.is_empty() || self.dice.percent(40.0)) {
            let Some(person) = self.some_member(key, MemberStatus::Pending, JOINED) else { break };
            if people.contains(&person) {
                break;
            }
            people.push(person);
            room -= 1;
        }
        if !people.is_empty() {
            self.let_in(key, &people);
        }
    }

    /// Approves what people asked for, in one event.
    pub(crate) fn let_in(&mut self, key: u64, people: &[u64]) {
        let mut added = Vec::new();
        for person in people {
            let mut fields = self.fields(*person);
            fields["input"] = self.input(*person);
            added.push(fields);
            self.set_member(key, *person, MemberStatus::Member, JOINED);
            self.line(key, "member_joined");
        }
        let mut item = self.item(key, "group_participants_add");
        item.insert("reason".into(), json!("invite_link"));
        item.insert("added_participants".into(), json!(added));
        self.tell("join_approved", PARTICIPANTS, item);
    }

    pub(super) fn leave(&mut self) {
        let Some(key) = self.some_group() else { return };
        let Some(person) = self.some_member(key, MemberStatus::Member, LEFT) else { return };
        self.go(key, person);
    }

    /// Leaves.
    pub(crate) fn go(&mut self, key: u64, person: u64) {
        let fields = self.fields(person);
        self.set_member(key, person, MemberStatus::Left, LEFT);
        self.line(key, "member_left");
        let mut item = self.item(key, "group_participants_remove");
        item.insert("initiated_by".into(), json!("participant"));
        item.insert("removed_participants".into(), json!([fields]));
        self.tell("leave", PARTICIPANTS, item);
    }

    pub(super) fn remove(&mut self) {
        self.remove_some(false);
    }

    pub(super) fn remove_partly(&mut self) {
        self.remove_some(true);
    }

    fn remove_some(&mut self, partly: bool) {
        let Some(key) = self.some_group() else { return };
        let mut removed = Vec::new();
        while removed.is_empty() || (removed.len() < 3 && self.dice.percent(20.0)) {
            let mut people = self.free_members(key, MemberStatus::Member, REMOVED);
            people.retain(|person| removed.iter().all(|(gone, _)| gone != person));
            let Some(person) = self.dice.pick(&people).copied() else { break };
            let input = self.input_text(person);
            removed.push((person, input));
        }
        if removed.is_empty() {
            return;
        }
        let mut people = self.free_members(key, MemberStatus::Member, REMOVED);
        people.retain(|person| removed.iter().all(|(gone, _)| gone != person));
        let stays = if partly { self.dice.pick(&people).copied() } else { None };
        let failed = stays.map(|stays| (self.input_text(stays), 131_202)).into_iter().collect();
        let request_id = self.request_id();
        self.put_out(key, &request_id, removed, failed);
    }

    pub(super) fn fail_to_remove(&mut self) {
        let Some(key) = self.some_group() else { return };
        let Some(person) = self.some_member(key, MemberStatus::Member, REMOVED) else { return };
        let failed = vec![(self.input_text(person), 131_203)];
        let request_id = self.request_id();
        self.put_out(key, &request_id, Vec::new(), failed);
    }

    /// Puts people out who were named so, in one event, which also tells who was not, and by which code.
    pub(crate) fn put_out(
        &mut self,
        key: u64,
        request_id: &str,
        removed: Vec<(u64, String)>,
        failed: Vec<(String, u32)>,
    ) {
        let mut item = self.answer(key, "group_participants_remove", request_id);
        item.insert("initiated_by".into(), json!("business"));
        for (person, _) in &removed {
            self.set_member(key, *person, MemberStatus::Removed, REMOVED);
            self.line(key, "member_removed");
        }
        let inputs: Vec<Value> = removed.iter().map(|(_, input)| json!({ "input": input })).collect();
        let partly = !inputs.is_empty();
        if partly {
            item.insert("removed_participants".into(), json!(inputs));
        }
        let kind = match (partly, failed.is_empty()) {
            (_, true) => "remove",
            (true, false) => "remove_partly",
            (false, false) => "remove_failed",
        };
        if let Some((_, code)) = failed.first().cloned() {
            let mut inputs = Vec::new();
            for (input, code) in failed {
                let mut one = json!({ "input": input });
                // A removal that fails as a whole has its errors once.
                if partly {
                    one["errors"] = self.errors(code, "Participant cannot be removed");
                }
                inputs.push(one);
            }
            item.insert("failed_participants".into(), json!(inputs));
            let (code, title) = match partly {
                true => (131_201, "Not All Participants Remove Succeeded"),
                false => (code, "Participants could not be removed"),
            };
            item.insert("errors".into(), self.errors(code, title));
            self.line(key, "remove_failed");
        }
        self.tell(kind, PARTICIPANTS, item);
    }

    /// Somebody who may enter a group now: new, back again, or known from another group.
    fn candidate(&mut self, key: u64, rank: u32) -> Option<u64> {
        let person = match self.dice.below(10) {
            0..5 => self.new_person(),
            5..7 => {
                let outside =
                    |m: &&Membership| !matches!(m.status, MemberStatus::Member | MemberStatus::Pending);
                let group = self.groups.get(&key)?;
                let former: Vec<u64> =
                    group.members.iter().filter(|(_, m)| outside(m)).map(|(person, _)| *person).collect();
                *self.dice.pick(&former)?
            }
            _ => {
                let index = self.dice.index(self.crowd.len());
                *self.crowd.get(index)?
            }
        };
        let now = self.now();
        let settled = self.people.get(&person).is_some_and(|p| p.settled_at <= now);
        let membership = self.groups.get(&key)?.members.get(&person);
        let outside = membership.is_none_or(|m| {
            !matches!(m.status, MemberStatus::Member | MemberStatus::Pending) && m.stamp < (now, rank)
        });
        (settled && outside).then_some(person)
    }

    /// Somebody of a group about whom an event of this rank may be told now.
    pub(super) fn some_member(&mut self, key: u64, status: MemberStatus, rank: u32) -> Option<u64> {
        let free = self.free_members(key, status, rank);
        self.dice.pick(&free).copied()
    }

    fn free_members(&self, key: u64, status: MemberStatus, rank: u32) -> Vec<u64> {
        let now = self.now();
        let free = |person: &u64, m: &Membership| {
            m.status == status
                && m.stamp < (now, rank)
                && self.people.get(person).is_some_and(|p| p.settled_at <= now)
        };
        let members = self.groups.get(&key).into_iter().flat_map(|group| &group.members);
        members.filter(|(person, m)| free(person, m)).map(|(person, _)| *person).collect()
    }

    pub(super) fn new_person(&mut self) -> u64 {
        let key = self.serial();
        let now = self.now();
        // Somebody new often has a number that was somebody else's before.
        let rested = if self.dice.percent(50.0) { self.numbers.rested(now) } else { None };
        let number = match rested {
            Some(number) => {
                *self.happened.entry("number_reused").or_default() += 1;
                number
            }
            None => self.numbers.fresh(&mut self.dice),
        };
        let person = Person::new(&mut self.dice, number, key);
        self.people.insert(key, person);
        self.crowd.push_back(key);
        if self.crowd.len() > CROWD_MAX {
            let gone = self.crowd.pop_front();
            gone.into_iter().for_each(|person| self.forget_person(person));
        }
        key
    }

    pub(super) fn fields(&self, person: u64) -> Value {
        Value::Object(self.people.get(&person).map(Person::fields).unwrap_or_default())
    }

    fn input(&mut self, person: u64) -> Value {
        json!(self.people.get(&person).map(|person| person.input(&mut self.dice)))
    }

    fn input_text(&mut self, person: u64) -> String {
        self.people.get(&person).map(|person| person.input(&mut self.dice)).unwrap_or_default()
    }

    /// Notes what an event just told about a person. An event of a removal shows no new name.
    pub(super) fn set_member(&mut self, key: u64, person: u64, status: MemberStatus, rank: u32) {
        let stamp = (self.now(), rank);
        let Some(who) = self.people.get_mut(&person) else { return };
        let Some(group) = self.groups.get_mut(&key) else { return };
        who.groups.insert(key);
        let told = status != MemberStatus::Removed;
        let member = group.members.entry(person).or_insert(Membership {
            status,
            stamp,
            knows_number: false,
            knows_user_id: false,
            knows_username: false,
            join_request: None,
        });
        (member.status, member.stamp) = (status, stamp);
        member.knows_number |= told && (who.shows_number() || who.number_told);
        member.knows_user_id |= told && who.shows_user_id();
        member.knows_username |= told && who.shown == Shown::UserId;
        if !self.keep {
            self.forget_former(key);
        }
    }

    fn forget_former(&mut self, key: u64) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        let stays = |m: &Membership| matches!(m.status, MemberStatus::Member | MemberStatus::Pending);
        let mut former: Vec<(i64, u64)> =
            group.members.iter().filter(|(_, m)| !stays(m)).map(|(person, m)| (m.stamp.0, *person)).collect();
        former.sort_unstable();
        let surplus = former.len().saturating_sub(FORMER_MAX);
        for (_, person) in former.into_iter().take(surplus) {
            if let Some(group) = self.groups.get_mut(&key) {
                group.members.remove(&person);
            }
            self.forget_membership(key, person);
        }
    }

    pub(super) fn forget_membership(&mut self, key: u64, person: u64) {
        if let Some(who) = self.people.get_mut(&person) {
            who.groups.remove(&key);
        }
        if !self.crowd.contains(&person) {
            self.forget_person(person);
        }
    }

    /// Drops a person whom no group remembers and who will not turn up again.
    fn forget_person(&mut self, person: u64) {
        if self.people.get(&person).is_some_and(|who| who.groups.is_empty()) {
            self.people.remove(&person);
        }
    }
}

/// How many more people a group takes.
pub(crate) fn room(group: &Group) -> usize {
    MEMBERS_MAX.saturating_sub(group.count(MemberStatus::Member))
}
