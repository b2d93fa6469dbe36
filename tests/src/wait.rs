//! Waiting for a condition, with a bound.

use std::fmt::Display;
use std::time::{Duration, Instant};

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok` and returns it.
///
/// ```no_run
/// # use std::time::Duration;
/// # use groupfold_tests::{Groupfold, wait_until};
/// # async fn a_test(groupfold: &Groupfold) {
/// let group = wait_until("the group is there", Duration::from_secs(5), || async {
///     let answer = groupfold.get("/v1/groups/G1").await;
///     if answer.status == 200 { Ok(answer.json) } else { Err(answer) }
/// })
/// .await;
/// # }
/// ```
///
/// # Panics
/// After the bound; the message tells what was waited for and the last `Err`. A single answer that does
/// not come within the bound ends the wait as well.
pub async fn wait_until<T, E: Display>(
    what: &str,
    bound: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    let mut last = "nothing was observed".to_owned();
    while let Some(left) = bound.checked_sub(start.elapsed()) {
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => last = seen.to_string(),
            Err(_) => break,
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    panic!("waited {bound:?} in vain: {what}; last observed: {last}");
}
