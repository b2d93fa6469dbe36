//! The gate of a phone number: bounds how many of its calls are under way, and holds all of them back together once
//! the provider says that there are too many.
//!
//! ```text
//!          calls pass, up to IN_FLIGHT_MAX at once
//! open ◀──────────────────────────────────────────┐
//!   │ "too many"                                  │ one comes back well
//!   ▼                                             │
//! closed until a jittered moment ──▶ probing: calls pass one by one
//!   ▲                                             │
//!   └─────────────────────────────────────────────┘ "too many" again: twice as long
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Calls of one number under way at once. Groups change seldom and the provider publishes no limit.
const IN_FLIGHT_MAX: usize = 8;
/// Numbers whose gates are kept; those that are idle and open are forgotten first.
const GATES_MAX: usize = 10_000;
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The most that the provider's own word may hold a number back.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// The gates of all numbers.
#[derive(Debug)]
pub(super) struct Gates {
    numbers: Mutex<HashMap<String, Arc<Gate>>>,
    all: Arc<Semaphore>,
}

#[derive(Debug)]
struct Gate {
    under_way: Arc<Semaphore>,
    /// Held by the one call that may pass while the gate is probing.
    probe: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Refusals in a row for too many calls.
    strikes: u32,
    closed_until: Option<Instant>,
}

/// Leave to send one call.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    /// When it was given: what is learned from it concerns the strikes from before.
    strikes: u32,
    _permits: [OwnedSemaphorePermit; 2],
    _probe: Option<OwnedMutexGuard<()>>,
}

impl Gates {
    pub(super) fn new(calls_max: usize) -> Self {
        Self { numbers: Mutex::default(), all: Arc::new(Semaphore::new(calls_max)) }
    }

    /// Waits for a number's turn. Whoever asks bounds the wait.
    pub(super) async fn enter(&self, number: &str) -> Pass {
        let gate = self.of(number);
        // The number's own permit first: a number held back must not hold places of others.
        let own = permit(&gate.under_way).await;
        let mut probe = None;
        let strikes = loop {
            let (strikes, closed_until) = {
                let state = gate.state();
                (state.strikes, state.closed_until)
            };
            match closed_until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ if strikes > 0 && probe.is_none() => probe = Some(gate.probe.clone().lock_owned().await),
                _ => break strikes,
            }
        };
        // Opened meanwhile: nothing to probe.
        if strikes == 0 {
            probe = None;
        }
        let all = permit(&self.all).await;
        Pass { gate, strikes, _permits: [own, all], _probe: probe }
    }

    fn of(&self, number: &str) -> Arc<Gate> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.len() >= GATES_MAX && !numbers.contains_key(number) {
            numbers.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.state().strikes > 0);
        }
        numbers.entry(number.to_owned()).or_insert_with(Gate::new).clone()
    }
}

/// The semaphores of gates are never closed.
async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    loop {
        if let Ok(permit) = semaphore.clone().acquire_owned().await {
            return permit;
        }
    }
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            under_way: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            probe: Arc::default(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The provider took the call: the number is not held back any more.
    pub(super) fn open(&self) {
        let mut state = self.gate.state();
        // A call that left before the last strike says nothing about after it.
        if self.strikes == state.strikes {
            *state = State::default();
        }
    }

    /// The provider says that there are too many calls.
    pub(super) fn close(&self, retry_after: Option<Duration>) {
        let mut state = self.gate.state();
        // Calls that were under way together are refused together: that is one strike.
        if self.strikes == state.strikes {
            state.strikes = state.strikes.saturating_add(1);
        }
        let wait = retry_after.map_or_else(|| pause(state.strikes), |told| told.min(RETRY_AFTER_MAX));
        let until = Instant::now() + wait;
        state.closed_until = Some(state.closed_until.map_or(until, |before| before.max(until)));
    }
}

/// How long to wait after the n-th refusal: twice as long each time, from half of it to all of it by chance, so
/// that callers who were refused together do not come back together.
pub(super) fn pause(n: u32) -> Duration {
    let whole = PAUSE_FIRST.saturating_mul(1 << n.saturating_sub(1).min(16)).min(PAUSE_MAX);
    let half = whole / 2;
    half + half.mul_f64(chance())
}

/// From 0 to 1; not for secrets.
fn chance() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // A fresh state is keyed anew.
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded_and_spread() {
        for n in 1..40 {
            let pause = pause(n);
            assert!(pause >= PAUSE_FIRST / 2 && pause <= PAUSE_MAX, "{n}: {pause:?}");
        }
        let some: std::collections::BTreeSet<Duration> = (0..20).map(|_| pause(5)).collect();
        assert!(some.len() > 1);
    }

    fn at_once(gates: &Gates, number: &str) -> Option<Pass> {
        gates.enter(number).now_or_never()
    }

    #[tokio::test]
    async fn one_refusal_holds_back_all_calls_of_the_number_and_of_no_other() {
        let gates = Gates::new(64);
        // Longer than a machine with much to do takes to the next line.
        at_once(&gates, "1").unwrap().close(Some(Duration::from_secs(1)));
        assert!(at_once(&gates, "1").is_none());
        assert!(at_once(&gates, "2").is_some());
        let probe = gates.enter("1").await;
        // The next waits for what this one learns.
        assert!(at_once(&gates, "1").is_none());
        probe.open();
        drop(probe);
        let both = (at_once(&gates, "1"), at_once(&gates, "1"));
        assert!(both.0.is_some() && both.1.is_some());
    }

    #[tokio::test]
    async fn calls_refused_together_are_one_strike() {
        let gates = Gates::new(64);
        let passes = [(); 3].map(|()| at_once(&gates, "1").unwrap());
        passes.iter().for_each(|pass| pass.close(None));
        assert_eq!(gates.of("1").state().strikes, 1);
        // One that left before the strike does not take it back.
        passes[0].open();
        assert_eq!(gates.of("1").state().strikes, 1);
    }

    #[tokio::test]
    async fn calls_under_way_are_bounded_by_number_and_in_all() {
        let gates = Gates::new(IN_FLIGHT_MAX + 1);
        let passes: Vec<Pass> = (0..IN_FLIGHT_MAX).map(|_| at_once(&gates, "1").unwrap()).collect();
        assert!(at_once(&gates, "1").is_none());
        let other = at_once(&gates, "2");
        assert!(other.is_some() && at_once(&gates, "3").is_none());
        drop(other);
        assert!(at_once(&gates, "3").is_some());
        drop(passes);
        assert!(at_once(&gates, "1").is_some());
    }
}
