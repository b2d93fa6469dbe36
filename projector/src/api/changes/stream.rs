//! One reader of the feed: events as they come, comments in between, and a last word when it is cut.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use groupfold_schemas::change::Mark;
use groupfold_schemas::log;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::super::links::hide;
use super::place::{After, EventId};
use crate::caller::Caller;
use crate::feed::NUMBER_HEADER;
use crate::feed::follow::{Following, Gone, Spot};
use crate::metrics::Metrics;
use crate::token::Scope;

/// Events that wait for one reader beside what the connection holds.
const WAITING_MAX: usize = 64;
/// How long a reader may take none of them before it is cut.
const SLOW_MAX: Duration = Duration::from_secs(10);
/// How long the broker may take to say whether anything is to come.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// What a reader is told to wait before it comes again.
const RETRY_MS: u64 = 2_000;

pub(super) struct Reader {
    pub(super) following: Following,
    pub(super) after: After,
    /// When the stream that the ids are of was created.
    pub(super) created: String,
    /// What comes next.
    pub(super) spot: Spot,
    /// Whether it was told a change.
    pub(super) begun: bool,
    pub(super) heartbeat: Duration,
    pub(super) caller: Caller,
    pub(super) shutdown: CancellationToken,
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) metrics: Metrics,
}

/// Why the server ends a feed.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Slow,
    Shutdown,
    Gone,
    Token,
    Unavailable,
}

impl Cut {
    fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow_reader",
            Self::Shutdown => "shutdown",
            Self::Gone => "gone",
            Self::Token => "token_taken_back",
            Self::Unavailable => "unavailable",
        }
    }
}

fn cut(gone: Gone) -> Cut {
    match gone {
        Gone::Recreated | Gone::Overtaken => Cut::Gone,
        Gone::Unavailable(why) => {
            tracing::warn!(reason = why, "changes cannot be followed: a reader is cut");
            Cut::Unavailable
        }
    }
}

impl Reader {
    /// Starts telling; ends when what it returns is dropped.
    pub(super) fn start(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        let (to, from) = mpsc::channel(WAITING_MAX);
        // Beside the queue, which may be full: the last word always has a place.
        let (last_to, last) = oneshot::channel();
        tokio::spawn(self.tell(to, last_to));
        let events = stream::unfold(from, |mut from| async { from.recv().await.map(|event| (event, from)) });
        let last = stream::once(last).filter_map(|last| async { last.ok() });
        events.chain(last).map(Ok)
    }

    async fn tell(mut self, to: mpsc::Sender<Bytes>, last: oneshot::Sender<Bytes>) {
        self.metrics.feed_reader_came();
        let told = self.tell_all(&to).await;
        self.metrics.feed_reader_went(told.err().map(Cut::name));
        let Err(cut) = told else { return };
        tracing::debug!(reason = cut.name(), "a reader of changes was cut");
        // What is gone cannot be resumed from.
        let place = self.place().filter(|_| !matches!(cut, Cut::Gone));
        let resume = place.map(|id| id.to_string());
        let data = json!({ "reason": cut.name(), "resume_from": resume });
        let _ = last.send(Bytes::from(format!("event: cut\ndata: {data}\n\n")));
        drop(self.permit);
    }

    /// `Ok` when the reader has gone.
    async fn tell_all(&mut self, to: &mpsc::Sender<Bytes>) -> Result<(), Cut> {
        // An id without data is no event: it tells where to resume from before there is one.
        let begin = format!("retry: {RETRY_MS}\n{}: following\n\n", self.place_line());
        // Up to where the reader knows its place; zero while it has none.
        let mut told = if self.has_place() { self.spot.next } else { 0 };
        if to.send(Bytes::from(begin)).await.is_err() {
            return Ok(());
        }
        let mut beat = interval(self.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            let (behind, message) = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Cut::Shutdown),
                () = self.caller.taken_back() => return Err(Cut::Token),
                () = to.closed() => return Ok(()),
                _ = beat.tick() => {
                    // Whoever is told nothing for long keeps a place all the same.
                    let stands = told == self.spot.next || !self.has_place();
                    if stands && let Ok(spot) = timeout(LOOK_MAX, self.following.moved_on()).await {
                        self.spot = spot.map_err(cut)?;
                    }
                    let place = if told < self.spot.next { self.place_line() } else { String::new() };
                    // No room: then events are on their way, and no comment is needed.
                    if to.try_send(Bytes::from(format!("{place}: alive\n\n"))).is_ok() && self.has_place() {
                        told = self.spot.next;
                    }
                    continue;
                }
                next = self.following.next() => next.map_err(cut)?,
            };
            let event = self.event(behind, &message);
            if let Some(event) = event {
                told = behind.next;
                tokio::select! {
                    sent = timeout(SLOW_MAX, to.send(event)) => match sent {
                        Ok(Ok(())) => self.begun = true,
                        Ok(Err(_)) => return Ok(()),
                        Err(_) => return Err(Cut::Slow),
                    },
                    () = self.shutdown.cancelled() => return Err(Cut::Shutdown),
                }
            }
            self.spot = behind;
        }
    }

    fn event(&self, behind: Spot, message: &Message) -> Option<Bytes> {
        let headers = message.headers.as_ref()?;
        let id = headers.get(async_nats::header::NATS_MESSAGE_ID)?;
        let (partition, mark) = Mark::from_id(id.as_str())?;
        if !self.after.admits(behind.next - 1, partition, mark.sequence) {
            return None;
        }
        if !self.caller.may_see(headers.get(NUMBER_HEADER).map_or("", |number| number.as_str())) {
            return None;
        }
        let kind = log::read_change_subject(&message.subject)?.1?;
        let links = self.caller.has(Scope::ReadLinks);
        let payload = if links { message.payload.clone() } else { hide(message.payload.clone()) };
        let data = std::str::from_utf8(&payload).ok()?;
        let id = EventId::before(behind, &self.created);
        Some(Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")))
    }

    /// Whether an id can be told to resume from. Until then a reader that comes again begins as it began now.
    fn has_place(&self) -> bool {
        self.begun || self.after.is_found(self.spot.next)
    }

    /// The place to resume from, if there is one.
    fn place(&self) -> Option<EventId> {
        self.has_place().then(|| EventId::before(self.spot, &self.created))
    }

    fn place_line(&self) -> String {
        self.place().map_or_else(String::new, |id| format!("id: {id}\n"))
    }
}
