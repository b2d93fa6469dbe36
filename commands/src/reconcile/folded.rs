//! How far the state is that a round concludes from. What is concluded goes into the log for good, so it must not be
//! concluded from a store that is still folding: members that stand in the log, unfolded, would be taken for gone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use groupfold_ingest::replay;
use serde_json::Value;

use crate::api::Client;
use crate::exit::{Failure, with_causes};

/// How long the state is waited for.
const WAIT: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Partitions that have not folded what the log had when they were looked at.
#[derive(Debug, Default)]
pub(super) struct Behind {
    partitions: BTreeSet<u16>,
    /// Those of them that fold nothing until somebody comes.
    stopped: BTreeSet<u16>,
}

impl Behind {
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// True if waiting helps.
    pub(super) fn is_folding(&self) -> bool {
        self.partitions != self.stopped
    }

    /// True of a group that lives in one of them; of every one, if nobody knows where it lives.
    pub(super) fn has(&self, group: &str, log: Option<&replay::Log>) -> bool {
        log.map_or(!self.is_empty(), |log| self.partitions.contains(&log.home_of(group)))
    }

    /// For what speaks of all groups.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        let way_out =
            if self.is_folding() { "try again" } else { "with --execute the other groups are seen to" };
        Err(Failure::Again(format!("{self}: {way_out}")))
    }
}

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |of: &BTreeSet<u16>| of.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "partition {} has not folded what the log has", names(&self.partitions))?;
        if !self.stopped.is_empty() {
            write!(f, " ({} stopped: `groupfold doctor` says why)", names(&self.stopped))?;
        }
        Ok(())
    }
}

/// Waits until what answers has folded all that the log has at this moment, of the partitions that it owns. Where the log
/// ends the broker says, if the log is at hand, else who answers.
pub(super) async fn fold_up(api: &Client, log: Option<&replay::Log>) -> Result<Behind, Failure> {
    let until = Instant::now() + WAIT;
    let told = api.get(&["v1", "position"], &[]).await?;
    let mut behind = Behind::default();
    for partition in told["partitions"].as_array().into_iter().flatten() {
        let Some(id) = partition["partition"].as_u64().and_then(|id| id.try_into().ok()) else { continue };
        // It will fold nothing until somebody comes.
        if !reads_on(&told, id) {
            behind.partitions.insert(id);
            behind.stopped.insert(id);
            continue;
        }
        let end = match log {
            Some(log) => log.end_of(id).await.map_err(|error| {
                Failure::Again(with_causes(&format!("the end of partition {id} is not known"), &error))
            })?,
            None => partition["log_end"].as_u64().unwrap_or_default(),
        };
        if !has_folded(api, id, end, until).await? {
            behind.partitions.insert(id);
        }
    }
    Ok(behind)
}

async fn has_folded(api: &Client, partition: u16, end: u64, until: Instant) -> Result<bool, Failure> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let query = [
            ("min_position", Some(format!("{partition}:{end}"))),
            ("wait_ms", Some(left.as_millis().to_string())),
        ];
        match api.get(&["v1", "position"], &query).await {
            Ok(told) => return Ok(reads_on(&told, partition)),
            Err(Failure::Again(_)) if left.is_zero() => return Ok(false),
            // The server grants a shorter wait, or the partition has stopped for now.
            Err(Failure::Again(_)) => tokio::time::sleep(LOOK_AGAIN.min(left)).await,
            Err(failure) => return Err(failure),
        }
    }
}

/// One that has stopped may have folded another log than this.
fn reads_on(told: &Value, partition: u16) -> bool {
    let mut all = told["partitions"].as_array().into_iter().flatten();
    all.any(|one| one["partition"] == partition && one["state"] != "stopped")
}
