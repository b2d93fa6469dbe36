//! Bytes as Meta sends them: the envelope, the ASCII escapes and the signature over the exact result.

use serde_json::{Value, json};

/// One element of `changes[]`, still without what all of a POST have in common.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// `changes[].field`.
    pub(crate) field: &'static str,
    /// `changes[].value` but its product and metadata.
    pub(crate) value: Value,
    /// Elements of `groups[]`, `statuses[]`, `messages[]` and `errors[]`.
    pub(crate) items: usize,
    /// How many of the items no receiver can read.
    pub(crate) bad: usize,
    /// Whose it is, where not the business's own account.
    pub(crate) account: Option<String>,
}

impl Change {
    /// A change with one item in an array.
    pub(crate) fn one(field: &'static str, array: &str, item: Value) -> Self {
        Self { field, value: json!({ array: [item] }), items: 1, bad: 0, account: None }
    }

    /// The same, but unreadable.
    pub(crate) fn bad(field: &'static str, array: &str, item: Value) -> Self {
        Self { bad: 1, ..Self::one(field, array, item) }
    }

    /// Takes another change into this one where both only list groups under one field.
    pub(crate) fn absorb(&mut self, other: Self) -> Result<(), Self> {
        let only_groups = |value: &Value| value.as_object().is_some_and(|v| v.len() == 1);
        if self.field != other.field
            || self.account != other.account
            || !only_groups(&self.value)
            || !only_groups(&other.value)
        {
            return Err(other);
        }
        let Some(theirs) = other.value["groups"].as_array() else { return Err(other) };
        let Some(ours) = self.value["groups"].as_array_mut() else { return Err(other) };
        ours.extend(theirs.iter().cloned());
        self.items += other.items;
        self.bad += other.bad;
        Ok(())
    }
}

/// Whom the webhooks speak of.
#[derive(Debug, Clone)]
pub(crate) struct Business {
    /// The WhatsApp Business Account: `entry[].id`.
    pub(crate) account: String,
    /// `metadata.phone_number_id`.
    pub(crate) phone_number_id: String,
    /// `metadata.display_phone_number`.
    pub(crate) display_phone_number: String,
}

impl Business {
    /// The body of a POST. `entries` tells how the changes are spread over `entry[]`.
    pub(crate) fn body(&self, entries: Vec<Vec<Change>>) -> Vec<u8> {
        let mut told: Vec<Value> = Vec::new();
        for changes in entries {
            // An entry is of one account.
            for of_one in changes.chunk_by(|one, next| one.account == next.account) {
                let account = of_one.first().and_then(|change| change.account.as_ref());
                let changes: Vec<Value> = of_one.iter().cloned().map(|change| self.change(change)).collect();
                told.push(json!({ "id": account.unwrap_or(&self.account), "changes": changes }));
            }
        }
        escape(&json!({ "object": "whatsapp_business_account", "entry": told }).to_string()).into_bytes()
    }

    fn change(&self, change: Change) -> Value {
        let mut value = change.value;
        value["messaging_product"] = "whatsapp".into();
        value["metadata"] = json!({
            "display_phone_number": self.display_phone_number,
            "phone_number_id": self.phone_number_id,
        });
        json!({ "field": change.field, "value": value })
    }
}

/// Escapes JSON text as Meta does before signing. All characters concerned occur within strings alone.
pub(crate) fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        match c {
            '/' => out.push_str("\\/"),
            '<' => out.push_str("\\u003C"),
            '%' => out.push_str("\\u0025"),
            '@' => out.push_str("\\u0040"),
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// The value of `X-Hub-Signature-256`.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body);
    tag.as_ref().iter().fold("sha256=".to_owned(), |hex, b| hex + &format!("{b:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231_case_2() {
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn text_is_escaped_as_meta_does_and_still_means_the_same() {
        let value = json!({ "text": "Olá \u{1f600} 50% <ok> a/b @x \"q\" \\ \n" });
        let escaped = escape(&value.to_string());
        assert!(escaped.is_ascii());
        for part in ["Ol\\u00e1", "\\ud83d\\ude00", "50\\u0025", "\\u003Cok>", "a\\/b", "\\u0040x"] {
            assert!(escaped.contains(part), "{part} in {escaped}");
        }
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn group_changes_of_one_field_merge_and_others_do_not() {
        let mut a = Change::one("group_status_update", "groups", json!({ "n": 1 }));
        assert!(a.absorb(Change::one("group_status_update", "groups", json!({ "n": 2 }))).is_ok());
        assert_eq!((a.items, a.value["groups"].as_array().unwrap().len()), (2, 2));
        assert!(a.absorb(Change::one("group_lifecycle_update", "groups", json!({ "n": 3 }))).is_err());
        assert!(a.absorb(Change::one("group_status_update", "errors", json!({ "n": 3 }))).is_err());
    }
}
