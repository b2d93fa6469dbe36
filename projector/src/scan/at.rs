//! Where a stream stood at a time, and at what time it stands where.

use async_nats::datetime::DateTime;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::Info;
use serde::Deserialize;

use super::{Ends, Error};
use crate::consumer::{self, Ephemeral};

/// The last sequence that a stream had taken at a time (Unix milliseconds, the whole of that millisecond included), by the
/// time that the broker stamps on each message; one below its first if it had none of those that it has now.
///
/// # Errors
/// The broker does not tell.
pub async fn sequence_at(context: &Context, stream: &str, time_ms: i64) -> Result<u64, Error> {
    let unreadable = |why: String| Error::Unreadable { stream: stream.to_owned(), why };
    // A consumer of all subjects that begins right after that time stands behind the last message up to it. Nothing is
    // read. Of several subjects it would begin with the latest of their first messages, and leave out what is before.
    let config = pull::Config {
        description: Some("groupfold, sequence at a time".to_owned()),
        deliver_policy: DeliverPolicy::ByStartTime {
            start_time: start_time(time_ms.saturating_add(1)).map_err(unreadable)?,
        },
        inactive_threshold: consumer::ASKED_IDLE_MAX,
        ..pull::Config::default()
    };
    let consumer = Ephemeral::make(context, stream, config).await;
    let consumer = consumer.map_err(|error| unreadable(error.to_string()))?;
    Ok(consumer.cached_info().delivered.stream_sequence)
}

/// Where a stream ends, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its first and last sequence.
    pub ends: Ends,
    /// When the broker told it, by the clock that it stamps messages by; Unix milliseconds.
    pub at_ms: i64,
    /// When it took the last message, Unix milliseconds.
    pub last_ms: i64,
}

/// First and last sequence of a stream, and the time of the broker that tells them: `ts` in its answer to `STREAM.INFO`, which
/// the client leaves out.
///
/// # Errors
/// The broker does not tell.
pub async fn told(context: &Context, stream: &str) -> Result<Told, Error> {
    #[derive(Deserialize)]
    struct Answer {
        ts: String,
        #[serde(flatten)]
        info: Info,
    }
    let unreadable = |why: String| Error::Unreadable { stream: stream.to_owned(), why };
    let answer = context.request(format!("STREAM.INFO.{stream}"), &()).await;
    let answer: Answer = match answer.map_err(|error| unreadable(error.to_string()))? {
        Response::Ok(answer) => answer,
        Response::Err { error } => return Err(unreadable(error.to_string())),
    };
    let at: jiff::Timestamp =
        answer.ts.parse().map_err(|error: jiff::Error| unreadable(error.to_string()))?;
    let last_ms = crate::stream::millis(answer.info.state.last_timestamp);
    Ok(Told { ends: Ends::of(&answer.info), at_ms: at.as_millisecond(), last_ms })
}

/// A time (Unix milliseconds) as the broker takes it, which counts nanoseconds from 1970 in 63 bits: no log has a message
/// of before or after, and the client breaks down over some years.
fn start_time(time_ms: i64) -> Result<DateTime, String> {
    const NANOS: i64 = 1_000_000;
    let nanos = i128::from(time_ms.clamp(0, i64::MAX / NANOS) * NANOS);
    DateTime::from_unix_timestamp_nanos(nanos).map_err(|error| error.to_string())
}
