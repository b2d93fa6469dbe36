//! The levels above the items: body, entry, change, value.

use bytes::Bytes;
use groupfold_schemas::failure::Cause;
use groupfold_schemas::v1::FailedWebhook;

use super::contact::Contacts;
use super::draft::{Around, Origin, Read};
use super::fault::{Fault, Result};
use super::json::{Json, Value};
use super::node::Node;
use super::{Delivery, ITEMS_MAX, IgnoreCause, Item, event_id, failed, group, message, status, time};

const OBJECT: &str = "whatsapp_business_account";

/// What stands in a value: each list with the reader of its elements.
const LISTS: [&str; 4] = ["groups", "statuses", "messages", "errors"];

/// What of a value is looked at by itself: its items, and contacts, which spoil nothing.
const APART: [&str; 5] = ["groups", "statuses", "messages", "errors", "contacts"];

/// Reads a whole body.
pub(super) fn body(body: &Bytes, delivery: &Delivery<'_>) -> Vec<Item> {
    let json = match Json::read(body) {
        Ok(json) => json,
        Err(error) => {
            return vec![failed::body(body, not_json(error.line(), error.column()), delivery)];
        }
    };
    let mut items = Items::new(delivery);
    let split = match json.root().spoiled_beside(&["entry"]).map(|at| json.line_and_column(at)) {
        Some((line, column)) => Err(not_json(line, column)),
        None => split_body(json.root(), &mut items),
    };
    match split {
        Ok(()) => items.found,
        Err(fault) => vec![failed::body(body, fault, delivery)],
    }
}

fn not_json(line: usize, column: usize) -> Fault {
    Fault::new(Cause::NotJson, "", format!("JSON in UTF-8; broken at line {line} column {column}"))
}

/// That a level, or an item, is UTF-8, but for what is in these members of it, each of which is a level or an item.
fn check_utf_8(raw: Value<'_>, at: &str, cause: Cause, members: &[&str]) -> Result<()> {
    let spoiled = raw.spoiled_beside(members);
    let pointer = |place| [at, &raw.pointer_to(raw.at(place))].concat();
    spoiled.map_or(Ok(()), |place| Err(Fault::new(cause, pointer(place), "JSON in UTF-8")))
}

/// Reads a failure again, at the level it failed at.
pub(super) fn again(old: &FailedWebhook, delivery: &Delivery<'_>) -> Vec<Item> {
    let Ok(json) = Json::read(&old.raw) else { return body(&old.raw, delivery) };
    let raw = json.root();
    let origin = Origin {
        account: old.account.as_str().into(),
        phone_number_id: old.phone_number_id.as_str().into(),
        display_phone_number: old.display_phone_number.as_str().into(),
        field: old.field.as_str().into(),
        entry_time_ms: old.entry_time_ms,
        entry_hash: old.entry_hash.as_str().into(),
    };
    let at = old.item_pointer.clone();
    let mut items = Items::new(delivery);
    match old.item_pointer.split('/').skip(1).collect::<Vec<_>>()[..] {
        ["entry", _] => items.entry(raw, at),
        ["entry", _, "changes", _] => items.change(raw, at, &origin, None),
        ["entry", _, "changes", _, "value"] => items.value(raw, at, &origin, None),
        ["entry", _, "changes", _, "value", list, _] => {
            let contacts: Vec<Json<'_>> =
                old.original_contacts.iter().filter_map(|contact| Json::read(contact).ok()).collect();
            let contacts = Contacts::read(contacts.iter().map(Json::root));
            let field = canonical_field(&old.field).unwrap_or("messages");
            items.item(list, raw, at, &Around { delivery, origin, field, contacts });
        }
        _ => return body(&old.raw, delivery),
    }
    items.found
}

fn split_body(raw: Value<'_>, items: &mut Items<'_>) -> Result<()> {
    let node = Node::read(raw, "").map_err(Fault::of_envelope)?;
    if node.words("object").ok().flatten().as_deref() != Some(OBJECT) {
        return Err(Fault::new(Cause::UnknownObject, "/object", OBJECT));
    }
    let entries = node.list("entry").map_err(Fault::of_envelope)?;
    let entries = entries.ok_or_else(|| node.missing("entry", "a list of entries").of_envelope())?;
    for (i, entry) in entries.into_iter().enumerate() {
        items.entry(entry, element("", "entry", i));
        if items.found.len() > ITEMS_MAX {
            return Err(Fault::new(
                Cause::MalformedEnvelope,
                "/entry",
                format!("at most {ITEMS_MAX} items in a body"),
            ));
        }
    }
    Ok(())
}

