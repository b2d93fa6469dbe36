//! Reading what became of commands, for the API and for whoever sends them.

use std::collections::BTreeSet;

use groupfold_fold::view::{self, Command, CommandPage};
use groupfold_schemas::command::is_command_id;
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::CommandType;
use tokio::time::Instant;

use crate::api::problem::Problem;
use crate::partition::Partition;
use crate::projector::Projector;
use crate::reads::{self, Freshness, Reads, position_of};
use crate::store::ReadView;

/// Commands read at once.
const PAGE: usize = 200;

/// Why the stores do not answer now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the stores do not answer: {0}")]
pub struct Unanswered(String);

impl From<Problem> for Unanswered {
    fn from(problem: Problem) -> Self {
        Self(problem.to_string())
    }
}

/// The command once it has ended, or as it is at the deadline, as the partitions that are `touched` know it. One that is not
/// known, or not `seen` by who asks, is waited for as well: its request may be in the log and not folded yet.
pub(crate) async fn ended(
    reads: &Reads,
    touched: &[Partition],
    id: &str,
    freshness: &Freshness,
    deadline: Instant,
    seen: impl Fn(&Command) -> bool,
) -> Result<(Option<Command>, Position), Problem> {
    let may_come = is_command_id(id);
    loop {
        // Subscribed first: what changes while we read wakes us.
        let changed = reads::changed(touched);
        let id = id.to_owned();
        let asked = touched.to_vec();
        let answer = move |views: &[ReadView<'_>]| {
            let command = view::command(views, &id)?;
            // Asked while the views last, as for every absence.
            let behind = asked.iter().find(|partition| !partition.status.borrow().caught_up);
            Ok((command, position_of(views), behind.map(|partition| partition.id)))
        };
        let (command, position, behind) = reads.read(touched.to_vec(), freshness, answer).await?;
        let command = command.filter(&seen);
        let open = command.as_ref().map_or(may_come, |command| !command.status.is_end());
        if !open || tokio::time::timeout_at(deadline, changed).await.is_err() {
            return match behind.filter(|_| command.is_none() && may_come) {
                Some(partition) => Err(Problem::catching_up(partition)),
                None => Ok((command, position)),
            };
        }
    }
}

impl Projector {
    /// A command once it has ended, or as it is at the deadline; `None` if it is not known here by then.
    ///
    /// # Errors
    /// The stores cannot be read now.
    pub async fn command_ended(&self, id: &str, deadline: Instant) -> Result<Option<Command>, Unanswered> {
        let (reads, all) = (self.reads(), self.reads().all());
        let (command, _) = ended(reads, &all, id, &Freshness::default(), deadline, |_| true).await?;
        Ok(command)
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
            move |views: &[ReadView<'_>]| Ok(view::commands(views, before.as_deref(), PAGE, &|_| true)?);
        Ok(self.reads().read(self.reads().all(), &Freshness::default(), answer).await?)
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
        let number = phone_number_id.to_owned();
        let answer = move |views: &[ReadView<'_>]| {
            for view in views {
                for head in view.heads_after(None)? {
                    let (_, head) = head?;
                    let origin = head.origin.unwrap_or_default();
                    if origin.phone_number_id == number && !origin.account.is_empty() {
                        return Ok(Some(origin.account));
                    }
                }
            }
            Ok(None)
        };
        Ok(self.reads().read(self.reads().all(), &Freshness::default(), answer).await?)
    }
}
