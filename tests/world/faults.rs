//! `up` when it ends, when its broker dies, and when it is killed. Parts that die under load: `make chaos`, rows 1 to 3.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use groupfold_tests::numbered::{self, Fate, GROUPS, List};
use groupfold_tests::{
    Groupfold, Load, LoadOptions, NatsServer, Options, Process, Scratch, nats_server_binary, wait_until,
};

use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);

/// The items that members and receipts came by, once everything is folded.
async fn in_the_state(groupfold: &Groupfold) -> BTreeSet<u64> {
    groupfold.caught_up().await;
    let mut items = BTreeSet::new();
    let members = (0..GROUPS).map(|group| List::Members { group });
    let receipts = (0..).map(|message| List::Receipts { message });
    for list in members.chain(receipts) {
        let told = groupfold.get(&list.path()).await;
        // The first message that is not known is the last: a message in between has at least one who got it.
        if told.status == 404 && list.is_of_receipts() {
            break;
        }
        let members = told.json;
        // A group that nobody joined is not known.
        for member in members["members"].as_array().into_iter().flatten() {
            let item = member["wa_id"].as_str().and_then(numbered::item_of);
            assert!(items.insert(item.expect("a numbered person")), "applied twice: {member}");
        }
    }
    items
}

#[tokio::test]
async fn sigterm_drains_and_ends_with_zero() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let options = LoadOptions {
        senders: 8,
        pause: Duration::ZERO,
        ahead: u64::MAX,
        first: 0,
        seed: 1,
        secret: Options::default().app_secret,
    };
    let load = Load::start(groupfold.webhook_url(), options);
    load.until_sent(100).await;
    assert_eq!(groupfold.terminate().await, 0);
    let history = load.end().await;
    assert!(history.violations().is_empty(), "{:?}", history.violations());
    groupfold.restart().await;
    let state = in_the_state(&groupfold).await;
    let fates = history.fates().iter();
    let acknowledged: BTreeSet<u64> = fates
        .filter(|(_, fate)| **fate == Fate::Acknowledged)
        .flat_map(|(number, _)| numbered::items_of(*number))
        .collect();
    assert!(acknowledged.len() > 50 && acknowledged.is_subset(&state), "{acknowledged:?} and {state:?}");
}

#[tokio::test]
async fn two_signals_in_one_breath_are_one_wish_to_stop() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let broker = std::fs::read_to_string(groupfold.data().join("nats/nats.pid")).unwrap();
    let process = groupfold.process();
    // Of two kinds, for two of one kind that wait are one anyway.
    let both = format!("kill -s TERM {0}; kill -s INT {0}", process.pid());
    assert!(std::process::Command::new("sh").args(["-c", &both]).status().unwrap().success());
    let status = process.wait(BOUND).await;
    assert_eq!(status.code(), Some(0), "{}", process.log_tail());
    let left = std::process::Command::new("kill").args(["-s", "0", broker.trim()]).output().unwrap();
    assert!(!left.status.success(), "its broker was left behind");
}

#[tokio::test]
async fn up_starts_its_broker_again_and_ends_the_one_that_a_killed_up_left() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    groupfold.post(&numbered::webhook(1)).await;
    let pid_file = groupfold.data().join("nats/nats.pid");
    let first = std::fs::read_to_string(&pid_file).unwrap();
    let status = std::process::Command::new("kill").args(["-s", "KILL", first.trim()]).status().unwrap();
    assert!(status.success());
    wait_until("a webhook is taken by the new broker", BOUND, async || {
        let answer = groupfold.post(&numbered::webhook(2)).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    let second = std::fs::read_to_string(&pid_file).unwrap();
    assert_ne!(first, second);
    groupfold.kill9();
    // Somebody who merely reads the broker's config is no broker.
    let mut reader = std::process::Command::new("tail");
    reader.arg("-f").arg(groupfold.data().join("nats/nats.conf"));
    let mut reader = Process::spawn("tail", reader, &groupfold.data().join("tail.log"));
    groupfold.restart().await;
    assert!(reader.exited().is_none(), "a stranger was ended");
    // One that has ended and is not yet reaped has no command line any more.
    let command_line = std::fs::read(format!("/proc/{}/cmdline", second.trim())).unwrap_or_default();
    assert!(command_line.is_empty(), "the orphan still runs: {}", String::from_utf8_lossy(&command_line));
    let told = numbered::items_of(1).chain(numbered::items_of(2)).collect();
    assert_eq!(in_the_state(&groupfold).await, told);
}

#[tokio::test]
async fn a_second_up_on_the_same_data_folder_is_refused_in_one_line() {
    let groupfold = Groupfold::up(Options::default()).await;
    let mut command = Groupfold::command();
    command
        .args(["up", "--meta-app-secret", "s", "--meta-verify-token", "t", "--data"])
        .arg(groupfold.data());
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.trim().lines().count()), (Some(1), 1), "{line}");
    assert!(line.contains("in use by another groupfold"), "{line}");
}

