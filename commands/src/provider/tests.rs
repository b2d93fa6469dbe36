//! The client against a small server that says what it is told to, and keeps what it was asked.

mod lists;
mod server;
mod table;

use serde_json::{Value, json};

use super::*;
use server::{Reply, Server};

const NUMBER: &str = "111";
const GROUP: &str = "GROUP-1";

async fn provider(replies: Vec<Reply>) -> (Provider, Server) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Server::start(replies).await;
    let settings = Settings {
        meta_graph_url: server.url(),
        tokens: Tokens::parse(["111=EAAtoken"]).unwrap(),
        deadline: Duration::from_secs(5),
        patience: Duration::from_secs(10),
        calls_max: 4,
    };
    (Provider::new(settings).unwrap(), server)
}

async fn ask(call: Call, reply: Reply) -> (Answer, server::Request) {
    let (provider, server) = provider(vec![reply]).await;
    let answer = provider.call(NUMBER, &call).await;
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1, "{answer:?}");
    (answer, requests.remove(0))
}

fn create() -> Call {
    Call::CreateGroup { subject: "Tea".to_owned(), description: None, join_approval_mode: None }
}

fn text() -> Message {
    let content = Content::Text { body: "hello".to_owned(), preview_url: true };
    Message { content, opaque: Some("mine".to_owned()), reply_to: None }
}

fn group() -> String {
    GROUP.to_owned()
}

#[tokio::test]
async fn each_call_is_the_documented_request() {
    let w = "whatsapp";
    let remove = Call::RemoveParticipants { group: group(), participants: vec!["+1786".to_owned()] };
    let approve = Call::ApproveJoinRequests { group: group(), requests: vec!["r1".to_owned()] };
    let reject = Call::RejectJoinRequests { group: group(), requests: vec!["r1".to_owned()] };
    let pin = Call::Pin { group: group(), message_id: "wamid.1".to_owned(), days: 7 };
    let unpin = Call::Unpin { group: group(), message_id: "wamid.1".to_owned() };
    let invite = Call::Invite {
        group: group(),
        to: "1786".to_owned(),
        template: "join".to_owned(),
        language: "en".to_owned(),
        opaque: Some("mine".to_owned()),
    };
    let link = json!({"type": "group_id", "group_id": GROUP});
    let update = Call::UpdateGroup {
        group: group(),
        subject: Some("Tea".to_owned()),
        description: None,
        picture: None,
    };
    let cases = [
        (create(), "POST /v25.0/111/groups", json!({"messaging_product": w, "subject": "Tea"})),
        (update, "POST /v25.0/GROUP-1", json!({"messaging_product": w, "subject": "Tea"})),
        (Call::DeleteGroup { group: group() }, "DELETE /v25.0/GROUP-1", Value::Null),
        (Call::GetInviteLink { group: group() }, "GET /v25.0/GROUP-1/invite_link", Value::Null),
        (
            Call::ResetInviteLink { group: group() },
            "POST /v25.0/GROUP-1/invite_link",
            json!({"messaging_product": w}),
        ),
        (
            Call::ListJoinRequests { group: group(), after: Some("c=1".to_owned()) },
            "GET /v25.0/GROUP-1/join_requests?after=c%3D1",
            Value::Null,
        ),
        (
            approve,
            "POST /v25.0/GROUP-1/join_requests",
            json!({"messaging_product": w, "join_requests": ["r1"]}),
        ),
        (
            reject,
            "DELETE /v25.0/GROUP-1/join_requests",
            json!({"messaging_product": w, "join_requests": ["r1"]}),
        ),
        (
            remove,
            "DELETE /v25.0/GROUP-1/participants",
            json!({"messaging_product": w, "participants": [{"user": "+1786"}]}),
        ),
        (
            Call::Send { group: group(), message: text() },
            "POST /v25.0/111/messages",
            json!({"messaging_product": w, "recipient_type": "group", "to": GROUP, "type": "text",
                "text": {"body": "hello", "preview_url": true}, "biz_opaque_callback_data": "mine"}),
        ),
        (
            pin,
            "POST /v25.0/111/messages",
            json!({"messaging_product": w, "recipient_type": "group", "to": GROUP, "type": "pin",
                "pin": {"type": "pin", "message_id": "wamid.1", "expiration_days": 7}}),
        ),
        (
            unpin,
            "POST /v25.0/111/messages",
            json!({"messaging_product": w, "recipient_type": "group", "to": GROUP, "type": "pin",
                "pin": {"type": "unpin", "message_id": "wamid.1"}}),
        ),
        (
            invite,
            "POST /v25.0/111/messages",
            json!({"messaging_product": w, "recipient_type": "individual", "to": "1786", "type": "template",
                "biz_opaque_callback_data": "mine",
                "template": {"name": "join", "language": {"code": "en"},
                    "components": [{"type": "body", "parameters": [link]}]}}),
        ),
        (Call::ListGroups { limit: 10, after: None }, "GET /v25.0/111/groups?limit=10", Value::Null),
    ];
    for (call, line, body) in cases {
        let name = call.name();
        let (_, request) = ask(call, Reply::json(404, json!({}))).await;
        assert_eq!((request.line.as_str(), request.json()), (line, body), "{name}");
        assert_eq!(request.header("authorization"), "Bearer EAAtoken", "{name}");
    }
}

