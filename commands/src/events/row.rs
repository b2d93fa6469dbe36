//! An event as a row: a cell for each column, most of which borrow what the event holds.

use std::borrow::Cow;

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{ActorKind, Evidence, ReceiptScope, Record, TimeQuality};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::data;
use super::json::{Json, object};
use super::reader::Event;
use super::shape::{COLUMNS, Column, rfc3339};

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Text(Option<Cow<'a, str>>),
    /// Unix milliseconds.
    Time(Option<i64>),
    Flag(Option<bool>),
    Number(u64),
    Texts(Vec<Cow<'a, str>>),
    Json(Json<'a>),
}

/// An event as cells, in the order of [`super::shape::COLUMNS`].
pub(crate) type Row<'a> = Vec<Cell<'a>>;

/// Lays an event out.
pub(crate) fn row(event: &Event) -> Row<'_> {
    let Event { record, partition, sequence, log_time_ms } = event;
    let kind = record.kind();
    let people = kind.map(data::people).unwrap_or_default();
    let receipt = match kind {
        Some(Kind::Receipt(receipt)) => Some(receipt),
        _ => None,
    };
    let pricing = receipt.and_then(|receipt| receipt.pricing.as_ref());
    let status = receipt.and_then(|_| kind.and_then(|kind| kind.name().strip_prefix("receipt_")));
    let mut row = Vec::with_capacity(COLUMNS.len() + 1);
    row.extend([
        text(&record.event_id),
        text(record.kind_name()),
        text(record.provider().name()),
        time(record.provider_time_ms),
        text(quality(record.time_quality())),
        time(record.received_time_ms),
        Cell::Time(Some(*log_time_ms)),
        text(&record.account),
        filled(&record.phone_number_id),
        filled(&record.display_phone_number),
        filled(&record.group_id),
        maybe(kind.and_then(data::message_id)),
        maybe(status),
        maybe(receipt.and_then(|receipt| scope(receipt.scope()))),
        texts(people.iter().filter_map(|person| person.wa_id.as_deref())),
        texts(people.iter().filter_map(|person| person.user_id.as_deref())),
        Cell::Json(people.iter().map(|person| data::person(person)).collect()),
        maybe(actor(record)),
        Cell::Flag(pricing.and_then(|pricing| pricing.billable)),
        maybe(pricing.and_then(|pricing| pricing.pricing_model.as_deref())),
        maybe(pricing.and_then(|pricing| pricing.r#type.as_deref())),
        maybe(pricing.and_then(|pricing| pricing.category.as_deref())),
        texts(kind.map(data::error_codes).unwrap_or_default().into_iter()),
        text(&record.request_id),
        maybe(record.provider_request_id.as_deref()),
        text(evidence(record.evidence())),
        Cell::Flag(Some(record.replayed)),
        text(&record.field),
        Cell::Number(u64::from(*partition)),
        Cell::Number(*sequence),
        Cell::Json(kind.map_or_else(|| object!({}), data::of_kind)),
        maybe(record.actor.as_ref().and_then(|actor| actor.user_id.as_deref())),
    ]);
    row
}

/// The item's own JSON; absent where nothing was kept.
pub(crate) fn original(record: &Record) -> Cell<'_> {
    let json = String::from_utf8_lossy(&record.original_json);
    Cell::Text((!json.is_empty()).then_some(json))
}

/// A row as JSON, absent values as null.
pub(crate) fn json(columns: &[Column], row: &Row<'_>) -> Map<String, Value> {
    columns.iter().zip(row).map(|(column, cell)| (column.name.to_owned(), cell.to_json())).collect()
}

/// What stands before each value in a line of JSON, in the order of the names: worked out once for all lines.
pub(crate) struct Heads(Vec<(usize, Vec<u8>)>);

impl Heads {
    pub(crate) fn of(columns: &[Column]) -> Self {
        let mut names: Vec<(&str, usize)> =
            columns.iter().enumerate().map(|(index, column)| (column.name, index)).collect();
        names.sort_unstable();
        let head = |(place, (name, index)): (usize, (&str, usize))| {
            let before = if place == 0 { '{' } else { ',' };
            (index, format!("{before}{}:", Value::from(name)).into_bytes())
        };
        Self(names.into_iter().enumerate().map(head).collect())
    }
}

/// Adds a row as a line of JSON, fields by name: the text of [`json()`], without the tree.
pub(crate) fn json_line(heads: &Heads, row: &Row<'_>, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    for (index, head) in &heads.0 {
        lines.extend_from_slice(head);
        serde_json::to_writer(&mut *lines, &row[*index])?;
    }
    lines.extend_from_slice(b"}\n");
    Ok(())
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(to),
            Self::Time(time_ms) => time_ms.map(rfc3339).serialize(to),
            Self::Flag(flag) => flag.serialize(to),
            Self::Number(number) => number.serialize(to),
            Self::Texts(texts) => texts.serialize(to),
            Self::Json(json) => json.serialize(to),
        }
    }
}

