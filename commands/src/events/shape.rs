//! The flat shape of an event: one list of columns from which JSON, CSV, Parquet and the documents come. What stands in
//! them is laid out by [`super::row`].

/// Version of the columns: raised when one changes its meaning or goes; new ones are added at the end.
pub(crate) const SCHEMA_VERSION: u32 = 1;

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
    maybe("status", Type::Text, "Receipts: sent, delivered, read, played, failed or unknown"),
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

/// Milliseconds as RFC 3339 in UTC.
pub(crate) fn rfc3339(time_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(time_ms)
        .map_or_else(|_| time_ms.to_string(), |time| format!("{time:.3}"))
}
