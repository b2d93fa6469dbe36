//! People under the names one report gives, and errors as the provider prints them.

use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::{Participant, ProviderError};

use super::fault::Result;
use super::node::Node;

/// Which member holds which name: the same five names stand under different members.
pub(super) struct Names {
    pub(super) wa_id: &'static str,
    pub(super) user_id: &'static str,
    pub(super) parent_user_id: &'static str,
    pub(super) username: &'static str,
}

/// Names in a participant object, in a join request and in a contact.
pub(super) const PLAIN: Names =
    Names { wa_id: "wa_id", user_id: "user_id", parent_user_id: "parent_user_id", username: "username" };

/// Names of the sender of a message.
pub(super) const FROM: Names = Names {
    wa_id: "from",
    user_id: "from_user_id",
    parent_user_id: "from_parent_user_id",
    username: "from_username",
};

/// Names of the person of a receipt.
pub(super) const RECIPIENT: Names = Names {
    wa_id: "recipient_participant_id",
    user_id: "recipient_participant_user_id",
    parent_user_id: "recipient_participant_parent_user_id",
    username: "recipient_participant_username",
};

/// What a person must have at least one of.
pub(super) const EXPECTED: &str = "a name of the person: wa_id, user_id, parent_user_id, username or input";

/// Reads the names that are there.
pub(super) fn read(node: &Node<'_, '_>, names: &Names) -> Result<Participant> {
    Ok(Participant {
        wa_id: node.id(names.wa_id)?,
        user_id: node.id(names.user_id)?,
        parent_user_id: node.id(names.parent_user_id)?,
        username: node.id(names.username)?.and_then(bare_username),
        ..Participant::default()
    })
}

/// A username without the `@` that some sources print before it.
pub(super) fn bare_username(username: String) -> Option<String> {
    let bare = username.strip_prefix('@').map_or(username.as_str(), |rest| rest);
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Reads the elements of `added_participants` and its like. Each must have a name.
pub(super) fn participants(node: &Node<'_, '_>, list: &str) -> Result<Vec<Participant>> {
    node.objects(list)?.iter().map(participant).collect()
}

/// Reads one element of such a list.
pub(super) fn participant(node: &Node<'_, '_>) -> Result<Participant> {
    let person = Participant { input: node.id("input")?, ..read(node, &PLAIN)? };
    if has_name(&person) { Ok(person) } else { Err(node.missing("wa_id", EXPECTED)) }
}

/// True if the person can be told from others.
pub(super) fn has_name(person: &Participant) -> bool {
    names(person).iter().any(|(_, name)| name.is_some())
}

/// The person as a part of a natural key: every name that the report itself gave.
pub(super) fn key(person: &Participant) -> String {
    let named = names(person);
    let present = named.iter().filter_map(|(kind, name)| name.map(|name| [kind.as_bytes(), name.as_bytes()]));
    EventId::hash(present.flatten()).as_str().to_owned()
}

/// Several people as a part of a natural key, whatever their order.
pub(super) fn keys<'a>(people: impl IntoIterator<Item = &'a Participant>) -> String {
    let mut keys: Vec<String> = people.into_iter().map(key).collect();
    keys.sort_unstable();
    keys.concat()
}

fn names(person: &Participant) -> [(&'static str, Option<&str>); 5] {
    [
        ("wa_id", person.wa_id.as_deref()),
        ("user_id", person.user_id.as_deref()),
        ("parent_user_id", person.parent_user_id.as_deref()),
        ("username", person.username.as_deref()),
        ("input", person.input.as_deref()),
    ]
}

/// Reads `errors[]`. An empty list says as little as none.
pub(super) fn errors(node: &Node<'_, '_>) -> Result<Vec<ProviderError>> {
    node.objects("errors")?.iter().map(error).collect()
}

/// Reads one error. Codes are numbers or texts and are kept as they are printed.
pub(super) fn error(node: &Node<'_, '_>) -> Result<ProviderError> {
    // An object with details, or the details.
    let details = match node.object("error_data") {
        Ok(data) => data.map(|data| data.text("details")).transpose()?.flatten(),
        Err(_) => node.text("error_data").ok().flatten(),
    };
    Ok(ProviderError {
        code: node.text("code")?.unwrap_or_default(),
        title: node.text("title")?.unwrap_or_default(),
        message: node.text("message")?.unwrap_or_default(),
        details: details.unwrap_or_default(),
        href: node.text("href")?.unwrap_or_default(),
    })
}
