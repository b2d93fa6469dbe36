//! What is asked for and what came of it, as the program prints it.

use groupfold_schemas::id::sha256;
use groupfold_schemas::log;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store;

/// Differences that a report names; the others are counted.
pub(super) const NAMED_MAX: usize = 200;
/// Parts of a whole that a sample is told in.
const PARTS: u64 = 10_000;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Fold partitions anew and put the new stores in the place of the live ones.
    Rebuild {
        /// Also where they differ.
        force: bool,
    },
    /// Put the previous stores back.
    Rollback,
    /// Fold anew and compare.
    Verify {
        /// How much of it.
        scope: Scope,
    },
}

impl Task {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rebuild { .. } => "rebuild",
            Self::Rollback => "rollback",
            Self::Verify { .. } => "verify",
        }
    }
}

/// How much of a partition is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// Groups whose hash is within this many ten-thousandths.
    Sample(u64),
    /// One group.
    Group(String),
}

impl Scope {
    pub(super) fn is_filtered(&self) -> bool {
        matches!(self, Self::Group(_))
    }

    pub(super) fn subjects(&self, partition: u16) -> Vec<String> {
        match self {
            Self::Whole | Self::Sample(_) => Vec::new(),
            Self::Group(group) => {
                vec![log::group_subjects(partition, group), log::groupless_subjects(partition)]
            }
        }
    }

    /// True for records that may contribute to what is looked at: receipts may leave their group out.
    pub(super) fn admits(&self, group: &str) -> bool {
        group.is_empty() || self.has(group)
    }

    /// True if the group is looked at.
    pub(super) fn has(&self, group: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Sample(parts) => {
                let hash = sha256([group.as_bytes()]);
                let mut head = [0; 8];
                head.copy_from_slice(&hash[8..16]);
                u64::from_be_bytes(head) % PARTS < *parts
            }
            Self::Group(one) => one == group,
        }
    }
}

/// How a task is doing, or how it ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its number, to ask for it by while others are begun; 0 if there is no task.
    pub id: u64,
    /// `rebuild`, `rollback` or `verify`; empty if there is no task.
    pub task: String,
    /// What became of it.
    pub state: State,
    /// The partition at work; one of them, if several are.
    pub partition: Option<u16>,
    /// What is done with it now.
    pub phase: String,
    /// Log sequence reached in that partition.
    pub done: u64,
    /// Log sequence to reach.
    pub total: u64,
    /// Messages folded per second since the task began.
    pub events_per_second: f64,
    /// Seconds to go for this partition at that rate.
    pub remaining_seconds: Option<f64>,
    /// Partitions that are through.
    pub partitions: Vec<Compared>,
    /// Why it failed, for a person.
    pub error: Option<String>,
    /// Why it failed, for a program; absent where nothing but a person helps.
    pub reason: Option<Reason>,
}

/// Why a task failed that may go well another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobReason)]
pub enum Reason {
    /// The broker does not answer, or does not deliver.
    LogUnreadable,
    /// It was interrupted, or the live store is not as far yet: begun again it goes on from where it was.
    NotYet,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub enum State {
    /// There was none since the process started, or none of this number that is still known.
    #[default]
    None,
    /// Under way.
    Running,
    /// Done, and all is equal.
    Done,
    /// Done, and something differs.
    Differs,
    /// Done, and all is equal as far as it goes; but partitions are stopped before the end of their log.
    Stopped,
    /// Not done.
    Failed,
}

/// One partition, compared.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Compared {
    /// Which.
    pub partition: u16,
    /// The sequence at which both were compared.
    pub sequence: u64,
    /// Entries that were compared.
    pub entries: u64,
    /// Groups that were compared.
    pub groups: u64,
    /// Digest of the entries compared, as folded anew.
    pub digest: String,
    /// Digest of those of the live store.
    pub live_digest: String,
    /// True if the new store took the place of the live one.
    pub swapped: bool,
    /// True if another version of the fold wrote the live store: then it may differ.
    pub other_fold: bool,
    /// Why the partition is stopped there, by the name that health has for it: what follows in the log is in no store.
    pub stopped: Option<String>,
    /// Of a partition that is stopped: where its log ends.
    pub log_end: Option<u64>,
    /// How many keys differ.
    pub differing: u64,
    /// Those of them that the live store alone has, or knows more of than the log.
    #[serde(default)]
    pub more: u64,
    /// Where keys differ: messages of the partition that an operator accepted as lost. A store that folded them before knows
    /// more than the log.
    #[serde(default)]
    pub lost: u64,
    /// Some of them.
    pub differences: Vec<Difference>,
}

impl Compared {
    /// What is told of a store that does not open.
    pub(super) fn of_damaged(partition: u16, error: &store::Error) -> Self {
        let key = format!(
            "the whole database: the next start sets it aside and folds it anew from the log ({})",
            store::chain(error)
        );
        let difference = Difference { group: None, key, what: Wrong::Unreadable };
        Self { partition, differing: 1, differences: vec![difference], ..Self::default() }
    }

    /// True of a store that does not open: nothing of it was compared.
    #[must_use]
    pub fn does_not_open(&self) -> bool {
        self.digest.is_empty() && self.differences.iter().any(|one| one.what == Wrong::Unreadable)
    }

    /// True if the live store merely knows what was in messages that the log lost since, as an operator accepted.
    #[must_use]
    pub fn knows_more(&self) -> bool {
        self.lost > 0 && self.more > 0 && self.more == self.differing
    }

    /// True if nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differing == 0
    }
}

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The group, where the key belongs to one.
    pub group: Option<String>,
    /// The key in words.
    pub key: String,
    /// What is wrong with it in the live store.
    pub what: Wrong,
}

/// What is wrong with an entry of the live store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DifferenceKind)]
pub enum Wrong {
    /// It says something else than the log.
    Differs,
    /// The log has it, the store does not.
    Missing,
    /// The store has it, the log does not.
    Extra,
    /// It cannot be read.
    Unreadable,
}

impl Wrong {
    /// For a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Unreadable => "unreadable",
        }
    }
}
