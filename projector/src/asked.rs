//! Reading what became of commands, for the API and for whoever sends them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use groupfold_fold::entry::Source as _;
use groupfold_fold::view::{self, Command, CommandPage};
use groupfold_schemas::command::is_command_id;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::CommandType;
use tokio::time::{Instant, sleep_until};

use crate::partition::Partition;
use crate::problem::Problem;
use crate::projector::Projector;
use crate::reads::{self, Freshness, Reads, position_of};
use crate::store::ReadView;

/// Commands, or groups, looked at under one view: the writer waits that long.
const PORTION: usize = 200;
/// Who waits for a command reads it no more often: each batch that is folded changes what it may show.
const READ_EVERY: Duration = Duration::from_millis(50);

/// Why the stores do not answer now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the stores do not answer: {0}")]
pub struct Unanswered(Arc<Problem>);

impl Unanswered {
    pub(crate) fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Problem> for Unanswered {
    fn from(problem: Problem) -> Self {
        Self(Arc::new(problem))
    }
}

/// The command once it is `over`, or as it is at the deadline, as the partitions that are `touched` know it. One that is not
/// known, or not `seen` by who asks, is waited for as well: its request may be in the log and not folded yet.
pub(crate) async fn ended(
    reads: &Reads,
    touched: &[Partition],
    id: &str,
    freshness: &Freshness,
    deadline: Instant,
    seen: impl Fn(&Command) -> bool,
    over: fn(&Command) -> bool,
) -> Result<(Option<Command>, Position), Problem> {
    let may_come = is_command_id(id);
    let mut home = touched.to_vec();
    loop {
        let began = Instant::now();
        // Subscribed first: what changes while we read wakes us.
        let changed = reads::changed(&home);
        let id = id.to_owned();
        let asked = touched.to_vec();
        let answer = move |views: &[ReadView<'_>]| {
            let command = view::command(views, &id)?;
            // Asked while the views last, as for every absence.
            let behind = asked.iter().find(|partition| !partition.status.borrow().caught_up);
            Ok((
                command,
                position_of(views),
                behind.map(|behind| (behind.id, behind.status.borrow().clone())),
            ))
        };
        let (command, position, behind) = reads.read(touched.to_vec(), freshness, answer).await?;
        let command = command.filter(&seen);
        let open = command.as_ref().map_or(may_come, |command| !over(command));
        if let Some(group) = command.as_ref().and_then(group_of) {
            // What becomes of it is told where its group lives.
            home = vec![reads.home_of(group)?];
        }
        if !open || began >= deadline || reads.in_time(deadline, changed).await.is_none() {
            return match behind.filter(|_| command.is_none() && may_come) {
                Some((partition, status)) => Err(Problem::not_folded(partition, &status)),
                None => Ok((command, position)),
            };
        }
        sleep_until(deadline.min(began + READ_EVERY)).await;
    }
}

/// The group that a command was asked for in; `None` of a creation.
fn group_of(command: &Command) -> Option<&str> {
    command.state.requested.as_ref().map(|asked| asked.group_id.as_str()).filter(|group| !group.is_empty())
}

/// Commands that stand in a partition, of ids from `since` on and `wanted`, the last asked for first, as that partition
/// alone knows them.
async fn standing(
    reads: &Reads,
    partition: u16,
    since: &str,
    wanted: fn(&Command) -> bool,
) -> Result<Vec<Command>, Problem> {
    let home = reads.owned(partition)?;
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let since = since.to_owned();
        let answer = move |views: &[ReadView<'_>]| {
            let (mut portion, mut next) = (Vec::new(), None);
            for view in views {
                let mut states = view.commands_before(before.as_deref(), PORTION)?;
                let more = states.len() == PORTION;
                states.retain(|(id, _)| *id >= since);
                next = states.last().map(|(id, _)| id.clone()).filter(|_| more && states.len() == PORTION);
                for (id, _) in states.iter().filter(|(_, state)| state.requested.is_some()) {
                    portion.extend(view::command(views, id)?.filter(wanted));
                }
            }
            Ok((portion, next))
        };
        let (portion, next) = reads.read(vec![home.clone()], &Freshness::default(), answer).await?;
        found.extend(portion);
        match next {
            Some(_) => before = next,
            None => return Ok(found),
        }
    }
}

/// The account of a business number, as any group in these partitions tells it.
async fn account_of(
    reads: &Reads,
    partitions: Vec<Partition>,
    number: &str,
) -> Result<Option<String>, Problem> {
    for partition in partitions {
        let mut after: Option<String> = None;
        loop {
            let number = number.to_owned();
            let answer = move |views: &[ReadView<'_>]| {
                let (mut looked_at, mut last) = (0, None);
                for view in views {
                    for head in view.heads_after(after.as_deref())?.take(PORTION) {
                        let (group, head) = head?;
                        let origin = head.origin.unwrap_or_default();
                        if origin.phone_number_id == number && !origin.account.is_empty() {
                            return Ok((Some(origin.account), None));
                        }
                        (looked_at, last) = (looked_at + 1, Some(group));
                    }
                }
                Ok((None, last.filter(|_| looked_at == PORTION)))
            };
            let found = reads.read(vec![partition.clone()], &Freshness::default(), answer).await?;
            match found {
                (Some(account), _) => return Ok(Some(account)),
                (None, Some(last)) => after = Some(last),
                (None, None) => break,
            }
        }
    }
    Ok(None)
}

