//! The door of groupfold: signed webhooks in, acknowledged log records out.
//!
//! ```text
//! bytes ─▶ bounded body ─▶ verified webhook ─▶ items ─▶ LOG (acknowledged) ─▶ 200
//!   │ 408 413 503              │ 401            └▶ failed webhooks ─▶ LOG
//! ```
//!
//! The door keeps no state of its own. It answers 200 only after every item of the webhook is in the log
//! and acknowledged by it; for every fault of ours it answers 503, and the provider sends the webhook
//! again. [`Receiver`] is the way in; [`meta`] is the adapter, pure and reusable for a replay; and
//! [`provision`] creates and checks the streams, because this crate knows the writing side of the log.

mod append;
mod body;
mod broker;
pub mod bucket;
mod detached;
pub mod durability;
mod handshake;
pub mod meta;
mod metrics;
#[cfg(feature = "probe")]
pub mod probe;
pub mod provision;
mod receiver;
pub mod replay;
mod request;
mod respond;
mod server;
mod settings;
mod system;
pub mod tally;
mod trace;
mod verify;

pub use durability::Durability;
pub use receiver::{BODY_BYTES_LIMIT, PAYLOAD_SHIPPED, Receiver, StartError, payload_wanted};
pub use server::{DrainReport, Stream};
pub use settings::{Settings, Tls};
pub use verify::SecretError;
