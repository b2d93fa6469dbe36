//! The harness itself: a real nats-server that can be killed and started again, a groupfold that can be too,
//! and the configurations that are shipped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use groupfold_schemas::log;
use groupfold_tests::{
    Groupfold, Nats, NatsOptions, NatsServer, Options, Process, Scratch, ends, http, nats_server_binary,
    post, wait_until, workspace,
};
use reqwest::multipart;

use crate::commands::verbs::picture;
use crate::hook::{created, joined, lifecycle, participants};

const SOON: Duration = Duration::from_secs(60);

async fn a_stream(server: &NatsServer) -> jetstream::Context {
    let context = jetstream::new(server.client().await);
    let config =
        stream::Config { name: "S".to_owned(), subjects: vec!["s".to_owned()], ..Default::default() };
    context.create_stream(config).await.unwrap();
    context
}

async fn last_sequence(server: &NatsServer) -> u64 {
    let context = jetstream::new(server.client().await);
    context.get_stream("S").await.unwrap().get_info().await.unwrap().state.last_sequence
}

#[tokio::test]
async fn an_acknowledged_message_survives_kill_9_and_a_restart_on_the_same_port() {
    let mut server = NatsServer::start().await;
    let (url, monitor) = (server.url(), server.monitor_url());
    let context = a_stream(&server).await;
    let ack = context.publish("s", "hello".into()).await.unwrap().await.unwrap();
    assert_eq!(ack.sequence, 1);

    server.kill9();
    server.restart().await;

    assert_eq!((server.url(), server.monitor_url()), (url, monitor));
    assert_eq!(last_sequence(&server).await, 1);
    // The client from before the kill finds its way back by itself.
    let sequence = wait_until("the old client publishes", SOON, async || {
        let ack = context.publish("s", "again".into()).await.map_err(|error| error.to_string())?;
        ack.await.map(|ack| ack.sequence).map_err(|error| error.to_string())
    })
    .await;
    assert!(sequence >= 2);
}

#[tokio::test]
async fn a_server_is_asked_to_end_and_comes_back_with_its_streams() {
    let mut server = NatsServer::start().await;
    let context = a_stream(&server).await;
    context.publish("s", "hello".into()).await.unwrap().await.unwrap();
    server.stop().await;
    assert!(http::try_get(&server.monitor_url()).await.is_err(), "somebody still listens");
    server.restart().await;
    assert_eq!(last_sequence(&server).await, 1);
}

#[tokio::test]
async fn the_sync_setting_is_told_on_the_monitoring_port() {
    for sync_always in [true, false] {
        let server = NatsServer::start_with(NatsOptions { sync_always, ..Default::default() }).await;
        let answer = http::get(&format!("{}/jsz?config=1", server.monitor_url())).await;
        // Absent is false.
        let told = answer.json["config"]["sync_always"].as_bool().unwrap_or(false);
        assert_eq!(told, sync_always, "{answer}");
    }
}

#[tokio::test]
async fn two_servers_share_nothing() {
    let (one, other) = (NatsServer::start().await, NatsServer::start().await);
    assert_ne!(one.url(), other.url());
    a_stream(&one).await;
    let context = jetstream::new(other.client().await);
    assert!(context.get_stream("S").await.is_err());
}

const WEBHOOK: &[u8] = br#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{
    "field":"group_status_update","value":{"messaging_product":"whatsapp",
    "metadata":{"display_phone_number":"15550783881","phone_number_id":"2"},
    "groups":[{"timestamp":"1767225600","group_id":"G","type":"group_suspend"}]}}]}]}"#;

#[tokio::test]
async fn an_up_takes_webhooks_is_killed_comes_back_and_ends_with_0() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let answer = groupfold.post(WEBHOOK).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.json["appended"], 1, "{answer}");
    let position = answer.position().unwrap().to_owned();
    let wrong = post(&groupfold.webhook_url(), "not the secret", WEBHOOK).await.unwrap();
    assert_eq!(wrong.status, 401, "{wrong}");

    groupfold.kill9();
    groupfold.restart().await;
    let answer = groupfold.get(&format!("/v1/groups?min_position={position}&wait_ms=30000")).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(groupfold.terminate().await, 0);
}

#[tokio::test]
async fn a_receiver_and_a_projector_of_their_own_meet_in_a_log_elsewhere() {
    let server = NatsServer::start().await;
    let provisioned = Groupfold::command().args(["provision", "--nats-url", &server.url()]).output().unwrap();
    ends(&provisioned, 0);

    let mut ingest = Groupfold::ingest(Options::on(&server)).await;
    let mut project = Groupfold::project(Options::on(&server)).await;
    let answer = ingest.post(WEBHOOK).await;
    assert_eq!((answer.status, &answer.json["durability"]), (200, &"fsync".into()), "{answer}");
    let position = answer.position().unwrap();
    let answer = project.get(&format!("/v1/groups?min_position={position}&wait_ms=30000")).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!((ingest.terminate().await, project.terminate().await), (0, 0));
}

