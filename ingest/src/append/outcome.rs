//! How a publish ends when it is not acknowledged.

use std::error::Error as _;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{client, jetstream};

/// A duplicate of a message that is still on its way: not yet a success.
const DUPLICATE_IN_FLIGHT: ErrorCode = ErrorCode(10158);
/// The stream's own ingest limit.
const TOO_MANY_REQUESTS: ErrorCode = ErrorCode(10167);

/// Streams and servers that are short of room or of leave to use it.
const FULL: [ErrorCode; 5] = [
    ErrorCode::STREAM_STORE_FAILED,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
];

/// What passes while a server starts or a stream elects a leader.
const UNREADY: [ErrorCode; 4] = [
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::STREAM_OFFLINE,
    ErrorCode::JETSTREAM_NOT_ENABLED,
];

/// Why an item is not known to be in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no connection to the broker.
    #[error("the broker is not connected")]
    Disconnected,
    /// The broker did not answer before and has not answered since.
    #[error("the broker does not answer")]
    Stalled,
    /// Not published: it waited for its turn at the stream until then, or for room to do so.
    #[error("too many messages wait for the stream")]
    Crowded,
    /// Published, and nobody knows whether it arrived.
    #[error("the log did not acknowledge in time")]
    Unacknowledged,
    /// No stream listens on the subject.
    #[error("no stream takes the subject")]
    NoStream,
    /// It was made anew with other partitions than those known.
    #[error("the log was made anew with other partitions: this receiver must be started again")]
    OtherLog,
    /// An equal message was on its way until the deadline.
    #[error("a duplicate of the message is still in flight")]
    DuplicateInFlight,
    /// A leader is missing or the server is starting.
    #[error("the stream is not ready")]
    Unready(#[source] jetstream::Error),
    /// Full: the log refuses rather than forgets.
    #[error("the log is full")]
    Full(#[source] jetstream::Error),
    /// Above the stream's ingest limit.
    #[error("the log limits the rate")]
    RateLimited(#[source] jetstream::Error),
    /// Larger than the broker takes.
    #[error("the message is too large for the broker")]
    TooLarge,
    /// Refused for another reason, which the source names.
    #[error("the log refused the message")]
    Refused(#[source] jetstream::Error),
    /// Acknowledged, but by another stream than the message is for.
    #[error("another stream took the message")]
    WrongStream,
    /// The answer to a publish is none.
    #[error("what the log answered cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The client itself failed.
    #[error("the publish failed")]
    Client(#[source] PublishError),
}

impl Error {
    /// Stable snake-case name.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Disconnected => "broker_disconnected",
            Self::Stalled => "broker_stalled",
            Self::Crowded => "stream_crowded",
            Self::Unacknowledged => "unacknowledged",
            Self::NoStream => "no_stream",
            Self::OtherLog => "log_made_anew",
            Self::DuplicateInFlight => "duplicate_in_flight",
            Self::Unready(_) => "stream_not_ready",
            Self::Full(_) => "log_full",
            Self::RateLimited(_) => "log_rate_limited",
            Self::TooLarge => "message_too_large",
            Self::Refused(_) => "log_refused",
            Self::WrongStream => "wrong_stream",
            Self::Unreadable(_) | Self::Client(_) => "publish_failed",
        }
    }

    /// Trying again with the same message id may succeed within a deadline of seconds.
    pub(crate) fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Disconnected
            | Self::Crowded
            | Self::Unacknowledged
            | Self::NoStream
            | Self::DuplicateInFlight
            | Self::Unready(_) => true,
            Self::Stalled
            | Self::OtherLog
            | Self::Full(_)
            | Self::RateLimited(_)
            | Self::TooLarge
            | Self::Refused(_)
            | Self::WrongStream
            | Self::Unreadable(_)
            | Self::Client(_) => false,
        }
    }

    /// The message may be in the log.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unacknowledged | Self::DuplicateInFlight | Self::Unreadable(_) | Self::Client(_))
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::StreamNotFound => Self::NoStream,
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending => {
                Self::Unacknowledged
            }
            PublishErrorKind::MaxPayloadExceeded => Self::TooLarge,
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::Other => {
                match error.source().and_then(|s| s.downcast_ref::<jetstream::Error>()) {
                    Some(refusal) => refusal.clone().into(),
                    None => Self::Client(error),
                }
            }
        }
    }
}

impl From<client::PublishError> for Error {
    fn from(error: client::PublishError) -> Self {
        match error.kind() {
            client::PublishErrorKind::MaxPayloadExceeded => Self::TooLarge,
            client::PublishErrorKind::Send | client::PublishErrorKind::InvalidSubject => {
                Self::Client(PublishError::with_source(PublishErrorKind::Other, error))
            }
        }
    }
}

impl From<jetstream::Error> for Error {
    fn from(refusal: jetstream::Error) -> Self {
        let code = refusal.error_code();
        if code == DUPLICATE_IN_FLIGHT {
            Self::DuplicateInFlight
        } else if code == TOO_MANY_REQUESTS {
            Self::RateLimited(refusal)
        } else if FULL.contains(&code) {
            Self::Full(refusal)
        } else if UNREADY.contains(&code) {
            Self::Unready(refusal)
        } else if code == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM {
            Self::TooLarge
        } else {
            Self::Refused(refusal)
        }
    }
}
