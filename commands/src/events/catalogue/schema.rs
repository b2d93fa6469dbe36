//! JSON Schemas of an event and of its CloudEvents envelope.

use serde_json::{Map, Value, json};

use super::kinds::{Field, KINDS, Of};
use crate::events::shape::{COLUMNS, Column, ORIGINAL, SCHEMA_VERSION, Type};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a line of `events tail` and of a JSON lines export.
pub(super) fn event() -> String {
    let names = |columns: &mut dyn Iterator<Item = &Column>| columns.map(|c| c.name).collect::<Vec<_>>();
    let mut properties: Map<String, Value> =
        COLUMNS.iter().chain([&ORIGINAL]).map(|column| (column.name.to_owned(), of_column(column))).collect();
    properties.insert("kind".into(), json!({ "enum": super::names().collect::<Vec<_>>() }));
    properties.insert("members".into(), json!({ "type": "array", "items": { "$ref": "#/$defs/person" } }));
    let by_kind: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            json!({
                "if": { "properties": { "kind": { "const": kind.name } } },
                "then": { "properties": { "data": object(kind.fields) } },
            })
        })
        .collect();
    pretty(&json!({
        "$schema": DIALECT,
        "title": "An event of groupfold",
        "description": format!("Version {SCHEMA_VERSION}; columns may be added at the end."),
        "type": "object",
        "properties": properties,
        "required": names(&mut COLUMNS.iter()),
        "additionalProperties": false,
        "allOf": by_kind,
        "$defs": definitions(),
    }))
}

/// The schema of a line of a CloudEvents export.
pub(super) fn cloud_event() -> String {
    let text = json!({ "type": "string", "minLength": 1 });
    pretty(&json!({
        "$schema": DIALECT,
        "title": "An event of groupfold as a CloudEvent",
        "type": "object",
        "properties": {
            "specversion": { "const": "1.0" },
            "id": text,
            "source": text,
            "type": { "type": "string", "pattern": "^groupfold\\." },
            "subject": text,
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "const": "application/json" },
            "position": { "type": "string", "pattern": "^[0-9]+:[0-9]+$" },
            "data": { "$ref": "event.json" },
        },
        "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "position", "data"],
    }))
}

fn of_column(column: &Column) -> Value {
    let (of, more) = match column.of {
        Type::Text => ("string", json!({})),
        Type::Time => ("string", json!({ "format": "date-time" })),
        Type::Flag => ("boolean", json!({})),
        Type::Number => ("integer", json!({ "minimum": 0 })),
        Type::Texts => ("array", json!({ "items": { "type": "string" } })),
        Type::Json => ("object", json!({})),
    };
    let mut schema = more;
    schema["type"] = if column.always { json!(of) } else { json!([of, "null"]) };
    schema["description"] = column.says.into();
    schema
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut schema = of_field(field.of);
            schema["description"] = field.says.into();
            (field.name.to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn of_field(of: Of) -> Value {
    match of {
        Of::Text => json!({ "type": "string" }),
        Of::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Of::Time => json!({ "type": "string", "format": "date-time" }),
        Of::Flag => json!({ "type": "boolean" }),
        Of::Number => json!({ "type": "integer" }),
        Of::Word(words) => json!({ "enum": words }),
        Of::One(name) => json!({ "$ref": format!("#/$defs/{name}") }),
        Of::List(name) => json!({ "type": "array", "items": { "$ref": format!("#/$defs/{name}") } }),
    }
}

fn definitions() -> Value {
    let text = json!({ "type": "string" });
    let texts = |names: &[&str]| {
        let properties: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), text.clone())).collect();
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    };
    let person = json!({ "$ref": "#/$defs/person" });
    let errors = json!({ "type": "array", "items": { "$ref": "#/$defs/error" } });
    let value = json!({ "$ref": "#/$defs/setting_value" });
    json!({
        "person": texts(&["wa_id", "user_id", "parent_user_id", "username", "lid", "input", "display_name"]),
        "error": texts(&["code", "title", "message", "details", "href"]),
        "failure": {
            "type": "object",
            "properties": { "participant": person, "errors": errors },
            "additionalProperties": false,
        },
        "name": text,
        "item": {
            "type": "object",
            "properties": {
                "name": text, "outcome": { "enum": ["succeeded", "failed", "unknown"] }, "errors": errors,
            },
            "additionalProperties": false,
        },
        "setting_value": {
            "type": "object",
            "properties": {
                "text": text, "flag": { "type": "boolean" }, "number": { "type": "integer" },
                "mime_type": text, "sha256": text,
            },
            "additionalProperties": false,
        },
        "change": {
            "type": "object",
            "properties": {
                "setting": { "enum": [
                    "unknown", "subject", "description", "picture", "join_approval_mode", "invite_link",
                    "announce", "locked", "member_add_mode", "ephemeral_seconds",
                ] },
                "old": value, "new": value,
                "outcome": { "enum": ["unknown", "succeeded", "failed"] },
                "errors": errors,
            },
            "required": ["setting", "outcome"],
            "additionalProperties": false,
        },
        "snapshot_person": {
            "type": "object",
            "properties": {
                "participant": person, "role": { "enum": ["member", "admin"] },
                "pending": { "type": "boolean" }, "join_request_id": text,
            },
            "additionalProperties": false,
        },
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
