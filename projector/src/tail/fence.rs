//! The fence: is this still the stream that the store was folded from? A broker that lost data answers
//! as if nothing had happened, so we ask what it cannot fake by accident.

use std::ops::RangeInclusive;

use async_nats::jetstream;

use crate::loss;
use crate::status::Stop;
use crate::stream::{Info, look, taken_at};

use super::Fault;

/// The stream that a store follows, and how far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Creation time of the stream; `None` until something of it was applied or seen.
    pub(crate) created: Option<String>,
    /// Last sequence applied.
    pub(crate) sequence: u64,
    /// When the log took it, Unix milliseconds; zero if unknown.
    pub(crate) log_time_ms: i64,
}

/// Checks that a stream is the one that a store was folded from, as far as it was. Why it is not; `None` if it is.
///
/// # Errors
/// What the broker said.
pub(crate) async fn differs(
    context: &jetstream::Context,
    stream: &str,
    mut identity: Identity,
) -> Result<Option<Stop>, String> {
    let info = look(context, stream).await?;
    let checked = match check(context, stream, &mut identity, &info).await {
        Ok(_) => check_message(context, stream, &identity).await,
        Err(fault) => Err(fault),
    };
    match checked {
        Ok(()) => Ok(None),
        Err(Fault::Stop(stop)) => Ok(Some(stop)),
        Err(Fault::Retry(why)) => Err(why),
        Err(Fault::Hole { expected, found }) => {
            Ok(Some(Stop::MissingSequence { expected, found: Some(found) }))
        }
    }
}

/// Checks what the broker says of a stream. Where it begins behind our position: what comes next and is lost, if an operator
/// said so.
pub(super) async fn check(
    context: &jetstream::Context,
    stream: &str,
    identity: &mut Identity,
    info: &Info,
) -> Result<Option<RangeInclusive<u64>>, Fault> {
    let Err(stop) = identity.check(info) else { return Ok(None) };
    let Stop::RetentionOvertook { first, applied } = stop else { return Err(Fault::Stop(stop)) };
    let lost = loss::accepted(context, stream, applied + 1, Some(first)).await.map_err(Fault::Retry)?;
    lost.map(Some).ok_or(Fault::Stop(stop))
}

/// The message at our position must be the one that we applied: a stream restored from an older copy
/// and grown past our position has another one there. One that retention took meanwhile tells nothing.
pub(super) async fn check_message(
    context: &jetstream::Context,
    stream: &str,
    identity: &Identity,
) -> Result<(), Fault> {
    if identity.sequence == 0 || identity.log_time_ms == 0 {
        return Ok(());
    }
    let found = taken_at(context, stream, identity.sequence).await.map_err(Fault::Retry)?;
    found.map_or(Ok(()), |found_ms| identity.check_time(found_ms).map_err(Fault::Stop))
}

/// True if the stream holds another message of this sequence than the one that it took at this time. One that retention
/// took meanwhile tells nothing.
///
/// # Errors
/// What the broker said.
pub(crate) async fn is_rewritten(
    context: &jetstream::Context,
    stream: &str,
    (sequence, log_time_ms): (u64, i64),
) -> Result<bool, String> {
    match check_message(context, stream, &Identity { created: None, sequence, log_time_ms }).await {
        Ok(()) => Ok(false),
        Err(Fault::Stop(_) | Fault::Hole { .. }) => Ok(true),
        Err(Fault::Retry(why)) => Err(why),
    }
}

impl Identity {
    /// Checks what the broker says, and keeps the creation time if it is the first that we hear.
    pub(super) fn check(&mut self, info: &Info) -> Result<(), Stop> {
        let expected = self.created.get_or_insert_with(|| info.created.clone());
        if *expected != info.created {
            let (expected, found) = (expected.clone(), info.created.clone());
            return Err(Stop::StreamRecreated { expected, found });
        }
        let applied = self.sequence;
        if info.last_sequence < applied {
            return Err(Stop::StreamShortened { last: info.last_sequence, applied });
        }
        if info.first_sequence > applied + 1 {
            return Err(Stop::RetentionOvertook { first: info.first_sequence, applied });
        }
        Ok(())
    }

    fn check_time(&self, found_ms: i64) -> Result<(), Stop> {
        let (sequence, expected_ms) = (self.sequence, self.log_time_ms);
        if found_ms == expected_ms {
            return Ok(());
        }
        Err(Stop::StreamRewritten { sequence, expected_ms, found_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Identity {
        Identity { created: Some("c".to_owned()), sequence, log_time_ms: 5 }
    }

    fn info(created: &str, first_sequence: u64, last_sequence: u64) -> Info {
        Info { created: created.to_owned(), first_sequence, last_sequence, last_ms: 0 }
    }

    #[test]
    fn the_same_stream_passes_also_when_all_applied_messages_are_gone() {
        assert_eq!(at(7).check(&info("c", 1, 7)), Ok(()));
        assert_eq!(at(7).check(&info("c", 8, 7)), Ok(()));
        assert_eq!(Identity::default().check(&info("c", 0, 0)), Ok(()));
        assert_eq!(at(7).check_time(5), Ok(()));
    }

    #[test]
    fn each_change_of_the_stream_stops_by_its_name() {
        let code = |identity: &mut Identity, info: Info| identity.check(&info).unwrap_err().code();
        assert_eq!(code(&mut at(7), info("d", 1, 9)), "stream_recreated");
        assert_eq!(code(&mut at(7), info("c", 1, 6)), "stream_shortened");
        assert_eq!(code(&mut at(7), info("c", 9, 20)), "retention_overtook");
        assert_eq!(code(&mut Identity::default(), info("c", 2, 20)), "retention_overtook");
        assert_eq!(at(7).check_time(6).unwrap_err().code(), "stream_rewritten");
    }

    #[test]
    fn a_stream_seen_once_is_known_before_anything_of_it_is_applied() {
        let mut identity = Identity::default();
        assert_eq!(identity.check(&info("c", 0, 0)), Ok(()));
        assert_eq!(identity.check(&info("d", 0, 0)).unwrap_err().code(), "stream_recreated");
    }
}
