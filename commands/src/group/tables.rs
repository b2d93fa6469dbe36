//! Answers of the query API as tables for people.

use comfy_table::Table as Grid;
use serde_json::Value;

use crate::print;

/// Lays an answer out.
pub(super) type Table = fn(&Value) -> String;

/// A field as text; what is not there is a dash.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn rows<'a>(answer: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn with_cursor(grid: &Grid, answer: &Value) -> String {
    match answer.get("cursor").and_then(Value::as_str) {
        Some(cursor) => format!("{grid}\nmore: --cursor {cursor}"),
        None => grid.to_string(),
    }
}

/// What to call a person.
fn name(member: &Value) -> String {
    let known = |field| member.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(wa_id) = known("wa_id") {
        format!("+{wa_id}")
    } else if let Some(username) = known("username") {
        format!("@{username}")
    } else {
        known("user_id").or(known("member_id")).unwrap_or("-").to_owned()
    }
}

/// When something began or ended: the time reported, else the time by which it had.
fn when(member: &Value, what: &str) -> String {
    let by = format!("/{what}_between/by");
    match member.pointer(&by).and_then(Value::as_str) {
        Some(by) => format!("by {by}"),
        None => text(member, &format!("/{what}_at")),
    }
}

pub(super) fn groups(answer: &Value) -> String {
    let mut grid = print::table(["GROUP", "STATUS", "SUBJECT", "MEMBERS", "PENDING", "CREATED", "MARKS"]);
    for group in rows(answer, "groups") {
        grid.add_row([
            text(group, "/group_id"),
            text(group, "/status"),
            text(group, "/subject"),
            text(group, "/counts/member"),
            text(group, "/counts/pending"),
            text(group, "/created_at"),
            marks(group),
        ]);
    }
    with_cursor(&grid, answer)
}

/// What the platform said of a group, in a few words.
fn marks(group: &Value) -> String {
    let flags = ["archived", "blocked"].into_iter().filter(|flag| group[*flag] == true);
    let labels = rows(group, "labels").filter_map(Value::as_str);
    let marks: Vec<&str> = flags.chain(labels).collect();
    if marks.is_empty() { "-".to_owned() } else { marks.join(", ") }
}

fn list(value: &Value, pointer: &str) -> String {
    let texts = value.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn visibility(group: &Value) -> String {
    if group.pointer("/visibility/all") == Some(&Value::Bool(true)) {
        return "all".to_owned();
    }
    let named =
        [("teams", "/visibility/teams"), ("users", "/visibility/users"), ("moderators", "/moderators")];
    let named = named.map(|(what, pointer)| (what, list(group, pointer)));
    let named: Vec<String> = named
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(what, ids)| format!("{what} {ids}"))
        .collect();
    if named.is_empty() { "nobody".to_owned() } else { named.join("; ") }
}

/// What was written, and where.
pub(super) fn written(answer: &Value) -> String {
    let until = if answer["folded"] == true { "reads show it" } else { "not folded yet" };
    format!("event {} at {}: {until}", text(answer, "/event_id"), text(answer, "/position"))
}

pub(super) fn group(answer: &Value) -> String {
    let mut grid = print::table(["FIELD", "VALUE"]);
    for (label, pointer) in [
        ("group", "/group_id"),
        ("status", "/status"),
        ("subject", "/subject"),
        ("description", "/description"),
        ("number", "/phone_number_id"),
        ("account", "/account"),
        ("join approval", "/join_approval_mode"),
        ("created", "/created_at"),
        ("deleted", "/deleted_at"),
        ("window until", "/service_window/open_until"),
        ("last failure", "/last_failure/type"),
        ("warnings", "/warnings"),
        ("position", "/position"),
    ] {
        grid.add_row([label.to_owned(), text(answer, pointer)]);
    }
    grid.add_row(["marks".to_owned(), marks(answer)]);
    grid.add_row(["visible to".to_owned(), visibility(answer)]);
    let moderators = list(answer, "/moderators");
    grid.add_row(["moderators".to_owned(), if moderators.is_empty() { "-".to_owned() } else { moderators }]);
    format!("{grid}\n\n{}", members(answer))
}

