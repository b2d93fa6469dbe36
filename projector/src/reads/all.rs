//! Answers that any partition may have, where this process owns some of them: what it does not know another one may.

use super::{Freshness, Reads};
use crate::partition::Partition;
use crate::problem::Problem;
use crate::store::ReadView;

impl Reads {
    /// The same as [`Reads::read`], of all partitions that this process owns.
    pub(crate) async fn read_all<T, F>(&self, freshness: &Freshness, answer: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&[ReadView<'_>]) -> Result<T, Problem> + Send + 'static,
    {
        self.serves(freshness)?;
        self.read(self.all(), freshness, answer).await.map_err(|problem| self.elsewhere(problem))
    }

    /// All partitions that this process owns, once they are as fresh as asked.
    pub(crate) async fn reach_all(&self, freshness: &Freshness) -> Result<Vec<Partition>, Problem> {
        self.serves(freshness)?;
        let all = self.all();
        self.reach(freshness, &all).await?;
        Ok(all)
    }

    /// That a position speaks of no other process's partition, where all partitions count.
    pub(crate) fn serves(&self, freshness: &Freshness) -> Result<(), Problem> {
        let named = freshness.min_position.iter().flat_map(|min| min.iter());
        let elsewhere = named.map(|(partition, _)| partition).find(|partition| self.is_elsewhere(*partition));
        elsewhere.map_or(Ok(()), |partition| Err(Problem::partition_not_owned(partition)))
    }

    /// What is not known here is known to be absent only where all partitions are.
    pub(crate) fn elsewhere(&self, problem: Problem) -> Problem {
        let others: Vec<u16> = (0..self.partitions_total).filter(|id| self.is_elsewhere(*id)).collect();
        if problem.is_absence() && !others.is_empty() { problem.or_elsewhere(&others) } else { problem }
    }

    fn is_elsewhere(&self, partition: u16) -> bool {
        partition < self.partitions_total && !self.owned.contains_key(&partition)
    }
}
