use super::*;
use http_body_util::BodyExt as _;

async fn text(answer: Answer) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_receipt_reads_as_documented() {
    let position: groupfold_schemas::position::Position = "5:88,3:1234".parse().unwrap();
    let given = Receipt { appended: 3, position, ..Receipt::default() };
    let answer = receipt(&given, Durability::Fsync, "id");
    assert_eq!(answer.headers()["groupfold-position"], "3:1234,5:88");
    assert_eq!(answer.headers()["groupfold-request-id"], "id");
    assert_eq!(
        text(answer).await,
        r#"{"appended":3,"duplicate":0,"failed":0,"ignored":0,"position":"3:1234,5:88","durability":"fsync"}"#
    );
    let nothing = receipt(&Receipt::default(), Durability::Unverified, "id");
    assert!(nothing.headers().get("groupfold-position").is_none());
}

#[tokio::test]
async fn faults_of_ours_are_never_4xx_and_say_when_to_come_back() {
    for refusal in [
        Refusal::Busy,
        Refusal::Fault,
        Refusal::Body(body::Error::Busy),
        Refusal::Append(append::Error::Disconnected),
        Refusal::Append(append::Error::Unacknowledged),
        Refusal::Append(append::Error::TooLarge),
    ] {
        let answer = refusal.answer("id", Version::HTTP_11);
        assert!(answer.status().is_server_error(), "{refusal}");
        assert!(answer.headers().contains_key("retry-after"), "{refusal}");
        let problem: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(problem["request_id"], "id");
    }
}

#[test]
fn statuses_are_those_documented() {
    let cases = [
        (Refusal::Path, 404),
        (Refusal::Method, 405),
        (Refusal::Body(body::Error::TooLarge { max: 1 }), 413),
        (Refusal::Body(body::Error::Late), 408),
        (Refusal::Signature(verify::Error::Missing), 401),
        (Refusal::Signature(verify::Error::Malformed), 401),
        (Refusal::Signature(verify::Error::Wrong), 401),
        (Refusal::Handshake(handshake::Error::Token), 403),
    ];
    for (refusal, status) in cases {
        assert_eq!(refusal.outline().0.as_u16(), status, "{refusal}");
    }
    assert_eq!(Refusal::Method.answer("id", Version::HTTP_11).headers()["allow"], "GET, POST");
}
