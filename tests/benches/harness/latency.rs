//! Latencies, all of them, in microseconds.

use std::time::Duration;

#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// The latency in milliseconds that a share of them does not exceed; not a number without any. Sorted before.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into what is there"
        )]
        let index = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len().max(1)) - 1;
        self.0.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_them() {
        let mut latencies = Latencies::default();
        (1..=100).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
        latencies.sort();
        assert!((latencies.quantile_ms(0.99) - 99.0).abs() < f64::EPSILON);
        assert!((latencies.quantile_ms(0.5) - 50.0).abs() < f64::EPSILON);
        assert!(Latencies::default().quantile_ms(0.5).is_nan());
    }
}
