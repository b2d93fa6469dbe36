//! Groups come and go.

use serde_json::json;

use super::group::{Group, MemberStatus, Status};
use super::{World, ids};
use crate::simulate::wire::Change;

const LIFECYCLE: &str = "group_lifecycle_update";
const STATUS: &str = "group_status_update";

impl World {
    pub(super) fn create(&mut self) {
        let key = self.serial();
        let id = ids::group(&self.business.display_phone_number, key);
        self.groups.insert(key, Group::new(id, Status::Active));
        self.alive.push(key);
        let mut item = self.answer(key, "group_create");
        let subject = ids::subject(&mut self.dice, key % 1000);
        item.insert("subject".into(), json!(subject));
        let now = self.now();
        // The form of Meta's OpenAPI: with first participants, without link and mode.
        let described_by_openapi = self.dice.percent(10.0);
        if described_by_openapi {
            let person = self.new_person();
            item.insert("added_participants".into(), json!([self.fields(person)]));
            self.line(key, "group_created");
            self.line(key, "member_joined");
            self.set_member(key, person, MemberStatus::Member, 11);
        } else {
            let mode = self.dice.word(&["auto_approve", "approval_required"]);
            let link = ids::invite_link(&mut self.dice);
            item.insert("join_approval_mode".into(), json!(mode));
            item.insert("invite_link".into(), json!(link));
            if let Some(group) = self.groups.get_mut(&key) {
                (group.join_approval_mode, group.invite_link) = (Some(mode), Some(link));
            }
            self.line(key, "group_created");
        }
        let description = self.dice.percent(30.0).then(|| ids::body(&mut self.dice));
        if let Some(text) = &description {
            item.insert("description".into(), json!(text));
        }
        if let Some(group) = self.groups.get_mut(&key) {
            group.touch("subject", (now, 1));
            group.touch("description", (now, 1));
            (group.subject, group.description) = (Some(subject), description);
        }
        self.tell("create", LIFECYCLE, item);
    }

    pub(super) fn fail_to_create(&mut self) {
        let key = self.serial();
        let id = ids::group(&self.business.display_phone_number, key);
        let subject = ids::subject(&mut self.dice, key % 1000);
        let mut group = Group::new(id, Status::CreateFailed);
        // There is nothing else to call it by.
        group.subject = Some(subject.clone());
        self.groups.insert(key, group);
        let mut item = self.answer(key, "group_create");
        item.insert("subject".into(), json!(subject));
        if self.dice.percent(50.0) {
            item.insert("description".into(), json!(ids::body(&mut self.dice)));
        }
        item.insert("errors".into(), self.errors(131_211, "Group create limit reached"));
        let named = self.dice.percent(50.0);
        if named {
            self.line(key, "group_create_failed");
        } else {
            item.remove("group_id");
        }
        if !named || !self.keep {
            self.groups.remove(&key);
        }
        self.tell(if named { "create_failed" } else { "create_failed_without_group_id" }, LIFECYCLE, item);
    }

    pub(super) fn delete(&mut self) {
        // Only in a full world, so that the number of groups stays what was asked for.
        if self.alive.len() < self.groups_wanted {
            return;
        }
        let Some(key) = self.dice.pick(&self.alive).copied() else { return };
        let item = self.answer(key, "group_delete");
        self.line(key, "group_deleted");
        self.alive.retain(|alive| *alive != key);
        if let Some(group) = self.groups.get_mut(&key) {
            group.status = Status::Deleted;
        }
        if !self.keep {
            self.forget_group(key);
        }
        self.tell("delete", LIFECYCLE, item);
    }

    pub(super) fn fail_to_delete(&mut self) {
        let Some(key) = self.some_group() else { return };
        let mut item = self.answer(key, "group_delete");
        item.insert("errors".into(), self.errors(131_000, "Something went wrong"));
        self.line(key, "group_delete_failed");
        self.tell("delete_failed", LIFECYCLE, item);
    }

    /// Suspends a group, or clears the suspension of one that is.
    pub(super) fn suspend(&mut self) {
        let suspended = |key: &&u64| self.groups.get(*key).is_some_and(|g| g.status == Status::Suspended);
        let held: Vec<u64> = self.alive.iter().filter(suspended).copied().collect();
        // Suspensions end sooner than new ones begin, else all groups would end up suspended.
        let clear = !held.is_empty() && self.dice.percent(70.0);
        let chosen = if clear { self.dice.pick(&held).copied() } else { self.some_group() };
        let Some(key) = chosen else { return };
        let (kind, line, status, rank) = match clear {
            true => ("group_suspend_cleared", "group_unsuspended", Status::Active, 18),
            false => ("group_suspend", "group_suspended", Status::Suspended, 19),
        };
        let now = self.now();
        let Some(group) = self.groups.get_mut(&key) else { return };
        if !group.touch("suspended", (now, rank)) {
            return;
        }
        group.status = status;
        let item = self.item(key, kind);
        self.line(key, line);
        self.tell(if clear { "unsuspend" } else { "suspend" }, STATUS, item);
    }

    pub(super) fn account_error(&mut self) {
        let serial = self.serial();
        *self.happened.entry("account_error").or_default() += 1;
        // No time and no id: only the details tell two of them apart.
        let details = format!("Too many messages were sent from this number. Trace {serial}");
        let error = json!({
            "code": 130_429, "title": "Rate limit hit", "message": "Rate limit hit",
            "error_data": { "details": details },
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        });
        self.out.push_back(Change::one("messages", "errors", error));
    }

    /// A line of a group's history.
    pub(super) fn line(&mut self, group: u64, kind: &'static str) {
        let now = self.now();
        if let Some(group) = self.groups.get_mut(&group).filter(|_| self.keep) {
            group.timeline.push((kind, now));
        }
    }

    fn forget_group(&mut self, key: u64) {
        let members = self.groups.remove(&key).map(|group| group.members).unwrap_or_default();
        for person in members.keys() {
            self.forget_membership(key, *person);
        }
        self.messages.retain(|_, message| message.group != key);
    }
}