pub(super) fn members(answer: &Value) -> String {
    let mut grid = print::table(["MEMBER", "STATUS", "ROLE", "VIA", "JOINED", "LEFT", "ID"]);
    for member in rows(answer, "members") {
        grid.add_row([
            name(member),
            text(member, "/status"),
            text(member, "/role"),
            text(member, "/via"),
            when(member, "joined"),
            when(member, "left"),
            text(member, "/member_id"),
        ]);
    }
    grid.to_string()
}

pub(super) fn timeline(answer: &Value) -> String {
    let mut grid = print::table(["AT", "KIND", "TEXT"]);
    for entry in rows(answer, "entries") {
        grid.add_row([text(entry, "/at"), text(entry, "/kind"), text(entry, "/text")]);
    }
    with_cursor(&grid, answer)
}

pub(super) fn receipts(answer: &Value) -> String {
    let mut grid = print::table(["MEMBER", "STATUS", "DELIVERED", "READ", "PLAYED"]);
    for member in rows(answer, "members") {
        grid.add_row([
            name(member),
            text(member, "/status"),
            text(member, "/delivered_at"),
            text(member, "/read_at"),
            text(member, "/played_at"),
        ]);
    }
    let head = format!("sent {} to group {}", text(answer, "/sent_at"), text(answer, "/group_id"));
    let mut users = print::table(["USER", "VIEWED"]);
    for user in rows(answer, "users") {
        users.add_row([text(user, "/user_id"), text(user, "/viewed_at")]);
    }
    match users.is_empty() {
        true => format!("{head}\n\n{grid}"),
        false => format!("{head}\n\n{grid}\n\n{users}"),
    }
}

pub(super) fn commands(answer: &Value) -> String {
    let mut grid = print::table(["COMMAND", "TYPE", "STATUS", "GROUP", "ASKED BY", "REQUESTED"]);
    for command in rows(answer, "commands") {
        grid.add_row([
            text(command, "/command_id"),
            text(command, "/type"),
            text(command, "/status"),
            text(command, "/group_id"),
            text(command, "/asked_by"),
            text(command, "/requested_at"),
        ]);
    }
    with_cursor(&grid, answer)
}

/// What is known of a command, a line each.
pub(super) fn command(answer: &Value) -> String {
    let fields = [
        ("command", "/command_id"),
        ("type", "/type"),
        ("status", "/status"),
        ("group", "/group_id"),
        ("message", "/message_id"),
        ("invite link", "/invite_link"),
        ("code", "/code"),
        ("advice", "/advice"),
        ("detail", "/detail"),
        ("position", "/position"),
    ];
    let known = fields.into_iter().filter(|(_, at)| answer.pointer(at).is_some_and(|value| !value.is_null()));
    let mut lines: Vec<String> = known.map(|(name, at)| format!("{name:<12}{}", text(answer, at))).collect();
    let outcome = |item: &Value| format!("  {:<10}{}", text(item, "/outcome"), text(item, "/name"));
    lines.extend(rows(answer, "items").map(outcome));
    let error = |error: &Value| format!("  {} {}", text(error, "/code"), text(error, "/title"));
    lines.extend(rows(answer, "errors").map(error));
    lines.join("\n")
}

pub(super) fn join_requests(answer: &Value) -> String {
    let mut grid = print::table(["JOIN REQUEST", "WHO", "SINCE"]);
    for request in rows(answer, "join_requests") {
        grid.add_row([text(request, "/join_request_id"), name(request), text(request, "/created_at")]);
    }
    grid.to_string()
}

pub(super) fn invite_link(answer: &Value) -> String {
    text(answer, "/invite_link")
}
