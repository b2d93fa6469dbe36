//! Which receipts are told next: new ones in some order, and repeats among them.

use std::collections::VecDeque;

use groupfold_tests::Rng;

/// Items of a POST.
const ITEMS: usize = 100;
/// New receipts that are put into some order together.
const POOL_MAX: u64 = 4_096;
/// Repeats of what was told at once or a little later reach back so far.
const RECENT: u64 = 1_000;
const LATER: u64 = 100_000;

/// Receipts from zero on, told by their numbers.
#[derive(Debug)]
pub(crate) struct Mix {
    rng: Rng,
    /// Items to tell in all, and told so far.
    items: u64,
    told: u64,
    /// The first number that was not drawn yet.
    fresh: u64,
    /// Drawn, and not told yet.
    pool: VecDeque<u64>,
    /// In a hundred, for as long as the pool lasts.
    repeats: u64,
    is_in_order: bool,
    repeated: u64,
    disordered: u64,
}

/// What was told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Receipts, each once.
    pub(crate) fresh: u64,
    /// Items that repeat one of them.
    pub(crate) repeated: u64,
    /// Receipts that were first told in another order than that of their numbers.
    pub(crate) disordered: u64,
}

impl Mix {
    pub(crate) fn new(seed: u64, items: u64) -> Self {
        let rng = Rng::new(seed);
        let pool = VecDeque::new();
        Self {
            rng,
            items,
            told: 0,
            fresh: 0,
            pool,
            repeats: 0,
            is_in_order: true,
            repeated: 0,
            disordered: 0,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { fresh: self.fresh, repeated: self.repeated, disordered: self.disordered }
    }

    /// The next POST; empty once so many items are told, or all.
    pub(crate) fn next(&mut self, until: u64) -> Vec<u64> {
        let end = self.items.min(until);
        let mut post = Vec::with_capacity(ITEMS);
        while post.len() < ITEMS && (self.told < end || (end == self.items && !self.pool.is_empty())) {
            if self.pool.is_empty() {
                self.draw();
            }
            let repeats = self.told < end && self.rng.below(100) < self.repeats;
            let receipt = if repeats { self.repeat() } else { self.pool.pop_front().unwrap_or_default() };
            self.repeated += u64::from(repeats);
            self.disordered += u64::from(!repeats && !self.is_in_order);
            self.told += 1;
            post.push(receipt);
        }
        post
    }

    /// Any receipt that was told, alone.
    pub(crate) fn any(&mut self) -> Vec<u64> {
        self.repeated += 1;
        vec![self.rng.below(self.fresh)]
    }

    /// New receipts, in another order than before, and another share of repeats among them.
    fn draw(&mut self) {
        let count = self.rng.between(1, POOL_MAX).min(self.items - self.told).max(1);
        let mut pool: Vec<u64> = (self.fresh..self.fresh + count).collect();
        let order = self.rng.below(4);
        match order {
            0 => {}
            1 => pool.reverse(),
            _ => self.rng.shuffle(&mut pool),
        }
        self.is_in_order = order == 0;
        self.fresh += count;
        self.pool = pool.into();
        self.repeats = self.rng.between(1, 50);
    }

    /// One of those drawn: most often a recent one, which may be in this very POST.
    fn repeat(&mut self) -> u64 {
        let back = match self.rng.below(3) {
            0 => RECENT,
            1 => LATER,
            _ => u64::MAX,
        };
        self.fresh - 1 - self.rng.below(self.fresh.min(back))
    }
}
