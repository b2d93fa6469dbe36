//! What a row came to.

use std::time::Duration;

use groupfold_tests::{Checked, History};

/// Violations kept word by word; more are counted.
const KEPT_MAX: usize = 20;

/// What a row came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: u32,
    /// Kills, pauses, cuts, flips and so on: one a round, or several that overlap.
    pub(crate) faults: u64,
    /// Webhooks by what their sender knows.
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) rejected: u64,
    /// Items of acknowledged webhooks that are not there, and states that were shown and are gone.
    pub(crate) lost: u64,
    /// Items that took effect more than once.
    pub(crate) twice: u64,
    /// Answers that no state of the log accounts for.
    pub(crate) wrong: u64,
    /// Messages in the logs that were checked, and how many of them had come in atomic batches.
    pub(crate) messages: (u64, u64),
    /// Changes that were published, where they were looked at.
    pub(crate) changes: u64,
    /// Of each round, see [`crate::world::World::recovered`].
    pub(crate) recovery: Vec<Duration>,
    /// Worlds that ended by a panic: a violation each.
    pub(crate) ended_early: u32,
    /// What else was broken, in words.
    pub(crate) violations: Vec<String>,
    /// What a reader of the table should know beside the numbers.
    pub(crate) notes: Vec<String>,
    /// Why the row was not run here.
    pub(crate) not_run: Option<String>,
}

impl Outcome {
    /// True if the row was not run here, or if it came to its end and shows what it must: that no promise was broken, or,
    /// of a control, that its fault alone loses something. One that could not go on has shown nothing.
    pub(crate) fn is_as_it_must(&self, control: bool) -> bool {
        let broken = self.lost + self.twice + self.wrong > 0 || !self.violations.is_empty();
        let shows = if control { self.lost > 0 } else { !broken };
        self.not_run.is_some() || (self.rounds > 0 && self.ended_early == 0 && shows)
    }

    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        if self.violations.len() < KEPT_MAX {
            self.violations.push(what.into());
        }
    }

    /// A panic is a violation; its text says which.
    pub(crate) fn ended_early(&mut self, panic: &(dyn std::any::Any + Send)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        self.violation(format!("ended by: {text}"));
        self.ended_early += 1;
    }

    /// A round is over: so many faults, and how long it took after them until a webhook was taken and read.
    pub(crate) fn round(&mut self, faults: u64, recovery: Option<Duration>) {
        self.rounds += 1;
        self.faults += faults;
        self.recovery.extend(recovery);
    }

    /// Adds what a world's check found.
    pub(crate) fn add(&mut self, history: &History, checked: &Checked) {
        self.add_counts(history, checked);
        self.twice += checked.twice.len() as u64;
        self.wrong += checked.wrong.len() as u64;
        self.messages.0 += checked.messages.0;
        self.messages.1 += checked.messages.1;
        for violation in history.violations().iter().chain(&checked.violations) {
            self.violation(violation);
        }
        for what in checked.lost.iter().chain(&checked.twice).chain(&checked.wrong).take(KEPT_MAX) {
            self.note(what);
        }
    }

    /// The numbers alone, for a control: what it loses is no news.
    pub(crate) fn add_counts(&mut self, history: &History, checked: &Checked) {
        let counts = history.counts();
        self.acknowledged += counts.acknowledged;
        self.unknown += counts.unknown;
        self.rejected += counts.rejected;
        self.lost += checked.lost.len() as u64;
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.notes.len() < KEPT_MAX && !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    /// Recovery times at a share of all, from 0 to 1.
    pub(crate) fn recovery_at(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.recovery.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last as f64 * share).round() as usize).copied()
    }
}
