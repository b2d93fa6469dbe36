//! Reading a stretch of a stream, from one end to the other: what verification, rebuilds, time travel and
//! exports read by.
//!
//! A plain pull consumer, made anew after the last message whenever it fails. A stretch that is read whole
//! (without subjects) must be contiguous: a hole is an error, never skipped. Of some subjects
//! the messages are counted. What an operator said is lost for good comes as empty messages, see [`crate::loss`].

mod at;
mod count;
mod ends;
mod over;

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use groupfold_schemas::log;

pub use self::at::{Told, sequence_at, told};
pub use self::ends::{Ends, ends, first_there, taken_at};
pub use self::over::Over;
use crate::consumer::{self, Ephemeral};
use crate::loss;
use crate::stream::{self, has_message};

/// Messages asked for at once.
const PULL_MESSAGES: usize = 5_000;
/// Bytes that the broker sends ahead of us, save where a single message may have more.
const AHEAD_BYTES: usize = 16 * 1024 * 1024;
/// Attempts in a row without a message before reading is given up.
const ATTEMPTS_MAX: u32 = 20;
/// Silence of a broker that still has messages, after which it is asked for the very next one: it knows how many there
/// are, delivers nothing that it cannot read from its files, and says nothing about that.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);

/// Where a stretch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With this sequence; the first is 1.
    Sequence(u64),
    /// With the first message that the log took at this time or later, Unix milliseconds.
    LogTime(i64),
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The stream's name.
    pub stream: String,
    /// The first message.
    pub from: From,
    /// The last sequence, itself included.
    pub to: u64,
    /// Only messages of these subjects (wildcards as the broker has them); empty for all.
    pub subjects: Vec<String>,
}

/// A message of a stream, as it came.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the log took it, Unix milliseconds.
    pub log_time_ms: i64,
    /// Its subject.
    pub subject: String,
    /// Its bytes: a framed record, see `groupfold_schemas::frame`; none where the message is lost.
    pub payload: bytes::Bytes,
    /// Its headers, among them `Nats-Msg-Id` and `traceparent`.
    pub headers: Option<HeaderMap>,
}

/// Why a stretch cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker does not deliver.
    #[error("the stream {stream} cannot be read: {why}")]
    Unreadable {
        /// Its name.
        stream: String,
        /// What the broker said last.
        why: String,
    },
    /// The broker counts a message and cannot read it from its files.
    #[error("the stream {stream} has no message {expected}, and nothing follows: are its files damaged?")]
    Lost {
        /// Its name.
        stream: String,
        /// The sequence that should have come.
        expected: u64,
    },
    /// A message within the stretch is gone.
    #[error("the stream {stream} has no message {expected}, {found} follows")]
    Hole {
        /// Its name.
        stream: String,
        /// The sequence that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
}

/// A stretch being read.
pub struct Scan {
    context: jetstream::Context,
    stretch: Stretch,
    /// The first sequence; where the stretch begins with a time, not before it is opened.
    first: Option<u64>,
    /// The last sequence that was handed out.
    last: Option<u64>,
    /// What comes, and what it is read by.
    messages: Option<(pull::Stream, Ephemeral)>,
    attempts: u32,
    silence_max: Duration,
    /// The broker has no more of it.
    over: bool,
    /// And it was looked whether nothing of its end is lost.
    whole: bool,
    /// What comes next and is lost, as an operator said.
    lost: Option<RangeInclusive<u64>>,
    /// When the log took what was handed out last.
    log_time_ms: i64,
    /// Messages handed out.
    found: u64,
}

impl Scan {
    /// Nothing is asked of the broker before the first batch.
    #[must_use]
    pub fn new(context: jetstream::Context, stretch: Stretch) -> Self {
        let over = matches!(stretch.from, From::Sequence(from) if from > stretch.to) || stretch.to == 0;
        let first = match stretch.from {
            From::Sequence(from) => Some(from.max(1)),
            From::LogTime(_) => None,
        };
        Self {
            context,
            stretch,
            first,
            last: None,
            messages: None,
            attempts: 0,
            silence_max: SILENCE_MAX,
            over,
            whole: over,
            lost: None,
            log_time_ms: 0,
            found: 0,
        }
    }

    /// With another bound of silence after which the broker is asked for the message that does not come; five seconds
    /// without.
    #[must_use]
    pub fn with_silence_max(self, silence_max: Duration) -> Self {
        Self { silence_max, ..self }
    }

