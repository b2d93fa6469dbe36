//! Talking to the stream of changes: how far it goes, and adding to it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, Request, header};
use bytes::{BufMut as _, Bytes, BytesMut};
use groupfold_fold::change::mark_of;
use groupfold_schemas::change::Mark;
use groupfold_schemas::{log, v1};
use serde::Deserialize;

use super::body;
use crate::{stream, tail};

/// Bound of one request to the broker.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// Creation time of the stream of events that a change follows from: a log made anew begins its positions again.
static LOG_HEADER: HeaderName = HeaderName::from_static("Groupfold-Log");
/// Position of the event that a change follows from.
static POSITION_HEADER: HeaderName = HeaderName::from_static("Groupfold-Position");
/// When the log took that event, Unix milliseconds: of another past another event may have its position.
static LOG_TIME_HEADER: HeaderName = HeaderName::from_static("Groupfold-Log-Time");
/// Of what is remembered: creation time of the stream of changes, and the sequence of the last one there.
const CHANGES_HEADER: &str = "Groupfold-Changes";
const CHANGES_SEQUENCE_HEADER: &str = "Groupfold-Changes-Sequence";
/// The filter that an expected last sequence is meant for.
const EXPECTED_SUBJECT_HEADER: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// The business number of the change's group, see [`super::NUMBER_HEADER`].
static NUMBER_HEADER: HeaderName = HeaderName::from_static(super::NUMBER_HEADER);

/// Bytes of changes that share a piece of memory: about a hundred of them.
const SHARED_BYTES: usize = 64 * 1024;
/// Room for a change, above what nearly all have.
const BODY_BYTES: usize = 1024;

/// What the broker says of a batch.
#[derive(Debug, Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    error: Option<jetstream::Error>,
}

/// The last change that is told of an event, and when the log took that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Last {
    pub(super) mark: Mark,
    /// Unix milliseconds; zero if unknown.
    pub(super) log_time_ms: i64,
}

/// How far the stream goes for one partition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    /// The last change of this log.
    pub(super) last: Last,
    /// True if nothing that followed it was taken by retention.
    pub(super) is_whole: bool,
    /// Sequence of the last message of the partition; zero without one.
    pub(super) sequence: u64,
}

/// Changes of the outbox, in order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) changes: Vec<v1::Change>,
    /// Business numbers of their groups, where one is known.
    pub(super) numbers: BTreeMap<String, HeaderValue>,
    /// Up to where changes do not wait any more: they are published.
    pub(super) left_out: Mark,
}

/// The stream of changes, as one partition writes it.
pub(super) struct Changes {
    client: Client,
    context: Context,
    partition: u16,
    /// Creation time of the partition's stream of events.
    log: String,
    /// Creation time of the stream of changes.
    created: String,
}

impl Changes {
    pub(super) fn new(client: Client, partition: u16) -> Self {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(REQUEST_WAIT);
        Self { client, context, partition, log: String::new(), created: String::new() }
    }

    /// Asks how far the partition's changes are published.
    ///
    /// # Errors
    /// What the broker said, or that the stream tells of what the log does not have.
    pub(super) async fn end(&mut self) -> Result<End, String> {
        let changes = self.last(log::CHANGES_STREAM, &log::partition_changes(self.partition)).await?;
        let mark = self.last(log::CHANGE_MARKS_STREAM, &log::change_mark_subject(self.partition)).await?;
        // After what is told of it: it goes as far at least.
        let stream = log::stream(self.partition);
        let info = stream::look(&self.context, &stream).await?;
        self.log = info.created;
        let kept = stream::look(&self.context, log::CHANGES_STREAM).await?;
        self.created = kept.created;
        let told = |message: &Option<(u64, HeaderMap)>| self.last_in(&message.as_ref()?.1);
        // While the stream has changes of the partition the last is how far it goes: retention takes the first. Where it
        // has none, but reaches back to when it had, it lost them.
        let there = told(&changes);
        let lost = mark.as_ref().is_some_and(|(_, headers)| self.had(headers, kept.first_sequence));
        let is_whole = there.is_some() || lost;
        let last = there.or_else(|| told(&mark).filter(|_| !lost)).unwrap_or_default();
        let Last { mark: Mark { sequence: told_of, .. }, log_time_ms } = last;
        let ends = info.last_sequence;
        if told_of > ends || tail::is_rewritten(&self.context, &stream, (told_of, log_time_ms)).await? {
            return Err(format!(
                "it tells of {0}:{told_of} of another past of the log, which ends with {0}:{ends}: remove the streams {1} \
                 and {2}, then `groupfold provision`; readers begin anew",
                self.partition,
                log::CHANGES_STREAM,
                log::CHANGE_MARKS_STREAM
            ));
        }
        let sequence = changes.map_or(0, |(sequence, _)| sequence);
        Ok(End { last, is_whole, sequence })
    }

