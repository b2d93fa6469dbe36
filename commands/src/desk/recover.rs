//! Commands that nobody has in hand: left by a process that was killed.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use groupfold_fold::view::{Command, CommandStatus};
use tokio::time::sleep;

use super::run::{Work, is_to_be_looked_for};
use super::{Inner, now_ms};

/// How often they are looked for.
const EVERY: Duration = Duration::from_secs(2);
/// A command so young is in the hands of whoever took it.
const YOUNG_MS: i64 = 2_000;
/// Once all were looked through, those older than this have been seen to their end.
const LOOKED_BACK_MS: i64 = 48 * 60 * 60 * 1000;

impl Inner {
    pub(super) async fn recover(self: Arc<Self>) {
        // Partitions of which all were looked through once.
        let mut seen = BTreeSet::new();
        loop {
            tokio::select! {
                () = sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
            // One partition that stands still is no reason to leave what lives in the others.
            let there = self.projector.taking_in();
            if there.is_empty() {
                continue;
            }
            match self.look_through(&there, !there.is_subset(&seen)).await {
                Ok(()) => seen.extend(there),
                Err(error) => tracing::debug!(%error, "commands cannot be looked through"),
            }
        }
    }

    /// Takes in hand what is left of those that live in the partitions `there`.
    async fn look_through(
        self: &Arc<Self>,
        there: &BTreeSet<u16>,
        all: bool,
    ) -> Result<(), groupfold_projector::Unanswered> {
        let oldest = groupfold_schemas::command::command_id(now_ms() - LOOKED_BACK_MS, [0; 10]);
        let (mut left, mut before) = (Vec::new(), None);
        loop {
            let page = self.projector.commands(before).await?;
            left.extend(
                page.commands.into_iter().filter(|command| is_left(command) && self.lives_in(command, there)),
            );
            match page.next {
                Some(next) if all || next > oldest => before = Some(next),
                _ => break,
            }
        }
        // In the order in which they were asked for: the last name that was wanted is the one that stays.
        left.iter().rev().for_each(|command| self.adopt(command));
        Ok(())
    }

    fn lives_in(&self, command: &Command, partitions: &BTreeSet<u16>) -> bool {
        let Some(asked) = &command.state.requested else { return false };
        let key = if asked.group_id.is_empty() { &asked.account } else { &asked.group_id };
        partitions.contains(&self.log.home_of(key))
    }

    fn adopt(self: &Arc<Self>, command: &Command) {
        let in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        if in_hand.contains(&command.command_id) {
            return;
        }
        drop(in_hand);
        match Work::of(command) {
            Some(work) => self.take_in_hand(work, None),
            None => tracing::warn!(command_id = command.command_id, "a command cannot be read by this build"),
        }
    }
}

fn is_left(command: &Command) -> bool {
    let asked = command.state.requested.as_ref().and_then(|station| station.stamp.as_ref());
    let age_ms = asked.map_or(i64::MAX, |stamp| now_ms() - stamp.time_ms);
    // What was so already long ago is left to rounds of reconciling.
    let matters = command.status == CommandStatus::Unknown || age_ms < LOOKED_BACK_MS;
    age_ms >= YOUNG_MS && (!command.status.is_end() || (matters && is_to_be_looked_for(command)))
}