    /// The next messages, in order, at least one and at most `most`; `None` at the end of the stretch.
    ///
    /// # Errors
    /// The broker does not deliver, again and again, or a message is missing.
    pub async fn next_batch(&mut self, most: usize) -> Result<Option<Vec<Found>>, Error> {
        loop {
            if let Some(lost) = self.lost.take() {
                return Ok(Some(self.pass(lost, most)));
            }
            if self.over && self.whole {
                return Ok(None);
            }
            let attempt =
                if self.over { self.end().await.map(|()| Vec::new()) } else { self.attempt(most).await };
            let attempt = match attempt {
                Err(Fault::Final(error)) => self.missing(error).await.map(|()| Vec::new()),
                other => other,
            };
            match attempt {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => {
                    self.attempts = 0;
                    self.found += batch.len() as u64;
                    self.log_time_ms = batch.last().map_or(self.log_time_ms, |last| last.log_time_ms);
                    return Ok(Some(batch));
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Retry(why)) => {
                    self.messages = None;
                    self.attempts += 1;
                    if self.attempts >= ATTEMPTS_MAX {
                        return Err(Error::Unreadable { stream: self.stretch.stream.clone(), why });
                    }
                    tracing::debug!(stream = self.stretch.stream, why, "reading again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Looks whether an operator said to go on without what is missing.
    async fn missing(&mut self, error: Error) -> Result<(), Fault> {
        let (mut first, before) = match &error {
            Error::Hole { expected, found, .. } => (*expected, Some(*found)),
            Error::Lost { expected, .. } => (*expected, None),
            Error::Unreadable { .. } => return Err(Fault::Final(error)),
        };
        let stream = &self.stretch.stream;
        let filtered = !self.stretch.subjects.is_empty();
        if filtered {
            // Beyond the end of the stream there is nothing to ask for one by one.
            let last = ends(&self.context, stream).await.map_err(|error| retry(&error))?.last;
            first = first.min(last.saturating_add(1));
        }
        while filtered && first > 1 {
            // Behind the last message of the subjects nothing shows where the loss begins.
            if has_message(&self.context, stream, first - 1).await.map_err(Fault::Retry)? {
                break;
            }
            first -= 1;
        }
        let lost = loss::accepted(&self.context, stream, first, before).await.map_err(Fault::Retry)?;
        let Some(lost) = lost else { return Err(Fault::Final(error)) };
        self.messages = None;
        if filtered {
            // Whether it was of these subjects nobody knows.
            (self.over, self.whole) = (true, *lost.end() >= self.stretch.to);
            return if self.whole { Ok(()) } else { Err(Fault::Final(error)) };
        }
        self.lost = Some(lost);
        Ok(())
    }

    /// Hands out what is lost.
    fn pass(&mut self, lost: RangeInclusive<u64>, most: usize) -> Vec<Found> {
        let (first, last) = lost.into_inner();
        let last = last.min(self.stretch.to);
        let end = last.min(first.saturating_add(most.max(1) as u64 - 1));
        self.lost = (end < last).then(|| end + 1..=last);
        self.last = Some(end);
        self.over = end == self.stretch.to;
        let found = |sequence| Found {
            sequence,
            log_time_ms: self.log_time_ms,
            subject: String::new(),
            payload: bytes::Bytes::new(),
            headers: None,
        };
        (first..=end).map(found).collect()
    }

    /// Looks whether the stretch really is over where the broker says so: it leaves out what it cannot read from its
    /// files, and what an older copy of them does not have.
    async fn end(&mut self) -> Result<(), Fault> {
        let Stretch { stream, to, subjects, .. } = &self.stretch;
        if self.last.is_none_or(|last| last < *to)
            && !has_message(&self.context, stream, *to).await.map_err(Fault::Retry)?
        {
            return Err(Fault::Final(Error::Lost { stream: stream.clone(), expected: *to }));
        }
        // Of the log nothing is taken away, so that all of it is counted.
        if let (false, Some(partition)) = (subjects.is_empty(), log::partition_of_stream(stream)) {
            let first = self.first.unwrap_or(1);
            let lacking = count::lacking(&self.context, &self.stretch, first, self.found).await?;
            if lacking > 0 {
                self.look_through(partition, lacking).await?;
            }
        }
        self.whole = true;
        Ok(())
    }

    /// Looks whether what may be missing is, and which it is: reads all of the stretch, unless an operator said that as many
    /// are lost. In a box, since that is a scan, too.
    fn look_through(&self, partition: u16, lacking: u64) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let first = ends(&self.context, &self.stretch.stream).await.map_err(|error| retry(&error))?.first;
            let accepted = loss::accepted_in(&self.context, partition, first).await;
            let accepted = accepted.map_err(|error| retry(&error))?;
            if accepted >= lacking {
                return Ok(());
            }
            let stretch = Stretch { subjects: Vec::new(), ..self.stretch.clone() };
            let mut scan = Self::new(self.context.clone(), stretch).with_silence_max(self.silence_max);
            while scan.next_batch(PULL_MESSAGES).await.map_err(Fault::Final)?.is_some() {}
            Ok(())
        })
    }

    async fn attempt(&mut self, most: usize) -> Result<Vec<Found>, Fault> {
        if self.messages.is_none() {
            let opened = self.open().await?;
            self.messages = opened;
        }
        let mut batch = Vec::new();
        let Some((messages, _)) = self.messages.as_mut() else { return Ok(batch) };
        let Ok(mut next) = tokio::time::timeout(self.silence_max, messages.next()).await else {
            return Err(self.silent().await);
        };
        loop {
            let message = match next {
                Some(Ok(message)) => message,
                // What came before the fault is good; the fault comes up again.
                Some(Err(_)) | None if !batch.is_empty() => break,
                Some(Err(error)) => return Err(Fault::Retry(error.to_string())),
                None => return Err(Fault::Retry("the consumer ended".to_owned())),
            };
            let (found, pending) = match read(message) {
                Ok(read) => read,
                // Before what was read is lost: from here on it is asked for again.
                Err(_) if !batch.is_empty() => {
                    self.messages = None;
                    break;
                }
                Err(fault) => return Err(fault),
            };
            if found.sequence > self.stretch.to {
                self.over = true;
                break;
            }
            if self.last.is_some_and(|last| found.sequence <= last) {
                let Ok(after) = tokio::time::timeout(self.silence_max, messages.next()).await else {
                    return Err(self.silent().await);
                };
                next = after;
                continue;
            }
            let expected = expected(self.first, self.last);
            if let Err(hole) = check_contiguous(&self.stretch, expected, found.sequence) {
                if batch.is_empty() {
                    return Err(hole);
                }
                // It comes up again with the next batch.
                self.messages = None;
                break;
            }
            self.last = Some(found.sequence);
            self.over = found.sequence == self.stretch.to || pending == 0;
            batch.push(found);
            if self.over || batch.len() >= most.max(1) {
                break;
            }
            match messages.next().now_or_never() {
                Some(ready) => next = ready,
                None => break,
            }
        }
        if self.over {
            self.messages = None;
        }
        Ok(batch)
    }

    /// Why nothing comes, as far as can be told: of a stretch that is read whole the next sequence is known, of others the
    /// last one, behind which nothing shows that it is missing.
    async fn silent(&self) -> Fault {
        let silence = "nothing comes, though there are more messages".to_owned();
        let expected =
            if self.stretch.subjects.is_empty() { expected(self.first, self.last) } else { self.stretch.to };
        let stream = &self.stretch.stream;
        match has_message(&self.context, stream, expected).await {
            Ok(false) => Fault::Final(Error::Lost { stream: stream.clone(), expected }),
            Ok(true) => Fault::Retry(silence),
            Err(why) => Fault::Retry(why),
        }
    }

    /// A consumer after what was read; `None`, and the end, if nothing is left.
    async fn open(&mut self) -> Result<Option<(pull::Stream, Ephemeral)>, Fault> {
        if let (None, From::LogTime(time_ms)) = (self.first, self.stretch.from) {
            let (context, stream) = (&self.context, &self.stretch.stream);
            let before = sequence_at(context, stream, time_ms.saturating_sub(1)).await;
            self.first = Some(before.map_err(|error| retry(&error))?.saturating_add(1));
        }
        let start_sequence = expected(self.first, self.last);
        let config = pull::Config {
            description: Some("groupfold reader".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            filter_subjects: self.stretch.subjects.clone(),
            inactive_threshold: consumer::IDLE_MAX,
            ..pull::Config::default()
        };
        let reading = Ephemeral::make(&self.context, &self.stretch.stream, config).await;
        let reading = reading.map_err(|error| retry(&error))?;
        if reading.cached_info().num_pending == 0 {
            self.over = true;
            return Ok(None);
        }
        let ahead = consumer::room_for_any(AHEAD_BYTES, self.context.client().max_payload());
        let messages = reading.messages(PULL_MESSAGES, ahead).await;
        messages.map(|messages| Some((messages, reading))).map_err(|error| retry(&error))
    }
}

enum Fault {
    Retry(String),
    Final(Error),
}

fn retry(error: &dyn std::error::Error) -> Fault {
    Fault::Retry(error.to_string())
}

fn read(message: Message) -> Result<(Found, u64), Fault> {
    let info = message.info().map_err(|error| Fault::Retry(error.to_string()))?;
    let (sequence, pending) = (info.stream_sequence, info.pending);
    let log_time_ms = stream::millis(info.published);
    let message = message.split().0;
    let (subject, payload, headers) = (message.subject.to_string(), message.payload, message.headers);
    Ok((Found { sequence, log_time_ms, subject, payload, headers }, pending))
}

/// The sequence that comes next where all are read.
fn expected(first: Option<u64>, last: Option<u64>) -> u64 {
    last.map_or(first.unwrap_or(1), |last| last.saturating_add(1))
}

fn check_contiguous(stretch: &Stretch, expected: u64, found: u64) -> Result<(), Fault> {
    if !stretch.subjects.is_empty() || found == expected {
        return Ok(());
    }
    Err(Fault::Final(Error::Hole { stream: stretch.stream.clone(), expected, found }))
}
