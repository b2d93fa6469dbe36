//! Merging two values of one key. Commutative, associative, idempotent: laws 6 and 7 rest on this file.

use groupfold_schemas::v1;
use prost::Message;

use crate::entry::Value;

/// Merges a contribution into what is there.
#[must_use]
pub fn merge(old: Option<Value>, new: Value) -> Value {
    let Some(old) = old else { return new };
    match (old, new) {
        (Value::Head(old), Value::Head(new)) => Value::Head(Box::new(head(*old, *new))),
        (Value::Window(old), Value::Window(new)) => Value::Window(latest(old, new)),
        (Value::Link(old), Value::Link(new)) => {
            let first_seen_ms = old.first_seen_ms.min(new.first_seen_ms);
            Value::Link(v1::Link { first_seen_ms, last_seen_ms: old.last_seen_ms.max(new.last_seen_ms) })
        }
        (Value::Fact(old), Value::Fact(new)) => Value::Fact(fact(old, new)),
        (Value::Rename(old), Value::Rename(new)) => Value::Rename(greater(old, new)),
        (Value::Message(old), Value::Message(new)) => Value::Message(v1::MessageHead {
            group_id: either(old.group_id, new.group_id, earliest),
            sent: either(old.sent, new.sent, earliest),
            failed: either(old.failed, new.failed, latest),
            viewed_in: either(old.viewed_in, new.viewed_in, earliest),
        }),
        (Value::Receipt(old), Value::Receipt(new)) => Value::Receipt(receipt(old, new)),
        (Value::Command(old), Value::Command(new)) => Value::Command(Box::new(v1::CommandState {
            requested: either(old.requested, new.requested, earliest),
            refused: either(old.refused, new.refused, earliest),
            sent: either(old.sent, new.sent, earliest),
            answered: either(old.answered, new.answered, earliest),
            reconciled: either(old.reconciled, new.reconciled, latest),
            message_id: either(old.message_id, new.message_id, earliest),
        })),
        (Value::Outcome(old), Value::Outcome(new)) => Value::Outcome(greater(old, new)),
        (Value::View(old), Value::View(new)) => Value::View(earliest(old, new)),
        // A key has one kind of value; the key's prefix byte decides which.
        (old, _) => old,
    }
}

/// True if merging `new` into `old` is known to make no difference, without merging: what most receipts say again of
/// their group and message. False decides nothing.
pub(crate) fn absorbs(old: &Value, new: &Value) -> bool {
    first(old).zip(alone(new)).is_some_and(|(old, new)| order(old) < order(new))
}

/// The stamp of the register that an entry keeps the earliest report of and that most events report again.
pub(crate) fn first(value: &Value) -> Option<&v1::Stamp> {
    match value {
        Value::Head(head) => head.origin.as_ref()?.stamp(),
        Value::Message(message) => message.group_id.as_ref()?.stamp(),
        _ => None,
    }
}

/// The same stamp, if the value has nothing but that register.
pub(crate) fn alone(value: &Value) -> Option<&v1::Stamp> {
    let alone = match value {
        Value::Head(head) => has_one_alone(&**head, head.origin.as_ref()),
        Value::Message(message) => has_one_alone(message, message.group_id.as_ref()),
        _ => false,
    };
    first(value).filter(|_| alone)
}

/// True if a message has nothing but its field 1: no field that is added later is overlooked.
fn has_one_alone(whole: &impl Message, one: Option<&impl Message>) -> bool {
    one.is_some_and(|one| prost::encoding::message::encoded_len(1, one) == whole.encoded_len())
}

/// Merges what two names of one person did with a message.
#[must_use]
pub(crate) fn receipt(old: v1::MemberReceipt, new: v1::MemberReceipt) -> v1::MemberReceipt {
    v1::MemberReceipt {
        delivered: either(old.delivered, new.delivered, earliest),
        read: either(old.read, new.read, earliest),
        played: either(old.played, new.played, earliest),
    }
}

fn head(old: v1::GroupHead, new: v1::GroupHead) -> v1::GroupHead {
    v1::GroupHead {
        origin: either(old.origin, new.origin, earliest),
        created: either(old.created, new.created, earliest),
        create_failed: either(old.create_failed, new.create_failed, latest),
        deleted: either(old.deleted, new.deleted, earliest),
        suspended: either(old.suspended, new.suspended, latest),
        subject: either(old.subject, new.subject, latest),
        description: either(old.description, new.description, latest),
        picture: either(old.picture, new.picture, latest),
        join_approval_mode: either(old.join_approval_mode, new.join_approval_mode, latest),
        invite_link: either(old.invite_link, new.invite_link, latest),
        last_failure: either(old.last_failure, new.last_failure, latest),
        announce: either(old.announce, new.announce, latest),
        locked: either(old.locked, new.locked, latest),
        member_add_mode: either(old.member_add_mode, new.member_add_mode, latest),
        ephemeral_seconds: either(old.ephemeral_seconds, new.ephemeral_seconds, latest),
        subject_unconfirmed: either(old.subject_unconfirmed, new.subject_unconfirmed, latest),
        description_unconfirmed: either(old.description_unconfirmed, new.description_unconfirmed, latest),
        picture_unconfirmed: either(old.picture_unconfirmed, new.picture_unconfirmed, latest),
        policy: old.policy || new.policy,
    }
}

fn either<T>(old: Option<T>, new: Option<T>, choose: impl FnOnce(T, T) -> T) -> Option<T> {
    match (old, new) {
        (Some(old), Some(new)) => Some(choose(old, new)),
        (old, new) => old.or(new),
    }
}

/// The order of last-writer-wins: time, rank, event id.
pub(crate) fn order(stamp: &v1::Stamp) -> (i64, u32, &str) {
    (stamp.time_ms, stamp.rank, &stamp.event_id)
}

/// A value that a stamp belongs to.
pub(crate) trait Stamped: Message {
    fn stamp(&self) -> Option<&v1::Stamp>;
}

fn latest<T: Stamped>(old: T, new: T) -> T {
    if is_before(&old, &new) { new } else { old }
}

fn earliest<T: Stamped>(old: T, new: T) -> T {
    if is_before(&old, &new) { old } else { new }
}

/// Equal stamps mean one event; should its contributions differ after all, their bytes decide.
fn is_before<T: Stamped>(a: &T, b: &T) -> bool {
    a.stamp()
        .map(order)
        .cmp(&b.stamp().map(order))
        .then_with(|| a.encode_to_vec().cmp(&b.encode_to_vec()))
        .is_lt()
}

/// Reports of one event differ in nothing but a time that is our own clock's: the earliest stays.
fn fact(a: v1::Fact, b: v1::Fact) -> v1::Fact {
    match a.time_ms.cmp(&b.time_ms) {
        std::cmp::Ordering::Less => a,
        std::cmp::Ordering::Greater => b,
        std::cmp::Ordering::Equal => greater(a, b),
    }
}

fn greater<T: Message>(a: T, b: T) -> T {
    if a.encode_to_vec() < b.encode_to_vec() { b } else { a }
}

macro_rules! stamped {
    ($($name:ident),*) => {
        $(impl Stamped for v1::$name {
            fn stamp(&self) -> Option<&v1::Stamp> {
                self.stamp.as_ref()
            }
        })*
    };
}

stamped!(
    TextRegister,
    PictureRegister,
    FlagRegister,
    NumberRegister,
    FailureRegister,
    OriginRegister,
    Window,
    Mark,
    CommandRequestedRegister,
    CommandRefusedRegister,
    CommandSentRegister,
    CommandAnsweredRegister,
    CommandReconciledRegister,
    View
);
