//! What was read as an event of the log.

use super::differ;
use super::known::Known;
use super::reading::Read;
use groupfold_schemas::frame;
use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{Event, Evidence, GroupDeleted, Provider, Record, TimeQuality};

/// Where snapshots say they come from, in the place of a webhook's field.
const FIELD: &str = "snapshot";

/// The event that a reading is; `None` for one that failed.
pub(crate) fn record(known: &Known, read: &Read, run: &str) -> Option<Record> {
    let (time_ms, kind) = match read {
        Read::Present(reading) => {
            let whole = (differ::is_whole(known, reading), differ::are_requests_whole(known, reading));
            (reading.taken_ms, Kind::GroupSnapshot(reading.snapshot(whole.0, whole.1)))
        }
        Read::Absent { taken_ms } => (*taken_ms, Kind::GroupDeleted(GroupDeleted {})),
        Read::Failed(_) => return None,
    };
    let event = Event { kind: Some(kind) };
    let time = time_ms.to_be_bytes();
    let around = [FIELD, &known.account, &known.phone_number_id, &known.group_id].map(str::as_bytes);
    let bytes = frame::encode(&event);
    let id = EventId::hash(around.into_iter().chain([&time[..], &bytes]));
    Some(Record {
        event_id: id.to_string(),
        provider: Provider::Meta.into(),
        account: known.account.clone(),
        phone_number_id: known.phone_number_id.clone(),
        group_id: known.group_id.clone(),
        provider_time_ms: time_ms,
        time_quality: TimeQuality::Envelope.into(),
        received_time_ms: jiff::Timestamp::now().as_millisecond(),
        request_id: run.to_owned(),
        evidence: Evidence::Snapshot.into(),
        field: FIELD.to_owned(),
        event: Some(event),
        ..Default::default()
    })
}
