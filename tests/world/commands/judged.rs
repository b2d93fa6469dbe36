//! What is asked while the state that it is judged by is folded anew.

use groupfold_schemas::log::partition_of;
use groupfold_tests::wait_until;
use reqwest::Method;
use serde_json::{Value, json};

use super::{END_WAIT, World};
use crate::hook;

const PARTITIONS: u16 = 8;
const T: i64 = 1_767_225_600;
/// Folded one by one they take longer than it takes to ask.
const EVENTS: i64 = 1_000;
/// Items of a webhook.
const ITEMS: usize = 500;

#[tokio::test]
async fn a_blocked_group_is_sent_nothing_while_its_store_is_folded_anew() {
    let mut world = World::new(&[], 20_000).await;
    let group = world.group("Tea", "auto_approve").await;
    let sent = |n: i64| hook::status(&group, &format!("wamid.{n}"), "sent", None, T + n);
    let told: Vec<Value> = (0..EVENTS).map(sent).collect();
    for items in told.chunks(ITEMS) {
        let answer = world.groupfold.post(&hook::statuses(items)).await;
        assert_eq!(answer.status, 200, "{answer}");
    }
    world.all_told().await;
    let blocked = world.ask(Method::PUT, &format!("/v1/groups/{group}/block"), None, &[]).await;
    assert!(matches!(blocked.status, 200 | 202), "{blocked}");
    let path = format!("/v1/groups/{group}/messages");
    let message = json!({ "type": "text", "text": { "body": "tea" } });
    let key = [("idempotency-key", "k1")];
    let refused = world.ask(Method::POST, &path, Some(message.clone()), &key).await;
    refused.says(409, "group_blocked");

    // So is a pin: the provider takes it as a message.
    for (pin, body) in [("pin", Some(json!({ "expiration_days": 1 }))), ("unpin", None)] {
        let refused = world.ask(Method::POST, &format!("{path}/wamid.1:{pin}"), body, &[]).await;
        assert_eq!(
            (refused.status, &refused.json["code"]),
            (409, &json!("group_blocked")),
            "{pin}: {refused}"
        );
    }

    assert_eq!(world.groupfold.terminate().await, 0);
    let store = world.groupfold.data().join(format!("store/{}", partition_of(&group, PARTITIONS)));
    std::fs::remove_dir_all(&store).unwrap();
    world.groupfold.options().args.extend(["--batch-events-max", "1"].map(str::to_owned));
    world.groupfold.start_anyhow().await;
    for headers in [key.as_slice(), &[]] {
        // A sync for each event, of a disk that may be slow.
        let answer = wait_until("it is judged", END_WAIT * 5, async || {
            let answer = world.ask(Method::POST, &path, Some(message.clone()), headers).await;
            let early = (answer.status, &answer.json["code"]) == (503, &json!("catching_up"));
            if early { Err(answer.to_string()) } else { Ok(answer) }
        })
        .await;
        answer.says(409, "group_blocked");
        let same = answer.json["detail"] == refused.json["detail"];
        assert_eq!(same, !headers.is_empty(), "the same command under its key alone: {answer}");
    }
    world.groupfold.caught_up().await;
    assert_eq!(world.calls("send").await, 0, "nothing is sent");
}
