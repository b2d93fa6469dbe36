//! What processes agree on through the broker: who sends a command, which command an idempotency key means, and
//! pictures until they are uploaded.

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{self, CreateErrorKind};
use async_nats::jetstream::object_store::{self, GetErrorKind, ObjectStore};
use bytes::Bytes;
use groupfold_ingest::bucket;
use groupfold_projector::desk::Unwritten;
use groupfold_schemas::id::{hex, sha256};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

const BUCKET: &str = "groupfold_commands";
const UPLOADS: &str = "groupfold_uploads";
/// How long a key means the same command, and a claim keeps others from sending it: far longer than any command takes
/// to reach its end.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A picture is needed until its command has been sent.
const UPLOADS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What an idempotency key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// This command: it is the first under the key.
    New,
    /// An earlier command, of the same request.
    Same(String),
    /// An earlier command, of another request.
    Reused,
}

#[derive(Debug)]
pub(super) struct Claims {
    context: Context,
}

impl Claims {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }

    /// True for one process alone, ever: the one that sends the command.
    pub(super) async fn claim(&self, command_id: &str) -> Result<bool, Unwritten> {
        let holder = super::record::sender();
        match self.bucket().await?.create(format!("claim.{command_id}"), holder.into()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(unwritten("a claim", &error)),
        }
    }

    /// What a key means, from now on.
    pub(super) async fn key(&self, key: &str, request: &str, command_id: &str) -> Result<Key, Unwritten> {
        let bucket = self.bucket().await?;
        let name = format!("key.{}", hex(&sha256([key.as_bytes()])));
        match bucket.create(&name, format!("{command_id} {request}").into()).await {
            Ok(_) => return Ok(Key::New),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritten("an idempotency key", &error)),
        }
        let kept = bucket.get(&name).await.map_err(|error| unwritten("an idempotency key", &error))?;
        let kept = kept.unwrap_or_default();
        let kept = String::from_utf8_lossy(&kept);
        Ok(match kept.split_once(' ') {
            Some((command, same)) if same == request => Key::Same(command.to_owned()),
            _ => Key::Reused,
        })
    }

    /// Keeps a picture under its digest.
    pub(super) async fn keep(&self, picture: &Bytes) -> Result<(), Unwritten> {
        let store = self.uploads().await?;
        let name = hex(&sha256([picture.as_ref()]));
        let mut bytes: &[u8] = picture;
        store.put(name.as_str(), &mut bytes).await.map_err(|error| unwritten("a picture", &error))?;
        Ok(())
    }

    /// A picture that was kept; `None` if it is there no longer.
    pub(super) async fn kept(&self, name: &str) -> Result<Option<Bytes>, Unwritten> {
        let mut object = match self.uploads().await?.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unwritten("a picture", &error)),
        };
        let mut bytes = Vec::new();
        object.read_to_end(&mut bytes).await.map_err(|error| unwritten("a picture", &error))?;
        Ok((hex(&sha256([bytes.as_slice()])) == name).then(|| bytes.into()))
    }

    async fn bucket(&self) -> Result<kv::Store, Unwritten> {
        let wanted = kv::Config {
            bucket: BUCKET.to_owned(),
            description: "groupfold: who sends a command, and what idempotency keys mean".to_owned(),
            max_age: KEPT,
            ..kv::Config::default()
        };
        let found = bucket::keys(&self.context, wanted).await;
        found.map_err(|error| unwritten("the bucket of commands", &error))
    }

    async fn uploads(&self) -> Result<ObjectStore, Unwritten> {
        let wanted = object_store::Config {
            bucket: UPLOADS.to_owned(),
            description: Some("groupfold: pictures until they are uploaded".to_owned()),
            max_age: UPLOADS_KEPT,
            ..object_store::Config::default()
        };
        let found = bucket::objects(&self.context, wanted).await;
        found.map_err(|error| unwritten("the bucket of pictures", &error))
    }
}

fn unwritten(what: &str, error: &dyn std::error::Error) -> Unwritten {
    tracing::warn!(error = %crate::exit::with_causes(what, error), "the broker did not take it");
    Unwritten { reason: "broker_refused" }
}
