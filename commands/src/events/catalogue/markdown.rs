//! The catalogue as Markdown.

use std::fmt::Write as _;

use super::kinds::{KINDS, Of};
use super::samples;
use crate::events::alias::ALIASES;
use crate::events::row;
use crate::events::shape::{COLUMNS, ORIGINAL, Type};

const HEAD: &str = "# Events

<!-- Generated: GROUPFOLD_UPDATE=1 cargo test -p groupfold-tests catalogue -->

What `groupfold events tail` and `groupfold events export` give. One message of the log is one event is one item of a webhook.
JSON Schemas: [json-schemas/event.json](json-schemas/event.json), [json-schemas/cloudevent.json](json-schemas/cloudevent.json). `groupfold events
catalogue` prints this page for the build at hand.

**Order.** Partitions are merged by the time at which the log took the event (`log_time`, milliseconds after the receiver had
it), then partition, then sequence. Within a partition this time never goes back, so the order is the same whenever it is
read. An export, and each look of `tail --follow`, ends in all partitions with what the log had taken at one moment of the broker's
clock, so that what a later one adds comes later in the order, too. There are two exceptions: `--until` a position ends where it
says, and what it left follows behind it; and servers of a cluster have clocks of their own, which the order is as good as. What
happened first, `provider_time` tells.

**Duplicates.** The same event has the same `event_id`. It can stand in the log twice (it came again after the broker's
window) or once in every partition (`identity_changed`): `--dedupe`, or take distinct ids. With `--dedupe` a resumed export reads
again what it wrote, and fails where the log no longer has that.

**Persons.** An event names persons as the provider did: by number (`wa_id`), by user id, or both, and under new names after
`identity_changed`, whose `data` has the `previous` and the `current` ones. Who is one person is worked out from all of that: names
that stand together in an element of `members` are one person's, and so are those of a change. What it comes to is asked of the API:
`GET /v1/groups/{group_id}/members` gives each a `member_id`, with the names of now, and `groupfold usage` counts deliveries by
person, each once; a count over `member_wa_ids` alone leaves out whoever was told by user id.

**Formats.** JSON lines: an object a line, absent values null. CSV: with a header, absent values empty, lists joined by blanks, JSON
as text. Parquet: a folder of files, zstd, JSON as text; with `--by-day` in folders `day=2026-01-31` (UTC, by `log_time`).
CloudEvents 1.0: the same object as `data`. `PATH.manifest.json` beside it: range, counts by kind, SHA-256 of each file,
schema version, and the watermark from which `--resume` goes on, with the time at which the log took the message there: a log
put back from an older copy, or made anew, is not gone on with (it ends with 1: choose another `--out`). Without `--out` the lines
go to stdout, the same bytes as in a file, without a manifest; the outcome and the progress go to stderr.

**Redaction.** `--redact` replaces numbers, names, links, texts, and ids of groups, messages and requests to join (they hold
numbers) by pseudonyms: HMAC-SHA256 under `--redact-key`, so that equal stays equal. Ids of accounts, business numbers, events,
commands and the provider's requests stay.
";

/// The whole page.
pub(super) fn document() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Columns\n\n| column | type | |\n|---|---|---|\n");
    for column in COLUMNS.iter().chain([&ORIGINAL]) {
        let of = match column.of {
            Type::Text => "text",
            Type::Time => "time",
            Type::Flag => "true or false",
            Type::Number => "number",
            Type::Texts => "list of texts",
            Type::Json => "JSON",
        };
        let absent = if column.always { "" } else { ", or absent" };
        let only = if column.name == ORIGINAL.name { " (with `--original`)" } else { "" };
        let _ = writeln!(page, "| `{}` | {of}{absent} | {}{only} |", column.name, column.says);
    }
    page.push_str("\n## Kinds of lines\n\n`--kind` also takes the kind of a line of a history (`GET /v1/groups/{group_id}/timeline`) \
                   for the events that tell\nsuch lines (an event may tell other lines as well, and a snapshot none of them); where that is not the \
                   event of the same name\nalone:\n\n| line | events |\n|---|---|\n");
    for (line, kinds) in ALIASES {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let _ = writeln!(page, "| `{line}` | {} |", kinds.join(", "));
    }
    page.push_str("\n## Kinds\n");
    for kind in KINDS {
        let _ = write!(page, "\n### {}\n\n{} Webhook: {}.\n", kind.name, kind.means, kind.source);
        if !kind.fields.is_empty() {
            page.push_str("\n| in `data` | | |\n|---|---|---|\n");
        }
        for field in kind.fields {
            let _ = writeln!(page, "| `{}` | {} | {} |", field.name, of(field.of), field.says);
        }
        let row = row::json(COLUMNS, &row::row(&samples::event(kind.name, kind.source)));
        let told = row.into_iter().filter(|(_, value)| !value.is_null());
        let example = serde_json::Value::Object(told.collect());
        let _ = write!(page, "\n```json\n{example}\n```\n");
    }
    page
}

fn of(of: Of) -> String {
    match of {
        Of::Text => "text".to_owned(),
        Of::Texts => "list of texts".to_owned(),
        Of::Time => "time".to_owned(),
        Of::Flag => "true or false".to_owned(),
        Of::Number => "number".to_owned(),
        Of::Word(words) => words.join(", "),
        Of::One(name) => name.replace('_', " "),
        Of::List(name) => format!("list of {}", name.replace('_', " ")),
    }
}
