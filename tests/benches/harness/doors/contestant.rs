//! Who stands at the door.

use std::net::SocketAddr;

use groupfold_tests::{Groupfold, Process};

use crate::args::Args;
use crate::bed::{BARE_STREAM, BARE_SUBJECT, Bed};
use crate::child;

mod peers;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Bare,
    Groupfold,
    Vector,
    Rpconnect,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare door",
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
        let mut all = vec![Self::bare(bed).await, Self::groupfold(args, bed).await];
        if let Some(binary) = args.vector.as_ref().filter(|path| path.is_file()) {
            all.push(peers::vector(binary, bed).await);
        }
        if let Some(binary) = args.rpconnect.as_ref().filter(|path| path.is_file()) {
            all.push(peers::rpconnect(binary, bed).await);
        }
        all
    }

    async fn bare(bed: &Bed) -> Self {
        let mut command = child::reference("door");
        command.args(["--nats-url", &bed.url(), "--subject", BARE_SUBJECT]);
        let (process, addr) = child::serving(command, &bed.scratch.path().join("bare.log")).await;
        Self {
            who: Who::Bare,
            pid: process.pid(),
            addr: addr.parse().expect("an address"),
            path: "/".to_owned(),
            streams: vec![BARE_STREAM.to_owned()],
            _process: Running::Other(process),
        }
    }

    async fn groupfold(args: &Args, bed: &Bed) -> Self {
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