#[tokio::test]
async fn an_id_cannot_reach_another_endpoint() {
    let call = Call::DeleteGroup { group: "../111/groups?x=".to_owned() };
    let (_, request) = ask(call, Reply::json(404, json!({}))).await;
    assert_eq!(request.line, "DELETE /v25.0/..%2F111%2Fgroups%3Fx=");
}

#[tokio::test]
async fn a_picture_travels_in_a_part_called_file() {
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8, 1, 0, 1, 0, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
    jpeg.resize(4096, 0);
    let picture = Some(Picture(jpeg.clone().into()));
    let call =
        Call::UpdateGroup { group: group(), subject: Some("Tea".to_owned()), description: None, picture };
    let (answer, request) = ask(call, Reply::json(200, json!({"success": true}))).await;
    assert_eq!(answer, Answer::Accepted { request_id: None, message_id: None });
    assert!(request.header("content-type").starts_with("multipart/form-data; boundary="));
    let body = String::from_utf8_lossy(&request.body);
    assert!(body.contains("name=\"file\"; filename=\"picture.jpg\"") && body.contains("image/jpeg"));
    assert!(body.contains("name=\"messaging_product\"") && body.contains("name=\"subject\""));
    assert!(request.body.windows(jpeg.len()).any(|part| part == jpeg));
}

#[tokio::test]
async fn what_comes_later_is_accepted_under_its_id() {
    let (answer, _) = ask(create(), Reply::json(200, json!({"request_id": "R1"}))).await;
    assert_eq!(answer, Answer::Accepted { request_id: Some("R1".to_owned()), message_id: None });
    // The example of Meta's OpenAPI document.
    let (answer, _) = ask(create(), Reply::json(200, json!({"request_id": 106_540_352_242_922_u64}))).await;
    assert_eq!(answer, Answer::Accepted { request_id: Some("106540352242922".to_owned()), message_id: None });
    let sent = json!({"contacts": [{"input": GROUP}], "messages": [{"id": "wamid.9"}]});
    let (answer, _) = ask(Call::Send { group: group(), message: text() }, Reply::json(200, sent)).await;
    assert_eq!(answer, Answer::Accepted { request_id: None, message_id: Some("wamid.9".to_owned()) });
}

#[tokio::test]
async fn a_link_is_an_answer_and_no_print_shows_it() {
    let link = json!({"messaging_product": "whatsapp", "invite_link": "https://chat.whatsapp.com/X"});
    let (answer, _) = ask(Call::ResetInviteLink { group: group() }, Reply::json(200, link)).await;
    assert!(!format!("{answer:?}").contains("chat.whatsapp.com"));
    assert_eq!(answer, Answer::Done(Done::InviteLink(InviteLink("https://chat.whatsapp.com/X".to_owned()))));
}

