//! The query API over stores in a folder, without a log or a socket, opened to tests that throw bytes at it. There
//! with the feature `probe` alone.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use groupfold_fold::view::Group;
use groupfold_schemas::log::partition_of;
use groupfold_schemas::position::Position;
use groupfold_schemas::{frame, v1};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::api::params::{EntryCursor, IdList, Params, id_cursor, usage_cursor};
use crate::api::{Api, Ops};
use crate::desk::{Ask, Desk, Handed, Look, Looked, Refusal, Taken, Unwritten};
use crate::metrics::Metrics;
use crate::partition::{Partition, fold};
use crate::reads::Reads;
use crate::status::Run;
use crate::store::{self, Settings, Store};
use crate::tail::Item;

const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Longest answer, in bytes, that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Stores, and the API over them.
#[derive(Debug)]
pub struct Ledger {
    router: Router,
    partitions: Vec<Partition>,
    metrics: Metrics,
}

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Of HTTP.
    pub status: u16,
    /// Among them the position that the answer reflects.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Ledger {
    /// Opens empty stores in a folder.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn open(root: &Path, partitions: u16) -> Result<Self, store::Error> {
        let open = |partition| {
            let settings = Settings { root: root.to_owned(), partition, cache_bytes: CACHE_BYTES };
            let partition = Partition::new(Store::open(settings)?)?;
            partition.status.send_modify(|status| {
                status.run = Run::Running;
                status.caught_up = true;
            });
            Ok(partition)
        };
        let opened: Vec<Partition> = (0..partitions).map(open).collect::<Result<_, store::Error>>()?;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let reads = Arc::new(Reads::new(partitions, opened.clone(), 0));
        let ops = Ops::new(Arc::new(Mutex::new(registry)));
        let api = Api::new(reads, &[], metrics.clone(), "probe");
        let router = api.map(|api| api.with_desk(Arc::new(Closed)).router(ops)).unwrap_or_default();
        Ok(Self { router, partitions: opened, metrics })
    }

    /// Folds records of groups, each into its partition.
    ///
    /// # Errors
    /// A store cannot be written.
    pub fn fold(&self, records: &[v1::Record]) -> Result<(), store::Error> {
        let total = u16::try_from(self.partitions.len()).unwrap_or(u16::MAX);
        for partition in &self.partitions {
            let ours = records.iter().filter(|record| partition_of(&record.group_id, total) == partition.id);
            let next = partition.status.borrow().applied + 1;
            let item = |(sequence, record)| {
                let payload = frame::encode(record).into();
                Item { sequence, log_time_ms: 1, payload, trace_id: None }
            };
            let items = (next..).zip(ours).map(item).collect();
            fold::fold(partition, &self.metrics, "probe", items, &CancellationToken::new())
                .map_err(fold::Error::of_store)?;
        }
        Ok(())
    }

    /// Answers a request; `None` if no such request can be made, or its answer has no end.
    pub async fn answer(&self, method: &str, target: &str, body: Bytes) -> Option<Told> {
        let json = "application/json";
        let request = Request::builder().method(method).uri(target).header("content-type", json);
        let request = request.body(Body::from(body)).ok()?;
        let answer = self.router.clone().oneshot(request).await.ok()?;
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await.ok()?;
        Some(Told { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// What a text is as a cursor of each kind, printed again; `None` where it is refused.
#[must_use]
pub fn cursors(text: &str) -> [Option<String>; 4] {
    let params = Params::of([("cursor", text)]);
    [
        params.cursor_id(IdList::Groups).ok().flatten().map(|id| id_cursor(IdList::Groups, &id)),
        params.cursor_id(IdList::Commands).ok().flatten().map(|id| id_cursor(IdList::Commands, &id)),
        params.cursor_entry().ok().flatten().as_ref().map(EntryCursor::print),
        params.cursor_usage().ok().flatten().as_ref().map(usage_cursor),
    ]
}

/// Writes nothing and asks nobody.
#[derive(Debug)]
struct Closed;

impl Desk for Closed {
    fn append(&self, _: Vec<v1::Record>) -> Handed<'_, Result<Position, Unwritten>> {
        Box::pin(async { Err(Unwritten { reason: "closed" }) })
    }

    fn ask(&self, _: Ask) -> Handed<'_, Result<Taken, Refusal>> {
        Box::pin(async { Err(Refusal::Busy) })
    }

    fn look(&self, _: Group, _: Look) -> Handed<'_, Result<Looked, Refusal>> {
        Box::pin(async { Err(Refusal::Busy) })
    }
}
