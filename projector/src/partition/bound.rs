//! How large a record's contributions may be. Asked of each record alone, before anything is merged: which
//! ones are refused then depends neither on their order nor on how they fall into batches.
//!
//! A merge takes each register whole from one of its sides. So what is merged keeps within
//! [`VALUE_BYTES_MAX`] if the bounds of all its registers together do.

use groupfold_fold::apply::{Contributions, SPARED_BYTES_MAX};
use groupfold_fold::entry::Value;
use groupfold_schemas::{frame, v1};

use crate::store::VALUE_BYTES_MAX;

/// A description may have 2,048 characters, each of up to four bytes.
const DESCRIPTION_BYTES: usize = 9 * 1024;
/// Errors of the provider, each with its texts.
const ERRORS_BYTES: usize = 4 * 1024;
const PICTURE_BYTES: usize = 1024;
/// A subject may have 128 characters.
const SUBJECT_BYTES: usize = 1024;
/// Ids, links and modes.
const SHORT_BYTES: usize = 512;
/// What is known is not contributed again, nor measured: it must fit whatever it says.
const _: () = assert!(SPARED_BYTES_MAX + AROUND_BYTES <= SHORT_BYTES && SHORT_BYTES <= THIRD_BYTES);
/// A stamp and a number.
const NUMBER_BYTES: usize = 256;
/// What a merged value has beside its registers: their tags and lengths, and the frame.
const AROUND_BYTES: usize = 256;

/// A head holds two descriptions, three subjects, two pictures and so on, see [`head_fits`].
const HEAD_BYTES: usize = 2 * DESCRIPTION_BYTES
    + ERRORS_BYTES
    + 2 * PICTURE_BYTES
    + 3 * SUBJECT_BYTES
    + 6 * SHORT_BYTES
    + 4 * NUMBER_BYTES;
const _: () = assert!(HEAD_BYTES + AROUND_BYTES <= VALUE_BYTES_MAX);

/// Values of up to three registers, all of one record in the worst case, and a message's fourth.
const THIRD_BYTES: usize = (VALUE_BYTES_MAX - AROUND_BYTES - SUBJECT_BYTES) / 3;

/// What a command may ask for: the longest text that WhatsApp takes, or a template.
const ASKED_BYTES: usize = 18 * 1024;
/// An answer, or a look at the provider, names each thing that was asked for.
const TOLD_BYTES: usize = 6 * 1024;
const _: () = assert!(ASKED_BYTES + 2 * TOLD_BYTES + 3 * SHORT_BYTES + AROUND_BYTES <= VALUE_BYTES_MAX);

/// True if all that a record contributes keeps within its bounds.
pub(super) fn fits(contributions: &Contributions) -> bool {
    contributions.values().all(value_fits)
}

fn value_fits(value: &Value) -> bool {
    match value {
        Value::Head(head) => head_fits(head),
        Value::Command(state) => command_fits(state),
        // The fourth register comes with a record of its own.
        Value::Message(v1::MessageHead { viewed_in: Some(register), .. }) => {
            frame::encoded_len(register) <= SUBJECT_BYTES
        }
        Value::Message(_) | Value::Receipt(_) => value.encoded_len() <= THIRD_BYTES,
        // Merging takes one side whole.
        Value::Window(_)
        | Value::Fact(_)
        | Value::Link(_)
        | Value::Rename(_)
        | Value::Outcome(_)
        | Value::View(_) => value.encoded_len() <= VALUE_BYTES_MAX,
    }
}

fn command_fits(state: &v1::CommandState) -> bool {
    let v1::CommandState { requested, refused, sent, answered, reconciled, message_id } = state;
    all_within([
        (requested.as_ref().map(frame::encoded_len), ASKED_BYTES),
        (refused.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (sent.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (answered.as_ref().map(frame::encoded_len), TOLD_BYTES),
        (reconciled.as_ref().map(frame::encoded_len), TOLD_BYTES),
        (message_id.as_ref().map(frame::encoded_len), SHORT_BYTES),
    ])
}

fn head_fits(head: &v1::GroupHead) -> bool {
    // No `..`: a register added to the head must be given its bound here, and its share above.
    let v1::GroupHead {
        origin,
        created,
        create_failed,
        deleted,
        suspended,
        subject,
        description,
        picture,
        join_approval_mode,
        invite_link,
        last_failure,
        announce,
        locked,
        member_add_mode,
        ephemeral_seconds,
        subject_unconfirmed,
        description_unconfirmed,
        picture_unconfirmed,
        // A byte or two of those around.
        policy: _,
    } = head;
    all_within([
        (origin.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (created.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (create_failed.as_ref().map(frame::encoded_len), SUBJECT_BYTES),
        (deleted.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (suspended.as_ref().map(frame::encoded_len), NUMBER_BYTES),
        (subject.as_ref().map(frame::encoded_len), SUBJECT_BYTES),
        (description.as_ref().map(frame::encoded_len), DESCRIPTION_BYTES),
        (picture.as_ref().map(frame::encoded_len), PICTURE_BYTES),
        (join_approval_mode.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (invite_link.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (last_failure.as_ref().map(frame::encoded_len), ERRORS_BYTES),
        (announce.as_ref().map(frame::encoded_len), NUMBER_BYTES),
        (locked.as_ref().map(frame::encoded_len), NUMBER_BYTES),
        (member_add_mode.as_ref().map(frame::encoded_len), SHORT_BYTES),
        (ephemeral_seconds.as_ref().map(frame::encoded_len), NUMBER_BYTES),
        (subject_unconfirmed.as_ref().map(frame::encoded_len), SUBJECT_BYTES),
        (description_unconfirmed.as_ref().map(frame::encoded_len), DESCRIPTION_BYTES),
        (picture_unconfirmed.as_ref().map(frame::encoded_len), PICTURE_BYTES),
    ])
}

/// Bytes of registers, where they are there, each with its bound.
fn all_within<const N: usize>(registers: [(Option<usize>, usize); N]) -> bool {
    registers.into_iter().all(|(bytes, most)| bytes.is_none_or(|bytes| bytes <= most))
}

#[cfg(test)]
mod tests;
