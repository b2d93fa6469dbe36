//! What people do by themselves: they come to groups that were created, say hello, and read messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::args::ServeArgs;
use super::{Graph, held};
use crate::simulate::dice::Dice;
use crate::simulate::ids;
use crate::simulate::world::{Group, JOINED, MemberStatus, REQUESTED, Status, World, room};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Deeds that are planned at once at most.
const PLANNED_MAX: usize = 50_000;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Come { group: u64, person: Option<u64> },
    Speak { group: u64, person: u64 },
}

/// What people are going to do.
#[derive(Debug)]
pub(super) struct Life {
    dice: Dice,
    joiners: u8,
    after: Duration,
    planned: BTreeMap<(Instant, u64), Deed>,
    serial: u64,
}

impl Life {
    pub(super) fn new(args: &ServeArgs, seed: u64) -> Self {
        let (joiners, after) = (args.joiners, args.join_after);
        Self { dice: Dice::new(seed, "life"), joiners, after, planned: BTreeMap::new(), serial: 0 }
    }

    /// People will come to a group, one after the other.
    pub(super) fn attract(&mut self, group: u64) {
        let mut delay = Duration::ZERO;
        for _ in 0..self.joiners {
            delay += self.after.mul_f64(0.5 + self.dice.unit());
            self.plan(delay, Deed::Come { group, person: None });
        }
    }

    /// Somebody will follow an invitation.
    pub(super) fn invite(&mut self, group: u64, person: u64) {
        let delay = self.after.mul_f64(0.5 + self.dice.unit());
        self.plan(delay, Deed::Come { group, person: Some(person) });
    }

    fn plan(&mut self, delay: Duration, deed: Deed) {
        if self.planned.len() < PLANNED_MAX {
            self.serial += 1;
            self.planned.insert((Instant::now() + delay, self.serial), deed);
        }
    }

    fn due(&mut self) -> Vec<Deed> {
        let later = self.planned.split_off(&(Instant::now(), 0));
        std::mem::replace(&mut self.planned, later).into_values().collect()
    }
}

/// Lets people live until this is dropped.
pub(super) async fn live(graph: Arc<Graph>) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let due = held(&graph.life).due();
        for deed in due {
            let came = graph.by_people(|world| do_it(world, deed));
            if let Some((group, person)) = came {
                let mut life = held(&graph.life);
                let delay = life.after.mul_f64(0.5 + life.dice.unit());
                // Every other one says hello.
                if life.dice.percent(50.0) {
                    life.plan(delay, Deed::Speak { group, person });
                }
            }
        }
        graph.by_people(World::send_due_receipts);
    }
}

/// Who came into which group by it.
fn do_it(world: &mut World, deed: Deed) -> Option<(u64, u64)> {
    match deed {
        Deed::Come { group, person } => {
            let person = person.unwrap_or_else(|| world.somebody_new(None, None));
            (come(world, group, person) == Ok(Entry::Joined)).then_some((group, person))
        }
        Deed::Speak { group, person } => {
            let there = world.standing(group, person) == Some(MemberStatus::Member);
            let active = world.groups.get(&group).is_some_and(|group| group.status == Status::Active);
            if there && active {
                say(world, group, person, None);
            }
            None
        }
    }
}

/// How somebody came who followed a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Joined,
    Asked,
}

/// Somebody follows the link of a group.
pub(super) fn come(world: &mut World, key: u64, person: u64) -> Result<Entry, &'static str> {
    let group: &Group = world.groups.get(&key).ok_or("there is no such group")?;
    let (asks, full) = (group.asks_approval(), room(group) == 0);
    if group.status != Status::Active || group.invite_link.is_none() {
        return Err("the group has no link that works");
    }
    match world.standing(key, person) {
        Some(MemberStatus::Member) => return Err("the person is in the group"),
        Some(MemberStatus::Pending) => return Err("the person has asked already"),
        Some(MemberStatus::Removed) => return Err("the business removed the person, who cannot come back"),
        Some(MemberStatus::Left | MemberStatus::Revoked) | None => {}
    }
    if asks {
        world.wait_for(key, person, REQUESTED);
        world.ask(key, person);
        return Ok(Entry::Asked);
    }
    if full {
        return Err("the group is full");
    }
    world.wait_for(key, person, JOINED);
    world.enter(key, &[person]);
    Ok(Entry::Joined)
}

/// A member writes; returns the message's id.
pub(super) fn say(world: &mut World, key: u64, person: u64, body: Option<&str>) -> Option<String> {
    let mut dice = Dice::new(person, "hello");
    let body = body.map_or_else(|| ids::body(&mut dice), str::to_owned);
    world.hear_from(key, person, "message", json!({ "type": "text", "text": { "body": body } }))
}