#[tokio::test]
async fn an_answer_of_200_with_failures_and_one_of_206_are_partial() {
    let call = Call::ApproveJoinRequests { group: group(), requests: vec!["r1".into(), "r2".into()] };
    let failed = json!({"join_request_id": "r2", "errors": [{"code": 131213, "title": "Gone"}]});
    let body = json!({"approved_join_requests": ["r1"], "failed_join_requests": [failed]});
    let (answer, _) = ask(call.clone(), Reply::json(200, body)).await;
    let Answer::Partly { items, .. } = answer else { panic!("{answer:?}") };
    let fates: Vec<_> =
        items.iter().map(|i| (i.item.as_str(), i.refused.as_ref().map(|r| r.advice))).collect();
    assert_eq!(fates, [("r1", None), ("r2", Some(Advice::TreatAsDone))]);

    let all = json!({"approved_join_requests": ["r1", "r2"]});
    let (answer, _) = ask(call.clone(), Reply::json(200, all)).await;
    assert_eq!(answer, Answer::Done(Done::JoinRequestsHandled(vec!["r1".into(), "r2".into()])));
    // Without a word on either, it is no yes.
    let (answer, _) = ask(call, Reply::json(200, json!({}))).await;
    assert_eq!(answer, Answer::Unknown(Unsure::Unreadable));

    let remove = Call::RemoveParticipants { group: group(), participants: vec!["1".into(), "2".into()] };
    let body = json!({"error": {"code": 131201, "message": "partially", "fbtrace_id": "t"}});
    let (answer, _) = ask(remove, Reply::json(206, body)).await;
    let Answer::Partly { items, errors, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((items.len(), errors[0].code.as_str()), (0, "131201"));
}

#[tokio::test]
async fn groups_and_members_are_read_in_both_spellings_of_numbers() {
    let info = json!({"id": GROUP, "subject": "Tea", "suspended": "false", "creation_timestamp": "1700000000",
        "total_participant_count": 2, "participants": [{"wa_id": "1"}, {"user_id": "US.2", "username": "m"}]});
    let (answer, request) = ask(Call::GroupInfo { group: group() }, Reply::json(200, info)).await;
    assert!(request.line.contains("participants"));
    let Answer::Done(Done::Group(info)) = answer else { panic!("{answer:?}") };
    assert_eq!(
        (info.suspended, info.created_at_ms, info.participants_total),
        (Some(false), Some(1_700_000_000_000), Some(2))
    );
    let participants = info.participants.unwrap();
    assert_eq!(participants[1].user_id.as_deref(), Some("US.2"));
    // A member without a name would be one who seems to have gone.
    let odd = json!({"id": GROUP, "participants": [{"wa_id": "1"}, {}]});
    let (answer, _) = ask(Call::GroupInfo { group: group() }, Reply::json(200, odd)).await;
    assert_eq!(answer, Answer::Unknown(Unsure::Unreadable));
}

#[tokio::test]
async fn too_many_calls_are_tried_again_and_what_may_have_been_done_is_not() {
    let slow = || Reply::json(429, json!({"error": {"code": 131208, "message": "slow"}}));
    let done = Reply::json(200, json!({"request_id": "R1"}));
    let (provider, server) = self::provider(vec![slow(), done]).await;
    assert!(matches!(provider.call(NUMBER, &create()).await, Answer::Accepted { .. }));
    assert_eq!(server.requests().len(), 2);

    for (reply, why) in [
        (Reply::json(500, json!({"error": {"code": 2}})), Unsure::ProviderFault),
        // "An unknown error": under a status of ours, too, it does not say that nothing was done.
        (Reply::json(400, json!({"error": {"code": 1}})), Unsure::ProviderFault),
        (Reply::Hang, Unsure::ConnectionLost),
        (Reply::json(302, json!({})), Unsure::Unreadable),
    ] {
        let (answer, _) = ask(create(), reply).await;
        assert_eq!(answer, Answer::Unknown(why));
    }
    // Reading changes nothing, so it is asked again.
    let info = Reply::json(200, json!({"id": GROUP}));
    let (provider, server) = self::provider(vec![Reply::json(500, json!({})), Reply::Hang, info]).await;
    let (answer, began_ms) = provider.call_timed(NUMBER, &Call::GroupInfo { group: group() }, None).await;
    assert!(matches!(answer, Answer::Done(Done::Group(_))), "{answer:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(began_ms > requests[1].at_ms, "it is as old as the attempt that was answered");
}

#[tokio::test]
async fn a_call_without_token_at_fault_or_without_provider_is_refused_unsent() {
    let (provider, server) = provider(vec![]).await;
    let code = |answer: Answer| match answer {
        Answer::Refused(refusal) => (refusal.code, refusal.advice),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(provider.call("222", &create()).await).0, "access_token_missing");
    let empty = Call::CreateGroup { subject: String::new(), description: None, join_approval_mode: None };
    assert_eq!(code(provider.call(NUMBER, &empty).await).0, "invalid_call");
    assert!(server.requests().is_empty());
    let unreachable = Settings {
        meta_graph_url: reqwest::Url::parse("http://127.0.0.1:9/v25.0").unwrap(),
        tokens: Tokens::parse(["t"]).unwrap(),
        deadline: Duration::from_secs(5),
        patience: Duration::from_millis(100),
        calls_max: 1,
    };
    let answer = Provider::new(unreachable).unwrap().call(NUMBER, &create()).await;
    assert_eq!(code(answer), ("provider_unreachable", Advice::RetryLater));
}

/// A call that paused held its place among all, and the calls of other numbers waited for it.
#[tokio::test]
async fn a_call_that_pauses_before_it_is_asked_again_holds_no_place_of_others() {
    let fault = || Reply::json(500, json!({}));
    let well = || Reply::json(200, json!({"data": []}));
    let (provider, server) = provider(vec![fault(), fault(), fault(), well(), well()]).await;
    let provider = Provider { gates: Gates::new(1), ..provider };
    provider.replace_tokens(Tokens::parse(["111=EAAtoken", "222=EAAtoken"]).unwrap());
    let call = Call::ListGroups { limit: 10, after: None };
    let other = async {
        while server.requests().len() < 3 {
            tokio::task::yield_now().await;
        }
        // The pause after the third attempt is a second at least.
        provider.call_until("222", &call, Instant::now() + Duration::from_millis(800)).await
    };
    let answers = tokio::join!(provider.call(NUMBER, &call), other);
    assert!(matches!(answers, (Answer::Done(_), Answer::Done(_))), "{answers:?}");
}
