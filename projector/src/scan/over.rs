//! Reading a stretch over what is missing: all that is there, and which messages are not.

use std::time::Duration;

use async_nats::jetstream::Context;

use super::{Error, Found, From, Scan, Stretch, ends, first_there};

/// How often what the leader has is read again, and after which pause.
const BEHIND_MAX: u32 = 20;
const BEHIND_PAUSE: Duration = Duration::from_millis(250);

/// A stretch of all subjects that is read over its holes.
pub struct Over {
    context: Context,
    stream: String,
    to: u64,
    /// What comes next.
    next: u64,
    scan: Scan,
    holes: Vec<(u64, u64)>,
    /// How often in turn nothing came though the leader has it.
    behind: u32,
}

impl Over {
    /// From one sequence to another. Nothing is asked of the broker before the first batch.
    #[must_use]
    pub fn new(context: Context, stream: String, from: u64, to: u64) -> Self {
        let next = from.max(1);
        let scan = scan(&context, &stream, next, to);
        Self { context, stream, to, next, scan, holes: Vec::new(), behind: 0 }
    }

    /// The next messages that are there, in order, at least one and at most `most`; `None` at the end of the stretch.
    ///
    /// # Errors
    /// The broker does not deliver, again and again.
    pub async fn next_batch(&mut self, most: usize) -> Result<Option<Vec<Found>>, Error> {
        while self.next <= self.to {
            let goes_on = match self.scan.next_batch(most).await {
                Ok(Some(batch)) => {
                    self.next = batch.last().map_or(self.next, |last| last.sequence + 1);
                    self.behind = 0;
                    return Ok(Some(batch));
                }
                Err(Error::Hole { found, .. }) => found,
                // The end may be what is missing; or the copy that was read is behind. The leader knows.
                Ok(None) | Err(Error::Lost { .. }) => {
                    let from = ends(&self.context, &self.stream).await?.first.max(self.next);
                    let there = first_there(&self.context, &self.stream, from, self.to).await?;
                    self.wait_for_copies(there).await?;
                    there.unwrap_or(self.to + 1)
                }
                Err(error) => return Err(error),
            };
            if self.next < goes_on {
                self.holes.push((self.next, goes_on - 1));
            }
            self.next = goes_on;
            self.scan = scan(&self.context, &self.stream, goes_on, self.to);
        }
        Ok(None)
    }

    /// What is there and did not come is not missing: a copy will have it, too.
    async fn wait_for_copies(&mut self, there: Option<u64>) -> Result<(), Error> {
        if there != Some(self.next) {
            return Ok(());
        }
        self.behind += 1;
        if self.behind > BEHIND_MAX {
            let why = format!("message {} does not come, though the leader has it", self.next);
            return Err(Error::Unreadable { stream: self.stream.clone(), why });
        }
        tokio::time::sleep(BEHIND_PAUSE).await;
        Ok(())
    }

    /// What was missing so far and nobody accepted as lost: the first and the last sequence of each hole.
    #[must_use]
    pub fn holes(&self) -> &[(u64, u64)] {
        &self.holes
    }
}

fn scan(context: &Context, stream: &str, from: u64, to: u64) -> Scan {
    let stretch = Stretch { stream: stream.to_owned(), from: From::Sequence(from), to, subjects: Vec::new() };
    Scan::new(context.clone(), stretch)
}
