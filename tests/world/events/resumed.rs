//! Exports of each event once, resumed.

use std::collections::BTreeSet;

use async_nats::jetstream::{self, stream::DiscardPolicy};
use groupfold_schemas::log;

use super::{World, position, said, text};
use crate::hook::{joined, messages, number_changed, participants};

const GROUP: &str = "G1";
const T: i64 = 1_767_225_600;
const ARGS: [&str; 4] = ["--format", "jsonl", "--dedupe", "--resume"];

/// The export went on with what was left, and said that it was complete.
#[tokio::test]
async fn a_deduped_export_does_not_step_over_what_retention_took() {
    let world = World::empty().await;
    let join = async |seconds: std::ops::Range<i64>| {
        for second in seconds {
            let body = participants(&[joined(GROUP, &format!("1555000{second:04}"), T + second)]);
            assert_eq!(world.groupfold.post(&body).await.status, 200);
        }
    };
    join(0..6).await;
    world.export("events", &ARGS);
    let before = std::fs::read(world.path("events")).unwrap();
    join(6..9).await;
    let context = jetstream::new(world.nats.client().await);
    let partition = log::partition_of(GROUP, 8);
    let stream = context.get_stream(log::stream(partition)).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.discard = DiscardPolicy::Old;
    let follows = format!("the log no longer has what follows {partition}:6");
    for (kept, why) in [(4, format!("the log no longer has {partition}:1, which was written")), (1, follows)]
    {
        config.max_messages = kept;
        context.update_stream(&config).await.unwrap();
        let path = world.path("events");
        let refused = world.run(&["events", "export", "--out", path.to_str().unwrap()], &ARGS);
        groupfold_tests::ends(&refused, 1);
        assert!(said(&refused).contains(&why), "{}", said(&refused));
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
}

/// What stands in every partition was written again, as the copy of a partition that was not read before came first.
#[tokio::test]
async fn a_deduped_export_that_ended_in_one_partition_goes_on_without_the_copies_of_others() {
    let world = World::empty().await;
    let change = messages(&[number_changed("wamid.change", "15550000001", "15550000002", T)]);
    assert_eq!(world.groupfold.post(&change).await.status, 200);
    // The last copy in the order of the whole log: all others come before it.
    let copies = world.tail(&["--from", "beginning"]);
    let last = position(copies.last().expect("copies"));
    let part = world.export("events", &[&ARGS[..], &["--until", &last]].concat());
    assert_eq!((&part["events"], &part["duplicates"]), (&1.into(), &0.into()), "{part}");
    let whole = world.export("events", &ARGS);
    assert_eq!((&whole["events"], &whole["duplicates"]), (&1.into(), &7.into()), "{whole}");
    let rows = world.lines("events");
    let ids: BTreeSet<&str> = rows.iter().map(|row| text(row, "event_id")).collect();
    assert_eq!((rows.len(), ids.len()), (1, 1), "{rows:?}");
}
