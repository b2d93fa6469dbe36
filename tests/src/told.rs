//! What the stream of changes holds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use groupfold_ingest::provision::{Plan, provision};
use groupfold_schemas::change::Mark;
use groupfold_schemas::log;
use serde_json::Value;

use crate::{Groupfold, NatsServer, Options, wait_until};

const BOUND: Duration = Duration::from_secs(90);
/// Messages asked for at once.
const AT_ONCE: usize = 64;

/// The changes by partition, in the order of the stream.
#[derive(Debug, Default, PartialEq)]
pub struct Told(BTreeMap<u16, Vec<(Mark, Value)>>);

impl Told {
    /// Reads the whole stream, and holds the headers and the subject of each change against its body.
    ///
    /// # Panics
    /// They say something else, or the broker does not answer.
    pub async fn read(nats: &NatsServer) -> Self {
        let jetstream = async_nats::jetstream::new(nats.client().await);
        let mut changes = jetstream.get_stream(log::CHANGES_STREAM).await.unwrap();
        let state = changes.info().await.unwrap().state.clone();
        let mut told = Self::default();
        let message = async |sequence| changes.get_raw_message(sequence).await;
        let sequences = state.first_sequence..=state.last_sequence;
        let mut messages = stream::iter(sequences).map(message).buffered(AT_ONCE);
        while let Some(message) = messages.next().await {
            // One that retention took meanwhile.
            let Ok(message) = message else { continue };
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            let (partition, mark) = Mark::from_id(body["id"].as_str().unwrap()).unwrap();
            assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), body["id"]);
            assert_eq!(message.headers.get("Groupfold-Position").unwrap().as_str(), body["position"]);
            let kind = body["kind"].as_str().unwrap();
            let subject = log::change_subject(partition, kind, body["group_id"].as_str().unwrap());
            assert_eq!(message.subject.as_str(), subject);
            told.0.entry(partition).or_default().push((mark, body));
        }
        told
    }

    /// Waits until all of the log is folded and all that it changed is published, and reads that.
    ///
    /// # Panics
    /// It is not, within a bound.
    pub async fn settled(projector: &Groupfold, nats: &NatsServer) -> Self {
        projector.caught_up().await;
        wait_until("all changes are published", BOUND, async || {
            let metrics = projector.get("/metrics").await.text;
            let waiting: Vec<_> =
                metrics.lines().filter(|line| line.starts_with("groupfold_feed_waiting{")).collect();
            let none = !waiting.is_empty() && waiting.iter().all(|line| line.ends_with("} 0.0"));
            if none { Ok(()) } else { Err(metrics) }
        })
        .await;
        Self::read(nats).await
    }

    /// The changes that a projector tells of this log from its beginning, once they are as many as these. Nobody else
    /// may publish.
    ///
    /// # Panics
    /// They never are.
    pub async fn anew(&self, nats: &NatsServer, partitions: u16) -> Self {
        let client = nats.client().await;
        let jetstream = async_nats::jetstream::new(client.clone());
        for stream in [log::CHANGES_STREAM, log::CHANGE_MARKS_STREAM] {
            jetstream.delete_stream(stream).await.unwrap();
        }
        provision(&client, &Plan { partitions, ..Plan::default() }).await.unwrap();
        let undisturbed = Groupfold::project(Options::on(nats)).await;
        wait_until("as many are told", BOUND, async || {
            let told = Self::read(nats).await.len();
            if told >= self.len() { Ok(()) } else { Err(format!("{told} of {}", self.len())) }
        })
        .await;
        Self::settled(&undisturbed, nats).await
    }

    /// Changes that were heard elsewhere.
    ///
    /// # Panics
    /// They are none.
    pub fn of(bodies: impl IntoIterator<Item = Value>) -> Self {
        let mut told = Self::default();
        for body in bodies {
            let (partition, mark) = Mark::from_id(body["id"].as_str().unwrap()).unwrap();
            told.0.entry(partition).or_default().push((mark, body));
        }
        told
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// True if nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, partition by partition.
    pub fn bodies(&self) -> impl Iterator<Item = &Value> {
        self.0.values().flatten().map(|(_, body)| body)
    }

    /// What is told twice, or before what the log has first.
    #[must_use]
    pub fn disorder(&self) -> Option<String> {
        self.0.iter().find_map(|(partition, changes)| {
            let pair = changes.windows(2).find(|pair| pair[0].0 >= pair[1].0)?;
            Some(format!("partition {partition}: {} and then {}", pair[0].1, pair[1].1))
        })
    }

    /// True if the other one begins with these, in each partition.
    #[must_use]
    pub fn is_begin_of(&self, other: &Self) -> bool {
        self.0.iter().all(|(partition, changes)| {
            other.0.get(partition).is_some_and(|theirs| theirs.starts_with(changes))
        })
    }

    /// The first difference between two tellings.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        self.0.keys().chain(other.0.keys()).find_map(|partition| {
            let none = Vec::new();
            let [ours, theirs] = [self, other].map(|told| told.0.get(partition).unwrap_or(&none));
            let differ = ours.iter().zip(theirs).find(|(one, another)| one != another);
            let of_both = differ.map(|(one, another)| format!("{} and {}", one.1, another.1));
            let counts = || format!("{} and {} changes", ours.len(), theirs.len());
            let found = of_both.or_else(|| (ours.len() != theirs.len()).then(counts))?;
            Some(format!("partition {partition}: {found}"))
        })
    }
}
