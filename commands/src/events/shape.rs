//! The flat shape of an event: one list of columns from which JSON, CSV, Parquet and the documents come.

use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::{ActorKind, Evidence, Participant, ReceiptScope, Record, TimeQuality};
use serde_json::{Map, Value, json};

use super::data;
use super::reader::Event;

/// Version of the columns: raised when one changes its meaning or goes; new ones are added at the end.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// All kinds, in the order of the documentation.
pub(crate) const KINDS: &[&str] = &[
    "group_created",
    "group_create_failed",
    "group_deleted",
    "group_delete_failed",
    "participants_joined",
    "participants_left",
    "participants_removed",
    "participants_gone",
    "participants_remove_failed",
    "join_requested",
    "join_request_revoked",
    "join_request_rejected",
    "join_request_failed",
    "participants_promoted",
    "participants_demoted",
    "settings_updated",
    "group_suspended",
    "group_unsuspended",
    "receipt_sent",
    "receipt_delivered",
    "receipt_read",
    "receipt_played",
    "receipt_failed",
    "receipt_unknown",
    "message_received",
    "message_unsupported",
    "identity_changed",
    "account_error",
    "group_snapshot",
    "command_requested",
    "command_refused",
    "command_sent",
    "command_answered",
    "command_reconciled",
    "group_visibility_set",
    "group_moderators_set",
    "group_label_added",
    "group_label_removed",
    "group_archived",
    "group_unarchived",
    "group_blocked",
    "group_unblocked",
    "message_viewed",
];

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Text; Parquet: UTF-8.
    Text,
    /// A time, RFC 3339 in UTC with milliseconds; Parquet: timestamp in ms, UTC.
    Time,
    /// True or false.
    Flag,
    /// A whole number, 0 or more; Parquet: INT64.
    Number,
    /// A list of texts; CSV: joined by blanks; Parquet: a list.
    Texts,
    /// JSON; CSV and Parquet: as text.
    Json,
}

/// A column and what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    /// False where the value can be absent: null in JSON and Parquet, empty in CSV.
    pub(crate) always: bool,
    pub(crate) says: &'static str,
}

const fn always(name: &'static str, of: Type, says: &'static str) -> Column {
    Column { name, of, always: true, says }
}

const fn maybe(name: &'static str, of: Type, says: &'static str) -> Column {
    Column { name, of, always: false, says }
}

/// The columns, in their order.
pub(crate) const COLUMNS: &[Column] = &[
    always(
        "event_id",
        Type::Text,
        "Content hash, 32 hex digits: the same event has the same id, however often it came",
    ),
    always("kind", Type::Text, "What happened"),
    always("provider", Type::Text, "Who reported it"),
    maybe("provider_time", Type::Time, "When it happened, as the provider says"),
    always(
        "time_quality",
        Type::Text,
        "Where provider_time is from: provider, envelope, received, or unknown",
    ),
    maybe("received_time", Type::Time, "When the receiver had the webhook"),
    always("log_time", Type::Time, "When the log took it: what the order, --from, --until and days go by"),
    always("account", Type::Text, "Meta: the WhatsApp Business Account"),
    maybe("phone_number_id", Type::Text, "The business number's id"),
    maybe("display_phone_number", Type::Text, "The business number"),
    maybe("group_id", Type::Text, "The group; absent for events of an account"),
    maybe("message_id", Type::Text, "The message that a receipt, a message or an identity change speaks of"),
    maybe("status", Type::Text, "Receipts: sent, delivered, read, played or failed"),
    maybe("receipt_scope", Type::Text, "Receipts: whom they speak for: message, participant or aggregate"),
    always("member_wa_ids", Type::Texts, "Phone numbers of the persons concerned"),
    always("member_user_ids", Type::Texts, "User ids of the persons concerned"),
    always("members", Type::Json, "The persons concerned, each with all names the webhook gave"),
    maybe("actor", Type::Text, "Who did it: business or participant; absent where the provider does not say"),
    maybe("pricing_billable", Type::Flag, "Receipts: whether the provider bills it"),
    maybe("pricing_model", Type::Text, "Receipts: how the provider bills"),
    maybe("pricing_type", Type::Text, "Receipts: why it is billed or free"),
    maybe("pricing_category", Type::Text, "Receipts: marketing, utility, authentication, service, …"),
    always("error_codes", Type::Texts, "Codes of the errors that the provider names"),
    always("request_id", Type::Text, "The receiver's id of the POST it came in"),
    maybe("provider_request_id", Type::Text, "The provider's id of the command that it answers"),
    always("evidence", Type::Text, "How it became known: webhook, api_reply, snapshot, platform, or unknown"),
    always("replayed", Type::Flag, "It came in again, by the replay of a failure"),
    always("field", Type::Text, "The provider's name of the webhook (Meta: changes[].field)"),
    always("partition", Type::Number, "Partition of the log"),
    always("sequence", Type::Number, "Sequence in the partition; partition:sequence is the position"),
    always("data", Type::Json, "What is particular to the kind"),
    maybe("actor_user_id", Type::Text, "The platform's own id of its user who did it"),
];

/// The column that `--original` adds.
pub(crate) const ORIGINAL: Column =
    maybe("original", Type::Text, "The item's JSON as the provider sent it, byte for byte");

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Text(Option<String>),
    /// Unix milliseconds.
    Time(Option<i64>),
    Flag(Option<bool>),
    Number(u64),
    Texts(Vec<String>),
    Json(Value),
}

/// An event as cells, in the order of [`COLUMNS`].
pub(crate) type Row = Vec<Cell>;

