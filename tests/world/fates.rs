//! What became of a webhook, and whether the fates add up, as the person on call asks.

use std::process::Output;
use std::time::Duration;

use groupfold_ingest::tally::RECEIVER_HEADER;
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, wait_until};
use serde_json::{Value, json};

use crate::hook::{body, created, joined, lifecycle, messages, participants, status, statuses};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;

fn ask(groupfold: &Groupfold, args: &[&str]) -> Output {
    let mut command = Groupfold::command();
    command.args(args).args(["--output", "json", "--data"]).arg(groupfold.data());
    command.output().expect("groupfold can be run")
}

fn answer(groupfold: &Groupfold, args: &[&str], expected: i32) -> Value {
    let output = ask(groupfold, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(expected),
        "{args:?}: {said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"))
}

async fn quick() -> (NatsServer, Groupfold) {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() }).await;
    let groupfold = Groupfold::up(Options::on(&nats)).await;
    (nats, groupfold)
}

#[tokio::test]
async fn each_kind_of_id_leads_to_its_fate() {
    let (_nats, groupfold) = quick().await;
    let creation = groupfold.post(&lifecycle(&[created("G", "Team", T)])).await;
    groupfold.post(&statuses(&[status("G", "wamid.1", "read", Some("5511"), T + 1)])).await;
    let mut bad = joined("G", "5522", T + 2);
    bad["type"] = json!("group_participants_dance");
    let refused = groupfold.post(&participants(&[bad])).await;
    groupfold.caught_up().await;

    let request = creation.headers["groupfold-request-id"].to_str().unwrap().to_owned();
    let told = answer(&groupfold, &["why", &request], 0);
    let event = &told["events"][0];
    assert_eq!((&event["kind"], &event["applied"]), (&json!("group_created"), &json!(true)), "{told}");
    assert_eq!(event["position"], creation.json["position"]);
    let changed = event["changed"].as_array().unwrap();
    assert!(changed.contains(&json!("history: group_created")), "{told}");
    let event_id = event["event_id"].as_str().unwrap();
    assert_eq!(answer(&groupfold, &["why", event_id], 0)["events"][0], *event);
    assert_eq!(answer(&groupfold, &["why", "req-G"], 0)["events"][0], *event);

    let told = answer(&groupfold, &["why", "wamid.1"], 0);
    assert_eq!(told["events"][0]["changed"], json!(["receipt of message wamid.1 by w:5511: read"]));

    let request = refused.headers["groupfold-request-id"].to_str().unwrap().to_owned();
    let told = answer(&groupfold, &["why", &request], 0);
    let failure = &told["failures"][0];
    assert_eq!((&failure["cause"], &failure["verdict"]), (&json!("unknown_type"), &json!("failed")));
    let id = failure["failed_id"].as_str().unwrap();
    assert!(failure["repair"].as_str().unwrap().contains(&format!("failed replay {id}")), "{told}");
    assert_eq!(answer(&groupfold, &["why", id], 0)["failures"][0], *failure);

    answer(&groupfold, &["failed", "discard", id, "--why", "a test"], 0);
    let settled = answer(&groupfold, &["why", id], 0);
    let resolution = &settled["failures"][0]["resolution"];
    assert_eq!(
        (&resolution["outcome"], &resolution["why"]),
        (&json!("discarded"), &json!("a test")),
        "{settled}"
    );

    let nothing = ask(&groupfold, &["why", "wamid.none"]);
    assert_eq!(nothing.status.code(), Some(1));

    // Of what is ignored nothing is kept but a count.
    let mut chat = status("G", "wamid.chat", "read", Some("5511"), T + 3);
    chat.as_object_mut().unwrap().retain(|name, _| !name.starts_with("recipient"));
    chat["recipient_id"] = json!("5511");
    let ignored = groupfold.post(&statuses(&[chat])).await;
    assert_eq!(ignored.json["ignored"], 1, "{ignored}");
    let request = ignored.headers["groupfold-request-id"].to_str().unwrap();
    for id in [request, "wamid.chat"] {
        let nothing = ask(&groupfold, &["why", id]);
        let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
        assert_eq!(nothing.status.code(), Some(1), "{said}");
        for part in
            ["no item that was ignored leaves a trace", "groupfold audit", "groupfold_ingest_items_total"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert!(groupfold.get("/metrics").await.to_string().contains("groupfold_ingest_items_total{"));
}

#[tokio::test]
async fn the_fates_of_a_mixed_load_add_up_over_lives_and_restarts() {
    let (mut nats, mut groupfold) = quick().await;
    let mut receiver = Groupfold::ingest(Options::on(&nats)).await;
    for round in 0..6_i64 {
        let mut items: Vec<Value> = (0..20).map(|n| joined("G", &format!("55{round}{n}"), T + n)).collect();
        items.push(items[0].clone());
        items[3]["type"] = json!("group_participants_dance");
        let one_to_one = json!({ "id": format!("w{round}"), "status": "sent", "timestamp": "1767225600", "recipient_id": "5511" });
        for webhook in [participants(&items), statuses(&[one_to_one]), body("calls", "calls", &[json!({})])] {
            assert_eq!(groupfold.post(&webhook).await.status, 200);
            assert_eq!(receiver.post(&webhook).await.status, 200);
        }
        let system = json!({ "from": "5511", "id": format!("s{round}"), "timestamp": "1767225600", "type": "system",
            "system": { "body": "b", "wa_id": format!("66{round}"), "type": "user_changed_number" } });
        assert_eq!(groupfold.post(&messages(&[system])).await.status, 200);
        match round {
            1 => receiver.restart().await,
            2 => {
                receiver.kill9();
                receiver.restart().await;
            }
            3 => groupfold.restart().await,
            4 => {
                nats.kill9();
                nats.restart().await;
                wait_until("webhooks are taken again", BOUND, async || {
                    let both = [
                        groupfold.post(&participants(&[items[1].clone()])).await.status,
                        receiver.post(&participants(&[items[1].clone()])).await.status,
                    ];
                    if both == [200, 200] { Ok(()) } else { Err(format!("{both:?}")) }
                })
                .await;
            }
            _ => {}
        }
    }
    groupfold.caught_up().await;
    let audit = wait_until("the counts are left", BOUND, async || {
        let audit = answer(&groupfold, &["audit"], 0);
        if audit["totals"]["ignored"].as_u64() >= Some(22) { Ok(audit) } else { Err(audit) }
    })
    .await;
    assert_eq!(receiver.terminate().await, 0);
    let total = |name: &str| audit["totals"][name].as_u64().unwrap();
    assert_eq!(
        total("received"),
        total("appended") + total("duplicate") + total("failed") + total("ignored")
    );
    assert!(total("duplicate") > 100 && total("failed") >= 10 && total("appended") > 100, "{audit}");
    // Two of the whole, three of the lone receiver; the one that was killed may have left nothing yet.
    assert!((4..=5).contains(&total("receivers")), "{audit}");
}

#[tokio::test]
async fn a_message_that_is_removed_behind_its_back_is_named() {
    let (nats, groupfold) = quick().await;
    for n in 0..9 {
        groupfold.post(&participants(&[joined("G", &format!("55{n}"), T + n)])).await;
    }
    groupfold.caught_up().await;
    wait_until("the counts are left", BOUND, async || {
        let audit = answer(&groupfold, &["audit"], 0);
        if audit["totals"]["appended"] == 9 { Ok(()) } else { Err(audit) }
    })
    .await;

    // The stream refuses deletion, so somebody makes it anew from a copy without one message.
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = format!("GROUPFOLD_EVENTS_{}", groupfold_schemas::log::partition_of("G", 8));
    let mut stream = jetstream.get_stream(&name).await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    assert!(stream.delete_message(4).await.is_err(), "the stream refuses");
    let mut copy = Vec::new();
    for sequence in 1..=9 {
        copy.push(stream.direct_get(sequence).await.unwrap());
    }
    jetstream.delete_stream(&name).await.unwrap();
    let open = async_nats::jetstream::stream::Config { deny_delete: false, deny_purge: false, ..config };
    let anew = jetstream.create_stream(open).await.unwrap();
    for message in copy {
        let headers = message.headers;
        jetstream
            .publish_with_headers(message.subject, headers, message.payload)
            .await
            .unwrap()
            .await
            .unwrap();
    }
    anew.delete_message(4).await.unwrap();

    let found = answer(&groupfold, &["audit"], 3);
    let wrong: Vec<&Value> =
        found["checks"].as_array().unwrap().iter().filter(|check| check["holds"] == false).collect();
    let named = |what: &str, text: &str| {
        let is = |check: &&Value| check["what"] == what && check["found"].as_str().unwrap().contains(text);
        assert!(wrong.iter().copied().any(|check| is(&check)), "{what}: {wrong:?}");
    };
    named(&format!("stream {name}"), "message 4 is missing, 8 of 9 are there");
    assert!(
        wrong.iter().any(|check| check["what"].as_str().unwrap().starts_with("messages of receiver")),
        "{wrong:?}"
    );
}

/// An audit once the receivers have counted so much: with much to do, one may leave its counts later than an audit waits.
async fn counted(groupfold: &Groupfold, total: &str, count: u64) -> Value {
    wait_until("the counts are left", BOUND, async || {
        let found = answer(groupfold, &["audit"], 0);
        if found["totals"][total] == count { Ok(found) } else { Err(found) }
    })
    .await
}

/// Counts of the last second were missing, and all that is there was said to add up.
#[tokio::test]
async fn what_was_answered_before_an_audit_is_counted_in_it() {
    let (_nats, groupfold) = quick().await;
    for n in 1..=3 {
        let taken = groupfold.post(&participants(&[joined("G", &format!("55{n}"), T + n)])).await;
        assert_eq!(taken.status, 200, "{taken}");
        counted(&groupfold, "received", n as u64).await;
    }
}

/// Each start left a key for ever: one that dies at its start, again and again, filled the bucket.
#[tokio::test]
async fn a_receiver_that_took_nothing_leaves_no_counts() {
    let (nats, groupfold) = quick().await;
    let mut idle = Groupfold::ingest(Options::on(&nats)).await;
    assert_eq!(idle.terminate().await, 0);
    let taken = groupfold.post(&participants(&[joined("G", "551", T)])).await;
    assert_eq!(taken.status, 200, "{taken}");
    let found = counted(&groupfold, "received", 1).await;
    assert_eq!(found["totals"]["receivers"], 1, "{found}");
}

/// Puts the group's first message into the log once more, as that of a receiver's life: its own if none is named.
async fn append_as(nats: &NatsServer, group: &str, life: Option<&str>) {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let name = groupfold_schemas::log::stream(groupfold_schemas::log::partition_of(group, 8));
    let first = jetstream.get_stream(&name).await.unwrap().direct_get(1).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(RECEIVER_HEADER, life.unwrap_or(first.headers.get(RECEIVER_HEADER).unwrap().as_str()));
    let sent = jetstream.publish_with_headers(first.subject, headers, first.payload).await.unwrap();
    sent.await.unwrap();
}

/// Only those that had left some counts were.
#[tokio::test]
async fn totals_without_a_receiver_that_left_no_counts_are_lower_bounds() {
    let (nats, groupfold) = quick().await;
    let taken = groupfold.post(&participants(&[joined("G", "5511", T)])).await;
    assert_eq!(taken.status, 200, "{taken}");
    assert_eq!(counted(&groupfold, "received", 1).await["totals"]["lower_bounds"], false);
    append_as(&nats, "G", Some("0123456789abcdef")).await;
    let found = counted(&groupfold, "received", 1).await;
    assert_eq!((&found["totals"]["lower_bounds"], &found["totals"]["receivers"]), (&json!(true), &json!(1)));
    let mut command = Groupfold::command();
    let table = command.args(["audit", "--data"]).arg(groupfold.data()).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("left no counts") && table.contains("lower bounds: 1 "), "{table}");
}

/// More in the log than it had counted was called ok without a word; and so were stores that nobody looked at.
#[tokio::test]
async fn counts_of_a_receiver_that_was_killed_are_told_as_lower_bounds() {
    let (nats, mut groupfold) = quick().await;
    let taken = groupfold.post(&participants(&[joined("G", "5511", T)])).await;
    assert_eq!(taken.status, 200, "{taken}");
    let found = counted(&groupfold, "appended", 1).await;
    assert_eq!(found["totals"]["lower_bounds"], false, "{found}");
    groupfold.kill9();
    // What it appended in its last moment, and counted nowhere.
    append_as(&nats, "G", None).await;

    let audit = ["audit", "--nats-url", &nats.url()];
    let found = answer(&groupfold, &audit, 0);
    let check = |what: &str| {
        let mut checks = found["checks"].as_array().unwrap().iter();
        checks.find(|check| check["what"].as_str().unwrap().starts_with(what)).unwrap().clone()
    };
    let counted = check("messages of receiver");
    let told = counted["found"].as_str().unwrap();
    assert!(
        told.contains("it was killed, or is still at a webhook, before it counted the 1 beyond that"),
        "{told}"
    );
    assert_eq!((&counted["holds"], &found["totals"]["lower_bounds"]), (&json!(true), &json!(true)));
    assert_eq!(check("stores")["holds"], Value::Null, "{found}");
    let mut command = Groupfold::command();
    let table = command.args(audit).arg("--data").arg(groupfold.data()).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for text in ["lower bounds: 1 was", "not looked at  stores"] {
        assert!(table.contains(text), "{text}: {table}");
    }
}

/// It once said nothing of the stores then, and that all adds up.
#[tokio::test]
async fn stores_that_cannot_be_asked_do_not_add_up() {
    let (_nats, groupfold) = quick().await;
    let found = answer(&groupfold, &["audit", "--api-url", "http://127.0.0.1:1"], 3);
    let stores = found["checks"].as_array().unwrap().iter().find(|check| check["what"] == "stores");
    let said = stores.and_then(|check| check["found"].as_str()).unwrap_or_default();
    assert!(said.starts_with("not looked at: "), "{found}");
}

/// The list's address was asked, and an empty group printed.
#[tokio::test]
async fn an_id_that_no_address_can_hold_is_refused() {
    let (_nats, groupfold) = quick().await;
    for args in [&["group", "show", ".."][..], &["group", "members", "."], &["group", "receipts", ""]] {
        let refused = ask(&groupfold, args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {refused:?}");
        assert!(refused.stdout.is_empty(), "{args:?}: {refused:?}");
    }
}
