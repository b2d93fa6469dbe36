//! The provider's side of the story: groups, people and messages, and the webhooks that tell of them.
//!
//! Time is simulated and only moves forward. Within one second no two events contradict each other about
//! one thing, but where their order is documented (leave after join, revoke after request): what a receiver
//! must believe in the end does not depend on the order in which it heard of it.

mod before;
mod commands;
mod group;
mod identity;
mod lifecycle;
mod membership;
mod messaging;
mod settings;

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

pub(crate) use group::{Group, MemberStatus, Membership, Status};
pub(crate) use lifecycle::Wanted;
pub(crate) use membership::{JOINED, LEFT, REMOVED, REQUESTED, REVOKED, room};
pub(crate) use messaging::{Marks, Message};
pub(crate) use settings::{ALL as SETTINGS, Outcome};

use super::args::SimulateArgs;
use super::dice::Dice;
use super::ids;
use super::numbers::Numbers;
use super::people::Person;
use super::wire::{Business, Change};

/// People that may turn up in a further group.
const CROWD_MAX: usize = 512;

/// The simulated world.
#[derive(Debug)]
pub(crate) struct World {
    dice: Dice,
    clock: f64,
    pace: f64,
    groups_wanted: usize,
    /// Nothing may be forgotten: somebody will ask for the truth.
    keep: bool,
    /// Time is that of the wall, but for a second now and then that passes so that two events do not
    /// contradict each other.
    present: bool,
    pub(crate) business: Business,
    pub(crate) groups: BTreeMap<u64, Group>,
    alive: Vec<u64>,
    /// The accounts of groups that were brought back.
    before: BTreeMap<String, String>,
    pub(crate) people: BTreeMap<u64, Person>,
    crowd: VecDeque<u64>,
    pub(crate) messages: BTreeMap<u64, Message>,
    due: BTreeMap<(i64, u64), messaging::Due>,
    numbers: Numbers,
    serial: u64,
    out: VecDeque<Change>,
    /// How often each kind of thing happened.
    pub(crate) happened: BTreeMap<&'static str, u64>,
}

type Act = fn(&mut World);

/// What can happen, and how often in relation to the rest.
const ACTS: [(u64, Act); 20] = [
    (120, World::join_by_link),
    (70, World::request),
    (70, World::approve),
    (25, World::revoke),
    (45, World::leave),
    (40, World::remove),
    (8, World::remove_partly),
    (8, World::fail_to_remove),
    (70, World::change_settings),
    (14, World::suspend),
    (10, World::delete),
    (6, World::fail_to_delete),
    (6, World::fail_to_create),
    (140, World::hear),
    (14, World::hear_unsupported),
    (110, World::say),
    (16, World::change_number),
    (10, World::change_user_id),
    (10, World::adopt_username),
    (4, World::account_error),
];

impl World {
    pub(crate) fn new(args: &SimulateArgs) -> Self {
        Self {
            dice: Dice::new(args.seed, "world"),
            clock: args.start_time as f64,
            pace: args.pace,
            groups_wanted: args.groups as usize,
            keep: args.truth.is_some() || (args.serve.serve.is_some() && !args.serve.story),
            present: args.serve.serve.is_some(),
            business: args.business(),
            groups: BTreeMap::new(),
            alive: Vec::new(),
            before: BTreeMap::new(),
            people: BTreeMap::new(),
            crowd: VecDeque::new(),
            messages: BTreeMap::new(),
            due: BTreeMap::new(),
            numbers: Numbers::default(),
            serial: args.seed.wrapping_mul(1_000_003) % 1_000_000_000,
            out: VecDeque::new(),
            happened: BTreeMap::new(),
        }
    }

    /// The next change that the provider tells of.
    pub(crate) fn next_change(&mut self) -> Change {
        loop {
            if let Some(change) = self.out.pop_front() {
                return change;
            }
            self.act();
        }
    }

    /// True while something has happened that nobody was told of.
    pub(crate) fn has_more_to_tell(&self) -> bool {
        !self.out.is_empty()
    }

    /// A group that lives, for those who make things up about it.
    pub(crate) fn any_group_id(&self, dice: &mut Dice) -> String {
        let key = dice.pick(&self.alive);
        key.and_then(|key| self.groups.get(key)).map_or_else(|| "Y2FwaV9ncm91cA".to_owned(), |g| g.id.clone())
    }

    /// Present provider time, Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.clock as i64
    }

    fn act(&mut self) {
        // Three in ten share the second of the one before.
        if self.present {
            self.catch_up();
        } else if !self.dice.percent(30.0) {
            self.clock += self.dice.unit() * 2.0 * self.pace / 0.7;
        }
        self.send_due_receipts();
        let short = self.alive.len() < self.groups_wanted;
        if self.alive.is_empty() || (short && self.dice.percent(25.0)) {
            return self.create();
        }
        let mut roll = self.dice.below(ACTS.iter().map(|(weight, _)| weight).sum());
        for (weight, act) in ACTS {
            if roll < weight {
                return act(self);
            }
            roll -= weight;
        }
    }

    /// Lets at least so many seconds pass.
    fn wait(&mut self, seconds: f64) {
        self.clock += seconds;
    }

    fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A webhook of a group, which its item names.
    fn tell(&mut self, kind: &'static str, field: &'static str, item: Map<String, Value>) {
        *self.happened.entry(kind).or_default() += 1;
        let account = self.account_of(item.get("group_id"));
        self.out.push_back(Change { account, ..Change::one(field, "groups", Value::Object(item)) });
    }

    /// What all events of a group have.
    fn item(&mut self, group: u64, kind: &str) -> Map<String, Value> {
        let id = self.groups.get(&group).map(|group| group.id.clone());
        let item = json!({ "timestamp": self.timestamp(), "type": kind, "group_id": id });
        match item {
            Value::Object(item) => item,
            _ => Map::new(),
        }
    }

    /// What a webhook has that answers a command.
    fn answer(&mut self, group: u64, kind: &str, request_id: &str) -> Map<String, Value> {
        let mut item = self.item(group, kind);
        item.insert("request_id".into(), json!(request_id));
        item
    }

    /// An id for a command.
    pub(crate) fn request_id(&mut self) -> String {
        ids::request(&mut self.dice)
    }

    /// The present second, mostly as a text, sometimes as a number.
    fn timestamp(&mut self) -> Value {
        let now = self.now();
        if self.dice.percent(15.0) { json!(now) } else { json!(now.to_string()) }
    }

    fn errors(&mut self, code: u32, title: &str) -> Value {
        let code = if self.dice.percent(30.0) { json!(code.to_string()) } else { json!(code) };
        json!([{
            "code": code, "title": title, "message": title,
            "error_data": { "details": format!("{title}. Try again/later.") },
        }])
    }

    /// A group that lives and is not suspended.
    fn some_group(&mut self) -> Option<u64> {
        let key = *self.dice.pick(&self.alive)?;
        self.groups.get(&key).filter(|group| group.status == Status::Active).map(|_| key)
    }
}

#[cfg(test)]
mod tests;
