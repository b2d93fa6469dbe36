//! Who stands at the door.

use std::net::SocketAddr;

use groupfold_tests::{Groupfold, Process, receipts};

use crate::args::Args;
use crate::bed::{self, BARE_STREAM, BARE_SUBJECT, Bed, PROMISED_SUBJECT};
use crate::child;

mod peers;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Bare,
    Promising,
    Groupfold,
    Vector,
    Rpconnect,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare door",
            Self::Promising => "bare door, signed, once",
            Self::Groupfold => "groupfold",
            Self::Vector => "Vector",
            Self::Rpconnect => "Redpanda Connect",
        }
    }
}

/// A receiver that runs.
pub(super) struct Contestant {
    pub(super) who: Who,
    pub(super) pid: u32,
    pub(super) addr: SocketAddr,
    pub(super) path: String,
    /// What it acknowledges is in these.
    pub(super) streams: Vec<String>,
    /// Ended when dropped.
    _process: Running,
}

enum Running {
    Groupfold(#[allow(dead_code, reason = "kept until it is dropped")] Box<Groupfold>),
    Other(#[allow(dead_code, reason = "kept until it is dropped")] Process),
}

impl Contestant {
    /// The bare door, ours, and whom a binary was given of.
    pub(super) async fn all(args: &Args, bed: &Bed) -> Vec<Self> {
        let mut all =
            vec![Self::bare(bed).await, Self::promising(bed).await, Self::groupfold(args, bed).await];
        if let Some(binary) = args.vector.as_ref().filter(|path| path.is_file()) {
            all.push(peers::vector(binary, bed).await);
        }
        if let Some(binary) = args.rpconnect.as_ref().filter(|path| path.is_file()) {
            all.push(peers::rpconnect(binary, bed).await);
        }
        all
    }

    async fn bare(bed: &Bed) -> Self {
        let streams = vec![BARE_STREAM.to_owned()];
        Self::reference(bed, Who::Bare, &["--subject", BARE_SUBJECT], streams).await
    }

    /// What the promises cost by themselves: no item is parsed, but what it takes is done.
    async fn promising(bed: &Bed) -> Self {
        let args = ["--subject", PROMISED_SUBJECT, "--app-secret", receipts::SECRET];
        Self::reference(bed, Who::Promising, &args, bed::promised_streams()).await
    }

    async fn reference(bed: &Bed, who: Who, args: &[&str], streams: Vec<String>) -> Self {
        let mut command = child::reference("door");
        command.args(["--nats-url", &bed.url()]).args(args);
        let log = bed.scratch.path().join(format!("{who:?}.log"));
        let (process, addr) = child::serving(command, &log).await;
        Self {
            who,
            pid: process.pid(),
            addr: addr.parse().expect("an address"),
            path: "/".to_owned(),
            streams,
            _process: Running::Other(process),
        }
    }

    pub(super) async fn groupfold(args: &Args, bed: &Bed) -> Self {
        let mut groupfold = Groupfold::ingest(bed.options(args)).await;
        let addr = groupfold.addresses().webhook.as_deref().and_then(|addr| addr.parse().ok());
        Self {
            who: Who::Groupfold,
            pid: groupfold.process().pid(),
            addr: addr.expect("it has a receiver"),
            path: "/webhooks/meta".to_owned(),
            streams: bed.door_streams(),
            _process: Running::Groupfold(Box::new(groupfold)),
        }
    }
}
