//! Where a stream begins and ends, and which of its messages are there.

use async_nats::jetstream;
use async_nats::jetstream::stream::LastRawMessageErrorKind;

use super::Error;
use crate::stream::{self, has_message};

/// Messages in turn that a broker with damaged files is asked for one by one.
const ASKED_MAX: u64 = 10_000;

/// Which stream it is, and its first and last sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// When it was created, as the broker says: one of its name made anew numbers its messages anew.
    pub created: String,
    /// First sequence that is there; one above `last` if there is none.
    pub first: u64,
    /// Last sequence that was given; zero if none was.
    pub last: u64,
}

impl Ends {
    /// Those that the broker tells of a stream.
    #[must_use]
    pub fn of(info: &jetstream::stream::Info) -> Self {
        let (created, state) = (info.created.to_string(), &info.state);
        Self { created, first: state.first_sequence, last: state.last_sequence }
    }
}

/// First and last sequence of a stream, as the broker says.
///
/// # Errors
/// The broker does not tell.
pub async fn ends(context: &jetstream::Context, stream: &str) -> Result<Ends, Error> {
    let unreadable = |why: String| Error::Unreadable { stream: stream.to_owned(), why };
    let found = context.get_stream(stream).await.map_err(|error| unreadable(error.to_string()))?;
    Ok(Ends::of(found.cached_info()))
}

/// When a stream took the message of this sequence, Unix milliseconds; `None` if it has none.
///
/// # Errors
/// The broker does not tell.
pub async fn taken_at(
    context: &jetstream::Context,
    stream: &str,
    sequence: u64,
) -> Result<Option<i64>, Error> {
    let taken = stream::taken_at(context, stream, sequence).await;
    taken.map_err(|why| Error::Unreadable { stream: stream.to_owned(), why })
}

/// The first message that is there, from one sequence to another, as the leader says.
///
/// # Errors
/// The broker does not tell; or its files are damaged, and it does not tell of many messages in turn.
pub async fn first_there(
    context: &jetstream::Context,
    stream: &str,
    from: u64,
    to: u64,
) -> Result<Option<u64>, Error> {
    let unreadable = |why| Error::Unreadable { stream: stream.to_owned(), why };
    let of = context.get_stream_no_info(stream).await.map_err(|error| unreadable(error.to_string()))?;
    match of.get_first_raw_message_by_subject(">", from).await {
        Ok(message) => return Ok(Some(message.sequence).filter(|found| *found <= to)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
        // Of what it cannot read it says no more than that.
        Err(error) => tracing::debug!(stream, from, %error, "messages are asked for one by one"),
    }
    for sequence in from..=to.min(from.saturating_add(ASKED_MAX)) {
        if has_message(context, stream, sequence).await.map_err(unreadable)? {
            return Ok(Some(sequence));
        }
    }
    if to.saturating_sub(from) > ASKED_MAX {
        return Err(unreadable(format!("it has none of the {ASKED_MAX} messages from {from} on")));
    }
    Ok(None)
}
