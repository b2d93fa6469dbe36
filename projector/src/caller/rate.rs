//! How often a token may ask.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// As many requests at once as are allowed in a second; each comes back in its part of a second.
#[derive(Debug)]
pub(super) struct Bucket {
    each: Duration,
    /// When all that was taken has come back; in the past when all is there.
    full_at: Mutex<Instant>,
}

impl Bucket {
    pub(super) fn new(per_second: u32) -> Self {
        Self { each: Duration::from_secs(1) / per_second.max(1), full_at: Mutex::new(Instant::now()) }
    }

    /// Takes one, or says how long until there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Result<(), Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full_at).max(now) + self.each;
        // Never less than one request fits, however the division was rounded.
        let room = Duration::from_secs(1).max(self.each);
        let owed = next.duration_since(now);
        if owed > room {
            return Err(owed - room);
        }
        *full_at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_pass_at_once_and_one_more_for_each_part_of_a_second() {
        let (bucket, now) = (Bucket::new(4), Instant::now());
        assert!((0..4).all(|_| bucket.take_at(now).is_ok()));
        let wait = bucket.take_at(now).unwrap_err();
        assert!(wait <= Duration::from_millis(250) && wait > Duration::from_millis(200), "{wait:?}");
        assert!(bucket.take_at(now + wait).is_ok());
        assert!(bucket.take_at(now + wait).is_err());
        let later = now + Duration::from_secs(60);
        assert_eq!(
            (0..9).filter(|_| bucket.take_at(later).is_ok()).count(),
            4,
            "an idle hour saves nothing up"
        );
    }
}
