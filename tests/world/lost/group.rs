//! What is asked of one group reads its subjects alone, whose sequences tell of no hole: what the broker counts does.

use std::process::Command;

use groupfold_projector::scan::{Error, From, Scan, Stretch};
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsServer, Options, ends, wait_until};

use super::{BOUND, GROUP, T, block, stream};
use crate::hook::{joined, participants};

async fn join(groupfold: &Groupfold, members: std::ops::Range<u64>) {
    for member in members {
        let body = participants(&[joined(GROUP, &format!("1555000{member:04}"), T)]);
        assert_eq!(groupfold.post(&body).await.status, 200);
    }
}

fn partition() -> u16 {
    log::partition_of(GROUP, 8)
}

/// None of these tells less than there was.
async fn nothing_is_told(groupfold: &Groupfold, at: u64) {
    let past = groupfold.get(&format!("/v1/groups/{GROUP}?at={}:{at}", partition())).await;
    assert!(past.status == 503 && past.json["code"] == "log_unreadable", "{past}");
    let mut verify = Groupfold::command();
    verify.args(["verify", "--group", GROUP, "--data"]).arg(groupfold.data());
    let verify = verify.output().unwrap();
    ends(&verify, 1);
}

#[tokio::test]
async fn messages_of_a_group_that_are_lost_in_the_middle_are_missed() {
    let mut nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    join(&groupfold, 0..5).await;
    groupfold.caught_up().await;
    let context = async_nats::jetstream::new(nats.client().await);
    let subjects = vec![log::group_subjects(partition(), GROUP)];
    let read = async |to| {
        let stretch = Stretch { stream: stream(), from: From::Sequence(1), to, subjects: subjects.clone() };
        let mut scan = Scan::new(context.clone(), stretch);
        let mut found = 0;
        while let Some(batch) = scan.next_batch(100).await? {
            found += batch.len();
        }
        Ok::<_, Error>(found)
    };
    assert_eq!((read(5).await.unwrap(), read(2).await.unwrap()), (5, 2));

    nats.stop().await;
    let file = block(nats.store_dir());
    let mut bytes = std::fs::read(&file).unwrap();
    let text = b"15550000002";
    let at = bytes.windows(text.len()).position(|window| window == text).expect("the third member");
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    nats.restart().await;
    wait_until("the broker is there again", BOUND, async || {
        let ready = groupfold.get("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready) }
    })
    .await;
    let lost = read(5).await.unwrap_err();
    assert!(matches!(lost, Error::Hole { expected: 3, found: 4, .. }), "{lost}");
    assert_eq!(read(2).await.unwrap(), 2, "before it nothing is missing");
    nothing_is_told(&groupfold, 5).await;
    let mut export = Groupfold::command();
    let out = groupfold.data().join("events.jsonl").display().to_string();
    export.args(["events", "export", "--format", "jsonl", "--group", GROUP, "--out", &out, "--data"]);
    let export = export.arg(groupfold.data()).output().unwrap();
    ends(&export, 1);
}

#[tokio::test]
async fn a_log_restored_from_an_older_copy_tells_nothing_of_what_was() {
    let mut nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    join(&groupfold, 0..2).await;
    nats.stop().await;
    let (files, older) = (nats.store_dir(), groupfold.data().join("older"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copy(&files, &older);
    nats.restart().await;
    join_again(&groupfold, 2..5).await;
    groupfold.caught_up().await;
    let past = groupfold.get(&format!("/v1/groups/{GROUP}?at={}:5", partition())).await;
    assert_eq!(past.status, 200, "{past}");

    nats.stop().await;
    std::fs::remove_dir_all(&files).unwrap();
    copy(&older, &files);
    nats.restart().await;
    wait_until("the partition stops", BOUND, async || {
        let ready = groupfold.get("/readyz").await;
        if ready.text.contains("stream_shortened") { Ok(()) } else { Err(ready) }
    })
    .await;
    nothing_is_told(&groupfold, 5).await;
    // Grown past where it was, it has other messages there.
    join_again(&groupfold, 10..14).await;
    nothing_is_told(&groupfold, 5).await;
}

/// As the provider does: again, until it is acknowledged.
async fn join_again(groupfold: &Groupfold, members: std::ops::Range<u64>) {
    let bodies: Vec<_> =
        members.map(|member| participants(&[joined(GROUP, &format!("1555000{member:04}"), T)])).collect();
    crate::feed::post(groupfold, &bodies).await;
}
