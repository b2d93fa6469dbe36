//! The publisher of one partition: what waits in the outbox, into the stream, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, HeaderValue};
use groupfold_fold::change::mark_of;
use groupfold_fold::entry::{Key, Source as _, Value};
use groupfold_schemas::change::Mark;
use groupfold_schemas::crash::{self, Point};
use groupfold_schemas::log;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::stream::{Changes, End, Last, Waiting, last_of};
use crate::caller::number_of;
use crate::partition::Partition;
use crate::store::{self, ReadView, published};

/// Changes of one batch: no more are taken by the broker, to whom each costs a folder of its own.
const BATCH_MAX: usize = 1_000;
/// Between two attempts; twice as long after each, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often it is remembered how far the stream goes: much less than anybody keeps changes for.
const REMEMBER_EVERY: Duration = Duration::from_secs(10);

/// The publisher of one partition.
pub(crate) struct Publisher {
    partition: Partition,
    changes: Changes,
    shutdown: CancellationToken,
    end: End,
    remembered: Mark,
    remember_at: Instant,
    /// It was said that changes were told already.
    said_told: bool,
}

/// What to do once nothing can be published after what is known.
enum Next {
    End,
    /// Ask how far the stream goes: further than was known.
    Ask,
}

impl Publisher {
    pub(crate) fn new(partition: Partition, client: Client, shutdown: CancellationToken) -> Self {
        let changes = Changes::new(client, partition.id);
        let (remembered, remember_at) = (Mark::default(), Instant::now() + REMEMBER_EVERY);
        let end = End::default();
        Self { partition, changes, shutdown, end, remembered, remember_at, said_told: false }
    }

    /// Publishes until it is told to end. What waits then is published by the next run.
    pub(crate) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        let mut pause = PAUSE;
        while !shutdown.is_cancelled() {
            let begun = Instant::now();
            let why = match self.publish().await {
                Ok(Next::End) => break,
                // Who was quicker may be so again.
                Ok(Next::Ask) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(why) => why,
            };
            if begun.elapsed() > PAUSE_MAX {
                pause = PAUSE;
            }
            tracing::debug!(reason = why, ?pause, "changes are not published");
            if self.partition.feed.troubled(why.clone()) {
                tracing::warn!(partition = self.partition.id, reason = why, "changes are not published");
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.remember().await;
    }

    /// Asks how far the stream goes, then goes on after that, until told to end.
    async fn publish(&mut self) -> Result<Next, String> {
        let shutdown = self.shutdown.clone();
        let end = tokio::select! {
            () = shutdown.cancelled() => return Ok(Next::End),
            end = self.changes.end() => end?,
        };
        let waiting = self.waiting(self.end.last.mark).await?;
        if end.is_whole && end.last.mark < waiting.left_out {
            // State goes on, until too much waits.
            self.partition.feed.found(waiting.left_out, 0);
            return Err(format!(
                "{} lost what followed {}, up to {}: stop the projector, move DIR/store/{} away and start it, and that is told \
                 from the log (a rebuild does not tell it)",
                log::CHANGES_STREAM,
                end.last.mark.id(self.partition.id),
                waiting.left_out.id(self.partition.id),
                self.partition.id,
            ));
        }
        let last = behind(&end, self.end.last, self.partition.feed.published());
        let published = waiting.changes.iter().filter(|change| mark_of(change) <= last.mark).count();
        self.end = End { last, ..end };
        self.partition.feed.found(last.mark, published as u64);
        loop {
            let commits = self.partition.feed.commits();
            let waiting = self.waiting(self.end.last.mark).await?;
            let Some(last) = waiting.changes.last().map(last_of) else {
                self.partition.feed.emptied(commits);
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(Next::End),
                    () = self.partition.feed.wait() => {}
                    () = tokio::time::sleep_until(self.remember_at), if self.remembered < self.end.last.mark => {
                        self.remember().await;
                    }
                }
                continue;
            };
            // Not dropped half way: what came of it would have to be asked for.
            let count = waiting.changes.len() as u64;
            crash::at(Point::FeedBegin);
            let first = waiting.changes.first().map(mark_of).unwrap_or_default();
            let sequence = match self.changes.publish(waiting, self.end.sequence).await {
                Ok(sequence) => sequence,
                Err(why) if self.is_told(first, &why).await => return Ok(Next::Ask),
                Err(why) => return Err(why),
            };
            crash::at(Point::FeedPublished);
            self.end = End { last, is_whole: true, sequence };
            self.partition.feed.advanced(last.mark, count);
            // Also where there is always more: whoever begins after a position is told by it whether all is kept.
            if self.remember_at <= Instant::now() {
                self.remember().await;
            }
            if shutdown.is_cancelled() {
                return Ok(Next::End);
            }
        }
    }

