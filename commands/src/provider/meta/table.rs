//! What else the client of Meta's API makes of an error code, beside the table of names and advice (`verdict` of the schemas).

use std::time::Duration;

use groupfold_schemas::verdict::{TOO_MANY_CALLS, TOO_MANY_GROUP_OPERATIONS, TOO_MANY_MESSAGES};

/// The object that a call names does not exist, or not for this token.
pub(crate) const NOT_FOUND: &str = "not_found";

const DAY: Duration = Duration::from_hours(24);

/// Of the provider itself: "an unknown error" and its like say nothing of what was done, under whatever status.
pub(super) fn is_fault(code: &str) -> bool {
    matches!(code, "1" | "2" | "131000" | "131016")
}

/// There are too many calls: all of the number wait.
pub(super) fn is_slow(code: &str) -> bool {
    matches!(code, TOO_MANY_CALLS | TOO_MANY_GROUP_OPERATIONS | TOO_MANY_MESSAGES)
}

/// Before this an error is not worth another try, where its meaning tells.
pub(super) fn wait(code: &str) -> Option<Duration> {
    // Judged by the last seven days.
    (code == "131214").then_some(DAY)
}

/// `error_subcode` of code 100: the object does not exist.
pub(super) const SUBCODE_NO_OBJECT: i64 = 33;
