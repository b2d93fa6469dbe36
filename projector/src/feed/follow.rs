//! Following the stream of changes for one reader: from a place on, of some subjects, as long as the reader stays.

use std::pin::Pin;
use std::time::{Duration, Instant};

use async_nats::header;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, Context, Message};
use futures_util::{StreamExt as _, TryStreamExt as _};
use groupfold_schemas::change::Mark;
use groupfold_schemas::log;

use crate::consumer::{self, Ephemeral};
use crate::stream::{self, Info};
use crate::tail;

/// Messages and bytes that the broker sends ahead of one reader.
const AHEAD_MESSAGES: usize = 256;
const AHEAD_BYTES: usize = 1024 * 1024;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether retention comes near, where a filter hides what it took, and near it is with so many
/// messages less: then at each that comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const NEAR: u64 = 10_000;
/// How long attempts may fail before the reader is told.
const UNFOLLOWED_MAX: Duration = Duration::from_secs(10);
/// Partitions of a position that the broker is asked of at the same time.
const ASKED_AT_ONCE: usize = 8;
/// Bound of one request to the broker.
const REQUEST_WAIT: Duration = Duration::from_secs(3);

/// Why there is nothing more to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The stream, or its past, is not the one that the place is of.
    Recreated,
    /// Retention took what comes next.
    Overtaken,
    /// The broker does not let it be followed, and says why.
    Unavailable(String),
}

/// A place between two messages of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Sequence of the one that comes next.
    pub(crate) next: u64,
    /// When the stream took the one before, Unix milliseconds; `None` if that is not known. Another past of the stream has
    /// another message there.
    pub(crate) before_ms: Option<i64>,
}

impl Spot {
    /// Behind all that the stream has.
    pub(crate) fn end(info: &Info) -> Self {
        Self { next: info.last_sequence + 1, before_ms: (info.last_sequence > 0).then_some(info.last_ms) }
    }
}

/// The stream as one reader follows it.
pub(crate) struct Following {
    place: Place,
    connected: Option<Connected>,
    /// Kept where a reader has something to do meanwhile: begun anew each time it might never end.
    connecting: Option<Connecting>,
    /// Since when attempts have failed.
    failing: Option<Instant>,
    /// A message behind others that did not come, and the place behind it.
    held: Option<(Spot, Message)>,
    /// Up to here, itself left out, nothing that was asked for was taken before it came. `None` of one who begins with
    /// what is kept, until something came: what retention takes until then was not to be told.
    sound: Option<u64>,
    /// When the stream was looked at last, and its first sequence then.
    looked: Option<(Instant, u64)>,
    /// The same look, kept as [`Self::connecting`] is.
    looking: Option<Looking>,
}

/// What to read, and from where on.
#[derive(Clone)]
struct Place {
    context: Context,
    subjects: Vec<String>,
    created: String,
    spot: Spot,
}

/// What delivers, and how many messages came.
struct Connected {
    messages: pull::Stream,
    consumer: Ephemeral,
    came: u64,
}

type Looking = Pin<Box<dyn Future<Output = Result<Info, String>> + Send>>;
type Connecting = Pin<Box<dyn Future<Output = Result<Connected, Gone>> + Send>>;

/// What the broker says of the stream of changes.
pub(crate) async fn look(client: &async_nats::Client) -> Result<Info, String> {
    look_at(&context(client)).await
}

/// When the stream of changes took the one of this sequence, Unix milliseconds; `None` if it has none.
pub(crate) async fn taken_at(client: &async_nats::Client, sequence: u64) -> Result<Option<i64>, String> {
    stream::taken_at(&context(client), log::CHANGES_STREAM, sequence).await
}

