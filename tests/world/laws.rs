//! The laws of the pipeline, each by its number, on real parts: `groupfold up`, its nats-server, its store.
//! (Laws 7 to 9 are also properties of the fold alone, see `fold_laws`.)

use std::time::Duration;

use groupfold_tests::{
    Answer, Groupfold, NatsOptions, NatsServer, Options, Scratch, http, post_signed, sign, wait_until,
};
use serde_json::{Value, json};

use crate::hook::{self, body, created, joined, left, participants, renamed, status, statuses};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;

/// A group as the API tells it once it reflects a position.
pub(crate) async fn read_at(groupfold: &Groupfold, path: &str, position: &str) -> Answer {
    let mark = if path.contains('?') { '&' } else { '?' };
    groupfold.get(&format!("{path}{mark}min_position={position}&wait_ms=20000")).await
}

async fn posted(groupfold: &Groupfold, body: &[u8]) -> String {
    let answer = groupfold.post(body).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json["position"].as_str().unwrap().to_owned()
}

async fn digest(groupfold: &Groupfold) -> Value {
    groupfold.caught_up().await.json["digest"].clone()
}

#[tokio::test]
async fn law_1_an_acknowledged_webhook_is_in_the_log_and_the_answer_names_its_durability() {
    for (sync_always, durability) in [(true, "fsync"), (false, "page-cache")] {
        let nats = NatsServer::start_with(NatsOptions { sync_always, ..NatsOptions::default() }).await;
        let groupfold = Groupfold::up(Options::on(&nats)).await;
        let answer = groupfold.post(&participants(&[joined("G1", "15550001111", T)])).await;
        assert_eq!(answer.json["durability"], durability, "{answer}");
        let (partition, sequence) = answer.json["position"].as_str().unwrap().split_once(':').unwrap();
        let jetstream = async_nats::jetstream::new(nats.client().await);
        let stream = jetstream.get_stream(format!("GROUPFOLD_EVENTS_{partition}")).await.unwrap();
        let message = stream.get_raw_message(sequence.parse().unwrap()).await.unwrap();
        assert!(message.subject.ends_with(".participants_joined.G1"), "{}", message.subject);
        assert_eq!(answer.position(), answer.json["position"].as_str());
    }
}

#[tokio::test]
async fn law_1_a_broker_whose_setting_cannot_be_read_is_unverified() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options { nats: (&nats).into(), ..Options::default() }).await;
    let answer = groupfold.post(&participants(&[joined("G1", "15550001111", T)])).await;
    assert_eq!(answer.json["durability"], "unverified");
}

#[tokio::test]
async fn law_2_nothing_unsigned_reaches_the_log() {
    let groupfold = Groupfold::up(Options::default()).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let url = groupfold.webhook_url();
    let escaped = String::from_utf8(body.clone()).unwrap().replace('_', "\\u005f");
    let signature = sign("app-secret-of-a-test", &body);
    for (signature, body) in [
        (sign("another secret", &body), body.clone()),
        (sign("", &body), body.clone()),
        (signature.replace("sha256=", "sha1="), body.clone()),
        (signature.to_uppercase(), body.clone()),
        (signature[..signature.len() - 1].to_owned(), body.clone()),
        (String::new(), body.clone()),
        // The same JSON in other bytes is not what was signed.
        (signature, escaped.into_bytes()),
    ] {
        assert_eq!(post_signed(&url, &signature, &body).await.unwrap().status, 401, "{signature}");
    }
    let position = groupfold.caught_up().await.json;
    let ends = position["partitions"].as_array().unwrap().iter().map(|one| one["log_end"].as_u64().unwrap());
    assert_eq!(ends.sum::<u64>(), 0, "{position}");
    assert_eq!(groupfold.get("/v1/groups/G1").await.status, 404);
}