/// A shipped configuration with other ports and another store, everything else as it is.
fn shipped(name: &str, scratch: &Scratch, ports: &[(&str, String)]) -> Process {
    let file = workspace().join("deploy/nats").join(name);
    let mut text = std::fs::read_to_string(&file).unwrap();
    let store = scratch.path().join("store");
    let store = ("/var/lib/nats", store.display().to_string());
    for (from, to) in std::iter::once(&store).chain(ports) {
        assert!(text.contains(from), "{name} does not mention {from}");
        text = text.replace(from, to);
    }
    let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
    text.push_str(&format!("\nports_file_dir: \"{}\"\n", scratch.path().display()));
    let config = scratch.path().join(format!("{stem}.conf"));
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(nats_server_binary());
    command.arg("--config").arg(config);
    Process::spawn("nats-server", command, &scratch.path().join(format!("{stem}.log")))
}

async fn jsz(scratch: &Scratch, process: &mut Process) -> Result<serde_json::Value, String> {
    if let Some(status) = process.exited() {
        panic!("nats-server ended: {status}:\n{}", process.log_tail());
    }
    let ports = ports(scratch, process)?;
    let url = ports["monitoring"][0].as_str().ok_or("no monitoring port")?;
    let answer = http::try_get(&format!("{url}/jsz?config=1")).await.map_err(|error| error.to_string())?;
    Ok(answer.json)
}

/// Where a server listens, as it says itself.
fn ports(scratch: &Scratch, process: &Process) -> Result<serde_json::Value, String> {
    let ports = scratch.path().join(format!("nats-server_{}.ports", process.pid()));
    let ports = std::fs::read(ports).map_err(|error| error.to_string())?;
    serde_json::from_slice(&ports).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_shipped_single_node_syncs_before_it_acknowledges() {
    let scratch = Scratch::new("single");
    let ports =
        [("127.0.0.1:4222", "127.0.0.1:-1".to_owned()), ("127.0.0.1:8222", "127.0.0.1:-1".to_owned())];
    let mut process = shipped("single.conf", &scratch, &ports);
    let told = wait_until("it tells its configuration", SOON, async || {
        let told = jsz(&scratch, &mut process).await?;
        if told["config"].is_object() { Ok(told) } else { Err(told.to_string()) }
    })
    .await;
    assert_eq!(told["config"]["sync_always"], true, "{told}");
}

/// Routes must be known beforehand: ports that were free a moment ago, which somebody else may have by now.
fn route_addresses() -> [String; 3] {
    let held = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().to_string())
}

