//! A store that is still folding when a round comes: nothing is concluded from half of the log.

use groupfold_schemas::log;
use groupfold_tests::wait_until;
use serde_json::{Value, json};

use super::graph::There;
use super::{BOUND, T, World};
use crate::hook::{NUMBER, created, joined, lifecycle, participants, status, statuses};

/// Folded one by one they take longer than a round and its second look.
const EVENTS: i64 = 4_000;
/// Items of a webhook.
const ITEMS: usize = 500;

/// A member who is known by the number alone and listed by the user id alone once was gone for ever, and a group whose
/// deletion was not folded yet was deleted a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_waits_until_the_log_is_folded() {
    let mut world = World::new(&["--partitions", "1"]).await;
    world.hear(&lifecycle(&[created("G", "Tea", T), created("D", "Tea", T)])).await;
    let told: Vec<Value> =
        (0..EVENTS).map(|n| status("G", &format!("wamid.{n}"), "sent", None, T + n)).collect();
    for items in told.chunks(ITEMS) {
        let answer = world.groupfold.post(&statuses(items)).await;
        assert_eq!(answer.status, 200, "{answer}");
    }
    let deleted = json!({ "timestamp": (T + 5).to_string(), "group_id": "D", "type": "group_delete", "request_id": "r" });
    world.hear(&participants(&[joined("G", "5511", T + 10)])).await;
    world.hear(&lifecycle(&[deleted])).await;
    world.graph.put("G", There::with(&["user-1"]));

    assert_eq!(world.groupfold.terminate().await, 0);
    std::fs::remove_dir_all(world.groupfold.data().join("store")).unwrap();
    let slowly = ["--batch-events-max", "1", "--reconcile-interval-s", "1"];
    world.groupfold.options().args.extend(slowly.map(str::to_owned));
    world.groupfold.start_anyhow().await;
    // A sync for each event, of a disk that may be slow.
    wait_until("a round was done", BOUND * 5, async || {
        let metrics = world.groupfold.get("/metrics").await.text;
        let done = |line: &str| {
            let count = line.strip_prefix("groupfold_reconcile_rounds_total{outcome=\"ok\"} ");
            count.is_some_and(|count| count != "0")
        };
        if metrics.lines().any(done) { Ok(()) } else { Err(metrics) }
    })
    .await;
    world.groupfold.caught_up().await;
    let group = world.group("G").await;
    let mut members = group["members"].as_array().expect("members").iter();
    let member = members.find(|member| member["wa_id"] == "5511").expect("the member is there");
    assert_eq!(member["status"], "member", "{group}");
    let lines = world.lines("D").await;
    let told = lines.iter().filter(|line| line["kind"] == "group_deleted").count();
    assert_eq!(told, 1, "{lines:#?}");
}

/// A partition that stands still tells nothing that could be concluded from; the other ones do.
#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_partition_that_stands_still_are_left_out_and_the_others_put_right() {
    let mut world = World::new(&["--partitions", "2"]).await;
    let group_of = |partition: u16| {
        let mut names = (0..).map(|n| format!("G{n}"));
        names.find(|name| log::partition_of(name, 2) == partition).expect("one")
    };
    let (still, other) = (group_of(0), group_of(1));
    for group in [&still, &other] {
        world.hear(&lifecycle(&[created(group, "Tea", T)])).await;
        world.graph.put(group, There::with(&["5511"]));
    }
    assert_eq!(world.groupfold.terminate().await, 0);
    let jetstream = async_nats::jetstream::new(world.nats.client().await);
    let config = jetstream.get_stream(log::stream(0)).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(log::stream(0)).await.unwrap();
    jetstream.create_stream(config).await.unwrap();
    world.groupfold.start_anyhow().await;
    wait_until("partition 0 stands still", BOUND, async || {
        let ready = world.groupfold.get("/readyz").await;
        if ready.text.contains("partition 0: stopped") { Ok(()) } else { Err(ready) }
    })
    .await;
    let preview = world.reconcile(&[], 75).await;
    assert_eq!(
        (preview["failed"].as_array().unwrap().len(), &preview["differing"][0]["group_id"]),
        (1, &json!(other)),
        "{preview}"
    );
    let report = world.reconcile(&["--execute"], 75).await;
    let failed = report["failed"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["group_id"]), (1, &json!(still)), "{report}");
    assert!(failed[0]["reason"].as_str().unwrap().contains("has not folded"), "{report}");
    assert_eq!(
        (&report["appended"], &report["differing"][0]["group_id"]),
        (&json!(1), &json!(other)),
        "{report}"
    );
    let import = ["import", "--phone-number-id", NUMBER, "--execute", "--group", &still, "--group", &other];
    let report = world.verb(&import, 75).await;
    assert_eq!(
        (&report["imported"], report["failed"].as_object().unwrap().len()),
        (&json!(1), 1),
        "{report}"
    );
    assert!(report["failed"][&still].as_str().unwrap().contains("has not folded"), "{report}");
}
