//! What the stream of changes holds.

use std::collections::BTreeMap;

use groupfold_schemas::change::Mark;
use groupfold_schemas::log;
use groupfold_tests::NatsServer;
use serde_json::Value;

/// The changes by partition, in the order of the stream.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told(BTreeMap<u16, Vec<(Mark, Value)>>);

impl Told {
    /// Reads the whole stream.
    pub(crate) async fn read(nats: &NatsServer) -> Self {
        let jetstream = async_nats::jetstream::new(nats.client().await);
        let mut stream = jetstream.get_stream(log::CHANGES_STREAM).await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut told = Self::default();
        for sequence in state.first_sequence..=state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
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

    /// Changes that were heard elsewhere.
    pub(crate) fn of(bodies: impl IntoIterator<Item = Value>) -> Self {
        let mut told = Self::default();
        for body in bodies {
            let (partition, mark) = Mark::from_id(body["id"].as_str().unwrap()).unwrap();
            told.0.entry(partition).or_default().push((mark, body));
        }
        told
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Value> {
        self.0.values().flatten().map(|(_, body)| body)
    }

    /// Each once, in the order of the log.
    pub(crate) fn check_order(&self) {
        for (partition, changes) in &self.0 {
            let sorted = changes.is_sorted_by(|a, b| a.0 < b.0);
            assert!(sorted, "partition {partition}: {:?}", changes.iter().map(|c| c.0).collect::<Vec<_>>());
        }
    }

    /// The other one begins with these, in each partition.
    #[track_caller]
    pub(crate) fn assert_begins(&self, other: &Self) {
        for (partition, changes) in &self.0 {
            let theirs = other.0.get(partition).map_or(&[][..], Vec::as_slice);
            assert!(theirs.starts_with(changes), "partition {partition}");
        }
    }

    #[track_caller]
    pub(crate) fn assert_same(&self, other: &Self) {
        for partition in self.0.keys().chain(other.0.keys()) {
            let of = |told: &Self| told.0.get(partition).cloned().unwrap_or_default();
            for (a, b) in of(self).iter().zip(&of(other)) {
                assert_eq!(a, b, "partition {partition}");
            }
            assert_eq!(of(self).len(), of(other).len(), "partition {partition}");
        }
    }
}