/// Three copies of the log, and of what processes agree on beside it: who sends a command, what a key means.
#[tokio::test]
async fn the_shipped_cluster_elects_a_leader_and_keeps_three_copies_of_everything() {
    let begun = Instant::now();
    let (scratch, nodes) = loop {
        match cluster().await {
            Ok(cluster) => break cluster,
            Err(taken) => assert!(begun.elapsed() < 4 * SOON, "{taken}"),
        }
    };
    let url = ports(&scratch, &nodes[0]).unwrap()["nats"][0].as_str().unwrap().to_owned();
    // Each is tried again: a leader is known before it knows all its peers, and three nodes may elect others at any time on a
    // machine with much to do.
    let runs = async |args: &[&str], code: i32| {
        wait_until("the cluster serves a command", SOON, async || {
            let output = Groupfold::command().args(args).args(["--nats-url", &url]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() == Some(code) { Ok(said) } else { Err(format!("{args:?}: {said}")) }
        })
        .await
    };
    runs(&["provision", "--replicas", "3"], 0).await;
    let provider =
        ["--meta-access-token", "t", "--meta-graph-url", "http://127.0.0.1:1/v25.0", "--replicas", "3"];
    let options = Options { nats: Nats::Url(url.clone()), ..Options::default() };
    let args = options.args.iter().cloned().chain(provider.map(str::to_owned)).collect();
    let groupfold = Groupfold::up(Options { args, ..options }).await;
    let answer = wait_until("a webhook is acknowledged", SOON, async || {
        let answer = groupfold.post(&lifecycle(&[created("G", "Tea", 1_767_225_600)])).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!(answer.json["durability"], "replicated", "{answer}");
    let position = answer.position().unwrap();
    let known = groupfold.get(&format!("/v1/groups/G?min_position={position}&wait_ms=30000")).await;
    assert_eq!(known.status, 200, "{known}");
    wait_until("a picture is taken", SOON, async || {
        let form =
            multipart::Form::new().part("picture", multipart::Part::bytes(picture()).file_name("x.jpg"));
        let asked = http::client()
            .patch(groupfold.api_url("/v1/groups/G"))
            .header("idempotency-key", "k")
            .multipart(form);
        let asked = http::read(asked.send().await.unwrap()).await.unwrap();
        if asked.status == 202 { Ok(()) } else { Err(asked) }
    })
    .await;
    runs(&["failed", "replay", "--since", "beginning", "--execute"], 0).await;

    let context = jetstream::new(async_nats::connect(&url).await.unwrap());
    let copies = wait_until("the streams are told", SOON, async || {
        let mut copies = BTreeMap::new();
        let mut streams = context.streams();
        while let Some(stream) = streams.next().await {
            let config = stream.map_err(|error| error.to_string())?.config;
            copies.insert(config.name, config.num_replicas);
        }
        Ok::<_, String>(copies)
    })
    .await;
    for bucket in
        ["KV_groupfold_receivers", "KV_groupfold_commands", "OBJ_groupfold_uploads", "KV_groupfold_leases"]
    {
        assert!(copies.contains_key(bucket), "{bucket}: {copies:?}");
    }
    assert!(copies.values().all(|copies| *copies == 3), "{copies:?}");

    // As it was made while the log had one copy.
    wait_until("the stream keeps one copy", SOON, async || {
        let leases = context.get_stream("KV_groupfold_leases").await.map_err(|error| error.to_string())?;
        let leases = stream::Config { num_replicas: 1, ..leases.cached_info().config.clone() };
        context.update_stream(leases).await.map_err(|error| error.to_string())
    })
    .await;
    let said = runs(&["provision", "--check", "--replicas", "3"], 3).await;
    assert!(said.contains("KV_groupfold_leases: num_replicas is 1, 3 is wanted"), "{said}");
}

/// Fails if a port of a route is somebody else's by now.
async fn cluster() -> Result<(Scratch, Vec<Process>), String> {
    let scratch = Scratch::new("cluster");
    let routes = route_addresses();
    let mut nodes: Vec<Process> = Vec::new();
    for (i, node) in ["a", "b", "c"].into_iter().enumerate() {
        let mut ports = vec![
            (["127.0.0.1:4222", "127.0.0.1:4223", "127.0.0.1:4224"][i], "127.0.0.1:-1".to_owned()),
            (["127.0.0.1:8222", "127.0.0.1:8223", "127.0.0.1:8224"][i], "127.0.0.1:-1".to_owned()),
        ];
        ports.extend(["127.0.0.1:6222", "127.0.0.1:6223", "127.0.0.1:6224"].into_iter().zip(routes.clone()));
        nodes.push(shipped(&format!("cluster/{node}.conf"), &scratch, &ports));
    }
    let mut leaders = Vec::new();
    for node in &mut nodes {
        let leader = wait_until("the node knows a leader", SOON, async || {
            let log = node.log();
            if let Some(taken) = log.lines().find(|line| line.contains("address already in use")) {
                return Ok(Err(taken.to_owned()));
            }
            let told = jsz(&scratch, node).await?;
            let cluster = &told["meta_cluster"];
            match cluster["leader"].as_str() {
                Some(leader) if cluster["cluster_size"] == 3 => Ok(Ok(leader.to_owned())),
                _ => Err(told.to_string()),
            }
        })
        .await?;
        leaders.push(leader);
    }
    assert!(leaders[0].starts_with("groupfold-") && leaders.iter().all(|l| *l == leaders[0]), "{leaders:?}");
    Ok((scratch, nodes))
}

/// It once filed events under the partitions that it knew, where no reader of the new log looks for them, and was ready.
#[tokio::test]
async fn a_log_that_is_made_anew_with_other_partitions_takes_nothing_of_a_receiver_that_knew_the_old_one() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let webhook = |n: i64| participants(&[joined("G", &format!("55{n}"), 1_767_225_600 + n)]);
    assert_eq!(groupfold.post(&webhook(0)).await.status, 200);
    let context = jetstream::new(nats.client().await);
    let beside = [log::FAILED_STREAM, log::RESOLVED_STREAM, log::CHANGES_STREAM, log::CHANGE_MARKS_STREAM];
    for name in (0..8).map(log::stream).chain(beside.map(str::to_owned)) {
        context.delete_stream(name).await.unwrap();
    }
    let ready = async |reason: &str| {
        wait_until(reason, SOON, async || {
            let ready = groupfold.get("/readyz").await.to_string();
            if ready.contains(reason) { Ok(()) } else { Err(ready) }
        })
        .await;
    };
    assert_eq!(groupfold.post(&webhook(1)).await.status, 503);
    ready("is missing").await;
    let url = nats.url();
    let args = ["provision", "--partitions", "16", "--nats-url", url.as_str()];
    let output = Groupfold::command().args(args).output().unwrap();
    ends(&output, 0);
    ready("it was made anew with 16 partitions, not 8").await;
    let refused = groupfold.post(&webhook(2)).await;
    refused.says(503, "log_made_anew");
}
