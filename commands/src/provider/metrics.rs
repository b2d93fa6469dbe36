//! What is asked of the provider, counted. No ids in labels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Answer, Call};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    call: &'static str,
    answer: &'static str,
    /// Of a refusal its code, of an unknown outcome why; else empty.
    code: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Metrics {
    calls: Family<Labels, Counter>,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "groupfold_provider_calls",
            "Calls to the provider's API, by what was asked and what became of it",
            self.calls.clone(),
        );
    }

    pub(super) fn answered(&self, call: &Call, answer: &Answer) {
        let (answer, code) = match answer {
            Answer::Accepted { .. } => ("accepted", ""),
            Answer::Done(_) => ("done", ""),
            Answer::Partly { .. } => ("partly", ""),
            Answer::Refused(refusal) => ("refused", refusal.code),
            Answer::Unknown(unsure) => ("unknown", unsure.name()),
        };
        self.calls.get_or_create(&Labels { call: call.name(), answer, code }).inc();
    }
}
