//! The fold: what a set of events means. Pure, synchronous and total; its only dependency is the words.
//!
//! State is a join-semilattice. Every event contributes a few entries ([`contribute::contributions`]);
//! an entry met again is merged ([`merge::merge`]), and merging is commutative, associative and
//! idempotent. So the entries are a function of the *set* of events: order, duplicates and batch
//! boundaries cannot matter, and a parked event may be applied at any later time. What people ask for
//! (members, timeline, receipts) is derived from the entries on reading ([`view`]).

/// Which fold this is. It is raised when the same events come to mean other entries: stores of another one are
/// not expected to agree.
pub const VERSION: u32 = 7;

pub mod apply;
pub mod change;
pub mod contribute;
pub mod entry;
pub mod identity;
pub mod merge;
pub mod view;

mod membership;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod story;