    /// True if the stream has a change by now that it refused, or later ones: another projector of the partition was first, or
    /// an answer of the broker's was lost. The same change of this log says the same, whoever tells it.
    async fn is_told(&mut self, change: Mark, refused: &str) -> bool {
        let told = self.changes.end().await.is_ok_and(|end| end.last.mark >= change);
        if told && !std::mem::replace(&mut self.said_told, true) {
            let partition = self.partition.id;
            tracing::info!(
                partition,
                refused,
                "changes are told already: another projector has the partition too, or an answer was lost"
            );
        }
        told
    }

    /// The next changes of the outbox.
    async fn waiting(&self, after: Mark) -> Result<Waiting, String> {
        let partition = self.partition.clone();
        let read = tokio::task::spawn_blocking(move || {
            let found = partition.store.view().and_then(|view| waiting(&view, after));
            found.inspect_err(|error| partition.report(error))
        });
        let read = read.await.map_err(|panic| panic.to_string())?;
        read.map_err(|error| store::chain(&error))
    }

    async fn remember(&mut self) {
        self.remember_at = Instant::now() + REMEMBER_EVERY;
        let mark = self.end.last.mark;
        if self.remembered < mark {
            match self.changes.remember(self.end).await {
                Ok(()) => self.remembered = mark,
                Err(why) => tracing::debug!(reason = why, "the end of the changes is not remembered"),
            }
        }
    }
}

/// What is published already: a message that retention took meanwhile does not take us back; what the stream lost does, and
/// waits still.
fn behind(found: &End, ours: Last, published: Mark) -> Last {
    if !found.is_whole && found.last.mark < published { ours } else { found.last }
}

fn waiting(view: &ReadView<'_>, after: Mark) -> Result<Waiting, store::Error> {
    let mut changes = view.outbox_after(after, BATCH_MAX)?;
    changes.truncate(BATCH_MAX);
    let mut numbers = BTreeMap::new();
    for change in &changes {
        if numbers.contains_key(&change.group_id) {
            continue;
        }
        let head = view.get(&Key::Head { group: change.group_id.clone() })?;
        if let Some(Value::Head(head)) = head.filter(|_| !change.group_id.is_empty())
            && !number_of(&head).is_empty()
        {
            numbers.insert(change.group_id.clone(), HeaderValue::from(number_of(&head)));
        }
    }
    Ok(Waiting { changes, numbers, left_out: published(&view.progress()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A running projector went on behind what it had published, though the stream had lost that.
    #[test]
    fn what_retention_took_is_published_and_what_the_stream_lost_is_not() {
        let last = |sequence| Last { mark: Mark { sequence, index: 0 }, log_time_ms: 1 };
        let found = |is_whole| End { last: last(3), is_whole, sequence: 7 };
        assert_eq!(behind(&found(false), last(9), last(9).mark), last(9));
        assert_eq!(behind(&found(true), last(9), last(9).mark), last(3));
        assert_eq!(behind(&found(false), last(1), last(1).mark), last(3), "another has published since");
    }
}