    /// True if this stream had a change of the partition at this sequence or later when that was remembered.
    fn had(&self, remembered: &HeaderMap, from: u64) -> bool {
        let sequence =
            remembered.get(CHANGES_SEQUENCE_HEADER).and_then(|text| text.as_str().parse::<u64>().ok());
        let is = |told: Option<&HeaderValue>, value: &str| told.is_some_and(|told| told.as_str() == value);
        let of_these = is(remembered.get(CHANGES_HEADER), &self.created)
            && is(remembered.get(LOG_HEADER.clone()), &self.log);
        of_these && sequence.is_some_and(|sequence| sequence >= from.max(1))
    }

    fn last_in(&self, headers: &HeaderMap) -> Option<Last> {
        let of_this_log = headers.get(LOG_HEADER.clone()).is_some_and(|log| log.as_str() == self.log);
        let (_, mark) = Mark::from_id(headers.get(header::NATS_MESSAGE_ID)?.as_str())?;
        let log_time_ms = headers.get(LOG_TIME_HEADER.clone())?.as_str().parse().ok()?;
        of_this_log.then_some(Last { mark, log_time_ms })
    }

    async fn last(&self, stream: &str, subject: &str) -> Result<Option<(u64, HeaderMap)>, String> {
        let missing = || format!("stream {stream} does not exist: run `groupfold provision`");
        let handle = self.context.get_stream_no_info(stream).await.map_err(|error| error.to_string())?;
        match handle.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some((message.sequence, message.headers))),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Err(missing())
                }
                _ => Err(error.to_string()),
            },
        }
    }

    /// Adds changes behind the message of this sequence: all of them or none. Returns the sequence of the last.
    pub(super) async fn publish(&self, waiting: Waiting, behind: u64) -> Result<u64, String> {
        let Waiting { changes, numbers, .. } = waiting;
        let batch = self.client.new_inbox();
        let batch = HeaderValue::from(batch.rsplit('.').next().unwrap_or("batch"));
        let (mut commit, last) = (None, changes.len());
        let mut bodies = BytesMut::with_capacity(SHARED_BYTES);
        for (at, change) in (1..).zip(changes) {
            let (id, position) = self.id_and_position(mark_of(&change));
            let subject = log::change_subject(self.partition, change.kind().name(), &change.group_id);
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_BATCH_ID, batch.clone());
            headers.insert(header::NATS_BATCH_SEQUENCE, at.to_string());
            if let Some(number) = numbers.get(&change.group_id) {
                headers.insert(NUMBER_HEADER.clone(), number.clone());
            }
            if at == 1 {
                headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, behind.to_string());
                headers.insert(EXPECTED_SUBJECT_HEADER, log::partition_changes(self.partition));
            }
            let log_time_ms = change.log_time_ms;
            bodies.reserve(BODY_BYTES);
            let written = body::write(change, &id, &position, (&mut bodies).writer());
            written.map_err(|error| error.to_string())?;
            let payload = bodies.split().freeze();
            self.put_names(&mut headers, id, position, log_time_ms);
            if at < last {
                let sent = self.client.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|error| error.to_string())?;
            } else {
                headers.insert(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
                let request = Request::new().headers(headers).payload(payload).timeout(Some(REQUEST_WAIT));
                commit = Some((subject, request));
            }
        }
        let Some((subject, request)) = commit else { return Ok(behind) };
        let answer = self.client.send_request(subject, request).await.map_err(|error| error.to_string())?;
        let ack: Ack = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
        ack.error.map_or(Ok(ack.seq), |error| Err(error.to_string()))
    }

    /// The id of a change, and the position of its event.
    fn id_and_position(&self, mark: Mark) -> (String, String) {
        (mark.id(self.partition), format!("{}:{}", self.partition, mark.sequence))
    }

    fn put_names(&self, headers: &mut HeaderMap, id: String, position: String, log_time_ms: i64) {
        headers.insert(LOG_TIME_HEADER.clone(), log_time_ms.to_string());
        headers.insert(header::NATS_MESSAGE_ID, id);
        headers.insert(POSITION_HEADER.clone(), position);
        headers.insert(LOG_HEADER.clone(), self.log.as_str());
    }

    /// Remembers how far it goes, for the day when retention has taken all of the partition's changes.
    pub(super) async fn remember(&self, end: End) -> Result<(), String> {
        let subject = log::change_mark_subject(self.partition);
        let Last { mark, log_time_ms } = end.last;
        let (mut headers, (id, position)) = (HeaderMap::new(), self.id_and_position(mark));
        self.put_names(&mut headers, id, position, log_time_ms);
        headers.insert(CHANGES_HEADER, self.created.as_str());
        headers.insert(CHANGES_SEQUENCE_HEADER, end.sequence.to_string());
        let sent = self.context.publish_with_headers(subject, headers, Bytes::new()).await;
        sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Where a change stands, as the last one.
pub(super) fn last_of(change: &v1::Change) -> Last {
    Last { mark: mark_of(change), log_time_ms: change.log_time_ms }
}
