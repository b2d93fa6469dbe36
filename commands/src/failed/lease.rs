//! One replay at a time, whoever starts it and wherever: a key in the broker that its holder renews. The key of one
//! that was killed expires by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{self, CreateErrorKind};
use groupfold_ingest::bucket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::exit::{Failure, with_causes};

const BUCKET: &str = "groupfold_leases";
const KEY: &str = "replay";
/// How long the key of a killed replay holds up the next one.
const EXPIRES: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// Held until [`Lease::release`], or until it was not renewed for too long.
pub(super) struct Lease {
    store: kv::Store,
    renewed: Arc<Mutex<Instant>>,
    renewing: JoinHandle<()>,
}

impl Lease {
    pub(super) async fn take(context: &Context) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::Failed(with_causes("cannot make sure that no other replay runs", error))
        };
        let wanted = kv::Config {
            bucket: BUCKET.to_owned(),
            description: "groupfold: who does what may be done by one at a time".to_owned(),
            max_age: EXPIRES,
            ..kv::Config::default()
        };
        let store = bucket::keys(context, wanted).await.map_err(|error| failed(&error))?;
        let holder = format!("process {}", std::process::id());
        let asked = Instant::now();
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
        let renewed = Arc::new(Mutex::new(asked));
        let (kept, last) = (store.clone(), Arc::clone(&renewed));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                // The broker counts from when it has it, which is later.
                let asked = Instant::now();
                if let Ok(new) = kept.update(KEY, holder.clone().into(), revision).await {
                    revision = new;
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                }
            }
        });
        Ok(Self { store, renewed, renewing })
    }

    pub(super) fn is_lost(&self) -> bool {
        is_over(self.renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed())
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

/// Before it expires for others it has ended for us, whatever a renewal that is under way comes to: what was begun under it
/// takes a moment too.
fn is_over(since_renewed: Duration) -> bool {
    since_renewed + RENEW_EVERY >= EXPIRES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A renewal that hung was awaited past the end of the key: two replays ran.
    #[test]
    fn a_claim_is_over_before_its_key_is_gone_and_outlives_a_renewal_that_fails() {
        assert!(!is_over(RENEW_EVERY * 2) && is_over(EXPIRES - RENEW_EVERY) && is_over(EXPIRES));
    }
}
