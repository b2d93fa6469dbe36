//! Seeded randomness: xoshiro256**, so that a seed means the same on every machine and in every build.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice([u64; 4]);

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    /// Dice of their own per purpose: that one option draws more often must not change what another does.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut state = purpose.bytes().fold(seed, |state, b| splitmix(&mut (state ^ u64::from(b))));
        Self([(); 4].map(|()| splitmix(&mut state)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number from 0 up to, not including, `n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // The high half of the product: no modulo bias worth speaking of.
        u64::try_from((u128::from(self.next()) * u128::from(n)) >> 64).unwrap_or(0)
    }

    /// A number between both, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// From 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits: what an f64 holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: f64) -> bool {
        self.unit() * 100.0 < percent
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of several; `None` of none.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.index(of.len()))
    }

    /// One of several texts.
    pub(crate) fn word(&mut self, of: &[&'static str]) -> &'static str {
        self.pick(of).copied().unwrap_or_default()
    }

    /// So many characters of an alphabet.
    pub(crate) fn text(&mut self, alphabet: &str, chars: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..chars).filter_map(|_| self.pick(&alphabet).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_purpose_give_one_stream() {
        let (mut a, mut b) = (Dice::new(7, "world"), Dice::new(7, "world"));
        assert!((0..100).all(|_| a.next() == b.next()));
        assert_ne!(Dice::new(7, "world").next(), Dice::new(7, "plan").next());
        assert_ne!(Dice::new(7, "world").next(), Dice::new(8, "world").next());
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut dice = Dice::new(1, "bounds");
        for _ in 0..10_000 {
            assert!((3..=5).contains(&dice.between(3, 5)));
            assert!((0.0..1.0).contains(&dice.unit()));
            assert!(dice.below(4) < 4);
        }
        assert!(!dice.percent(0.0) && dice.percent(100.0));
    }
}