impl Projector {
    /// A command about a group, or a creation, whose group is empty, once it has ended, or as it is at the deadline; `None`
    /// if it is not known here by then.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn command_ended(
        &self,
        group: &str,
        id: &str,
        deadline: Instant,
    ) -> Result<Option<Command>, Unanswered> {
        let (touched, freshness) = (self.homes(group)?, Freshness::default());
        Ok(ended(self.reads(), &touched, id, &freshness, deadline, |_| true, Command::has_ended).await?.0)
    }

    /// A command as it is where its group lives, or of a creation, whose group is empty, anywhere; `None` if it is not known
    /// there.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn command(&self, group: &str, id: &str) -> Result<Option<Command>, Unanswered> {
        let (touched, id) = (self.homes(group)?, id.to_owned());
        let answer = move |views: &[ReadView<'_>]| Ok(view::command(views, &id)?);
        Ok(self.reads().read(touched, &Freshness::default(), answer).await?)
    }

    /// The same once all is folded there that the log has now: one that is not known then was never in it.
    ///
    /// # Errors
    /// It is not folded within a bound, or the stores cannot be read now.
    pub async fn command_now(&self, group: &str, id: &str) -> Result<Option<Command>, Unanswered> {
        self.reads().fold_up(&self.homes(group)?).await?;
        self.command(group, id).await
    }

    fn homes(&self, group: &str) -> Result<Vec<Partition>, Problem> {
        if group.is_empty() { Ok(self.reads().all()) } else { Ok(vec![self.reads().home_of(group)?]) }
    }

    /// Waits until a position is folded, as far as this process does so; false if it is not by the deadline.
    pub async fn reached(&self, position: &Position, deadline: Instant) -> bool {
        self.reads().reached(position, deadline).await
    }

    /// Commands of ids less than one, the last asked for first, and where to go on.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn commands(&self, before: Option<String>) -> Result<CommandPage, Unanswered> {
        let answer =
            move |views: &[ReadView<'_>]| Ok(view::commands(views, before.as_deref(), PORTION, &|_| true)?);
        Ok(self.reads().read(self.reads().all(), &Freshness::default(), answer).await?)
    }

    /// Commands that stand in a partition, of ids from `since` on (all, if that is empty) and `wanted`, the last asked for
    /// first.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn commands_since(
        &self,
        partition: u16,
        since: &str,
        wanted: fn(&Command) -> bool,
    ) -> Result<Vec<Command>, Unanswered> {
        let mut found = Vec::new();
        for command in standing(self.reads(), partition, since, wanted).await? {
            if group_of(&command).is_some() {
                found.push(command);
            } else {
                // What became of a creation is told where the group lives that it made.
                found.extend(self.command("", &command.command_id).await?.filter(wanted));
            }
        }
        Ok(found)
    }

    /// Partitions of this process that read the log and have folded what was in it at start. That their changes wait to be
    /// published is no reason against one.
    #[must_use]
    pub fn taking_in(&self) -> BTreeSet<u16> {
        let takes = |partition: &Partition| partition.status.borrow().reason(partition.id).is_none();
        self.reads().all().into_iter().filter(takes).map(|partition| partition.id).collect()
    }

    /// A group once all is folded where it lives that the log has now; `None` if it is not known then.
    ///
    /// # Errors
    /// It is not folded within a bound, or the stores cannot be read now.
    pub async fn group_now(&self, id: &str) -> Result<Option<view::Group>, Unanswered> {
        self.reads().fold_up(&[self.reads().home_of(id)?]).await?;
        self.group(id).await
    }

    /// A group as it is now; `None` if it is not known here.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn group(&self, id: &str) -> Result<Option<view::Group>, Unanswered> {
        let (home, id) = (self.reads().home_of(id)?, id.to_owned());
        let answer = move |views: &[ReadView<'_>]| {
            Ok(views.first().map(|view| view::group(view, &id)).transpose()?.flatten())
        };
        Ok(self.reads().read(vec![home], &Freshness::default(), answer).await?)
    }

    /// The events that told outcomes of a type about a group from a time on, with their times, in order.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn outcomes_since(
        &self,
        group: &str,
        of: CommandType,
        since_ms: i64,
    ) -> Result<Vec<(i64, String)>, Unanswered> {
        let (home, group) = (self.reads().home_of(group)?, group.to_owned());
        let answer = move |views: &[ReadView<'_>]| {
            let told = views.first().map(|view| view::outcomes_since(view, &group, of, since_ms));
            Ok(told.transpose()?.unwrap_or_default())
        };
        Ok(self.reads().read(vec![home], &Freshness::default(), answer).await?)
    }

    /// The account of a business number, as any of its groups tells it; `None` if none does.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn account_of(&self, phone_number_id: &str) -> Result<Option<String>, Unanswered> {
        Ok(account_of(self.reads(), self.reads().all(), phone_number_id).await?)
    }
}

#[cfg(test)]
mod tests;
