//! `value.contacts[]`: the other names of the people that the items beside speak of.
//!
//! There is one contact per person and not one per item, so contacts are joined by name, never by place.

use std::collections::HashMap;

use bytes::Bytes;
use groupfold_schemas::v1::Participant;

use super::fault::Result;
use super::json::Value;
use super::node::Node;
use super::person;

/// Most contacts kept beside a failed item, whose person is not known for certain. With thousands of bad
/// items beside thousands of contacts, keeping all with each would multiply the body by itself.
const KEPT_MAX: usize = 4;

/// Members of an item that may name its person.
const NAMING: [&str; 8] = [
    "from_user_id",
    "recipient_participant_user_id",
    "user_id",
    "from",
    "recipient_participant_id",
    "participant_recipient_id",
    "wa_id",
    "recipient_id",
];

struct Contact<'a> {
    raw: Value<'a>,
    names: Participant,
}

/// The contacts of one value that can be read; others are of no harm to the items.
#[derive(Default)]
pub(super) struct Contacts<'a> {
    all: Vec<Contact<'a>>,
    by_name: HashMap<String, usize>,
}

impl<'a> Contacts<'a> {
    pub(super) fn read(raws: impl IntoIterator<Item = Value<'a>>) -> Self {
        let mut contacts = Self::default();
        for raw in raws {
            let (Ok(names), None) = (names(raw), raw.spoiled_beside(&[])) else { continue };
            let index = contacts.all.len();
            for name in [&names.user_id, &names.wa_id].into_iter().flatten() {
                contacts.by_name.entry(name.clone()).or_insert(index);
            }
            contacts.all.push(Contact { raw, names });
        }
        contacts
    }

    /// Adds the names that a contact of the same person tells, and returns that contact's JSON.
    pub(super) fn complete(&self, person: &mut Participant) -> Vec<Bytes> {
        let found = [&person.user_id, &person.wa_id].into_iter().flatten().find_map(|n| self.by_name.get(n));
        let Some(contact) = found.and_then(|&index| self.all.get(index)) else { return Vec::new() };
        adopt(person, &contact.names);
        vec![contact.raw.bytes()]
    }

    /// The names of the only contact, for an item that names nobody itself.
    pub(super) fn only(&self) -> Option<&Participant> {
        match &self.all[..] {
            [contact] => Some(&contact.names),
            _ => None,
        }
    }

    /// The JSON of the contacts that an unreadable item seems to speak of.
    pub(super) fn beside(&self, item: Option<&Node<'_, '_>>) -> Vec<Bytes> {
        if let [contact] = &self.all[..] {
            return vec![contact.raw.bytes()];
        }
        let Some(item) = item else { return Vec::new() };
        let named = NAMING.iter().filter_map(|member| item.words(member).ok().flatten());
        let mut found: Vec<usize> = named.filter_map(|name| self.by_name.get(&*name).copied()).collect();
        found.sort_unstable();
        found.dedup();
        found.truncate(KEPT_MAX);
        found.iter().filter_map(|&index| self.all.get(index)).map(|contact| contact.raw.bytes()).collect()
    }
}

fn names(raw: Value<'_>) -> Result<Participant> {
    let contact = Node::read(raw, "")?;
    let profile = contact.object("profile")?;
    let in_profile = |member| profile.as_ref().map(|p| p.text(member)).transpose().map(Option::flatten);
    let mut names = person::read(&contact, &person::PLAIN)?;
    names.username = in_profile("username")?.and_then(person::bare_username).or(names.username);
    names.display_name = in_profile("name")?;
    Ok(names)
}

fn adopt(person: &mut Participant, contact: &Participant) {
    let fill = |name: &mut Option<String>, from: &Option<String>| {
        if name.is_none() {
            name.clone_from(from);
        }
    };
    fill(&mut person.wa_id, &contact.wa_id);
    fill(&mut person.user_id, &contact.user_id);
    fill(&mut person.parent_user_id, &contact.parent_user_id);
    fill(&mut person.username, &contact.username);
    fill(&mut person.display_name, &contact.display_name);
}
