//! What a provider's error codes mean: our stable name for each, and what to do about it. One table for what is answered
//! at once and for what webhooks tell later.
//!
//! Codes of Meta: those of groups are those of the Groups API's error page; those of messages and of Graph itself are the ones
//! that a call to a group can meet.

use crate::v1::ProviderError;
use Advice::{DoNotRetry, Reconcile, RetryLater, TreatAsDone};

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It may go well another time.
    RetryLater,
    /// It will not go well another time.
    DoNotRetry,
    /// What was wanted is so already.
    TreatAsDone,
    /// Read the provider: what we believe of the group is wrong.
    Reconcile,
}

impl Advice {
    /// Stable snake-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RetryLater => "retry_later",
            Self::DoNotRetry => "do_not_retry",
            Self::TreatAsDone => "treat_as_done",
            Self::Reconcile => "reconcile",
        }
    }
}

/// A list's cursor holds no longer: begin with the first page.
pub const CURSOR_EXPIRED: &str = "cursor_expired";
/// The provider does not know the group, or does not know us in it.
pub const GROUP_UNKNOWN: &str = "group_unknown";
/// Too many calls, whoever's count they go on.
pub const TOO_MANY_CALLS: &str = "too_many_calls";
/// Too many operations on groups by one number.
pub const TOO_MANY_GROUP_OPERATIONS: &str = "too_many_group_operations";
/// Too many messages of one number.
pub const TOO_MANY_MESSAGES: &str = "too_many_messages";
/// The token may not do this.
pub const PERMISSION_MISSING: &str = "permission_missing";
/// The provider says no, and we do not know the code.
pub const PROVIDER_ERROR: &str = "provider_error";
/// It says of the whole only that parts of it went wrong: they have errors of their own.
const PARTLY_DONE: &str = "partly_done";

/// The stable name of an error code and what to do; `None` for a code that we do not know.
#[must_use]
pub fn verdict(code: &str) -> Option<(&'static str, Advice)> {
    Some(match code {
        "131020" => ("group_without_members", DoNotRetry),
        "131041" => (GROUP_UNKNOWN, Reconcile),
        "131059" => (CURSOR_EXPIRED, RetryLater),
        "131201" => (PARTLY_DONE, Reconcile),
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
        "3" | "10" | "131005" => (PERMISSION_MISSING, DoNotRetry),
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
#[must_use]
pub fn is_permission(code: &str) -> bool {
    code.len() == 3 && code.starts_with('2') && code.bytes().all(|b| b.is_ascii_digit())
}

/// The stable name of what went wrong and what to do, by the first error that tells; of codes that we do not know, and where
/// there are no errors, that the provider said no.
#[must_use]
pub fn of_errors<'a>(errors: impl IntoIterator<Item = &'a ProviderError>) -> (&'static str, Advice) {
    let of = |error: &ProviderError| match verdict(&error.code) {
        None if is_permission(&error.code) => (PERMISSION_MISSING, DoNotRetry),
        known => known.unwrap_or((PROVIDER_ERROR, DoNotRetry)),
    };
    let mut first = None;
    for told in errors.into_iter().map(of) {
        if told.0 != PARTLY_DONE {
            return told;
        }
        first = first.or(Some(told));
    }
    first.unwrap_or((PROVIDER_ERROR, DoNotRetry))
}

/// True if all that is said is that what was wanted is so already.
#[must_use]
pub fn are_of_done(errors: &[ProviderError]) -> bool {
    let is_done =
        |error: &ProviderError| verdict(&error.code).is_some_and(|(_, advice)| advice == TreatAsDone);
    !errors.is_empty() && errors.iter().all(is_done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(codes: &[&str]) -> Vec<ProviderError> {
        codes.iter().map(|code| ProviderError { code: (*code).to_owned(), ..Default::default() }).collect()
    }

    #[test]
    fn the_first_error_that_tells_names_what_went_wrong() {
        for (codes, name, advice) in [
            (&["131207", "131208"][..], "group_suspended", DoNotRetry),
            (&["131201", "131208"], TOO_MANY_GROUP_OPERATIONS, RetryLater),
            (&["131201"], PARTLY_DONE, Reconcile),
            (&["299"], PERMISSION_MISSING, DoNotRetry),
            (&["7", "131207"], PROVIDER_ERROR, DoNotRetry),
            (&[], PROVIDER_ERROR, DoNotRetry),
        ] {
            assert_eq!(of_errors(&errors(codes)), (name, advice), "{codes:?}");
        }
    }

    #[test]
    fn what_is_so_already_is_said_by_all_errors_or_not_at_all() {
        for (codes, done) in [
            (&["131212"][..], true),
            (&["131213", "131212"], true),
            (&["131212", "131208"], false),
            (&["131201"], false),
            (&[], false),
        ] {
            assert_eq!(are_of_done(&errors(codes)), done, "{codes:?}");
        }
    }
}
