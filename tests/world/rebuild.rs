//! Proof and repair of state: rebuilt under load, compared, swapped, rolled back; what was tampered with is named.

mod apart;
mod behind;
mod gone;
mod room;
mod shut;

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use groupfold_fold::apply::{Changes, Digest};
use groupfold_fold::entry::{Key, Value as Entry};
use groupfold_projector::store::{Settings, Store, digest_of};
use groupfold_schemas::log::partition_of;
use groupfold_tests::{Groupfold, NatsServer, Options, http, wait_until};
use serde_json::Value;

use crate::hook::{created, joined, lifecycle, participants, status, statuses};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
const GROUP: &str = "120363000000000001@g.us";
const OTHER: &str = "120363000000000002@g.us";

fn groupfold(verb: &str, data: &Path, args: &[&str]) -> Output {
    let mut command = Groupfold::command();
    command.args([verb, "--output", "json", "--data"]).arg(data).args(args);
    command.output().expect("groupfold can be run")
}

/// Exit code, what was printed, and the error line.
fn told(output: &Output) -> (Option<i32>, Value, String) {
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn digest(groupfold: &Groupfold) -> (String, String) {
    let answer = groupfold.caught_up().await;
    (answer.json["digest"].as_str().unwrap().to_owned(), answer.position().unwrap().to_owned())
}

/// Two groups with members, and a message with receipts; all of it folded.
async fn told_a_story(groupfold: &Groupfold) {
    for group in [GROUP, OTHER] {
        groupfold.post(&lifecycle(&[created(group, "subject", T)])).await;
        let joins: Vec<Value> = (0..5).map(|n| joined(group, &format!("55110000{n:04}"), T + n)).collect();
        groupfold.post(&participants(&joins)).await;
        let message = format!("wamid.{group}");
        let read = status(group, &message, "read", Some("551100000001"), T + 10);
        groupfold.post(&statuses(&[read])).await;
    }
    groupfold.caught_up().await;
}

/// The same, then stopped: its broker, the stopped one, and what it stood at.
async fn stopped_after_a_story() -> (NatsServer, Groupfold, (String, String)) {
    let nats = NatsServer::start().await;
    let mut up = Groupfold::up(Options::on(&nats)).await;
    told_a_story(&up).await;
    let before = digest(&up).await;
    assert_eq!(up.terminate().await, 0);
    (nats, up, before)
}

/// Changes an entry and every digest with it, as if the fold had said so: the store is sound to itself.
fn tamper(data: &Path, partitions: u16, key: &Key, change: impl Fn(&mut Entry)) {
    let partition = partition_of(GROUP, partitions);
    let settings = Settings { root: data.join("store"), partition, cache_bytes: 16 << 20 };
    let store = Store::open(settings).unwrap();
    let bytes = key.encode();
    let old = store.load([&bytes]).unwrap().0.remove(&bytes).expect("the entry is there");
    let mut value = key.decode_value(&old).unwrap();
    change(&mut value);
    let new = value.encode();
    assert_ne!(old, new);
    let mut way = Digest::default();
    way.remove(&bytes, &old);
    way.add(&bytes, &new);
    let mut changes = Changes { digest: way, ..Changes::default() };
    changes.puts.insert(bytes, new);
    if !matches!(key, Key::Receipt { .. }) {
        changes.groups.insert(GROUP.to_owned(), way);
    }
    let mut progress = store.view().unwrap().progress();
    progress.digest = digest_of(&progress).unwrap().plus(way).to_bytes().to_vec().into();
    store.commit(&changes, &[], progress).unwrap();
}

#[tokio::test]
async fn what_was_tampered_with_is_named_and_replaced_only_by_force() {
    let nats = NatsServer::start().await;
    let mut groupfold_ = Groupfold::up(Options::on(&nats)).await;
    told_a_story(&groupfold_).await;
    let (whole, _) = digest(&groupfold_).await;
    let data = groupfold_.data();
    let fine = told(&groupfold("verify", &data, &[]));
    assert_eq!((fine.0, fine.1["state"].as_str()), (Some(0), Some("done")), "{fine:?}");

    groupfold_.terminate().await;
    let message = format!("wamid.{GROUP}");
    let receipt = Key::Receipt {
        message: message.clone(),
        alias: groupfold_fold::identity::Alias {
            kind: groupfold_fold::identity::AliasKind::WaId,
            text: "551100000001".to_owned(),
        },
    };
    tamper(&data, 8, &receipt, |value| {
        if let Entry::Receipt(receipt) = value {
            receipt.played = receipt.read.clone();
        }
    });
    // On the stopped store, which is left as it is.
    let stopped = told(&groupfold("verify", &data, &["--nats-url", &nats.url()]));
    let name = format!("receipt of message {message} by w:551100000001");
    assert_eq!(stopped.0, Some(3), "{stopped:?}");
    let partition = usize::from(partition_of(GROUP, 8));
    let differences = &stopped.1["partitions"][partition]["differences"];
    assert_eq!(differences[0]["key"], name, "{stopped:?}");
    assert_eq!((&differences[0]["group"], differences.as_array().unwrap().len()), (&Value::from(GROUP), 1));
    let nowhere = told(&groupfold("verify", &data, &[]));
    assert_eq!(nowhere.0, Some(69), "{nowhere:?}");

    groupfold_.restart().await;
    assert_ne!(digest(&groupfold_).await.0, whole);
    for args in [vec![], vec!["--group", GROUP], vec!["--sample", "100%"]] {
        let found = told(&groupfold("verify", &data, &args));
        assert_eq!(found.0, Some(3), "{args:?}: {found:?}");
        assert!(found.1.to_string().contains(&name), "{args:?}: {found:?}");
    }
    let other = told(&groupfold("verify", &data, &["--group", OTHER]));
    assert_eq!(other.0, Some(0), "{other:?}");
    let nobodys = told(&groupfold("verify", &data, &["--group", "no-such-group"]));
    assert!(
        nobodys.0 == Some(1) && nobodys.2.contains("no event speaks of"),
        "nothing is no proof: {nobodys:?}"
    );

    let refused = told(&groupfold("rebuild", &data, &[]));
    assert_eq!(refused.0, Some(3), "{refused:?}");
    assert!(refused.2.contains(GROUP) && !refused.2.contains(OTHER), "{refused:?}");
    assert_ne!(digest(&groupfold_).await.0, whole, "the live store was left");
    let forced = told(&groupfold("rebuild", &data, &["--force"]));
    assert_eq!(forced.0, Some(0), "{forced:?}");
    assert_eq!(digest(&groupfold_).await.0, whole);
    let fine = told(&groupfold("verify", &data, &[]));
    assert_eq!(fine.0, Some(0), "{fine:?}");
}

#[tokio::test]
async fn a_store_rolled_back_has_first_folded_what_came_since() {
    let groupfold_ = Groupfold::up(Options::default()).await;
    told_a_story(&groupfold_).await;
    let data = groupfold_.data();
    let nothing = told(&groupfold("rebuild", &data, &["--rollback"]));
    assert_eq!(nothing.0, Some(1), "{nothing:?}");
    // Some went back before the first without one failed, and nobody was told of --partition.
    let one = told(&groupfold("rebuild", &data, &["--partition", "3"]));
    assert_eq!(one.0, Some(0), "{one:?}");
    let some = told(&groupfold("rebuild", &data, &["--rollback"]));
    assert!(
        some.0 == Some(1) && some.2.contains("there for partition 3 and not for partition 0, 1"),
        "{some:?}"
    );
    assert!(some.2.contains("--partition"), "{some:?}");
    let back = told(&groupfold("rebuild", &data, &["--rollback", "--partition", "3"]));
    assert_eq!(back.0, Some(0), "{back:?}");
    let elsewhere = told(&groupfold("rebuild", &data, &["--partition", "99"]));
    assert_eq!(elsewhere.0, Some(2), "{elsewhere:?}");
    assert!(elsewhere.2.contains("the log has partitions 0 to 7"), "{elsewhere:?}");
    let rebuilt = told(&groupfold("rebuild", &data, &[]));
    assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");

    let posted = groupfold_.post(&participants(&[joined(GROUP, "551199999999", T + 99)])).await;
    let position = posted.position().unwrap().to_owned();
    let path = format!("/v1/groups/{GROUP}?min_position={position}&wait_ms=20000");
    let before = groupfold_.get(&path).await;
    assert_eq!(before.json["counts"]["member"], 6, "{before}");
    let (whole, _) = digest(&groupfold_).await;
    let back = told(&groupfold("rebuild", &data, &["--rollback"]));
    assert_eq!(back.0, Some(0), "{back:?}");
    let after = groupfold_.get(&path).await;
    assert_eq!(after.json, before.json);
    assert_eq!(digest(&groupfold_).await.0, whole);
    let fine = told(&groupfold("verify", &data, &[]));
    assert_eq!(fine.0, Some(0), "{fine:?}");
    // And it goes on from there.
    let posted = groupfold_.post(&participants(&[joined(GROUP, "551188888888", T + 100)])).await;
    let path = format!("/v1/groups/{GROUP}?min_position={}&wait_ms=20000", posted.position().unwrap());
    let after = groupfold_.get(&path).await;
    assert_eq!(after.json["counts"]["member"], 7, "{after}");
}

#[tokio::test]
async fn a_second_task_at_once_is_refused() {
    let mut nats = NatsServer::start().await;
    let groupfold_ = Groupfold::up(Options::on(&nats)).await;
    told_a_story(&groupfold_).await;
    let url = groupfold_.api_url("/v1/ops/rebuild");
    let data = groupfold_.data();
    // Whoever folds the log anew now waits for the broker.
    nats.process().signal("STOP");
    let post = async || http::client().post(&url).send().await.unwrap().status().as_u16();
    assert_eq!([post().await, post().await], [202, 409]);
    let again = told(&groupfold("verify", &data, &[]));
    assert_eq!(again.0, Some(75), "{again:?}");
    nats.process().signal("CONT");
    wait_until("the first ends", BOUND, async || {
        let job = http::get(&url).await;
        if job.json["state"] == "done" { Ok(()) } else { Err(job) }
    })
    .await;
}

/// Joins of ever new persons into one group: so each event of its partition is one member more, and an answer
/// whose members are not as many as its position says is torn.
async fn joins(groupfold: &Groupfold, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) {
    while !stop.load(Ordering::SeqCst) && sent.load(Ordering::SeqCst) < 1_500 {
        let number = sent.load(Ordering::SeqCst);
        let body = participants(&[joined(GROUP, &format!("5511{number:08}"), T)]);
        match groupfold.try_post(&body).await {
            Ok(answer) if answer.status == 200 => {
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) | Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn reads(groupfold: &Groupfold, stop: Arc<AtomicBool>, last: Arc<AtomicU64>) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        let answer = groupfold.get(&format!("/v1/groups/{GROUP}")).await;
        if answer.status == 200 {
            let sequence: u64 = answer.position().unwrap().split_once(':').unwrap().1.parse().unwrap();
            assert_eq!(answer.json["counts"]["member"], sequence, "torn: {}", answer.json["position"]);
            let before = last.fetch_max(sequence, Ordering::SeqCst);
            assert!(sequence >= before, "went back from {before} to {sequence}");
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn rebuilt_under_load_reads_are_never_torn_and_never_go_back() {
    let groupfold_ = Groupfold::up(Options::default()).await;
    let (stop, sent, last) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::default());
    let data = groupfold_.data();
    let work = async {
        wait_until("the load goes on", BOUND, async || {
            let sent = sent.load(Ordering::SeqCst);
            if sent >= 100 { Ok(()) } else { Err(sent) }
        })
        .await;
        for _ in 0..4 {
            let data = data.clone();
            let rebuilt = tokio::task::spawn_blocking(move || told(&groupfold("rebuild", &data, &[])));
            let rebuilt = rebuilt.await.unwrap();
            assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");
            let swapped = rebuilt.1["partitions"].as_array().unwrap().iter();
            assert_eq!(swapped.filter(|one| one["swapped"] == true).count(), 8);
        }
        stop.store(true, Ordering::SeqCst);
    };
    let load = joins(&groupfold_, Arc::clone(&stop), Arc::clone(&sent));
    let (_, _, read) = tokio::join!(work, load, reads(&groupfold_, Arc::clone(&stop), last));
    assert!(read > 10, "{read} reads");
    let fine = told(&groupfold("verify", &data, &[]));
    assert_eq!(fine.0, Some(0), "{fine:?}");
}

#[tokio::test]
async fn killed_at_any_point_a_rebuild_is_resumed_and_ends_with_the_same_digest() {
    let nats = NatsServer::start().await;
    let mut options = Options::on(&nats);
    options.args.extend(["--rebuild-bytes".to_owned(), "4096".to_owned()]);
    let mut groupfold_ = Groupfold::up(options).await;
    for group in 0..24 {
        let group = format!("12036300000000{group:04}@g.us");
        let joins: Vec<Value> = (0..40).map(|n| joined(&group, &format!("55110000{n:04}"), T + n)).collect();
        assert_eq!(groupfold_.post(&participants(&joins)).await.status, 200);
    }
    wait_until("all is folded", BOUND, async || {
        let answer = groupfold_.get("/v1/position").await;
        let applied = answer.json["partitions"].as_array().unwrap().iter();
        let applied: u64 = applied.map(|one| one["applied"].as_u64().unwrap()).sum();
        if applied == 24 * 40 { Ok(()) } else { Err(answer) }
    })
    .await;
    let expected = digest(&groupfold_).await;
    let data = groupfold_.data();
    for round in 0..6_u32 {
        let client = http::client();
        let begun = client.post(groupfold_.api_url("/v1/ops/rebuild")).send().await.unwrap();
        assert_eq!(begun.status(), 202);
        // Some way into the work, another way each round.
        wait_until("it is under way", BOUND, async || {
            let job = http::get(&groupfold_.api_url("/v1/ops/rebuild")).await;
            let through = job.json["partitions"].as_array().unwrap().len();
            let done = through as u32 >= round || job.json["state"] != "running";
            if done { Ok(()) } else { Err(job) }
        })
        .await;
        groupfold_.kill9();
        groupfold_.restart().await;
        assert_eq!(digest(&groupfold_).await, expected, "round {round}");
    }
    let rebuilt = told(&groupfold("rebuild", &data, &[]));
    assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");
    assert_eq!(digest(&groupfold_).await, expected);
    let fine = told(&groupfold("verify", &data, &[]));
    assert_eq!(fine.0, Some(0), "{fine:?}");
    let aside = std::fs::read_dir(data.join("store")).unwrap();
    let aside =
        aside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
    assert_eq!(aside.count(), 0, "no store was lost on the way");
}

/// It failed each time, until somebody removed it by hand.
#[tokio::test]
async fn what_an_earlier_attempt_left_is_begun_anew_where_it_is_damaged() {
    let (nats, mut up, before) = stopped_after_a_story().await;
    let data = up.data();
    let mut dying = Groupfold::command();
    dying.args(["rebuild", "--nats-url", &nats.url(), "--data"]).arg(&data);
    let died = dying.env("GROUPFOLD_CRASH", "portion.done").output().expect("groupfold can be run");
    assert_eq!(died.status.code(), None, "{died:?}");
    let mut damaged = 0;
    for partition in [GROUP, OTHER].map(|group| partition_of(group, 8)) {
        let root = data.join(format!("store/{partition}.rebuild"));
        if !root.is_dir() {
            continue;
        }
        // The other one has no position if it was still being written.
        let settings = Settings { root, partition, cache_bytes: 16 << 20 };
        let Ok(store) = Store::open_as_is(settings) else { continue };
        let progress = store.view().unwrap().progress();
        if progress.sequence > 0 {
            let no_change = [(b"O and no change".to_vec(), b"garbage".to_vec())].into();
            store.commit(&Changes { puts: no_change, ..Changes::default() }, &[], progress).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "one of them had come that far");
    let rebuilt = told(&groupfold("rebuild", &data, &["--nats-url", &nats.url(), "--at-once", "1"]));
    assert_eq!(rebuilt.0, Some(0), "{rebuilt:?}");
    up.restart().await;
    assert_eq!(digest(&up).await, before);
}

/// The database's own checksums cover whole pages, so a flipped byte is named by its partition, not by its key.
#[tokio::test]
async fn one_flipped_byte_of_a_stopped_store_is_named_and_healed_by_the_next_start() {
    let (nats, mut up, before) = stopped_after_a_story().await;
    let partition = partition_of(GROUP, 8);
    let folder = up.data().join(format!("store/{partition}"));
    let kept: Vec<_> =
        std::fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.path().is_file()).collect();
    let kept: Vec<_> =
        kept.iter().map(|entry| (entry.path(), std::fs::read(entry.path()).unwrap())).collect();
    let (file, bytes) =
        kept.iter().find(|(path, _)| path.ends_with("db")).expect("the database's file").clone();
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("something is in the store");
    let places: Vec<usize> = (0..12).map(|n| used * n / 12).filter(|at| bytes[*at] != 0).collect();
    let mut named = 0_usize;
    for at in &places {
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        kept.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        let mut bytes = bytes.clone();
        bytes[*at] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let (code, _, said) = told(&groupfold("verify", &up.data(), &["--nats-url", &nats.url()]));
        let names = said.contains(&format!("partition {partition}")) || said.contains("key(s)");
        assert!(code == Some(0) || (code == Some(3) && names), "at {at}: {code:?}: {said}");
        named += usize::from(code == Some(3));
    }
    // Padding and pages that were written anew since say nothing. How many there are depends on how events came together.
    assert!(named > 0, "of {} places none was named", places.len());
    up.restart().await;
    wait_until("the state is the one before", BOUND, async || {
        let now = digest(&up).await;
        if now == before { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    let (code, _, said) = told(&groupfold("verify", &up.data(), &[]));
    assert_eq!(code, Some(0), "{said}");
}
