//! The change feed of one partition: from the store's outbox into the stream `GROUPFOLD_CHANGES`.
//!
//! ```text
//! fold ──state + changes, one write──▶ store ──outbox──▶ publisher ──atomic batch──▶ GROUPFOLD_CHANGES
//!   ▲                                                        │ asks for its last message, goes on after it
//!   └────────── how far it is published, how much waits ◀────┘
//! ```
//!
//! Each change is there once and in order, whatever is killed: the stream itself tells how far it goes, the broker
//! takes a batch whole and only if it follows that message, and the fold tells nothing that is published already.
//! So a store that is folded again, or a second projector on the same log, publishes nothing twice.

pub(crate) mod body;
pub(crate) mod follow;
mod publisher;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use groupfold_schemas::change::Mark;
use tokio::sync::watch;

pub(crate) use publisher::Publisher;

/// Header of a change: the business number of its group, as far as it was known. Whose changes they are.
pub(crate) const NUMBER_HEADER: &str = "Groupfold-Number";
/// Changes that may wait to be published; the fold begins no batch while there are more. One that it has begun brings all
/// of its own.
const WAITING_MAX: u64 = 20_000;
/// How long nothing may be published before readiness says so.
const GRACE: Duration = Duration::from_secs(3);

/// What the fold and the publisher of a partition share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    /// The last change published; `None` until the stream was asked.
    published: Option<Mark>,
    /// Changes in the outbox that are not published, about.
    waiting: u64,
    /// Commits that brought changes. Whoever found nothing waiting says before which of them.
    commits: u64,
    /// True while nothing waits for certain.
    empty: bool,
    /// Why nothing can be published, and since when.
    trouble: Option<(Instant, String)>,
}

impl Feed {
    /// The last change published, as far as is known.
    pub(crate) fn published(&self) -> Mark {
        self.0.borrow().published.unwrap_or_default()
    }

    /// Waits until it is known what is published, and until not too much waits.
    pub(crate) async fn ready(&self) {
        let ready = |state: &State| state.published.is_some() && state.waiting < WAITING_MAX;
        // Fails when the sender is gone, and it is ours.
        let _ = self.0.subscribe().wait_for(ready).await;
    }

    /// Takes note of changes that were committed.
    pub(crate) fn committed(&self, changes: usize) {
        if changes > 0 {
            self.0.send_modify(|state| {
                state.waiting += changes as u64;
                state.commits += 1;
                state.empty = false;
            });
        }
    }

    /// Changes that are not published yet, about; zero only if there is none.
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.0.borrow();
        if state.empty { 0 } else { state.waiting.max(1) }
    }

    /// Up to where all changes are published, where this is applied.
    pub(crate) fn told(&self, applied: u64) -> u64 {
        // Of the event of the last one some may wait.
        if self.waiting() == 0 { applied } else { self.published().sequence.saturating_sub(1).min(applied) }
    }

    /// Why changes are not published, if that lasts.
    pub(crate) fn reason(&self, partition: u16) -> Option<String> {
        let state = self.0.borrow();
        let (since, why) = state.trouble.as_ref()?;
        (since.elapsed() > GRACE).then(|| format!("partition {partition}: change feed: {why}"))
    }

    /// The stream goes so far, which is no news of whether it takes more; `by` changes that waited are there.
    pub(crate) fn found(&self, to: Mark, by: u64) {
        self.0.send_modify(|state| {
            state.published = Some(to);
            state.waiting = state.waiting.saturating_sub(by);
        });
    }

    /// So many changes were published.
    pub(crate) fn advanced(&self, to: Mark, by: u64) {
        self.found(to, by);
        self.well();
    }

    /// Commits up to now: to be asked for before the outbox is looked at.
    fn commits(&self) -> u64 {
        self.0.borrow().commits
    }

    /// Nothing waited after so many commits. What a later one brought still does.
    fn emptied(&self, commits: u64) {
        self.0.send_if_modified(|state| {
            let news = state.commits == commits && !state.empty;
            if news {
                (state.waiting, state.empty) = (0, true);
            }
            news
        });
        self.well();
    }

    /// True if that is news.
    fn troubled(&self, why: String) -> bool {
        let mut is_news = false;
        self.0.send_modify(|state| {
            let before = state.trouble.take();
            is_news = before.is_none();
            state.trouble = Some((before.map_or_else(Instant::now, |(since, _)| since), why));
        });
        is_news
    }

    fn well(&self) {
        self.0.send_if_modified(|state| state.trouble.take().is_some());
    }

    async fn wait(&self) {
        let _ = self.0.subscribe().wait_for(|state| !state.empty).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_committed_while_the_outbox_is_found_empty_is_not_forgotten() {
        let feed = Feed::default();
        assert_eq!(feed.waiting(), 1, "nobody has looked yet");
        let looked = feed.commits();
        feed.committed(3);
        feed.emptied(looked);
        assert_eq!(feed.waiting(), 3);
        assert!(feed.wait().now_or_never().is_some(), "there is something to publish");
        feed.advanced(Mark::default(), 3);
        assert_eq!(feed.waiting(), 1, "nobody has looked again");
        feed.emptied(feed.commits());
        assert_eq!(feed.waiting(), 0);
        assert!(feed.wait().now_or_never().is_none());
        assert_eq!(feed.told(7), 7);
        feed.committed(2);
        feed.found(Mark { sequence: 8, index: 0 }, 1);
        assert_eq!(feed.told(9), 7, "the event at 8 may have changed more");
    }

    /// Asking for the end cleared it, so that readiness came and went while nothing was published.
    #[test]
    fn trouble_lasts_until_something_is_published_or_nothing_waits() {
        let feed = Feed::default();
        let in_trouble = || feed.0.borrow().trouble.is_some();
        assert!(feed.troubled("full".to_owned()), "it is told once");
        feed.found(Mark::default(), 0);
        assert!(in_trouble() && !feed.troubled("full still".to_owned()));
        feed.advanced(Mark::default(), 1);
        assert!(!in_trouble());
        feed.troubled("gone".to_owned());
        feed.emptied(feed.commits());
        assert!(!in_trouble(), "nothing waits");
    }
}
