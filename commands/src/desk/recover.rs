//! Commands that nobody has in hand: left by a process that was killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use groupfold_fold::view::{Command, CommandStatus};
use tokio::time::sleep;

use super::run::{Work, is_to_be_looked_for};
use super::{Inner, now_ms};

/// How often they are looked for.
const EVERY: Duration = Duration::from_secs(2);
/// A command so young is in the hands of whoever took it.
const YOUNG_MS: i64 = 2_000;
/// Of so old ones none is in hand any more: they have been seen to their end, or are left to rounds of reconciling.
const LOOKED_BACK_MS: i64 = 48 * 60 * 60 * 1000;
/// Looked through each time, however many of them have ended: clocks differ, and a request may be long on its way.
const MARGIN_MS: i64 = 2 * 60 * 1000;
/// How often all of the last [`LOOKED_BACK_MS`] are looked through: one that had ended may be seen otherwise since.
const BACK_EVERY: Duration = Duration::from_secs(15 * 60);

impl Inner {
    pub(super) async fn recover(self: Arc<Self>) {
        // From which id on a partition is looked through: all before it have ended. Absent before all were.
        let mut since = BTreeMap::new();
        let mut back = Instant::now();
        loop {
            tokio::select! {
                () = sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
            if back.elapsed() >= BACK_EVERY {
                back = Instant::now();
                since.values_mut().for_each(|id| *id = id_of(LOOKED_BACK_MS));
            }
            let mut left = Vec::new();
            // One partition that stands still is no reason to leave what lives in the others.
            for partition in self.projector.taking_in() {
                let from = since.get(&partition).map_or("", String::as_str);
                match self.projector.commands_since(partition, from, is_left).await {
                    Ok(found) => {
                        since.insert(partition, first_open(&found));
                        left.extend(found);
                    }
                    Err(error) => tracing::debug!(partition, %error, "commands cannot be looked through"),
                }
            }
            // In the order in which they were asked for: the last name that was wanted is the one that stays.
            left.sort_by(|a, b| a.command_id.cmp(&b.command_id));
            left.iter().for_each(|command| self.adopt(command));
        }
    }

    fn adopt(self: &Arc<Self>, command: &Command) {
        if self.in_hand.has(&command.command_id) {
            return;
        }
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

/// Where the next look begins, of what is left now.
fn first_open(left: &[Command]) -> String {
    let margin = id_of(MARGIN_MS);
    let first = left.iter().map(|command| &command.command_id).min().filter(|first| **first < margin);
    first.cloned().unwrap_or(margin).max(id_of(LOOKED_BACK_MS))
}

/// The least id of a command that was asked for so long ago.
fn id_of(age_ms: i64) -> String {
    groupfold_schemas::command::command_id(now_ms() - age_ms, [0; 10])
}
