//! How much of its group a step can make look different.

use groupfold_schemas::v1::GroupHead;

use crate::apply::{Step, Working};
use crate::entry::Value;
use crate::membership::is_of_members;
use crate::view::{account_of, is_policy};

/// What must be compared.
pub(super) enum Reach<'a> {
    /// No group looks different, whatever it holds.
    Nothing,
    /// What its head alone says: members, window and policy stay, so that its history need not be read.
    Head(&'a GroupHead, &'a GroupHead),
    /// The group as it is shown.
    All,
}

impl<'a> Reach<'a> {
    /// Of a step not yet taken. Of one that names a group, it is that group which the reach is within.
    pub(super) fn of(step: &'a Step, working: &'a Working) -> Self {
        let mut reach = Self::Nothing;
        for made in &step.0 {
            match (working.before(made), &*made.new) {
                // A group's identity changes are those of its account.
                (Some(Value::Head(old)), Value::Head(new)) if account_of(old) == account_of(new) => {
                    reach = Self::Head(old, new);
                }
                (old, new) if is_beside(new) && old.is_none_or(is_beside) => {}
                _ => return Self::All,
            }
        }
        reach
    }
}

/// True for what no part of a shown group is derived from.
pub(super) fn is_beside(value: &Value) -> bool {
    match value {
        Value::Message(_) | Value::Receipt(_) | Value::View(_) | Value::Command(_) | Value::Outcome(_) => {
            true
        }
        Value::Fact(fact) => !is_of_members(fact) && !is_policy(fact.kind()),
        Value::Head(_) | Value::Window(_) | Value::Link(_) | Value::Rename(_) => false,
    }
}
