//! The bytes of a failure, as they came.

use serde_json::json;

use super::{T, answer, code, digest, failed, quick};
use crate::hook::{joined, participants};

/// One byte that is no UTF-8 made a failure of the whole body.
#[tokio::test]
async fn an_item_that_is_no_utf_8_is_kept_byte_for_byte_and_those_beside_it_land() {
    let (_nats, groupfold) = quick().await;
    let mut bad = joined("G", "5533", T);
    bad["reason"] = json!("caf?");
    let body = participants(&[joined("G", "5511", T), bad.clone(), joined("G", "5522", T)]);
    let spoil = |bytes: Vec<u8>| bytes.into_iter().map(|byte| if byte == b'?' { 0xe9 } else { byte });
    let body: Vec<u8> = spoil(body).collect();
    let answered = groupfold.post(&body).await;
    assert_eq!((&answered.json["appended"], &answered.json["failed"]), (&json!(2), &json!(1)), "{answered}");
    digest(&groupfold).await;
    assert_eq!(groupfold.get("/v1/groups/G").await.json["counts"]["member"], 2);

    let list = answer(&groupfold, &["list", "--all"], 0);
    let failure = &list["failures"][0];
    assert_eq!((&failure["cause"], &list["total"]), (&json!("malformed_field"), &json!(1)), "{list}");
    let id = failure["failed_id"].as_str().unwrap();
    let raw: Vec<u8> = spoil(bad.to_string().into_bytes()).collect();
    let printed = failed(&groupfold, &["raw", id]);
    assert_eq!((code(&printed), &printed.stdout), (0, &raw));
    assert_eq!(failed(&groupfold, &["raw", id, "--output", "table"]).stdout, raw);
    let told = answer(&groupfold, &["raw", id], 0);
    assert_eq!((&told["failed_id"], &told["encoding"]), (&json!(id), &json!("base64")), "{told}");
    assert!(!told["raw"].as_str().unwrap().is_empty());
}
