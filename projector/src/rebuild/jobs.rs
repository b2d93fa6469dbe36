//! Tasks by their numbers: whoever began one asks for that one, whatever was begun since.

use std::collections::VecDeque;

use super::Refused;
use super::report::{Job, State, Task};

/// Tasks that are kept once others were begun: those of a group take a fraction of a second, and whoever waits for one may
/// fail to ask for some seconds. A report names differences by the hundred, so not for ever.
const KEPT: usize = 32;

/// The last task begun, and some before it.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) last: Job,
    before: VecDeque<Job>,
}

impl Jobs {
    /// Numbers a task and lets it take the place of the last one.
    pub(super) fn begin(&mut self, task: &Task) -> Result<Job, Refused> {
        if self.last.state == State::Running {
            return Err(Refused::Busy { task: self.last.task.clone() });
        }
        // By the clock, so that a process started anew gives nobody the number of another's task.
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        let id = now.max(self.last.id + 1);
        let begun = Job { id, task: task.name().to_owned(), state: State::Running, ..Job::default() };
        let before = std::mem::replace(&mut self.last, begun.clone());
        if before.state != State::None {
            self.before.push_front(before);
            self.before.truncate(KEPT);
        }
        Ok(begun)
    }

    pub(super) fn find(&self, id: u64) -> Option<&Job> {
        std::iter::once(&self.last).chain(&self.before).find(|job| job.id == id && job.state != State::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_by_its_number_after_others_and_forgotten_after_many() {
        let (mut jobs, task) = (Jobs::default(), Task::Rollback);
        assert!(jobs.find(0).is_none());
        let first = jobs.begin(&task).unwrap().id;
        assert_eq!(jobs.begin(&task).unwrap_err(), Refused::Busy { task: "rollback".to_owned() });
        let mut last = first;
        for others in 1..=KEPT + 1 {
            jobs.last.state = State::Done;
            let begun = jobs.begin(&task).unwrap().id;
            assert!(begun > last, "{begun} after {last}");
            last = begun;
            assert_eq!(jobs.find(first).is_some(), others <= KEPT, "{others}");
        }
        assert_eq!(jobs.find(last).map(|job| job.state), Some(State::Running));
    }
}
