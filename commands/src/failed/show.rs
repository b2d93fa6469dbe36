//! `groupfold failed show`.

use groupfold_schemas::v1;
use serde_json::{Value, json};

use super::catalog::{Catalog, Entry, settled, settled_in_words};
use super::{OneArgs, ShowArgs, fate};
use crate::exit::Failure;
use crate::log::Log;
use crate::print;

/// Longest part of bytes that are no JSON shown to a person.
const BYTES_SHOWN_MAX: usize = 2_000;

pub(super) async fn run(args: ShowArgs) -> Result<(), Failure> {
    let (log, entry, failed) = find(&args.one).await?;
    let items = fate::today(&failed, args.reading.ignores(&args.one.reach)?);
    let fates = fate::words(&items, &log);
    let too_large = items.iter().any(|item| fate::is_too_large(item, &log)).then(|| fate::larger(&log));
    print::either(
        args.output,
        || to_json(&entry, &failed, &fates).to_string(),
        || in_words(&entry, &failed, &fates, too_large.as_deref()),
    )
}

pub(super) async fn find(args: &OneArgs) -> Result<(Log, Entry, v1::FailedWebhook), Failure> {
    let log = args.reach.open().await?;
    let catalog = Catalog::read(&log).await?;
    let entry = catalog.find(&args.id)?.clone();
    let failed = entry.load(&log).await?;
    Ok((log, entry, failed))
}

/// The field's place within what was kept, whose own place in the body is known.
fn within(failed: &v1::FailedWebhook) -> &str {
    failed.pointer.strip_prefix(failed.item_pointer.as_str()).unwrap_or(&failed.pointer)
}

/// `too_large`: what has the broker take it.
fn in_words(entry: &Entry, failed: &v1::FailedWebhook, fates: &[String], too_large: Option<&str>) -> String {
    let at = if failed.pointer.is_empty() { "the whole".to_owned() } else { failed.pointer.clone() };
    let mut lines = vec![
        format!("failure      {}", failed.failed_id),
        format!("what         {}: {}", failed.cause, explanation(&failed.cause)),
        format!("field        {at}"),
        format!("expected     {}", failed.expected),
        format!("fingerprint  {}", failed.fingerprint),
        format!("received     {} in request {}", print::time(failed.received_time_ms), failed.request_id),
        format!(
            "from         {} account {} number {} field {}",
            entry.provider, failed.account, failed.phone_number_id, failed.field
        ),
        format!("build        {} could not read it", failed.build),
    ];
    if !failed.group_id.is_empty() {
        lines.push(format!("group        {}", failed.group_id));
    }
    if !failed.log_position.is_empty() {
        lines.push(format!("log          {} ({})", failed.log_position, failed.log_subject));
    }
    if entry.times > 1 {
        lines.push(format!("reported     {} times, last {}", entry.times, print::time(entry.last_ms)));
    }
    for header in &failed.headers {
        lines.push(format!("header       {}: {}", header.name, String::from_utf8_lossy(&header.value)));
    }
    let settled = entry.resolution.as_ref().map_or_else(|| "no".to_owned(), settled_in_words);
    lines.push(format!("settled      {settled}"));
    for fate in fates {
        lines.push(format!("today        {fate}"));
    }
    if entry.resolution.is_none() {
        let again = fates.iter().any(|fate| fate.starts_with("fails again"));
        let next = match too_large {
            Some(first) => format!("{first}, then: groupfold failed replay {}", failed.failed_id),
            None => next(failed, again),
        };
        lines.push(format!("next         {next}"));
    }
    lines.push(String::new());
    lines.push(marked(failed));
    lines.join("\n")
}

/// What to do about a failure that is not settled.
fn next(failed: &v1::FailedWebhook, fails_again: bool) -> String {
    let (id, cause) = (&failed.failed_id, &failed.cause);
    if fails_again {
        format!(
            "RUNBOOK, Failure causes, {cause}; if it is of no use: groupfold failed discard {id} --why TEXT"
        )
    } else {
        format!("groupfold failed replay {id}")
    }
}

fn explanation(cause: &str) -> &'static str {
    use groupfold_schemas::failure::Cause;
    match Cause::from_name(cause) {
        Some(Cause::NotJson) => "the signed body is no JSON",
        Some(Cause::MalformedEnvelope) => "the body is no webhook in the documented shape",
        Some(Cause::UnknownObject) => "the body is about something else than a business account",
        Some(Cause::UnknownField) => "a webhook field about groups that this build did not know",
        Some(Cause::UnknownType) => "a type of event that this build did not know",
        Some(Cause::MissingField) => "a field that must be there was not",
        Some(Cause::MalformedField) => "a field had another type or range than it must have",
        Some(Cause::UnreadableRecord) => "a record of the log that the projector could not read",
        None => "a cause that another build knows",
    }
}

