//! Messages on their way to the log: published and not yet answered, in the order of their numbers.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Error;
use super::wire::Stored;

/// Who waits for the outcome of a message.
pub(super) type Outcome = oneshot::Sender<Result<Stored, Error>>;

#[derive(Default)]
pub(super) struct Flight {
    /// The number of the first.
    first: u64,
    /// Each with its outcome until that is told.
    open: VecDeque<Option<Outcome>>,
    /// By then nobody waits any more.
    patience: Option<Instant>,
}

impl Flight {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many are on their way: those that were answered behind one that was not still count, so that numbers are
    /// never further apart than the bound on them.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// By when all have been answered or given up.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.patience
    }

    /// Takes one up. Numbers follow each other as long as anything is open.
    pub(super) fn take_up(&mut self, number: u64, outcome: Outcome, patience: Instant) {
        if self.open.is_empty() {
            self.first = number;
        }
        self.open.push_back(Some(outcome));
        self.patience = self.patience.max(Some(patience));
    }

    /// Tells one its outcome; false if it is none of these, such as one that came too late.
    pub(super) fn tell(&mut self, number: u64, result: Result<Stored, Error>) -> bool {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let outcome = place.and_then(|place| self.open.get_mut(place)).and_then(Option::take);
        let told = outcome.is_some();
        if let Some(outcome) = outcome {
            // Who waits no longer has nobody to tell.
            let _ = outcome.send(result);
        }
        // Those whose answer got lost are waited for no longer than by who waits for them.
        while self.open.front().is_some_and(|open| open.as_ref().is_none_or(Outcome::is_closed)) {
            self.open.pop_front();
            self.first += 1;
        }
        if self.open.is_empty() {
            self.patience = None;
        }
        told
    }

    /// Nobody knows what became of all that are left.
    pub(super) fn lose(&mut self) {
        for outcome in self.open.drain(..).flatten() {
            let _ = outcome.send(Err(Error::Unacknowledged));
        }
        self.patience = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_up(flight: &mut Flight, number: u64) -> oneshot::Receiver<Result<Stored, Error>> {
        let (outcome, told) = oneshot::channel();
        flight.take_up(number, outcome, Instant::now());
        told
    }

    fn stored(sequence: u64) -> Result<Stored, Error> {
        Ok(Stored { sequence, duplicate: false })
    }

    #[test]
    fn each_is_told_its_own_outcome_in_whatever_order_answers_come() {
        let mut flight = Flight::default();
        let mut told: Vec<_> = (7..10).map(|number| taken_up(&mut flight, number)).collect();
        for number in [8, 7, 9] {
            assert!(flight.tell(number, stored(number)));
        }
        for (number, told) in (7..).zip(&mut told) {
            assert_eq!(told.try_recv().unwrap().unwrap().sequence, number);
        }
        assert!(flight.is_empty() && flight.patience().is_none());
    }

    #[test]
    fn who_waits_longest_is_waited_for() {
        let mut flight = Flight::default();
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        for (number, patience) in [(0, now), (1, later), (2, now)] {
            flight.take_up(number, oneshot::channel().0, patience);
        }
        assert_eq!(flight.patience(), Some(later));
    }

    #[test]
    fn an_answer_that_comes_twice_or_too_late_is_nobodys() {
        let mut flight = Flight::default();
        let _first = taken_up(&mut flight, 3);
        let _second = taken_up(&mut flight, 4);
        assert!(flight.tell(3, stored(1)));
        for number in [0, 2, 3, 5, u64::MAX] {
            assert!(!flight.tell(number, stored(1)), "{number}");
        }
        assert!(!flight.is_empty());
    }

    #[test]
    fn who_waits_no_longer_is_not_waited_for() {
        let mut flight = Flight::default();
        drop(taken_up(&mut flight, 0));
        let _second = taken_up(&mut flight, 1);
        assert!(flight.tell(1, stored(1)));
        assert!(flight.is_empty());
    }

    #[test]
    fn those_answered_behind_one_without_an_answer_count_until_it_has_one() {
        let mut flight = Flight::default();
        let told: Vec<_> = (0..1_000).map(|number| taken_up(&mut flight, number)).collect();
        for number in 1..1_000 {
            flight.tell(number, stored(number));
        }
        assert_eq!(flight.len(), 1_000, "the first has no answer");
        flight.tell(0, stored(0));
        assert_eq!((flight.len(), told.len()), (0, 1_000));
    }

    #[test]
    fn what_is_lost_is_told_as_unknown() {
        let mut flight = Flight::default();
        let mut told = taken_up(&mut flight, 0);
        flight.lose();
        assert!(matches!(told.try_recv(), Ok(Err(Error::Unacknowledged))));
        assert!(flight.is_empty() && flight.patience().is_none());
    }
}
