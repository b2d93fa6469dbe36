//! What waits for its turn until it is given up was not published, and says nothing of the broker.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

use super::super::claim::{Claim, HandedOver};
use super::*;

struct Door {
    broker: Broker,
    registry: Registry,
    metrics: Metrics,
    tally: Tally,
}

impl Door {
    async fn new() -> Self {
        let nowhere =
            async_nats::ConnectOptions::new().retry_on_initial_connect().connect("nats://127.0.0.1:1");
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let broker = Broker::new(nowhere.await.unwrap(), 1, false, None, Duration::ZERO);
        Self { broker, registry, metrics, tally: Tally::new("test") }
    }

    /// Publishes messages into these lanes; returns why they are not in the log, and how many may be.
    async fn publishes(&self, lanes: &Lanes, ids: &[&str], deadline: Instant) -> (Error, u64) {
        let appender = Appender {
            broker: &self.broker,
            lanes,
            metrics: &self.metrics,
            partitions: 1,
            deadline: Duration::ZERO,
            tally: &self.tally,
        };
        let of_one = |id: &&str| {
            let kind = Kind::GroupDeleted(GroupDeleted {});
            let record = Record { event_id: (*id).into(), ..record("g", kind) };
            Message::of_event(record, 1, PAYLOAD_MAX, &delivery())
        };
        let messages: Vec<Message> = ids.iter().map(of_one).collect();
        let mut told = Told::default();
        let refused = appender.publish_all(&messages, None, deadline, &mut told).await;
        let (stream, error) = refused.unwrap_err();
        assert_eq!(stream, Some(0));
        self.broker.refused(stream, &error);
        (error, told.published)
    }

    fn is_stalled(&self) -> bool {
        self.broker.stalled().load(Ordering::Relaxed)
    }

    fn counted(&self) -> String {
        let mut counted = String::new();
        text::encode(&mut counted, &self.registry).unwrap();
        counted
    }

    fn knows_it_was_not_published(&self, (error, published): &(Error, u64)) {
        assert_eq!((error.reason(), error.is_unknown(), *published), ("stream_crowded", false, 0));
        assert!(error.is_worth_retrying());
        let counted = self.counted();
        assert!(
            !counted.contains("outcome=\"unknown\"") && !counted.contains("outcome=\"rejected\""),
            "{counted}"
        );
        assert!(!self.is_stalled());
        let reasons = self.broker.reasons();
        assert!(reasons.contains(&"log: stream_crowded".to_owned()), "{reasons:?}");
    }
}

/// It was told as unacknowledged, which kept the webhooks of all other partitions out.
#[tokio::test]
async fn a_message_that_finds_no_room_in_its_lane_was_not_published_and_says_nothing_of_the_broker() {
    let (door, (lane, mut waiting)) = (Door::new().await, mpsc::channel(1));
    let _the_only_place = lane.clone().try_reserve_owned().unwrap();
    // Its patience is over when it asks for room.
    let refused = door.publishes(&Lanes::of(lane), &["a"], Instant::now()).await;
    assert!(waiting.try_recv().is_err(), "nothing was handed over");
    door.knows_it_was_not_published(&refused);
}

/// The same where it was handed over, and its turn did not come.
#[tokio::test]
async fn a_message_whose_turn_does_not_come_was_not_published_and_never_will_be() {
    let (door, (lane, mut waiting)) = (Door::new().await, mpsc::channel(2));
    let refused = door.publishes(&Lanes::of(lane), &["a", "b"], Instant::now()).await;
    door.knows_it_was_not_published(&refused);
    for _ in ["a", "b"] {
        let (.., claim) = waiting.try_recv().unwrap();
        assert!(!claim.take(), "the lane comes too late");
    }
}

