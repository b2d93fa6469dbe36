//! Ranges that begin at a time, and ends that there are none of.

use groupfold_tests::{Groupfold, Scratch, ends, wait_until};
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
    ends(&output, 0);
    let taken: Vec<String> =
        endpoint.taken().iter().map(|post| post.header("groupfold-position").to_owned()).collect();
    assert_eq!(taken, wanted);
}

/// It was taken for no end at all.
#[tokio::test]
async fn nothing_ends_with_the_beginning() {
    let world = World::empty().await;
    let out = world.path("events");
    let export = ["--format", "jsonl", "--out", out.to_str().unwrap(), "--until", "beginning"];
    for (verb, args) in [
        (&["events", "tail"][..], &["--until", "beginning"][..]),
        (&["events", "tail"], &["--to", "beginning"]),
        (&["events", "export"], &export),
        (&["replay"], &["--to", "nats:somebody.else", "--until", "beginning"]),
    ] {
        let refused = world.run(verb, args);
        assert_eq!(refused.status.code(), Some(2), "{verb:?}: {}", said(&refused));
        assert!(said(&refused).contains("before the beginning"), "{verb:?}: {}", said(&refused));
    }
}

/// It said so in a log that nobody had opened.
#[tokio::test]
async fn the_tail_names_what_it_cannot_read() {
    let world = World::empty().await;
    let context = async_nats::jetstream::new(world.nats.client().await);
    let garbage = context.publish("groupfold.event.3.a.b.c", "no record".into()).await.unwrap();
    let sequence = garbage.await.unwrap().sequence;
    let output = world.run(&["events", "tail", "--from", "beginning"], &[]);
    assert!(output.status.success() && output.stdout.is_empty(), "{}", said(&output));
    let told = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let one = format!("groupfold: the message at 3:{sequence} cannot be read");
    assert_eq!(lines, [one.as_str(), "groupfold: 1 messages of the log cannot be read"]);
}

/// It was a broker without a name, which cannot be reached.
#[test]
fn a_broker_that_arrived_empty_is_a_usage_error_whoever_asks() {
    let scratch = Scratch::new("nobody");
    for verb in [&["up"][..], &["events", "tail"], &["audit"]] {
        let mut command = Groupfold::command();
        command.args(verb).arg("--data").arg(scratch.path()).env("GROUPFOLD_NATS_URL", "");
        let refused = command.output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{verb:?}: {}", said(&refused));
        assert!(said(&refused).contains("nats_url"), "{verb:?}: {}", said(&refused));
    }
}