impl Cell<'_> {
    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(crate) fn to_csv(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => text.as_deref().unwrap_or_default().into(),
            Self::Time(time_ms) => time_ms.map(rfc3339).unwrap_or_default().into(),
            Self::Flag(flag) => flag.map(|flag| flag.to_string()).unwrap_or_default().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Texts(texts) => texts.join(" ").into(),
            Self::Json(json) => json.to_string().into(),
        }
    }
}

fn text(text: &str) -> Cell<'_> {
    maybe(Some(text))
}

fn filled(text: &str) -> Cell<'_> {
    maybe((!text.is_empty()).then_some(text))
}

fn maybe(text: Option<&str>) -> Cell<'_> {
    Cell::Text(text.map(Cow::from))
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Cell<'a> {
    Cell::Texts(texts.map(Cow::from).collect())
}

fn time<'a>(time_ms: i64) -> Cell<'a> {
    Cell::Time((time_ms != 0).then_some(time_ms))
}

fn quality(quality: TimeQuality) -> &'static str {
    match quality {
        TimeQuality::Unspecified => "unknown",
        TimeQuality::Provider => "provider",
        TimeQuality::Envelope => "envelope",
        TimeQuality::Received => "received",
    }
}

fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Unspecified => "unknown",
        Evidence::Webhook => "webhook",
        Evidence::ApiReply => "api_reply",
        Evidence::Snapshot => "snapshot",
        Evidence::Platform => "platform",
    }
}

fn scope(scope: ReceiptScope) -> Option<&'static str> {
    match scope {
        ReceiptScope::Unspecified => None,
        ReceiptScope::Message => Some("message"),
        ReceiptScope::Participant => Some("participant"),
        ReceiptScope::Aggregate => Some("aggregate"),
    }
}

fn actor(record: &Record) -> Option<&'static str> {
    match record.actor.as_ref()?.kind() {
        ActorKind::Unknown => None,
        ActorKind::Business => Some("business"),
        ActorKind::Participant => Some("participant"),
    }
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1;

    use super::*;
    use crate::events::shape::ORIGINAL;

    #[test]
    fn a_line_of_json_is_the_row_as_an_object() {
        let person =
            |wa_id: &str| v1::Participant { wa_id: Some(wa_id.to_owned()), ..v1::Participant::default() };
        let receipt = v1::Receipt {
            message_id: "wamid.\"quoted\"".to_owned(),
            participant: Some(person("15550001111")),
            pricing: Some(v1::Pricing { billable: Some(false), ..v1::Pricing::default() }),
            ..v1::Receipt::default()
        };
        let joined = v1::ParticipantsJoined {
            participants: vec![person("1"), person("2")],
            ..v1::ParticipantsJoined::default()
        };
        for kind in [Kind::Receipt(receipt), Kind::ParticipantsJoined(joined)] {
            let record = Record {
                event_id: "e".to_owned(),
                group_id: "G\n\u{1F600}".to_owned(),
                provider_time_ms: 1_767_225_600_000,
                original_json: "{\"a\": 1}".into(),
                event: Some(v1::Event { kind: Some(kind) }),
                ..Record::default()
            };
            let event = Event { partition: 3, sequence: 7, log_time_ms: 1_767_225_600_123, record };
            let columns: Vec<Column> = COLUMNS.iter().copied().chain([ORIGINAL]).collect();
            let mut row = row(&event);
            row.push(original(&event.record));
            let mut line = Vec::new();
            json_line(&Heads::of(&columns), &row, &mut line).unwrap();
            assert_eq!(String::from_utf8(line).unwrap(), format!("{}\n", Value::from(json(&columns, &row))));
        }
    }
}
