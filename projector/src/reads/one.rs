//! Answers of one partition, where only a look at all of them tells which.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use groupfold_schemas::position::Position;
use tokio::time::Instant;

use super::judged::follow;
use super::{Freshness, Reads, not_reached};
use crate::partition::Partition;
use crate::problem::Problem;
use crate::store::ReadView;

/// An answer, and the partition of it; none while another one may know more.
pub(crate) type Placed<T> = (T, Option<u16>);

impl Reads {
    /// The same as [`Reads::read_all`], of what lives in one partition: once it is known which, that one alone must be as
    /// fresh as asked. Until then each that is may be the one, and it is looked again.
    pub(crate) async fn read_one<T, F>(&self, freshness: &Freshness, answer: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&[ReadView<'_>]) -> Result<Placed<T>, Problem> + Clone + Send + 'static,
    {
        let deadline = self.deadline(freshness);
        let min = freshness.min_position.clone().unwrap_or_default();
        self.knows_all_of(&min)?;
        let all = self.all();
        // Each look but the first follows upon a partition that is there since.
        for _ in 0..=all.len() {
            let (answer, min, served) = (answer.clone(), min.clone(), self.serves(freshness));
            let look = move |views: &[ReadView<'_>]| fresh(views, answer(views), &min, served);
            let looked = self.read(all.clone(), &Freshness::default(), look).await;
            match looked.map_err(|problem| self.elsewhere(problem))? {
                Ok(told) => return Ok(told),
                Err(behind) => self.reach_one(freshness, deadline, &behind, &all).await?,
            }
        }
        Err(not_reached(&min, &all))
    }

    /// Waits until one of those that are behind is as fresh as asked.
    async fn reach_one(
        &self,
        freshness: &Freshness,
        deadline: Instant,
        behind: &[u16],
        all: &[Partition],
    ) -> Result<(), Problem> {
        let min = freshness.min_position.clone().unwrap_or_default();
        let touched: Vec<Partition> = all.iter().filter(|one| behind.contains(&one.id)).cloned().collect();
        let told: &[Partition] = if let [_] = touched[..] { &touched } else { all };
        let _place = self.place_of(freshness, &min, told)?;
        let min = &min;
        let there = |partition: &Partition| {
            let (partition, wanted) = (partition.clone(), min.get(partition.id).unwrap_or_default());
            async move { follow(&partition, |status| status.applied >= wanted).await }
        };
        let mut each: FuturesUnordered<_> = touched.iter().map(there).collect();
        let one = async {
            // One that stopped will not be there; another may.
            while let Some(there) = each.next().await {
                if there {
                    return true;
                }
            }
            false
        };
        match self.in_time(deadline, one).await {
            Some(true) => Ok(()),
            Some(false) | None => Err(not_reached(min, told)),
        }
    }
}

/// What was found, if it is as fresh as asked; else the partitions that are not and may know more.
fn fresh<T>(
    views: &[ReadView<'_>],
    found: Result<Placed<T>, Problem>,
    min: &Position,
    served: Result<(), Problem>,
) -> Result<Result<T, Vec<u16>>, Problem> {
    let home = match &found {
        Ok((_, home)) => *home,
        Err(problem) if problem.is_absence() => None,
        Err(_) => return found.map(|(told, _)| Ok(told)),
    };
    if home.is_none() {
        served?;
    }
    let counts = |view: &&ReadView<'_>| home.is_none_or(|home| home == view.partition());
    let is_behind = |view: &&ReadView<'_>| view.sequence() < min.get(view.partition()).unwrap_or_default();
    let behind: Vec<u16> = views.iter().filter(counts).filter(is_behind).map(ReadView::partition).collect();
    if behind.is_empty() { found.map(|(told, _)| Ok(told)) } else { Ok(Err(behind)) }
}