/// The pointer of an element of a list. `format!` would allocate several times.
fn element(at: &str, list: &str, index: usize) -> String {
    [at, "/", list, "/", &index.to_string()].concat()
}

/// The documented spelling of a field that is ours.
fn canonical_field(field: &str) -> Option<&'static str> {
    match field {
        "messages" => Some("messages"),
        "group_lifecycle_update" => Some("group_lifecycle_update"),
        // The schema of Meta's OpenAPI has the singular; its example and all else the plural.
        "group_participants_update" | "group_participant_update" => Some("group_participants_update"),
        "group_settings_update" => Some("group_settings_update"),
        "group_status_update" => Some("group_status_update"),
        _ => None,
    }
}

/// Items found so far.
struct Items<'d> {
    delivery: &'d Delivery<'d>,
    found: Vec<Item>,
    /// Hash of the entry at hand, once an error asked for it: hashing costs another pass over the entry.
    entry_hash: Option<String>,
}

impl<'d> Items<'d> {
    fn new(delivery: &'d Delivery<'d>) -> Self {
        Self { delivery, found: Vec::new(), entry_hash: None }
    }

    fn fail(&mut self, raw: Value<'_>, at: String, fault: Fault, origin: &Origin<'_>) {
        self.found.push(failed::level(raw, at, fault, origin, self.delivery));
    }

    /// A failure below an entry keeps the entry's hash: read again, its errors must have the ids they would
    /// have had.
    fn fail_within(
        &mut self,
        raw: Value<'_>,
        at: String,
        fault: Fault,
        origin: &mut Origin<'_>,
        entry: Option<Value<'_>>,
    ) {
        self.hash_entry(origin, entry);
        self.fail(raw, at, fault, origin);
    }

    fn hash_entry(&mut self, origin: &mut Origin<'_>, entry: Option<Value<'_>>) {
        if let Some(entry) = entry {
            origin.entry_hash =
                self.entry_hash.get_or_insert_with(|| event_id::of_json(entry)).clone().into();
        }
    }

    fn entry(&mut self, raw: Value<'_>, at: String) {
        let mut origin = Origin::default();
        self.entry_hash = None;
        match read_entry(raw, &at, &mut origin) {
            Ok(changes) => {
                for (i, change) in changes.into_iter().enumerate() {
                    if self.found.len() > ITEMS_MAX {
                        return;
                    }
                    self.change(change, element(&at, "changes", i), &origin, Some(raw));
                }
            }
            Err(fault) => self.fail(raw, at, fault, &origin),
        }
    }

