//! Every code of the groups' error page, by the wire.

use super::*;
use Advice::{DoNotRetry, Reconcile, RetryLater, TreatAsDone};
use groupfold_schemas::verdict::verdict;

#[tokio::test]
async fn every_error_code_has_its_name_and_advice() {
    let cases = [
        (400, 131_020, "group_without_members", DoNotRetry),
        (400, 131_041, "group_unknown", Reconcile),
        (400, 131_059, "cursor_expired", RetryLater),
        (400, 131_202, "participant_twice", DoNotRetry),
        (400, 131_203, "participant_cannot_be_added", RetryLater),
        (400, 131_204, "too_many_participants", DoNotRetry),
        (403, 131_207, "group_suspended", DoNotRetry),
        (400, 131_209, "picture_not_square", DoNotRetry),
        (400, 131_210, "picture_too_small", DoNotRetry),
        (400, 131_211, "too_many_groups", DoNotRetry),
        (400, 131_212, "participant_not_in_group", TreatAsDone),
        (400, 131_213, "join_request_gone", TreatAsDone),
        (400, 131_214, "group_creation_disabled", RetryLater),
        (400, 131_215, "number_not_eligible", DoNotRetry),
        (400, 131_051, "message_type_unsupported", DoNotRetry),
        (400, 130_501, "message_type_unsupported", DoNotRetry),
        (400, 131_062, "recipient_type_unsupported", DoNotRetry),
        (401, 190, "access_token_refused", DoNotRetry),
        (403, 200, "permission_missing", DoNotRetry),
        (400, 100, "invalid_parameter", DoNotRetry),
        (400, 999_999, "provider_error", DoNotRetry),
        (404, 999_999, "not_found", Reconcile),
    ];
    // What is worth another try at once would be tried: one attempt each is what is looked at.
    for (status, code, name, advice) in cases {
        let error = json!({"message": "m", "type": "OAuthException", "code": code,
            "error_data": {"details": "why"}, "fbtrace_id": "T"});
        let (provider, _server) = provider(vec![Reply::json(status, json!({ "error": error }))]).await;
        let answer = provider.call(NUMBER, &create()).await;
        let Answer::Refused(refusal) = answer else { panic!("{code}: {answer:?}") };
        assert_eq!((refusal.code, refusal.advice), (name, advice), "{code}");
        let error = &refusal.errors[0];
        assert_eq!((error.code.as_str(), error.details.as_str()), (code.to_string().as_str(), "why"));
        assert_eq!(refusal.trace_id.as_deref(), Some("T"));
    }
    assert_eq!(verdict("131201"), Some(("partly_done", Reconcile)));
}

#[tokio::test]
async fn too_many_calls_have_their_names_once_patience_ends() {
    for (code, name) in
        [(131_208, "too_many_group_operations"), (130_429, "too_many_messages"), (4, "too_many_calls")]
    {
        let slow = || Reply::json(429, json!({"error": {"code": code, "message": "slow"}}));
        let (provider, _server) = provider((0..ATTEMPTS_MAX).map(|_| slow()).collect()).await;
        let provider = Provider { patience: Duration::from_millis(200), ..provider };
        let Answer::Refused(refusal) = provider.call(NUMBER, &create()).await else { panic!("{code}") };
        assert_eq!((refusal.code, refusal.advice), (name, RetryLater));
    }
}
