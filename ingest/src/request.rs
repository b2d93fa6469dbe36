//! One request, in the order that spends least on what will be refused.
//!
//! path, method ▸ announced size ▸ a place among the requests ▸ body ▸ signature ▸ items ▸ log

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::append::{Appender, Receipt};
use crate::detached::Detached;
use crate::receiver::Inner;
use crate::respond::{self, Answer, Refusal};
use crate::settings::Settings;
use crate::system::now_ms;
use crate::trace::Trace;
use crate::verify::RawWebhook;
use crate::{body, handshake, meta};

const PATH: &str = "/webhooks/meta";

const APPEND_PER_ITEM: Duration = Duration::from_millis(10);
/// The provider hangs up at a time that it does not publish, and all must fit into the default drain budget.
const APPEND_MORE_MAX: Duration = Duration::from_secs(9);

/// Answers one request. Work on verified webhooks is counted out by the tracker.
pub(crate) async fn answer(
    door: Arc<Inner>,
    work: TaskTracker,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let trace = Trace::of(request.headers());
    let version = request.version();
    // Of no use to those that only want warnings, and not free: a warning names the request itself.
    let span = tracing::debug_span!("webhook", request_id = trace.request_id, trace_id = trace.trace_id());
    let counting = Arc::clone(&door);
    let answered = route(door, work, request, &trace).instrument(span).await;
    let answer = answered.unwrap_or_else(|refusal| {
        let (status, cause, _) = refusal.outline();
        let (request_id, trace_id) = (&trace.request_id, trace.trace_id());
        tracing::warn!(
            request_id,
            trace_id,
            status = status.as_u16(),
            cause,
            reason = reasons(&refusal),
            "refused"
        );
        counting.metrics.refused(cause);
        refusal.answer(request_id, version)
    });
    counting.metrics.answered(answer.status().as_u16());
    Ok(answer)
}

async fn route(
    door: Arc<Inner>,
    work: TaskTracker,
    request: Request<Incoming>,
    trace: &Trace,
) -> Result<Answer, Refusal> {
    if request.uri().path() != PATH {
        return Err(Refusal::Path);
    }
    match *request.method() {
        Method::GET => {
            let query = request.uri().query().unwrap_or_default();
            let challenge = match &*door.verify_token.borrow() {
                Some(token) => token.answer(query),
                None => Err(handshake::Error::Unset),
            };
            let challenge = challenge.map_err(Refusal::Handshake)?;
            tracing::info!("handshake done");
            Ok(respond::challenge(challenge, &trace.request_id))
        }
        Method::POST => post(door, work, request, trace).await,
        _ => Err(Refusal::Method),
    }
}

async fn post(
    door: Arc<Inner>,
    work: TaskTracker,
    request: Request<Incoming>,
    trace: &Trace,
) -> Result<Answer, Refusal> {
    let settings = &door.settings;
    body::check_announced(request.body(), settings.body_bytes_max).map_err(Refusal::Body)?;
    let place = Arc::clone(&door.requests).try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let held = door.metrics.in_flight();
    let deadline = Instant::now() + settings.body_deadline;
    let (head, body) = request.into_parts();
    let whole =
        body::read(body, settings.body_bytes_max, deadline, &door.bytes).await.map_err(Refusal::Body)?;
    door.metrics.body(whole.bytes.len());
    let trace = trace.clone();
    // A sender that hangs up must not stop half of a webhook's items from being counted, and a fault in here must
    // not take the connection's other requests with it.
    let task = Detached::new(
        work,
        async move {
            let answer =
                accept(&door, RawWebhook::new(whole.bytes, &head.headers), &head.headers, &trace).await;
            drop((place, held, whole.permit));
            answer
        }
        .in_current_span(),
    );
    task.await.unwrap_or(Err(Refusal::Fault))
}

async fn accept(
    door: &Inner,
    webhook: RawWebhook,
    headers: &HeaderMap,
    trace: &Trace,
) -> Result<Answer, Refusal> {
    let verified = webhook.verify(&door.secrets.borrow());
    door.metrics.signature(verified.as_ref().ok().map(|webhook| webhook.secret()));
    let verified = verified.map_err(Refusal::Signature)?;
    let delivery = door.delivery(&trace.request_id, now_ms(), meta::Headers::Request(headers));
    let items = meta::adapt_shared(verified.body(), &delivery);
    let appender = Appender {
        broker: &door.broker,
        lanes: &door.lanes,
        metrics: &door.metrics,
        partitions: door.partitions,
        deadline: append_deadline(door.settings.append_deadline, items.len()),
        tally: &door.tally,
    };
    let began = Instant::now();
    let appended = appender.append(items, &delivery, trace.traceparent.as_deref()).await;
    door.metrics.append_took(began.elapsed());
    let receipt = appended.map_err(Refusal::Append)?;
    door.metrics.receipt(&receipt);
    log(&receipt, trace, began);
    Ok(respond::receipt(&receipt, door.broker.durability(), &trace.request_id))
}

/// A log that syncs each message takes about 10 ms for one on a slow disk. A webhook of a thousand items for one group
/// that could never be done in time would be sent again for ever, and grow the log each time.
fn append_deadline(base: Duration, items: usize) -> Duration {
    let items = u32::try_from(items).unwrap_or(u32::MAX);
    base.saturating_add(APPEND_PER_ITEM.saturating_mul(items).min(APPEND_MORE_MAX))
}

/// How long a webhook may take at the most, from its head to its answer.
pub(crate) fn longest(settings: &Settings) -> Duration {
    let append = append_deadline(settings.append_deadline, usize::MAX);
    settings.body_deadline.saturating_add(append)
}

fn log(receipt: &Receipt, trace: &Trace, began: Instant) {
    let Receipt { appended, duplicate, failed, ignored, position, .. } = receipt;
    if *failed > 0 {
        let causes: std::collections::BTreeSet<_> = receipt.failed_causes.iter().collect();
        let (request_id, trace_id) = (&trace.request_id, trace.trace_id());
        tracing::warn!(
            request_id,
            trace_id,
            failed,
            ?causes,
            "items could not be read and are kept as failures"
        );
    }
    let took_ms = began.elapsed().as_millis();
    tracing::debug!(appended, duplicate, failed, ignored, %position, took_ms, "webhook acknowledged");
}

/// An error's sources, outermost first. None of them holds anything of the request.
fn reasons(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |error| (**error).source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection in its last requests was cut after the time that a webhook of few items may take.
    #[test]
    fn a_webhook_of_as_many_items_as_may_be_takes_no_longer_than_the_longest() {
        let settings = Settings::default();
        let append = append_deadline(settings.append_deadline, meta::ITEMS_MAX);
        assert!(append > settings.append_deadline);
        assert!(longest(&settings) >= settings.body_deadline + append);
    }
}
