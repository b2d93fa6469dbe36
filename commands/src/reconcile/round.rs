//! One round: groups read from the provider, compared with the projection, and appended where they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use groupfold_ingest::replay;
use groupfold_schemas::position::Position;

use super::differ::{self, Difference};
use super::folded::{Behind, fold_up};
use super::known::{self, Known};
use super::reading::{self, Read, read};
use super::snapshot;
use crate::api::Client;
use crate::exit::{Failure, with_causes};
use crate::progress;
use crate::provider::Provider;

/// Groups read at once; the provider's limit on a number's calls is not published.
pub(super) const AT_ONCE: usize = 4;
/// How long a stream that refused is not asked again.
const REFUSES_FOR: Duration = Duration::from_secs(30);

/// Both sides.
pub(super) struct Round<'a> {
    pub(super) provider: &'a Provider,
    pub(super) api: &'a Client,
    /// Says where the log ends; at hand wherever something may be appended.
    pub(super) log: Option<&'a replay::Log>,
    /// Compare invite links too: a call more for each group.
    pub(super) links: bool,
}

/// A group that was looked at.
pub(super) struct Found {
    pub(super) known: Known,
    pub(super) read: Read,
    pub(super) differences: Vec<Difference>,
}

impl Round<'_> {
    /// Reads and compares. What differs is looked at once more after a while, both sides anew and ours whole: webhooks under
    /// way are no difference.
    /// Groups of partitions that are `behind` are not read.
    pub(super) async fn compare(
        &self,
        groups: Vec<Known>,
        behind: &Behind,
        settle: Duration,
    ) -> Result<Vec<Found>, Failure> {
        let (unfolded, groups): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|known| behind.has(&known.group_id, self.log));
        let bar = progress::bar(groups.len() as u64, "reading");
        let looks = stream::iter(groups).map(|known| self.look(known)).buffer_unordered(AT_ONCE);
        let mut found: Vec<Found> = looks.inspect(|_| bar.inc(1)).collect().await;
        bar.finish_and_clear();
        found.sort_by(|a, b| a.known.group_id.cmp(&b.known.group_id));
        let (doubtful, mut sure): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| !found.differences.is_empty());
        sure.extend(unfolded.into_iter().map(|known| not_folded(known, behind)));
        if !doubtful.is_empty() {
            tokio::time::sleep(settle).await;
        }
        let behind = match doubtful.is_empty() {
            true => Behind::default(),
            false => fold_up(self.api, self.log).await?,
        };
        for first in doubtful {
            if behind.has(&first.known.group_id, self.log) {
                sure.push(not_folded(first.known, &behind));
                continue;
            }
            sure.push(match known::group(self.api, &first.known.group_id).await {
                Ok(known) => self.look(known).await,
                Err(failure) => {
                    Found { read: Read::Failed(failure.to_string()), differences: Vec::new(), ..first }
                }
            });
        }
        self.confirm_deletions(&mut sure).await;
        sure.sort_by(|a, b| a.known.group_id.cmp(&b.known.group_id));
        Ok(sure)
    }

    async fn look(&self, known: Known) -> Found {
        let read = read(self.provider, &known.phone_number_id, &known.group_id, self.links).await;
        let differences = match &read {
            Read::Present(reading) => differ::differences(&known, reading),
            Read::Absent { .. } => differ::vanished(&known),
            Read::Failed(_) => Vec::new(),
        };
        Found { known, read, differences }
    }

    /// A deletion is for ever, so two witnesses are heard: the group that is not known, and the list without it.
    async fn confirm_deletions(&self, found: &mut [Found]) {
        let absent = |found: &&mut Found| matches!(found.read, Read::Absent { .. });
        let mut lists: BTreeMap<String, Result<BTreeSet<String>, String>> = BTreeMap::new();
        for found in found.iter_mut().filter(absent) {
            let number = found.known.phone_number_id.clone();
            if !lists.contains_key(&number) {
                let list = self.provider.all_groups(&number).await;
                let ids = list.map(|groups| groups.into_iter().map(|group| group.group_id).collect());
                lists.insert(number.clone(), ids.map_err(|answer| reading::reason(&answer)));
            }
            let doubt = match &lists[&number] {
                Ok(listed) if !listed.contains(&found.known.group_id) => continue,
                Ok(_) => "listed, but its own page does not know it".to_owned(),
                Err(why) => format!("unknown to the provider, and the list cannot be read: {why}"),
            };
            (found.read, found.differences) = (Read::Failed(doubt), Vec::new());
        }
    }
}

/// A group of which half may be known.
pub(super) fn not_folded(known: Known, behind: &Behind) -> Found {
    Found { known, read: Read::Failed(behind.to_string()), differences: Vec::new() }
}

/// What became of the groups that differ.
#[derive(Default)]
pub(super) struct Appended {
    pub(super) count: u64,
    pub(super) position: Position,
    /// Groups whose stream does not take it now, and why: the next round tries again.
    pub(super) refused: Vec<(String, String)>,
    /// Why streams refused, and when: they are not asked again for a while, as each time takes some.
    refusing: BTreeMap<Vec<u16>, (String, Instant)>,
}

impl Appended {
    /// Appends what was read of a group.
    pub(super) async fn append(&mut self, log: &replay::Log, found: &Found, run: &str) {
        let Some(record) = snapshot::record(&found.known, &found.read, run) else { return };
        let partitions = log.partitions_of(&record);
        self.refusing.retain(|_, (_, at)| at.elapsed() < REFUSES_FOR);
        if !self.refusing.contains_key(&partitions) {
            match log.append_ours(&record).await {
                Ok(stored) => {
                    self.position.join(&stored.position);
                    self.count += 1;
                    return;
                }
                Err(error) if error.is_of_message() => {
                    self.refused.push((found.known.group_id.clone(), with_causes("", &error)));
                    return;
                }
                Err(error) => {
                    self.refusing.insert(partitions.clone(), (with_causes("", &error), Instant::now()));
                }
            }
        }
        let why = self.refusing.get(&partitions).map(|(why, _)| why.clone()).unwrap_or_default();
        self.refused.push((found.known.group_id.clone(), why));
    }
}

/// Appends what was read of the groups that differ.
pub(super) async fn append(log: &replay::Log, found: &[&Found], run: &str) -> Appended {
    let mut appended = Appended::default();
    for found in found {
        appended.append(log, found, run).await;
    }
    appended
}
