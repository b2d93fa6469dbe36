//! How many messages of some subjects the broker has in a stretch. It delivers none that it cannot read from its files, and
//! says nothing about that: of what is read whole the sequences tell, of some subjects their number alone.

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};

use super::{Fault, Stretch, retry};
use crate::consumer::{self, Ephemeral};

/// Messages behind a stretch beyond which its own are not counted: the broker would read through its files to count those
/// behind, and take nothing in meanwhile.
const BEHIND_MAX: u64 = 100_000;

/// How often it is counted while the log grows; then the doubt is told.
const COUNTS_MAX: usize = 3;

/// How many messages the broker may lack: of the subjects in the stretch, or of the whole stream. Zero if `found` are all,
/// as far as it counts; more than there are at times, for in the midst of a file it counts those alone that it can read.
/// The stretch begins with the sequence `first`.
///
/// # Errors
/// The broker does not tell.
pub(super) async fn lacking(
    context: &Context,
    stretch: &Stretch,
    first: u64,
    found: u64,
) -> Result<u64, Fault> {
    let stream = context.get_stream(&stretch.stream).await.map_err(|error| retry(&error))?;
    let state = &stream.cached_info().state;
    let holes = (state.last_sequence + 1).saturating_sub(state.first_sequence).saturating_sub(state.messages);
    if state.last_sequence.saturating_sub(stretch.to) > BEHIND_MAX {
        return Ok(holes);
    }
    let after = DeliverPolicy::ByStartSequence { start_sequence: stretch.to.saturating_add(1) };
    let from = DeliverPolicy::ByStartSequence { start_sequence: first };
    let mut lacking = 0;
    for _ in 0..COUNTS_MAX {
        let before = pending(context, stretch, after).await?;
        let all = pending(context, stretch, from).await?;
        lacking = all.saturating_sub(before).saturating_sub(found);
        if lacking == 0 {
            break;
        }
        // What came in between is counted with all, and may be what seems to be lacking.
        let behind = pending(context, stretch, after).await?;
        if behind == before || all.saturating_sub(behind) > found {
            break;
        }
    }
    Ok(lacking.max(holes))
}

/// Messages that a consumer which begins there would be sent. Nothing is read.
async fn pending(context: &Context, stretch: &Stretch, deliver_policy: DeliverPolicy) -> Result<u64, Fault> {
    let config = pull::Config {
        description: Some("groupfold, messages of a stretch".to_owned()),
        deliver_policy,
        filter_subjects: stretch.subjects.clone(),
        inactive_threshold: consumer::ASKED_IDLE_MAX,
        ..pull::Config::default()
    };
    let consumer = Ephemeral::make(context, &stretch.stream, config).await.map_err(|error| retry(&error))?;
    Ok(consumer.cached_info().num_pending)
}
