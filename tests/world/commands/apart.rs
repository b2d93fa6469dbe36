//! A partition that stands still, and the commands of the others.

use async_nats::jetstream;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, Provider, http, wait_until};
use serde_json::json;

use super::{END_WAIT, SECRET, dead, dies_at, ended, reaching};

const PARTITIONS: u16 = 2;

/// It once waited for ever: nobody looked for what a killed process left while any partition stood still.
#[tokio::test]
async fn what_a_killed_process_left_goes_on_while_another_partition_stands_still() {
    let server = NatsServer::start().await;
    let provider = Provider::start(SECRET, &[]).await;
    let mut options = Options::on(&server);
    options.args.extend(reaching(&provider, 60_000));
    options.args.extend(["--partitions", "2"].map(str::to_owned));
    let mut groupfold = Groupfold::up(options).await;
    provider.tell(&groupfold.webhook_url()).await;
    // One in each partition.
    let mut groups = [None, None];
    while groups.iter().any(Option::is_none) {
        let group = super::group(&groupfold, "Tea", "auto_approve").await;
        let home = usize::from(log::partition_of(&group, PARTITIONS));
        groups[home] = Some(group);
    }
    let group = groups[1].take().unwrap();

    dies_at(&mut groupfold, "command.requested").await;
    provider.tell(&groupfold.webhook_url()).await;
    let request = http::client().patch(groupfold.api_url(&format!("/v1/groups/{group}")));
    // It ends before it answers.
    let _ = request.json(&json!({ "subject": "Coffee" })).send().await;
    dead(&mut groupfold).await;

    let context = jetstream::new(server.client().await);
    let stream = context.get_stream(log::stream(0)).await.unwrap().cached_info().config.clone();
    context.delete_stream(log::stream(0)).await.unwrap();
    context.create_stream(stream).await.unwrap();
    groupfold.start_anyhow().await;
    wait_until("partition 0 stands still", END_WAIT, async || {
        let ready = groupfold.get("/readyz").await;
        if ready.text.contains("partition 0: stopped") { Ok(()) } else { Err(ready) }
    })
    .await;
    provider.tell(&groupfold.webhook_url()).await;
    // A list tells what is folded so far, and its partition may still be at it.
    let found = wait_until("its request is folded", END_WAIT, async || {
        let page = groupfold.get(&format!("/v1/commands?group={group}&limit=1")).await;
        let command = page.json["commands"][0].clone();
        if command["type"] == "group_update" { Ok(command) } else { Err(page) }
    })
    .await;
    let command = ended(&groupfold, found["command_id"].as_str().unwrap()).await;
    assert_eq!((&command["group_id"], &command["status"]), (&json!(group), &json!("succeeded")), "{command}");
}
