//! In which POSTs the provider's changes go out, and in which order. All of it follows from the seed;
//! only the clock on the wall and the answers do not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::args::SimulateArgs;
use super::bad;
use super::dice::Dice;
use super::wire::{Change, signature};
use super::world::World;

/// POSTs that are held back at most: duplicates to come and late ones.
const HELD_MAX: usize = 2_000;

/// Why a POST is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It tells something for the first time.
    News,
    /// It was sent before, byte for byte.
    Duplicate,
    /// Its signature is wrong.
    Forged,
}

/// One POST.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) body: Arc<[u8]>,
    /// The value of the header, if it is sent at all.
    pub(crate) signature: Option<String>,
    pub(crate) items: usize,
    pub(crate) bad: usize,
    pub(crate) why: Why,
    /// Held back until later ones had gone.
    pub(crate) late: bool,
}

/// The POSTs, one after the other.
#[derive(Debug)]
pub(crate) struct Plan {
    world: Arc<Mutex<World>>,
    args: SimulateArgs,
    secret: String,
    dice: Dice,
    forger: Dice,
    spoiler: Dice,
    /// By the number of the POST after which they go.
    held: BTreeMap<u64, Vec<Post>>,
    held_total: usize,
    number: u64,
    items_left: Option<u64>,
    /// A change that found no room in the POST before.
    spare: Option<Change>,
}

impl Plan {
    pub(crate) fn new(args: &SimulateArgs, secret: &str) -> Self {
        let mut world = World::new(args);
        args.before.iter().for_each(|group| world.bring_back(group));
        Self {
            world: Arc::new(Mutex::new(world)),
            args: args.clone(),
            secret: secret.to_owned(),
            dice: Dice::new(args.seed, "plan"),
            forger: Dice::new(args.seed, "forger"),
            spoiler: Dice::new(args.seed, "spoiler"),
            held: BTreeMap::new(),
            held_total: 0,
            number: 0,
            items_left: args.events,
            spare: None,
        }
    }

    /// The world, which a served Graph API shares.
    pub(crate) fn shared_world(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.world)
    }

    /// The world, held by nobody else for as long.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells nothing new any more; what is held back still goes, and so does what has happened already.
    pub(crate) fn stop(&mut self) {
        self.items_left = Some(0);
    }

    /// The next POST; `None` when all is told.
    pub(crate) fn next_post(&mut self) -> Option<Post> {
        loop {
            self.number += 1;
            let over = self.is_over();
            if let Some(post) = self.release(over) {
                return Some(post);
            }
            if over {
                return None;
            }
            if self.forger.percent(self.args.wrong_signatures.0) {
                return Some(self.forge());
            }
            let mut post = self.fresh();
            if self.dice.percent(self.args.duplicates.0) {
                // Most come again soon, some when everybody has forgotten.
                let distance = if self.dice.percent(80.0) { 20 } else { 2_000 };
                let copy = Post { why: Why::Duplicate, ..post.clone() };
                self.hold(copy, distance);
            }
            if !self.dice.percent(self.args.reorder.0) || self.held_total >= HELD_MAX {
                return Some(post);
            }
            post.late = true;
            let distance = if self.dice.percent(90.0) { 12 } else { 400 };
            self.hold(post, distance);
        }
    }

    /// A POST that was held back long enough; in the end, any.
    fn release(&mut self, over: bool) -> Option<Post> {
        let mut entry = self.held.first_entry().filter(|entry| over || *entry.key() <= self.number)?;
        let post = entry.get_mut().pop();
        if entry.get().is_empty() {
            entry.remove();
        }
        self.held_total -= usize::from(post.is_some());
        post
    }

    fn is_over(&self) -> bool {
        // What the world did is told to the end, else the truth would know more than was sent.
        self.items_left == Some(0) && self.spare.is_none() && !self.world().has_more_to_tell()
    }

    fn hold(&mut self, post: Post, distance: u64) {
        if self.held_total < HELD_MAX {
            let after = self.number + self.dice.between(1, distance);
            self.held.entry(after).or_default().push(post);
            self.held_total += 1;
        }
    }

    fn fresh(&mut self) -> Post {
        if self.spoiler.percent(self.args.bad.0 / 20.0) {
            let body = bad::not_json(&mut self.spoiler);
            return self.signed(body, 1, 1);
        }
        let room = usize::try_from(self.dice.between(1, u64::from(self.args.batch))).unwrap_or(1);
        let mut changes: Vec<Change> = Vec::new();
        let mut items = 0;
        while items < room && !self.is_over() {
            let next = self.next_change();
            if items > 0 && items + next.items > usize::from(self.args.batch) {
                self.spare = Some(next);
                break;
            }
            items += next.items;
            self.put(&mut changes, next);
            if self.spoiler.percent(self.args.bad.0) {
                let (group, now) = self.some_group(|plan| &mut plan.spoiler);
                let bad = bad::unreadable(&mut self.spoiler, &group, now);
                items += bad.items;
                self.put(&mut changes, bad);
            }
        }
        let bad = changes.iter().map(|change| change.bad).sum();
        let mut entries = vec![changes];
        if entries[0].len() > 1 && self.dice.percent(15.0) {
            let middle = entries[0].len() / 2;
            let second = entries[0].split_off(middle);
            entries.push(second);
        }
        let body = self.world().business.body(entries);
        self.signed(body, items, bad)
    }

    fn next_change(&mut self) -> Change {
        if let Some(change) = self.spare.take() {
            return change;
        }
        let change = self.world().next_change();
        if let Some(left) = &mut self.items_left {
            *left = left.saturating_sub(change.items as u64);
        }
        change
    }

    /// Elements of `groups[]` share a change where they can, mostly.
    fn put(&mut self, changes: &mut Vec<Change>, next: Change) {
        let next = match changes.last_mut() {
            Some(last) if self.dice.percent(60.0) => match last.absorb(next) {
                Ok(()) => return,
                Err(next) => next,
            },
            _ => next,
        };
        changes.push(next);
    }

    fn signed(&self, body: Vec<u8>, items: usize, bad: usize) -> Post {
        let signature = Some(signature(&self.secret, &body));
        Post { body: body.into(), signature, items, bad, why: Why::News, late: false }
    }

    /// A group to make things up about, and the present second.
    fn some_group(&mut self, dice: fn(&mut Self) -> &mut Dice) -> (String, i64) {
        let world = self.shared_world();
        let world = world.lock().unwrap_or_else(PoisonError::into_inner);
        (world.any_group_id(dice(self)), world.now())
    }

    fn forge(&mut self) -> Post {
        let (group, now) = self.some_group(|plan| &mut plan.forger);
        let change = bad::forged(&mut self.forger, &group, now);
        let body = self.world().business.body(vec![vec![change]]);
        let signature = bad::wrong_signature(&mut self.forger, &self.secret, &body);
        Post { body: body.into(), signature, items: 1, bad: 0, why: Why::Forged, late: false }
    }
}

#[cfg(test)]
mod tests;
