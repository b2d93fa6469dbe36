//! What stands in the streams.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use groupfold_ingest::tally::RECEIVER_HEADER;
use groupfold_projector::scan::Found;
use groupfold_schemas::{frame, log, v1};

use crate::exit::Failure;
use crate::log::{Log, Look};

/// What stands in one stream.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(super) stream: String,
    pub(super) last: u64,
    pub(super) messages: u64,
    /// What is missing: the first and the last sequence of each hole.
    pub(crate) holes: Vec<(u64, u64)>,
    /// Messages that are missing, and that an operator said to go on without.
    pub(crate) lost: u64,
    /// Messages by the life of the receiver that published them.
    pub(super) by_life: BTreeMap<String, u64>,
    /// Messages of commands, of what the platform says and of readings of the provider: no receiver's.
    pub(super) own: u64,
    /// Messages of no receiver that are none of these, and no replays either.
    pub(super) strangers: u64,
    pub(super) unreadable: u64,
}

/// What stands in all of them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) events: Vec<Content>,
    pub(super) failed: Content,
    /// Failures without their repetitions.
    pub(super) failures: u64,
    pub(super) settled: u64,
    /// Failures that are settled and not there.
    pub(super) settled_of_nothing: BTreeSet<String>,
    /// Events that a replay says it appended and that are not there.
    pub(super) replayed_missing: BTreeSet<String>,
}

pub(super) async fn read(log: &Log) -> Result<Streams, Failure> {
    let mut streams = Streams::default();
    let mut promised: HashSet<String> = HashSet::new();
    let mut settled: HashSet<String> = HashSet::new();
    // What settles a failure is written last, so it is looked at first.
    each(log, log::RESOLVED_STREAM, |_, found| {
        if let Ok(resolution) = frame::decode::<v1::Resolution>(&found.payload) {
            promised.extend(resolution.event_ids);
            settled.insert(resolution.failed_id);
        }
    })
    .await?;
    streams.settled = settled.len() as u64;
    let mut failures: HashSet<String> = HashSet::new();
    streams.failed = each(log, log::FAILED_STREAM, |content, found| {
        match frame::decode::<v1::FailedWebhook>(&found.payload) {
            Ok(failed) => drop(failures.insert(failed.failed_id)),
            Err(_) => content.unreadable += 1,
        }
    })
    .await?;
    streams.failures = failures.len() as u64;
    streams.settled_of_nothing = settled.into_iter().filter(|id| !failures.contains(id)).collect();
    for partition in 0..log.partitions {
        let content = each(log, &log::stream(partition), |content, found| {
            match frame::decode::<v1::Record>(&found.payload) {
                Ok(record) => {
                    promised.remove(&record.event_id);
                    if life_of(found).is_none() && !record.replayed {
                        let from_outside = record.evidence() == v1::Evidence::Webhook;
                        *(if from_outside { &mut content.strangers } else { &mut content.own }) += 1;
                    }
                }
                Err(_) => content.unreadable += 1,
            }
        })
        .await?;
        streams.events.push(content);
    }
    streams.replayed_missing = promised.into_iter().collect();
    Ok(streams)
}

fn life_of(found: &Found) -> Option<&str> {
    found.headers.as_ref()?.get(RECEIVER_HEADER).map(|life| life.as_str())
}

/// Reads a stream to its end of this moment, over holes. One that is missing has nothing.
pub(crate) async fn each(
    log: &Log,
    stream: &str,
    mut take: impl FnMut(&mut Content, &Found),
) -> Result<Content, Failure> {
    let mut content = Content { stream: stream.to_owned(), ..Content::default() };
    let look = Look { stream: stream.to_owned(), what: "counting", ..Look::default() };
    let looked = log.each(look, |found| {
        // What stands for a lost message was never published; an empty one may have been, by hand.
        if found.subject.is_empty() {
            content.lost += 1;
            return;
        }
        content.messages += 1;
        if let Some(life) = life_of(found) {
            *content.by_life.entry(life.to_owned()).or_default() += 1;
        }
        take(&mut content, found);
    });
    let looked = looked.await?;
    (content.last, content.holes) = (looked.last, looked.holes);
    Ok(content)
}
