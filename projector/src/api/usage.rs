//! Deliveries and what they cost.

use std::time::Duration;

use axum::extract::State;

use super::Api;
use super::answer::Answer;
use super::params::{Params, usage_cursor};
use crate::caller::Caller;
use crate::partition::Partition;
use crate::problem::{Problem, ProblemBody};
use crate::reads::{self, Turns, blocking};
use crate::shape::{self, convert};
use crate::usage::{self, By, Counts, Page, Question};

/// Counts at the same time: each reads a good part of the stores.
const COUNTS_MAX: usize = 2;
/// How long one may wait for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// Turns to count.
pub(super) fn turns() -> Turns {
    Turns::new(COUNTS_MAX, TURN_WAIT)
}

/// Deliveries, billable and free
///
/// A delivery is one message that reached one member, once, however often it was reported; who read a message
/// received it, then if no delivery was reported. Whether it is billable is what the provider's pricing says: that
/// of the member's own delivered, read or played report, in this order, else that of the message's `sent`.
/// Without any it is unpriced. An answer looks at 100,000 messages at most, and gives a cursor for the rest: pages
/// add up, row by row. Partitions of other processes are not counted: the position names those that are.
#[utoipa::path(
    get,
    path = "/v1/usage",
    params(
        ("from" = Option<String>, Query, description = "Deliveries from this time or day (UTC) on"),
        ("to" = Option<String>, Query, description = "Deliveries before this time or day (UTC)"),
        ("by" = Option<shape::UsageBy>, Query, description = "What to count by; day if absent"),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("min_position" = Option<String>, Query, description = "Answer with a state not older than this"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait for `min_position`; up to 1000 if absent"),
    ),
    responses(
        (status = 200, body = shape::Usage),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Answer<shape::Usage>, Problem> {
    let (from_ms, to_ms) = params.time_range()?;
    let (by, after) = (params.usage_by()?, params.cursor_usage()?);
    let question = Question { from_ms, to_ms, by, after, caller };
    let touched = api.reads.reach_all(&params.freshness()?).await?;
    let counted = blocking(api.counts.take().await?, move || {
        whole(&touched)?;
        let page = usage::count(&touched, &question).map_err(Problem::from);
        let page = page.inspect_err(|problem| reads::report(problem, &touched))?;
        // A store that started over meanwhile has forgotten some.
        whole(&touched)?;
        Ok::<_, Problem>(page)
    });
    Ok(answer(counted.await??, by))
}

/// A sum over a log that is not folded up to its end would be short without a word.
fn whole(touched: &[Partition]) -> Result<(), Problem> {
    let behind = touched.iter().find(|partition| !partition.status.borrow().caught_up);
    behind.map_or(Ok(()), |behind| Err(Problem::not_folded(behind.id, &behind.status.borrow())))
}

fn answer(page: Page, by: By) -> Answer<shape::Usage> {
    let Page { rows, total, messages, windows, next, position } = page;
    let row = |(key, counts): (String, Counts)| shape::UsageRow {
        window_open_until: windows.get(&key).map(|until_ms| convert::time(*until_ms)),
        key,
        counts,
    };
    let body = shape::Usage {
        by,
        rows: rows.into_iter().map(row).collect(),
        total,
        messages,
        cursor: next.as_ref().map(usage_cursor),
        position: position.to_string(),
    };
    Answer { body, position }
}
