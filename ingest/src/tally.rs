//! What became of items, counted over the life of a receiver and left in the log's own key-value bucket: the receiver
//! keeps nothing itself, and an audit compares what all receivers say with what the streams hold.
//!
//! Every message that a receiver publishes names its life. So, at any time, for each life:
//! `stored` ≤ messages of that life in the streams ≤ `stored` + `unsure`, once the life has ended in order; of one
//! that was killed the last second may be missing from the counts, never from the streams.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::{self, kv};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::append::Receipt;
use crate::bucket;
use crate::system::{now_ms, random_hex};

/// The bucket of all receivers' counts: a key per life that counted something. They are kept for ever: of one that was
/// killed nobody knows that no more comes, and messages of all of them stay in the streams.
pub const BUCKET: &str = "groupfold_receivers";
/// The header by which a log message names the life of the receiver that published it.
pub const RECEIVER_HEADER: &str = "Groupfold-Receiver";

const WRITE_EVERY: Duration = Duration::from_secs(1);
/// So long after a webhook's answer a running receiver has left what it counted, where the broker takes it at once.
pub const LEFT_AFTER: Duration = Duration::from_millis(1_300);
/// How long the last counts may take to be left when the receiver ends.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The counts of one receiver's life, as they are left in [`BUCKET`]. Items are those of acknowledged webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// When the life began, Unix milliseconds.
    pub started_ms: i64,
    /// When this was written, Unix milliseconds.
    pub updated_ms: i64,
    /// Version of the build.
    pub build: String,
    /// True if the receiver ended in order: then nothing is missing from the counts.
    pub closed: bool,
    /// Items of webhooks that were answered 200.
    pub received: u64,
    /// Of these: events now in the log.
    pub appended: u64,
    /// Of these: events that were in the log before.
    pub duplicate: u64,
    /// Of these: kept as failures.
    pub failed: u64,
    /// Of these: of no concern by configuration.
    pub ignored: u64,
    /// Messages that the streams of events acknowledged as new.
    pub stored: u64,
    /// Messages that the stream of failures acknowledged as new.
    pub stored_failed: u64,
    /// Messages that may be in the streams without having been acknowledged as new: of webhooks answered 503, or
    /// published twice for want of an acknowledgement.
    pub unsure: u64,
}

/// The counts being made.
pub(crate) struct Tally {
    /// 16 lower-case hex digits.
    life: String,
    /// One lock for all: counts that belong together are never seen apart.
    counts: Mutex<Counts>,
    /// Told whenever they changed.
    changed: Notify,
    store: tokio::sync::Mutex<Option<kv::Store>>,
}

impl Tally {
    pub(crate) fn new(build: &str) -> Self {
        let counts = Counts { started_ms: now_ms(), build: build.to_owned(), ..Counts::default() };
        Self {
            life: random_hex::<8>(),
            counts: Mutex::new(counts),
            changed: Notify::new(),
            store: tokio::sync::Mutex::new(None),
        }
    }

    pub(crate) fn life(&self) -> &str {
        &self.life
    }

    /// A webhook of so many items was acknowledged whole.
    pub(crate) fn acknowledged(&self, items: usize, receipt: &Receipt) {
        self.change(|counts| {
            counts.received += items as u64;
            counts.appended += receipt.appended;
            counts.duplicate += receipt.duplicate;
            counts.failed += receipt.failed;
            counts.ignored += receipt.ignored;
            counts.stored += receipt.stored;
            counts.stored_failed += receipt.stored_failed;
            counts.unsure += receipt.unsure;
        });
    }

    /// A webhook was not acknowledged: so many messages of it may be in the streams.
    pub(crate) fn unacknowledged(&self, messages: u64) {
        self.change(|counts| counts.unsure += messages);
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Leaves the counts whenever they changed, until told to stop. A broker that is away is tried again.
    pub(crate) async fn keep(&self, client: Client, stop: CancellationToken) {
        let leave = async {
            loop {
                self.changed.notified().await;
                if let Err(error) = self.write(&client).await {
                    self.changed.notify_one();
                    tracing::debug!(%error, "the counts are not left yet");
                }
                tokio::time::sleep(WRITE_EVERY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = leave => {}
        }
    }

    /// Leaves the last counts of a receiver that has finished all its work.
    pub(crate) async fn close(&self, client: &Client) {
        self.change(|counts| counts.closed = true);
        let written = tokio::time::timeout(CLOSE_WAIT, self.write(client)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last counts could not be left"),
            Err(_) => tracing::warn!("the last counts could not be left in time"),
        }
    }

    async fn write(&self, client: &Client) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        // Held while writing: counts must not overtake each other.
        let mut store = self.store.lock().await;
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A life that counts nothing leaves nothing: those that die at their start, again and again, would fill the bucket.
        if counts.received == 0 && counts.unsure == 0 {
            return Ok(());
        }
        let store = match &mut *store {
            Some(store) => store,
            none => none.insert(bucket(client).await?),
        };
        let counts = serde_json::to_vec(&Counts { updated_ms: now_ms(), ..counts })?;
        store.put(self.life.as_str(), counts.into()).await?;
        Ok(())
    }
}

/// The bucket, made if it is missing.
pub(crate) async fn bucket(client: &Client) -> Result<kv::Store, bucket::Error> {
    let wanted = kv::Config {
        bucket: BUCKET.to_owned(),
        description: "groupfold: what became of items, by the life of each receiver".to_owned(),
        ..kv::Config::default()
    };
    bucket::keys(&jetstream::new(client.clone()), wanted).await
}
