//! Usage: each delivery is billed once, whatever is reported how often and in which order. A failure prints its
//! seed; `GROUPFOLD_SEED=7` runs one.

use groupfold_fold::entry::Memory;
use groupfold_fold::view;
use groupfold_tests::{Groupfold, Options, ends};
use serde_json::{Value, json};

use crate::fold_laws::dice::Dice;
use crate::fold_laws::history;
use crate::hook::{joined, messages, participants, status, statuses};
use crate::laws::read_at;
use crate::oracle::Oracle;

const T: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

fn priced(mut status: Value, billable: bool, kind: &str, category: &str) -> Value {
    status["pricing"] =
        json!({ "billable": billable, "pricing_model": "PMP", "type": kind, "category": category });
    status
}

async fn posted(groupfold: &Groupfold, body: &[u8]) -> String {
    let answer = groupfold.post(body).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json["position"].as_str().unwrap().to_owned()
}

async fn usage(groupfold: &Groupfold, query: &str, position: &str) -> Value {
    let answer = read_at(groupfold, &format!("/v1/usage?{query}"), position).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json
}

/// Keys and counts of rows: billable, free, in window, unpriced.
fn rows(usage: &Value) -> Vec<(String, [u64; 4])> {
    let count = |row: &Value, name: &str| row["counts"][name].as_u64().unwrap();
    let names = ["billable", "free", "free_in_window", "unpriced"];
    let row = |row: &Value| (row["key"].as_str().unwrap().to_owned(), names.map(|name| count(row, name)));
    usage["rows"].as_array().unwrap().iter().map(row).collect()
}

fn told(rows: &[(&str, [u64; 4])]) -> Vec<(String, [u64; 4])> {
    rows.iter().map(|(key, counts)| ((*key).to_owned(), *counts)).collect()
}

