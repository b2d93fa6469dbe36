//! POSTs over HTTP: at a rate, several at once, again when not answered 200.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::args::SimulateArgs;
use super::plan::{Plan, Post, Why};
use super::report::{Answers, Outcome, Report};

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// How long a POST is tried again. Meta goes on for days.
const RETRY_FOR: Duration = Duration::from_secs(300);
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// How long POSTs under way may take after the end was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// A simulator that fell behind its rate makes up for this much.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Posts, again and again where it must.
pub(super) struct Sender {
    client: reqwest::Client,
    retries: bool,
    give_up: CancellationToken,
}

impl Sender {
    /// One that tries again, if it does, until it is told to give up.
    pub(super) fn new(retries: bool, give_up: CancellationToken) -> Result<Self, Error> {
        let client = crate::http::client(|builder| {
            builder.timeout(ATTEMPT_MAX).connect_timeout(Duration::from_secs(5))
        })
        .map_err(Error::Client)?;
        Ok(Self { client, retries, give_up })
    }

    /// Posts until the answer is final, each time to the address that `addressed` gives: where webhooks go may change
    /// while one is tried again, and what signs them with it.
    pub(super) async fn send(&self, post: Post, addressed: impl Fn(&mut Post) -> String) -> Outcome {
        let begun = Instant::now();
        let mut back_off = BACK_OFF_FIRST;
        let mut outcome = Outcome { post, status: None, attempts: 0, answers: None, position: None };
        loop {
            let url = addressed(&mut outcome.post);
            self.attempt(&url, &mut outcome).await;
            if !self.retries || is_final(&outcome) || begun.elapsed() > RETRY_FOR {
                return outcome;
            }
            tokio::select! {
                () = self.give_up.cancelled() => return outcome,
                () = sleep(back_off) => back_off = (back_off * 2).min(BACK_OFF_MAX),
            }
        }
    }

    async fn attempt(&self, url: &str, outcome: &mut Outcome) {
        outcome.attempts += 1;
        (outcome.status, outcome.answers, outcome.position) = (None, None, None);
        let mut request =
            self.client.post(url).header("content-type", "application/json").body(outcome.post.body.to_vec());
        if let Some(signature) = &outcome.post.signature {
            request = request.header("x-hub-signature-256", signature);
        }
        let Ok(response) = request.send().await else { return };
        outcome.status = Some(response.status().as_u16());
        let position = response.headers().get("groupfold-position").and_then(|value| value.to_str().ok());
        outcome.position = position.map(str::to_owned);
        // A receiver of another make answers what it likes; Meta does not look at it either.
        outcome.answers = response.json::<Value>().await.ok().as_ref().and_then(Answers::read);
    }
}

/// True if the same bytes cannot get another answer later.
fn is_final(outcome: &Outcome) -> bool {
    match outcome.status {
        Some(408 | 429) | None => false,
        Some(status) => status == 200 || (400..500).contains(&status),
    }
}

/// Sends a plan until it ends, the time is over or the end is asked for.
pub(crate) async fn deliver(
    plan: &mut Plan,
    args: &SimulateArgs,
    url: &str,
    shutdown: CancellationToken,
) -> Result<Report, Error> {
    let give_up = CancellationToken::new();
    let sender = Arc::new(Sender::new(args.retries, give_up.clone())?);
    let begun = Instant::now();
    let mut run =
        Run { report: Report::default(), under_way: JoinSet::new(), told: begun, quiet: args.quiet };
    let end = args.duration.map(|duration| begun + duration);
    let mut due = begun;
    let mut stopped = false;
    loop {
        if !stopped && (shutdown.is_cancelled() || end.is_some_and(|end| Instant::now() >= end)) {
            plan.stop();
            stopped = true;
        }
        let Some(post) = plan.next_post() else { break };
        if !stopped && args.rate > 0.0 {
            due = due.max(Instant::now().checked_sub(CATCH_UP_MAX).unwrap_or(begun));
            tokio::select! {
                () = sleep_until(due) => {}
                () = shutdown.cancelled() => {}
            }
            due += Duration::from_secs_f64((post.items as f64 / args.rate).min(3600.0));
        }
        while run.under_way.len() >= usize::from(args.concurrency) {
            run.one_ended(&shutdown, &give_up).await?;
        }
        let (sender, url) = (Arc::clone(&sender), url.to_owned());
        run.under_way.spawn(async move { sender.send(post, |_| url.clone()).await });
    }
    while !run.under_way.is_empty() {
        run.one_ended(&shutdown, &give_up).await?;
    }
    run.report.elapsed = begun.elapsed();
    Ok(run.report)
}

struct Run {
    report: Report,
    under_way: JoinSet<Outcome>,
    told: Instant,
    quiet: bool,
}

impl Run {
    /// Waits for one POST to end. When the end is asked for, patience is limited.
    async fn one_ended(
        &mut self,
        shutdown: &CancellationToken,
        give_up: &CancellationToken,
    ) -> Result<(), Error> {
        let ended = tokio::select! {
            ended = self.under_way.join_next() => ended,
            () = shutdown.cancelled(), if !give_up.is_cancelled() => {
                let ended = timeout(DRAIN_MAX, self.under_way.join_next()).await;
                if ended.is_err() {
                    give_up.cancel();
                }
                ended.unwrap_or_default()
            }
        };
        if let Some(Ok(outcome)) = ended {
            self.report.note(&outcome);
            refused(&outcome, &self.report)?;
        }
        if !self.quiet && self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            let Report { posts, items, undelivered_posts, retried, .. } = self.report;
            tracing::info!(posts, items, undelivered_posts, retried, "simulating");
        }
        Ok(())
    }
}

/// A first answer that says "never" ends the run: secret or address are wrong, and the rest would only
/// repeat it.
fn refused(outcome: &Outcome, report: &Report) -> Result<(), Error> {
    match outcome.status {
        Some(status @ (401 | 403 | 404 | 405))
            if outcome.post.why != Why::Forged && report.acknowledged_posts == 0 =>
        {
            Err(Error::Refused { status })
        }
        _ => Ok(()),
    }
}
