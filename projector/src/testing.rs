//! Stores in folders of their own and events to put into them, for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::{frame, v1};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::partition::{Partition, fold};
use crate::store::{self, Store};
use crate::tail::Item;

/// A folder that is gone when the test is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("projector-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tmp")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn settings(&self, partition: u16) -> store::Settings {
        store::Settings { root: self.0.clone(), partition, cache_bytes: 16 * 1024 * 1024 }
    }

    pub(crate) fn open(&self, partition: u16) -> Partition {
        Partition::new(Store::open(self.settings(partition)).unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A client that reaches no broker and goes on trying: for what needs one and asks it nothing.
pub(crate) async fn nobodys_client() -> async_nats::Client {
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    options.connect("127.0.0.1:1").await.unwrap()
}

/// Runs what is tested with a single thread that may block.
pub(crate) fn with_one_thread(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(1).build().unwrap().block_on(test);
}

/// Has that thread until it is dropped: work that may block waits for its turn behind it.
pub(crate) fn taken() -> mpsc::Sender<()> {
    let (let_go, held) = mpsc::channel();
    tokio::task::spawn_blocking(move || held.recv());
    let_go
}

/// A record of a group at a second; an event without a group has an empty one.
pub(crate) fn record(group: &str, second: i64, kind: Kind) -> v1::Record {
    let mut record = v1::Record {
        provider: v1::Provider::Meta.into(),
        account: "WABA".into(),
        phone_number_id: "PN".into(),
        group_id: group.into(),
        provider_time_ms: second * 1000,
        evidence: v1::Evidence::Webhook.into(),
        event: Some(v1::Event { kind: Some(kind) }),
        ..Default::default()
    };
    record.event_id = EventId::hash([frame::encode(&record).as_slice()]).to_string();
    record
}

pub(crate) fn who(wa_id: &str) -> v1::Participant {
    v1::Participant { wa_id: Some(wa_id.to_owned()), ..Default::default() }
}

pub(crate) fn created(group: &str, second: i64, subject: &str) -> v1::Record {
    let subject = Some(subject.to_owned());
    record(group, second, Kind::GroupCreated(v1::GroupCreated { subject, ..Default::default() }))
}

pub(crate) fn joined(group: &str, second: i64, wa_id: &str) -> v1::Record {
    let event = v1::ParticipantsJoined {
        participants: vec![who(wa_id)],
        via: v1::JoinVia::InviteLink.into(),
        reason: None,
    };
    record(group, second, Kind::ParticipantsJoined(event))
}

pub(crate) fn receipt(
    group: &str,
    second: i64,
    message: &str,
    status: v1::ReceiptStatus,
    wa_id: Option<&str>,
) -> v1::Record {
    let scope = match wa_id {
        Some(_) => v1::ReceiptScope::Participant,
        None => v1::ReceiptScope::Message,
    };
    let event = v1::Receipt {
        message_id: message.to_owned(),
        status: status.into(),
        scope: scope.into(),
        participant: wa_id.map(who),
        ..Default::default()
    };
    record(group, second, Kind::Receipt(event))
}

pub(crate) fn items(from: u64, records: &[v1::Record]) -> Vec<Item> {
    let payloads = records.iter().map(|record| frame::encode(record).into());
    let item = |(sequence, payload)| Item { sequence, log_time_ms: 1_000, payload, trace_id: None };
    (from..).zip(payloads).map(item).collect()
}

/// Folds records that follow what the partition has.
pub(crate) fn put(partition: &Partition, records: &[v1::Record]) {
    let next = partition.status.borrow().applied + 1;
    put_items(partition, items(next, records)).unwrap();
}

pub(crate) fn put_items(partition: &Partition, items: Vec<Item>) -> Result<(), store::Error> {
    let folded = fold::fold(
        partition,
        &Metrics::register(&mut Registry::default()),
        "created",
        items,
        &CancellationToken::new(),
    );
    folded.map_err(fold::Error::of_store)
}
