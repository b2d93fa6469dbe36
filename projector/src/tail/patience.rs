//! How long to wait before reading is tried again. A consumer that could be made proves nothing: only what
//! it delivers does, or that it lasts. Else a fault that recurs right after would be met at the speed of
//! the network, with a consumer left behind each time.

use std::time::{Duration, Instant};

/// Waits between attempts to read again: doubled from the first to the last.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_LAST: Duration = Duration::from_secs(1);
/// A consumer that lasts this long is good: longer than it takes to miss its heartbeats.
pub(super) const LASTING: Duration = Duration::from_secs(15);

/// Faults in a row, with nothing read between them.
#[derive(Debug)]
pub(super) struct Patience {
    wait: Duration,
    since: Option<Instant>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { wait: WAIT_FIRST, since: None }
    }

    /// Reading works.
    pub(super) fn proved(&mut self) {
        *self = Self::new();
    }

    /// A fault: since when they come in a row, and how long to wait now.
    pub(super) fn fault(&mut self, now: Instant) -> (Instant, Duration) {
        let wait = self.wait;
        self.wait = (self.wait * 2).min(WAIT_LAST);
        (*self.since.get_or_insert(now), wait)
    }

    /// A fault of a consumer that was good until now: the next attempt is made at once, since most losses
    /// are of the consumer alone. The one after it waits.
    pub(super) fn first_fault(&mut self, now: Instant) -> (Instant, Duration) {
        self.wait = WAIT_FIRST;
        self.since = Some(now);
        (now, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_recurs_after_each_connect_is_met_ever_slower_and_counts_from_the_first() {
        let mut patience = Patience::new();
        let begun = Instant::now();
        let (since, wait) = patience.first_fault(begun);
        assert_eq!((since, wait), (begun, Duration::ZERO));
        let waits: Vec<u128> = (1..7)
            .map(|second| {
                let (since, wait) = patience.fault(begun + Duration::from_secs(second));
                assert_eq!(since, begun);
                wait.as_millis()
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn what_was_delivered_ends_the_row() {
        let mut patience = Patience::new();
        let begun = Instant::now();
        patience.fault(begun);
        patience.fault(begun);
        patience.proved();
        let later = begun + Duration::from_secs(9);
        assert_eq!(patience.fault(later), (later, WAIT_FIRST));
    }
}
