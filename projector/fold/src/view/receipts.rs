//! Who received and read a message.

use std::collections::BTreeMap;

use groupfold_schemas::v1;

use super::group::{head, person_of};
use super::{MemberReceipt, Person, Receipts, UserView};
use crate::entry::{Key, Prefix, Source, Value};
use crate::identity::{Alias, AliasKind, PersonKey};
use crate::membership::Roster;
use crate::merge;

/// The receipts of a message; `None` if neither a receipt nor a view spoke of it.
///
/// # Errors
/// The source cannot be read.
pub fn receipts<S: Source>(source: &S, message_id: &str) -> Result<Option<Receipts>, S::Error> {
    let message = message_id.to_owned();
    let Some(Value::Message(message_head)) = source.get(&Key::Message { message: message.clone() })? else {
        return Ok(None);
    };
    let reported = reported(source, message)?;
    let named = |register: Option<v1::TextRegister>| register?.value.filter(|id| !id.is_empty());
    let told = named(message_head.group_id);
    let is_reported = told.is_some();
    let group_id = told.or_else(|| named(message_head.viewed_in));
    let group = group_id.as_deref().unwrap_or_default();
    let users = users(source, message_id, group)?;
    let account = head(source, group)?.and_then(|head| head.origin).unwrap_or_default().account;
    let roster = Roster::load(source, group, &account, reported.iter().map(|(alias, _)| alias.clone()))?;

    let persons = persons(&roster, reported);
    Ok(Some(Receipts {
        message_id: message_id.to_owned(),
        group_id,
        is_reported,
        sent_at_ms: time_of(message_head.sent.as_ref()),
        failed: message_head.failed,
        members: persons.into_iter().map(|one| member(one.person, &one.receipt)).collect(),
        users,
    }))
}

/// Who of the platform saw a message, by id, and when first. A view told in another group is none of this message's:
/// whoever tells it need not know whose the message is.
fn users<S: Source>(source: &S, message_id: &str, of: &str) -> Result<Vec<UserView>, S::Error> {
    let entries = source.scan(&Prefix::Views { message: message_id.to_owned() })?.into_iter();
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for entry in entries {
        let (Key::View { user, group, .. }, Value::View(v1::View { stamp: Some(stamp) })) = entry else {
            continue;
        };
        if group == of {
            let time_ms = first.entry(user).or_insert(stamp.time_ms);
            *time_ms = stamp.time_ms.min(*time_ms);
        }
    }
    Ok(first.into_iter().map(|(user_id, viewed_at_ms)| UserView { user_id, viewed_at_ms }).collect())
}

/// What each name did with a message.
pub(super) fn reported<S: Source>(
    source: &S,
    message: String,
) -> Result<Vec<(Alias, v1::MemberReceipt)>, S::Error> {
    let entries = source.scan(&Prefix::Receipts { message })?.into_iter();
    let receipts = entries.filter_map(|entry| match entry {
        (Key::Receipt { alias, .. }, Value::Receipt(receipt)) => Some((alias, receipt)),
        _ => None,
    });
    Ok(receipts.collect())
}

/// What one person did with a message, under however many names.
pub(super) struct Reported {
    pub(super) person: Person,
    pub(super) receipt: v1::MemberReceipt,
    /// The number that the earliest report by number named.
    pub(super) number: Option<(i64, String)>,
    /// The number that they had last.
    pub(super) last_number: Option<String>,
}

/// Each person once, by [`Person::member_id`].
pub(super) fn persons(roster: &Roster, reported: Vec<(Alias, v1::MemberReceipt)>) -> Vec<Reported> {
    let mut persons: BTreeMap<String, Reported> = BTreeMap::new();
    let parts = reported.into_iter().flat_map(|(alias, receipt)| parts(roster, alias, receipt));
    for (key, number, receipt) in parts {
        let person = person_of(roster, &key);
        let last_number = roster.identity.last_number(&key);
        let one = match persons.remove(&person.member_id) {
            Some(other) => Reported {
                person,
                receipt: merge::receipt(other.receipt, receipt),
                number: [other.number, number].into_iter().flatten().min(),
                last_number,
            },
            None => Reported { person, receipt, number, last_number },
        };
        persons.insert(one.person.member_id.clone(), one);
    }
    persons.into_values().collect()
}

/// What was reported under one name, apart by who had it when, and when the name was reported, if it is a number.
fn parts(
    roster: &Roster,
    alias: Alias,
    receipt: v1::MemberReceipt,
) -> impl Iterator<Item = (PersonKey, Option<(i64, String)>, v1::MemberReceipt)> {
    let first_ms = first_time(&receipt);
    let v1::MemberReceipt { delivered, read, played } = receipt;
    let nothing = v1::MemberReceipt::default;
    let marks = [
        v1::MemberReceipt { delivered, ..nothing() },
        v1::MemberReceipt { read, ..nothing() },
        v1::MemberReceipt { played, ..nothing() },
    ];
    let mut parts: BTreeMap<PersonKey, (i64, v1::MemberReceipt)> = BTreeMap::new();
    for one in marks.into_iter().filter(|one| *one != nothing()) {
        let told_ms = first_time(&one);
        let Some(key) = roster.receiver(&alias, first_ms, told_ms) else { continue };
        let (time_ms, part) = parts.remove(&key).unwrap_or((told_ms, nothing()));
        parts.insert(key, (time_ms.min(told_ms), merge::receipt(part, one)));
    }
    let number = (alias.kind == AliasKind::WaId).then_some(alias.text);
    parts
        .into_iter()
        .map(move |(key, (time_ms, part))| (key, number.clone().map(|number| (time_ms, number)), part))
}

fn time_of(mark: Option<&v1::Mark>) -> Option<i64> {
    mark.and_then(|mark| mark.stamp.as_ref()).map(|stamp| stamp.time_ms)
}

fn first_time(receipt: &v1::MemberReceipt) -> i64 {
    [&receipt.delivered, &receipt.read, &receipt.played]
        .into_iter()
        .filter_map(|mark| time_of(mark.as_ref()))
        .min()
        .unwrap_or_default()
}

/// When a message reached someone, was read and played.
pub(crate) fn receipt_state(receipt: &v1::MemberReceipt) -> v1::ReceiptState {
    let delivered = time_of(receipt.delivered.as_ref());
    let read = time_of(receipt.read.as_ref());
    let played = time_of(receipt.played.as_ref());
    // A message seen on arrival yields `read` alone (Meta, message statuses).
    let implied = [read, played].into_iter().flatten().min();
    v1::ReceiptState {
        delivered_at_ms: delivered.or(implied),
        delivered_implied: delivered.is_none() && implied.is_some(),
        read_at_ms: read,
        played_at_ms: played,
    }
}

pub(super) fn member(person: Person, receipt: &v1::MemberReceipt) -> MemberReceipt {
    let v1::ReceiptState { delivered_at_ms, delivered_implied, read_at_ms, played_at_ms } =
        receipt_state(receipt);
    MemberReceipt { person, delivered_at_ms, delivered_implied, read_at_ms, played_at_ms }
}
