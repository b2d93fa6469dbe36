//! What the broker answers of a stream: which it is, how far it goes, when it took what.

use async_nats::jetstream::{self, ErrorCode};
use groupfold_schemas::log;

/// What the broker says of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) created: String,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
    /// When it took the last message, Unix milliseconds.
    pub(crate) last_ms: i64,
}

/// Why there is nothing to say.
pub(crate) enum Asked {
    Missing,
    Unreachable(String),
}

/// Asks the broker for a stream.
pub(crate) async fn ask(context: &jetstream::Context, stream: &str) -> Result<Info, Asked> {
    use jetstream::context::GetStreamErrorKind;
    let found = context.get_stream(stream).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Asked::Missing
        }
        // As the client puts it: "request error: timed out: request timed out: deadline has elapsed".
        GetStreamErrorKind::Request => Asked::Unreachable("the broker does not answer".to_owned()),
        _ => Asked::Unreachable(error.to_string()),
    })?;
    let info = found.cached_info();
    Ok(Info {
        created: nanos(info.created.unix_timestamp_nanos()),
        first_sequence: info.state.first_sequence,
        last_sequence: info.state.last_sequence,
        last_ms: millis(info.state.last_timestamp),
    })
}

/// What the broker says of a stream, or why it does not.
pub(crate) async fn look(context: &jetstream::Context, stream: &str) -> Result<Info, String> {
    match ask(context, stream).await {
        Ok(info) => Ok(info),
        Err(Asked::Missing) => {
            let is_log = log::partition_of_stream(stream).is_some();
            let mend = if is_log { "restore it from a backup" } else { "run `groupfold provision`" };
            Err(format!("stream {stream} does not exist: {mend}"))
        }
        Err(Asked::Unreachable(why)) => Err(why),
    }
}

/// True if the stream holds a message of this sequence.
pub(crate) async fn has_message(
    context: &jetstream::Context,
    stream: &str,
    sequence: u64,
) -> Result<bool, String> {
    Ok(taken_at(context, stream, sequence).await?.is_some())
}

/// When the stream took the message of this sequence, Unix milliseconds; `None` if it has none.
pub(crate) async fn taken_at(
    context: &jetstream::Context,
    stream: &str,
    sequence: u64,
) -> Result<Option<i64>, String> {
    use jetstream::stream::LastRawMessageErrorKind;
    let handle = context.get_stream_no_info(stream).await.map_err(|error| error.to_string())?;
    match handle.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(millis(message.time))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Milliseconds of a time of the log.
pub(crate) fn millis(time: async_nats::datetime::DateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or_default()
}

fn nanos(nanos: i128) -> String {
    jiff::Timestamp::from_nanosecond(nanos).map_or_else(|_| nanos.to_string(), |time| time.to_string())
}
