//! What the operating system is asked for: the time, and randomness.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use groupfold_schemas::id::hex;
use ring::rand::{SecureRandom, SystemRandom};

/// Unix milliseconds by the system's clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2 * N` lower-case hex digits.
pub(crate) fn random_hex<const N: usize>() -> String {
    hex(&random::<N>())
}

/// Randomness asked of the system at once: each time is a call into the kernel.
const POOL_BYTES: usize = 1024;

thread_local! {
    /// What is left to hand out begins at the number.
    static POOL: RefCell<([u8; POOL_BYTES], usize)> = const { RefCell::new(([0; POOL_BYTES], POOL_BYTES)) };
}

/// The system's randomness does not fail on platforms we run on; if it did, an id of zeros is a lesser
/// harm than a refused webhook: ids of requests key nothing.
fn random<const N: usize>() -> [u8; N] {
    POOL.with_borrow_mut(|(pool, begin)| {
        if *begin + N > POOL_BYTES {
            pool.fill(0);
            let _ = SystemRandom::new().fill(pool);
            *begin = 0;
        }
        let mut out = [0; N];
        out.copy_from_slice(&pool[*begin..*begin + N]);
        *begin += N;
        out
    })
}
