//! Every value that is kept anywhere, by its header and its message.

use std::fmt::Debug;

use bytes::Bytes;
use groupfold_schemas::frame;
use groupfold_schemas::v1;
use prost::Message;

use super::hold;

/// Bytes as they are, and as the payload of a whole frame, as a value of every kind.
pub(super) fn read(bytes: &[u8]) -> Result<(), String> {
    for bytes in [bytes.to_vec(), framed(bytes), framed(bytes.get(5..).unwrap_or_default())] {
        one::<v1::Record>(&bytes)?;
        one::<v1::FailedWebhook>(&bytes)?;
        one::<v1::Resolution>(&bytes)?;
        one::<v1::Change>(&bytes)?;
        one::<v1::Outgoing>(&bytes)?;
        one::<v1::Progress>(&bytes)?;
        one::<v1::Unreadable>(&bytes)?;
        one::<v1::GroupHead>(&bytes)?;
        one::<v1::CommandState>(&bytes)?;
        one::<v1::Page>(&bytes)?;
        one::<v1::Undo>(&bytes)?;
    }
    Ok(())
}

/// A payload with the header that belongs to it.
pub(super) fn framed(payload: &[u8]) -> Vec<u8> {
    let crc = crc32fast::hash(payload).to_le_bytes();
    [&[frame::VERSION], &crc[..], payload].concat()
}

/// What is read is the same once written and read, shared or not; what is not is told by a name.
fn one<M: Message + Default + PartialEq + Debug>(bytes: &[u8]) -> Result<(), String> {
    let shared = frame::decode_shared::<M>(&Bytes::copy_from_slice(bytes));
    let value = frame::decode::<M>(bytes);
    hold(value == shared, || format!("{value:?} is {shared:?} where it is shared"))?;
    let value = match value {
        Ok(value) => value,
        Err(error) => return hold(!error.name().is_empty(), || format!("{error:?} has no name")),
    };
    let written = frame::encode(&value);
    hold(frame::encoded_len(&value) == written.len(), || format!("the length of {value:?}"))?;
    let again = frame::decode::<M>(&written).map_err(|error| format!("{value:?}: {error}"))?;
    hold(again == value, || format!("{value:?} is another value once written and read"))
}