/// Lays an event out.
pub(crate) fn row(event: &Event) -> Row {
    let Event { record, partition, sequence, log_time_ms } = event;
    let kind = record.event.as_ref().and_then(|event| event.kind.as_ref());
    let people = kind.map(data::people).unwrap_or_default();
    let receipt = match kind {
        Some(Kind::Receipt(receipt)) => Some(receipt),
        _ => None,
    };
    let pricing = receipt.and_then(|receipt| receipt.pricing.as_ref());
    let status = receipt.and_then(|_| kind.and_then(|kind| kind.name().strip_prefix("receipt_")));
    let names = |of: fn(&Participant) -> &Option<String>| {
        Cell::Texts(people.iter().filter_map(|person| of(person).clone()).collect())
    };
    vec![
        text(&record.event_id),
        text(kind_name(record)),
        text(record.provider().name()),
        time(record.provider_time_ms),
        text(quality(record.time_quality())),
        time(record.received_time_ms),
        Cell::Time(Some(*log_time_ms)),
        text(&record.account),
        filled(&record.phone_number_id),
        filled(&record.display_phone_number),
        filled(&record.group_id),
        Cell::Text(kind.and_then(data::message_id).map(str::to_owned)),
        Cell::Text(status.map(str::to_owned)),
        Cell::Text(receipt.and_then(|receipt| scope(receipt.scope())).map(str::to_owned)),
        names(|person| &person.wa_id),
        names(|person| &person.user_id),
        Cell::Json(Value::Array(people.iter().map(|person| data::person(person)).collect())),
        Cell::Text(actor(record).map(str::to_owned)),
        Cell::Flag(pricing.and_then(|pricing| pricing.billable)),
        Cell::Text(pricing.and_then(|pricing| pricing.pricing_model.clone())),
        Cell::Text(pricing.and_then(|pricing| pricing.r#type.clone())),
        Cell::Text(pricing.and_then(|pricing| pricing.category.clone())),
        Cell::Texts(kind.map(data::error_codes).unwrap_or_default()),
        text(&record.request_id),
        Cell::Text(record.provider_request_id.clone()),
        text(evidence(record.evidence())),
        Cell::Flag(Some(record.replayed)),
        text(&record.field),
        Cell::Number(u64::from(*partition)),
        Cell::Number(*sequence),
        Cell::Json(kind.map_or_else(|| json!({}), data::of_kind)),
        Cell::Text(record.actor.as_ref().and_then(|actor| actor.user_id.clone())),
    ]
}

/// The item's own JSON; absent where nothing was kept.
pub(crate) fn original(record: &Record) -> Cell {
    let json = String::from_utf8_lossy(&record.original_json);
    Cell::Text((!json.is_empty()).then(|| json.into_owned()))
}

/// Stable name of what happened.
pub(crate) fn kind_name(record: &Record) -> &'static str {
    record.event.as_ref().and_then(|event| event.kind.as_ref()).map_or("unknown", Kind::name)
}

/// A row as JSON, absent values as null.
pub(crate) fn json(columns: &[Column], row: Row) -> Map<String, Value> {
    columns.iter().zip(row).map(|(column, cell)| (column.name.to_owned(), cell.into_json())).collect()
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

/// A row as a line of JSON, fields by name: the text of [`json()`], without the tree.
pub(crate) fn json_line(heads: &Heads, row: &Row) -> serde_json::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LINE_BYTES);
    for (index, head) in &heads.0 {
        line.extend_from_slice(head);
        row[*index].write_json(&mut line)?;
    }
    line.extend_from_slice(b"}\n");
    Ok(line)
}

/// Room for most lines.
const LINE_BYTES: usize = 1536;

impl Cell {
    fn write_json(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Text(text) => serde_json::to_writer(line, text),
            Self::Time(time_ms) => serde_json::to_writer(line, &time_ms.map(rfc3339)),
            Self::Flag(flag) => serde_json::to_writer(line, flag),
            Self::Number(number) => serde_json::to_writer(line, number),
            Self::Texts(texts) => serde_json::to_writer(line, texts),
            Self::Json(value) => serde_json::to_writer(line, value),
        }
    }

    pub(crate) fn into_json(self) -> Value {
        match self {
            Self::Text(text) => text.map_or(Value::Null, Value::from),
            Self::Time(time_ms) => time_ms.map_or(Value::Null, |time_ms| rfc3339(time_ms).into()),
            Self::Flag(flag) => flag.map_or(Value::Null, Value::from),
            Self::Number(number) => number.into(),
            Self::Texts(texts) => texts.into(),
            Self::Json(value) => value,
        }
    }

    pub(crate) fn into_csv(self) -> String {
        match self {
            Self::Text(text) => text.unwrap_or_default(),
            Self::Time(time_ms) => time_ms.map(rfc3339).unwrap_or_default(),
            Self::Flag(flag) => flag.map(|flag| flag.to_string()).unwrap_or_default(),
            Self::Number(number) => number.to_string(),
            Self::Texts(texts) => texts.join(" "),
            Self::Json(value) => value.to_string(),
        }
    }
}

/// Milliseconds as RFC 3339 in UTC.
pub(crate) fn rfc3339(time_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(time_ms)
        .map_or_else(|_| time_ms.to_string(), |time| format!("{time:.3}"))
}

fn text(text: &str) -> Cell {
    Cell::Text(Some(text.to_owned()))
}

fn filled(text: &str) -> Cell {
    Cell::Text((!text.is_empty()).then(|| text.to_owned()))
}

fn time(time_ms: i64) -> Cell {
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
            let line = String::from_utf8(json_line(&Heads::of(&columns), &row).unwrap()).unwrap();
            assert_eq!(line, format!("{}\n", Value::from(json(&columns, row))));
        }
    }
}
