//! The table of Meta's error codes: our stable name and what to do. The codes of groups are those of the Groups API's
//! error page; those of messages and of Graph itself are the ones that a call to a group can meet.

use std::time::Duration;

use crate::provider::answer::Advice;
use crate::provider::answer::Advice::{DoNotRetry, Reconcile, RetryLater, TreatAsDone};

/// A list's cursor holds no longer: begin with the first page.
pub(crate) const CURSOR_EXPIRED: &str = "cursor_expired";
/// The provider does not know the group, or does not know us in it.
pub(crate) const GROUP_UNKNOWN: &str = "group_unknown";
/// The object that a call names does not exist, or not for this token.
pub(crate) const NOT_FOUND: &str = "not_found";
/// Too many calls, whoever's count they go on.
pub(super) const TOO_MANY_CALLS: &str = "too_many_calls";
const TOO_MANY_GROUP_OPERATIONS: &str = "too_many_group_operations";
const TOO_MANY_MESSAGES: &str = "too_many_messages";

const DAY: Duration = Duration::from_hours(24);

/// The stable name of an error code and what to do; `None` for a code that we do not know.
#[must_use]
pub(crate) fn verdict(code: &str) -> Option<(&'static str, Advice)> {
    Some(match code {
        "131020" => ("group_without_members", DoNotRetry),
        "131041" => (GROUP_UNKNOWN, Reconcile),
        "131059" => (CURSOR_EXPIRED, RetryLater),
        "131201" => ("partly_done", Reconcile),
        "131202" => ("participant_twice", DoNotRetry),
        "131203" => ("participant_cannot_be_added", RetryLater),
        "131204" => ("too_many_participants", DoNotRetry),
        "131207" => ("group_suspended", DoNotRetry),
        "131208" => (TOO_MANY_GROUP_OPERATIONS, RetryLater),
        "131209" => ("picture_not_square", DoNotRetry),
        "131210" => ("picture_too_small", DoNotRetry),
        "131211" => ("too_many_groups", DoNotRetry),
        "131212" => ("participant_not_in_group", TreatAsDone),
        "131213" => ("join_request_gone", TreatAsDone),
        "131214" => ("group_creation_disabled", RetryLater),
        "131215" => ("number_not_eligible", DoNotRetry),
        "130501" | "131051" => ("message_type_unsupported", DoNotRetry),
        "130429" => (TOO_MANY_MESSAGES, RetryLater),
        "131062" => ("recipient_type_unsupported", DoNotRetry),
        // Of Graph and of messages.
        "0" | "190" => ("access_token_refused", DoNotRetry),
        "3" | "10" | "131005" => ("permission_missing", DoNotRetry),
        "4" | "17" | "32" | "613" | "80007" | "131048" => (TOO_MANY_CALLS, RetryLater),
        // Of one recipient: the number itself need not wait.
        "131056" => ("too_many_messages_to_recipient", RetryLater),
        "100" | "131008" | "131009" => ("invalid_parameter", DoNotRetry),
        "368" | "131031" => ("account_restricted", DoNotRetry),
        "131000" => ("provider_fault", RetryLater),
        "131016" | "131057" => ("provider_unavailable", RetryLater),
        "131026" => ("undeliverable", DoNotRetry),
        "131042" => ("payment_missing", DoNotRetry),
        "131047" => ("service_window_closed", DoNotRetry),
        "131049" => ("held_back_by_provider", RetryLater),
        "131052" | "131053" => ("media_unusable", DoNotRetry),
        "132000" | "132001" | "132005" | "132007" | "132012" | "132015" | "132016" => {
            ("template_unusable", DoNotRetry)
        }
        _ => return None,
    })
}

/// 2xx codes of permission come by the hundred.
pub(super) fn is_permission(code: &str) -> bool {
    code.len() == 3 && code.starts_with('2') && code.bytes().all(|b| b.is_ascii_digit())
}

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
