//! Signed webhooks, each unlike all others: deliveries and reads of messages to groups of eight.

use ring::hmac;

/// What they are signed with.
pub const SECRET: &str = "app-secret-of-a-bench";
/// Receipts that a message has: delivered and read, by eight members.
pub const RECEIPTS_OF_A_MESSAGE: u64 = 16;
/// Messages whose receipts come in at the same time, each of another group.
const AT_ONCE: u64 = 64;
const FIRST_SECOND: u64 = 1_767_225_600;

/// Receipts after which nothing more is told of the messages before: those of one block of messages.
pub const RECEIPTS_OF_A_BLOCK: u64 = AT_ONCE * RECEIPTS_OF_A_MESSAGE;

/// Prints POSTs.
#[derive(Debug)]
pub struct Webhooks {
    key: hmac::Key,
    path: String,
    items: u64,
    groups: u64,
    /// Receipts that were told before.
    before: u64,
    shape: Shape,
}

/// How much a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As Meta prints it, with conversation, price and what the sender of the message attached.
    Whole,
    /// What happened, and to whom: half of the bytes.
    Short,
}

impl Webhooks {
    /// POSTs of so many items each, about so many groups, beginning after so many receipts.
    #[must_use]
    pub fn new(path: &str, items: usize, groups: u64, before: u64) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        Self { key, path: path.to_owned(), items: items as u64, groups, before, shape: Shape::Whole }
    }

    /// The same of another shape.
    #[must_use]
    pub fn of_shape(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// The n-th POST, as bytes on the wire.
    pub fn request(&self, n: u64, out: &mut Vec<u8>) {
        let first = self.before + n * self.items;
        self.request_of(first..first + self.items, out);
    }

    /// A POST of just these receipts, as bytes on the wire.
    pub fn request_of(&self, receipts: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
        post(&self.key, &self.path, &body(receipts, self.groups, self.shape), out);
    }
}

/// The POST that creates the n-th group and has its members join.
pub fn group_webhooks(n: u64, out: &mut Vec<u8>) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let metadata = r#""messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}"#;
    let (group, before) = (group(n), FIRST_SECOND - 10_000);
    let created = format!(
        r#"{{"value":{{{metadata},"groups":[{{"timestamp":"{before}","group_id":"{group}","type":"group_create","request_id":"bench-{n}","subject":"Group {n}","invite_link":"https://chat.whatsapp.com/bench{n}","join_approval_mode":"auto_approve"}}]}},"field":"group_lifecycle_update"}}"#
    );
    let members: Vec<String> = (0..8)
        .map(|member| {
            let person = n * 8 + member;
            format!(r#"{{"wa_id":"1650{person:07}","user_id":"US.13491208655{person:09}"}}"#)
        })
        .collect();
    let joined = format!(
        r#"{{"value":{{{metadata},"groups":[{{"timestamp":"{before}","group_id":"{group}","type":"group_participants_add","reason":"invite_link","added_participants":[{}]}}]}},"field":"group_participants_update"}}"#,
        members.join(",")
    );
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{created},{joined}]}}]}}"#
    );
    post(&key, "/webhooks/meta", &body, out);
}

/// The n-th POST of members who go and come again, so many items of it: each of the groups in turn, of a group each of its
/// eight members in turn.
pub fn member_webhooks(n: u64, items: u64, groups: u64, out: &mut Vec<u8>) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let told: Vec<String> = (n * items..(n + 1) * items).map(|n| member_item(n, groups)).collect();
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}},"groups":[{}]}},"field":"group_participants_update"}}]}}]}}"#,
        told.join(",")
    );
    post(&key, "/webhooks/meta", &body, out);
}

fn member_item(n: u64, groups: u64) -> String {
    let (index, turn) = (n % groups, n / groups);
    let (group, person, second) = (group(index), index * 8 + turn % 8, FIRST_SECOND + 1_000_000 + n);
    let who = format!(r#"{{"wa_id":"1650{person:07}","user_id":"US.13491208655{person:09}"}}"#);
    let what = if turn / 8 % 2 == 0 {
        format!(r#""group_participants_remove","initiated_by":"participant","removed_participants":[{who}]"#)
    } else {
        format!(r#""group_participants_add","reason":"invite_link","added_participants":[{who}]"#)
    };
    format!(r#"{{"timestamp":"{second}","group_id":"{group}","type":{what}}}"#)
}

fn post(key: &hmac::Key, path: &str, body: &str, out: &mut Vec<u8>) {
    let tag = hmac::sign(key, body.as_bytes());
    let signature = groupfold_schemas::id::hex(tag.as_ref());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nx-hub-signature-256: sha256={signature}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// The id of a group.
#[must_use]
pub fn group(index: u64) -> String {
    format!("Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQ{index:06}AZD")
}

/// A body as Meta prints it, 889 bytes with one item.
#[must_use]
pub fn body(receipts: impl Iterator<Item = u64>, groups: u64, shape: Shape) -> String {
    let mut out = String::with_capacity(360 + 580 * receipts.size_hint().0);
    out.push_str(
        r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":["#,
    );
    for (place, n) in receipts.enumerate() {
        if place > 0 {
            out.push(',');
        }
        status(n, groups, shape, &mut out);
    }
    out.push_str(r#"]},"field":"messages"}]}]}"#);
    out
}

/// The n-th receipt: those of 64 messages come mixed, as they do when many groups talk at once.
fn status(n: u64, groups: u64, shape: Shape, out: &mut String) {
    let block = n / (AT_ONCE * RECEIPTS_OF_A_MESSAGE);
    let message = block * AT_ONCE + n % AT_ONCE;
    let receipt = n / AT_ONCE % RECEIPTS_OF_A_MESSAGE;
    let (status, member) = if receipt < 8 { ("delivered", receipt) } else { ("read", receipt - 8) };
    let (group_index, second) = (message % groups, FIRST_SECOND + n / 1_000);
    let (group, person) = (group(group_index), group_index * 8 + member);
    use std::fmt::Write as _;
    let _ = write!(
        out,
        r#"{{"id":"wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUFERjg0NDEz{message:012}TAA=","status":"{status}","timestamp":"{second}","recipient_id":"{group}","recipient_type":"group","recipient_participant_id":"1650{person:07}","recipient_participant_user_id":"US.13491208655{person:09}""#
    );
    if shape == Shape::Short {
        out.push('}');
        return;
    }
    let _ = write!(
        out,
        r#","conversation":{{"id":"5b8f1a1d{message:024x}","origin":{{"type":"group_marketing"}}}},"pricing":{{"billable":true,"pricing_model":"PMP","type":"regular","category":"group_marketing"}},"biz_opaque_callback_data":"campaign-{message:099}"}}"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_its_receipts_once_each() {
        let receipts: std::collections::BTreeSet<String> = (0..AT_ONCE * RECEIPTS_OF_A_MESSAGE)
            .map(|n| {
                let mut text = String::new();
                status(n, 1_000, Shape::Whole, &mut text);
                let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                format!("{} {} {}", json["id"], json["status"], json["recipient_participant_id"])
            })
            .collect();
        assert_eq!(receipts.len() as u64, AT_ONCE * RECEIPTS_OF_A_MESSAGE);
    }

    #[test]
    fn a_body_of_one_item_has_the_size_that_the_tables_name() {
        assert_eq!(body(std::iter::once(0), 1_000, Shape::Whole).len(), 889);
    }
}
