//! The words of groupfold: events, records, stored values and failures as protobuf; ids parsed once;
//! subjects, streams and positions as data.
//!
//! This crate knows no runtime, no JSON and no clock. Everything else depends on it; it depends on
//! nothing of ours.

pub mod change;
pub mod command;
pub mod crash;
pub mod failure;
pub mod frame;
pub mod id;
pub mod kind;
pub mod log;
pub mod position;
pub mod verdict;

/// Generated from `proto/groupfold/v1/*.proto`. Committed, so that no `protoc` is needed; a test
/// generates it again and compares.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[rustfmt::skip]
#[path = "generated/groupfold.v1.rs"]
pub mod v1;