#[tokio::test]
async fn law_3_every_item_has_one_fate_and_the_counts_add_up() {
    let groupfold = Groupfold::up(Options::default()).await;
    let one_to_one =
        json!({ "from": "15550001111", "id": "wamid.1", "timestamp": T.to_string(), "type": "text" });
    let mixed = json!({ "object": "whatsapp_business_account", "entry": [{ "id": hook::ACCOUNT, "changes": [
        { "field": "group_participants_update", "value": { "metadata": { "phone_number_id": hook::NUMBER },
          "groups": [joined("G1", "15550001111", T), joined("G2", "15550002222", T), { "type": "nonsense" }] } },
        { "field": "messages", "value": { "metadata": { "phone_number_id": hook::NUMBER }, "messages": [one_to_one] } },
        { "field": "account_alerts", "value": {} },
    ]}]});
    let body = mixed.to_string().into_bytes();
    let first = groupfold.post(&body).await.json;
    assert_eq!(
        [&first["appended"], &first["duplicate"], &first["failed"], &first["ignored"]],
        [2, 0, 1, 2],
        "{first}"
    );
    let again = groupfold.post(&body).await.json;
    assert_eq!(
        [&again["appended"], &again["duplicate"], &again["failed"], &again["ignored"]],
        [0, 2, 1, 2],
        "{again}"
    );
    assert_eq!(again["position"], first["position"], "a duplicate stands where it stood");
    let metrics = groupfold.get("/metrics").await.text;
    for fate in ["appended", "duplicate", "failed", "ignored"] {
        let told = [&first, &again].map(|answer| answer[fate].as_u64().unwrap()).iter().sum::<u64>();
        let named = format!("groupfold_ingest_items_total{{fate=\"{fate}\"");
        let counts = metrics.lines().filter(|line| line.starts_with(&named));
        let counted: u64 = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(told, counted, "{fate}: {metrics}");
    }
}

#[tokio::test]
async fn law_4_a_bad_item_goes_alone_to_the_failed_stream_with_its_cause_and_field() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let mut bad = joined("G1", "15550003333", T);
    bad["timestamp"] = json!("yesterday");
    // The same in other bytes: as JSON that was read and written again it would look as it did.
    let raw = serde_json::to_string_pretty(&bad).unwrap().replace("yesterday", "yester\\u0064ay");
    let body =
        participants(&[joined("G1", "15550001111", T), bad.clone(), joined("G1", "15550002222", T + 1)]);
    let body = String::from_utf8(body).unwrap().replacen(&bad.to_string(), &raw, 1);
    assert!(body.contains(&raw), "{body}");
    let position = posted(&groupfold, body.as_bytes()).await;
    let group = read_at(&groupfold, "/v1/groups/G1", &position).await.json;
    assert_eq!(group["counts"]["member"], 2, "{group}");

    assert_eq!(groupfold.post(b"not { json").await.json["failed"], 1);
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let stream = jetstream.get_stream("GROUPFOLD_FAILED").await.unwrap();
    let item = stream.get_last_raw_message_by_subject("groupfold.failed.meta.malformed_field").await.unwrap();
    let item: groupfold_schemas::v1::FailedWebhook = groupfold_schemas::frame::decode(&item.payload).unwrap();
    assert_eq!(item.pointer, "/entry/0/changes/0/value/groups/1/timestamp");
    assert!(!item.expected.is_empty() && !item.fingerprint.is_empty() && !item.build.is_empty());
    assert_eq!(std::str::from_utf8(&item.raw).unwrap(), raw, "its raw JSON, byte for byte");
    let whole = stream.get_last_raw_message_by_subject("groupfold.failed.meta.not_json").await.unwrap();
    let whole: groupfold_schemas::v1::FailedWebhook =
        groupfold_schemas::frame::decode(&whole.payload).unwrap();
    assert_eq!(&whole.raw[..], b"not { json");
}

#[tokio::test]
async fn law_5_and_9_a_store_that_is_lost_or_damaged_comes_back_equal_from_the_log() {
    let mut groupfold = Groupfold::up(Options::default()).await;
    let mut groups = Vec::new();
    for i in 0..20 {
        groups.push(created(&format!("G{i}"), "Plants", T + i));
        groups.push(json!({ "timestamp": (T + i + 1).to_string(), "group_id": format!("G{i}"), "type": "group_delete", "request_id": "r" }));
    }
    posted(&groupfold, &hook::lifecycle(&groups)).await;
    let before = digest(&groupfold).await;
    assert_eq!(groupfold.terminate().await, 0);
    let store = groupfold.data().join("store");
    let damaged = store.join("0/db");
    let mut bytes = std::fs::read(&damaged).unwrap();
    let middle = bytes.len().min(4096) / 2;
    bytes[middle..middle + 64].fill(0xa5);
    std::fs::write(&damaged, bytes).unwrap();
    std::fs::remove_dir_all(store.join("1")).unwrap();
    groupfold.restart().await;
    assert_eq!(digest(&groupfold).await, before);
    // Damage was noticed: what it was found in stands beside its successor.
    let names = std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name());
    let aside: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".damaged-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].to_string_lossy().starts_with("0."), "{aside:?}");
}

