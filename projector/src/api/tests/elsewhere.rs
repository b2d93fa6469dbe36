//! Where other processes own partitions.

use super::*;

/// A group of a partition.
fn group_of(partition: u16) -> String {
    (0..).map(|n| format!("g{n}")).find(|group| partition_of(group, PARTITIONS) == partition).unwrap()
}

#[tokio::test]
async fn what_another_process_may_have_is_not_said_to_be_absent() {
    let world = World::with(0..2, &[]).await;
    world.tell(receipt(&group_of(1), 1, "wamid.x", ReceiptStatus::Sent, None));
    let command = groupfold_schemas::command::command_id(8, [1; 10]);
    let elsewhere = (421, "partition_not_owned".to_owned());
    for path in ["/v1/messages/none/receipts".to_owned(), format!("/v1/commands/{command}")] {
        let reply = world.get(&path).await;
        assert!(reply.body["detail"].as_str().unwrap().ends_with("partitions 2, 3"), "{}", reply.body);
        assert_eq!(reply.problem(), elsewhere, "{path}");
    }
    let view = world.send_body("POST", "/v1/messages/none/views", "", r#"{"user_id":"ana"}"#).await;
    assert_eq!(view.problem(), elsewhere);
    world.get("/v1/messages/wamid.x/receipts").await.ok();
    // What is not owned is not waited for.
    for path in [
        "/v1/messages/none/receipts".to_owned(),
        format!("/v1/commands/{command}"),
        "/v1/commands".to_owned(),
        "/v1/groups".to_owned(),
        "/v1/usage".to_owned(),
        "/v1/position".to_owned(),
    ] {
        let path = format!("{path}?min_position=3:1&wait_ms={WAIT_MS_MAX}");
        let reply = tokio::time::timeout(Duration::from_secs(10), world.get(&path)).await.unwrap();
        assert_eq!(reply.problem(), elsewhere, "{path}");
    }
}

/// Whatever else a position names does not concern what lives in one partition.
#[tokio::test]
async fn what_lives_here_alone_is_absent_where_it_is_not_known() {
    let world = World::with([1], &[]).await;
    world.tell(created(&group_of(1), 1, "x"));
    world.tell(receipt(&group_of(1), 2, "wamid.x", ReceiptStatus::Sent, None));
    for path in [format!("/v1/groups/{}", group_of(1)), "/v1/messages/wamid.x/receipts".to_owned()] {
        world.get(&format!("{path}?min_position=1:2,3:9")).await.ok();
    }
    let other = (0..).map(|n| format!("h{n}")).find(|group| partition_of(group, PARTITIONS) == 1).unwrap();
    let reply = world.get(&format!("/v1/groups/{other}")).await;
    assert_eq!(reply.problem(), (404, "group_not_found".to_owned()));
}