/// A partition of which changes after this position may be gone; `None` if all are kept. They are where the first that is
/// kept is one that the position reflects, or the last that was published is: as its publisher knows, if it is one of ours,
/// and remembers at the broker.
pub(crate) async fn taken_after(
    client: &async_nats::Client,
    position: impl Iterator<Item = (u16, u64)>,
    published: impl Fn(u16) -> u64,
) -> Result<Option<u16>, String> {
    let context = context(client);
    let each = position.map(async |(partition, sequence)| -> Result<Option<u16>, String> {
        let first = Kept::First(log::partition_changes(partition)).sequence(&context).await?;
        if first.is_some_and(|first| first <= sequence) {
            return Ok(None);
        }
        let remembered = Kept::Last(log::change_mark_subject(partition)).sequence(&context).await?;
        let end = remembered.unwrap_or_default().max(published(partition));
        Ok((end > sequence).then_some(partition))
    });
    let taken: Vec<_> =
        futures_util::stream::iter(each).buffer_unordered(ASKED_AT_ONCE).try_collect().await?;
    Ok(taken.into_iter().flatten().next())
}

/// Which message of a subject to ask for.
enum Kept {
    /// The first of the changes.
    First(String),
    /// The last of the marks.
    Last(String),
}

impl Kept {
    /// Sequence of the event that it follows from.
    async fn sequence(&self, context: &Context) -> Result<Option<u64>, String> {
        let stream = match self {
            Self::First(_) => log::CHANGES_STREAM,
            Self::Last(_) => log::CHANGE_MARKS_STREAM,
        };
        let stream = context.get_stream_no_info(stream).await.map_err(|error| error.to_string())?;
        let found = match self {
            Self::First(subject) => stream.get_first_raw_message_by_subject(subject, 1).await,
            Self::Last(subject) => stream.get_last_raw_message_by_subject(subject).await,
        };
        let message = match found {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let id = message.headers.get(header::NATS_MESSAGE_ID);
        Ok(id.and_then(|id| Mark::from_id(id.as_str())).map(|(_, mark)| mark.sequence))
    }
}

async fn look_at(context: &Context) -> Result<Info, String> {
    stream::look(context, log::CHANGES_STREAM).await
}

fn context(client: &async_nats::Client) -> Context {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(REQUEST_WAIT);
    context
}

impl Following {
    /// From a place in the stream created at that time, or where retention is about to take it, from the first that is
    /// kept: `exact` says that nothing may be missing from there on.
    pub(crate) fn new(
        client: &async_nats::Client,
        created: String,
        spot: Spot,
        exact: bool,
        subjects: Vec<String>,
    ) -> Self {
        let place = Place { context: context(client), subjects, created, spot };
        let (connected, connecting, failing) = (None, None, None);
        let (held, looked, looking) = (None, None, None);
        let sound = exact.then_some(spot.next);
        Self { place, connected, connecting, failing, held, sound, looked, looking }
    }

    /// Has the broker begin to deliver, or says at once why it does not.
    pub(crate) async fn begin(&mut self) -> Result<(), Gone> {
        self.connected = Some(self.place.clone().connect(self.sound.is_some()).await?);
        Ok(())
    }

    /// The next message and the place behind it: waits until there is one. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<(Spot, Message), Gone> {
        loop {
            if let Some((behind, _)) = &self.held {
                self.passed_over(behind.next - 1).await?;
                if let Some((behind, message)) = self.held.take() {
                    self.place.spot = behind;
                    return Ok((behind, message));
                }
            }
            let Some(connected) = self.connected.as_mut() else {
                self.connect().await?;
                continue;
            };
            let Some(Ok(message)) = connected.messages.next().await else {
                self.connected = None;
                continue;
            };
            connected.came += 1;
            let told = message.info().map(|info| (info.stream_sequence, stream::millis(info.published)));
            let Ok((sequence, taken_ms)) = told else { continue };
            if sequence >= self.place.spot.next {
                self.held = Some((Spot { next: sequence + 1, before_ms: Some(taken_ms) }, message));
            }
        }
    }

