//! The ledger: tails the log, folds it into a store per partition and answers questions about it.
//!
//! ```text
//! stream 3 ─▶ tail ─▶ fold ─▶ store 3 ─┐
//! stream 4 ─▶ tail ─▶ fold ─▶ store 4 ─┼▶ reads ─▶ query API
//! ```
//!
//! One loop per partition, each the only writer of its store; a partition that stops says why and the
//! others go on. A batch and its position are one write, on the device before anyone can read it. Only
//! this crate knows the database.

mod api;
mod asked;
mod background;
mod caller;
mod consumer;
pub mod desk;
mod failures;
mod feed;
pub mod loss;
mod metrics;
mod partition;
#[cfg(feature = "probe")]
pub mod probe;
mod problem;
mod projector;
mod reads;
pub mod rebuild;
pub mod refold;
pub mod scan;
mod server;
mod shape;
mod status;
pub mod store;
mod stream;
mod tail;
#[cfg(test)]
mod testing;
mod text;
mod token;
mod usage;
pub mod words;

pub use api::ops::{Health, Ops, ops_router};
pub use asked::Unanswered;
pub use background::handle as background;
pub use partition::fold::record_of;
pub use projector::{Connections, Projector, Settings, StartError};
pub use server::{Entrance, Io, Opening, serve};
pub use token::{Holder, Scope, Token};