/// The JSON with an arrow at the field; bytes that are no JSON as they are.
fn marked(failed: &v1::FailedWebhook) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(&failed.raw) else {
        let shown = &failed.raw[..failed.raw.len().min(BYTES_SHOWN_MAX)];
        let more = failed.raw.len() - shown.len();
        let rest =
            if more > 0 { format!("\n({more} more bytes: groupfold failed raw ID)") } else { String::new() };
        return format!("{}{rest}", String::from_utf8_lossy(shown));
    };
    let path: Vec<String> = within(failed)
        .split('/')
        .skip(1)
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
        .collect();
    let mut lines = Vec::new();
    write(&value, &path, 0, String::new(), "", &failed.expected, &mut lines);
    lines.join("\n")
}

/// Writes a value; `path` is the way from it to the field, if that is below it.
fn write(
    value: &Value,
    path: &[String],
    depth: usize,
    name: String,
    comma: &str,
    expected: &str,
    lines: &mut Vec<String>,
) {
    let pad = "  ".repeat(depth);
    let here =
        |text: String| if path.is_empty() { format!("{text}   <── expected {expected}") } else { text };
    // A way that is none of this value's: nothing below is pointed at, and nothing here.
    let nowhere = [String::new()];
    let below = |key: &str| match path.split_first() {
        Some((first, rest)) if first == key => rest.to_vec(),
        _ => nowhere.to_vec(),
    };
    match value {
        Value::Object(members) => {
            lines.push(here(format!("{pad}{name}{{")));
            let last = members.len().saturating_sub(1);
            for (i, (key, member)) in members.iter().enumerate() {
                let comma = if i == last { "" } else { "," };
                let name = format!("{}: ", Value::from(key.as_str()));
                write(member, &below(key), depth + 1, name, comma, expected, lines);
            }
            if let [missing] = path
                && !missing.is_empty()
                && !members.contains_key(missing)
            {
                lines.push(format!(
                    "{pad}  {}: ⟨missing⟩   <── expected {expected}",
                    Value::from(missing.as_str())
                ));
            }
            lines.push(format!("{pad}}}{comma}"));
        }
        Value::Array(elements) => {
            lines.push(here(format!("{pad}{name}[")));
            let last = elements.len().saturating_sub(1);
            for (i, element) in elements.iter().enumerate() {
                let comma = if i == last { "" } else { "," };
                write(element, &below(&i.to_string()), depth + 1, String::new(), comma, expected, lines);
            }
            lines.push(format!("{pad}]{comma}"));
        }
        scalar => lines.push(here(format!("{pad}{name}{scalar}{comma}"))),
    }
}

fn to_json(entry: &Entry, failed: &v1::FailedWebhook, fates: &[String]) -> Value {
    let headers: serde_json::Map<String, Value> = failed
        .headers
        .iter()
        .map(|header| (header.name.clone(), String::from_utf8_lossy(&header.value).into_owned().into()))
        .collect();
    json!({
        "failed_id": failed.failed_id,
        "cause": failed.cause,
        "pointer": failed.pointer,
        "item_pointer": failed.item_pointer,
        "expected": failed.expected,
        "fingerprint": failed.fingerprint,
        "received_at": print::time(failed.received_time_ms),
        "request_id": failed.request_id,
        "provider": entry.provider,
        "account": failed.account,
        "phone_number_id": failed.phone_number_id,
        "group_id": (!failed.group_id.is_empty()).then_some(&failed.group_id),
        "field": failed.field,
        "build": failed.build,
        "headers": headers,
        "times": entry.times,
        "log_position": (!failed.log_position.is_empty()).then_some(&failed.log_position),
        "resolution": entry.resolution.as_ref().map(settled),
        "today": fates,
        "json": serde_json::from_slice::<Value>(&failed.raw).ok(),
        "raw": String::from_utf8_lossy(&failed.raw),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_marked_where_it_is_or_should_be() {
        let failed = |pointer: &str| v1::FailedWebhook {
            raw: br#"{"a":{"b":[1,{"c":2}]},"d":3}"#.to_vec().into(),
            item_pointer: "/x".into(),
            pointer: format!("/x{pointer}"),
            expected: "a text".into(),
            ..Default::default()
        };
        let line = |pointer: &str| {
            let text = marked(&failed(pointer));
            let found: Vec<_> = text.lines().filter(|line| line.contains("<──")).map(str::to_owned).collect();
            assert_eq!(found.len(), 1, "{pointer}: {text}");
            found[0].trim().to_owned()
        };
        assert_eq!(line("/a/b/1/c"), "\"c\": 2   <── expected a text");
        assert_eq!(line("/a/z"), "\"z\": ⟨missing⟩   <── expected a text");
        assert_eq!(line("/d"), "\"d\": 3   <── expected a text");
        assert_eq!(line(""), "{   <── expected a text");
    }
}
