use super::*;
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use groupfold_schemas::position::Position;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{Event, FailedWebhook, GroupDeleted, IdentityChanged, Record};
use groupfold_schemas::{frame, log};

mod crowded;

const PAYLOAD_MAX: usize = 1024 * 1024;

fn delivery() -> Delivery<'static> {
    Delivery {
        received_time_ms: 1,
        request_id: "r",
        build: "b",
        headers: crate::meta::Headers::default(),
        ignore_one_to_one: true,
        ignore_other_fields: true,
        replayed: false,
    }
}

fn record(group_id: &str, kind: Kind) -> Record {
    Record {
        event_id: "e".into(),
        account: "1".into(),
        group_id: group_id.into(),
        event: Some(Event { kind: Some(kind) }),
        ..Record::default()
    }
}

#[test]
fn an_event_goes_to_the_partition_of_its_group() {
    let message =
        Message::of_event(record("g.1", Kind::GroupDeleted(GroupDeleted {})), 8, PAYLOAD_MAX, &delivery());
    let partition = log::partition_of("g.1", 8);
    let [to] = &message.destinations[..] else { panic!("{message:?}") };
    assert_eq!(to.partition, Some(partition));
    assert_eq!(to.stream(), format!("GROUPFOLD_EVENTS_{partition}"));
    assert_eq!(*to.subject, format!("groupfold.event.{partition}.1.group_deleted.g%2e1"));
}

#[test]
fn an_event_without_a_group_goes_to_the_partition_of_its_account() {
    let message =
        Message::of_event(record("", Kind::GroupDeleted(GroupDeleted {})), 8, PAYLOAD_MAX, &delivery());
    let partition = log::partition_of("1", 8);
    assert_eq!(*message.destinations[0].subject, format!("groupfold.event.{partition}.1.group_deleted._"));
}

#[test]
fn a_change_of_names_goes_everywhere_and_counts_once() {
    let message = Message::of_event(
        record("", Kind::IdentityChanged(IdentityChanged::default())),
        3,
        PAYLOAD_MAX,
        &delivery(),
    );
    assert_eq!(
        message.destinations.iter().map(|to| to.partition).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2)]
    );
    let ack = |partition, duplicate| {
        let stored = Stored { sequence: 5, duplicate };
        (0, Ack { partition: Some(partition), stored, unsure: false })
    };
    let mut receipt = Receipt::default();
    receipt.count(std::slice::from_ref(&message), vec![ack(2, true), ack(0, true), ack(1, false)]);
    assert_eq!((receipt.appended, receipt.duplicate), (1, 0));
    assert_eq!(receipt.position.to_string(), "0:5,1:5,2:5");
    let mut receipt = Receipt::default();
    receipt.count(&[message], vec![ack(2, true), ack(0, true), ack(1, true)]);
    assert_eq!((receipt.appended, receipt.duplicate), (0, 1));
}

#[test]
fn a_record_too_large_for_the_broker_becomes_a_failure_that_fits() {
    let original_json = vec![b'x'; 10_000].into();
    let large = Record {
        original_json,
        pointer: "/entry/0".into(),
        ..record("g", Kind::GroupDeleted(GroupDeleted {}))
    };
    let message = Message::of_event(large, 8, 10_500, &delivery());
    assert_eq!(message.fate, Fate::Failed("malformed_field".into()));
    assert_eq!(message.destinations[0].stream(), log::FAILED_STREAM);
}

#[test]
fn a_failure_drops_contacts_before_it_is_too_large() {
    let raw = vec![b'x'; 10_000].into();
    let failed =
        FailedWebhook { raw, original_contacts: vec![vec![b'x'; 10_000].into()], ..FailedWebhook::default() };
    let bare = FailedWebhook { original_contacts: Vec::new(), ..failed.clone() };
    let expected = Message::of_failed(&bare, PAYLOAD_MAX);
    let message = Message::of_failed(&failed, 12_000);
    assert_eq!(format!("{message:?}"), format!("{expected:?}"));
    assert!(frame::encode(&bare).len() < 12_000);
}

