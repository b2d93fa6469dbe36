//! What is kept with an item that cannot be read: all that it takes to read it later.

use groupfold_schemas::failure::fingerprint;
use groupfold_schemas::v1::Header;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn headers(of: &[(&'static str, String)]) -> HeaderMap {
    let header = |(name, value): &(&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    of.iter().map(header).collect()
}

fn kept(of: &[(&'static str, String)]) -> Vec<Header> {
    of.iter().map(|(name, value)| Header { name: (*name).into(), value: value.clone().into() }).collect()
}

/// A message with all that may surround it.
fn message(item: &Value) -> Value {
    let contact = json!({"wa_id": "42", "profile": {"name": "N"}});
    let mut body = webhook("messages", &json!({"messages": [item], "contacts": [contact]}));
    body["entry"][0]["time"] = json!(1_767_225_600);
    body
}

#[test]
fn a_failure_keeps_all_that_surrounds_it_and_is_the_same_when_it_is_read_again() {
    let known = [
        ("content-type", "application/json".to_owned()),
        ("content-length", "12".to_owned()),
        ("user-agent", "u".repeat(1024)),
        ("x-hub-signature-256", "sha256=00".to_owned()),
    ];
    let mut all = headers(&known);
    all.insert("cookie", HeaderValue::from_static("x"));
    let delivery = Delivery { headers: Headers::Request(&all), ..delivery() };
    let item = json!({"id": "m", "type": "text", "group_id": GROUP, "from": "42"});
    let failed = failed(adapt(message(&item).to_string().as_bytes(), &delivery));
    let expected = FailedWebhook {
        failed_id: failed.failed_id.clone(),
        provider: v1::Provider::Meta.into(),
        account: ACCOUNT.into(),
        phone_number_id: PHONE.into(),
        display_phone_number: "15550783881".into(),
        group_id: GROUP.into(),
        cause: "missing_field".into(),
        fingerprint: failed.fingerprint.clone(),
        pointer: "/entry/0/changes/0/value/messages/0/timestamp".into(),
        expected: failed.expected.clone(),
        received_time_ms: delivery.received_time_ms,
        request_id: delivery.request_id.into(),
        field: "messages".into(),
        item_pointer: "/entry/0/changes/0/value/messages/0".into(),
        raw: item.to_string().into(),
        headers: kept(&known),
        build: "test".into(),
        original_contacts: vec![r#"{"profile":{"name":"N"},"wa_id":"42"}"#.into()],
        entry_time_ms: Some(1_767_225_600_000),
        ..FailedWebhook::default()
    };
    assert_eq!(failed, expected);
    let later =
        Delivery { received_time_ms: 9, request_id: "later", headers: Headers::default(), ..delivery };
    assert_eq!(readapt(&failed, &later), [Item::Failed(Box::new(expected))]);
}

#[test]
fn a_header_that_is_too_long_is_not_kept() {
    let long = headers(&[("content-type", "t".repeat(1025)), ("user-agent", "u".repeat(1024))]);
    assert_eq!(Headers::Request(&long).copy(), kept(&[("user-agent", "u".repeat(1024))]));
}

#[test]
fn what_is_too_large_for_the_log_keeps_its_bytes_and_all_that_surrounds_them() {
    let item =
        json!({"id": "m", "type": "text", "group_id": GROUP, "from": "42", "timestamp": 1_767_225_601});
    let record = record(read(&message(&item)));
    let known = [("user-agent", "u".to_owned())];
    let all = headers(&known);
    let failed = oversize(record.clone(), &Delivery { headers: Headers::Request(&all), ..delivery() });
    let pointer = "/entry/0/changes/0/value/messages/0";
    let of = [ACCOUNT, PHONE, "messages"];
    let shape: [&[u8]; 2] = [b"malformed_field", b"/entry/*/changes/*/value/messages/*"];
    let expected = FailedWebhook {
        failed_id: event_id::failed_id(of, item.to_string().as_bytes(), pointer).to_string(),
        provider: v1::Provider::Meta.into(),
        account: ACCOUNT.into(),
        phone_number_id: PHONE.into(),
        display_phone_number: "15550783881".into(),
        group_id: GROUP.into(),
        cause: "malformed_field".into(),
        fingerprint: fingerprint(shape),
        pointer: pointer.into(),
        expected: failed.expected.clone(),
        received_time_ms: record.received_time_ms,
        request_id: record.request_id,
        field: "messages".into(),
        item_pointer: pointer.into(),
        raw: item.to_string().into(),
        headers: kept(&known),
        build: "test".into(),
        original_contacts: vec![r#"{"profile":{"name":"N"},"wa_id":"42"}"#.into()],
        ..FailedWebhook::default()
    };
    assert_eq!(failed, expected);
    assert!(!failed.expected.is_empty());
}
