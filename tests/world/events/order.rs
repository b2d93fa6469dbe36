//! One export in several runs is in the order of one run.

use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, Process, Proxy, Scratch, Way, ends};
use serde_json::Value;

use super::{BOUND, World, text};
use crate::hook::{joined, participants};

const T: i64 = 1_767_225_600;
const PARTITIONS: u16 = 2;

impl World {
    /// Consumers of all streams of events.
    async fn consumers(&self) -> usize {
        let context = async_nats::jetstream::new(self.nats.client().await);
        let mut consumers = 0;
        for partition in 0..PARTITIONS {
            let stream = context.get_stream(log::stream(partition)).await.unwrap();
            consumers += stream.cached_info().state.consumer_count;
        }
        consumers
    }
}

/// The partitions were asked for their ends one after the other, and what the first took meanwhile came behind what later
/// ones had taken after it.
#[tokio::test]
async fn an_export_that_is_gone_on_with_is_in_the_order_of_the_whole_log() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let mut options = Options::on(&nats);
    options.args.extend(["--partitions".to_owned(), PARTITIONS.to_string()]);
    let groupfold = Groupfold::up(options).await;
    let world = World { groupfold, nats, scratch: Scratch::new("order") };
    let groups: Vec<String> = (0..PARTITIONS)
        .map(|partition| {
            let mut names = (0..).map(|n| format!("G{n}"));
            names.find(|name| log::partition_of(name, PARTITIONS) == partition).unwrap()
        })
        .collect();
    // Between an answer and the next there is time for many events.
    let proxy = Proxy::start(world.nats.url().replace("nats://", "")).await;
    let path = world.path("events");
    let out = path.to_str().unwrap();
    let args = ["--format", "jsonl", "--resume", "--out", out];
    let far = proxy.nats_url();
    proxy.take(Way::Late);
    let command = world.command(&["events", "export", "--nats-url", &far], &args);
    let mut exporting = Process::spawn("groupfold", command, &world.path("export.log"));
    let mut second = T;
    let before = world.consumers().await;
    // It reads by consumers, once it knows the ends.
    while world.consumers().await == before && exporting.exited().is_none() {
        for group in &groups {
            second += 1;
            let body = participants(&[joined(group, &format!("1{second}"), second)]);
            assert_eq!(world.groupfold.post(&body).await.status, 200);
        }
    }
    proxy.take(Way::Open);
    assert!(exporting.wait(BOUND).await.success(), "{}", exporting.log());
    let rest = world.run(&["events", "export"], &args);
    ends(&rest, 0);
    let key = |row: &Value| {
        (
            text(row, "log_time").to_owned(),
            row["partition"].as_u64().unwrap(),
            row["sequence"].as_u64().unwrap(),
        )
    };
    let keys: Vec<_> = world.lines("events").iter().map(key).collect();
    let broken = keys.windows(2).find(|pair| pair[0] >= pair[1]);
    assert!(broken.is_none(), "{broken:?}");
    assert_eq!(keys.len() as i64, second - T);
}
