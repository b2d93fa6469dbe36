//! Ports that a test keeps while what listens on them is gone for a while.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that systems give to connections and to whoever asks for port 0 (from 32768 on, or from 49152 on): nobody is
/// given one of these by chance.
const FIRST: u16 = 20_000;
/// The first port of a block is the lock of the others.
const BLOCK: u16 = 4;
const BLOCKS: u32 = 2_500;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Three ports that no other test of this machine takes, in whatever process it runs, until this is dropped or the process
/// ends: it listens on the port before them.
#[derive(Debug)]
pub(crate) struct Ports {
    first: u16,
    _lock: TcpListener,
}

impl Ports {
    /// Takes a block where nobody listens. Tests begin at different ones, and come back to one they had only after all others.
    pub(crate) fn take() -> Self {
        (0..BLOCKS).find_map(|_| Self::try_take()).expect("a block of ports is free")
    }

    fn try_take() -> Option<Self> {
        let turn = std::process::id().wrapping_mul(101).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let block = u16::try_from(turn % BLOCKS).expect("blocks are few");
        let lock = FIRST + block * BLOCK;
        let listen = |port| TcpListener::bind(("127.0.0.1", port)).ok();
        let held = listen(lock)?;
        // What a killed test left behind may listen there yet.
        (lock + 1..lock + BLOCK).all(|port| listen(port).is_some()).then_some(())?;
        Some(Self { first: lock + 1, _lock: held })
    }

    /// The n-th of them, from 0 to 2.
    pub(crate) fn port(&self, n: u16) -> u16 {
        assert!(n < BLOCK - 1, "there are {} ports", BLOCK - 1);
        self.first + n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_held_are_nobody_elses() {
        let held: Vec<Ports> = (0..50).map(|_| Ports::take()).collect();
        let mut all: Vec<u16> = held.iter().flat_map(|ports| (0..3).map(|n| ports.port(n))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 150);
        assert!(TcpListener::bind(("127.0.0.1", held[0].first - 1)).is_err(), "it is locked");
    }
}
