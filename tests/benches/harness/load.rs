//! The load: HTTP/1.1 over several connections, from a thread of its own.
//!
//! A closed loop sends the next request when the answer to the last one is there: it finds the most that is
//! answered. An open loop sends at times set beforehand, and counts latency from the intended time, whether or not
//! a connection was free then: who answers late is not asked less often for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::LocalSet;

use crate::latency::Latencies;
use groupfold_tests::Connection;

/// Prints the n-th request.
pub(crate) type Requests = Arc<dyn Fn(u64, &mut Vec<u8>) + Send + Sync>;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// After the answer to the last one.
    Closed,
    /// So many per second, whatever is answered.
    Open(f64),
}

/// What to send.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) addr: SocketAddr,
    pub(crate) requests: Requests,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    /// Sent first, answered and not measured.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// Ends after so many requests, whatever the duration.
    pub(crate) requests_max: u64,
    /// Gets every answer's body and the time when it came.
    pub(crate) answers: Option<UnboundedSender<(Instant, Vec<u8>)>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that were sent.
    pub(crate) sent: u64,
    /// Answered with 200, in all.
    pub(crate) answered: u64,
    /// Answered with something else.
    pub(crate) refused: u64,
    /// Not answered: their fate is unknown.
    pub(crate) unanswered: u64,
    /// Answered with 200 while it was measured.
    pub(crate) measured: u64,
    /// Time that was measured, and time from the first request to the last answer.
    pub(crate) seconds: f64,
    pub(crate) whole_seconds: f64,
    pub(crate) latencies: Latencies,
}

impl Outcome {
    /// Answers per second.
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    pub(crate) fn rate(&self) -> f64 {
        self.measured as f64 / self.seconds
    }

    fn merge(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.measured += other.measured;
        self.latencies.merge(other.latencies);
    }
}

impl Load {
    /// So many connections, as fast as answers come.
    pub(crate) fn closed(
        addr: SocketAddr,
        requests: Requests,
        connections: usize,
        duration: Duration,
    ) -> Self {
        let warm_up = (duration / 5).min(Duration::from_secs(1));
        let (pace, requests_max, answers) = (Pace::Closed, u64::MAX, None);
        Self { addr, requests, connections, pace, warm_up, duration, requests_max, answers }
    }

    /// Sends it and waits for the last answer.
    pub(crate) async fn send(self) -> Outcome {
        tokio::task::spawn_blocking(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            LocalSet::new().block_on(&runtime, self.run())
        })
        .await
        .expect("the load was sent")
    }

    async fn run(self) -> Outcome {
        let next = Arc::new(AtomicU64::new(0));
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::new(self.addr).await);
        }
        let began = Instant::now();
        let clock = Clock { began, warm: began + self.warm_up, end: began + self.warm_up + self.duration };
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| {
                let (load, next) = (self.clone(), Arc::clone(&next));
                tokio::task::spawn_local(async move { load.over(connection, clock, &next).await })
            })
            .collect();
        let mut outcome = Outcome::default();
        for task in tasks {
            outcome.merge(task.await.expect("a connection's task ends"));
        }
        outcome.whole_seconds = began.elapsed().as_secs_f64();
        // Shorter only where the requests came to their end before.
        outcome.seconds = self.duration.as_secs_f64().min(outcome.whole_seconds - self.warm_up.as_secs_f64());
        outcome.latencies.sort();
        outcome
    }

    /// One connection's share.
    async fn over(&self, mut connection: Connection, clock: Clock, next: &AtomicU64) -> Outcome {
        let mut outcome = Outcome::default();
        let mut request = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(intended) = self.intended(n, clock).await else { break };
            request.clear();
            (self.requests)(n, &mut request);
            // Without a schedule the time of printing and signing is nobody's.
            let from = if self.pace == Pace::Closed { Instant::now() } else { intended };
            outcome.sent += 1;
            let answer = connection.ask(&request).await;
            let now = Instant::now();
            match answer {
                Some(200) => outcome.answered += 1,
                Some(_) => outcome.refused += 1,
                None => {
                    outcome.unanswered += 1;
                    connection = Connection::new(self.addr).await;
                    continue;
                }
            }
            if let Some(answers) = &self.answers {
                let _ = answers.send((now, connection.body().to_vec()));
            }
            if from >= clock.warm {
                outcome.latencies.add(now - from);
            }
            if answer == Some(200) && now >= clock.warm && now < clock.end {
                outcome.measured += 1;
            }
        }
        outcome
    }

    /// Waits for the time of the n-th request; `None` if it is none of this load.
    async fn intended(&self, n: u64, clock: Clock) -> Option<Instant> {
        if n >= self.requests_max {
            return None;
        }
        let at = match self.pace {
            Pace::Closed => Instant::now(),
            #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark")]
            Pace::Open(per_second) => clock.began + Duration::from_secs_f64(n as f64 / per_second),
        };
        if at >= clock.end {
            return None;
        }
        if at > Instant::now() {
            tokio::time::sleep_until(at.into()).await;
        }
        Some(at)
    }
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    began: Instant,
    warm: Instant,
    end: Instant,
}