#[tokio::test]
async fn deliveries_are_counted_by_what_the_provider_says_of_their_price() {
    let groupfold = Groupfold::up(Options::default()).await;
    let (brazil, usa, canada) = ("5511900000000", "14155552671", "16135550123");
    let all = [
        // Its price stands on `sent`: it goes for all of its members.
        priced(status("GA", "m1", "sent", None, T), true, "regular", "group_marketing"),
        status("GA", "m1", "delivered", Some(brazil), T + 1),
        // Only read: received then, at the time of reading.
        status("GA", "m1", "read", Some(usa), T + DAY),
        // A price of one's own goes before it, and categories have one name.
        priced(status("GA", "m1", "delivered", Some(canada), T + 2), false, "free_entry_point", "marketing"),
        // Free in the window; the read report contradicts the delivered one, which goes first.
        priced(
            status("GB", "m2", "delivered", Some(brazil), T + 3),
            false,
            "free_group_customer_service",
            "group_service",
        ),
        priced(status("GB", "m2", "read", Some(brazil), T + 4), true, "regular", "group_service"),
        // No price anywhere.
        status("GB", "m3", "delivered", Some(usa), T + 5),
        // Sent and failed reach nobody.
        priced(status("GB", "m4", "sent", None, T), true, "regular", "group_utility"),
        status("GB", "m5", "failed", None, T),
    ];
    let wrote = json!({ "from": usa, "group_id": "GB", "id": "in1", "timestamp": T.to_string(), "type": "text",
                        "text": { "body": "hi" } });
    posted(&groupfold, &messages(&[wrote])).await;
    let position = posted(&groupfold, &statuses(&all)).await;

    let by = async |query: &str| usage(&groupfold, query, &position).await;
    assert_eq!(rows(&by("").await), told(&[("2026-01-01", [1, 2, 1, 1]), ("2026-01-02", [1, 0, 0, 0])]));
    assert_eq!(rows(&by("by=group").await), told(&[("GA", [2, 1, 0, 0]), ("GB", [0, 1, 1, 1])]));
    let category = by("by=category").await;
    assert_eq!(
        rows(&category),
        told(&[("marketing", [2, 1, 0, 0]), ("service", [0, 1, 1, 0]), ("unknown", [0, 0, 0, 1])])
    );
    let country = by("by=country").await;
    assert_eq!(rows(&country), told(&[("BR", [1, 1, 1, 0]), ("CA", [0, 1, 0, 0]), ("US", [1, 0, 0, 1])]));
    assert_eq!((&country["total"]["delivered"], &country["messages"]), (&json!(5), &json!(3)));
    let windows = by("by=group").await["rows"].clone();
    let windows = [&windows[0]["window_open_until"], &windows[1]["window_open_until"]];
    assert_eq!(windows, [&Value::Null, &json!("2026-01-02T00:00:00Z")]);

    assert_eq!(rows(&by("from=2026-01-02").await), told(&[("2026-01-02", [1, 0, 0, 0])]));
    assert_eq!(rows(&by("to=2026-01-01T00:00:02Z").await), told(&[("2026-01-01", [1, 0, 0, 0])]));
    let bad = groupfold.get("/v1/usage?by=month").await;
    bad.says(400, "bad_by");

    let run = |args: &[&str]| {
        let output = Groupfold::command()
            .arg("usage")
            .args(args)
            .arg("--data")
            .arg(groupfold.data())
            .output()
            .unwrap();
        ends(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&run(&["--by", "country", "--output", "json"])).unwrap();
    assert_eq!((&json["rows"], &json["total"]), (&country["rows"], &country["total"]));
    let table = run(&["--from", "2026-01-02", "--to", "2026-01-03"]);
    assert!(table.contains("2026-01-02") && !table.contains("2026-01-01"), "{table}");
}

#[tokio::test]
async fn one_person_under_two_names_is_billed_once() {
    let groupfold = Groupfold::up(Options::default()).await;
    let named = json!({ "timestamp": T.to_string(), "group_id": "GA", "type": "group_participants_add",
        "added_participants": [{ "wa_id": "5511900000000", "user_id": "BR.1" }] });
    posted(&groupfold, &participants(&[named, joined("GA", "5511900000001", T)])).await;
    let mut by_user_id = status("GA", "m", "read", None, T + 9);
    by_user_id["recipient_participant_user_id"] = json!("BR.1");
    let by_number = status("GA", "m", "delivered", Some("5511900000000"), T + 1);
    let other = status("GA", "m", "delivered", Some("5511900000001"), T + 1);
    let sent = priced(status("GA", "m", "sent", None, T), true, "regular", "group_utility");
    let position = posted(&groupfold, &statuses(&[sent, by_user_id, by_number, other])).await;
    assert_eq!(rows(&usage(&groupfold, "by=country", &position).await), told(&[("BR", [2, 0, 0, 0])]));
}

/// One receipt of a few, of a few people in a few groups.
fn receipt(dice: &mut Dice) -> Value {
    let message = dice.below(6);
    let group = ["GA", "GB", "GC"][message % 3];
    let number = *dice.pick(&["5511900000000", "14155552671", "16135550123", "447400123456"]);
    let second = T + i64::try_from(dice.below(4)).unwrap() * DAY + i64::try_from(dice.below(50)).unwrap();
    let (kind, who) = match dice.below(6) {
        0 => ("sent", None),
        1 => ("read", Some(number)),
        2 => ("played", Some(number)),
        3 => ("failed", None),
        _ => ("delivered", Some(number)),
    };
    let item = status(group, &format!("wamid.{message}"), kind, who, second);
    // What is told of one status of one second is one event, and has one price.
    match second % 4 {
        0 => item,
        1 => priced(item, true, "regular", "group_marketing"),
        2 => priced(item, true, "regular", "group_utility"),
        _ => priced(item, false, "free_group_customer_service", "group_service"),
    }
}

#[tokio::test]
async fn late_repeated_and_contradictory_receipts_bill_each_delivery_once() {
    let seed = std::env::var("GROUPFOLD_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| std::process::id().into());
    let mut dice = Dice::new(seed);
    let all: Vec<Value> = (0..80).map(|_| receipt(&mut dice)).collect();
    let mut bills = Vec::new();
    for _ in 0..2 {
        let groupfold = Groupfold::up(Options::default()).await;
        let mut items = all.clone();
        let again: Vec<Value> = all.iter().filter(|_| dice.percent(40)).cloned().collect();
        items.extend(again);
        dice.shuffle(&mut items);
        let mut position = String::new();
        for batch in items.chunks(dice.between(3, 20)) {
            position = format!("{position},{}", posted(&groupfold, &statuses(batch)).await);
        }
        let position = position.trim_start_matches(',').to_owned();
        let mut bill = Vec::new();
        for by in ["day", "group", "category", "country"] {
            bill.push(usage(&groupfold, &format!("by={by}"), &position).await);
        }
        let days = usage(&groupfold, "from=2026-01-02&to=2026-01-04", &position).await["total"].clone();
        for one in &bill {
            assert_eq!(one["total"], bill[0]["total"], "seed {seed}");
            for name in ["delivered", "billable", "free", "free_in_window", "unpriced"] {
                let sum: u64 =
                    one["rows"].as_array().unwrap().iter().map(|r| r["counts"][name].as_u64().unwrap()).sum();
                assert_eq!(json!(sum), one["total"][name], "seed {seed}: {name} by {}", one["by"]);
            }
            let count = |name: &str| one["total"][name].as_u64().unwrap();
            let parts = count("billable") + count("free") + count("unpriced");
            assert_eq!(count("delivered"), parts, "seed {seed}");
        }
        // What the receipts of each message say, counted by hand.
        let mut delivered = 0;
        for message in 0..6 {
            let path = format!("/v1/messages/wamid.{message}/receipts");
            delivered += groupfold.get(&path).await.json["counts"]["delivered"].as_u64().unwrap_or_default();
        }
        assert_eq!(bill[0]["total"]["delivered"], json!(delivered), "seed {seed}");
        let bare = |one: &Value| (one["rows"].clone(), one["total"].clone(), one["messages"].clone());
        bills.push((bill.iter().map(bare).collect::<Vec<_>>(), days));
    }
    assert_eq!(bills[0], bills[1], "seed {seed}");
    assert!(bills[0].0[0].1["delivered"].as_u64().unwrap() > 3, "seed {seed}");
}

/// Asked for together, messages are delivered to those to whom they are one by one.
#[test]
fn deliveries_are_the_receipts_of_each_message() {
    for seed in 0..400 {
        let records = history::random(seed);
        let mut memory = Memory::default();
        memory.apply(&records).unwrap();
        let mut one_by_one = Vec::new();
        let mut heads = Vec::new();
        for message in Oracle::new(&records).messages() {
            let receipts = view::receipts(&memory, &message).unwrap().unwrap();
            let delivered = receipts.members.into_iter().filter_map(|member| {
                Some((message.clone(), member.person.member_id, member.delivered_at_ms?))
            });
            one_by_one.extend(delivered);
            let group = receipts.group_id.map(|value| groupfold_schemas::v1::TextRegister {
                value: Some(value),
                ..Default::default()
            });
            let head = groupfold_schemas::v1::MessageHead { group_id: group, ..Default::default() };
            heads.push((message, head));
        }
        let together = view::deliveries(&memory, heads).unwrap();
        let mut together: Vec<_> =
            together.into_iter().map(|one| (one.message_id, one.member_id, one.delivered_at_ms)).collect();
        together.sort();
        one_by_one.sort();
        assert_eq!(together, one_by_one, "seed {seed}");
    }
}
