//! What cannot be answered because the log is not folded, and what is not known of a request.

use axum::http::StatusCode;

use super::Problem;
use crate::status::{Run, Status, Stop};

/// Of a partition that folds nothing more: who asks again hears the same until somebody mended it.
const STOPPED: &str = "partition_stopped";
/// When to look again whether somebody did.
const STOPPED_RETRY_S: u64 = 60;

impl Problem {
    /// A parameter that is nearly one of those that the route has: ignored, it would widen what is asked for.
    pub(crate) fn unknown_parameter(found: &str, meant: &str) -> Self {
        Self::not_known(format!("unknown parameter `{found}`, did you mean `{meant}`"))
    }

    /// A parameter that other paths have.
    pub(crate) fn parameter_of_others(found: &str, known: &[String]) -> Self {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::not_known(format!("this path has no parameter `{found}`, others have; it has: {known}"))
    }

    fn not_known(detail: String) -> Self {
        let title = "A query parameter is not known";
        Self::new(StatusCode::BAD_REQUEST, "unknown_parameter", title, detail)
    }

    /// Instead of an absence that a log not yet folded may disprove.
    pub(crate) fn not_folded(partition: u16, status: &Status) -> Self {
        match &status.run {
            Run::Stopped(stop) => Self::stopped(partition, status, stop),
            Run::Connecting { .. } | Run::Running => Self::catching_up(partition),
        }
    }

    pub(super) fn catching_up(partition: u16) -> Self {
        let detail = format!("partition {partition} has not folded the log up to its end since it started");
        let title = "Not known yet";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "catching_up", title, detail)
    }

    /// What would be judged by a state that is not the log's, which ends there.
    pub(crate) fn behind(partition: u16, status: &Status, end: u64) -> Self {
        if let Run::Stopped(stop) = &status.run {
            return Self::stopped(partition, status, stop);
        }
        let detail = format!(
            "partition {partition} has folded the log up to {} of {end}, and what is asked is judged by all of it: \
             ask again, with the same Idempotency-Key",
            status.applied
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "catching_up", "Not known yet", detail)
    }

    fn stopped(partition: u16, status: &Status, stop: &Stop) -> Self {
        let detail = format!(
            "partition {partition} is stopped at {} of {}: {}: {stop}; it folds nothing more until that is mended and the \
             process is started again, see /readyz",
            status.applied,
            status.log_end,
            stop.code()
        );
        let title = "The partition is stopped";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, STOPPED, title, detail);
        Self { retry_after_s: Some(STOPPED_RETRY_S), ..problem }
    }
}
