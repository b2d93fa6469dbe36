//! What the operations do, each as a function of the world and the call.

mod membership;
mod message;
mod settings;

use serde_json::{Value, json};

use super::ask::Ask;
use super::faults::{Fate, Operation};
use super::refusal::Refusal;
use crate::simulate::world::{Group, Status, World};

/// What an operation may ask for, and what goes wrong with it.
pub(super) struct Case<'a> {
    pub(super) world: &'a mut World,
    pub(super) ask: &'a Ask,
    pub(super) fate: &'a Fate,
    pub(super) rules: &'a Rules,
}

/// Bounds that a number has.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) groups_max: usize,
    pub(super) read_within_s: u64,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) request_id: Option<String>,
    pub(super) group_id: Option<String>,
    pub(super) message_id: Option<String>,
    /// A group that people will come to.
    pub(super) opened: Option<u64>,
    /// Somebody who was asked to come to a group.
    pub(super) invited: Option<(u64, u64)>,
}

impl Done {
    fn answer(body: Value) -> Self {
        Self { status: 200, body, ..Self::default() }
    }

    /// An answer that names its request where the documents show it, or where the plan of failures wants it.
    fn answer_to(mut body: Value, request_id: String, documented: bool, fate: &Fate) -> Self {
        if fate.request_id.unwrap_or(documented) {
            body["request_id"] = json!(request_id);
        }
        Self { request_id: Some(request_id), ..Self::answer(body) }
    }
}

impl Case<'_> {
    /// Does it.
    pub(super) fn run(mut self, operation: Operation) -> Result<Done, Refusal> {
        let mut done = match operation {
            Operation::Create => self.create()?,
            Operation::List => self.list()?,
            Operation::Info => self.info()?,
            Operation::Update => self.update()?,
            Operation::Delete => self.delete()?,
            Operation::Link => self.link()?,
            Operation::ResetLink => self.reset_link()?,
            Operation::DeleteLink => self.delete_link()?,
            Operation::Requests => self.requests()?,
            Operation::Approve => self.approve()?,
            Operation::Reject => self.reject()?,
            Operation::Remove => self.remove()?,
            Operation::Send | Operation::Pin => self.send()?,
            Operation::Add | Operation::People | Operation::Any => {
                return Err(Refusal::new(131_203, "Participants cannot be added: send them the invite link"));
            }
        };
        if done.group_id.is_none() && !matches!(operation, Operation::List) {
            done.group_id = Some(self.ask.id.clone());
        }
        Ok(done)
    }

    fn of_number(&self) -> Result<(), Refusal> {
        if self.ask.id == self.world.business.phone_number_id {
            return Ok(());
        }
        let id = &self.ask.id;
        Err(Refusal::new(100, format!("Unsupported request: object with ID {id} does not exist")))
    }

    /// The group that the path names.
    fn group(&self) -> Result<u64, Refusal> {
        self.group_of(&self.ask.id)
    }

    fn group_of(&self, id: &str) -> Result<u64, Refusal> {
        let found = self.world.find_group(id);
        found.ok_or_else(|| Refusal::new(131_041, "The group does not exist, or you are no member of it"))
    }

    /// The group that the path names, if it takes changes.
    fn active_group(&self) -> Result<u64, Refusal> {
        self.group().and_then(|key| self.active(key))
    }

    fn active(&self, key: u64) -> Result<u64, Refusal> {
        match self.status(key) {
            Some(Status::Suspended) => Err(Refusal::new(131_207, "The group is suspended")),
            _ => Ok(key),
        }
    }

    fn status(&self, key: u64) -> Option<Status> {
        self.stored(key).map(|group| group.status)
    }

    fn stored(&self, key: u64) -> Option<&Group> {
        self.world.groups.get(&key)
    }
}

/// A page of a list: its items, and how to go on.
pub(super) fn page(
    ask: &Ask,
    all: Vec<(String, Value)>,
    wrap: fn(Vec<Value>) -> Value,
) -> Result<Value, Refusal> {
    const LIMIT_MAX: usize = 1024;
    const LIMIT_DEFAULT: usize = 25;
    let limit = match ask.query.get("limit") {
        None => LIMIT_DEFAULT,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
            limit.ok_or_else(|| Refusal::new(100, "limit must be a number from 1 to 1024"))?
        }
    };
    let place = |cursor: &String| {
        let found = all.iter().position(|(own, _)| own == cursor);
        found.ok_or_else(|| Refusal::new(131_059, "The cursor is invalid or has expired"))
    };
    let after = ask.query.get("after").map(place).transpose()?;
    let before = ask.query.get("before").map(place).transpose()?;
    let (start, end) = match (after, before) {
        (Some(after), _) => (after + 1, (after + 1 + limit).min(all.len())),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit.min(all.len())),
    };
    let shown = all.get(start..end).unwrap_or_default();
    let mut body = json!({ "data": wrap(shown.iter().map(|(_, item)| item.clone()).collect()) });
    if let (Some((first, _)), Some((last, _))) = (shown.first(), shown.last()) {
        body["paging"] = json!({ "cursors": { "before": first, "after": last } });
        if end < all.len() {
            body["paging"]["next"] = json!(format!("{}?limit={limit}&after={last}", ask.url));
        }
        if start > 0 {
            body["paging"]["previous"] = json!(format!("{}?limit={limit}&before={first}", ask.url));
        }
    }
    Ok(body)
}
