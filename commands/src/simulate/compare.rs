//! A truth file held against the query API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::Error;
use crate::api::{Client, Request};

/// Requests under way at once.
const REQUESTS_MAX: usize = 8;
/// How long the API may take to reach the position that the truth knows of.
const WAIT_MS: u64 = 30_000;

struct Api<'a> {
    client: &'a Client,
    position: &'a str,
}

/// All differences between a truth file and the API, by name; empty if there is none.
///
/// # Errors
/// The file cannot be read or is no truth.
pub(crate) async fn compare(truth: &Path, client: &Client) -> Result<Vec<String>, Error> {
    let path = || truth.to_owned();
    let text = std::fs::read(truth).map_err(|source| Error::ReadTruth { path: path(), source })?;
    let truth: Value =
        serde_json::from_slice(&text).map_err(|source| Error::ParseTruth { path: path(), source })?;
    // A file that says nothing would agree with anything.
    if !(truth["groups"].is_object() && truth["messages"].is_object()) {
        let source = serde::de::Error::custom("`groups` and `messages` must be objects");
        return Err(Error::ParseTruth { path: path(), source });
    }
    let api = Api { client, position: truth["position"].as_str().unwrap_or_default() };
    let of =
        |key: &str| truth[key].as_object().into_iter().flatten().map(|(id, of)| (id.clone(), of.clone()));
    let groups = stream::iter(of("groups").collect::<Vec<_>>())
        .map(|(id, group)| api.compare_group(id, group))
        .buffer_unordered(REQUESTS_MAX)
        .collect::<Vec<_>>()
        .await;
    let messages = stream::iter(of("messages").collect::<Vec<_>>())
        .map(|(id, message)| api.compare_message(id, message))
        .buffer_unordered(REQUESTS_MAX)
        .collect::<Vec<_>>()
        .await;
    let mut differences: Vec<String> = groups.into_iter().chain(messages).flatten().collect();
    differences.sort();
    let lost = truth["undelivered_posts"].as_u64().unwrap_or(0);
    if lost > 0 && !differences.is_empty() {
        differences
            .insert(0, format!("{lost} POSTs of the run were never acknowledged: differences are no wonder"));
    }
    Ok(differences)
}

impl Api<'_> {
    async fn compare_group(&self, id: String, truth: Value) -> Vec<String> {
        let mut found = Differences { of: format!("group {id}"), lines: Vec::new() };
        match self.get(&["v1", "groups", &id], None).await {
            Err(why) => found.say(&why),
            Ok(group) => found.group(&truth, &group),
        }
        match self.timeline(&id).await {
            Err(why) => found.say(&why),
            Ok(entries) => found.timeline(&truth["timeline"], &entries),
        }
        found.lines
    }

    async fn compare_message(&self, id: String, truth: Value) -> Vec<String> {
        let mut found = Differences { of: format!("message {id}"), lines: Vec::new() };
        match self.get(&["v1", "messages", &id, "receipts"], None).await {
            Err(why) => found.say(&why),
            Ok(message) => found.message(&truth, &message),
        }
        found.lines
    }

    async fn timeline(&self, group: &str) -> Result<Vec<Value>, String> {
        let mut entries = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut page = self.get(&["v1", "groups", group, "timeline"], cursor.clone()).await?;
            let next = page["cursor"].as_str().map(str::to_owned);
            let Some(Value::Array(more)) = page.get_mut("entries").map(Value::take) else {
                return Err("the timeline has no entries".to_owned());
            };
            entries.extend(more);
            // The same cursor again would go round for ever.
            if next.is_none() || next == cursor {
                return Ok(entries);
            }
            cursor = next;
        }
    }

    async fn get(&self, path: &[&str], cursor: Option<String>) -> Result<Value, String> {
        let position = Some(self.position.to_owned()).filter(|position| !position.is_empty());
        let query = [("wait_ms", Some(WAIT_MS.to_string())), ("min_position", position), ("cursor", cursor)];
        let deadline = Some(Duration::from_millis(2 * WAIT_MS));
        let request = Request { path, query: &query, deadline, ..Request::default() };
        let answer = self.client.send(request).await.map_err(|failure| failure.to_string())?;
        match answer.status {
            status if status.is_success() => Ok(answer.body),
            status => Err(format!("GET /{} was answered {}", path.join("/"), status.as_u16())),
        }
    }
}

struct Differences {
    of: String,
    lines: Vec<String>,
}

