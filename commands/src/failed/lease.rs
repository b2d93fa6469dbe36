//! One replay at a time, whoever starts it and wherever: a key in the broker that its holder renews. The key of one
//! that was killed expires by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{self, CreateErrorKind};
use groupfold_ingest::provision;
use tokio::task::JoinHandle;

use crate::exit::{Failure, with_causes};

const BUCKET: &str = "groupfold_leases";
const KEY: &str = "replay";
/// How long the key of a killed replay holds up the next one.
const EXPIRES: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// Held until [`Lease::release`], or until it can no longer be renewed.
pub(super) struct Lease {
    store: kv::Store,
    lost: Arc<AtomicBool>,
    renewing: JoinHandle<()>,
}

impl Lease {
    pub(super) async fn take(context: &Context) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::Failed(with_causes("cannot make sure that no other replay runs", error))
        };
        let store = match context.get_key_value(BUCKET).await {
            Ok(store) => store,
            Err(_) => {
                let num_replicas = provision::replicas(context).await.map_err(|error| failed(&error))?;
                let config = kv::Config {
                    bucket: BUCKET.to_owned(),
                    description: "groupfold: who does what may be done by one at a time".to_owned(),
                    max_age: EXPIRES,
                    num_replicas,
                    ..kv::Config::default()
                };
                context.create_key_value(config).await.map_err(|error| failed(&error))?
            }
        };
        let holder = format!("process {}", std::process::id());
        let mut revision = match store.create(KEY, holder.clone().into()).await {
            Ok(revision) => revision,
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                let other = store.get(KEY).await.ok().flatten().unwrap_or_default();
                let other = String::from_utf8_lossy(&other).into_owned();
                return Err(Failure::Again(format!(
                    "another replay is running ({other}); if it was killed, its claim ends by itself in {} s",
                    EXPIRES.as_secs()
                )));
            }
            Err(error) => return Err(failed(&error)),
        };
        let lost = Arc::new(AtomicBool::new(false));
        let (renewed, gone) = (store.clone(), Arc::clone(&lost));
        let renewing = tokio::spawn(async move {
            let mut last = tokio::time::Instant::now();
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                match renewed.update(KEY, holder.clone().into(), revision).await {
                    Ok(new) => (revision, last) = (new, tokio::time::Instant::now()),
                    // Before it expires for others, it has ended for us.
                    Err(_) if last.elapsed() + RENEW_EVERY < EXPIRES => {}
                    Err(_) => return gone.store(true, Ordering::SeqCst),
                }
            }
        });
        Ok(Self { store, lost, renewing })
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(super) async fn release(self) {
        self.renewing.abort();
        if !self.is_lost()
            && let Err(error) = self.store.delete(KEY).await
        {
            tracing::debug!(%error, "the claim could not be given back, it expires");
        }
    }
}