    fn change<'a>(&mut self, raw: Value<'a>, at: String, origin: &Origin<'a>, entry: Option<Value<'_>>) {
        let mut origin = origin.clone();
        match read_change(raw, &at, &mut origin) {
            Ok(value) if canonical_field(&origin.field).is_some() => {
                self.value(value, [&at, "/value"].concat(), &origin, entry);
            }
            Ok(value) => self.other_field(raw, value, at, &mut origin, entry),
            Err(fault) => self.fail_within(raw, at, fault, &mut origin, entry),
        }
    }

    /// A field that is none of ours. What it is about its name may say, or a list of groups in its value.
    fn other_field(
        &mut self,
        raw: Value<'_>,
        value: Value<'_>,
        at: String,
        origin: &mut Origin<'_>,
        entry: Option<Value<'_>>,
    ) {
        let about_groups = origin.field.starts_with("group") || has_groups(value);
        if !about_groups && self.delivery.ignore_other_fields {
            self.found.push(Item::Ignored(IgnoreCause::OtherField));
        } else {
            let fault =
                Fault::new(Cause::UnknownField, format!("{at}/field"), "a field about groups, or messages");
            self.fail_within(raw, at, fault, origin, entry);
        }
    }

    fn value<'a>(&mut self, raw: Value<'a>, at: String, origin: &Origin<'a>, entry: Option<Value<'_>>) {
        let mut origin = origin.clone();
        let lists = match read_value(raw, &at, &mut origin) {
            Ok(lists) => lists,
            Err(fault) => return self.fail_within(raw, at, fault, &mut origin, entry),
        };
        if lists.items.iter().any(|(list, _)| *list == "errors") {
            self.hash_entry(&mut origin, entry);
        }
        let field = canonical_field(&origin.field).unwrap_or("messages");
        let around =
            Around { delivery: self.delivery, origin, field, contacts: Contacts::read(lists.contacts) };
        for (list, elements) in lists.items {
            for (i, raw) in elements.into_iter().enumerate() {
                // Reading on would only be thrown away: the body fails whole.
                if self.found.len() > ITEMS_MAX {
                    return;
                }
                self.item(list, raw, element(&at, list, i), &around);
            }
        }
    }

    fn item(&mut self, list: &str, raw: Value<'_>, at: String, around: &Around<'_, '_>) {
        let checked = check_utf_8(raw, &at, Cause::MalformedField, &[]);
        let read = checked.and_then(|()| Node::read(raw, &at)).and_then(|node| match list {
            "groups" => group::read(&node, around),
            "statuses" => status::read(&node, around),
            "messages" => message::read(&node, around),
            _ => message::read_error(&node, around),
        });
        self.found.push(match read {
            Ok(Read::Event(draft)) => Item::Event(Box::new(draft.into_record(around, raw, at))),
            Ok(Read::Ignored(cause)) => Item::Ignored(cause),
            Err(fault) => failed::item(raw, at, fault, &around.origin, &around.contacts, self.delivery),
        });
    }
}

fn read_entry<'a>(raw: Value<'a>, at: &str, origin: &mut Origin<'a>) -> Result<Vec<Value<'a>>> {
    let node = Node::read(raw, at).map_err(Fault::of_envelope)?;
    origin.account = node.required_id("id")?;
    origin.entry_time_ms = time::optional(&node, "time").ok().flatten();
    check_utf_8(raw, at, Cause::MalformedEnvelope, &["changes"])?;
    let changes = node.list("changes").map_err(Fault::of_envelope)?;
    changes.ok_or_else(|| node.missing("changes", "a list of changes").of_envelope())
}

fn read_change<'a>(raw: Value<'a>, at: &str, origin: &mut Origin<'a>) -> Result<Value<'a>> {
    let node = Node::read(raw, at).map_err(Fault::of_envelope)?;
    origin.field = node.required_text("field")?;
    check_utf_8(raw, at, Cause::MalformedEnvelope, &["value"])?;
    node.get("value").ok_or_else(|| node.missing("value", "an object"))
}

fn has_groups(value: Value<'_>) -> bool {
    Node::read(value, "").is_ok_and(|node| node.list("groups").is_ok_and(|groups| groups.is_some()))
}

struct Lists<'a> {
    items: Vec<(&'static str, Vec<Value<'a>>)>,
    contacts: Vec<Value<'a>>,
}

fn read_value<'a>(raw: Value<'a>, at: &str, origin: &mut Origin<'a>) -> Result<Lists<'a>> {
    let node = Node::read(raw, at).map_err(Fault::of_envelope)?;
    let metadata = node.object("metadata")?.ok_or_else(|| node.missing("metadata", "an object"))?;
    origin.phone_number_id = metadata.required_id("phone_number_id")?;
    origin.display_phone_number = metadata.id_words("display_phone_number")?.unwrap_or_default();
    check_utf_8(raw, at, Cause::MalformedEnvelope, &APART)?;
    let mut items = Vec::new();
    for list in LISTS {
        if let Some(elements) = node.list(list).map_err(Fault::of_envelope)? {
            items.push((list, elements));
        }
    }
    if items.is_empty() {
        let (list, expected) = if canonical_field(&origin.field) == Some("messages") {
            ("messages", "one of the lists messages, statuses and errors")
        } else {
            ("groups", "a list of group events")
        };
        return Err(node.missing(list, expected));
    }
    // Contacts only add names: broken ones must not spoil what they stand beside.
    let contacts = node.list("contacts").ok().flatten().unwrap_or_default();
    Ok(Lists { items, contacts })
}