impl Differences {
    fn say(&mut self, what: &str) {
        self.lines.push(format!("{}: {what}", self.of));
    }

    fn same(&mut self, what: &str, truth: &Value, api: &Value) {
        if truth != api {
            self.say(&format!("{what}: truth {truth}, API {api}"));
        }
    }

    fn same_time(&mut self, what: &str, truth: &Value, api: &Value) {
        self.same(what, truth, &unix_seconds(api));
    }

    fn group(&mut self, truth: &Value, api: &Value) {
        for field in
            ["status", "subject", "description", "join_approval_mode", "invite_link", "phone_number_id"]
        {
            self.same(field, &truth[field], &api[field]);
        }
        self.same("picture", &truth["picture_sha256"], &api["picture"]["sha256"]);
        for count in ["member", "pending"] {
            self.same(&format!("count of {count}"), &truth["counts"][count], &api["counts"][count]);
        }
        let open_until = &api["service_window"]["open_until"];
        self.same_time("window open until", &truth["window_open_until"], open_until);
        let status = |member: &Value| member["status"].as_str().unwrap_or("nothing").to_owned();
        self.people(&truth["members"], &api["members"], status, status);
    }

    fn message(&mut self, truth: &Value, api: &Value) {
        self.same("group", &truth["group_id"], &api["group_id"]);
        self.same_time("sent at", &truth["sent_at"], &api["sent_at"]);
        let failed = Value::Bool(api["failed"].is_object());
        self.same("failed", &truth["failed"], &failed);
        for count in ["delivered", "read", "played"] {
            self.same(&format!("count of {count}"), &truth["counts"][count], &api["counts"][count]);
        }
        const TIMES: [&str; 3] = ["delivered_at", "read_at", "played_at"];
        let ours = |member: &Value| TIMES.map(|time| format!("{time} {}", member[time])).join(" ");
        let theirs =
            |member: &Value| TIMES.map(|time| format!("{time} {}", unix_seconds(&member[time]))).join(" ");
        self.people(&truth["members"], &api["members"], ours, theirs);
    }

    /// Compares two lists of people, whatever their order.
    fn people(
        &mut self,
        truth: &Value,
        api: &Value,
        ours: impl Fn(&Value) -> String,
        theirs: impl Fn(&Value) -> String,
    ) {
        let mut lists: BTreeMap<String, [Vec<String>; 2]> = BTreeMap::new();
        for member in truth.as_array().into_iter().flatten() {
            lists.entry(names(member)).or_default()[0].push(ours(member));
        }
        for member in api.as_array().into_iter().flatten() {
            lists.entry(names(member)).or_default()[1].push(theirs(member));
        }
        for (name, [mut truth, mut api]) in lists {
            truth.sort();
            api.sort();
            if truth != api {
                let list =
                    |of: Vec<String>| if of.is_empty() { "nobody".to_owned() } else { of.join(" and ") };
                self.say(&format!("{name}: truth {}, API {}", list(truth), list(api)));
            }
        }
    }

    fn timeline(&mut self, truth: &Value, api: &[Value]) {
        let mut lines: BTreeMap<(String, String), [u64; 2]> = BTreeMap::new();
        let kind = |line: &Value| line["kind"].as_str().unwrap_or_default().to_owned();
        for line in truth.as_array().into_iter().flatten() {
            lines.entry((line["at"].to_string(), kind(line))).or_default()[0] += 1;
        }
        for line in api {
            lines.entry((unix_seconds(&line["at"]).to_string(), kind(line))).or_default()[1] += 1;
        }
        for ((at, kind), [truth, api]) in lines {
            if truth != api {
                self.say(&format!("timeline: {kind} at {at}: truth {truth}, API {api}"));
            }
        }
    }
}

/// A person's names as one text.
fn names(member: &Value) -> String {
    let name = |key: &str| member[key].as_str().map(|name| format!("{key} {}", name.trim_start_matches('@')));
    let names: Vec<String> = ["wa_id", "user_id", "username"].into_iter().filter_map(name).collect();
    if names.is_empty() { "somebody without a name".to_owned() } else { names.join(" ") }
}

/// RFC 3339 as Unix seconds; what is no time stays as it is, so that it is named as different.
fn unix_seconds(time: &Value) -> Value {
    match time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) {
        Some(time) => Value::from(time.as_second()),
        None => time.clone(),
    }
}

#[cfg(test)]
mod tests;