fn refusal(code: u64) -> Error {
    let json = format!(r#"{{"code":503,"err_code":{code},"description":"d"}}"#);
    let error: jetstream::Error = serde_json::from_str(&json).unwrap();
    PublishError::with_source(PublishErrorKind::Other, error).into()
}

#[test]
fn refusals_of_the_log_have_stable_reasons() {
    let cases = [
        (10158, "duplicate_in_flight", true),
        (10167, "log_rate_limited", false),
        (10077, "log_full", false),
        (10047, "log_full", false),
        (10023, "log_full", false),
        (10008, "stream_not_ready", true),
        (10118, "stream_not_ready", true),
        (10054, "message_too_large", false),
        (10060, "log_refused", false),
        (10074, "log_refused", false),
    ];
    for (code, reason, again) in cases {
        let error = refusal(code);
        assert_eq!((error.reason(), error.is_worth_retrying()), (reason, again), "{code}");
    }
    let of = |kind| Error::from(PublishError::new(kind)).reason();
    assert_eq!(of(PublishErrorKind::TimedOut), "unacknowledged");
    assert_eq!(of(PublishErrorKind::BrokenPipe), "unacknowledged");
    assert_eq!(of(PublishErrorKind::StreamNotFound), "no_stream");
    assert_eq!(of(PublishErrorKind::MaxPayloadExceeded), "message_too_large");
    assert_eq!(of(PublishErrorKind::Other), "publish_failed");
}

/// With its headers a message is as long as the broker takes, and not a byte longer: an event becomes a failure, a
/// failure loses its contacts, and one of ours is refused.
#[test]
fn a_message_is_as_long_as_the_broker_takes_and_no_longer() {
    let record = record("G", Kind::GroupDeleted(GroupDeleted {}));
    let fits = frame::encode(&record).len() + 1024;
    let fate = |payload_max| Message::of_event(record.clone(), 8, payload_max, &delivery()).fate;
    assert_eq!(fate(fits), Fate::Event);
    assert!(matches!(fate(fits - 1), Fate::Failed(_)));
    let ours = |payload_max| Message::of_ours(&record, 8, payload_max).map(|message| message.fate);
    assert_eq!((ours(fits), ours(fits - 1)), (Some(Fate::Event), None));
    let failed = FailedWebhook {
        raw: b"{}".to_vec().into(),
        original_contacts: vec![vec![b'x'; 2_000].into()],
        ..Default::default()
    };
    let fits = frame::encode(&failed).len() + 1024;
    let contacts = |payload_max| {
        let kept: FailedWebhook = frame::decode(&Message::of_failed(&failed, payload_max).payload).unwrap();
        assert_eq!(kept.raw, failed.raw);
        kept.original_contacts.len()
    };
    assert_eq!((contacts(fits), contacts(fits - 1)), (1, 0));
}

fn event(id: &str) -> Message {
    let record = Record { event_id: id.into(), ..record("g", Kind::GroupDeleted(GroupDeleted {})) };
    Message::of_event(record, 8, PAYLOAD_MAX, &delivery())
}

fn failure(id: &str) -> Message {
    Message::of_failed(&FailedWebhook { failed_id: id.into(), ..FailedWebhook::default() }, PAYLOAD_MAX)
}

#[test]
fn a_receipt_counts_fates_and_what_the_log_took_as_new_and_may_have_taken_before() {
    let messages = [event("a"), event("b"), failure("f"), failure("g")];
    let partition = messages[0].destinations[0].partition;
    let ack = |partition, sequence, duplicate, unsure| Ack {
        partition,
        stored: Stored { sequence, duplicate },
        unsure,
    };
    let acks = vec![
        (2, ack(None, 90, false, false)),
        (1, ack(partition, 6, true, true)),
        (0, ack(partition, 7, false, false)),
        (3, ack(None, 91, true, true)),
    ];
    let mut receipt = Receipt::default();
    receipt.count(&messages, acks);
    let mut position = Position::default();
    position.raise(partition.unwrap(), 7);
    let expected = Receipt {
        appended: 1,
        duplicate: 1,
        failed: 2,
        stored: 1,
        stored_failed: 1,
        unsure: 2,
        position,
        ..Receipt::default()
    };
    assert_eq!(receipt, expected);
}

#[test]
fn what_stands_in_a_webhook_twice_is_published_once_and_counted_twice() {
    let mut messages = ["a", "a", "b", "a"].map(event).to_vec();
    messages.extend(["f", "f"].map(failure));
    let mut receipt = Receipt::default();
    receipt.count_repeated(&mut messages);
    assert_eq!(messages.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["a", "b", "f"]);
    assert_eq!(receipt, Receipt { duplicate: 2, failed: 1, ..Receipt::default() });
}

#[test]
fn what_was_published_and_not_answered_may_be_in_the_log_and_what_was_refused_is_not() {
    for error in
        [Error::Unacknowledged, Error::DuplicateInFlight, PublishError::new(PublishErrorKind::Other).into()]
    {
        assert!(error.is_unknown(), "{error}");
    }
    for error in [
        Error::Disconnected,
        Error::Stalled,
        Error::OtherLog,
        Error::NoStream,
        Error::TooLarge,
        refusal(10077),
    ] {
        assert!(!error.is_unknown(), "{error}");
    }
}
