//! Ranges that begin at a time.

use groupfold_tests::wait_until;
use serde_json::Value;

use super::{BOUND, World, position, said, text};
use crate::endpoint::Endpoint;
use crate::hook::{joined, participants, renamed, settings};

const GROUP: &str = "G1";
const T: i64 = 1_767_225_600;
const KINDS: [&str; 4] = ["--kind", "participants_joined", "--kind", "settings_updated"];

/// Asked for a time and several subjects the broker begins with the latest of their first messages: what is before was left
/// out, and the count that finds what is missing was taken in the same way.
#[tokio::test]
async fn from_a_time_on_several_kinds_are_all_there() {
    let world = World::empty().await;
    let mut second = T;
    let mut join = async || {
        second += 1;
        let body = participants(&[joined(GROUP, &format!("1{second}"), second)]);
        assert_eq!(world.groupfold.post(&body).await.status, 200);
    };
    join().await;
    // One kind before and after the time, the other behind both.
    let time = wait_until("the log's time goes on", BOUND, async || {
        join().await;
        let all = world.tail(&["--from", "beginning"]);
        let (first, last) = (text(&all[0], "log_time"), text(&all[all.len() - 1], "log_time"));
        if first < last { Ok(last.to_owned()) } else { Err(Value::from(all)) }
    })
    .await;
    assert_eq!(world.groupfold.post(&settings(&[renamed(GROUP, "Tea", T)])).await.status, 200);
    join().await;

    let all = world.tail(&["--from", "beginning"]);
    let wanted: Vec<&Value> = all.iter().filter(|row| text(row, "log_time") >= time.as_str()).collect();
    let wanted: Vec<String> = wanted.into_iter().map(position).collect();
    assert!(wanted.len() >= 3 && wanted.len() < all.len(), "{wanted:?}");
    let args = [&["--from", time.as_str()], &KINDS[..]].concat();
    assert_eq!(world.tail(&args).iter().map(position).collect::<Vec<_>>(), wanted);
    let recent = world.tail(&KINDS);
    assert_eq!(recent.iter().map(position).collect::<Vec<_>>(), all.iter().map(position).collect::<Vec<_>>());
    world.export("events", &[&["--format", "jsonl"], &args[..]].concat());
    assert_eq!(world.lines("events").iter().map(position).collect::<Vec<_>>(), wanted);
    let endpoint = Endpoint::start(|_| 200);
    let output = world.run(&["replay", "--to", &endpoint.url], &args);
    assert!(output.status.success(), "{}", said(&output));
    let taken: Vec<String> =
        endpoint.taken().iter().map(|post| post.header("groupfold-position").to_owned()).collect();
    assert_eq!(taken, wanted);
}