/// Nothing follows: whoever waits for the next event to set it right waits for ever.
#[tokio::test]
async fn a_commit_whose_last_sync_fails_counts_once_the_store_is_open_again() {
    let nats = NatsServer::start().await;
    let env = vec![("GROUPFOLD_CRASH".to_owned(), "commit.bad_sync".to_owned())];
    let mut groupfold = Groupfold::up(Options { env, ..Options::on(&nats) }).await;
    let joins = [joined("G1", "15551", 1_767_225_600)];
    assert_eq!(groupfold.post(&participants(&joins)).await.status, 200);
    wait_until("the store is opened anew", BOUND, async || {
        let log = groupfold.process().log();
        if log.contains("the store takes no writes") { Ok(()) } else { Err(log) }
    })
    .await;
    wait_until("it is ready, with the event", BOUND, async || {
        let ready = groupfold.get("/readyz").await;
        let members = groupfold.get("/v1/groups/G1/members").await;
        let has_it = members.json["members"][0]["wa_id"] == "15551";
        if ready.status == 200 && has_it { Ok(()) } else { Err(format!("{ready} {members}")) }
    })
    .await;
    assert!(!crate::feed::settled(&groupfold, &nats).await.is_empty(), "what it changed is published");
}

/// The store was taken for damaged: set aside, folded anew to the same event three times, and an empty one served.
#[tokio::test]
async fn a_fold_that_panics_stops_its_partition_and_what_was_folded_before_is_served() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    assert_eq!(groupfold.post(&participants(&[joined("G1", "15551", 1_767_225_600)])).await.status, 200);
    groupfold.caught_up().await;
    groupfold.options().env = vec![("GROUPFOLD_CRASH".to_owned(), "fold.panic".to_owned())];
    groupfold.restart().await;
    assert_eq!(groupfold.post(&participants(&[joined("G1", "15552", 1_767_225_601)])).await.status, 200);
    wait_until("it has stopped", BOUND, async || {
        let ready = groupfold.get("/readyz").await;
        let stop = "stopped: panicked: a fault of groupfold at sequence ";
        if ready.to_string().contains(stop) { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    // As who asks for no position: the second is not there.
    let asked = groupfold_tests::http::client().get(groupfold.api_url("/v1/groups/G1/members"));
    let members = groupfold_tests::http::read(asked.send().await.unwrap()).await.unwrap().json;
    assert_eq!(members["members"][0]["wa_id"], "15551", "{members}");
    let kept = std::fs::read_dir(groupfold.data().join("store")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(kept.iter().all(|name| !name.contains("damaged")), "{kept:?}");
    // Mended, it goes on.
    groupfold.options().env.clear();
    groupfold.restart().await;
    groupfold.caught_up().await;
    let members = groupfold.get("/v1/groups/G1/members").await.json;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2), "{members}");
}

/// It held up all of its batch, and named no message.
#[tokio::test]
async fn a_message_whose_fold_panics_is_named_and_all_before_it_is_folded() {
    let nats = NatsServer::start().await;
    let args = ["--partitions", "1"].map(str::to_owned);
    let mut options = Options::on(&nats);
    options.args.extend(args);
    let mut groupfold = Groupfold::up(options).await;
    for (second, group) in (1_767_225_600..).zip(["G1", "G1", "BAD", "G1"]) {
        let joins = [joined(group, &format!("1555{second}"), second)];
        assert_eq!(groupfold.post(&participants(&joins)).await.status, 200);
    }
    assert_eq!(groupfold.terminate().await, 0);
    // Folded anew, they are one batch.
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.options().env = vec![("GROUPFOLD_CRASH".to_owned(), "fold.panic:BAD".to_owned())];
    groupfold.start_anyhow().await;
    let told =
        "partition 0: stopped: panicked: a fault of groupfold at sequence 3: the fold was told to panic";
    wait_until("it has stopped, and says where", BOUND, async || {
        let ready = groupfold.get("/readyz").await.to_string();
        if ready.contains(told) { Ok(()) } else { Err(ready) }
    })
    .await;
    // As who asks for no position: the last ones are not there.
    let read = async |path: &str| {
        let asked = groupfold_tests::http::client().get(groupfold.api_url(path));
        groupfold_tests::http::read(asked.send().await.unwrap()).await.unwrap().json
    };
    let (position, members) = (read("/v1/position").await, read("/v1/groups/G1/members").await);
    assert_eq!(position["partitions"][0]["applied"], 2, "{position}");
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2), "{members}");
    let log = groupfold.process().log();
    let line = log.lines().find(|line| line.contains("partition stopped")).expect("a line of the log");
    assert!(line.contains("sequence 3") && line.contains("partition=0"), "{line}");
    groupfold.options().env.clear();
    groupfold.restart().await;
    groupfold.caught_up().await;
    let members = groupfold.get("/v1/groups/G1/members").await.json;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(3), "{members}");
}

/// A full disk took the file, and not its bytes: `up` waited for them for ever.
#[tokio::test]
async fn a_broker_that_could_not_write_where_it_listens_is_ended_and_started_again() {
    let scratch = Scratch::new("mute");
    let (program, data) = (scratch.path().join("nats-server"), scratch.path().join("data"));
    let real = nats_server_binary();
    let script = format!(
        "#!/bin/sh\nif [ ! -e '{program}.began' ]; then\n  : > '{program}.began'\n  : > '{data}/nats/ports/nats-server_1.ports'\n  \
         exec sleep 120\nfi\nexec '{real}' \"$@\"\n",
        program = program.display(),
        data = data.display(),
        real = real.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Groupfold::command();
    command.args(["up", "--webhook-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"]);
    command.args(["--meta-app-secret", "s", "--meta-verify-token", "t", "--nats-server"]).arg(&program);
    command.arg("--data").arg(&data);
    let mut process = Process::spawn("groupfold", command, &scratch.path().join("log"));
    wait_until("it is up", BOUND, async || {
        let log = process.log();
        if log.contains("groupfold is up") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(process.log().contains("is the disk full?"), "{}", process.log());
    assert_eq!(process.terminate(BOUND).await.code(), Some(0));
}
