//! A stream that is gone from a log that is not new: nothing puts an empty one in its place, for that would hide what is
//! lost, and take what the old one does not have once it is restored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, wait_until};
use serde_json::{Value, json};

use crate::feed;
use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
const GROUP: &str = "G1";

fn stream() -> String {
    log::stream(log::partition_of(GROUP, 8))
}

fn webhook(member: u64) -> Vec<u8> {
    participants(&[joined(GROUP, &format!("1555000{member:04}"), T)])
}

/// A file of the group's stream, somewhere below a folder.
fn file_of_stream(folder: PathBuf, name: &str) -> PathBuf {
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|file| file == name)
                && path.parent().and_then(Path::file_name).is_some_and(|parent| *parent == *stream())
            {
                return path;
            }
        }
    }
    panic!("{} has no {name}", stream());
}

/// Starts it, and waits for its end: exit code and log.
async fn ended(groupfold: &mut Groupfold) -> (Option<i32>, String) {
    groupfold.begin();
    let process = groupfold.process();
    let status = process.wait(BOUND).await;
    (status.code(), process.log())
}

async fn provision(nats: &NatsServer, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Groupfold::command();
    command.args(["provision", "--nats-url", &nats.url()]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.code(), said.concat())
}

async fn members(groupfold: &Groupfold) -> usize {
    let members = groupfold.get(&format!("/v1/groups/{GROUP}/members")).await.json;
    members["members"].as_array().unwrap_or_else(|| panic!("{members}")).len()
}

/// nats-server passes over a stream whose description it cannot read, and starts without it.
#[tokio::test]
async fn up_puts_no_empty_stream_in_the_place_of_one_with_a_flipped_bit_and_all_is_there_once_it_is_mended() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    for member in 0..5 {
        assert_eq!(groupfold.post(&webhook(member)).await.status, 200);
    }
    groupfold.caught_up().await;
    assert_eq!(groupfold.terminate().await, 0);
    let file = file_of_stream(groupfold.data().join("nats"), "meta.inf");
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[10] ^= 1;
    std::fs::write(&file, flipped).unwrap();
    let (code, said) = ended(&mut groupfold).await;
    assert!(
        code == Some(3) && said.contains(&stream()) && said.contains("restore it from a backup"),
        "{code:?} {said}"
    );
    std::fs::write(&file, whole).unwrap();
    groupfold.start_anyhow().await;
    assert_eq!(members(&groupfold).await, 5);
    // It may have answered before it was ready.
    feed::post(&groupfold, &[webhook(5)]).await;
    assert_eq!(members(&groupfold).await, 6);
}

#[tokio::test]
async fn a_stream_of_events_that_vanished_is_made_again_on_an_operators_word_alone() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    assert_eq!(groupfold.post(&webhook(0)).await.status, 200);
    groupfold.caught_up().await;
    let context = jetstream::new(nats.client().await);
    context.delete_stream(stream()).await.unwrap();

    let mut doctor = Groupfold::command();
    doctor.args(["doctor", "--output", "json", "--data"]).arg(groupfold.data());
    let doctor = tokio::task::spawn_blocking(move || doctor.output().unwrap()).await.unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let missing = json!(format!("{} is missing", stream()));
    let finding = doctor["findings"].as_array().unwrap().iter().find(|one| one["reason"] == missing);
    let mend = finding.unwrap_or_else(|| panic!("{doctor:#}"))["mend"].as_str().unwrap();
    assert!(mend.starts_with(&format!("restore {} from a backup", stream())), "{mend}");

    assert_eq!(groupfold.terminate().await, 0);
    let (code, said) = ended(&mut groupfold).await;
    assert!(code == Some(3) && said.contains(&stream()), "{code:?} {said}");
    let (code, said) = provision(&nats, &[]).await;
    assert!(code == Some(3) && said.contains(&format!("--anew {}", stream())), "{code:?} {said}");
    assert!(context.get_stream(stream()).await.is_err(), "it was made");
    for other in ["GROUPFOLD_EVENTS_8", "GROUPFOLD_FAILED"].map(str::to_owned) {
        let (code, said) = provision(&nats, &["--anew", &other]).await;
        assert!(code == Some(2) && said.contains(&other), "{code:?} {said}");
    }
    let (code, said) = provision(&nats, &["--anew", &stream()]).await;
    assert!(code == Some(0) && said.contains("1 stream(s) created"), "{code:?} {said}");
    assert!(said.contains("were missing: they are made, and empty"), "{said}");
    assert_eq!(provision(&nats, &[]).await.0, Some(0));
    // A flag that was left in place gives up nothing later.
    assert_eq!(provision(&nats, &["--anew", &stream()]).await.0, Some(2));

    groupfold.start_anyhow().await;
    wait_until("the partition stops", BOUND, async || {
        let ready = groupfold.get("/readyz").await;
        if ready.text.contains("stream_recreated") { Ok(()) } else { Err(ready) }
    })
    .await;
}

#[tokio::test]
async fn up_takes_the_operators_word_as_well_also_for_the_stream_that_tells_how_many_there_are() {
    let nats = NatsServer::start().await;
    assert_eq!(provision(&nats, &["--partitions", "3"]).await.0, Some(0));
    let context = jetstream::new(nats.client().await);
    context.delete_stream(log::stream(0)).await.unwrap();
    let (code, said) = provision(&nats, &[]).await;
    assert!(code == Some(3) && said.contains(&log::stream(0)), "{code:?} {said}");
    let mut options = Options::on(&nats);
    options.args.extend(["--anew".to_owned(), log::stream(0)]);
    let groupfold = Groupfold::up(options).await;
    let position = groupfold.get("/v1/position").await.json;
    assert_eq!(position["partitions"].as_array().unwrap().len(), 3, "{position}");
}

#[tokio::test]
async fn what_holds_nobodys_only_copy_is_made_again_and_said_and_a_first_provisioning_cut_short_is_completed()
{
    let nats = NatsServer::start().await;
    assert_eq!(provision(&nats, &[]).await.0, Some(0));
    let context = jetstream::new(nats.client().await);
    let beside = [log::FAILED_STREAM, log::RESOLVED_STREAM, log::CHANGES_STREAM, log::CHANGE_MARKS_STREAM];
    for name in beside.map(str::to_owned).into_iter().chain((2..8).map(log::stream)) {
        context.delete_stream(name).await.unwrap();
    }
    let (code, said) = provision(&nats, &[]).await;
    assert!(code == Some(0) && said.contains("10 stream(s) created"), "{code:?} {said}");

    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    assert_eq!(groupfold.post(&webhook(0)).await.status, 200);
    assert_eq!(groupfold.terminate().await, 0);
    for name in [log::FAILED_STREAM, log::CHANGES_STREAM] {
        context.delete_stream(name).await.unwrap();
    }
    groupfold.restart().await;
    let said = groupfold.process().log();
    let made = said.lines().find(|line| line.contains("they are made, and empty")).unwrap_or_default();
    assert!(made.contains(log::FAILED_STREAM) && made.contains(log::CHANGES_STREAM), "{said}");
}
