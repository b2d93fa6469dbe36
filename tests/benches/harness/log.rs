//! The log that is read, folded and exported: filled through the door, in POSTs of a hundred receipts.

use std::sync::Arc;
use std::time::Duration;

use groupfold_tests::Groupfold;

use crate::args::Args;
use crate::bed::Bed;
use crate::load::{Load, Outcome, Pace, Requests};
use groupfold_tests::receipts::{Webhooks, group_webhooks, member_webhooks};

pub(crate) const ITEMS: usize = 100;
const CONNECTIONS: usize = 16;
/// Longer than any log takes to be filled.
const FILL_WAIT: Duration = Duration::from_secs(3600);

/// A log, and the receiver that fills it.
pub(crate) struct Log<'a> {
    bed: &'a Bed,
    receiver: Groupfold,
    groups: u64,
    /// Receipts told so far.
    told: u64,
}

impl<'a> Log<'a> {
    /// A log in which every group is created and has its members.
    pub(crate) async fn new(args: &Args, bed: &'a Bed) -> Self {
        let receiver = Groupfold::ingest(bed.options(args)).await;
        let log = Self { bed, receiver, groups: args.groups(), told: 0 };
        let requests: Requests = Arc::new(group_webhooks);
        log.send(requests, Pace::Closed, log.groups, FILL_WAIT, None).await;
        log
    }

    /// Adds receipts until there are at least so many events.
    pub(crate) async fn fill(&mut self, events: u64) {
        let there = self.events().await;
        let posts = events.saturating_sub(there).div_ceil(ITEMS as u64);
        let requests = self.receipts();
        self.send(requests, Pace::Closed, posts, FILL_WAIT, None).await;
        self.told += posts * ITEMS as u64;
    }

    /// Adds about so many events of members who go and come again, of so few groups that each gets a long history.
    pub(crate) async fn churn(&self, events: u64, groups: u64) {
        let requests: Requests =
            Arc::new(move |n, out: &mut Vec<u8>| member_webhooks(n, ITEMS as u64, groups, out));
        // Over one connection: nobody comes before they went.
        let posts = events.div_ceil(ITEMS as u64);
        self.send_over(1, requests, Pace::Closed, posts, FILL_WAIT, None).await;
    }

    /// Adds so many receipts per second for so long; tells every answer.
    pub(crate) async fn pour(
        &mut self,
        per_second: f64,
        duration: Duration,
        answers: tokio::sync::mpsc::UnboundedSender<(std::time::Instant, Vec<u8>)>,
    ) -> Outcome {
        #[allow(clippy::cast_precision_loss, reason = "a hundred")]
        let pace = Pace::Open(per_second / ITEMS as f64);
        let outcome = self.send(self.receipts(), pace, u64::MAX, duration, Some(answers)).await;
        self.told += outcome.sent * ITEMS as u64;
        outcome
    }

    fn receipts(&self) -> Requests {
        let webhooks = Webhooks::new("/webhooks/meta", ITEMS, self.groups, self.told);
        Arc::new(move |n, out: &mut Vec<u8>| webhooks.request(n, out))
    }

    async fn send(
        &self,
        requests: Requests,
        pace: Pace,
        requests_max: u64,
        duration: Duration,
        answers: Option<tokio::sync::mpsc::UnboundedSender<(std::time::Instant, Vec<u8>)>>,
    ) -> Outcome {
        self.send_over(CONNECTIONS, requests, pace, requests_max, duration, answers).await
    }

    async fn send_over(
        &self,
        connections: usize,
        requests: Requests,
        pace: Pace,
        requests_max: u64,
        duration: Duration,
        answers: Option<tokio::sync::mpsc::UnboundedSender<(std::time::Instant, Vec<u8>)>>,
    ) -> Outcome {
        let addr = self.receiver.addresses().webhook.as_deref().and_then(|addr| addr.parse().ok());
        let addr = addr.expect("it has a receiver");
        let warm_up = Duration::ZERO;
        let load = Load { addr, requests, connections, pace, warm_up, duration, requests_max, answers };
        let outcome = load.send().await;
        assert_eq!((outcome.refused, outcome.unanswered), (0, 0), "the door took all: {outcome:?}");
        outcome
    }

    /// Events in the log.
    pub(crate) async fn events(&self) -> u64 {
        self.bed.taken(&self.bed.log_streams()).await
    }
}