#[tokio::test]
async fn law_6_duplicates_change_nothing_at_any_distance() {
    let nats = NatsServer::start().await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    let first = participants(&[joined("G1", "15550001111", T), joined("G1", "15550002222", T)]);
    posted(&groupfold, &first).await;
    posted(&groupfold, &participants(&[left("G1", "15550001111", T + 5)])).await;
    let before = digest(&groupfold).await;
    // Beyond the broker's window: the log takes them in again, the state does not.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut streams = Vec::new();
    for partition in 0..8 {
        let mut stream = jetstream.get_stream(format!("GROUPFOLD_EVENTS_{partition}")).await.unwrap();
        let mut config = stream.info().await.unwrap().config.clone();
        config.duplicate_window = Duration::from_millis(100);
        streams.push(jetstream.update_stream(config).await.unwrap());
    }
    // One by one: of two at once the broker may for ever remember one while it forgets the other.
    for wa_id in ["15550001111", "15550002222"] {
        let again = participants(&[joined("G1", wa_id, T)]);
        wait_until("the broker has forgotten the first", BOUND, async || {
            let answer = groupfold.post(&again).await;
            if answer.json["appended"] == 1 { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    assert_eq!(digest(&groupfold).await, before);
    assert_eq!(groupfold.get("/v1/groups/G1").await.json["counts"]["member"], 1);
    assert_eq!(groupfold.get("/v1/groups/G1/timeline").await.json["entries"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn law_7_and_8_the_order_of_arrival_does_not_show() {
    let mut items = vec![
        hook::lifecycle(&[created("G1", "First", T)]),
        hook::settings(&[renamed("G1", "Second", T + 10)]),
        hook::settings(&[renamed("G1", "Third", T + 20)]),
        participants(&[joined("G1", "15550001111", T + 1)]),
        participants(&[left("G1", "15550001111", T + 30)]),
        hook::messages(&[hook::number_changed("wamid.n", "15550002222", "15550009999", T + 40)]),
        participants(&[joined("G1", "15550002222", T + 2)]),
        statuses(&[status("G1", "wamid.A", "read", Some("15550002222"), T + 25)]),
        statuses(&[status("G1", "wamid.A", "sent", None, T + 22)]),
    ];
    let mut seen: Option<(Value, Vec<Value>)> = None;
    for _ in 0..2 {
        let groupfold = Groupfold::up(Options::default()).await;
        for body in &items {
            posted(&groupfold, body).await;
        }
        let digest = digest(&groupfold).await;
        let mut answers = Vec::new();
        for path in
            ["/v1/groups/G1/members", "/v1/groups/G1/timeline?lang=es", "/v1/messages/wamid.A/receipts"]
        {
            let mut answer = groupfold.get(path).await.json;
            answer.as_object_mut().unwrap().remove("position");
            answers.push(answer);
        }
        assert_eq!(answers[0]["members"].as_array().unwrap().len(), 2);
        assert_eq!(answers[2]["members"][0]["wa_id"], "15550009999", "{}", answers[2]);
        if let Some(before) = &seen {
            assert_eq!(before, &(digest.clone(), answers.clone()));
        }
        seen = Some((digest, answers));
        items.reverse();
    }
}

#[tokio::test]
async fn law_10_an_answer_says_its_position_and_a_reader_may_wait_for_one() {
    let groupfold = Groupfold::up(Options::default()).await;
    let position = posted(&groupfold, &participants(&[joined("G1", "15550001111", T)])).await;
    let answer = read_at(&groupfold, "/v1/groups/G1", &position).await;
    assert_eq!(answer.json["position"], position);
    assert_eq!(answer.position(), Some(position.as_str()));
    let (partition, sequence) = position.split_once(':').unwrap();
    let later = format!("{partition}:{}", sequence.parse::<u64>().unwrap() + 1);
    let refused = groupfold.get(&format!("/v1/groups/G1?min_position={later}&wait_ms=50")).await;
    refused.says(412, "position_not_reached");
    // A partition that the answer does not touch is not waited for.
    let other = (partition.parse::<u16>().unwrap() + 1) % 8;
    assert_eq!(groupfold.get(&format!("/v1/groups/G1?min_position={other}:99999")).await.status, 200);
}

#[tokio::test]
async fn law_11_a_stream_made_anew_stops_its_partition_and_says_why() {
    for at_the_beginning in [true, false] {
        let nats = NatsServer::start().await;
        let mut groupfold = Groupfold::up(Options::on(&nats)).await;
        let position = posted(
            &groupfold,
            &participants(&[joined("G1", "15550001111", T), left("G1", "15550001111", T + 1)]),
        )
        .await;
        read_at(&groupfold, "/v1/groups/G1", &position).await;
        let partition = position.split(':').next().unwrap().to_owned();
        assert_eq!(groupfold.terminate().await, 0);
        let jetstream = async_nats::jetstream::new(nats.client().await);
        let name = format!("GROUPFOLD_EVENTS_{partition}");
        let mut config = jetstream.get_stream(&name).await.unwrap().info().await.unwrap().config.clone();
        jetstream.delete_stream(&name).await.unwrap();
        if !at_the_beginning {
            config.first_sequence = Some(100);
        }
        jetstream.create_stream(config).await.unwrap();
        one_stops_and_says_why(&groupfold, &nats, "stream_recreated").await;
    }
}

/// Starts it anew: one partition stops with this reason, which readiness tells, and the others go on.
async fn one_stops_and_says_why(groupfold: &Groupfold, nats: &NatsServer, why: &str) {
    let mut process = start_without_readiness(groupfold, nats);
    let api = wait_for_api(&groupfold.data(), process.pid()).await;
    wait_until("readiness says why", BOUND, async || {
        let answer = http::get(&format!("http://{api}/readyz")).await;
        if answer.status == 503 && answer.text.contains(why) { Ok(()) } else { Err(answer) }
    })
    .await;
    wait_until("the others go on", BOUND, async || {
        let answer = http::get(&format!("http://{api}/v1/position")).await;
        let all = answer.json["partitions"].as_array().cloned().unwrap_or_default();
        let count = |state: &str| all.iter().filter(|one| one["state"] == state).count();
        if (count("stopped"), count("running")) == (1, 7) { Ok(()) } else { Err(answer) }
    })
    .await;
    process.terminate(BOUND).await;
}

#[tokio::test]
async fn law_11_a_stream_that_is_shorter_than_it_was_stops_its_partition_and_says_why() {
    let folder = Scratch::new("log");
    let [live, older] = ["live", "older"].map(|name| folder.path().join(name));
    let options = NatsOptions { store_dir: Some(live.clone()), ..NatsOptions::default() };
    let mut nats = NatsServer::start_with(options).await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    posted(&groupfold, &participants(&[joined("G1", "15550001111", T)])).await;
    groupfold.caught_up().await;
    assert_eq!(groupfold.terminate().await, 0);
    nats.stop().await;
    copy(&live, &older);
    nats.restart().await;
    groupfold.restart().await;
    let position = posted(&groupfold, &participants(&[left("G1", "15550001111", T + 1)])).await;
    read_at(&groupfold, "/v1/groups/G1", &position).await;
    assert_eq!(groupfold.terminate().await, 0);
    nats.stop().await;
    std::fs::remove_dir_all(&live).unwrap();
    copy(&older, &live);
    nats.restart().await;
    one_stops_and_says_why(&groupfold, &nats, "stream_shortened").await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", from.display());
}

fn start_without_readiness(groupfold: &Groupfold, nats: &NatsServer) -> groupfold_tests::Process {
    let mut command = Groupfold::command();
    command.args(["up", "--webhook-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"]);
    command.args(["--meta-app-secret", "s", "--meta-verify-token", "t", "--nats-url", &nats.url(), "--data"]);
    command.arg(groupfold.data());
    groupfold_tests::Process::spawn("groupfold", command, &groupfold.data().join("again.log"))
}

async fn wait_for_api(data: &std::path::Path, pid: u32) -> String {
    wait_until("it says where it listens", BOUND, async || {
        let text = std::fs::read(data.join("run.json")).map_err(|error| error.to_string())?;
        let run: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if run["pid"] == pid {
            Ok(run["api_addr"].as_str().unwrap().to_owned())
        } else {
            Err("an old one".to_owned())
        }
    })
    .await
}

#[tokio::test]
async fn law_11_a_message_missing_from_the_stream_is_never_skipped() {
    let nats = NatsServer::start().await;
    let mut groupfold = Groupfold::up(Options::on(&nats)).await;
    assert_eq!(groupfold.terminate().await, 0);
    // Our own streams can not lose a message; one that somebody made without that protection can.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = format!("GROUPFOLD_EVENTS_{}", groupfold_schemas::log::partition_of("G1", 8));
    let config = jetstream.get_stream(&name).await.unwrap().info().await.unwrap().config.clone();
    jetstream.delete_stream(&name).await.unwrap();
    let open = async_nats::jetstream::stream::Config { deny_delete: false, deny_purge: false, ..config };
    let stream = jetstream.create_stream(open).await.unwrap();
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    groupfold.restart().await;
    let three = ["15550001111", "15550002222", "15550003333"].map(|wa_id| joined("G1", wa_id, T));
    let position = posted(&groupfold, &participants(&three)).await;
    read_at(&groupfold, "/v1/groups/G1", &position).await;
    assert_eq!(groupfold.terminate().await, 0);

    stream.delete_message(2).await.unwrap();
    std::fs::remove_dir_all(groupfold.data().join("store")).unwrap();
    let mut process = start_without_readiness(&groupfold, &nats);
    let api = wait_for_api(&groupfold.data(), process.pid()).await;
    wait_until("readiness says why", BOUND, async || {
        let answer = http::get(&format!("http://{api}/readyz")).await;
        if answer.status == 503 && answer.text.contains("missing_sequence") { Ok(()) } else { Err(answer) }
    })
    .await;
    let group = http::get(&format!("http://{api}/v1/groups/G1")).await.json;
    assert_eq!(
        (&group["counts"]["member"], &group["position"].as_str().unwrap().ends_with(":1")),
        (&json!(1), &true),
        "{group}"
    );
    process.terminate(BOUND).await;
}

#[tokio::test]
async fn law_12_over_a_bound_the_answer_is_clear() {
    let groupfold =
        Groupfold::up(Options { args: vec!["--body-bytes-max".into(), "2048".into()], ..Options::default() })
            .await;
    let long = vec![b' '; 4096];
    assert_eq!(groupfold.post(&long).await.status, 413);
    let url = groupfold.webhook_url();
    let client = http::client();
    assert_eq!(client.put(&url).send().await.unwrap().status(), 405);
    assert_eq!(client.post(format!("{url}x")).send().await.unwrap().status(), 404);
    let refused = groupfold.get("/v1/groups?limit=0").await;
    refused.says(400, "bad_limit");
}

#[tokio::test]
async fn the_handshake_echoes_the_challenge_for_the_right_token_alone() {
    let groupfold = Groupfold::up(Options::default()).await;
    let ask = |token: &str| {
        format!(
            "{}?hub.mode=subscribe&hub.challenge=a%2Bb%20c&hub.verify_token={token}",
            groupfold.webhook_url()
        )
    };
    let right = http::get(&ask("verify-token-of-a-test")).await;
    assert_eq!((right.status, right.text.as_str()), (200, "a+b c"));
    assert_eq!(http::get(&ask("wrong")).await.status, 403);
    assert_eq!(http::get(&groupfold.webhook_url()).await.status, 403);
}

#[tokio::test]
async fn an_unknown_field_about_groups_is_kept_and_others_are_ignored() {
    let groupfold = Groupfold::up(Options::default()).await;
    let kept =
        groupfold.post(&body("group_something_new", "groups", &[joined("G1", "15550001111", T)])).await.json;
    assert_eq!((&kept["failed"], &kept["ignored"]), (&json!(1), &json!(0)), "{kept}");
    // The name is no more than a hint: a list of groups says what it is about.
    let kept = groupfold.post(&body("brand_new", "groups", &[joined("G1", "15550001111", T)])).await.json;
    assert_eq!((&kept["failed"], &kept["ignored"]), (&json!(1), &json!(0)), "{kept}");
    let ignored = groupfold.post(&body("account_alerts", "alerts", &[])).await.json;
    assert_eq!((&ignored["failed"], &ignored["ignored"]), (&json!(0), &json!(1)), "{ignored}");
}

#[tokio::test]
async fn a_webhook_can_be_followed_from_the_request_to_the_commit() {
    let mut groupfold =
        Groupfold::up(Options { args: vec!["--log".into(), "debug".into()], ..Options::default() }).await;
    let body = participants(&[joined("G1", "15550001111", T)]);
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answer = http::client()
        .post(groupfold.webhook_url())
        .header("x-hub-signature-256", sign("app-secret-of-a-test", &body))
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .body(body)
        .send()
        .await
        .unwrap();
    let answer = http::read(answer).await.unwrap();
    let request_id = answer.header("groupfold-request-id").unwrap().to_owned();
    let position = answer.position().unwrap().to_owned();
    read_at(&groupfold, "/v1/groups/G1", &position).await;
    wait_until("request and commit are logged with the trace", BOUND, async || {
        let log = groupfold.process().log();
        let mut traced = log.lines().filter(|line| line.contains(trace_id));
        let door = traced.clone().any(|line| line.contains(&request_id));
        let commit = traced.any(|line| line.contains("partition{"));
        if door && commit { Ok(()) } else { Err(log) }
    })
    .await;
}
