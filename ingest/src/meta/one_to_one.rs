//! What is outside groups: ignored, or kept as a failure if so configured.
//!
//! It must have what Meta's documentation gives every message and every status, whatever its type. An item that lacks
//! some of it may be anything, one of a group that lost its group, too: it fails like any other.

use groupfold_schemas::failure::Cause;

use super::draft::{Around, Read};
use super::fault::{Fault, Result};
use super::node::Node;
use super::{IgnoreCause, person, status, time};

/// Members that name the one who gets a message, also where no number is told.
const RECIPIENT: [&str; 3] = ["recipient_id", "recipient_user_id", "recipient_parent_user_id"];

/// A message of one person, or a notice about that person.
pub(super) fn message(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    node.required_id("id")?;
    time::required(node, "timestamp")?;
    node.required_text("type")?;
    check_group(node)?;
    let from = person::read(node, &person::FROM)?;
    if !person::has_name(&from) && !names_one(around) {
        return Err(node.missing("from", person::EXPECTED));
    }
    ignored(node, around)
}

/// A status of a message to one person.
pub(super) fn status(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    node.required_id("id")?;
    time::required(node, "timestamp")?;
    node.required_text("status")?;
    if status::is_of_participant(node) {
        return Err(node.missing("recipient_id", "the group of the participant"));
    }
    check_group(node)?;
    let mut named = false;
    for member in RECIPIENT {
        named |= node.id_words(member)?.is_some();
    }
    if !named && !names_one(around) {
        return Err(node.missing("recipient_id", "the number or the user id of the recipient"));
    }
    ignored(node, around)
}

/// A group's item has the member. An empty one was emptied on its way, where what is outside groups has none.
fn check_group(node: &Node<'_, '_>) -> Result<()> {
    let lost = node.has("group_id") && node.id_words("group_id")?.is_none();
    if lost { Err(node.missing("group_id", "the group, or no such member")) } else { Ok(()) }
}

/// True if the only contact beside an item says whose it is: numbers are left out, or empty, where people hide them.
fn names_one(around: &Around<'_, '_>) -> bool {
    around.contacts.only().is_some_and(person::has_name)
}

fn ignored(node: &Node<'_, '_>, around: &Around<'_, '_>) -> Result<Read> {
    if around.delivery.ignore_one_to_one {
        return Ok(Read::Ignored(IgnoreCause::OneToOne));
    }
    Err(Fault::new(
        Cause::UnknownType,
        node.pointer(),
        "an item of a group; this one is one-to-one, and ignoring those is switched off",
    ))
}