    /// Looks whether the broker left anything out before this message: it delivers what is there, and says nothing of what
    /// retention took. Without a filter each sequence comes.
    async fn passed_over(&mut self, sequence: u64) -> Result<(), Gone> {
        let Some(sound) = self.sound else {
            self.sound = Some(sequence + 1);
            return Ok(());
        };
        let expected = self.place.spot.next;
        if sequence == expected && sound == expected {
            self.sound = Some(sequence + 1);
            return Ok(());
        }
        let is_far = |first| first <= 1 || first + NEAR < sound;
        let far = |(at, first): (Instant, u64)| at.elapsed() < LOOK_EVERY && is_far(first);
        let filtered = !self.place.subjects.is_empty();
        if filtered && self.looked.is_some_and(far) {
            return Ok(());
        }
        let context = &self.place.context;
        let looking = self.looking.get_or_insert_with(|| {
            let context = context.clone();
            Box::pin(async move { look_at(&context).await })
        });
        let info = looking.await;
        self.looking = None;
        // What cannot be asked now is asked with the next one.
        let Ok(info) = info else { return Ok(()) };
        self.looked = Some((Instant::now(), info.first_sequence));
        self.check(&info)?;
        if !filtered && sequence != expected {
            // Not by retention: whoever came again would meet it again.
            tracing::warn!(expected, found = sequence, "changes are missing in the midst of their stream");
        }
        self.sound = Some(sequence + 1);
        Ok(())
    }

    /// Nothing between what was found sound and what came since was taken before it came.
    fn check(&self, info: &Info) -> Result<(), Gone> {
        if info.created != self.place.created {
            return Err(Gone::Recreated);
        }
        let taken = self.sound.is_some_and(|sound| info.first_sequence > sound);
        if taken { Err(Gone::Overtaken) } else { Ok(()) }
    }

    /// The place that it stands at, past what is not asked for: up to the end of the stream, if all that is asked for has
    /// come by then. A place that stood still would be overtaken by retention, though nothing was missed.
    pub(crate) async fn moved_on(&mut self) -> Result<Spot, Gone> {
        if !self.place.subjects.is_empty()
            && self.held.is_none()
            && let Ok(end) = look_at(&self.place.context).await
        {
            self.check(&end)?;
            if let Some(connected) = self.connected.as_mut()
                && connected.consumer.has_delivered_all(connected.came).await
            {
                if end.last_sequence >= self.place.spot.next {
                    self.place.spot = Spot::end(&end);
                }
                self.sound = Some(self.place.spot.next);
            }
        }
        Ok(self.place.spot)
    }

    /// One attempt, or what is left of it. An error when they have failed for too long.
    async fn connect(&mut self) -> Result<(), Gone> {
        let (place, exact) = (&self.place, self.sound.is_some());
        let connecting = self.connecting.get_or_insert_with(|| Box::pin(place.clone().connect(exact)));
        let connected = connecting.await;
        self.connecting = None;
        match connected {
            Ok(connected) => (self.connected, self.failing) = (Some(connected), None),
            Err(Gone::Unavailable(why)) => {
                if self.failing.get_or_insert_with(Instant::now).elapsed() >= UNFOLLOWED_MAX {
                    return Err(Gone::Unavailable(why));
                }
                tracing::debug!(reason = why, "changes cannot be followed");
                let place = self.place.clone();
                self.connecting = Some(Box::pin(async move {
                    tokio::time::sleep(PAUSE).await;
                    place.connect(exact).await
                }));
            }
            Err(gone) => return Err(gone),
        }
        Ok(())
    }
}

impl Place {
    async fn connect(self, exact: bool) -> Result<Connected, Gone> {
        let info = look_at(&self.context).await.map_err(Gone::Unavailable)?;
        let Spot { next, before_ms } = self.spot;
        if info.created != self.created || info.last_sequence + 1 < next {
            return Err(Gone::Recreated);
        }
        if exact && info.first_sequence > next {
            return Err(Gone::Overtaken);
        }
        if let Some(before_ms) = before_ms {
            let rewritten =
                tail::is_rewritten(&self.context, log::CHANGES_STREAM, (next - 1, before_ms)).await;
            if rewritten.map_err(Gone::Unavailable)? {
                return Err(Gone::Recreated);
            }
        }
        let config = pull::Config {
            description: Some("groupfold change feed".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next },
            filter_subjects: self.subjects,
            inactive_threshold: consumer::IDLE_MAX,
            ..pull::Config::default()
        };
        let consumer = Ephemeral::make(&self.context, log::CHANGES_STREAM, config).await;
        let consumer = consumer.map_err(|error| Gone::Unavailable(error.to_string()))?;
        let messages = consumer.messages(AHEAD_MESSAGES, AHEAD_BYTES).await;
        let messages = messages.map_err(|error| Gone::Unavailable(error.to_string()))?;
        Ok(Connected { messages, consumer, came: 0 })
    }
}
