//! Reading a stretch over what is missing: all that is there, and which messages are not.

use async_nats::jetstream::Context;

use super::{Error, Found, From, Scan, Stretch, ends, first_there};

/// A stretch of all subjects that is read over its holes.
pub struct Over {
    context: Context,
    stream: String,
    to: u64,
    /// What comes next.
    next: u64,
    scan: Scan,
    holes: Vec<(u64, u64)>,
}

impl Over {
    /// From one sequence to another. Nothing is asked of the broker before the first batch.
    #[must_use]
    pub fn new(context: Context, stream: String, from: u64, to: u64) -> Self {
        let next = from.max(1);
        let scan = scan(&context, &stream, next, to);
        Self { context, stream, to, next, scan, holes: Vec::new() }
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
                    return Ok(Some(batch));
                }
                // The end may be what is missing.
                Ok(None) => self.to + 1,
                Err(Error::Hole { found, .. }) => found,
                // The broker says nothing of what follows, but where it begins: what is before that is not asked for one by one.
                Err(Error::Lost { .. }) => {
                    let from = ends(&self.context, &self.stream).await?.first.max(self.next);
                    let there = first_there(&self.context, &self.stream, from, self.to).await?;
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
