//! The provider's side, as still as a test needs it: groups that are there, answered as the Graph API does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::hook::NUMBER;

pub(crate) const TOKEN: &str = "EAAtoken-of-a-test";

/// Of every group.
const SUBJECT: &str = "Tea";

/// A group of the provider.
#[derive(Debug, Clone)]
pub(crate) struct There {
    /// By number, or by a user id that begins with `user-`.
    pub(crate) members: Vec<&'static str>,
    pub(crate) pending: Vec<&'static str>,
    pub(crate) known: bool,
    pub(crate) suspended: bool,
}

impl There {
    pub(crate) fn with(members: &[&'static str]) -> Self {
        Self { members: members.to_vec(), pending: Vec::new(), known: true, suspended: false }
    }
}

type Groups = Arc<Mutex<BTreeMap<String, There>>>;

/// A Graph API. Ends with the test's runtime.
pub(crate) struct Graph {
    pub(crate) url: String,
    groups: Groups,
}

impl Graph {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/v25.0", listener.local_addr().expect("it listens"));
        let groups = Groups::default();
        let of_server = Arc::clone(&groups);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&of_server)));
            }
        });
        Self { url, groups }
    }

    pub(crate) fn put(&self, group: &str, there: There) {
        self.groups.lock().expect("nobody panicked").insert(group.to_owned(), there);
    }
}

async fn serve(mut stream: TcpStream, groups: Groups) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let (status, body) = answer(&head, &groups.lock().expect("nobody panicked"));
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let text = body.to_string();
    let response = format!(
        "HTTP/1.1 {status} -\r\ndate: {date}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(response.as_bytes()).await;
}

fn answer(head: &str, groups: &BTreeMap<String, There>) -> (u16, Value) {
    let error = |status, code, message| (status, json!({ "error": { "code": code, "message": message } }));
    if !head.to_lowercase().contains(&format!("authorization: bearer {}", TOKEN.to_lowercase())) {
        return error(401, 190, "bad token");
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path: Vec<&str> = path.trim_start_matches("/v25.0/").split('/').collect();
    match path.as_slice() {
        [number, "groups"] if *number == NUMBER => (200, list(query, groups)),
        [group] if groups.get(*group).is_some_and(|there| there.known) => (200, info(group, &groups[*group])),
        [group, "join_requests" | "invite_link"]
            if groups.get(*group).is_some_and(|there| there.suspended) =>
        {
            error(403, 131_207, "group suspended")
        }
        [group, "join_requests"] if groups.contains_key(*group) => {
            let request = |wa_id: &&str| json!({ "join_request_id": format!("R{wa_id}"), "wa_id": wa_id });
            (200, json!({ "data": groups[*group].pending.iter().map(request).collect::<Vec<_>>() }))
        }
        [group, "invite_link"] if groups.contains_key(*group) => {
            (200, json!({ "invite_link": format!("https://chat.whatsapp.com/{group}") }))
        }
        _ => error(400, 131_041, "group unknown"),
    }
}

/// One group a page, so that all lists have several.
fn list(query: &str, groups: &BTreeMap<String, There>) -> Value {
    let after = query.split('&').find_map(|pair| pair.strip_prefix("after=")).unwrap_or_default();
    let mut rest = groups.iter().filter(|(id, _)| id.as_str() > after);
    let Some((id, _)) = rest.next() else { return json!({ "data": { "groups": [] } }) };
    let mut page = json!({ "data": { "groups": [
        { "id": id, "subject": SUBJECT, "created_at": "1767225600" } ] } });
    if rest.next().is_some() {
        page["paging"] = json!({ "cursors": { "after": id }, "next": "https://graph.facebook.com/next" });
    }
    page
}

fn info(group: &str, there: &There) -> Value {
    let listed = |name: &&str| match name.starts_with("user-") {
        true => json!({ "user_id": name }),
        false => json!({ "wa_id": name }),
    };
    let members: Vec<Value> = there.members.iter().map(listed).collect();
    json!({
        "id": group, "messaging_product": "whatsapp", "subject": SUBJECT, "suspended": there.suspended,
        "join_approval_mode": "approval_required", "creation_timestamp": 1_767_225_600,
        "total_participant_count": members.len(), "participants": members,
    })
}
