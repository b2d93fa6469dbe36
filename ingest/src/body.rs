//! A request's body, bounded in bytes and in time.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Bytes are taken from the common bound in steps of this size, as they arrive: whoever only announces
/// a large body holds nothing.
const STEP_BYTES: usize = 64 * 1024;

/// Why a body is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Announced or found to be larger than the bound.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// Not all of it came in time.
    #[error("the body did not come in time")]
    Late,
    /// All bodies together are at their bound.
    #[error("too many bytes are in flight")]
    Busy,
    /// The sender broke off, or its framing is broken.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// A whole body and its share of the bytes in flight.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Refuses what is announced too large, before anything is spent on it.
pub(crate) fn check_announced(body: &Incoming, bytes_max: usize) -> Result<(), Error> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).is_ok_and(|bytes| bytes <= bytes_max) {
        Ok(())
    } else {
        Err(Error::TooLarge { max: bytes_max })
    }
}

/// Reads a body whole.
pub(crate) async fn read(
    mut body: Incoming,
    bytes_max: usize,
    deadline: Instant,
    in_flight: &Arc<Semaphore>,
) -> Result<Whole, Error> {
    let mut permit = take(in_flight, 0)?;
    let mut held = 0;
    // A body of one frame, which most are, is not copied.
    let (mut first, mut bytes) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(|_| Error::Late)? {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(Error::Broken)?.into_data() else { continue };
        let len = first.len() + bytes.len() + data.len();
        if len > bytes_max {
            return Err(Error::TooLarge { max: bytes_max });
        }
        while held < len {
            permit.merge(take(in_flight, STEP_BYTES.min(bytes_max - held))?);
            held += STEP_BYTES.min(bytes_max - held);
        }
        if len == data.len() {
            first = data;
        } else {
            bytes.extend_from_slice(&std::mem::take(&mut first));
            bytes.extend_from_slice(&data);
        }
    }
    let bytes = if bytes.is_empty() { first } else { bytes.freeze() };
    Ok(Whole { bytes, permit })
}

fn take(in_flight: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
    let bytes = u32::try_from(bytes).map_err(|_| Error::Busy)?;
    Arc::clone(in_flight).try_acquire_many_owned(bytes).map_err(|_| Error::Busy)
}
