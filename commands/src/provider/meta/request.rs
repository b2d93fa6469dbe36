//! Calls as requests of the Graph API.

use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::{Map, Value, json};

use crate::provider::call::{Call, Content, Message, Picture};

/// Fields that group info answers only when asked for; `id` comes always.
const INFO_FIELDS: &str = "subject,description,join_approval_mode,suspended,creation_timestamp,total_participant_count,participants";
const PRODUCT: (&str, &str) = ("messaging_product", "whatsapp");

/// The request that a call is, without its authorisation.
pub(super) fn build(client: &Client, base: &Url, phone_number_id: &str, call: &Call) -> RequestBuilder {
    let (method, path) = route(phone_number_id, call);
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        // Each is encoded here, so that no id can reach another endpoint.
        segments.pop_if_empty().extend(path);
    }
    match call {
        Call::ListGroups { limit, after } => {
            url.query_pairs_mut().append_pair("limit", &limit.to_string());
            page(&mut url, after.as_deref());
        }
        Call::ListJoinRequests { after, .. } => page(&mut url, after.as_deref()),
        Call::GroupInfo { .. } => {
            url.query_pairs_mut().append_pair("fields", INFO_FIELDS);
        }
        _ => {}
    }
    let request = client.request(method, url);
    if let Call::UpdateGroup { subject, description, picture: Some(picture), .. } = call {
        return request.multipart(form(subject.as_deref(), description.as_deref(), picture));
    }
    match body(call) {
        Some(body) => request.json(&body),
        None => request,
    }
}

fn page(url: &mut Url, after: Option<&str>) {
    if let Some(after) = after {
        url.query_pairs_mut().append_pair("after", after);
    }
}

fn route<'a>(phone_number_id: &'a str, call: &'a Call) -> (Method, Vec<&'a str>) {
    match call {
        Call::CreateGroup { .. } => (Method::POST, vec![phone_number_id, "groups"]),
        Call::ListGroups { .. } => (Method::GET, vec![phone_number_id, "groups"]),
        Call::UpdateGroup { group, .. } => (Method::POST, vec![group]),
        Call::DeleteGroup { group } => (Method::DELETE, vec![group]),
        Call::GroupInfo { group } => (Method::GET, vec![group]),
        Call::GetInviteLink { group } => (Method::GET, vec![group, "invite_link"]),
        Call::ResetInviteLink { group } => (Method::POST, vec![group, "invite_link"]),
        Call::ListJoinRequests { group, .. } => (Method::GET, vec![group, "join_requests"]),
        Call::ApproveJoinRequests { group, .. } => (Method::POST, vec![group, "join_requests"]),
        Call::RejectJoinRequests { group, .. } => (Method::DELETE, vec![group, "join_requests"]),
        Call::RemoveParticipants { group, .. } => (Method::DELETE, vec![group, "participants"]),
        Call::Send { .. } | Call::Pin { .. } | Call::Unpin { .. } | Call::Invite { .. } => {
            (Method::POST, vec![phone_number_id, "messages"])
        }
    }
}

/// The picture goes in a part called `file`, as in the guide and in Meta's OpenAPI document.
fn form(subject: Option<&str>, description: Option<&str>, Picture(bytes): &Picture) -> Form {
    let file = Part::stream(bytes.clone()).file_name("picture.jpg");
    let file = match file.mime_str("image/jpeg") {
        Ok(file) => file,
        Err(_) => Part::stream(bytes.clone()).file_name("picture.jpg"),
    };
    let mut form = Form::new().text(PRODUCT.0, PRODUCT.1).part("file", file);
    for (name, text) in [("subject", subject), ("description", description)] {
        if let Some(text) = text {
            form = form.text(name, text.to_owned());
        }
    }
    form
}

/// The JSON of a call; none for reading and for deleting a group.
pub(super) fn body(call: &Call) -> Option<Value> {
    let mut body = Map::from_iter([(PRODUCT.0.to_owned(), json!(PRODUCT.1))]);
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    match call {
        Call::CreateGroup { subject, description, join_approval_mode } => {
            put("subject", json!(subject));
            put("description", json!(description));
            put("join_approval_mode", json!(join_approval_mode));
        }
        Call::UpdateGroup { subject, description, .. } => {
            put("subject", json!(subject));
            put("description", json!(description));
        }
        Call::ResetInviteLink { .. } => {}
        Call::ApproveJoinRequests { requests, .. } | Call::RejectJoinRequests { requests, .. } => {
            put("join_requests", json!(requests));
        }
        Call::RemoveParticipants { participants, .. } => {
            let users: Vec<Value> = participants.iter().map(|user| json!({ "user": user })).collect();
            put("participants", Value::Array(users));
        }
        Call::Send { group, message } => {
            to_group(&mut put, group);
            content(&mut put, message);
        }
        Call::Pin { group, message_id, days } => {
            to_group(&mut put, group);
            put("type", json!("pin"));
            put("pin", json!({ "type": "pin", "message_id": message_id, "expiration_days": days }));
        }
        Call::Unpin { group, message_id } => {
            to_group(&mut put, group);
            put("type", json!("pin"));
            put("pin", json!({ "type": "unpin", "message_id": message_id }));
        }
        Call::Invite { group, to, template, language, opaque } => {
            put("biz_opaque_callback_data", json!(opaque));
            put("recipient_type", json!("individual"));
            put("to", json!(to));
            put("type", json!("template"));
            let link = json!({ "type": "group_id", "group_id": group });
            let components = json!([{ "type": "body", "parameters": [link] }]);
            put("template", self::template(template, language, &components));
        }
        Call::DeleteGroup { .. }
        | Call::GetInviteLink { .. }
        | Call::ListJoinRequests { .. }
        | Call::ListGroups { .. }
        | Call::GroupInfo { .. } => return None,
    }
    Some(Value::Object(body))
}

fn to_group(put: &mut impl FnMut(&str, Value), group: &str) {
    put("recipient_type", json!("group"));
    put("to", json!(group));
}

fn content(put: &mut impl FnMut(&str, Value), message: &Message) {
    put("biz_opaque_callback_data", json!(message.opaque));
    put("context", message.reply_to.as_ref().map_or(Value::Null, |id| json!({ "message_id": id })));
    match &message.content {
        Content::Text { body, preview_url } => {
            put("type", json!("text"));
            put("text", json!({ "body": body, "preview_url": preview_url }));
        }
        Content::Media { kind, id, link, caption, filename } => {
            put("type", json!(kind));
            let fields = [("id", id), ("link", link), ("caption", caption), ("filename", filename)];
            let given =
                fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
            put(kind, Value::Object(given.collect()));
        }
        Content::Template { name, language, components } => {
            put("type", json!("template"));
            put("template", template(name, language, components));
        }
        // Never sent: `validate` refuses it.
        Content::Other { kind } => put("type", json!(kind)),
    }
}

fn template(name: &str, language: &str, components: &Value) -> Value {
    let mut template = json!({ "name": name, "language": { "code": language } });
    if !components.is_null() {
        template["components"] = components.clone();
    }
    template
}
