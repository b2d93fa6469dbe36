//! Groups come and go.

use serde_json::json;

use super::group::{Group, MemberStatus, Status};
use super::{World, ids};
use crate::simulate::wire::Change;

/// Lines of a group's history that are kept for the truth.
const LINES_MAX: usize = 100_000;

/// What a group is to be called and who may enter it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) subject: String,
    pub(crate) description: Option<String>,
    pub(crate) join_approval_mode: &'static str,
}

const LIFECYCLE: &str = "group_lifecycle_update";
const STATUS: &str = "group_status_update";

impl World {
    pub(super) fn create(&mut self) {
        let wanted = self.something_wanted();
        let request_id = self.request_id();
        let by_openapi = self.dice.percent(10.0);
        let key = self.open_group(&wanted, &request_id, by_openapi);
        self.alive.push(key);
    }

    fn something_wanted(&mut self) -> Wanted {
        let serial = self.serial();
        Wanted {
            subject: ids::subject(&mut self.dice, serial % 1000),
            description: self.dice.percent(30.0).then(|| ids::body(&mut self.dice)),
            join_approval_mode: self.dice.word(&["auto_approve", "approval_required"]),
        }
    }

    /// Makes a group. `by_openapi` tells of it in the form of Meta's OpenAPI: with first participants, without
    /// link and mode.
    pub(crate) fn open_group(&mut self, wanted: &Wanted, request_id: &str, by_openapi: bool) -> u64 {
        let key = self.serial();
        let mut group =
            Group::new(ids::group(&self.business.display_phone_number, key), Status::Active, self.now());
        let stamp = (self.now(), 1);
        group.touch("subject", stamp);
        group.touch("description", stamp);
        (group.subject, group.description) = (Some(wanted.subject.clone()), wanted.description.clone());
        self.groups.insert(key, group);
        let mut item = self.answer(key, "group_create", request_id);
        item.insert("subject".into(), json!(wanted.subject));
        self.line(key, "group_created");
        if by_openapi {
            let person = self.new_person();
            item.insert("added_participants".into(), json!([self.fields(person)]));
            self.line(key, "member_joined");
            self.set_member(key, person, MemberStatus::Member, 11);
        } else {
            let mode = wanted.join_approval_mode;
            let link = ids::invite_link(&mut self.dice);
            item.insert("join_approval_mode".into(), json!(mode));
            item.insert("invite_link".into(), json!(link));
            if let Some(group) = self.groups.get_mut(&key) {
                (group.join_approval_mode, group.invite_link) = (Some(mode), Some(link));
            }
        }
        if let Some(text) = &wanted.description {
            item.insert("description".into(), json!(text));
        }
        self.tell("create", LIFECYCLE, item);
        key
    }

    pub(super) fn fail_to_create(&mut self) {
        let wanted = self.something_wanted();
        let request_id = self.request_id();
        self.fail_to_open_group(&wanted, &request_id, 131_211);
    }

    /// Tells that a group was not made, with or without an id for what is not there.
    pub(crate) fn fail_to_open_group(&mut self, wanted: &Wanted, request_id: &str, code: u32) {
        let key = self.serial();
        let id = ids::group(&self.business.display_phone_number, key);
        let mut group = Group::new(id, Status::CreateFailed, self.now());
        // There is nothing else to call it by.
        group.subject = Some(wanted.subject.clone());
        self.groups.insert(key, group);
        let mut item = self.answer(key, "group_create", request_id);
        item.insert("subject".into(), json!(wanted.subject));
        if let Some(text) = &wanted.description {
            item.insert("description".into(), json!(text));
        }
        item.insert("errors".into(), self.errors(code, "Group was not created"));
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
        let request_id = self.request_id();
        self.close_group(key, &request_id);
    }

    pub(crate) fn close_group(&mut self, key: u64, request_id: &str) {
        let item = self.answer(key, "group_delete", request_id);
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
        let request_id = self.request_id();
        self.fail_to_close_group(key, &request_id);
    }

    pub(crate) fn fail_to_close_group(&mut self, key: u64, request_id: &str) {
        let mut item = self.answer(key, "group_delete", request_id);
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
        self.set_suspended(key, !clear);
    }

    /// Suspends a group or clears its suspension; false if neither may be told in this second.
    pub(crate) fn set_suspended(&mut self, key: u64, suspended: bool) -> bool {
        let (kind, line, status, rank) = match suspended {
            false => ("group_suspend_cleared", "group_unsuspended", Status::Active, 18),
            true => ("group_suspend", "group_suspended", Status::Suspended, 19),
        };
        let now = self.now();
        let Some(group) = self.groups.get_mut(&key) else { return false };
        if !group.touch("suspended", (now, rank)) {
            return false;
        }
        group.status = status;
        let item = self.item(key, kind);
        self.line(key, line);
        self.tell(if suspended { "suspend" } else { "unsuspend" }, STATUS, item);
        true
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
        let keep = |group: &&mut Group| self.keep && group.timeline.len() < LINES_MAX;
        if let Some(group) = self.groups.get_mut(&group).filter(keep) {
            group.timeline.push((kind, now));
        }
    }

    pub(super) fn forget_group(&mut self, key: u64) {
        let members = self.groups.remove(&key).map(|group| group.members).unwrap_or_default();
        for person in members.keys() {
            self.forget_membership(key, *person);
        }
        self.messages.retain(|_, message| message.group != key);
    }
}