/// The two meet at the end of its patience: one of them has it, and both know who.
#[tokio::test]
async fn a_message_belongs_to_whoever_takes_it_first() {
    let handed_over = || {
        let (lane, told) = oneshot::channel();
        let claim = Claim::some(1).next().unwrap();
        (lane, claim.clone(), HandedOver { told, claim })
    };
    let (_lane, of_lane, waits) = handed_over();
    assert!(of_lane.take());
    assert!(matches!(waits.outcome(Instant::now()).await, Err(Error::Unacknowledged)));
    let (_lane, of_lane, waits) = handed_over();
    assert!(matches!(waits.outcome(Instant::now()).await, Err(Error::Crowded)));
    assert!(!of_lane.take());
    // A lane that ended tells nothing.
    let (lane, _, waits) = handed_over();
    drop(lane);
    assert!(matches!(waits.outcome(Instant::now()).await, Err(Error::Unacknowledged)));
    let claims: Vec<_> = Claim::some(2).collect();
    assert!(claims[0].take() && claims[1].take() && !claims[0].take(), "each is of one message");
}

/// The last one that was looked at gave the reason. So a broker without an answer was not seen as such.
#[tokio::test]
async fn one_message_without_an_answer_says_more_than_all_that_wait_for_their_turn() {
    let door = Door::new().await;
    let (lane, mut waiting) = mpsc::channel::<(_, oneshot::Sender<_>, Claim)>(8);
    // Of all that is ever handed over the first is taken up, and not acknowledged.
    let broker = async {
        let (mut later, mut taken_up) = (Vec::new(), false);
        while let Some((message, outcome, claim)) = waiting.recv().await {
            if !taken_up && claim.take() {
                taken_up = true;
                outcome.send(Err(Error::Unacknowledged)).unwrap();
            } else {
                later.push((message, outcome, claim));
            }
        }
        later.len()
    };
    let publishes = async {
        let deadline = Instant::now() + Duration::from_secs(1);
        // With the lane its end is dropped.
        door.publishes(&Lanes::of(lane), &["a", "b"], deadline).await
    };
    let ((error, published), later) = tokio::join!(publishes, broker);
    assert!(later > 0, "the others only waited");
    assert_eq!((error.reason(), published), ("unacknowledged", 1));
    assert!(door.is_stalled());
    let counted = door.counted();
    assert!(counted.contains("acks_total{outcome=\"unknown\"} 1\n"), "{counted}");
}

#[test]
fn the_strongest_reason_is_kept_in_whatever_order_they_come() {
    let all: [fn() -> Error; 4] =
        [|| Error::Disconnected, || Error::Crowded, || Error::NoStream, || Error::Unacknowledged];
    for (strength, strong) in all.into_iter().enumerate() {
        for weak in all.into_iter().take(strength) {
            for (one, other) in [(strong, weak), (weak, strong)] {
                let (_, kept) = stronger((Some(0), one()), (Some(1), other()));
                assert_eq!(kept.reason(), strong().reason());
            }
        }
    }
}

/// All of a webhook counted as what may be in the log.
#[tokio::test]
async fn of_a_webhook_that_is_refused_only_what_was_taken_up_may_be_in_the_log() {
    let door = Door::new().await;
    let (lane, mut waiting) = mpsc::channel::<(_, oneshot::Sender<_>, Claim)>(8);
    let broker = async {
        let mut all = Vec::new();
        while all.len() < 4 {
            all.push(waiting.recv().await.unwrap());
        }
        let mut open = Vec::new();
        for (at, (message, outcome, claim)) in all.into_iter().enumerate() {
            let taken_up = at != 2 && claim.take();
            match at {
                0 => outcome.send(Ok(Stored { sequence: 1, duplicate: false })).unwrap(),
                1 => outcome.send(Err(refusal(10077))).unwrap(),
                _ => open.push((message, outcome, taken_up)),
            }
        }
        open
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let lanes = Lanes::of(lane);
    let publishes = door.publishes(&lanes, &["a", "b", "c", "d"], deadline);
    let ((error, published), open) = tokio::join!(publishes, broker);
    assert_eq!((error.reason(), open.len()), ("log_full", 2));
    assert_eq!(published, 3, "the third never had its turn");
}
