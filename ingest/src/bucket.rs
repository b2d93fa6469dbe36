//! Buckets of the broker, by which processes agree. One that is missing is made, with as many copies as the log has.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{CreateKeyValueError, GetStreamError};
use async_nats::jetstream::kv;
use async_nats::jetstream::object_store::{self, ObjectStore};

use crate::provision;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams of the log cannot be asked.
    #[error("it is not known how many copies the log has")]
    Copies(#[from] GetStreamError),
    /// The broker's word.
    #[error("the bucket cannot be made")]
    Bucket(#[from] CreateKeyValueError),
}

/// One of keys and values.
///
/// # Errors
/// The broker has none and makes none.
pub async fn keys(context: &Context, wanted: kv::Config) -> Result<kv::Store, Error> {
    if let Ok(store) = context.get_key_value(&wanted.bucket).await {
        return Ok(store);
    }
    let num_replicas = provision::replicas(context).await?;
    Ok(context.create_key_value(kv::Config { num_replicas, ..wanted }).await?)
}

/// One of what is too large for a message.
///
/// # Errors
/// The broker has none and makes none.
pub async fn objects(context: &Context, wanted: object_store::Config) -> Result<ObjectStore, Error> {
    if let Ok(store) = context.get_object_store(&wanted.bucket).await {
        return Ok(store);
    }
    let num_replicas = provision::replicas(context).await?;
    Ok(context.create_object_store(object_store::Config { num_replicas, ..wanted }).await?)
}
