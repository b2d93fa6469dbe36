//! The Graph API of the simulated provider, as a process over HTTP: what it answers, what it refuses, what it
//! tells by webhook, and what goes wrong by plan.

mod faults;
mod operations;
mod refusals;
mod shapes;

use std::time::Duration;

use groupfold_tests::{Answer, Provider, sign, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

const SECRET: &str = "app-secret-of-a-test";
const NUMBER: &str = Provider::NUMBER;
const BOUND: Duration = Duration::from_secs(60);

/// A provider, and the endpoint that its webhooks go to.
struct World {
    provider: Provider,
    endpoint: Endpoint,
}

impl World {
    async fn with(args: &[&str]) -> Self {
        let provider = Provider::start(SECRET, args).await;
        let endpoint = Endpoint::start(|_| 200);
        provider.tell(&endpoint.url).await;
        Self { provider, endpoint }
    }

    async fn get(&self, path: &str) -> Answer {
        self.provider.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.provider.call(Method::POST, path, Some(of_whatsapp(body))).await
    }

    async fn delete(&self, path: &str, body: Value) -> Answer {
        self.provider.call(Method::DELETE, path, Some(of_whatsapp(body))).await
    }

    async fn create(&self, body: Value) -> Answer {
        self.post(&format!("/{NUMBER}/groups"), body).await
    }

    async fn send(&self, group: &str, body: Value) -> Answer {
        let mut message = json!({ "recipient_type": "group", "to": group, "type": "text" });
        message.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.post(&format!("/{NUMBER}/messages"), message).await
    }

    /// A new group's id, by way of its webhook.
    async fn group(&self, mode: &str) -> String {
        let answer = self.create(json!({ "subject": "Tea", "join_approval_mode": mode })).await;
        assert_eq!(answer.status, 200, "{answer}");
        let created = self.told("group_create", &answer.json["request_id"]).await;
        created["group_id"].as_str().unwrap().to_owned()
    }

    async fn joins(&self, group: &str, person: &str) -> Value {
        self.provider.control("join", json!({ "group_id": group, "person": person })).await
    }

    /// Items of all webhooks so far: the field and the item.
    fn items(&self) -> Vec<(String, Value)> {
        let mut items = Vec::new();
        for post in self.endpoint.taken() {
            assert_eq!(post.header("x-hub-signature-256"), sign(SECRET, &post.body));
            let body: Value = serde_json::from_slice(&post.body).unwrap();
            for entry in body["entry"].as_array().unwrap() {
                for change in entry["changes"].as_array().unwrap() {
                    let field = change["field"].as_str().unwrap();
                    for list in ["groups", "statuses", "messages"] {
                        let of_list = change["value"][list].as_array().into_iter().flatten();
                        items.extend(of_list.map(|item| (field.to_owned(), item.clone())));
                    }
                }
            }
        }
        items
    }

    fn of_type(&self, kind: &str) -> Vec<Value> {
        let items = self.items().into_iter().map(|(_, item)| item);
        items.filter(|item| item["type"] == kind || item["status"] == kind).collect()
    }

    /// The webhook of a type that answers a request.
    async fn told(&self, kind: &str, request_id: &Value) -> Value {
        wait_until(&format!("{kind} of {request_id}"), BOUND, async || {
            let mut found = self.of_type(kind).into_iter().filter(|item| item["request_id"] == *request_id);
            found.next().ok_or("it has not come")
        })
        .await
    }

    /// The webhooks of a type, when there are so many.
    async fn told_times(&self, kind: &str, times: usize) -> Vec<Value> {
        wait_until(&format!("{times} of {kind}"), BOUND, async || {
            let found = self.of_type(kind);
            if found.len() == times { Ok(found) } else { Err(format!("{found:?}")) }
        })
        .await
    }

    async fn fault(&self, fault: Value) {
        self.provider.control("faults", fault).await;
    }

    /// What the provider knows of its last call of an operation.
    async fn last_call(&self, operation: &str) -> Value {
        let calls = self.provider.look(&format!("calls?operation={operation}")).await;
        calls["calls"].as_array().unwrap().last().expect("a call").clone()
    }
}

fn of_whatsapp(mut body: Value) -> Value {
    body["messaging_product"] = json!("whatsapp");
    body
}

/// A JPEG as far as its head: nobody looks further.
pub(crate) fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    [&[0xff, 0xd8, 0xff, 0xc0, 0, 11, 8], &h[..], &w, &[1, 1, 0x11, 0]].concat()
}

/// A picture as multipart, with further texts.
async fn upload(
    world: &World,
    group: &str,
    mime_type: &str,
    picture: &[u8],
    texts: &[(&str, &str)],
) -> Answer {
    let mut body = Vec::new();
    for (name, text) in [&[("messaging_product", "whatsapp")], texts].concat() {
        let part = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        body.extend(part.into_bytes());
    }
    let head = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"p\"\r\nContent-Type: {mime_type}\r\n\r\n"
    );
    body.extend(head.into_bytes());
    body.extend(picture);
    body.extend(b"\r\n--XX--\r\n");
    let url = format!("{}/v23.0/{group}", world.provider.url());
    let request = groupfold_tests::http::client().post(url).bearer_auth(Provider::TOKEN);
    let request = request.header("content-type", "multipart/form-data; boundary=XX").body(body);
    groupfold_tests::http::read(request.send().await.unwrap()).await.unwrap()
}
